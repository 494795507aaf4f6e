"""The notebook runs as it is, in a real kernel; and what a kernel does with handles while a task runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
FORMAT: Any = nbformat  # which says little of its types
LIMIT = 50  # seconds, for one cell or one answer
PENDING = "task.result has to be awaited: `await task.result`, or without asyncio `task.sync.result`"

STRICT = """
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # the kernel warns of itself
"""
BEGIN = """
waiting = TaskTemplate("waiting")
waiting.node("wait")(lambda ctx: ctx.terminated.wait())
server.serve(waiting)
running = Task("waiting")
await running.task_id
running
"""
SECRETS = """
import json
from urllib.parse import urlsplit
json.dumps([server.access_token, urlsplit(await task.task_url).query or await task.task_url])
"""
SIZES = "[len(repr(it)) < 200 for it in (running, running.sync, running.result, running.updates)]"


class Client(NotebookClient):
    """Executes a notebook, and notes in which forms displays were updated."""

    updates: list[dict[str, str]]

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        if msg["header"]["msg_type"] == "update_display_data":
            self.updates.append(msg["content"]["data"])
        return super().process_message(msg, cell, cell_index)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NotebookNode:
    """The notebook, and a kernel that knows nothing of the settings of whoever runs the tests."""
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return cast("NotebookNode", FORMAT.read(NOTEBOOK, as_version=4))


def test_it_is_stored_without_outputs() -> None:
    stored = json.loads(NOTEBOOK.read_text("utf-8"))
    nbformat.validate(stored)
    assert (stored["nbformat"], stored["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in stored["cells"]}) == len(stored["cells"])
    for cell in stored["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.timeout(180)
async def test_it_runs_in_a_kernel(notebook: NotebookNode) -> None:
    client = Client(notebook, timeout=LIMIT, kernel_name="python3")
    client.updates = []
    *cells, end = range(len(notebook.cells))

    async def execute(source: str) -> NotebookNode:
        notebook.cells.append(FORMAT.v4.new_code_cell(source))
        return await client.async_execute_cell(notebook.cells[-1], len(notebook.cells) - 1)

    async with client.async_setup_kernel():
        kernel: Any = client.kc
        await execute(STRICT)
        for index in cells:
            await client.async_execute_cell(notebook.cells[index], index)

        secrets = json.loads(text_of(await execute(SECRETS), "text/plain").strip("'"))
        begun = text_of(await execute(BEGIN), "text/plain")
        assert begun.startswith("<Task 'waiting' ")
        # Nothing that is shown, completed or looked up waits for the task.
        assert text_of(await execute("running.result"), "text/plain") == f"<{PENDING}>"
        assert text_of(await execute(SIZES), "text/plain") == "[True, True, True, True]"
        for code, name in {
            "running.": "sync",
            "running.sync.": "result",
            "running.sync.result.": "get_node_data",
            "running.sync.result.result.": None,
            "running.sync.url.": "startswith",
            "running.result.": None,
            "running.sync.updates.": None,
        }.items():
            answer = await kernel.complete(code, reply=True, timeout=LIMIT)
            assert answer["content"]["status"] == "ok"
            assert name is None or any(name in match for match in answer["content"]["matches"])
        for code in ("running.sync", "running.sync.result", "running.result"):
            answer = await kernel.inspect(code, reply=True, timeout=LIMIT)
            assert answer["content"]["found"]
        assert text_of(await execute("running"), "text/plain") == begun  # and it still runs
        await execute("await running.abort()")
        await client.async_execute_cell(notebook.cells[end], end)

    check_outputs(notebook, client.updates, secrets)


def check_outputs(notebook: NotebookNode, updates: list[dict[str, str]], secrets: list[str]) -> None:
    code = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    for cell in code.values():
        assert cell.execution_count is not None
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            if cell.source != SECRETS:
                assert not any(secret in json.dumps(output) for secret in secrets)
    assert text_of(code["server"], "text/plain").startswith("<LocalServer http://127.0.0.1:")
    assert text_of(code["start"], "text/plain").startswith("<Task 'count-words' ")
    kinds = [update["text/html"].partition("</strong>")[0].rpartition(">")[2] for update in updates]
    assert (kinds[0], kinds[-1]) == ("TaskStart", "TaskEnd")
    assert kinds.count("NodeUpdate") == 11
    [live] = code["live"].outputs  # one display, that shows the last update by now
    assert live.data == updates[-1]
    result = text_of(code["result"], "text/html")
    assert "<strong>TaskResult</strong> · succeeded" in result
    assert "<details><summary>node split: " in result
    assert text_of(code["node-data"], "text/plain") == "('quick', 2)"
    told, context = code["failed"].outputs
    assert told.text == "There are no words in this text\n"
    assert "node split failed: <strong>There are no words in this text</strong>" in context.data["text/html"]
    items = sorted(output.data["text/html"] for output in code["many"].outputs)
    assert ["succeeded" in item for item in items] == [True, True, False]
    assert "error: <strong>TaskFailedError: There are no words in this text</strong>" in items[2]
    assert text_of(code["blocking"], "text/plain") == "{'to': 2, 'be': 2, 'or': 1, 'not': 1}"


def text_of(cell: NotebookNode, form: str) -> str:
    """Returns the last output of a cell in a form."""
    text: str = cell.outputs[-1].data[form]
    return text
