"""What a task logs, how a service serves it and a network cuts it, and what a follower must have seen in the end.

A `Script` says all of it in a few plain values, so that one that failed can be printed, and played again from what
was printed. A `Stage` plays scripts, as many side by side as one likes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import reprlib
from collections import Counter, deque
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

from tests.cutting_proxy import CuttingProxy, Plan
from tests.scripted_server import Answer, Call, ScriptedServer, Stream, prepared, report, started

from requence import Client
from requence._transport import event_stream
from requence._transport.retry import Backoff
from requence.task import Task, TaskAbortedError, TaskFailedError, TaskWaitTimeout
from requence.task.context import Context
from requence.task.result import TaskResult
from requence.task.updates import Update

__all__ = [
    "FOLLOWING",
    "LARGE",
    "Finding",
    "Following",
    "Log",
    "Numbering",
    "Script",
    "Stage",
    "bearable",
    "follow",
    "short_pauses",
]

Numbering: TypeAlias = Literal["positions", "gaps", "update ids", "mixed"]
Following: TypeAlias = Literal["for", "async for", "result", "updates_after", "on_update"]
FOLLOWING: tuple[Following, ...] = ("for", "async for", "result", "updates_after", "on_update")

LARGE = 65536  # bytes of a large event, beside what the others have, too

# How many cuts in a row, each before anything new, the client bears before it takes the log of an ended task to
# have nothing new: by whether the answer's end is marked. Of those that look like the end of the log it bears two.
_BEARABLE = {True: 10, False: 3}
_BEARABLE_CLOSES = 2

_ALIASES = ("ocr", "größe", None)
_TEXTS = ("", "the same", "naïve ☕ 😀", "two\nlines\r\n", "\u2028 is no line end", "data: none")
_COMMENTS = (": keep-alive", ":", ": ☕", "retry: 3", "unknown: field")


@contextmanager
def short_pauses() -> Generator[None]:
    """Shortens the pauses before a stream is opened again, which are up to a quarter of a second at first.

    They spare the service, and have no part in what is lost or repeated. With short ones, thousands of cuts take a
    minute instead of an hour.
    """
    with patch.object(event_stream, "STREAMS", Backoff(first=0.002, cap=0.01)):
        yield


@dataclass(frozen=True, slots=True)
class Script:
    """One task, from what it logs to how it is followed.

    Attributes:
        seed: Decides what the events are.
        events: How many there are; at least the last one.
        large: How many of them have 64 KiB.
        last: The one that ends the task.
        numbering: Whether the events have positions without or with gaps, or only an update id in their data, or
            update ids, and half of them a position too.
        resumes: Whether the service begins behind the position that the client names, or always at the start.
        line_end: What ends the lines of the stream.
        chunked: Whether the answer's end is marked; else it lasts until the connection is closed.
        block: How many bytes of the stream the service sends at once; 0 sends each event on its own.
        status: What the service says when it is asked how the task is: that it has ended, or that it runs.
        require_ack: Whether the outcome is to be acknowledged.
        places: How many streams may be open at once, over all scripts with this number; 0 for the default.
        following: How the task is followed.
        plans: What becomes of the connections, in order.
        closes: After how many bytes of the log the first answers end in due form, in order.
    """

    seed: int = 0
    events: int = 3
    large: int = 0
    last: Literal["taskEnd", "taskError", "taskAborted"] = "taskEnd"
    numbering: Numbering = "positions"
    resumes: bool = True
    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    chunked: bool = True
    block: int = 0
    status: Literal["running", "ended"] = "running"
    require_ack: bool = False
    places: int = 0
    following: Following = "for"
    plans: tuple[Plan, ...] = ()
    closes: tuple[int, ...] = ()

    @property
    def is_numbered(self) -> bool:
        """Whether all of its events have positions: by its numbering, or since one is begun from."""
        return self.numbering in ("positions", "gaps") or self.following == "updates_after"


def bearable(script: Script) -> Script:
    """Leaves out those cuts after which the client gives up the log of a task that is known to have ended."""
    if script.status == "running":
        return script
    closes = script.closes[:_BEARABLE_CLOSES]
    return replace(script, plans=script.plans[: _BEARABLE[script.chunked] - len(closes)], closes=closes)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a log.

    Attributes:
        position: Its position, if it has one.
        name: Its name.
        payload: Its data.
        wire: How it is served.
    """

    position: int | None
    name: str
    payload: dict[str, Any]
    wire: bytes

    @property
    def key(self) -> object:
        """What it can be told by from all others of its log: the update id, else the position."""
        return self.payload.get("updateId", self.position)


@dataclass(frozen=True)
class Log:
    """What a script's task logs."""

    script: Script

    @cached_property
    def entries(self) -> list[Entry]:
        """The events; the same ones each time, as the script's seed says."""
        script, dice = self.script, random.Random(self.script.seed)
        large = set(dice.sample(range(script.events), min(script.large, script.events)))
        entries: list[Entry] = []
        position = dice.choice((0, 1, 7_000_000_000)) if script.numbering == "gaps" else 1
        if script.following == "updates_after":
            position = max(position, 1)  # so that one can begin before the first
        for index in range(script.events):
            name, payload = self._happening(index, dice)
            payload["timestamp"] = "2026-01-31T12:00:00.250Z"
            if script.numbering in ("update ids", "mixed"):
                payload["updateId"] = f"{script.seed}-{index}"
            if index in large:
                payload["padding"] = "é" * (LARGE // 2)
            numbered = script.is_numbered or (script.numbering == "mixed" and dice.random() < 0.5)
            wire = self._wire(position if numbered else None, name, payload, dice)
            entries.append(Entry(position if numbered else None, name, payload, wire))
            position += dice.choice((1, 2, 1000)) if script.numbering == "gaps" else 1
        return entries

    def _happening(self, index: int, dice: random.Random) -> tuple[str, dict[str, Any]]:
        text = dice.choice(_TEXTS)
        if index == self.script.events - 1:
            more = {"result": {"text": text}} if self.script.last == "taskEnd" else {"reason": text or None}
            return self.script.last, more | ({"requireAck": True} if self.script.require_ack else {})
        if index == 0:
            return "taskStart", {"input": {"text": text}}
        alias = dice.choice(_ALIASES)
        node = {"id": "n", "type": "service"} | ({} if alias is None else {"alias": alias})
        match dice.choice(("start", "update", "update", "error", "defer", "end", "of a sub-task", "unknown")):
            case "update":
                return "nodeUpdate", {"node": node, "data": text, "output": None}
            case "error":
                return "nodeError", {"node": node, "error": text}
            case "defer":
                return "nodeDefer", {"node": node, "reason": text}
            case "of a sub-task":  # ends nothing, and changes nothing of the task
                return "taskEnd", {"taskId": "inner", "rootTaskId": "outer", "result": text}
            case "unknown":
                return "somethingNew", {"text": text}
            case begun_or_ended:
                return f"node{begun_or_ended.title()}", {"node": node}

    def _wire(self, position: int | None, name: str, payload: dict[str, Any], dice: random.Random) -> bytes:
        indent = dice.choice((None, None, 1))  # data of several lines
        data = json.dumps(payload, ensure_ascii=False, indent=indent).split("\n")
        fields = [f"event: {name}", *(f"data: {line}" for line in data)]
        if position is not None:
            fields.insert(dice.choice((0, len(fields))), f"id: {position}")
        if dice.random() < 0.3:
            fields.insert(dice.randint(0, len(fields)), dice.choice(_COMMENTS))
        return self.script.line_end.join([*fields, "", ""]).encode()

    @cached_property
    def first(self) -> int:
        """The index of the first event that the follower is to see."""
        if self.script.following != "updates_after":
            return 0
        return random.Random(f"{self.script.seed} first").randrange(self.script.events)

    @property
    def after(self) -> int:
        """The position that a follower by `updates_after` begins from."""
        position = self.entries[max(self.first - 1, 0)].position or 0
        return position if self.first else position - 1

    def answer(self, last_position: int | None) -> Stream:
        """Returns what the service answers to a client that has seen everything up to a position."""
        entries = self.entries
        if self.script.resumes and last_position is not None:
            numbered = ((at, entry.position) for at, entry in enumerate(entries, 1))
            seen = (at for at, number in numbered if number is not None and number <= last_position)
            entries = entries[max(seen, default=0) :]
        pieces = [entry.wire for entry in entries]
        if block := self.script.block:
            whole = b"".join(pieces)
            pieces = [whole[at : at + block] for at in range(0, len(whole), block)]
        return Stream(pieces, chunked=self.script.chunked)

    def report(self, *, acknowledged: bool) -> Answer:
        """Returns what the service answers to a client that asks for the task's status."""
        if self.script.status == "running":
            return report("running")
        if self.script.require_ack and not acknowledged:
            return report("AWAITING_DELIVERY")
        context = self.final_context("")
        return report(
            {"taskEnd": "successful", "taskError": "failed", "taskAborted": "stopped"}[self.script.last],
            input=context["input"],
            result=context["result"],
            statusText=self.entries[-1].payload.get("reason"),
            nodesData=[{"alias": alias, "data": data} for alias, data in context["node_data"].items()],
            nodesError=[{"alias": alias, "error": error} for alias, error in context["node_error"].items()],
        )

    def final_context(self, task_id: str, *, first: int = 0) -> dict[str, Any]:
        """Returns the context after the last update: folded here once more, in the plainest way.

        Args:
            task_id: The task.
            first: The index of the first event that it is made of.
        """
        context: dict[str, Any] = {
            "task_id": task_id,
            "input": {},
            "result": None,
            "node_data": {},
            "node_error": {},
        }
        for entry in self.entries[first:]:
            if "taskId" in entry.payload:
                continue
            context |= {
                field: entry.payload[field] for field in ("input", "result") if field in entry.payload
            }
            alias = entry.payload.get("node", {}).get("alias")
            if alias is not None and entry.name == "nodeUpdate":
                context["node_data"][alias] = entry.payload["data"]
            if alias is not None and entry.name == "nodeError":
                context["node_error"][alias] = entry.payload["error"]
        return context


@dataclass(slots=True)
class Finding:
    """What came of a script.

    Attributes:
        script: The script.
        cuts: How many connections were cut.
        lost: How many updates were missing in the end.
        repeated: How many came more than once.
        hung: Whether it did not come to an end in time.
        wrong: What else was not as it should be.
    """

    script: Script
    cuts: int = 0
    lost: int = 0
    repeated: int = 0
    hung: bool = False
    wrong: list[str] = field(default_factory=list[str])

    @property
    def is_good(self) -> bool:
        """Whether the promise was kept: nothing lost, nothing twice, nothing hangs."""
        return not (self.lost or self.repeated or self.hung or self.wrong)

    def __str__(self) -> str:
        said = f"lost {self.lost}, repeated {self.repeated}, hung {int(self.hung)}"
        return "\n  ".join([f"{said}, after {self.cuts} cuts, by {self.script!r}", *self.wrong])


class Stage:
    """A scripted server, and a cutting proxy before the streams of all its tasks. A context manager."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._server = ScriptedServer()
        self._names = (f"script-{number}" for number in itertools.count(1))
        self._logs: dict[str, Log] = {}
        self._watch_urls: dict[str, str] = {}
        self._closes: dict[str, deque[int]] = {}
        self._closed = Counter[str]()
        self._acknowledged = Counter[str]()

    def __enter__(self) -> Self:
        server = self._opened.enter_context(self._server)
        self._proxy = self._opened.enter_context(CuttingProxy(server.url))
        # A task's id is its template's name, so that what is asked for one is answered from its own log.
        server.always("prepare", lambda call: prepared(server, _name_in(call)))
        server.always("finalize", self._answer)
        server.always("watch", self._answer)
        server.always("get", self._answer)
        server.always("ack", self._answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    async def play(self, script: Script, *, within: float) -> Finding:
        """Plays a script and says what came of it.

        Args:
            script: The script.
            within: After how many seconds the task counts as hung.
        """
        name, finding = next(self._names), Finding(script)
        log = self._logs[name] = Log(script)
        route = self._proxy.route(*script.plans)
        self._watch_urls[name] = f"{route.url}/follow-here/{name}"
        self._closes[name] = deque(script.closes)
        places = {"max_streams": script.places} if script.places else {}
        client = self._server.client_with(**places)
        updates: list[Update] | None = None
        try:
            async with asyncio.timeout(2 * within):
                match script.following:
                    case "on_update":
                        task, updates = await _follow_by_callback(name, client, within=within)
                    case "result":
                        task = Task(name, client=client)
                    case way:
                        task = Task(name, client=client)
                        updates = await follow(task, way, within=within, after=log.after)
                if updates is not None:
                    _compare_updates(finding, log, name, updates)
                _compare_outcome(finding, log, name, await _outcome(task, within))
            if self._acknowledged[name] != script.require_ack:
                finding.wrong.append(f"it was acknowledged {self._acknowledged[name]} times")
        except (TimeoutError, TaskWaitTimeout):
            finding.hung = True
        except Exception as error:
            finding.wrong.append(f"it raised {error!r}")
        finally:
            finding.cuts = route.cuts + self._closed[name]
            self._proxy.close(route)
            del self._logs[name], self._watch_urls[name]
            del self._closes[name], self._closed[name], self._acknowledged[name]
        return finding

    def _answer(self, call: Call) -> Answer | Stream:
        name = _name_in(call)
        log = self._logs.get(name)
        if log is None:
            return Answer(404, "what asks here was given up before")
        match call.operation:
            case "finalize":
                return started(self._server, name, urls={"watch": self._watch_urls[name]})
            case "watch":
                return self._maybe_closed_early(name, log.answer(call.json.get("lastPosition")))
            case "ack":
                self._acknowledged[name] += 1
                return Answer(200)
            case _:
                return log.report(acknowledged=name in self._acknowledged)

    def _maybe_closed_early(self, name: str, whole: Stream) -> Stream:
        if not self._closes[name]:
            return whole
        left, chunks = self._closes[name].popleft(), list[bytes]()
        for chunk in whole.chunks:
            assert isinstance(chunk, bytes)
            chunks.append(chunk[:left])
            left -= len(chunks[-1])
        self._closed[name] += chunks != whole.chunks
        return replace(whole, chunks=chunks)


def _name_in(call: Call) -> str:
    return unquote(urlsplit(call.path).path.rpartition("/")[2])


async def follow(
    task: Task, following: Literal["for", "async for", "updates_after"], *, within: float, after: int = 0
) -> list[Update]:
    """Returns all updates of a task, or those after a position, with nothing left behind if that does not end.

    Raises:
        TimeoutError: It took longer than `within` seconds.
    """
    if following != "for":
        async with asyncio.timeout(within):
            updates = task.updates if following == "async for" else task.updates_after(after)
            return [update async for update in updates]
    iterator = iter(task.sync.updates)
    reading = asyncio.ensure_future(asyncio.to_thread(list[Update], iterator))
    done, _ = await asyncio.wait({reading}, timeout=within)
    if not done:
        iterator.close()  # so that its thread comes to an end
        await reading
        raise TimeoutError
    return reading.result()


async def _follow_by_callback(name: str, client: Client, *, within: float) -> tuple[Task, list[Update]]:
    """Starts a task with a callback, and returns what that was given, up to the last update of the task."""
    updates: list[Update] = []
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def on_update(update: Update) -> None:
        updates.append(update)
        if update.type in ("taskEnd", "taskError", "taskAborted") and update.task_id == name:
            loop.call_soon_threadsafe(ended.set)

    task = Task(name, client=client, on_update=on_update)
    async with asyncio.timeout(within):
        await ended.wait()
    return task, updates


async def _outcome(task: Task, within: float) -> TaskResult | TaskFailedError | TaskAbortedError:
    def wait() -> TaskResult:
        task.sync.wait(within)
        return task.sync.result

    try:
        return await asyncio.to_thread(wait)
    except (TaskFailedError, TaskAbortedError) as failure:
        return failure


def _compare_updates(finding: Finding, log: Log, name: str, updates: list[Update]) -> None:
    entries = log.entries[log.first :]
    expected = [entry.key for entry in entries]
    seen: list[object] = [update.get("updateId") or update.position for update in updates]
    missing, surplus = Counter(expected) - Counter(seen), Counter(seen) - Counter(expected)
    made_up = surplus - Counter({key: surplus[key] for key in expected})
    finding.lost, finding.repeated = missing.total(), surplus.total() - made_up.total()
    if missing or surplus:
        some = {"lost": missing, "repeated": surplus - made_up, "made up": made_up}
        finding.wrong += [f"{what}: {reprlib.repr(list(keys))}" for what, keys in some.items() if keys]
        return
    if seen != expected:
        finding.wrong.append(f"the order was {seen}")
        return
    for entry, update in zip(entries, updates, strict=True):
        if entry.name != update.type or any(update[key] != value for key, value in entry.payload.items()):
            finding.wrong.append(f"{entry.payload} became {update.to_dict(context=False)}")
        if (log.script.is_numbered or log.script.numbering != "mixed") and entry.position != update.position:
            finding.wrong.append(f"position {entry.position} became {update.position}")
    if (context := updates[-1].context.to_dict()) != log.final_context(name, first=log.first):
        finding.wrong.append(f"the final context was {context}")


def _compare_outcome(
    finding: Finding, log: Log, name: str, outcome: TaskResult | TaskFailedError | TaskAbortedError
) -> None:
    kinds = {"taskEnd": TaskResult, "taskError": TaskFailedError, "taskAborted": TaskAbortedError}
    if not isinstance(outcome, kinds[log.script.last]):
        finding.wrong.append(f"the outcome was {outcome!r}")
        return
    context: Context | None = outcome if isinstance(outcome, TaskResult) else outcome.context
    told = {} if context is None else context.to_dict()
    told.pop("task_url", None)  # beside the context
    if told != log.final_context(name):
        finding.wrong.append(f"the context of the outcome was {told}")
    if not isinstance(outcome, TaskResult) and outcome.reason != log.entries[-1].payload["reason"]:
        finding.wrong.append(f"the reason was {outcome.reason!r}")
