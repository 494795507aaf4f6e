"""Imports what the user names: a Python file or a module."""

from __future__ import annotations

import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["LoadError", "load_module"]


class LoadError(Exception):
    """There is no such file or module; the message says what was looked for."""


def load_module(target: str) -> ModuleType:
    """Imports a file (`tasks.py`, `some/tasks.py`) or a module (`package.tasks`).

    As with `python FILE` and `python -m MODULE`, imports inside find what lies beside the file, or in the
    current directory.

    Raises:
        LoadError: There is no such file or module.
    """
    path = Path(target)
    if path.suffix == ".py" or path.is_file() or "/" in target or "\\" in target:
        return _load_file(path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(target)
    except ModuleNotFoundError as error:
        # Only what was asked for; a module that is missing inside of it is the user's own error to see.
        if error.name is not None and (target == error.name or target.startswith(f"{error.name}.")):
            raise LoadError(f"There is no file and no module named {target}") from None
        raise
    except (TypeError, ValueError):
        if target.isidentifier():
            raise
        raise LoadError(f"{target!r} is neither a file nor the name of a module") from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"There is no file {path}")
    name = path.stem if path.stem not in sys.modules else f"_requence_local_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
