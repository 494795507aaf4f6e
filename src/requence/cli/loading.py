"""Imports what the user names: a Python file, a folder of them, a module or a package."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["LoadError", "load_modules"]


class LoadError(Exception):
    """There is no such file or module; the message says what was looked for."""


def load_modules(target: str) -> list[ModuleType]:
    """Imports a file (`tasks.py`), a folder (`tasks/`), a module (`package.tasks`) or a package.

    As with `python FILE` and `python -m MODULE`, imports inside find what lies beside the file, or in the
    current directory. Of a folder, every `.py` file is imported whose name does not begin with `_`; of a package,
    whether named by its folder or its name, every module in it, at any depth, except `__main__`.

    Raises:
        LoadError: There is no such file, folder or module.
    """
    path = Path(target)
    if path.is_dir():
        return _load_folder(path)
    if path.suffix == ".py" or path.is_file() or "/" in target or "\\" in target:
        return [_load_file(path)]
    return _with_submodules(_load_named(target))


def _load_folder(folder: Path) -> list[ModuleType]:
    if not (folder / "__init__.py").is_file():
        files = sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))
        return [_load_file(file) for file in files]
    root, names = folder.resolve(), list[str]()
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    sys.path.insert(0, str(root))
    return _with_submodules(importlib.import_module(".".join(names)))


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    names = (
        info.name for info in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}.")
    )
    # Each is imported here before the walk goes into it, which would keep the errors of packages to itself.
    return [module, *(importlib.import_module(name) for name in names if not name.endswith(".__main__"))]


def _load_named(target: str) -> ModuleType:
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
    known = sys.modules.get(path.stem)
    if known is not None and _is_of(known, path):  # a file beside it has imported it: its templates are these
        return known
    name = path.stem if known is None else f"_requence_local_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_of(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path.resolve()
