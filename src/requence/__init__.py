"""The Python SDK of the Requence task platform.

Start with `requence.task`; `requence.local` is a task server for one machine, for development and tests.
Importing this package opens nothing and imports no HTTP library.
"""

from requence._client import Client, configure
from requence._version import __version__

__all__ = ["Client", "__version__", "configure"]
