"""Events that are read together give the updates and contexts that they give one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from requence.task import Context
from requence.task.persistent import PersistentMap
from requence.task.reading import context_after, read_update, read_updates
from requence.task.updates import BaseUpdate, Update

Event = tuple[int | None, str, dict[str, Any]]

TASK = "task-1"
ALIASES = st.sampled_from(["ocr", "rate", "n3", "n4", None, 7])
NODES = st.one_of(st.none(), st.fixed_dictionaries({"id": st.just("n"), "alias": ALIASES}), st.just("n"))
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "taskId": st.sampled_from([TASK, "sub-task", "", None]),
        "task_id": st.sampled_from([TASK, "sub-task", 3]),
        "type": st.sampled_from(["nodeUpdate", "nodeError", "taskStart", "", 5, None]),
        "node": NODES,
        "data": st.integers(),
        "error": st.text(max_size=3),
        "input": st.integers(),
        "result": st.integers(),
        "context": st.just({"node_data": {"ocr": "of somebody else"}}),
    },
)
NAMES = st.sampled_from(
    ["taskStart", "nodeStart", "nodeUpdate", "nodeError", "nodeEnd", "taskEnd", "newKind"]
)
EVENTS = st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 99)), NAMES, PAYLOADS), max_size=15)


def start() -> Context:
    return Context.at_start(TASK, {"path": "a.pdf"})


def copied(events: list[Event]) -> list[Event]:
    return [(position, name, dict(payload)) for position, name, payload in events]


def shown(update: BaseUpdate) -> tuple[object, ...]:
    return type(update), update.position, update.to_dict(), update.synthetic, update.incomplete


@given(events=EVENTS, sizes=st.lists(st.integers(1, 9), min_size=1), backwards=st.booleans())
def test_in_batches_as_one_by_one(events: list[Event], sizes: list[int], backwards: bool) -> None:
    single, context = list[Update](), start()
    for position, name, payload in copied(events):
        single.append(read_update(name, payload, before=context, position=position))
        context = single[-1].context
    together, after, rest = list[Update](), start(), copied(events)
    skimmed = start()
    while rest:
        batch, rest = rest[: sizes[0]], rest[sizes[0] :]
        sizes = [*sizes[1:], sizes[0]]
        skimmed = context_after(copied(batch), before=skimmed)
        updates, after = read_updates(batch, before=after)
        together += updates
    seen = {at: shown(together[at]) for at in (sorted(range(len(together)), reverse=backwards))}
    assert [seen[at] for at in sorted(seen)] == [shown(update) for update in single]
    assert after.to_dict() == skimmed.to_dict() == context.to_dict()
    assert list(after.node_data) == list(skimmed.node_data) == list(context.node_data)


def test_contexts_are_made_in_any_thread_while_the_log_goes_on() -> None:
    """Two threads ask for the contexts of the same updates while a third reads on: new nodes come all the time."""
    context, waiting = start(), list[Update]()
    read, found = threading.Semaphore(0), dict[int, list[int]]()

    def ask(name: int) -> Callable[[], None]:
        def work() -> None:
            counts = found[name] = []
            for at in range(2000):
                while at >= len(waiting):
                    read.acquire(timeout=0.01)
                counts.append(len(waiting[at].context.node_data))

        return work

    threads = [threading.Thread(target=ask(name)) for name in range(2)]
    for thread in threads:
        thread.start()
    for begin in range(0, 2000, 50):
        events = [
            (n, "nodeUpdate", {"node": {"alias": f"n{n}"}, "data": n}) for n in range(begin, begin + 50)
        ]
        updates, context = read_updates(events, before=context)
        waiting += updates
        read.release(2)
    for thread in threads:
        thread.join(30)
    assert found == {0: list(range(1, 2001)), 1: list(range(1, 2001))}
    assert dict(waiting[41].context.node_data) == {f"n{n}": n for n in range(42)}


def test_contexts_that_are_asked_for_add_nothing_to_what_they_share() -> None:
    """Else two threads that ask for them at the same time would get into each other's way."""
    context = start()
    for begin in range(0, 150, 50):
        events = [(n, "nodeUpdate", {"node": {"alias": f"n{n}"}}) for n in range(begin, begin + 50)]
        updates, context = read_updates(events, before=context)
        shared = cast("PersistentMap[Any]", context.node_data)
        for update in updates:
            nodes = cast("PersistentMap[Any]", update.context.node_data)
            assert nodes._keys is shared._keys
        assert len(shared._keys) == len(shared._numbers) == begin + 50


def test_an_update_that_is_kept_keeps_its_own_context() -> None:
    events = [(n, "nodeUpdate", {"node": {"alias": "ocr"}, "data": n}) for n in range(64)]
    updates, _ = read_updates(events, before=start())
    assert [update.context.get_node_data("ocr") for update in reversed(updates)] == list(range(63, -1, -1))
    assert updates[5].context is updates[5].context
