"""What is installed: versions, and whether something else stands in the place of a part of this package."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from requence._version import __version__
from requence.cli.check import Check, Verdict
from requence.cli.printable import json_line, one_line
from requence.cli.status import Status

__all__ = ["installation_checks", "tell_what_is_broken"]

_NEEDED = ("aiohttp", "attrs", "httpx", "msgspec")
_FOR_EXTRAS = ("typer", "rich", "jsonschema", "starlette", "uvicorn")
_PACKAGES = ("requence", "requence_api")
_SCRIPTS = ("requence", "requence-task")
# Modules that only the published SDK has (up to requence 0.8).
_EARLIER = (
    "client_properties.py",
    "obfuscase.py",
    "reachable.py",
    "wire_codec.py",
    "service/boundary.py",
    "transformer/__init__.py",
)
_REINSTALL = (
    "make an environment of its own for each, or: pip uninstall requence, until there is none any more, "
    "then install this one again"
)


def installation_checks() -> Iterator[Check]:
    """Yields what there is to say of the installation. No I/O but on this machine's disk."""
    yield Check("python", Verdict.OK, f"{platform.python_version()} ({sys.executable})")
    yield Check("requence", Verdict.OK, f"{__version__} ({_package_folder()})")
    yield _dependencies()
    yield _one_installation()
    yield _scripts()


def tell_what_is_broken(error: ImportError, *, as_json: bool) -> None:
    """Says why the rest of this package cannot be imported: nothing else of it is needed here."""
    failed = [check for check in installation_checks() if check.verdict is Verdict.FAIL]
    message = "; ".join([f"This installation does not work: {error}", *(check.says for check in failed)])
    hint = failed[0].hint if failed else _REINSTALL
    if as_json:
        fields = {"error": type(error).__name__, "message": message, "hint": hint}
        told = {"kind": "error", **fields, "task_id": None, "task_url": None}
        sys.stdout.write(json_line({**told, "exit_status": int(Status.REFUSED)}) + "\n")
    else:
        sys.stderr.write(f"requence: {one_line(message)}\nhint: {hint}\n")


def _package_folder() -> Path:
    return Path(__file__).resolve().parents[1]


def _dependencies() -> Check:
    needed = {name: _version(name) for name in _NEEDED}
    missing = [name for name, version in needed.items() if version is None]
    present = {**needed, **{name: _version(name) for name in _FOR_EXTRAS}}
    told = ", ".join(f"{name} {version}" for name, version in present.items() if version is not None)
    if missing:
        return Check(
            "dependencies",
            Verdict.FAIL,
            f"{' and '.join(missing)} missing; there are {told or 'none'}",
            "pip install --force-reinstall requence",
            Status.REFUSED,
        )
    return Check("dependencies", Verdict.OK, told)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _one_installation() -> Check:
    """Says whether this package is all there is of its name: the published SDK uses the same."""
    problems = [*_other_distributions(), *_leftovers(_package_folder()), *_shadows_here()]
    if problems:
        return Check("installation", Verdict.FAIL, "; ".join(problems), _REINSTALL, Status.REFUSED)
    return Check("installation", Verdict.OK, "nothing of the published SDK, and nothing else of this name")


def _other_distributions() -> Iterator[str]:
    found = {
        (Path(str(distribution.locate_file(""))).resolve(), distribution.version)
        for distribution in metadata.distributions(name="requence")
    }
    if len(found) > 1:
        told = ", ".join(f"{version} in {place}" for place, version in sorted(found))
        yield f"requence is installed more than once: {told}"
    for place, version in found if len(found) == 1 else ():
        if version != __version__:
            yield f"this is version {__version__}, but what is installed in {place} says {version}"
    providers = metadata.packages_distributions()
    for package in _PACKAGES:
        others = sorted({name for name in providers.get(package, ()) if name.lower() != "requence"})
        if others:
            yield f"the package {package} is also in the distribution {' and '.join(others)}"
    if find_spec("requence_api") is None:
        yield "the package requence_api is missing"


def _leftovers(folder: Path) -> Iterator[str]:
    left = [name for name in _EARLIER if (folder / name).exists()]
    if left:
        yield f"files of the published SDK are left in {folder}: {', '.join(left)}"


def _shadows_here() -> Iterator[str]:
    try:
        directory = Path.cwd()
    except OSError:  # somebody has deleted it, so there is nothing in it
        return
    yield from _shadows(directory)


def _shadows(directory: Path) -> Iterator[str]:
    """Yields what scripts in a directory would import in the place of this package."""
    for package in _PACKAGES:
        spec = find_spec(package)
        ours = Path(spec.origin).resolve().parent if spec is not None and spec.origin is not None else None
        for place in (directory / package / "__init__.py", directory / f"{package}.py"):
            if place.is_file() and place.resolve().parent != ours:
                yield f"scripts in {directory} import {place} instead of the package {package}"


def _scripts() -> Check:
    own = Path(sys.executable).parent
    elsewhere = [found for name in _SCRIPTS if (found := _found_elsewhere(name, own)) is not None]
    if elsewhere:
        return Check(
            "commands",
            Verdict.WARN,
            f"in the shell, {' and '.join(elsewhere)} of another environment comes first",
            f"activate the environment of {own}, or call its commands by their paths",
        )
    return Check("commands", Verdict.OK, ", ".join(_SCRIPTS))


def _found_elsewhere(name: str, own: Path) -> str | None:
    found = shutil.which(name)
    if found is None or not (own / Path(found).name).exists():
        return None  # it is on no path, or was installed in another way than into an environment's folder
    return None if (own / Path(found).name).samefile(found) else found
