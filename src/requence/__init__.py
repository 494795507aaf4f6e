"""The Python SDK of the Requence task platform.

Start with `requence.task`; `requence.local` is a task server for one machine, for development and tests.
Importing this package opens nothing and imports no HTTP library.
"""

from typing import TYPE_CHECKING

from requence._client import Client, configure
from requence._version import __version__

if TYPE_CHECKING:
    from requence.task.functions import flush

__all__ = ["Client", "__version__", "configure", "flush"]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in ("exceptions", "files", "local", "task") if name in globals())]


def __getattr__(name: str) -> object:
    if name == "flush":  # whoever only wants `requence.local` does not import the client
        from requence.task.functions import flush

        return flush
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
