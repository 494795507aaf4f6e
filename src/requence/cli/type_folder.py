"""The folder that files with types are written to: what is in it, what has to be done, and doing it.

Beside the files lies a record of what was written. A file that is not in it was made by somebody else, and is not
replaced; one that is in it, was not changed since, and that the service does not give any more, is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from requence.cli.type_names import RefusedFilesError, is_a_place

__all__ = ["RECORD", "Plan", "carry_out", "made_plan"]

RECORD = ".requence-types"  # no file of the service can have this name, since it begins with a dot
_HEAD = (
    "# By `requence-task generate-types`, which replaces and removes no other files. Commit it with them.\n"
)
_ENTRY = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(slots=True)
class Plan:
    """What there is to do in a folder; all paths are below it, with slashes.

    Attributes:
        folder: The folder.
        files: What shall be in it.
        recorded: What is recorded of it: paths, with a digest of what was written there.
        missing: Files that are not there.
        different: Files with another content.
        foreign: Those of these that were not written by us.
        obsolete: Files that were written by us and are not wanted any more.
        changed: The same, but somebody has changed them since; they are left to whoever that was.
    """

    folder: Path
    files: Mapping[str, bytes]
    recorded: Mapping[str, str]
    missing: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])
    foreign: list[str] = field(default_factory=list[str])
    obsolete: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])

    @property
    def is_up_to_date(self) -> bool:
        """Whether the folder has what it shall have."""
        return not (self.missing or self.different or self.obsolete)


def made_plan(folder: Path, files: Mapping[str, bytes]) -> Plan:
    """Looks at the folder and writes nothing.

    Raises:
        RefusedFilesError: Something that is no file is in the place of one, or a link leads out of the folder.
        OSError: It cannot be read.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise RefusedFilesError(f"{folder} is not a folder")
    plan = Plan(folder, files, _recorded(folder))
    for path, content in files.items():
        there = _read(folder, path)
        if there is None:
            plan.missing.append(path)
        elif _plain(there) != _plain(content):
            plan.different.append(path)
            if path not in plan.recorded:
                plan.foreign.append(path)
    wanted = {path.casefold(): path for path in files}
    for path, digest in plan.recorded.items():
        if path in files:
            continue
        try:
            there = _read(folder, path)
        except RefusedFilesError:
            continue  # what we wrote has given way to something else
        if there is not None and not _is_same(folder, path, wanted.get(path.casefold())):
            ours = _digest(there) == digest
            (plan.obsolete if ours else plan.changed).append(path)
    return plan


def carry_out(plan: Plan, tell: Callable[[str], object]) -> None:
    """Writes and removes what the plan says, and calls `tell` with each thing that was done.

    Raises:
        RefusedFilesError: A file would be replaced that was not written by us; nothing was done.
        OSError: It cannot be done; what was told was done.
    """
    if plan.foreign:
        raise RefusedFilesError(
            f"{plan.folder / plan.foreign[0]} was not written by this command "
            f"(it is not listed in {plan.folder / RECORD}): move it away, or name another --outdir"
        )
    wanted = {path: _digest(content) for path, content in plan.files.items()}
    # Recorded first: should this end half-way, all that was written is known to be ours the next time.
    _write_record(plan.folder, {**plan.recorded, **wanted})
    for path in (*plan.missing, *plan.different):
        _write(plan.folder / path, plan.files[path])
        tell(f"wrote {plan.folder / path}")
    for path in plan.obsolete:
        (plan.folder / path).unlink()
        tell(f"removed {plan.folder / path}: the service does not give it any more")
    for path in plan.changed:
        tell(f"left {plan.folder / path}, which was changed: the service does not give it any more")
    _write_record(plan.folder, wanted)


def _read(folder: Path, path: str) -> bytes | None:
    """Returns what is in a file of the folder; None if there is none."""
    place = folder / path
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise RefusedFilesError(f"{place} is not in {folder}: a link on the way leads out of it")
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise RefusedFilesError(f"{place.parent} is not a folder") from None
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "not a file"
        raise RefusedFilesError(f"{place} is {kind}, where a file is to be written")
    return place.read_bytes()


def _is_same(folder: Path, path: str, other: str | None) -> bool:
    """Says whether two names that differ in case are those of one file here."""
    return other is not None and os.path.lexists(folder / other) and (folder / path).samefile(folder / other)


def _write(place: Path, content: bytes) -> None:
    """Writes a file as a whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f"{RECORD}-{secrets.token_hex(8)}.tmp")
    try:
        # Made by `open`, and not by `tempfile`, so that others may read it if they may read what the user makes.
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(place)
    except OSError as error:
        error.filename, error.filename2 = str(place), None  # nobody has heard of the draft
        raise
    finally:
        with contextlib.suppress(OSError):  # mostly it is gone
            draft.unlink()


def _recorded(folder: Path) -> dict[str, str]:
    text = (_read(folder, RECORD) or b"").decode("utf-8", "replace")
    entries = (_ENTRY.fullmatch(line) for line in text.splitlines())
    # A checkout may have anything in it, so what could lead elsewhere is passed over.
    return {entry[2]: entry[1] for entry in entries if entry and is_a_place(entry[2])}


def _write_record(folder: Path, entries: Mapping[str, str]) -> None:
    text = _HEAD + "".join(f"{digest}  {path}\n" for path, digest in sorted(entries.items()))
    there = _read(folder, RECORD)
    if (_HEAD.encode() if there is None else _plain(there)) != text.encode():
        _write(folder / RECORD, text.encode())


def _plain(content: bytes) -> bytes:
    """Returns a text with the line ends that it has on most systems: version control may have changed them."""
    return content.replace(b"\r\n", b"\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(_plain(content)).hexdigest()
