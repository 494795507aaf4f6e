"""From the caller's input to JSON: what is sent as what, and what is refused with the path to it."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import threading
from collections import ChainMap, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from requence.exceptions import ConfigurationError
from requence.task import Context
from requence.task.encode import encode_input


class Color(Enum):
    RED = "red"
    LATER = date(2026, 1, 31)
    NEVER = object()


class OldColor(str, Enum):  # noqa: UP042 (still written, and its str() is not its value)
    RED = "red"


class NewColor(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Rights(IntFlag):
    READ = 4
    WRITE = 2


class Masked(str):
    """A text that shows something else than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"


class Count(int):
    """A number that shows something else than it is."""

    def __repr__(self) -> str:
        return "many"


class Ratio(float):
    pass


class Scalar:
    """What array libraries call a number: no int or float, but registered as one."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)


@numbers.Integral.register
class Int64(Scalar):
    pass


@numbers.Real.register
class Float32(Scalar):
    pass


class Array:
    def tolist(self) -> list[int]:
        return [1]

    def __iter__(self) -> Iterator[int]:
        return iter([1])


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Item:
    name: str
    day: date
    tags: tuple[str, ...] = ()
    inner: Item | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Nothing:
    pass


@attrs.define
class Box:
    width: int
    label: Color = Color.RED


@attrs.define
class EmptyBox:
    pass


class Model:
    """What a pydantic model looks like from here: its dump may hold what is not JSON yet."""

    def model_dump(self) -> dict[str, Any]:
        return {"day": date(2026, 1, 31), "pair": (1, 2)}


class Money:
    def __init__(self, amount: object) -> None:
        self.amount = amount

    def to_json(self) -> object:
        return {"amount": self.amount, "currency": Color.RED}


@dataclasses.dataclass
class Both:
    x: int

    def to_json(self) -> object:
        return "by its own word"


AS_IS: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**400,
    0.5,
    -0.0,
    1e308,
    "",
    "text",
    "é€😀\u2028\x00",
    [],
    {},
    [1, [2, [3]]],
    {"a": {"b": [None]}, "": 0, "a b": 1, "é": 2},
]


@pytest.mark.parametrize("value", AS_IS)
def test_plain_json_is_sent_as_it_is(value: Any) -> None:
    encoded = encode_input(value)
    assert encoded == value
    assert type(encoded) is type(value)
    assert json.loads(msgspec.json.encode(encoded)) == value


CONVERTED: list[tuple[object, Any]] = [
    ((1, (2,)), [1, [2]]),
    (Point(1, 2), [1, 2]),
    (date(2026, 1, 31), "2026-01-31"),
    (datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC), "2026-01-31T12:00:00.250000+00:00"),
    (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Color.RED, "red"),
    (Color.LATER, "2026-01-31"),
    (OldColor.RED, "red"),
    (NewColor.RED, "red"),
    (Level.HIGH, 3),
    (Rights.READ | Rights.WRITE, 6),
    (Masked("shown"), "shown"),
    (Count(5), 5),
    (Ratio(0.5), 0.5),
    (Int64(7), 7),
    (Float32(0.5), 0.5),
    (Fraction(1, 4), 0.25),
    (MappingProxyType({"a": (1,)}), {"a": [1]}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (UserDict({"a": 1}), {"a": 1}),
    (ChainMap({"a": 1}, {"a": 2, "b": 3}), {"a": 1, "b": 3}),
    ({Masked("key"): 1}, {"key": 1}),
    ({NewColor.RED: 1}, {"red": 1}),
    ({OldColor.RED: 1}, {"red": 1}),
    (
        Item("a", date(2026, 1, 31), ("x",), Item("b", date(2026, 2, 1))),
        {
            "name": "a",
            "day": "2026-01-31",
            "tags": ["x"],
            "inner": {"name": "b", "day": "2026-02-01", "tags": [], "inner": None},
        },
    ),
    (Nothing(), {}),
    (Box(3), {"width": 3, "label": "red"}),
    (EmptyBox(), {}),
    (Model(), {"day": "2026-01-31", "pair": [1, 2]}),
    (Money((1, 2)), {"amount": [1, 2], "currency": "red"}),
    (Money(Money(1)), {"amount": {"amount": 1, "currency": "red"}, "currency": "red"}),
    (Both(1), "by its own word"),
]


@pytest.mark.parametrize(("value", "sent"), CONVERTED)
def test_what_is_converted(value: object, sent: object) -> None:
    encoded = encode_input({"it": [value]})["it"][0]
    assert encoded == sent
    assert type(encoded) is type(sent)
    assert json.loads(msgspec.json.encode(encoded)) == sent


def test_texts_and_numbers_are_sent_as_the_plain_types() -> None:
    """What a subclass shows instead of itself must not reach the encoder of the request."""
    encoded = encode_input([Masked("shown"), Count(5), Ratio(0.5), {Masked("key"): 1}])
    assert [type(item) for item in encoded] == [str, int, float, dict]
    assert {type(key) for key in encoded[3]} == {str}


def test_what_an_earlier_task_left_behind_can_be_the_input_of_the_next() -> None:
    context = Context({"task_id": "t1", "input": {}, "result": [1], "node_data": {"ocr": (1, 2)}})
    assert encode_input(context) == {
        "task_id": "t1",
        "input": {},
        "result": [1],
        "node_data": {"ocr": [1, 2]},
        "node_error": {},
    }


def test_an_encoded_input_is_a_copy() -> None:
    """What the caller changes afterwards is not sent."""
    inner = {"b": [1]}
    original: dict[str, Any] = {"a": inner, "again": inner, "list": [[1]]}
    encoded = encode_input(original)
    before = json.loads(json.dumps(encoded))
    inner["b"].append(2)
    original["list"][0].clear()
    original["new"] = 1
    assert encoded == before
    encoded["a"]["b"].append(3)
    assert encoded["again"] == before["again"]


def test_the_same_object_twice_is_no_cycle() -> None:
    shared = [1]
    assert encode_input([shared, {"a": shared}, (shared, shared)]) == [[1], {"a": [1]}, [[1], [1]]]


def refusal_of(value: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        encode_input(value)
    return caught.value


def a_function() -> None: ...


REFUSED: list[tuple[object, str, str]] = [
    (Path("a.pdf"), f"is a {type(Path()).__name__}, which JSON cannot express", "use str(path)"),
    ({1, 2}, "is a set, which JSON cannot express", "use sorted(…) or list(…)"),
    (frozenset({1}), "is a frozenset, which JSON cannot express", "use sorted(…) or list(…)"),
    (b"x", "is a bytes, which JSON cannot express", "base64"),
    (bytearray(b"x"), "is a bytearray, which JSON cannot express", "base64"),
    (memoryview(b"x"), "is a memoryview, which JSON cannot express", "base64"),
    (Decimal("0.1"), "is a Decimal, which JSON cannot express", "use str(…) to keep every digit"),
    (1j, "is a complex, which JSON cannot express", "convert it"),
    (a_function, "is a function, which JSON cannot express", "functions and classes cannot be sent"),
    (len, "is a builtin_function_or_method,", "functions and classes cannot be sent"),
    (Item, "is a type, which JSON cannot express", "functions and classes cannot be sent"),
    (Money, "is a type, which JSON cannot express", "functions and classes cannot be sent"),
    (Array, "is a type, which JSON cannot express", "functions and classes cannot be sent"),
    (Array(), "is an Array, which JSON cannot express", "use its tolist()"),
    (time(12), "is a time, which JSON cannot express", "use its isoformat()"),
    (timedelta(1), "is a timedelta, which JSON cannot express", "convert it"),
    (range(3), "is a range, which JSON cannot express", "use list(…)"),
    (deque([1]), "is a deque, which JSON cannot express", "use list(…)"),
    ({}.keys(), "is a dict_keys, which JSON cannot express", "use list(…)"),
    ((number for number in (1, 2)), "is a generator, which JSON cannot express", "use list(…)"),
    (object(), "is an object, which JSON cannot express", "a to_json() method, or give the task a default="),
    (threading.Lock(), "is a lock, which JSON cannot express", "convert it"),
    (Color.NEVER, "is an object, which JSON cannot express", "convert it"),
    (math.nan, "is nan, which JSON cannot express", "use None or a text"),
    (math.inf, "is inf, which JSON cannot express", "use None or a text"),
    (-math.inf, "is -inf, which JSON cannot express", "use None or a text"),
    (Float32(math.nan), "is nan, which JSON cannot express", "use None or a text"),
    (Fraction(10**400), "is inf, which JSON cannot express", "use None or a text"),
    ("a\ud800", "has a lone surrogate at index 1, which is no character", "errors='replace'"),
    ({5: 1}, "has the key 5, which is an int: JSON keys are text", "use str(key)"),
    ({None: 1}, "has the key None, which is a NoneType: JSON keys are text", "use str(key)"),
    ({b"x" * 9999: 1}, "which is a bytes: JSON keys are text", "use str(key)"),
    ({Level.HIGH: 1}, "which is a Level: JSON keys are text", "use str(key)"),
    ({"\udc00": 1}, "has a lone surrogate at index 0", "errors='replace'"),
]


@pytest.mark.parametrize(("value", "says", "hint"), REFUSED)
def test_what_is_refused(value: object, says: str, hint: str) -> None:
    error = refusal_of({"items": [0, value]})
    assert str(error).startswith("input.items[1] ")
    assert says in error.message
    assert len(error.message) < 200
    assert error.hint is not None
    assert hint in error.hint


def test_whole_numbers_may_have_as_many_digits_as_python_writes() -> None:
    longest = 10**4300 - 1
    for number in (longest, -longest):
        assert json.loads(msgspec.json.encode(encode_input(number))) == number
    for number in (longest + 1, -longest - 1, 10**9999):
        error = refusal_of({"n": number})
        assert (error.message, error.hint) == ("input.n has more than 4,300 digits", "use a text")


class Unreadable:
    def to_json(self) -> object:
        raise KeyError("price")


class Demanding:
    def model_dump(self, needed: int) -> object:
        return needed


@attrs.define
class HalfMade:
    width: int = attrs.field(init=False)


@pytest.mark.parametrize(
    ("value", "says", "cause"),
    [
        (
            Unreadable(),
            "input.items[1] is an Unreadable, and asking for its content failed: KeyError('price')",
            KeyError,
        ),
        (
            Demanding(),
            "input.items[1] is a Demanding, and asking for its content failed: TypeError",
            TypeError,
        ),
        (
            HalfMade(),
            "input.items[1] is a HalfMade, and asking for its content failed: AttributeError",
            AttributeError,
        ),
    ],
)
def test_an_object_that_cannot_give_its_content(value: object, says: str, cause: type[Exception]) -> None:
    error = refusal_of({"items": [0, value]})
    assert error.message.startswith(says)
    assert isinstance(error.__cause__, cause)


class Vanished(dict[str, Any]):
    def items(self) -> Any:
        raise OSError("the table is gone")


class Unbound:
    """As a proxy is outside of what it stands for."""

    def __getattribute__(self, name: str) -> Any:
        raise LookupError("working outside of a request")


@numbers.Integral.register
class Unknown:
    def __int__(self) -> int:
        raise ArithmeticError("not measured")


class Closed:
    @property
    def to_json(self) -> Any:
        raise OSError("the file is closed")


@pytest.mark.parametrize(
    ("made", "cause"),
    [
        (lambda: Vanished(a=1), OSError("the table is gone")),
        (Unbound, LookupError("working outside of a request")),
        (Unknown, ArithmeticError("not measured")),
        (Closed, OSError("the file is closed")),
    ],
)
def test_an_object_that_fails_when_it_is_looked_at(made: Callable[[], object], cause: Exception) -> None:
    error = refusal_of({"items": [0, made()]})
    assert error.message == f"input.items[1] could not be read: {cause!r}"
    assert repr(error.__cause__) == repr(cause)


def test_a_mapping_that_changes_meanwhile() -> None:
    changing: dict[str, object] = {}

    class Adds:
        def to_json(self) -> int:
            changing["more"] = 1
            return 1

    changing.update(a=Adds(), b=1)
    error = refusal_of({"table": changing})
    assert error.message.startswith("input.table could not be read: RuntimeError('dictionary changed size")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b"", "input"),
        ([b""], "input[0]"),
        ({"items": [0, 1, 2, {"price": b""}]}, "input.items[3].price"),
        ({"a b": {"": b""}}, "input['a b']['']"),
        ({"1": {"x-y": b""}}, "input['1']['x-y']"),
        ({"größe": b""}, "input.größe"),
        ((0, (b"",)), "input[1][0]"),
        (Item(b"", date(2026, 1, 31)), "input.name"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Money({"net": b""}), "input.amount.net"),
        ({OldColor.RED: b""}, "input.red"),
        (MappingProxyType({"a": b""}), "input.a"),
        ({"fine": [1, {"b": 2}], "then": [[], {}, b""]}, "input.then[2]"),
        ([{"fine": Money(1)}, {"then": b""}], "input[1].then"),
    ],
)
def test_errors_name_the_path(value: object, path: str) -> None:
    assert refusal_of(value).message == f"{path} is a bytes, which JSON cannot express"


def test_errors_name_the_input_as_they_are_told_to() -> None:
    with pytest.raises(ConfigurationError, match=r"^inputs\[3\]\.price is nan"):
        encode_input({"price": math.nan}, where="inputs[3]")


def test_long_paths_are_shortened() -> None:
    value: Any = {"x" * 9999: b""}
    for _ in range(400):
        value = [value]
    error = refusal_of(value)
    assert error.message == f"input{'[0]' * 12}… is a bytes, which JSON cannot express"
    assert len(refusal_of({"y" * 9999: {"z " * 9999: b""}}).message) < 200


def test_cycles_are_refused() -> None:
    by_list: list[Any] = [1]
    by_list.append({"again": by_list})
    assert refusal_of(by_list).message == "input[1].again contains itself, and JSON cannot express that"

    by_dict: dict[str, Any] = {}
    by_dict["me"] = (by_dict,)
    assert (
        refusal_of({"top": by_dict}).message
        == "input.top.me[0] contains itself, and JSON cannot express that"
    )

    item = Item("a", date(2026, 1, 31))
    item.inner = item
    assert refusal_of(item).message == "input.inner contains itself, and JSON cannot express that"


def plainly(value: object) -> object:
    """A `default` as for `json.dumps`: what it cannot convert it refuses with a TypeError."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(cast("set[int]", value))
    if isinstance(value, Path):
        return {"path": value.as_posix()}
    if isinstance(value, complex):
        return (value.real, Decimal(str(value.imag)))  # which needs converting, too
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("0.10"), "0.10"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({Level.HIGH}), [3]),
        (Path("a/b.pdf"), {"path": "a/b.pdf"}),
        (1 + 2j, [1.0, "2.0"]),
        ([Money(Decimal(5)), {"at": (Decimal(1),)}], [{"amount": "5", "currency": "red"}, {"at": ["1"]}]),
    ],
)
def test_default_converts_what_json_cannot_express(value: object, sent: object) -> None:
    assert encode_input({"it": [value]}, default=plainly) == {"it": [sent]}


def test_default_is_asked_about_nothing_that_can_be_sent() -> None:
    """Nor about keys and numbers: there is no object to convert, and what is wrong with them is told as ever."""

    def never(value: object) -> object:
        raise AssertionError(value)

    for value in AS_IS:
        assert encode_input(value, default=never) == value
    for value, sent in CONVERTED:
        assert encode_input(value, default=never) == sent
    for wrong in ({5: 1}, math.nan, "\ud800", 10**9999):
        with pytest.raises(ConfigurationError) as caught:
            encode_input(wrong, default=never)
        assert caught.value.message == refusal_of(wrong).message


FAILING_DEFAULTS: list[tuple[object, Callable[[Any], object], str, type[Exception] | None]] = [
    (
        [b"x"],
        plainly,
        "input[0] is a bytes, which JSON cannot express, and `default` failed on it: TypeError('Object of",
        TypeError,
    ),
    (
        {"a": [0, Money(b"x")]},
        plainly,
        "input.a[1].amount is a bytes, which JSON cannot express, and `default` failed",
        TypeError,
    ),
    (
        {"a": b"x"},
        lambda value: value,
        "input.a is a bytes, which JSON cannot express, and `default` gave it back as it is",
        None,
    ),
    ({"a": b"x"}, lambda value: {"b": [math.nan]}, "input.a.b[0] is nan, which JSON cannot", None),
    ({"a": b"x"}, lambda value: {5: 1}, "input.a has the key 5", None),
    ([b"x"], lambda value: [value], "input[0][0] contains itself, and JSON cannot express that", None),
    ([b"x"], lambda value: [value + b"x"], f"input{'[0]' * 12}… is nested more than 500 levels", None),
]


@pytest.mark.parametrize(("value", "default", "says", "cause"), FAILING_DEFAULTS)
def test_errors_of_default_name_the_path(
    value: object, default: Callable[[Any], object], says: str, cause: type[Exception] | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        encode_input(value, default=default)
    assert caught.value.message.startswith(says)
    assert type(caught.value.__cause__) is (cause or type(None))


class Endless:
    """Every answer is a new object, so that no identity tells the cycle."""

    def to_json(self) -> object:
        return Endless()


def in_list(value: Any) -> list[Any]:
    return [value]


def in_dict(value: Any) -> dict[str, Any]:
    return {"a": value}


def in_tuple(value: Any) -> tuple[Any]:
    return (value,)


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [in_list, in_dict, in_tuple])
def test_depth_is_limited(wrap: Callable[[Any], Any]) -> None:
    deepest = nested(500, wrap)
    assert msgspec.json.decode(msgspec.json.encode(encode_input(deepest))) == encode_input(deepest)
    for levels in (501, 100_000):
        assert refusal_of(nested(levels, wrap)).message.endswith("… is nested more than 500 levels deep")


def test_endless_objects_are_refused() -> None:
    assert refusal_of(Endless()).message == "input is nested more than 500 levels deep"


def test_a_stack_that_is_nearly_used_up_gives_a_clear_error_too() -> None:
    """A caller may be deep in a recursion of its own."""
    value = nested(400, in_list)

    def call_at(depth: int) -> None:
        if depth:
            call_at(depth - 1)
        else:
            refused.append(refusal_of(value))

    refused: list[ConfigurationError] = []
    call_at(700)
    assert refused[0].message == "input is nested too deep for the stack that is left"


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain_json)
def test_plain_json_arrives_unchanged(value: Any) -> None:
    encoded = encode_input(value)
    assert encoded == value
    assert msgspec.json.decode(msgspec.json.encode(encoded)) == value


anything = st.recursive(
    st.none()
    | st.text(st.characters())
    | st.floats()
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
        | st.builds(Money, inner)
    ),
)


@given(anything)
def test_whatever_comes_in_is_encoded_or_refused_by_its_path(value: Any) -> None:
    refused, encoded = None, None
    try:
        encoded = encode_input(value)
    except ConfigurationError as error:
        refused = error
    assert json.loads(msgspec.json.encode(encoded)) == encoded
    assert refused is None or refused.message.startswith("input")
