"""What the measured programs share. Only the standard library: they run in environments of their own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["INPUT", "IN_FLIGHT", "Stopwatch", "base_url", "limit_open_files", "memory", "tell"]

INPUT = {"name": "World", "numbers": list(range(10))}
IN_FLIGHT = 100


def base_url() -> str:
    return os.environ["BENCH_URL"]


def memory(which: str = "VmHWM") -> int:
    """Returns the KiB that this process has at most had (`VmHWM`) or has now (`VmRSS`)."""
    # Not `ru_maxrss`: that begins with what the parent had when it forked.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(which)))


def limit_open_files(most: int = 1024) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Stopwatch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        """Returns the seconds since then, and how many of them the process has used a processor."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "processor": time.process_time() - self._processor,
        }


def tell(figures: dict[str, float]) -> None:
    """Says what was measured, in one line."""
    print(json.dumps({"memory": memory(), **figures}), flush=True)


def main(programs: dict[str, Callable[[int], dict[str, float]]], name: str, size: str) -> None:
    """Runs a program by its name."""
    tell(programs[name](int(size)))
