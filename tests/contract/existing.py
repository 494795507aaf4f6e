"""Things of a local server that exist: for each operation of the contract something that it can be about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.conftest import endless, failing, greeting
from tests.local.api import Api

from requence.local import NodeContext, TaskTemplate

__all__ = ["Existing", "existing", "templates"]


@dataclass(frozen=True)
class Existing:
    """What there is.

    Attributes:
        paths: For each operation, by its `operationId`, a path under which it has something to do.
        bodies: The bodies that operations want; none for those that are missing.
        running: The id of a task that runs.
        prepared: The id of a task that is not started.
        ended: The id of a task that has ended.
    """

    paths: dict[str, str]
    bodies: dict[str, bytes]
    running: str
    prepared: str
    ended: str

    def key(self, operation: str) -> str:
        """The last segment of an operation's path."""
        return self.paths[operation].rpartition("/")[2]


def templates() -> list[TaskTemplate]:
    """Templates of all kinds: with a checked input, failing, lasting, deferring, and opening files."""
    return [greeting(), failing(), endless(), deferring(), reading_files()]


def deferring() -> TaskTemplate:
    """A template whose node leaves its end to somebody who never comes."""
    template = TaskTemplate("deferring")

    @template.node
    def ask(ctx: NodeContext) -> None:
        ctx.defer("waiting for approval", timeout=0.05)

    @template.node(after=ask.on_fail)
    def go_on(ctx: NodeContext) -> str:
        return "nobody came"

    return template


def reading_files() -> TaskTemplate:
    """A template that opens the file in its input, if there is one."""
    template = TaskTemplate("reading-files")

    @template.node
    def read(ctx: NodeContext) -> int | None:
        match ctx.input:
            case {"__REQUENCE_type": "RequenceFile"}:
                with ctx.file(ctx.input) as content:
                    return len(content.read())
            case _:
                return None

    return template


def existing(api: Api) -> Existing:
    """Makes one of each thing on a server that has `templates()`."""
    running = api.start("endless")
    ended = api.start("my-template", {})
    list(api.watch(ended))
    prepared: dict[str, Any] = api.http.post("/task/prepare/reading-files").json()
    urls = prepared["fileUrls"]
    streams = [
        api.http.post(urls["streamUrl"], headers={"Content-Type": "text/csv"}).json()["url"] for _ in "ab"
    ]
    assert api.http.post(streams[1], content=b"a,b").status_code == 200
    file = api.http.post(urls["uploadUrl"], content=b"content").json()["url"]
    paths = {
        "prepare_task": "/task/prepare/my-template",
        "finalize_task": f"/task/finalize/{prepared['taskId']}",
        "watch_task": f"/task/watch/{ended}",
        "watch_all_tasks": "/task/watch-all",
        "ack_task": f"/task/ack/{ended}",
        "abort_task": f"/task/abort/{running}",
        "protect_task": f"/task/protect/{ended}",
        "get_task": f"/task/{ended}",
        "get_python_types": "/task/types/python",
        "upload_file": urls["uploadUrl"],
        "download_file": file,
        "register_stream": urls["streamUrl"],
        "send_stream": streams[0],
        "download_stream": streams[1],
    }
    bodies = {
        "finalize_task": b'{"name": null, "input": {}, "priority": 5, "requireAck": false}',
        "watch_task": b'{"since": null}',
        "watch_all_tasks": b'{"since": "2026-01-31T12:00:00Z"}',
    }
    relative = {name: path.removeprefix(api.url) for name, path in paths.items()}
    return Existing(relative, bodies, running, prepared["taskId"], ended)
