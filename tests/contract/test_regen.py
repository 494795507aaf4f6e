"""The generated package: what the contract says, nothing edited by hand, and ready to be called."""

import importlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import requence_api.models
from requence_api.api.task import abort_task, finalize_task, prepare_task
from requence_api.api.watch import watch_all_tasks, watch_task
from requence_api.models import FinalizeRequest, PreparedTask, TaskState, WatchAllRequest, WatchRequest
from requence_api.types import UNSET

RunRegen = Callable[..., "subprocess.CompletedProcess[str]"]
PACKAGE = Path(requence_api.models.__file__).parents[1]

EXTRA_OPERATION = """
  /task/extra/{task_id}:
    post:
      operationId: extra_thing
      tags: [task]
      summary: An operation that only this test knows
      description: Nothing else.
      parameters:
        - $ref: "#/components/parameters/TaskId"
      responses:
        "200": {description: Done.}
"""


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    """A folder with a copy of the generated package, to be damaged at will."""
    folder = tmp_path / "generated"
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def generated(operation: dict[str, Any]) -> ModuleType:
    """The module of an operation."""
    return importlib.import_module(f"requence_api.api.{operation['tags'][0]}.{operation['operationId']}")


def build(operation: ModuleType, *arguments: Any, **keywords: Any) -> httpx.Request:
    """The request that goes out, to look at its bytes rather than at the generator's words for them."""
    parts: dict[str, Any] = operation._get_kwargs(*arguments, **keywords)
    return httpx.Request(parts.pop("method"), f"http://server{parts.pop('url')}", **parts)


@pytest.mark.timeout(300)
def test_package_is_what_the_contract_says(run_regen: RunRegen, contract_path: Path) -> None:
    """Edits by hand, and contracts changed without `make regen`, end here."""
    done = run_regen("--check", spec=contract_path, generated=PACKAGE.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == ""


@pytest.mark.timeout(300)
def test_one_changed_byte_is_found(run_regen: RunRegen, contract_path: Path, package_copy: Path) -> None:
    """The smallest possible edit by hand is shown, with the way back."""
    module = package_copy / PACKAGE.name / "api" / "task" / "ack_task.py"
    module.write_bytes(module.read_bytes().replace(b"/task/ack/", b"/task/acK/", 1))
    done = run_regen("--check", spec=contract_path, generated=package_copy)
    assert done.returncode == 1
    assert "make regen" in done.stderr
    assert "/task/acK/" in done.stdout


@pytest.mark.timeout(300)
def test_new_operation_yields_a_module(run_regen: RunRegen, contract_path: Path, tmp_path: Path) -> None:
    """The promise to maintainers: describe the operation, run `make regen`, call it."""
    spec = tmp_path / "more.yaml"
    text = contract_path.read_text(encoding="utf-8")
    spec.write_text(text.replace("\ncomponents:\n", f"{EXTRA_OPERATION}\ncomponents:\n"), encoding="utf-8")
    done = run_regen(spec=spec, generated=tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    package = tmp_path / "out" / PACKAGE.name
    assert "/task/extra/{task_id}" in (package / "api" / "task" / "extra_thing.py").read_text(
        encoding="utf-8"
    )
    # The folder holds the package and no remains of the way there.
    assert [path.name for path in (tmp_path / "out").iterdir()] == [PACKAGE.name]
    assert files(package) == files(PACKAGE) | {"api/task/extra_thing.py"}


@pytest.mark.timeout(300)
def test_refused_contract_changes_nothing(
    run_regen: RunRegen, contract_path: Path, package_copy: Path, tmp_path: Path
) -> None:
    """An operation that the generator cannot express must stop the run, not vanish from the package."""
    spec = tmp_path / "odd.yaml"
    text = contract_path.read_text(encoding="utf-8")
    spec.write_text(text.replace("text/plain; charset=utf-8:", "application/odd:"), encoding="utf-8")
    before = files(package_copy)
    done = run_regen(spec=spec, generated=package_copy)
    assert done.returncode == 1
    assert "application/odd" in done.stderr
    assert "unchanged" in done.stderr
    assert files(package_copy) == before


def test_contract_ships_with_the_package(contract: dict[str, Any]) -> None:
    """The local server reads the contract at run time, from an installed package and without a YAML parser."""
    assert json.loads((PACKAGE / "openapi.json").read_text(encoding="utf-8")) == contract


def test_every_model_is_there(contract: dict[str, Any]) -> None:
    """The generator drops a schema that it cannot merge; even one that no operation mentions must be a class."""
    assert set(contract["components"]["schemas"]) == set(requence_api.models.__all__)


def test_every_operation_has_a_module(contract: dict[str, Any]) -> None:
    modules = {path.stem: path for path in (PACKAGE / "api").glob("*/*.py") if path.name != "__init__.py"}
    operations = [operation for path in contract["paths"].values() for operation in path.values()]
    assert set(modules) == {operation["operationId"] for operation in operations}
    for operation in operations:
        module = generated(operation)
        assert callable(module._get_kwargs), module
        # A generated call to an event stream would wait for an end that never comes, so there must be none.
        callers = {"sync", "sync_detailed", "asyncio", "asyncio_detailed"} & set(vars(module))
        assert bool(callers) is not operation.get("x-handwritten", False), module


def test_requests_for_streams_are_built() -> None:
    sent = build(watch_task, "a/b", body=WatchRequest(since=None, last_position=17))
    assert (sent.method, sent.url.raw_path) == ("POST", b"/task/watch/a%2Fb")
    assert json.loads(sent.read()) == {"since": None, "lastPosition": 17}
    sent = build(watch_all_tasks, body=WatchAllRequest(since="2026-01-31T12:00:00Z"))
    assert (sent.method, sent.url.raw_path) == ("POST", b"/task/watch-all")
    assert json.loads(sent.read()) == {"since": "2026-01-31T12:00:00Z"}


def test_types_are_for_everyone() -> None:
    """Without the marker, type checkers of users would ignore every annotation in the package."""
    assert (PACKAGE / "py.typed").is_file()


def test_nothing_of_dateutil_is_imported() -> None:
    """It is not among the dependencies; should another generator need it, this test says so first."""
    for path in PACKAGE.rglob("*.py"):
        assert "dateutil" not in path.read_text(encoding="utf-8"), path


def test_abort_reason_is_plain_text() -> None:
    """The reason is neither JSON nor ASCII only: this is what the one changed template is for."""
    sent = build(abort_task, "t", body="Größe ≠ ✓")
    assert sent.read() == "Größe ≠ ✓".encode()
    assert sent.headers["content-type"] == "text/plain; charset=utf-8"
    assert sent.method == "POST"


@pytest.mark.parametrize("arguments", [{}, {"body": UNSET}, {"body": ""}])
def test_abort_without_reason_has_an_empty_body(arguments: dict[str, Any]) -> None:
    sent = build(abort_task, "t", **arguments)
    assert sent.read() == b""
    assert sent.headers["content-length"] == "0"


def test_path_parameters_are_one_segment() -> None:
    """A template's name must not be able to reach another operation."""
    sent = build(prepare_task, "a/b c?d#é")
    assert sent.url.raw_path == b"/task/prepare/a%2Fb%20c%3Fd%23%C3%A9"


def test_finalize_sends_all_four_fields() -> None:
    """The server needs each of them, null and false included."""
    body = FinalizeRequest(name=None, input_={}, priority=5, require_ack=False)
    sent = build(finalize_task, "-", body=body)
    assert json.loads(sent.read()) == {"name": None, "input": {}, "priority": 5, "requireAck": False}
    assert sent.headers["content-type"] == "application/json"


def test_answers_may_hold_the_least_and_more() -> None:
    """Servers leave optional fields out and add new ones; neither may make an answer unreadable."""
    prepared = PreparedTask.from_dict({"taskId": "t", "finalizeUrl": "http://h/f", "news": [1]})
    assert prepared.branch is UNSET
    assert prepared.additional_properties == {"news": [1]}
    state = TaskState.from_dict({"status": "PAUSED", "result": None})
    assert (state.status, state.result, state.nodes_data) == ("PAUSED", None, UNSET)


def files(folder: Path) -> set[str]:
    """The files under a folder, by relative name, without what Python adds on import."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
