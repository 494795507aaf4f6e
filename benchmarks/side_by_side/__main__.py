"""Compares the SDK with the published one and with bare aiohttp, in turns in one run, and writes the table.

    .venv/bin/python -m benchmarks.side_by_side [--quick] [--only WORD]

A full run writes docs/performance.md; a quick or partial one only prints. The published SDK runs in an environment
of its own, which is made if there is none; without Python 3.12 it is left out.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.side_by_side.beginnings import BEGINNINGS
from benchmarks.side_by_side.contenders import Service
from benchmarks.side_by_side.local_server import TITLE, local_server
from benchmarks.side_by_side.measures import FULL, QUICK, Sizes, measures
from benchmarks.side_by_side.measuring import Row, rows
from benchmarks.side_by_side.report import PAGE, about, table, write_into
from tests.published.environment import NotToBeHadError, made


def compare(sizes: Sizes, *, published: bool, only: str = "") -> list[tuple[str, list[Row]]]:
    """Takes all measurements, or those whose title has a word, and returns their rows by title."""
    groups: list[tuple[str, list[Row]]] = []
    with Service.running() as service:
        for measure in (*measures(sizes), BEGINNINGS):
            if only.lower() in measure.title.lower():
                print(measure.title, file=sys.stderr, flush=True)
                rounds = 3 * sizes.rounds if measure is BEGINNINGS else sizes.rounds
                groups.append((measure.title, list(rows(measure, service, rounds, published=published))))
    if only.lower() in TITLE.lower():
        print(TITLE, file=sys.stderr, flush=True)
        groups.append((TITLE, local_server(sizes.seconds)))
    return groups


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--only", default="", metavar="WORD", help="measures whose title has this word")
    wanted = arguments.parse_args()
    sizes = QUICK if wanted.quick else FULL
    try:
        made()
        published = True
    except NotToBeHadError as missing:
        print(f"the published SDK is left out: {missing}", file=sys.stderr)
        published = False
    text = about(sizes.rounds, published=published)  # first: the commit may change meanwhile
    text += "\n\n" + table(compare(sizes, published=published, only=wanted.only))
    print(text)
    if not wanted.quick and not wanted.only:
        write_into(PAGE, text)


if __name__ == "__main__":
    main()
