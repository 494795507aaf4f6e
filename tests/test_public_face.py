"""The public face: the names that users may import, and that everything has its blocking and awaitable form."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from types import FunctionType
from typing import Any, cast, get_overloads

import pytest
from tests.conftest import ROOT

import requence.task
from requence.task import Task, TaskWatcher, aio
from requence.task.sync import SyncTask
from requence.task.watcher import SyncWatcher

# A name that goes breaks users' code, and one that comes must be kept: neither shall happen by accident. Whoever
# changes these lists also changes docs/names.md and the changelog.
PUBLIC: dict[str, list[str]] = {
    "requence": ["Client", "__version__", "configure", "flush"],
    "requence.task": [
        "AckFailedError",
        "Context",
        "Operation",
        "Pending",
        "RequenceError",
        "RequenceUnreachableException",
        "StartUncertainError",
        "StreamEventTooLarge",
        "StreamInterruptedError",
        "Task",
        "TaskAbortException",
        "TaskAbortedError",
        "TaskException",
        "TaskFailedError",
        "TaskItem",
        "TaskNotFoundError",
        "TaskProtectException",
        "TaskRef",
        "TaskRefusedError",
        "TaskResult",
        "TaskSnapshot",
        "TaskWaitTimeout",
        "TaskWatcher",
        "UnauthorizedError",
        "Unstarted",
        "Update",
        "abort_task",
        "flush",
        "get_task",
        "map_tasks",
        "protect_task",
        "recreate_task",
    ],
    "requence.task.aio": [
        "abort_task",
        "flush",
        "get_task",
        "map_tasks",
        "protect_task",
        "recreate_task",
    ],
    "requence.task.updates": [
        "BaseUpdate",
        "NodeDefer",
        "NodeEnd",
        "NodeError",
        "NodeStart",
        "NodeUpdate",
        "TaskAborted",
        "TaskEnd",
        "TaskError",
        "TaskStart",
        "UnknownUpdate",
        "Update",
    ],
    "requence.files": [
        "ClaimCheck",
        "FileUnavailableError",
        "RequenceCallback",
        "RequenceFile",
        "RequenceStream",
        "RequenceStreamTruncatedError",
    ],
    "requence.requence_file": ["RequenceFile"],
    "requence.requence_stream": ["RequenceStream"],
    "requence.exceptions": [
        "AckFailedError",
        "ConfigurationError",
        "FileUnavailableError",
        "ForkedHandleError",
        "RequenceError",
        "RequenceStreamTruncatedError",
        "RequenceUnreachableException",
        "StartUncertainError",
        "StreamEventTooLarge",
        "StreamInterruptedError",
        "TaskAbortException",
        "TaskAbortedError",
        "TaskException",
        "TaskFailedError",
        "TaskNotFoundError",
        "TaskProtectException",
        "TaskRefusedError",
        "TaskWaitTimeout",
        "UnauthorizedError",
        "UsageError",
    ],
    "requence.local": [
        "AnyOf",
        "DebugLog",
        "Fault",
        "Faults",
        "LocalServer",
        "Node",
        "NodeContext",
        "NodeOutput",
        "OnFail",
        "ServerClock",
        "StartedTask",
        "Subtask",
        "TaskTemplate",
        "any_of",
    ],
}

# Modules that users import; where one is loaded it is an attribute of its package.
PUBLIC_MODULES = {
    "requence": {
        "cli",
        "exceptions",
        "files",
        "local",
        "requence_file",
        "requence_stream",
        "service",
        "task",
    },
    "requence.task": {"aio", "updates"},
}

# Values that can carry no docstring: what they are is said in docs/names.md.
WITHOUT_DOCSTRING = {"__version__", "Update"}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_names_of_a_module(module: str) -> None:
    assert sorted(import_module(module).__all__) == PUBLIC[module]
    assert len(set(PUBLIC[module])) == len(PUBLIC[module])


@pytest.mark.parametrize("module", PUBLIC)
def test_completion_offers_nothing_else(module: str) -> None:
    """What `dir()` gives: not the modules behind this one, and not what it has imported for itself."""
    code = f"import {module} as it; print(*(name for name in dir(it) if not name.startswith('_')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    public = {name for name in PUBLIC[module] if not name.startswith("_")}
    offered = set(done.stdout.split())
    assert public <= offered
    assert offered - public <= PUBLIC_MODULES.get(module, set())


@pytest.mark.parametrize("module", PUBLIC)
def test_a_star_import_brings_these_names(module: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {module} import *", names)
    assert set(PUBLIC[module]) == names.keys() - {"__builtins__"}


def test_the_modules_of_the_package_come_with_it() -> None:
    code = "from requence import task; print(task.aio.get_task.__name__, task.updates.TaskEnd.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("get_task TaskEnd\n", "")


def test_the_page_of_names_has_each_of_them() -> None:
    page = (ROOT / "docs" / "names.md").read_text("utf-8")
    sections = re.split(r"^## `(.*)`$", page, flags=re.MULTILINE)[1:]
    told = {
        module: sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        for module, text in zip(sections[::2], sections[1::2], strict=True)
    }
    assert told == PUBLIC


@pytest.mark.parametrize("module", PUBLIC)
def test_each_name_has_a_docstring_of_its_own(module: str) -> None:
    it = import_module(module)
    assert it.__doc__
    silent = {name for name in PUBLIC[module] if not own_docstring(getattr(it, name))}
    assert silent == WITHOUT_DOCSTRING & set(PUBLIC[module])


def own_docstring(value: object) -> str | None:
    if isinstance(value, type | FunctionType):
        return value.__doc__  # of a class, not inherited
    return None


def test_what_pytest_is_given() -> None:
    """Fixtures and a marker are in the tests of users, so they are as public as names."""
    [plugin] = entry_points(group="pytest11", name="requence")
    assert sorted(plugin.load().__all__) == ["requence_server", "requence_session_server"]
    told = re.findall(
        r"^\| (fixture|marker) `(\w+)` \|", (ROOT / "docs" / "names.md").read_text("utf-8"), re.MULTILINE
    )
    assert told == [
        ("fixture", "requence_server"),
        ("fixture", "requence_session_server"),
        ("marker", "requence_streams_may_stay_open"),
    ]


# Both forms


AWAITABLE_TO_BLOCKING = {
    "abort": "abort",
    "finalized": "finalized",
    "protect": "protect",
    "ref": "ref",
    "result": "result",
    "task_id": "id",
    "task_url": "url",
    "updates": "updates",
    "updates_after": "updates_after",
    "wait": "wait",
}
ONLY_AWAITABLE = {
    "sync": "the way to the other face",
    "known_id": "waits for nothing",
    "attach": "makes a handle, and waits for nothing",
}


def members(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def function_of(member: Any) -> Callable[..., Any]:
    plain = getattr(member, "__func__", member)  # of a class method
    return cast("Callable[..., Any]", plain.fget if isinstance(plain, property) else plain)


def test_every_member_of_a_task_has_its_blocking_form_and_the_reverse() -> None:
    assert members(Task).keys() == AWAITABLE_TO_BLOCKING.keys() | ONLY_AWAITABLE.keys()
    assert sorted(members(SyncTask)) == sorted(AWAITABLE_TO_BLOCKING.values())


@pytest.mark.parametrize(("name", "blocking_name"), AWAITABLE_TO_BLOCKING.items())
def test_both_forms_take_and_give_the_same(name: str, blocking_name: str) -> None:
    awaitable, blocking = members(Task)[name], members(SyncTask)[blocking_name]
    assert type(awaitable) is type(blocking)  # a property, or a method
    one, other = inspect.signature(function_of(awaitable)), inspect.signature(function_of(blocking))
    assert one.parameters == other.parameters  # names, kinds, defaults and annotations
    assert not inspect.iscoroutinefunction(function_of(blocking))
    assert awaited(function_of(awaitable), str(one.return_annotation)) == str(other.return_annotation)


def awaited(function: Callable[..., Any], returned: str) -> str:
    """What the blocking form returns, as an annotation, if the awaitable one returns this."""
    if inspect.iscoroutinefunction(function):
        return returned
    if returned == "Operation":
        return "None"
    pending = re.fullmatch(r"Pending\[(.*)\]", returned)
    return pending[1] if pending else returned.removeprefix("Async")


@pytest.mark.parametrize("kind", [Task, SyncTask, TaskWatcher, SyncWatcher])
def test_each_member_has_a_docstring(kind: type) -> None:
    assert kind.__doc__
    assert [name for name, member in members(kind).items() if not inspect.getdoc(function_of(member))] == []


def test_a_watcher_has_both_faces() -> None:
    """It is stopped on the one that is a context manager, and that never waits."""
    assert members(TaskWatcher).keys() == {"updates", "sync", "stop"}
    assert members(SyncWatcher).keys() == {"updates"}
    one, other = (function_of(members(kind)["updates"]) for kind in (TaskWatcher, SyncWatcher))
    assert awaited(one, one.__annotations__["return"]) == other.__annotations__["return"]


FUNCTIONS = [name for name in requence.task.__all__ if inspect.isfunction(getattr(requence.task, name))]
ITERATED = {"map_tasks"}  # whose twin is not awaited, but iterated with `async for`


def test_every_function_has_its_coroutine_twin_and_the_reverse() -> None:
    assert FUNCTIONS
    assert sorted(aio.__all__) == sorted(FUNCTIONS)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ITERATED])
def test_a_function_and_its_twin_take_and_give_the_same(name: str) -> None:
    function, twin = getattr(requence.task, name), getattr(aio, name)
    assert inspect.signature(twin) == inspect.signature(function)
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(function)


@pytest.mark.parametrize("name", ITERATED)
def test_an_iterated_function_and_its_twin_take_and_give_the_same(name: str) -> None:
    """But for inputs that are waited for, which only the twin can take."""
    function, twin = (inspect.signature(getattr(module, name)) for module in (requence.task, aio))
    inputs = twin.parameters["inputs"]
    plain = inputs.replace(annotation=str(inputs.annotation).removesuffix(" | AsyncIterable[Any]"))
    parameters = [plain if it is inputs else it for it in twin.parameters.values()]
    returned = awaited(getattr(aio, name), str(twin.return_annotation))
    assert returned != twin.return_annotation
    assert twin.replace(parameters=parameters, return_annotation=returned) == function


@pytest.mark.parametrize("module", [requence.task, aio])
def test_what_is_given_to_many_tasks_is_as_for_one(module: Any) -> None:
    one = inspect.signature(function_of(vars(Task)["__init__"])).parameters
    many = inspect.signature(module.map_tasks).parameters
    own = {"inputs", "max_in_flight", "on_exit", "name"}
    for name in many.keys() - own:
        assert (many[name].annotation, many[name].default) == (one[name].annotation, one[name].default)
    assert one.keys() - many.keys() == {"self", "input", "on_update"}
    assert many["max_in_flight"].default == 100
    assert many["on_exit"].default == "leave"


def test_a_task_takes_what_is_documented() -> None:
    """Positional arguments are for ever, so their order and their defaults are frozen, too."""
    parameters = list(inspect.signature(Task).parameters.values())
    by_position = {it.name: it.default for it in parameters if it.kind is it.POSITIONAL_OR_KEYWORD}
    by_name = {it.name: it.default for it in parameters if it.kind is it.KEYWORD_ONLY}
    assert list(by_position.items()) == [
        ("task_template", inspect.Parameter.empty),
        ("input", {}),
        ("name", None),
        ("priority", 5),
        ("access_token", None),
        ("suppress_branch_warning", False),
        ("require_ack", False),
    ]
    assert by_name == dict.fromkeys(["client", "on_update", "decode", "result_type", "default"])


@pytest.mark.parametrize(("name", "ways"), [("__init__", 2), ("attach", 3)])
def test_what_checkers_are_told_of_a_task_has_the_same_parameters(name: str, ways: int) -> None:
    """Both are written down once for each way to say what the result is."""
    check_overloads(function_of(vars(Task)[name]), ways)


@pytest.mark.parametrize("module", [requence.task, aio])
def test_what_checkers_are_told_of_many_tasks_has_the_same_parameters(module: Any) -> None:
    check_overloads(module.map_tasks, 3)


def check_overloads(implementation: Callable[..., Any], ways: int) -> None:
    written = inspect.signature(implementation).parameters
    overloads = [inspect.signature(function_of(one)).parameters for one in get_overloads(implementation)]
    assert len(overloads) == ways
    own = {"decode", "result_type"}
    for parameters in overloads:
        assert list(parameters) == list(written)
        for each in parameters.keys() - own - {"self", "cls"}:
            assert parameters[each].annotation == written[each].annotation
            assert (parameters[each].default is ...) == (written[each].default is not inspect.Parameter.empty)
