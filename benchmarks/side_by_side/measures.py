"""The measures, and what each is to reach."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.side_by_side.contenders import FLOOR, OURS, PUBLISHED
from benchmarks.side_by_side.measuring import Entry, Figure, Measure, of, rate, ratio

__all__ = ["FULL", "QUICK", "Sizes", "measures"]

RATIO = "{:.2f}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done in one round.

    Attributes:
        rounds: How often each program runs; those that only begin, three times as often.
        starts: Tasks that are started, or run to their result.
        updates: Updates of one task.
        text: Bytes of a large event; one of 16 times that is compared with it.
        streams: Tasks that are followed with a stream each.
        shared: Tasks that are followed on one stream.
        seconds: How long the local server is under load.
    """

    rounds: int
    starts: int
    updates: int
    text: int
    streams: int
    shared: int
    seconds: float


FULL = Sizes(rounds=5, starts=2000, updates=100_000, text=4 * 2**20, streams=1000, shared=10_000, seconds=10)
QUICK = Sizes(rounds=3, starts=400, updates=10_000, text=2**20, streams=100, shared=1000, seconds=3)


def measures(sizes: Sizes) -> tuple[Measure, ...]:
    """Returns what is measured beside the local server."""
    return (
        in_flight("1. Start and finalize, 100 in flight", "start", sizes.starts, published=5),
        in_sequence(sizes.starts // 4),
        in_flight("2. Run to the result, 5 updates, 100 in flight", "run", sizes.starts, published=6),
        one_large_stream(sizes.updates),
        one_large_event(sizes.text),
        following("5. Followed, a stream each", "follow", sizes.streams),
        following("5. Followed on one shared stream", "follow-shared", sizes.shared),
    )


def in_flight(title: str, program: str, tasks: int, *, published: float) -> Measure:
    few = max(tasks // 5, 1)  # the published SDK takes its time
    threads = Entry("ours, 100 threads", OURS, ("sdk", program, f"{tasks}"), tasks)
    loop = Entry("ours, asyncio", OURS, ("ours", program, f"{tasks}"), tasks)
    theirs = Entry("published SDK, 100 threads", PUBLISHED, ("sdk", program, f"{few}"), few)
    floor = Entry("bare aiohttp", FLOOR, ("floor", program, f"{tasks}"), tasks)
    return Measure(
        title,
        (threads, theirs, loop, floor),
        (
            *(Figure(f"{entry.name}: tasks/s", rate(entry)) for entry in (threads, theirs, loop, floor)),
            Figure(
                "ours ÷ published SDK, both in threads",
                ratio(rate(threads), rate(theirs)),
                RATIO,
                at_least=published,
            ),
            Figure(
                "ours ÷ bare aiohttp, both in asyncio", ratio(rate(loop), rate(floor)), RATIO, at_least=0.6
            ),
            Figure("ours in threads ÷ bare aiohttp", ratio(rate(threads), rate(floor)), RATIO),
        ),
    )


def in_sequence(tasks: int) -> Measure:
    program = ("start-in-sequence", f"{tasks}")
    ours = Entry("ours", OURS, ("sdk", *program), tasks)
    theirs = Entry("published SDK", PUBLISHED, ("sdk", *program), tasks)
    floor = Entry("bare aiohttp", FLOOR, ("floor", *program), tasks)
    return Measure(
        "1. Start and finalize, one after the other",
        (ours, theirs, floor),
        (
            *(Figure(f"{entry.name}: tasks/s", rate(entry)) for entry in (ours, theirs, floor)),
            Figure("ours ÷ published SDK", ratio(rate(ours), rate(theirs)), RATIO, at_least=2.5),
            Figure("ours ÷ bare aiohttp", ratio(rate(ours), rate(floor)), RATIO),
        ),
    )


def one_large_stream(count: int) -> Measure:
    few = count // 10
    some = max(count // 5, 3)  # of the published SDK's `async for`, which takes its time
    plain = Entry("ours, sync.updates", OURS, ("sdk", "updates", f"{count}"), count)
    theirs = Entry("published SDK, sync.updates", PUBLISHED, ("sdk", "updates", f"{count}"), count)
    loop = Entry("ours, async for", OURS, ("sdk", "updates-async", f"{count}"), count)
    their_loop = Entry("published SDK, async for", PUBLISHED, ("sdk", "updates-async", f"{some}"), some)
    result = Entry("ours, result only", OURS, ("sdk", "result", f"{count}"), count)
    short = Entry("ours, result of a tenth", OURS, ("sdk", "result", f"{few}"), few)
    their_result = Entry("published SDK, result only", PUBLISHED, ("sdk", "result", f"{count}"), count)
    floor = Entry("aiohttp + msgspec", FLOOR, ("floor", "result", f"{count}"), count)
    entries = (plain, theirs, loop, their_loop, result, short, their_result, floor)
    shown = (plain, theirs, loop, their_loop, result, their_result, floor)
    return Measure(
        f"3. One task with {count:,} updates",
        entries,
        (
            *(Figure(f"{entry.name}: updates/s", rate(entry)) for entry in shown),
            Figure("sync.updates, ours ÷ published SDK", ratio(rate(plain), rate(theirs)), RATIO, at_least=5),
            Figure(
                "async for, ours ÷ published SDK", ratio(rate(loop), rate(their_loop)), RATIO, at_least=20
            ),
            Figure(
                "result only, ours ÷ aiohttp + msgspec", ratio(rate(result), rate(floor)), RATIO, at_least=0.5
            ),
            Figure("ours, result only: MiB at most", of(result.name, "memory", 1 / 1024)),
            Figure("ours, sync.updates: MiB at most", of(plain.name, "memory", 1 / 1024)),
            Figure("published SDK, result only: MiB at most", of(their_result.name, "memory", 1 / 1024)),
            Figure(
                f"ours, result only: memory with {count:,} updates ÷ with {few:,}",
                ratio(of(result.name, "memory"), of(short.name, "memory")),
                RATIO,
                at_most=1.1,
            ),
        ),
    )


def one_large_event(size: int) -> Measure:
    large = 16 * size
    small = size // 4  # the published SDK's time grows with the square
    ours = Entry("ours", OURS, ("sdk", "text", f"{size}"))
    ours_large = Entry("ours, 16 times as large", OURS, ("sdk", "text", f"{large}"))
    ours_small = Entry("ours, small", OURS, ("sdk", "text", f"{small}"))
    theirs_small = Entry("published SDK, small", PUBLISHED, ("sdk", "text", f"{small}"))
    floor = Entry("bare aiohttp", FLOOR, ("floor", "text", f"{size}"))

    def took(entry: Entry) -> Figure:
        mib = int(entry.program[-1]) / 2**20
        goal = 100 if entry is ours else None
        return Figure(
            f"{entry.contender.name}, {mib:g} MiB: ms", of(entry.name, "seconds", 1000), at_most=goal
        )

    return Measure(
        "4. One large event, from the open start to the result",
        (ours, ours_large, ours_small, theirs_small, floor),
        (
            *(took(entry) for entry in (ours_small, ours, ours_large, theirs_small, floor)),
            Figure(
                "ours, 16 times the size: times as long",
                ratio(of(ours_large.name, "seconds"), of(ours.name, "seconds")),
                "{:.1f}",
                at_most=20,
            ),
        ),
    )


def following(title: str, program: str, tasks: int) -> Measure:
    ours = Entry("ours", OURS, ("ours", program, f"{tasks}"))
    floor = Entry("bare aiohttp", FLOOR, ("floor", program, f"{tasks}"))
    released = [of(entry.name, "seconds", 1000) for entry in (ours, floor)]
    return Measure(
        f"{title}: {tasks:,} tasks, 1,024 open files",
        (ours, floor),
        (
            Figure("ours: threads", of(ours.name, "threads"), at_most=2),
            Figure("ours: KiB for each task", of(ours.name, "each"), "{:.1f}", at_most=16),
            Figure("bare aiohttp: KiB for each task", of(floor.name, "each"), "{:.1f}"),
            Figure("ours: ms from the common end to the last result", released[0]),
            Figure("bare aiohttp: ms from the common end to the last result", released[1]),
            Figure("ours ÷ bare aiohttp", ratio(*released), RATIO, at_most=2),
        ),
    )
