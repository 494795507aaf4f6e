"""Files and streams in the input of tasks and in their data.

One rule for the mode: `file.text()` blocks, `await file.aio.text()` does not.
"""

from requence.exceptions import FileUnavailableError, RequenceStreamTruncatedError
from requence.files.callback import RequenceCallback
from requence.files.claim_check import ClaimCheck
from requence.files.file import RequenceFile
from requence.files.stream import RequenceStream

__all__ = [
    "ClaimCheck",
    "FileUnavailableError",
    "RequenceCallback",
    "RequenceFile",
    "RequenceStream",
    "RequenceStreamTruncatedError",
]


def __dir__() -> list[str]:
    # Completion then offers what is public, and not every file of this package.
    return __all__
