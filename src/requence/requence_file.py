"""The name under which the published SDK has `RequenceFile`: the same class as in `requence.files`."""

from requence.files import RequenceFile

__all__ = ["RequenceFile"]


def __dir__() -> list[str]:
    return __all__
