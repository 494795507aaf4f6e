"""What `map_tasks` returns, blocking and awaiting: an iterator over what comes of the tasks of a batch.

Both faces do all they do inside of `next` or `anext`: begin what there is room for, wait for one that has ended,
hand it over. So nothing runs ahead of the consumer, and no thread and no task of asyncio is needed for a task.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Self, TypeAlias

from requence._brief import brief
from requence._transport.blocking import block_or_tell, block_until_known, wait_or_tell
from requence._transport.io_thread import io_thread
from requence.exceptions import ConfigurationError, UsageError
from requence.task.inputs import END, AsyncReader, PlainReader
from requence.task.item import TaskItem
from requence.task.recipe import Begun, Recipe
from requence.task.result import T_co

if TYPE_CHECKING:
    from requence._transport.crossing import Submitted

__all__ = ["AsyncTaskItems", "OnExit", "TaskItems"]

OnExit: TypeAlias = Literal["leave", "abort"]
"""What becomes of tasks that are under way when the iteration is left early."""

_INSTEAD = "async for … in requence.task.aio.map_tasks(…)"


class _Batch(Generic[T_co]):
    """What both faces have in common."""

    def __init__(self, recipe: Recipe[T_co], *, max_in_flight: int, on_exit: OnExit) -> None:
        checked: object = on_exit
        if checked not in ("leave", "abort"):
            raise ConfigurationError(f'on_exit must be "leave" or "abort", not {checked!r}')
        self._limit = _checked_limit(max_in_flight)
        self._recipe = recipe
        io = io_thread()
        from requence.task.in_flight import InFlight  # here, since it imports asyncio, as the I/O thread does

        self._in_flight = InFlight[T_co](io, recipe.task_template, abort=on_exit == "abort")
        self._begun = self._untaken = 0
        self._exhausted = self._over = self._busy = False
        self._leave = weakref.finalize(self, self._in_flight.leave)
        self._leave.atexit = False  # then it may be too late; whoever must be sure uses `with`

    def _has_begun_step(self) -> bool:
        """Begins one step of the iteration; False if that is over.

        Raises:
            UsageError: Another step is under way; or this process has not begun the iteration.
        """
        if not self._over:
            self._in_flight.io.check_usable()  # before the rest, which a forked child has of its parent
        if self._busy:
            raise UsageError(
                "The next item of map_tasks is being waited for already",
                hint="iterate in one thread or task, and hand the items on from there",
            )
        if self._over:
            return False
        self._busy = True
        return True

    def _wants_input(self, *, begins: bool) -> bool:
        """Says whether to read an input: one in each step, and more while nothing has ended to be taken."""
        if self._exhausted or self._untaken >= self._limit:
            return False
        return begins or not self._in_flight.has_ended

    def _begin(self, input: object) -> Begun[T_co] | None:
        """Begins the task of an input and returns it, or takes note that there is none left."""
        if input is END:
            self._exhausted = True
            return None
        begun = self._recipe.begin(self._begun, input)
        self._begun += 1
        self._untaken += 1
        self._in_flight.add(begun)
        return begun

    @property
    def _is_done(self) -> bool:
        return self._exhausted and not self._untaken

    def _end(self) -> Submitted[None] | None:
        """Ends the iteration; returns what is to be waited for."""
        self._over = True
        left: Submitted[None] | None = self._leave()
        return left

    def _not_confirmed(self) -> str:
        return f"Whether the aborts of tasks of {self._recipe.task_template!r} have arrived is not known"

    def __repr__(self) -> str:
        state = "over" if self._over else f"{self._untaken} of {self._limit} in flight"
        return f"<map_tasks of {brief(self._recipe.task_template)}: {self._begun} begun, {state}>"


class TaskItems(_Batch[T_co], Iterator[TaskItem[T_co]]):
    """What `map_tasks` returns: an iterator, and a context manager that ends the iteration."""

    def __init__(
        self, recipe: Recipe[T_co], inputs: Iterable[Any], *, max_in_flight: int, on_exit: OnExit
    ) -> None:
        super().__init__(recipe, max_in_flight=max_in_flight, on_exit=on_exit)
        self._inputs: Iterator[Any] = iter(inputs)

    def __next__(self) -> TaskItem[T_co]:
        if not self._has_begun_step():
            raise StopIteration
        try:
            self._fill()
            if self._is_done:
                raise StopIteration
            return self._item(self._next_ended())
        except BaseException:
            left = self._end()
            if left is not None:
                self._in_flight.io.wait(left)
            raise
        finally:
            self._busy = False

    def close(self) -> None:
        """Ends the iteration; `on_exit` says what becomes of the tasks under way. May be called more than once.

        With `on_exit="abort"` it waits until the aborts are confirmed, for 10 seconds at most. What could not be
        aborted is logged.
        """
        left = self._end()
        if left is not None:
            block_until_known(self._in_flight.io, lambda: left, self._not_confirmed, instead=_INSTEAD)

    def _end(self) -> Submitted[None] | None:
        self._inputs = iter(())  # a generator that nobody else has is closed by that
        return super()._end()

    def _fill(self) -> None:
        begins = True
        while self._wants_input(begins=begins):
            begun = self._begin(next(self._inputs, END))
            if begun is not None and begun.run is not None:
                begun.run.check_may_block(_INSTEAD)
            begins = False

    def _next_ended(self) -> Begun[T_co]:
        in_flight = self._in_flight
        while True:
            try:
                begun = in_flight.pop()
            except IndexError:
                if not block_or_tell(in_flight.io, in_flight.ready, in_flight.goes_on, instead=_INSTEAD):
                    raise StopIteration from None
            else:
                if begun is not None:
                    self._untaken -= 1
                    return begun

    def _item(self, begun: Begun[T_co]) -> TaskItem[T_co]:
        result = None
        if begun.plain is not None:
            try:
                result = begun.decoding.blocking(begun.plain)
            except Exception as error:
                begun.error = error
        return begun.item(result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    if not TYPE_CHECKING:  # for which it would be there

        def __aiter__(self) -> NoReturn:
            raise UsageError(f"map_tasks is for a plain `for`: write `{_INSTEAD}`")


class AsyncTaskItems(_Batch[T_co], AsyncIterator[TaskItem[T_co]]):
    """What `aio.map_tasks` returns: an asynchronous iterator, and a context manager that ends the iteration."""

    def __init__(
        self,
        recipe: Recipe[T_co],
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        max_in_flight: int,
        on_exit: OnExit,
    ) -> None:
        super().__init__(recipe, max_in_flight=max_in_flight, on_exit=on_exit)
        if isinstance(inputs, AsyncIterable):
            self._reader: AsyncReader | PlainReader = AsyncReader(aiter(inputs), self._in_flight.nudge)
            weakref.finalize(self, self._reader.stop).atexit = False
        else:
            self._reader = PlainReader(iter(inputs))

    async def __anext__(self) -> TaskItem[T_co]:
        if not self._has_begun_step():
            raise StopAsyncIteration
        try:
            begun = None
            while begun is None:
                await self._fill()
                if self._is_done:
                    raise StopAsyncIteration
                begun = await self._next_ended()
            return await self._item(begun)
        except BaseException:
            await self.aclose()
            raise
        finally:
            self._busy = False

    async def aclose(self) -> None:
        """Ends the iteration; `on_exit` says what becomes of the tasks under way. May be called more than once.

        With `on_exit="abort"` it waits until the aborts are confirmed, for 10 seconds at most. What could not be
        aborted is logged.
        """
        left = self._end()
        reader, self._reader = self._reader, PlainReader(iter(()))
        await reader.close()
        if left is not None:
            await self._in_flight.io.wait_async(left)

    async def _fill(self) -> None:
        begins = True
        while self._wants_input(begins=begins) and await self._reader.has_come():
            self._begin(self._reader.take())
            begins = False

    async def _next_ended(self) -> Begun[T_co] | None:
        """Waits for one that has ended; returns None if it is an input that has come."""
        in_flight = self._in_flight
        while True:
            try:
                begun = in_flight.pop()
            except IndexError:
                if not await wait_or_tell(in_flight.io, in_flight.ready, in_flight.goes_on):
                    raise StopAsyncIteration from None
            else:
                self._untaken -= begun is not None
                return begun

    async def _item(self, begun: Begun[T_co]) -> TaskItem[T_co]:
        result = None
        if begun.plain is not None:
            try:
                result = await begun.decoding.awaiting(self._in_flight.io, begun.plain)
            except Exception as error:
                begun.error = error
        return begun.item(result)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    if not TYPE_CHECKING:  # for which these would be there

        def __iter__(self) -> NoReturn:
            raise UsageError(f"{_FORGOTTEN}, or without asyncio `for … in requence.task.map_tasks(…)`")

        def __await__(self) -> NoReturn:
            raise UsageError(_FORGOTTEN)


_FORGOTTEN = "aio.map_tasks is for `async for … in aio.map_tasks(…)`"


def _checked_limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"max_in_flight must be a whole number from 1 on, not {value!r}")
    return value
