"""What IPython's completer makes of handles: it reads attributes, so none of them may wait or send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from tests.scripted_server import ScriptedServer

from requence._transport.io_loop import IOThread
from requence.task import Task, TaskRef


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """What somebody has at hand at the prompt. Whatever would wait is noted, and does not."""
    waits = list[str]()

    def note(name: str) -> Any:
        def waiting(*args: object) -> None:
            waits.append(name)
            raise AssertionError(name)

        return waiting

    with ScriptedServer() as server:
        ref = TaskRef(task_id="task-1", base_url=server.url, task_template="t")
        task = Task.attach(ref, client=server.client)
        with monkeypatch.context() as without:
            for name in ("submit", "run", "run_async", "wait", "wait_async", "call"):
                without.setattr(IOThread, name, note(name))
            yield {"task": task, "sync": task.sync}
        assert waits == []
        assert server.operations == []


COMPLETED: dict[str, set[str]] = {
    "task.": {"sync", "result", "updates", "task_id", "known_id"},
    "task.result.": set(),
    "task.task_id.": set(),
    "task.updates.": set(),
    "task.sync.": {"id", "url", "result", "updates", "wait"},
    "sync.": {"id", "url", "result", "updates", "wait"},
    "task.sync.id.": {"upper"},
    "task.sync.url.": {"upper"},
    "task.sync.result.": {"get_node_data", "to_dict"},
    "task.sync.result.result.": set(),
    "task.sync.result.node_data['": set(),
    "task.sync.updates.": set(),
    "task.sync.wait().": {"get_node_data", "node_data"},
    "task.sync.ref().": {"task_id", "to_json"},
}


@pytest.mark.parametrize("code", COMPLETED)
@pytest.mark.parametrize("use_jedi", [True, False])
def test_completion_waits_for_nothing(names: dict[str, object], code: str, use_jedi: bool) -> None:
    made: Any = IPCompleter
    completer = made(namespace=names, global_namespace={}, use_jedi=use_jedi)
    with provisionalcompleter():
        found = {one.text.lstrip(".") for one in completer.completions(code, len(code))}
    if use_jedi or code == "task.":  # the other way follows no property
        assert found >= COMPLETED[code]
