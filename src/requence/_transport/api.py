"""The seam to the generated client: the only module that builds and parses with `requence_api`.

Each function of `Api` is one operation of the contract. The generated code builds the request and reads the
answer; the one HTTP session sends it. So every request goes one way, and what the contract says is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec

from requence._client import Client
from requence._references import has_references
from requence._token import AccessToken
from requence._transport.answers import http_scheme, optional_text, parsed, required_text
from requence._transport.refusals import readable, refusal
from requence._transport.repeat import pause, repeated, unreachable, wanted_pause
from requence._transport.retry import http_date, is_not_processed, is_transient
from requence._transport.session import Answer, LostConnectionError, Request, session
from requence._transport.slots import Slots
from requence._transport.started import Started
from requence.exceptions import (
    RequenceUnreachableException,
    TaskAbortException,
    TaskException,
    TaskProtectException,
    TaskRefusedError,
)
from requence_api.api.task import abort_task, ack_task, finalize_task, get_task, prepare_task, protect_task
from requence_api.api.types import get_python_types
from requence_api.api.watch import watch_all_tasks, watch_task
from requence_api.models import (
    FinalizeRequest,
    PreparedTask,
    StartedTask,
    TaskState,
    TypeFiles,
    WatchAllRequest,
    WatchRequest,
)
from requence_api.types import UNSET, Unset

__all__ = ["Api", "LostAnswerError", "Prepared", "Report"]

_NONE: Mapping[str, str] = {}
_LARGEST_PAYLOAD = 4 * 2**20  # bytes, where the service names no other limit
_SECRET_LENGTH = 8  # a shorter bearer is no secret, and may be part of any word


class _RefusalFacts(TypedDict, total=False):
    otherwise: type[TaskException]
    task_id: str | None
    task_template: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task that exists but was not started.

    Attributes:
        task_id: The task's id.
        finalize_url: Where to start it; to be used whole.
        branch: The branch it is on.
        at: When the service answered by its own clock, in whole seconds; None if it does not say.
        upload_url: Where files of its input go; None if it takes none.
        stream_url: Where streams of its input are announced; None if it takes none.
        max_payload_size: The bytes that the request to start it may have before values are uploaded apart from
            it; None for no limit.
        max_file_size: The bytes that a file or stream may have; None if the service does not say.
    """

    task_id: str
    finalize_url: str
    branch: str
    at: datetime | None
    upload_url: str | None
    stream_url: str | None
    max_payload_size: int | None
    max_file_size: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the service says of a task, as it says it; what it does not say is None or empty.

    Attributes:
        tells_input: Whether it says what the input is.
        has_references: Whether something in it may stand for a file, or for something else that is not there.
    """

    status: str
    input: Any
    result: Any
    node_data: dict[str, Any]
    node_error: dict[str, str]
    task_template: str | None
    name: str | None
    branch: str | None
    status_text: str | None
    tells_input: bool
    has_references: bool


class LostAnswerError(RequenceUnreachableException):
    """The request was sent, and whether the service acted on it is not known."""


class Api:
    """The operations of the contract, for one access token. To be used on the I/O thread only.

    Attributes:
        token: The access token.
        client: How to reach the service.
    """

    def __init__(self, token: AccessToken, client: Client) -> None:
        self.token = token
        self.client = client

    async def prepare(self, task_template: str) -> Prepared:
        """Reserves a task. Repeated as needed: a reservation starts nothing.

        Raises:
            TaskRefusedError: There is no such template, or it cannot be used.
        """
        step = "preparing the task"
        answer = await self._repeat(
            step,
            self._request(prepare_task._get_kwargs(task_template)),
            otherwise=TaskRefusedError,
            task_template=task_template,
        )
        made = parsed(step, answer.status, answer.body, PreparedTask.from_dict)
        upload_url = stream_url = None
        if not isinstance(made.file_urls, Unset):
            upload_url = self._upload_url(step, "uploadUrl", made.file_urls.upload_url)
            stream_url = self._upload_url(step, "streamUrl", made.file_urls.stream_url)
        max_payload_size: int | None = _LARGEST_PAYLOAD
        max_file_size = None
        if not isinstance(made.limits, Unset):
            max_payload_size = _bytes(made.limits.max_payload_size, _LARGEST_PAYLOAD)
            max_file_size = _bytes(made.limits.max_file_size, None)
        return Prepared(
            task_id=required_text(step, "taskId", made.task_id),
            finalize_url=self._server_url(step, "finalizeUrl", made.finalize_url),
            branch=optional_text(made.branch) or "live",
            at=http_date(answer.headers.get("Date")),
            upload_url=upload_url,
            stream_url=stream_url,
            max_payload_size=max_payload_size if max_payload_size and max_payload_size > 0 else None,
            max_file_size=max_file_size,
        )

    def finalize_request(
        self, prepared: Prepared, *, name: Any, input: Any, priority: int, require_ack: bool
    ) -> Request:
        """Returns the request that hands the input over and starts the task.

        Args:
            prepared: What `prepare` returned.
            name: The task's display name; also a claim check for it.
            input: Plain JSON.
            priority: As on the wire: 0 is the most urgent, 10 the least.
            require_ack: Whether the result waits for an acknowledgement.
        """
        body = FinalizeRequest(name=name, input_=input, priority=priority, require_ack=require_ack)
        return self._request(
            finalize_task._get_kwargs(prepared.task_id, body=body), url=prepared.finalize_url
        )

    async def finalize(self, prepared: Prepared, request: Request) -> Started:
        """Starts the task. Repeated only if the service cannot have seen it.

        Args:
            prepared: What `prepare` returned.
            request: What `finalize_request` returned.

        Raises:
            TaskRefusedError: The input does not fit, or the task cannot start.
            LostAnswerError: Whether the task started is not known.
        """
        step = "starting the task"
        answer = await self._once(request)
        if is_transient(answer.status) and not is_not_processed(answer.status):
            raise LostAnswerError(
                readable(answer.body, self._secrets) or f"the service answered {answer.status} to {step}",
                status=answer.status,
            )
        self._check(step, answer, otherwise=TaskRefusedError, task_id=prepared.task_id)
        try:
            made = parsed(step, answer.status, answer.body, StartedTask.from_dict)
            task_id = required_text(step, "taskId", made.task_id)
        except TaskException as error:  # it may be of somebody between us and the service, or cut
            raise LostAnswerError(error.message, status=answer.status) from error
        if task_id != prepared.task_id:
            raise LostAnswerError(
                f"The service's answer to {step} is about another task", status=answer.status
            )
        watch_url = show_url = None
        if not isinstance(made.urls, Unset):
            watch_url = optional_text(made.urls.watch)
            show_url = optional_text(made.urls.show)
        return Started(task_id=task_id, watch_url=watch_url, url=show_url)

    async def get(self, task_id: str, *, repeat: bool = True) -> Report:
        """Asks how a task is.

        Raises:
            TaskNotFoundError: There is no such task.
        """
        step = "reading the task"
        request = self._request(get_task._get_kwargs(task_id))
        answer = await self._repeat(step, request, retries=None if repeat else 0, task_id=task_id)
        state = parsed(step, answer.status, answer.body, TaskState.from_dict)
        return Report(
            status=required_text(step, "status", state.status),
            input=None if isinstance(state.input_, Unset) else state.input_,
            result=None if isinstance(state.result, Unset) else state.result,
            node_data={entry.alias: entry.data for entry in state.nodes_data or ()},
            node_error={entry.alias: entry.error for entry in state.nodes_error or ()},
            task_template=optional_text(state.task_template),
            name=optional_text(state.name),
            branch=optional_text(state.branch),
            status_text=optional_text(state.status_text),
            tells_input=_tells_input(answer.body),
            has_references=has_references(answer.body),
        )

    async def abort(self, task_id: str, reason: str | None) -> None:
        """Aborts a task.

        Raises:
            TaskAbortException: The service refused.
        """
        kwargs = abort_task._get_kwargs(task_id, body=UNSET if reason is None else reason)
        await self._repeat(
            "aborting the task", self._request(kwargs), otherwise=TaskAbortException, task_id=task_id
        )

    async def protect(self, task_id: str) -> None:
        """Keeps a task from automatic cleanup.

        Raises:
            TaskProtectException: The service refused.
        """
        request = self._request(protect_task._get_kwargs(task_id))
        await self._repeat("protecting the task", request, otherwise=TaskProtectException, task_id=task_id)

    async def ack(self, task_id: str) -> None:
        """Confirms that the outcome of a task was received."""
        request = self._request(ack_task._get_kwargs(task_id))
        await self._repeat("acknowledging the task's result", request, task_id=task_id)

    async def python_types(self) -> dict[str, object]:
        """Asks for files with types, by name. Neither names nor contents are looked at: they may be anything."""
        step = "reading the types"
        answer = await self._repeat(step, self._request(get_python_types._get_kwargs()))
        files = parsed(step, answer.status, answer.body, TypeFiles.from_dict, keep_null=True)
        return dict(files.additional_properties)

    def watch_request(self, url: str, *, since: str | None, last_position: int | None) -> Request:
        """Returns the request that opens an event stream at `url`, a URL that the service gave.

        Raises:
            TaskException: The bearer may not be sent there.
        """
        url = self._server_url("starting the task", "urls.watch", url)
        body = WatchRequest(since=since, last_position=_position(last_position))
        # The URL is the service's own, so the id that would be in the path does not count.
        return self._stream_request(watch_task._get_kwargs("", body=body), url=url)

    def watch_all_request(self, *, since: str, last_position: int | None) -> Request:
        """Returns the request that opens the stream of all tasks that the token may see."""
        body = WatchAllRequest(since=since, last_position=_position(last_position))
        return self._stream_request(watch_all_tasks._get_kwargs(body=body))

    def stream_slots(self) -> Slots:
        """Returns the places for the streams of tasks: they are counted for each service."""
        return session().slots(self.token.base_url, self.client.max_streams)

    def _stream_request(self, kwargs: dict[str, Any], *, url: str | None = None) -> Request:
        # A compressed stream would arrive in blocks, late.
        return self._request(kwargs, {"Accept": "text/event-stream", "Accept-Encoding": "identity"}, url=url)

    def _request(
        self, kwargs: dict[str, Any], more_headers: Mapping[str, str] = _NONE, *, url: str | None = None
    ) -> Request:
        """Completes what the generated `_get_kwargs` built; `url` replaces its stand-in path."""
        authorization = {"Authorization": f"Bearer {self.token.bearer}"}
        headers = {**authorization, **kwargs.get("headers", _NONE), **more_headers}
        body: bytes | None = None
        if "json" in kwargs:
            body = msgspec.json.encode(kwargs["json"])
        elif isinstance(kwargs.get("content"), str):
            body = kwargs["content"].encode()
        return Request(kwargs["method"].upper(), url or self.token.base_url + kwargs["url"], headers, body)

    async def _once(self, request: Request) -> Answer:
        """Sends a request that must not reach the service twice; repeats only what cannot have reached it."""
        repetition = 0
        while True:
            wanted = 0.0
            try:
                answer = await session().exchange(request, self.client)
                if repetition >= self.client.retries or not is_not_processed(answer.status):
                    return answer
                wanted = wanted_pause(answer)
            except LostConnectionError as error:
                if error.sent:
                    raise LostAnswerError(error.message) from error
                if error.lasting or repetition >= self.client.retries:
                    raise unreachable(error) from error.__cause__
            repetition += 1
            await pause("starting the task", repetition, self.client.retries, at_least=wanted)

    async def _repeat(
        self, step: str, request: Request, *, retries: int | None = None, **facts: Unpack[_RefusalFacts]
    ) -> Answer:
        """Sends a request that may be repeated, and returns an answer that says yes."""
        answer = await repeated(step, request, self.client, retries)
        self._check(step, answer, **facts)
        return answer

    def refused(
        self, step: str, status: int, body: bytes, **facts: Unpack[_RefusalFacts]
    ) -> TaskException | RequenceUnreachableException:
        """Returns the error for an answer outside 2xx; parameters as for `refusal`."""
        return refusal(step, status, body, secrets=self._secrets, **facts)

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What must not be shown, in case the service repeats what it was sent."""
        bearer = self.token.bearer
        return (bearer,) if len(bearer) >= _SECRET_LENGTH else ()

    def _check(self, step: str, answer: Answer, **facts: Unpack[_RefusalFacts]) -> None:
        if not 200 <= answer.status < 300:
            raise self.refused(step, answer.status, answer.body, **facts)

    def _server_url(self, step: str, field: str, value: object, *, carries: str = "the access token") -> str:
        """Returns a URL that the service gave, if the bearer, or what else goes there, may be sent to it."""
        url = required_text(step, field, value)
        scheme = http_scheme(url)
        if scheme is None:
            raise TaskException(
                f"The service's answer to {step} is not understood: {field} is not a usable http URL"
            )
        if scheme == "http" and self.token.base_url[:6].lower() == "https:":
            raise TaskException(
                f"The service's answer to {step} has a {field} without encryption: "
                f"{carries} is not sent there"
            )
        return url

    def _upload_url(self, step: str, field: str, value: object) -> str | None:
        """Returns a URL for uploads, or None if there is none."""
        if isinstance(value, Unset) or not value:
            return None
        return self._server_url(step, field, value, carries="the input")


def _position(last: int | None) -> int | Unset:
    return UNSET if last is None else last


class _Told(msgspec.Struct):
    """Whether there is an input in a task's state: there, a null says more than nothing."""

    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _tells_input(body: bytes) -> bool:
    return msgspec.json.decode(body, type=_Told).input is not msgspec.UNSET


def _bytes(value: object, default: int | None) -> int | None:
    """Returns a size; the default where there is none."""
    return value if type(value) is int else default
