"""Updates and contexts as values: every way to read them, and what folding an event into them does."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.local.contract import fits

from requence.task import Context
from requence.task.persistent import PersistentMap
from requence.task.reading import read_update
from requence.task.record import camel_case, snake_case
from requence.task.result import TaskResult
from requence.task.updates import (
    BaseUpdate,
    NodeDefer,
    NodeEnd,
    NodeError,
    NodeStart,
    NodeUpdate,
    TaskAborted,
    TaskEnd,
    TaskError,
    TaskStart,
    UnknownUpdate,
    Update,
)

TASK = "7f0c2b52-8e6f-4f6e-8c1b-0d6f5a1f9a01"
SUB_TASK = "0b9a8f4e-3f0c-4a57-9a2e-6a1f6f0e7c02"
OCR = {"id": "9a1e", "type": "service", "alias": "ocr"}
NAMELESS = {"id": "9a1f", "type": "logic"}

START = Context.at_start(TASK, {"path": "a.pdf"})
PAYLOAD: dict[str, Any] = {
    "timestamp": "2026-01-31T12:00:00.250Z",
    "taskId": TASK,
    "updateId": "c1d2",
    "name": "Import",
    "node": OCR,
    "data": {"text": "hi"},
    "output": None,
}


def update_of(kind: str, /, **payload: Any) -> Update:
    return read_update(kind, payload, before=START)


def node_update(**changes: Any) -> NodeUpdate:
    update = read_update("nodeUpdate", {**PAYLOAD, **changes}, before=START, position=3)
    assert isinstance(update, NodeUpdate)
    return update


def folded(*events: tuple[str, dict[str, Any]]) -> list[Update]:
    """Reads events one after the other, as a stream does."""
    updates: list[Update] = []
    context = START
    for name, payload in events:
        updates.append(read_update(name, payload, before=context))
        context = updates[-1].context
    return updates


# Reading an update


def test_an_update_by_key() -> None:
    update = node_update()
    assert update["type"] == "nodeUpdate"
    assert update["taskId"] == update["task_id"] == TASK
    assert update["updateId"] == update["update_id"] == "c1d2"
    assert update["timestamp"] == "2026-01-31T12:00:00.250Z"
    assert update["name"] == "Import"
    assert update["node"].get("alias") == "ocr"
    assert update["data"] == {"text": "hi"}
    assert update["context"] is update.context


def test_an_update_by_attribute() -> None:
    update = node_update()
    assert update.type == "nodeUpdate"
    assert type(update.type) is str
    assert update.task_id == update.taskId == TASK
    assert update.update_id == update.updateId == "c1d2"
    assert update.root_task_id is update.rootTaskId is None
    assert update.node["id"] == "9a1e"
    assert update.data == {"text": "hi"}
    assert update.output is None
    assert update.position == 3
    assert update.synthetic is False


def test_a_node_without_an_alias_is_named_by_its_id() -> None:
    update = node_update(node=NAMELESS)
    assert update["node"].get("alias", update["node"]["id"]) == "9a1f"


def test_get() -> None:
    update = update_of("taskAborted", reason="enough")
    assert update.get("reason") == "enough"
    assert update.get("rootTaskId") is None
    assert update.get("nothing") is None
    assert update.get("nothing", "else") == "else"


@pytest.mark.parametrize(
    "key", ["type", "taskId", "task_id", "context", "node", "rootTaskId", "root_task_id"]
)
def test_fields_are_in(key: str) -> None:
    assert key in node_update()


@pytest.mark.parametrize("key", ["reason", "Type", "TASK_ID", "position", "_context", "_type", "", 5, None])
def test_other_things_are_not_in(key: object) -> None:
    update = node_update()
    assert key not in update
    assert update.get(key, "default") == "default"  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(KeyError) as caught:
        update[key]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    assert caught.value.args == (key,)


def test_iteration_gives_every_field_once_in_the_spelling_of_the_wire() -> None:
    update = node_update()
    fields = list(update)
    assert fields[:2] == ["context", "type"]
    assert sorted(fields) == sorted(["context", "type", "rootTaskId", *PAYLOAD])
    assert len(update) == len(fields) == len(set(fields))
    assert list(update.keys()) == fields
    assert list(update.values()) == [update[field] for field in fields]
    assert list(update.items()) == [(field, update[field]) for field in fields]


def test_an_update_is_a_mapping() -> None:
    update = node_update()
    assert isinstance(update, Mapping)
    assert dict(update) == {**PAYLOAD, "type": "nodeUpdate", "rootTaskId": None, "context": update.context}
    assert {**update} == dict(update)
    assert update.keys() >= {"type", "taskId"}


def test_matching_by_keys() -> None:
    match node_update():
        case {"type": "nodeUpdate", "node": {"alias": alias}, "task_id": task_id, "taskId": same}:
            assert (alias, task_id, same) == ("ocr", TASK, TASK)
        case _:
            pytest.fail("the update was not recognized")


def test_matching_by_keys_with_a_rest() -> None:
    """The rest is what iteration gives, so here the keys are to be spelt as there."""
    match node_update():
        case {"type": "nodeUpdate", "taskId": task_id, **rest}:
            assert task_id == TASK
            assert rest["data"] == {"text": "hi"}
            assert "taskId" not in rest
        case _:
            pytest.fail("the update was not recognized")


def test_matching_by_class() -> None:
    update = update_of("nodeUpdate", **PAYLOAD)
    match update:
        case NodeUpdate(node={"alias": alias}, data=data):
            assert (alias, data) == ("ocr", {"text": "hi"})
        case _:
            pytest.fail("the update was not recognized")


def test_matching_by_type() -> None:
    match node_update()["type"]:
        case "nodeUpdate":
            pass
        case other:
            pytest.fail(f"{other!r} is not plain text")


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("taskStart", TaskStart),
        ("nodeStart", NodeStart),
        ("nodeUpdate", NodeUpdate),
        ("nodeError", NodeError),
        ("nodeDefer", NodeDefer),
        ("nodeEnd", NodeEnd),
        ("taskEnd", TaskEnd),
        ("taskError", TaskError),
        ("taskAborted", TaskAborted),
        ("nodePaused", UnknownUpdate),
        ("TaskEnd", UnknownUpdate),
        ("", UnknownUpdate),
    ],
)
def test_each_kind_has_its_class(type: str, kind: type[BaseUpdate]) -> None:
    update = update_of(type)
    assert update.__class__ is kind
    assert update.type == type


@pytest.mark.parametrize(
    ("type", "optional"),
    [
        ("taskStart", ["input"]),
        ("nodeStart", ["node"]),
        ("nodeUpdate", ["node", "data", "output"]),
        ("nodeError", ["node", "error"]),
        ("nodeDefer", ["node", "reason"]),
        ("taskEnd", ["result", "exit", "requireAck", "require_ack"]),
        ("taskError", ["reason", "requireAck"]),
        ("taskAborted", ["reason", "requireAck"]),
    ],
)
def test_what_the_service_left_out_reads_as_none(type: str, optional: list[str]) -> None:
    update = update_of(type)
    for field in ["timestamp", "updateId", "rootTaskId", "name", *optional]:
        assert update[field] is None
        assert getattr(update, field) is None
        assert field in update


def test_unknown_fields_are_kept() -> None:
    update = node_update(retryAfter=3, page_count=7)
    for spelling in ("retryAfter", "retry_after"):
        assert update[spelling] == 3
        assert getattr(update, spelling) == 3
    for spelling in ("pageCount", "page_count"):
        assert update[spelling] == 7
        assert getattr(update, spelling) == 7
    assert update.to_dict(context=False)["retryAfter"] == 3
    assert update.to_dict(context=False)["page_count"] == 7


def test_unknown_updates_can_be_read_like_the_others() -> None:
    update = update_of("nodePaused", node=OCR, untilTime="noon")
    assert isinstance(update, UnknownUpdate)
    assert update.node == OCR
    assert update.until_time == update["untilTime"] == "noon"
    assert update.context is START


@pytest.mark.parametrize("name", ["get", "keys", "items", "values", "to_dict", "position", "synthetic"])
def test_a_field_named_like_one_of_our_own_is_reachable_by_key(name: str) -> None:
    update = node_update(**{name: "theirs"})
    assert update[name] == "theirs"
    assert getattr(update, name) != "theirs"
    assert dict(update)[name] == "theirs"


def test_fields_win_over_the_methods_of_mappings() -> None:
    """Nothing that a Mapping might bring along hides a field."""
    update = update_of("taskEnd", result={"pages": 2}, pop="p", update="u")
    assert update["result"] == {"pages": 2}
    assert getattr(update, "pop") == "p"  # noqa: B009 (no declared field)
    assert getattr(update, "update") == "u"  # noqa: B009


# Read-only


@pytest.mark.parametrize("name", ["type", "data", "context", "position", "_values", "brand_new"])
def test_attributes_cannot_be_set_or_deleted(name: str) -> None:
    update = node_update()
    with pytest.raises(AttributeError, match="read-only"):
        setattr(update, name, 1)
    with pytest.raises(AttributeError, match="read-only"):
        delattr(update, name)
    assert update == node_update()


def test_items_cannot_be_set_or_deleted() -> None:
    values: list[Any] = [node_update(), START, START.node_data, START.node_error]
    for value in values:
        with pytest.raises(TypeError):
            value["type"] = 1
        with pytest.raises(TypeError):
            del value["type"]


def test_the_payload_given_is_not_changed() -> None:
    payload = {**PAYLOAD, "type": "nodeUpdate", "context": "theirs"}
    before = copy.deepcopy(payload)
    update = read_update("nodeUpdate", payload, before=START)
    payload["data"] = "changed"
    assert update["data"] == before["data"]
    payload["data"] = before["data"]
    assert payload == before


def test_records_are_not_hashable() -> None:
    """Like the dicts they stand for: what is inside is not hashable either."""
    for value in (node_update(), START):
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


# Misspelt names


def test_a_misspelt_attribute_says_which_there_are() -> None:
    update: Any = update_of("taskAborted", reason="enough")
    with pytest.raises(AttributeError) as caught:
        _ = update.resaon
    message = str(caught.value)
    assert message.startswith("TaskAborted has no field 'resaon'; it has ")
    for field in ("reason", "task_id", "context", "require_ack"):
        assert field in message
    assert (caught.value.name, caught.value.obj) == ("resaon", update)  # of which Python makes a suggestion


def test_hasattr_and_getattr_work() -> None:
    update = node_update()
    assert hasattr(update, "data")
    assert hasattr(update, "taskId")
    assert not hasattr(update, "reason")
    assert not hasattr(update, "")
    assert not hasattr(update, "Type")
    assert not hasattr(update, "__html__")
    assert getattr(update, "reason", "default") == "default"


def test_dir_lists_the_fields() -> None:
    names = dir(node_update(retryAfter=3))
    assert {"type", "task_id", "context", "data", "retry_after", "to_dict", "position"} <= set(names)


def test_a_half_made_record_has_no_attributes_instead_of_endless_recursion() -> None:
    """Libraries that rebuild objects look at them before they are filled."""
    assert not hasattr(Context.__new__(Context), "node_data")


# Spellings


@pytest.mark.parametrize(
    ("snake", "camel"),
    [
        ("task_id", "taskId"),
        ("root_task_id", "rootTaskId"),
        ("type", "type"),
        ("a_b_c", "aBC"),
        ("v2_id", "v2Id"),
    ],
)
def test_spellings(snake: str, camel: str) -> None:
    assert camel_case(snake) == camel
    assert camel_case(camel) == camel
    assert snake_case(snake) == snake


def test_snake_case_leaves_alone_what_is_no_hump() -> None:
    assert [snake_case(name) for name in ("taskId", "URL", "Type", "taskURL")] == [
        "task_id",
        "URL",
        "Type",
        "task_uRL",
    ]


@given(st.from_regex(r"\A[a-z]{2,5}(_[a-z]{2,5}){0,3}\Z"), st.integers())
def test_both_spellings_read_the_same(name: str, value: int) -> None:
    for sent in (name, camel_case(name)):
        update = update_of("other", **{sent: value})
        assert update[name] == update[camel_case(name)] == update[sent]


# From an event to an update


def test_a_type_in_the_payload_wins_over_the_name_of_the_event() -> None:
    update = update_of("message", type="taskEnd", result=1)
    assert isinstance(update, TaskEnd)
    assert update.type == "taskEnd"
    assert update.context.result == 1


@pytest.mark.parametrize("type", [None, 5, "", ["taskEnd"]])
def test_a_type_that_is_no_name_does_not_win(type: object) -> None:
    update = update_of("taskEnd", type=type)
    assert isinstance(update, TaskEnd)
    assert update["type"] == "taskEnd"


def test_a_context_in_the_payload_never_replaces_ours() -> None:
    update = node_update(context={"task_id": "theirs", "result": "theirs"})
    assert update.context.task_id == TASK
    assert update["context"] is dict(update)["context"] is update.context
    assert update.to_dict()["context"]["task_id"] == TASK
    assert list(update).count("context") == 1


@pytest.mark.parametrize(
    "payload", [{}, {"taskId": None}, {"taskId": ""}, {"taskId": 5}, {"task_id": None}, {"task_id": 5}]
)
def test_an_event_that_names_no_task_is_the_tasks_own(payload: dict[str, Any]) -> None:
    update = read_update("taskEnd", {**payload, "result": 1}, before=START)
    assert update.task_id == update["taskId"] == update["task_id"] == TASK
    assert update.context.result == 1


@pytest.mark.parametrize("spelling", ["taskId", "task_id"])
def test_the_id_is_understood_in_both_spellings(spelling: str) -> None:
    update = read_update("taskEnd", {spelling: SUB_TASK}, before=START)
    assert update["taskId"] == update["task_id"] == update.task_id == SUB_TASK


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        ("taskStart", {"input": "theirs"}),
        ("nodeUpdate", {"node": OCR, "data": "theirs"}),
        ("nodeError", {"node": OCR, "error": "theirs"}),
        ("taskEnd", {"result": "theirs"}),
        ("taskError", {"reason": "theirs"}),
    ],
)
def test_events_of_a_sub_task_leave_the_context_alone(type: str, payload: dict[str, Any]) -> None:
    update = read_update(type, {**payload, "taskId": SUB_TASK, "rootTaskId": TASK}, before=START)
    assert update.type == type
    assert update.task_id == SUB_TASK
    assert update.root_task_id == update["rootTaskId"] == update["root_task_id"] == TASK
    assert update.context is START


def test_synthetic_updates_say_so() -> None:
    assert read_update("taskEnd", {}, before=START, synthetic=True).synthetic is True


# Folding


def test_the_input_of_the_start_replaces_what_the_caller_passed() -> None:
    assert update_of("taskStart", input={"path": "b.pdf"}).context.input == {"path": "b.pdf"}
    assert update_of("taskStart", input=None).context.input is None
    assert update_of("taskStart").context.input == {"path": "a.pdf"}


def test_node_data_and_errors_are_kept_by_alias_and_the_last_wins() -> None:
    last = folded(
        ("nodeUpdate", {"node": OCR, "data": 1}),
        ("nodeUpdate", {"node": {"id": "2", "alias": "sum"}, "data": None}),
        ("nodeError", {"node": OCR, "error": "first"}),
        ("nodeUpdate", {"node": OCR, "data": 2, "output": "pdf"}),
        ("nodeError", {"node": OCR, "error": "second"}),
    )[-1].context
    assert last["node_data"] == last.node_data == last["nodeData"] == {"ocr": 2, "sum": None}
    assert last["node_error"] == last.node_error == {"ocr": "second"}
    assert last.get_node_data("ocr") == 2
    assert last.get_node_data("sum", "default") is None
    assert last.get_node_data("nobody") is None
    assert last.get_node_data("nobody", "default") == "default"
    assert last.get_node_error("ocr") == "second"
    assert last.get_node_error("sum", "default") == "default"
    assert last["node_data"].get("nobody") is None


@pytest.mark.parametrize(
    "node", [NAMELESS, {**NAMELESS, "alias": None}, {**NAMELESS, "alias": 5}, None, "ocr", ["ocr"], {}]
)
@pytest.mark.parametrize("type", ["nodeUpdate", "nodeError"])
def test_nodes_without_an_alias_leave_the_context_alone(type: str, node: object) -> None:
    update = update_of(type, node=node, data=1, error="no")
    assert update.context is START
    assert update["node"] == node
    assert repr(update)


@pytest.mark.parametrize(
    "type", ["nodeStart", "nodeDefer", "nodeEnd", "taskError", "taskAborted", "nodePaused"]
)
def test_other_events_leave_the_context_alone(type: str) -> None:
    assert update_of(type, node=OCR, data=1, error="e", reason="r", result="r", input="i").context is START


def test_the_result_is_there_from_the_end_on() -> None:
    first, last = folded(("nodeEnd", {"node": OCR}), ("taskEnd", {"result": {"pages": 2}, "exit": None}))
    assert first.context.result is None
    assert first["context"]["result"] is None
    assert last.context.result == last["context"]["result"] == {"pages": 2}


def test_every_update_has_its_own_snapshot_that_never_changes() -> None:
    events: list[tuple[str, dict[str, Any]]] = [
        ("nodeUpdate", {"node": {"id": "1", "alias": f"n{i % 3}"}, "data": i}) for i in range(9)
    ]
    seen: list[dict[str, Any]] = []
    updates: list[Update] = []
    context = START
    for name, payload in [*events, ("taskEnd", {"result": 8})]:
        updates.append(read_update(name, payload, before=context))
        context = updates[-1].context
        seen.append(json.loads(json.dumps(context.to_dict())))
    assert [update.context.to_dict() for update in updates] == seen
    assert dict(START.node_data) == {}
    assert [dict(update.context.node_data) for update in updates[:4]] == [
        {"n0": 0},
        {"n0": 0, "n1": 1},
        {"n0": 0, "n1": 1, "n2": 2},
        {"n0": 3, "n1": 1, "n2": 2},
    ]


def test_the_users_own_data_is_plain_and_shared_between_snapshots() -> None:
    """Copying it for every update would cost the square of the stream's length."""
    data = {"text": "hi"}
    first, second = folded(("nodeUpdate", {"node": OCR, "data": data}), ("nodeEnd", {"node": OCR}))
    assert type(first["data"]) is dict
    assert first["data"] is data
    assert first.context.node_data["ocr"] is second.context.node_data["ocr"] is data
    assert second.context.input is START.input


# A context


def test_a_context_by_key_and_by_attribute() -> None:
    context: Context = node_update()["context"]
    assert type(context) is Context
    assert isinstance(context, Mapping)
    assert context["task_id"] == context["taskId"] == context.task_id == TASK
    assert context["input"] == context.input == {"path": "a.pdf"}
    assert context["result"] is context.result is None
    assert context["node_data"]["ocr"] == {"text": "hi"}
    assert context["node_error"] == {}
    assert list(context) == ["task_id", "input", "result", "node_data", "node_error"]
    with pytest.raises(KeyError):
        context["node_data"]["nobody"]


def test_a_context_without_maps_has_empty_ones() -> None:
    context = Context({"task_id": TASK, "node_data": None})
    assert context.node_data == context.node_error == {}
    assert context.input is None


def test_a_context_does_not_follow_the_maps_it_was_made_of() -> None:
    data = {"ocr": 1}
    context = Context({"task_id": TASK, "node_data": data})
    data["ocr"] = 2
    assert context.node_data["ocr"] == 1


# To plain data


def test_to_dict_is_plain_json() -> None:
    update = node_update()
    plain = update.to_dict()
    assert plain == {
        **PAYLOAD,
        "type": "nodeUpdate",
        "rootTaskId": None,
        "context": {
            "task_id": TASK,
            "input": {"path": "a.pdf"},
            "result": None,
            "node_data": {"ocr": {"text": "hi"}},
            "node_error": {},
        },
    }
    assert json.loads(json.dumps(plain)) == plain
    assert type(plain["context"]) is type(plain["context"]["node_data"]) is dict


def test_to_dict_without_the_context() -> None:
    plain = node_update().to_dict(context=False)
    assert plain == {**PAYLOAD, "type": "nodeUpdate", "rootTaskId": None}
    assert json.loads(json.dumps(plain)) == plain


def test_a_relayed_update_reads_the_same_again() -> None:
    update = node_update()
    again = read_update("relayed", update.to_dict(context=False), before=START)
    assert again == update
    assert again.context == update.context


def test_changing_the_plain_form_does_not_change_the_value() -> None:
    context = node_update().context
    context.to_dict()["node_data"]["ocr"] = "changed"
    assert context.node_data["ocr"] == {"text": "hi"}


# Copies and equality

RESULT = TaskResult({**dict(START.items()), "node_data": {"ocr": 1}, "result": [1], "task_url": "http://h/t"})


@pytest.mark.parametrize(
    "value", [node_update(), update_of("nodePaused", node=OCR), node_update().context, RESULT]
)
def test_pickling_and_copying(value: Update | Context) -> None:
    copies: list[Update | Context] = [copy.copy(value), copy.deepcopy(value)]
    copies += [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in copies:
        assert type(other) is type(value)
        assert other == value
        assert other is not value
        assert other.to_dict() == value.to_dict()
        assert repr(other) == repr(value)
        if isinstance(other, Context):
            assert type(other.node_data) is PersistentMap


def test_a_copied_update_keeps_its_position_and_context() -> None:
    update = read_update("taskEnd", {"result": 1}, before=START, position=9, synthetic=True)
    for other in (copy.copy(update), copy.deepcopy(update), pickle.loads(pickle.dumps(update))):
        assert (other.position, other.synthetic) == (9, True)
        assert other.context == update.context
        assert other.context.result == 1


def test_equality() -> None:
    assert node_update() == node_update()
    assert node_update() != node_update(data="other")
    assert node_update() == dict(node_update())
    assert node_update().to_dict() == node_update()
    assert node_update() != "nodeUpdate"
    assert node_update() != None  # noqa: E711
    assert Context.at_start(TASK, {"path": "a.pdf"}) == START
    assert START.to_dict() == START
    assert Context.at_start(SUB_TASK, {"path": "a.pdf"}) != START


# For people


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (node_update(), f"<NodeUpdate 'ocr' of task {TASK} at 3>"),
        (node_update(node=NAMELESS), f"<NodeUpdate '9a1f' of task {TASK} at 3>"),
        (update_of("taskEnd", result="x" * 10_000), f"<TaskEnd of task {TASK}>"),
        (update_of("nodePaused"), f"<UnknownUpdate 'nodePaused' of task {TASK}>"),
    ],
)
def test_the_repr_of_an_update(update: Update, text: str) -> None:
    assert repr(update) == text


def test_the_repr_of_a_context() -> None:
    context = node_update(data="x" * 10_000).context
    assert repr(context) == f"<Context of task {TASK}: data of 1, errors of 0 nodes>"


def test_what_is_tried_here_is_an_event_of_the_contract() -> None:
    """The other payloads of this module leave out, or change, what their tests are about."""
    assert fits("NodeUpdateEvent", PAYLOAD)
