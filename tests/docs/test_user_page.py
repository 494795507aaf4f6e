"""The user's own documentation page: every Python block of it runs as it is written, over a real socket.

The page is kept word for word in `user_page.md`. A test may give a block names and a server, nothing else.
"""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import endless, greeting
from tests.docs.snippets import Snippet, python_snippets

from requence._token import encode_access_token
from requence.local import LocalServer, TaskTemplate
from requence.task import Task, TaskAbortedError, TaskException, TaskResult, get_task

PAGE = Path(__file__).with_name("user_page.md")
SNIPPETS = python_snippets(PAGE)

Serve = Callable[[TaskTemplate], LocalServer]


def the(section: str, number: int = 0) -> Snippet:
    found = [snippet for snippet in SNIPPETS if snippet.section.startswith(section)]
    return found[number]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves a template where the page expects one: whoever reads the environment finds the token."""
    with ExitStack() as servers:

        def start(template: TaskTemplate) -> LocalServer:
            server = servers.enter_context(LocalServer(template))
            monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
            return server

        yield start


def test_the_page_is_kept_word_for_word() -> None:
    """Pinned, since a formatter may take the Python in it for its own."""
    digest = "8f8236be11e927e0dbd97343e2177d48e01d08af9d362c71f445559a629ec9bc"
    assert hashlib.sha256(PAGE.read_bytes()).hexdigest() == digest


def test_the_page_has_the_blocks_that_are_tested_here() -> None:
    assert [snippet.section for snippet in SNIPPETS] == [
        "Basic Usage",
        "Task Handle",
        "Awaiting Finalization / Validation (Cheap Monitoring)",
        "Options",
        "Result",
        "Aborting a Task",
        "Aborting a Task",
        "Protecting a Task",
        "Protecting a Task",
    ]


def test_basic_usage(serve: Serve) -> None:
    serve(greeting())
    names, printed = the("Basic Usage").run()
    assert printed == "HELLO WORLD\n"
    assert isinstance(names["result"], TaskResult)


# These blocks show both faces one after the other; in one coroutine, the blocking one holds up the loop.
BOTH_FACES = pytest.mark.filterwarnings("ignore:This blocks the running event loop:RuntimeWarning")


@BOTH_FACES
def test_task_handle(serve: Serve) -> None:
    """The block aborts the task before it awaits the result, so the abort is the outcome."""
    server = serve(endless("my-template"))
    names: dict[str, Any] = {"Task": Task}
    with pytest.raises(TaskAbortedError) as caught:
        the("Task Handle").run(**names)
    assert caught.value.reason == "No longer needed"
    assert caught.value.message == "Task aborted: No longer needed"
    assert caught.value.task_id is not None
    assert caught.value.task_url is not None
    assert caught.value.task_url.startswith(server.url)
    status, _ = get_task(caught.value.task_id)
    assert status == "stopped"


@BOTH_FACES
def test_finalized_when_the_input_is_accepted(serve: Serve) -> None:
    serve(greeting())
    names, printed = the("Awaiting Finalization").run(Task=Task, TaskException=TaskException)
    assert printed == f"Task {names['task_id']} is running in the background!\n" * 2


@BOTH_FACES
def test_finalized_when_the_input_is_refused(serve: Serve) -> None:
    template = TaskTemplate("my-template", input_schema={"type": "object", "required": ["name"]})

    @template.node
    def never(ctx: object) -> None: ...

    serve(template)
    _, printed = the("Awaiting Finalization").run(Task=Task, TaskException=TaskException)
    lines = printed.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("Validation failed: The input does not fit")
        assert "name" in line


def test_options(serve: Serve) -> None:
    serve(greeting())
    names, _ = the("Options").run(Task=Task)
    snapshot = get_task(names["task"].sync.id)
    assert snapshot.name == "Daily Import"
    assert snapshot.context.input == {"key": "value"}


def test_result(serve: Serve) -> None:
    serve(greeting())
    result = Task("my-template", {"name": "World"}).sync.result
    for alias in ("greet", "no such node"):
        the("Result").run(result=result, alias=alias)
    assert result.get_node_data("greet") == "Hello World"
    assert result.get_node_error("greet") is None


def test_aborting_a_task(serve: Serve) -> None:
    serve(endless("my-template"))
    names, _ = the("Aborting a Task").run(Task=Task)
    with pytest.raises(TaskAbortedError, match="No longer needed"):
        _ = names["task"].sync.result


def test_protecting_a_task(serve: Serve) -> None:
    serve(greeting())
    names, _ = the("Protecting a Task").run(Task=Task)
    assert names["task"].sync.result.result == "HELLO NOBODY"


@dataclass
class Recorder:
    """A service that says yes to everything, since the page names a task that no server has made."""

    access_token: str = ""
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list[tuple[str, str, str, bytes]])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            recorder.requests.append((self.command, self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        recorder.access_token = encode_access_token("b", f"http://127.0.0.1:{service.server_port}")
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", recorder.access_token)
        yield recorder
        service.shutdown()
        thread.join()


def test_standalone_abort(recorder: Recorder) -> None:
    the("Aborting a Task", 1).run()
    assert recorder.requests == [("POST", "/task/abort/some-task-id", "Bearer b", b"Cancelled by user")]


def test_standalone_protect(recorder: Recorder) -> None:
    the("Protecting a Task", 1).run()
    assert recorder.requests == [("POST", "/task/protect/some-task-id", "Bearer b", b"")]
