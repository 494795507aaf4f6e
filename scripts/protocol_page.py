"""Writes the protocol page of the documentation, from the contract.

    python protocol_page.py CONTRACT PAGE            write PAGE, if it differs
    python protocol_page.py CONTRACT PAGE --check    compare PAGE; 1 if it differs

CONTRACT is the contract as JSON, as `make regen` puts it into the package; so this needs no YAML parser, and runs
with any Python. `make regen` and `make regen-check` call this.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from protocol.page import page


def difference(path: Path, there: str, wanted: str) -> Iterator[str]:
    """Yields the lines of the difference; none if there is none."""
    return difflib.unified_diff(
        there.splitlines(keepends=True),
        wanted.splitlines(keepends=True),
        str(path),
        "what the contract says",
    )


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description="Write the protocol page, or compare it.")
    parser.add_argument("contract", type=Path, help="the contract, as JSON")
    parser.add_argument("page", type=Path, help="the page, in Markdown")
    parser.add_argument("--check", action="store_true", help="only compare; 1 if the page differs")
    arguments = parser.parse_args()
    try:
        wanted = page(json.loads(arguments.contract.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(f"the protocol page: {error}")
    there = arguments.page.read_text(encoding="utf-8") if arguments.page.exists() else ""
    if there == wanted:
        return
    if arguments.check:
        sys.stdout.writelines(difference(arguments.page, there, wanted))
        sys.exit(f"{arguments.page} is not what the contract says (- is there, + should be). Run: make regen")
    arguments.page.parent.mkdir(parents=True, exist_ok=True)
    arguments.page.write_text(wanted, encoding="utf-8", newline="\n")
    print(f"wrote {arguments.page}")


if __name__ == "__main__":
    main()
