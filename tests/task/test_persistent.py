"""The mapping behind `node_data` and `node_error`: every version stays as it was."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requence.task.persistent import PersistentMap

KEYS = st.integers(0, 80).map(str)


@given(changes=st.lists(st.tuples(KEYS, st.integers()), max_size=200), data=st.data())
@settings(max_examples=200, deadline=None)
def test_versions_are_like_copies_of_a_dict(changes: list[tuple[str, int]], data: st.DataObject) -> None:
    """Also where a version is made from an older one than the last."""
    versions: list[PersistentMap[int]] = [PersistentMap()]
    models: list[dict[str, int]] = [{}]
    for key, value in changes:
        at = data.draw(st.integers(0, len(versions) - 1)) if data.draw(st.booleans()) else len(versions) - 1
        versions.append(versions[at].with_item(key, value))
        models.append(models[at] | {key: value})
    for version, model in zip(versions, models, strict=True):
        assert version == model
        assert list(version.items()) == list(model.items())
        assert len(version) == len(model)
        assert not any(str(key) in version for key in range(81) if str(key) not in model)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1023, 1024, 1025, 33_000])
def test_every_height_of_the_tree(size: int) -> None:
    items = {f"key {number}": number for number in range(size)}
    grown = PersistentMap(items)
    for key in list(items)[:: max(1, size // 50)]:
        grown = grown.with_item(key, -1)
        items[key] = -1
    assert grown == items
    assert list(grown) == list(items)
    with pytest.raises(KeyError):
        grown["another"]


def test_it_is_a_mapping_that_cannot_be_changed() -> None:
    one: Mapping[str, int] = PersistentMap({"a": 1})
    assert isinstance(one, Mapping)
    assert one.get("b", 7) == 7
    assert repr(one) == "{'a': 1}"
    with pytest.raises(TypeError):
        one["a"] = 2  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(AttributeError):
        one.more = 2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert type(other) is PersistentMap
        assert other == one


def test_a_version_holds_only_what_it_shares() -> None:
    """Who keeps the first of 100,000 snapshots does not keep the values of the others."""
    first = last = PersistentMap({"a": b"", "b": b""})
    tracemalloc.start()
    try:
        for number in range(100_000):
            last = last.with_item("a", b"x" * 100 + number.to_bytes(4))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert first["a"] == b""
    assert len(last["a"]) == 104
    assert held < 10_000, held
