"""One stream of all tasks for the handles of a client (`shared_stream=True`): it tells each how its task ended.

It keeps no updates, only what is known of each task that a handle is for. Iterations over updates do not read it:
its positions are a numbering of its own, and an iteration goes at its consumer's pace.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from requence._client import Client
from requence._token import AccessToken
from requence._transport.api import Api, Report
from requence._transport.connection import DropError, Watched
from requence._transport.event_log import DamagedEventError, EventLog, LogEvent
from requence._transport.event_stream import EventStream, Observer
from requence._transport.outcome import SharedOutcome
from requence.exceptions import RequenceError
from requence.task.arguments import utc_text
from requence.task.context import Context
from requence.task.poll import ask_patiently
from requence.task.reading import TERMINAL_TYPES, read_update, task_id_of
from requence.task.revive import Reviver
from requence.task.snapshot import ENDED_STATUSES, known_status
from requence.task.updates import Update

__all__ = ["Ending", "Hub", "Seat", "hub"]

Ending: TypeAlias = Update | Report
"""How a task ended: its last update, or the service's report of it where that update was missed."""

_MARGIN = timedelta(seconds=5)  # between the clocks of the service's machines
_UNKNOWN_CLOCK = timedelta(minutes=1)  # between the service's clock and ours
_TASK_START_WITHIN = 10.0  # seconds after which a task that nothing was seen of is asked for
_RARELY = 900.0  # seconds between two such questions, at the most


class Seat:
    """The place of one handle.

    Attributes:
        task_id: The handle's task.
        at: When it was prepared, by the service's clock; None if that is not known.
        context: What was seen of it.
        whole: Whether it was seen from its beginning.
        sure: Whether its end cannot have passed by unseen.
        ending: How it ended, or why that cannot be learnt.
        look: The time at which it is asked for, where that is not sure.
        is_asked_for: Whether an answer to that is waited for now.
    """

    def __init__(self, of: Hub, task_id: str, *, input: Any, at: datetime | None, sure: bool) -> None:
        self.task_id = task_id
        self.at = at
        self.context = Context.at_start(task_id, input)
        self.whole = False
        self.sure = sure
        self.ending = SharedOutcome[Ending]()
        self.look: asyncio.TimerHandle | None = None
        self.is_asked_for = False
        self._hub = of

    @property
    def has_claims(self) -> bool:
        """Whether claim checks may stand in what was seen of it."""
        return self._hub.reviver.has_claims

    def end(self) -> SharedOutcome[Ending]:
        """Returns how the task ends; an error if it cannot be followed. The stream is opened for that."""
        return self._hub.end(self)

    def has_ended(self, ending: Ending) -> None:
        """Keeps how the task has ended, also where earlier waiters were told that it cannot be followed."""
        self.renew()
        self.look_no_more()
        self.ending.set(ending)

    def look_no_more(self) -> None:
        """Does not have it asked for."""
        if self.look is not None:
            self.look.cancel()
            self.look = None

    def renew(self) -> None:
        """Lets it be asked for again, where it could not be followed."""
        if self.ending.error is not None:
            self.ending = SharedOutcome[Ending]()

    def leave(self) -> None:
        """Gives the seat up."""
        self._hub.leave(self)


class Hub(Observer):
    """The stream: open from the first wait of a handle until no handle is left. On the I/O thread.

    Attributes:
        reviver: Knows whether any task has had claim checks, whose values are fetched when it has ended.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.reviver = Reviver(api.client)
        self._seats: defaultdict[str, list[Seat]] = defaultdict(list)
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        self._following: asyncio.Task[None] | None = None
        self._looking: set[asyncio.Task[None]] = set()
        self._away = False
        self._log = EventLog()
        self._since: datetime | None = None
        self._shows = False
        self._tried = asyncio.Event()

    def seat(self, task_id: str, *, input: Any, at: datetime | None) -> Seat:
        """Takes a seat for a handle, before its task is started."""
        seat = Seat(self, task_id, input=input, at=at, sure=self._shows)
        self._seats[task_id].append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Gives a seat up; the last one closes the stream."""
        seat.look_no_more()
        if seat in (beside := self._seats.get(seat.task_id, [])):
            beside.remove(seat)
            if not beside:
                del self._seats[seat.task_id]
        if not self._seats:
            for task in (self._following, *self._looking):
                if task is not None:
                    task.cancel()
            self._begin_afresh()

    def end(self, seat: Seat) -> SharedOutcome[Ending]:
        """Returns how a task ends; see `Seat.end`."""
        seat.renew()
        if not seat.ending.is_done:
            if self._following is None or self._following.done():
                known = [other.at for other in self._all_seats() if other.at is not None]
                begin = min(known, default=datetime.now(UTC) - _UNKNOWN_CLOCK)
                self._since = self._since or begin - _MARGIN
                self._tried.clear()
                self._following = asyncio.create_task(self._follow(self._since), name="follow all tasks")
            if not seat.sure:
                covered = seat.at is not None and self._since is not None and seat.at - _MARGIN >= self._since
                self._look(seat, after=_TASK_START_WITHIN if covered else 0.0)
        return seat.ending

    def connected(self) -> None:
        """The stream is open: what happens is seen from now on, or from the time on at which it begins."""
        self._tried.set()
        self._away = False

    def lost(self, drop: DropError) -> None:  # noqa: ARG002 (whatever it was)
        """The stream is away."""
        self._away = True
        self._tried.set()

    def skipped(self, damage: DamagedEventError) -> None:
        """Asks for all tasks: it may have been the end of any."""
        if damage.name in (*TERMINAL_TYPES, "message"):
            self._look_for_all()

    async def _reach(self) -> None:
        """Finds out whether the service is there while its stream is not, and then asks for all tasks.

        Raises:
            RequenceError: It is not there.
        """
        if self._away:
            self._look_for_all()
        for seat in self._all_seats()[:1]:
            await self._api.get(seat.task_id)

    async def _follow(self, since: datetime) -> None:
        text = utc_text(since)
        watched = Watched(
            "all tasks",
            "watching all tasks (shared_stream=True)",
            lambda position: self._api.watch_all_request(since=text, last_position=position),
            revive=self.reviver,
        )
        log = self._log
        try:
            stream = EventStream[None](self._api, watched, ask=self._reach, log=log, observer=self)
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    for event in batch:
                        if self._log is not log:  # the last seat was given up, by the event before
                            return
                        self._take(event)
        except Exception as error:  # one of ours or not, nobody must wait for ever
            self._tried.set()
            for seat in self._all_seats():
                seat.ending.fail(error)

    def _take(self, event: LogEvent) -> None:
        self._shows = True
        _, name, payload = event
        for seat in self._seats.get(task_id_of(payload) or "", ()):
            update = read_update(name, payload, before=seat.context)
            seat.context = update.context
            seat.sure = True
            if update.type == "taskStart":
                seat.whole = True
            if update.type in TERMINAL_TYPES:
                seat.has_ended(update)

    def _all_seats(self) -> list[Seat]:
        return list(chain.from_iterable(self._seats.values()))

    def _look_for_all(self) -> None:
        for seat in self._all_seats():
            seat.sure = False
            self._look(seat, after=0.0)

    def _look(self, seat: Seat, *, after: float) -> None:
        """Has a task asked for, once the stream was tried: whether it has ended unseen."""
        if not seat.is_asked_for:
            seat.look_no_more()
            seat.look = asyncio.get_running_loop().call_later(after, self._begin_to_ask, seat, after)

    def _begin_to_ask(self, seat: Seat, after: float) -> None:
        if self._is_open(seat):
            look = asyncio.create_task(self._ask(seat, after=after))
            self._looking.add(look)
            look.add_done_callback(self._looking.discard)

    def _is_open(self, seat: Seat) -> bool:
        return not (seat.sure or seat.ending.is_done) and seat in self._seats.get(seat.task_id, ())

    async def _ask(self, seat: Seat, *, after: float) -> None:
        """Asks for a task, and then ever more rarely.

        Once is not enough: where clocks differ by more than the margins, the stream begins later than the task.
        """
        seat.is_asked_for = True
        try:
            await self._tried.wait()
            if not self._is_open(seat):
                return
            report = await ask_patiently(self._api, seat.task_id)
        except RequenceError as error:
            seat.ending.fail(error)
            return
        finally:
            seat.is_asked_for = False
        if known_status(report.status) in ENDED_STATUSES:
            seat.has_ended(report)
        else:
            self._look(seat, after=min(max(3 * after, _TASK_START_WITHIN), _RARELY))


_hubs: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, AccessToken, Client], Hub] = WeakValueDictionary()


def hub(api: Api) -> Hub:
    """Returns the hub that all handles of the same token and client share."""
    key = (asyncio.get_running_loop(), api.token, api.client)
    found = _hubs.get(key)
    if found is None:
        found = _hubs[key] = Hub(api)
    return found
