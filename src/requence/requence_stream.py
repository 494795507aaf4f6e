"""The name under which the published SDK has `RequenceStream`: the same class as in `requence.files`."""

from requence.files import RequenceStream

__all__ = ["RequenceStream"]


def __dir__() -> list[str]:
    return __all__
