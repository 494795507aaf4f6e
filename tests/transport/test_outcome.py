"""Waiting for what one thread finds out, in others, at the moments at which they can get into each other's way."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

from requence._transport.outcome import Outcome


def test_what_waits_is_called_on_the_thread_that_sets_it_also_if_another_asks_at_that_moment() -> None:
    """What the I/O thread is to do for one waiter must not be done in the thread of another."""
    outcome = Outcome[int]()
    where = list[threading.Thread]()
    begun, asked = threading.Event(), threading.Event()

    def dawdle() -> None:
        begun.set()
        asked.wait(10)

    outcome.on_done(dawdle)
    outcome.on_done(lambda: where.append(threading.current_thread()))
    setter = threading.Thread(target=outcome.set, args=[1])
    setter.start()
    begun.wait(10)
    outcome.on_done(lambda: where.append(threading.current_thread()))
    asked.set()
    setter.join()
    assert where == [threading.current_thread(), setter]


def test_many_who_ask_while_it_is_set_are_called_once_each() -> None:
    for _ in range(50):
        outcome = Outcome[int]()
        called = list[int]()
        barrier = threading.Barrier(5)

        def ask(first: int, outcome: Outcome[int] = outcome, called: list[int] = called) -> None:
            barrier.wait()  # noqa: B023 (the threads of a round end within it)
            for number in range(first, first + 20):
                outcome.on_done(lambda number=number: called.append(number))  # type: ignore[misc]

        threads = [threading.Thread(target=ask, args=[first]) for first in range(0, 80, 20)]
        for thread in threads:
            thread.start()
        barrier.wait()
        outcome.set(1)
        for thread in threads:
            thread.join()
        assert sorted(called) == list(range(80))


def test_a_loop_that_was_closed_with_a_wait_under_way_is_not_kept() -> None:
    async def setting(outcome: Outcome[int]) -> None:
        outcome.set(1)
        await asyncio.sleep(0)  # now the other loop is woken

    outcome = Outcome[int]()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(outcome.wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # as it is to be
    kept = weakref.ref(loop)
    del loop, waiting
    asyncio.run(setting(outcome))
    gc.collect()
    assert kept() is None
