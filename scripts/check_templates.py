"""Says whether the templates that replace the generator's own still stand on what they were derived from.

    python check_templates.py FOLDER

FOLDER holds the templates, and upstream.sha256, which has for each of them the hash of the generator's template of
the same name, as `sha256sum` writes it. To be run with the Python that has the generator.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

RECORD = "upstream.sha256"


def complaints(ours: dict[str, str], theirs: dict[str, str]) -> Iterator[str]:
    """Yields what is wrong.

    Args:
        ours: The recorded hash for each template that replaces one; empty if none is recorded.
        theirs: The hash of each of the generator's templates.
    """
    for name, recorded in sorted(ours.items()):
        if name not in theirs:
            yield f"{name} replaces nothing: the generator has no template of this name"
        elif theirs[name] != recorded:
            yield (
                f"{name} was derived from another version of the generator's template: {RECORD} says "
                f"{recorded or 'nothing'}, the installed one is {theirs[name]}. Take a fresh copy of it, "
                "change that again, and record its hash"
            )


def recorded_hashes(folder: Path) -> dict[str, str]:
    """Returns the recorded hash for each template in the folder, and for those that are only recorded."""
    lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    recorded = {name: digest for digest, name in (line.split() for line in lines)}
    return {name: recorded.get(name, "") for name in {*recorded, *_templates(folder)}}


def installed_hashes() -> dict[str, str]:
    """Returns the hash of each template that the installed generator brings."""
    spec = find_spec("openapi_python_client")
    if spec is None or spec.origin is None:
        raise SystemExit("the generator is not installed here")
    folder = Path(spec.origin).parent / "templates"
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _templates(folder)}


def _templates(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*.jinja")]


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    if found := list(complaints(recorded_hashes(chosen), installed_hashes())):
        sys.exit("\n".join(f"{chosen / line}" for line in found))
