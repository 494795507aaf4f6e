"""A mapping of which each version is kept by sharing: a new one costs little, an old one stays as it was. Pure.

A task of a thousand nodes gives thousands of updates, each with the data of all nodes so far. Copies would cost
the square of that in time and, with a buffer full of updates, in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from requence._brief import brief

__all__ = ["PersistentMap"]

V = TypeVar("V")

_BITS = 5
_WIDTH = 1 << _BITS


class PersistentMap(Mapping[str, V]):
    """A read-only mapping in the order of insertion.

    The values lie in a tree of tuples, at the number that their key got when it came; a new version shares all
    tuples but those on the way to its change. The numbers are shared by all versions, each of which counts only as
    many keys as it has.
    """

    __slots__ = ("_height", "_keys", "_numbers", "_root", "_size")

    def __init__(self, values: Mapping[str, V] | None = None) -> None:
        """Makes the first version, with some values."""
        self._keys: list[str] = []
        self._numbers: dict[str, int] = {}
        self._size = 0
        self._root: tuple[Any, ...] = ()
        self._height = 0  # in bits: how many of a number's lowest bits are decided below the root
        for key, value in (values or {}).items():
            self._keys.append(key)
            self._numbers[key] = self._size
            self._set(self._size, value)

    def with_item(self, key: str, value: V) -> PersistentMap[V]:
        """Returns a version with one item more, or with another value of it.

        In one thread at a time, but for items that an earlier call has given to a version of the same keys. Those
        add nothing to what versions share; an empty version shares, too, so that this holds from the first on.
        """
        other: PersistentMap[V] = self.__new__(type(self))
        other._keys, other._numbers = self._keys, self._numbers
        other._size, other._root, other._height = self._size, self._root, self._height
        number = self._numbers.get(key)
        if number is None or number > self._size:
            if self._size != len(self._keys):  # keys of another version are not ours
                other._keys = self._keys[: self._size]
                other._numbers = {known: number for number, known in enumerate(other._keys)}
            number = self._size
            other._keys.append(key)
            other._numbers[key] = number
        other._set(number, value)
        return other

    def _set(self, number: int, value: V) -> None:
        """Sets the value of a key, which may be the first that has none yet."""
        if number == self._size:
            if number >> self._height >= _WIDTH:
                self._root, self._height = (self._root,), self._height + _BITS
            self._size += 1
        self._root = _replaced(self._root, self._height, number, value)

    def __getitem__(self, key: str) -> V:
        number = self._numbers[key]
        if number >= self._size:
            raise KeyError(key)
        node: Any = self._root
        for height in range(self._height, -1, -_BITS):
            node = node[number >> height & _WIDTH - 1]
        found: V = node
        return found

    def __iter__(self) -> Iterator[str]:
        return islice(self._keys, self._size)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return brief({key: self[key] for key in islice(self, 10)}, 150)

    def __reduce__(self) -> tuple[Any, ...]:
        return PersistentMap, (dict(self),)


def _replaced(node: tuple[Any, ...], height: int, number: int, value: object) -> tuple[Any, ...]:
    """Returns a tree with another value at `number`, which may be the first free one."""
    at = number >> height & _WIDTH - 1
    if height:
        value = _replaced(node[at] if at < len(node) else (), height - _BITS, number, value)
    return (*node[:at], value, *node[at + 1 :])
