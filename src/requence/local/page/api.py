"""What the pages ask for. No part of the API's contract: a key in the URL opens it, not the access token."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from requence.local.answers import reason, segment, text
from requence.local.aside import aside
from requence.local.engine import Engine
from requence.local.events import frame, time_text
from requence.local.json_values import compact
from requence.local.operations import Operations
from requence.local.page.documents import HEADERS, document, part
from requence.local.page.drawing import drawing
from requence.local.page.key import LIST, is_key, key
from requence.local.refusals import InvalidRequestError, UnknownTaskError
from requence.local.search import STATUSES, Search
from requence.local.state import LoggedTask
from requence.local.store import Summary

__all__ = ["PageApi"]

_KEEP_ALIVE_SECONDS = 15.0
_LISTED_TASKS = 100
_SEARCHED_CHARACTERS = 1000  # SQLite takes no pattern of more than 50,000 bytes
_NAME_CHARACTERS = 1000
# What laying out a node costs, in the measure of `aside`.
_BYTES_OF_A_NODE = 1024


class PageApi:
    """The pages and what they are filled with.

    Args:
        engine: Who does the work.
        operations: Makes the routes.
        secret: What the keys of pages are made with.
    """

    def __init__(self, engine: Engine, operations: Operations, secret: str) -> None:
        self._engine = engine
        self._operations = operations
        self._secret = secret

    def routes(self) -> list[BaseRoute]:
        """Returns the routes."""
        beside = self._operations.beside
        return [
            beside("GET", "/tasks", self._list_document),
            beside("GET", "/tasks/{task_id}", self._task_document),
            beside("GET", "/page/tasks", self._list),
            beside("GET", "/page/tasks/{task_id}", self._task),
            beside("GET", "/page/tasks/{task_id}/updates", self._updates),
            beside("POST", "/page/tasks/{task_id}/abort", self._abort),
            beside("POST", "/page/tasks/{task_id}/protect", self._protect),
            beside("GET", "/static/{name}", self._part),
        ]

    def path(self, task_id: str) -> str:
        """Returns the path of a task's page, with its key."""
        return f"/tasks/{task_id}?key={key(self._secret, task_id)}"

    async def _list_document(self, request: Request) -> Response:
        self._check_key(request, LIST)
        return document("list")

    async def _task_document(self, request: Request) -> Response:
        self._opened(request)
        return document("task")

    async def _part(self, request: Request) -> Response:
        answer = part(request, segment(request, "name"))
        return text(404, "There is nothing here") if answer is None else answer

    async def _list(self, request: Request) -> Response:
        self._check_key(request, LIST)
        asked = request.query_params
        status, before = asked.get("status") or None, asked.get("before") or None
        if status not in (None, *STATUSES):
            raise InvalidRequestError(f"There is no such status; there are: {', '.join(STATUSES)}")
        number = None if before is None else _whole_number(before)
        if before is not None and number is None:
            raise InvalidRequestError("before= takes the number of a task")
        search = Search(asked.get("search", ""), status, asked.get("template") or None, number)
        if len(search.text) > _SEARCHED_CHARACTERS:
            raise InvalidRequestError(f"search= takes at most {_SEARCHED_CHARACTERS} characters")
        found = self._engine.newest(search, _LISTED_TASKS + 1)
        shown = found[:_LISTED_TASKS]
        tasks = [{**_told(summary), "href": self.path(summary.record.id)} for summary in shown]
        more = shown[-1].number if len(found) > len(shown) else None
        templates = self._engine.templates.names()
        return _json({"now": self._now(), "tasks": tasks, "more": more, "templates": templates})

    async def _task(self, request: Request) -> Response:
        record = self._opened(request).record
        graph = self._engine.graph(record)
        drawn = b"null"
        if graph is not None and request.query_params.get("plan") != "no":
            drawn = await aside(len(graph.nodes) * _BYTES_OF_A_NODE, lambda: compact(drawing(graph)).encode())
        summary = self._engine.summary(record.id)  # as it is after that
        accepted = summary.record.request
        told = {
            **_told(summary),
            "now": self._now(),
            "priority": None if accepted is None else 10 - accepted.priority,  # as people give it
            "protected": summary.record.protected,
            "served": graph is not None,
            "subtasks": self._subtasks(record.id),
        }
        # The plan is put into the text as it is: a large one would hold everybody up while it is written.
        return _json_text(compact(told)[:-1].encode() + b',"graph":' + drawn + b"}")

    def _subtasks(self, task_id: str) -> Sequence[dict[str, str | None]]:
        # Whoever may see a task may see what it has started: that is a part of it.
        return [
            {"node": child.parent_node, "id": child.id, "href": self.path(child.id)}
            for child in self._engine.subtasks(task_id)
        ]

    async def _updates(self, request: Request) -> Response:
        task_id = self._opened(request).record.id
        if request.method == "HEAD":  # its answer would stay open as long as the task runs
            return Response(media_type="text/event-stream", headers=HEADERS)
        # What a browser sends when it opens the stream once more, and what the page does.
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = _whole_number(last) or 0
        batches = self._engine.journal.follow(task_id, after=after, since="", pause=_KEEP_ALIVE_SECONDS)
        return self._operations.event_stream(request, "watch", batches, frame, nullcontext())

    async def _abort(self, request: Request) -> Response:
        task_id = self._opened(request).record.id
        self._engine.abort(task_id, await reason(request))
        return text(200, "")

    async def _protect(self, request: Request) -> Response:
        self._engine.protect(self._opened(request).record.id)
        return text(200, "")

    def _opened(self, request: Request) -> Summary:
        task_id = segment(request, "task_id")
        self._check_key(request, task_id)
        return self._engine.summary(task_id)

    def _check_key(self, request: Request, name: str) -> None:
        if not is_key(self._secret, name, request.query_params.get("key", "")):
            # The same answer as for a task that does not exist: without the key nothing can be learned.
            raise UnknownTaskError("There is nothing here")

    def _now(self) -> str:
        return time_text(self._engine.clock.now())


def _told(summary: Summary) -> dict[str, Any]:
    record = summary.record
    started = summary.started_at is not None
    return {
        "id": record.id,
        "name": record.display_name[:_NAME_CHARACTERS],
        "template": record.template,
        "status": LoggedTask(record, started=started, ended_by=summary.ended_by).status,
        "preparedAt": summary.prepared_at,
        "startedAt": summary.started_at,
        "endedAt": summary.ended_at,
        "isSubtask": record.parent_id is not None,
    }


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _json(value: object) -> Response:
    return _json_text(compact(value))


def _json_text(content: str | bytes) -> Response:
    return Response(content, media_type="application/json", headers=HEADERS)
