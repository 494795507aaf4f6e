"""Thousands of cuts at random bytes of the streams of random tasks: `python -m tests.stream.soak --cuts 10000`.

The promise is that nothing is lost, nothing comes twice and nothing hangs. A script that broke it is printed, and
`--script` plays it again; the exit status is 1 then. The pauses before a stream is opened again are shortened, see
`short_pauses`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.cutting_proxy import Plan
from tests.stream.cut_scripts import FOLLOWING, LARGE, Finding, Script, Stage, bearable, short_pauses

__all__ = ["Tally", "main", "random_script", "soak"]

_WITHIN = 60.0  # seconds; a long task takes one, or ten on a busy machine
_ENOUGH = 20  # broken promises, after which there is no need of more

_HEAD = 140  # bytes; no status line and headers of the scripted server's streams have more
_EVENT = 120  # bytes; about what a small event has


@dataclass(slots=True)
class Tally:
    """What came of a number of scripts.

    Attributes:
        seed: Where the scripts came from.
        tasks: How many there were.
        cuts: How many connections were cut.
        seconds: How long it took.
        bad: What was found where the promise was broken.
    """

    seed: int
    tasks: int = 0
    cuts: int = 0
    seconds: float = 0.0
    bad: list[Finding] = field(default_factory=list[Finding])

    def add(self, finding: Finding) -> None:
        """Counts one script."""
        self.tasks += 1
        self.cuts += finding.cuts
        if not finding.is_good:
            self.bad.append(finding)

    def __str__(self) -> str:
        lost, repeated, hung = (
            sum(getattr(finding, what) for finding in self.bad) for what in ("lost", "repeated", "hung")
        )
        wrong = sum(not (finding.lost or finding.repeated or finding.hung) for finding in self.bad)
        done = f"{self.cuts} cuts over {self.tasks} tasks in {self.seconds:.0f} s"
        return f"{done}: lost {lost}, repeated {repeated}, hung {hung}, wrong {wrong} (seed {self.seed})"


def random_script(dice: random.Random) -> Script:
    """Returns a script with one to eight cuts, and maybe some answers that end early in due form."""
    events = int(200 ** dice.random())
    large = dice.randint(1, 3) if dice.random() < 0.1 else 0
    size = _HEAD + events * _EVENT + large * LARGE

    def plan() -> Plan:
        # Heads and first events are short beside a long log, but the likeliest to be read wrongly.
        where = dice.choice((dice.randint(0, _HEAD), dice.randint(0, 2 * _HEAD), dice.randint(0, size)))
        pieces = tuple(dice.randint(1, 400) for _ in range(dice.choice((0, 0, 10))))
        return Plan(where, dice.choice(("fin", "reset")), pieces)

    def close_after() -> int:
        return dice.choice((0, dice.randint(0, 2 * _EVENT), dice.randint(0, size)))

    script = Script(
        seed=dice.getrandbits(32),
        events=events,
        large=large,
        last=dice.choice(("taskEnd", "taskEnd", "taskError", "taskAborted")),
        numbering=dice.choice(("positions", "gaps", "update ids", "mixed")),
        resumes=dice.random() < 0.7,
        line_end=dice.choice(("\n", "\r\n", "\r")),
        chunked=dice.random() < 0.7,
        block=dice.choice((0, 0, 100, 5000)),
        status=dice.choice(("running", "running", "ended")),
        require_ack=dice.random() < 0.3,
        places=dice.choice((0, 0, 0, 0, 1, 3)),
        following=dice.choice(FOLLOWING),
        plans=tuple(plan() for _ in range(dice.randint(1, 8))),
        closes=tuple(close_after() for _ in range(dice.choice((0, 0, 1, 2, 3)))),
    )
    return bearable(script)


def _random_scripts(seed: int) -> Iterator[Script]:
    return (random_script(random.Random(f"{seed}:{number}")) for number in itertools.count())


async def soak(cuts: int, *, seed: int, at_once: int, within: float = _WITHIN) -> Tally:
    """Plays random scripts until there were so many cuts.

    Args:
        cuts: How many cuts there have to be; those of the last scripts come on top.
        seed: Decides which scripts are played.
        at_once: How many are played side by side.
        within: After how many seconds a task counts as hung.
    """
    tally, scripts, began = Tally(seed), _random_scripts(seed), time.monotonic()
    # One thread for each that blocks.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(at_once))
    with short_pauses(), Stage() as stage:

        async def play_one_by_one() -> None:
            while tally.cuts < cuts and len(tally.bad) < _ENOUGH:
                tally.add(await stage.play(next(scripts), within=within))

        await asyncio.gather(*(play_one_by_one() for _ in range(at_once)))
    tally.seconds = time.monotonic() - began
    return tally


async def _play_again(script: Script) -> Finding:
    with short_pauses(), Stage() as stage:
        return await stage.play(script, within=_WITHIN)


def main() -> int:
    """Returns the exit status: 1 if the promise was broken."""
    parser = argparse.ArgumentParser(description="Cut the streams of random tasks at random bytes.")
    parser.add_argument("--cuts", type=int, default=10_000, help="how many cuts to make (10000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="decides which (random)")
    parser.add_argument("--at-once", type=int, default=50, help="how many tasks to follow side by side (50)")
    parser.add_argument("--script", help="play just this one, as it was printed: Script(…)")
    given = parser.parse_args()
    if given.script:
        script: Script = eval(given.script, {"Script": Script, "Plan": Plan})
        finding = asyncio.run(_play_again(script))
        print(finding)
        return int(not finding.is_good)
    tally = asyncio.run(soak(given.cuts, seed=given.seed, at_once=given.at_once))
    print(*tally.bad, tally, sep="\n")
    return int(bool(tally.bad))


if __name__ == "__main__":
    sys.exit(main())
