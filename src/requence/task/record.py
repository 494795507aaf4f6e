"""Read-only values that can be read by attribute and by key, in Python's spelling and in the wire's."""

from __future__ import annotations

import inspect
import re
from abc import ABCMeta
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from requence._references import without_objects
from requence.task.persistent import PersistentMap

__all__ = ["Record", "camel_case", "snake_case"]

# At run time records are registered as mappings, not derived: a Mapping's methods must not hide fields of the same
# name. Type checkers only believe in what is derived.
if TYPE_CHECKING:
    _Mapping = Mapping[str, Any]
else:
    _Mapping = object

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")


@lru_cache(maxsize=1024)
def camel_case(name: str) -> str:
    """Returns `task_id` as `taskId`, and a name without underscores as it is."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


@lru_cache(maxsize=1024)
def snake_case(name: str) -> str:
    """Returns `taskId` as `task_id`, and a name without humps as it is."""
    return _HUMP.sub(lambda hump: f"_{hump[0].lower()}", name)


class Record(_Mapping):
    """A read-only value: `record.task_id`, `record.taskId`, `record["task_id"]` and `record["taskId"]` are one.

    The fields of a class are its annotations. A field that the service left out reads as None; a field that the
    class does not know is kept and can be read like the others. What the user's own data is made of (`input`,
    `result`, node data) stays plain and is shared between values, so treat it as read-only too.
    """

    __slots__ = ("__weakref__", "_values")

    _declared: ClassVar[frozenset[str]] = frozenset()
    _wire_spelling: ClassVar[bool] = False  # how iteration spells the fields
    _values: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = (name for name in inspect.get_annotations(cls) if not name.startswith("_"))
        cls._declared = cls._declared | frozenset(own)

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def _find(self, name: str) -> Any:
        """Returns the field's value; raises KeyError if there is no such field."""
        values = self._values
        if name in values:
            return values[name]
        for spelling in (camel_case(name), snake_case(name)):
            if spelling in values:
                return values[spelling]
        if snake_case(name) in self._declared:
            return None
        raise KeyError(name)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]  # nearly always spelt like that
        except (KeyError, TypeError):
            if not isinstance(key, str):
                raise KeyError(key) from None  # as a dict does, not with what the search makes of it
        return self._find(key)

    if not TYPE_CHECKING:  # checkers know the fields from the annotations, and shall report misspelt ones

        def __getattr__(self, name: str) -> Any:
            if name[:1] == "_":  # libraries look for such names often, and in half-made objects
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self)
            try:
                return self[name]
            except KeyError:
                fields = ", ".join(self._attributes())
            raise AttributeError(
                f"{type(self).__name__} has no field {name!r}; it has {fields}", name=name, obj=self
            )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only")

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        known = {snake_case(name) for name in self._values}
        missing = sorted(name for name in self._declared if name not in known)
        yield from (camel_case(name) if self._wire_spelling else name for name in missing)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            self._find(key)
        except KeyError:
            return False
        return True

    def __dir__(self) -> Iterable[str]:
        return {*super().__dir__(), *self._attributes()}

    def _attributes(self) -> list[str]:
        """Returns how Python spells the fields."""
        return list(dict.fromkeys(snake_case(name) for name in self))

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the field's value, or `default` if there is no such field."""
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> KeysView[str]:
        """Returns the names of the fields."""
        return KeysView(self)

    def values(self) -> ValuesView[Any]:
        """Returns the values of the fields."""
        return ValuesView(self)

    def items(self) -> ItemsView[str, Any]:
        """Returns the fields as pairs of name and value."""
        return ItemsView(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain JSON data."""
        return {name: plain(value) for name, value in self.items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.items()) == dict(cast("Mapping[str, Any]", other))

    __hash__ = None  # type: ignore[assignment]  # the data inside is not hashable either

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), ({name: _without_view(value) for name, value in self._values.items()},))


cast("ABCMeta", Mapping).register(Record)


def plain(value: Any) -> Any:
    """Returns a value as plain JSON: records and read-only views turned into dicts, objects into references."""
    if isinstance(value, Record):
        return value.to_dict()
    return without_objects(_without_view(value))


def _without_view(value: Any) -> Any:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, PersistentMap) else value
