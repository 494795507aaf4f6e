"""The built package, as users install it: in a fresh environment, from elsewhere, with types."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.scripted_server import Answer, ScriptedServer

import requence

CONSUMER = """
from typing import assert_type

from requence.task import Task, TaskResult, get_task
from requence.task.updates import NodeUpdate


def blocking() -> None:
    task = Task("t", {"a": 1}, priority=7)
    assert_type(task.sync.id, str)
    assert_type(task.sync.url, str | None)
    assert_type(task.sync.result, TaskResult)
    for update in task.sync.updates:
        if isinstance(update, NodeUpdate):
            assert_type(update.output, str | None)
    status, context = get_task("x")
    assert_type(status, str)
    assert_type(context.get_node_data("x"), object)  # error: it is Any


async def awaiting() -> None:
    task = Task("t")
    assert_type(await task.task_id, str)
    assert_type(await task, TaskResult)
    Task(task_templte="t")  # error: misspelt
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of a fresh environment with the package and no extra."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pip(python, "install", str(wheel))
    return python


def pip(python: str, *arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [python, "-m", "pip", *arguments, *quiet], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run(python: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_wheel_has_both_packages_typed_and_the_contract(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "requence/py.typed",
        "requence_api/py.typed",
        "requence_api/openapi.json",
        "requence_api/models/finalize_request.py",
        "requence/local/demo.py",
    } <= set(names)
    assert {name.split("/")[0] for name in names} == {
        "requence",
        "requence_api",
        f"requence-{requence.__version__}.dist-info",
    }
    on_disk = {str(file.relative_to(ROOT / "src")) for file in (ROOT / "src" / "requence").rglob("*.*")}
    assert {name for name in on_disk if "__pycache__" not in name} <= set(names)


def test_it_imports_without_an_extra_and_knows_its_version(python: str, tmp_path: Path) -> None:
    done = run(python, "-W", "error", "-c", "import requence, requence.task, requence_api; "
               "print(requence.__version__)", cwd=tmp_path)  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{requence.__version__}\n", "")


NOT_FOR_THE_IMPORT = {
    *("aiohttp", "httpx", "requence_api", "msgspec"),  # imported by the I/O thread, once a task is started
    *("asyncio", "requence._transport.io_loop", "requence.task.run"),  # with the I/O thread
    *("html", "requence.task.html", "requence.task.outline"),  # with what a notebook shows
    *(
        "socket",
        "ssl",
        "subprocess",
        "email",
        "json",
        "pathlib",
        "datetime",
        "tomllib",
        "uuid",
    ),
}


def test_importing_it_imports_neither_a_http_library_nor_what_else_takes_long(
    python: str, tmp_path: Path
) -> None:
    """Each of these is needed with the first task at the earliest."""
    code = f"import sys; from requence.task import *; print({NOT_FOR_THE_IMPORT} & set(sys.modules))"
    assert run(python, "-c", code, cwd=tmp_path).stdout == "set()\n"


def test_the_service_half_says_that_it_is_another_package(python: str, tmp_path: Path) -> None:
    done = run(python, "-c", "import requence.service", cwd=tmp_path)
    assert done.returncode == 1
    assert "ImportError: requence.service is not part of this package" in done.stderr


def test_the_local_server_without_its_extra_says_how_to_get_it(python: str, tmp_path: Path) -> None:
    done = run(python, "-c", "import requence.local", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: requence.local needs libraries")
    assert "pip install 'requence[local]'" in done.stderr


def test_a_command_whose_extra_is_missing_says_how_to_get_it(python: str, tmp_path: Path) -> None:
    command = str(Path(python).with_name("requence"))
    for arguments, extra in ((["local", "x.py"], "local"), (["run", "x"], "cli"), ([], "cli")):
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"pip install 'requence[{extra}]'" in done.stderr


def test_the_pytest_plugin_without_its_extra_costs_nothing_and_says_how_to_get_it(
    python: str, tmp_path: Path
) -> None:
    pip(python, "install", "pytest")
    tests = "def test_with(requence_server): pass\ndef test_without(): pass\n"
    (tmp_path / "test_it.py").write_text(tests, "utf-8")
    done = run(python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed, 1 error" in done.stdout
    assert "requence_server cannot be used: requence.local needs libraries" in done.stdout
    assert "pip install 'requence[local]'" in done.stdout
    assert "Traceback" not in done.stdout


def test_types_are_generated_without_any_extra(python: str, tmp_path: Path) -> None:
    command = str(Path(python).with_name("requence-task"))
    with ScriptedServer() as server:
        server.always("types", Answer(200, {"order.py": "x = 1\n"}))
        given = ["generate-types", "--access-token", server.access_token]
        done = subprocess.run(
            [command, *given], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "typings" / "order.py").read_text("utf-8") == "x = 1\n"


def test_a_consumer_is_type_checked_against_the_wheel(python: str, tmp_path: Path) -> None:
    """Right uses pass under strict, and each wrong one is an error: the types say something."""
    consumer = tmp_path / "consumer.py"
    consumer.write_text(CONSUMER, "utf-8")
    done = run(
        sys.executable, "-m", "mypy", "--strict", "--python-executable", python, str(consumer), cwd=tmp_path
    )
    wrong = [number for number, line in enumerate(CONSUMER.splitlines(), 1) if "# error" in line]
    found = [int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line]
    assert found == wrong, done.stdout
