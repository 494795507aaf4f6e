"""`requence local`, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.local.api import Api

from requence import __version__
from requence.cli.child import run_command

ROOT = Path(__file__).resolve().parents[2]
DIGEST = str(ROOT / "examples" / "document_digest.py")
REQUENCE = [sys.executable, "-W", "error", "-c", "from requence.cli import main; main()"]
RUN = """
import os, sys
from tests.local.api import Api

with Api(os.environ["REQUENCE_ACCESS_TOKEN"]) as api:
    last = api.run(sys.argv[1], {"path": sys.argv[2]})[-1]
    print(last.name, last.payload.get("reason"))
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a current directory of its own, where the default file goes."""
    monkeypatch.chdir(tmp_path)
    paths = [str(ROOT), str(ROOT / "src"), str(ROOT / "generated")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("COLUMNS", "200")


def requence(*arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REQUENCE, *arguments], capture_output=True, text=True, timeout=timeout)


def python(code: str, *arguments: str) -> list[str]:
    return ["--", sys.executable, "-c", code, *arguments]


@pytest.fixture
def launch() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command line in a process group of its own, as a terminal does."""
    children: list[subprocess.Popen[str]] = []

    def launched(*arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*REQUENCE, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        children.append(child)
        return child

    yield launched
    for child in children:
        child.kill()
        child.communicate()


def line(child: subprocess.Popen[str], pattern: str) -> str:
    """Reads the child's output up to a line that matches; returns the first group."""
    assert child.stdout is not None
    for text in child.stdout:
        if found := re.search(pattern, text):
            return found.group(1)
    raise AssertionError(f"no line like {pattern}")


def test_the_version() -> None:
    done = requence("--version")
    assert (done.returncode, done.stdout) == (0, f"requence {__version__}\n")


def test_a_command_runs_against_the_templates_of_a_file(tmp_path: Path) -> None:
    done = requence("local", DIGEST, *python(RUN, "document-digest", str(ROOT / "LICENSE")))
    assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr
    assert "requence.local.document-digest: read" in done.stderr
    db = tmp_path / ".requence" / "local.db"
    assert stat.S_IMODE(db.stat().st_mode) == 0o600
    assert (db.parent / ".gitignore").read_text() == "*\n"


def test_a_module_is_found_from_the_current_directory(tmp_path: Path) -> None:
    package = tmp_path / "jobs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("NAME = 'imported'")
    (package / "daily.py").write_text(
        "from requence.local import TaskTemplate\n"
        "from jobs.names import NAME\n"
        "one = also_one = TaskTemplate(NAME)\n"
        "one.node('n')(lambda ctx: ctx.input)\n"
        "two = TaskTemplate('two')\n"
        "two.node('n')(lambda ctx: ctx.input)\n"
    )
    for template in ("imported", "two"):
        done = requence("local", "jobs.daily", "--memory", *python(RUN, template, "x"))
        assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr
    assert not (tmp_path / ".requence").exists()


def a_template(name: str, more: str = "") -> str:
    return (
        "from requence.local import TaskTemplate\n"
        f"{more}\n"
        f"template = TaskTemplate({name!r})\n"
        "template.node('n')(lambda ctx: ctx.input)\n"
    )


def test_a_folder_is_all_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "one.py").write_text(a_template("one", "from _shared import NAME"))
    (folder / "two.py").write_text(a_template("two", "from one import template as again"))
    (folder / "_shared.py").write_text("NAME = 1\nraise_if_served = True")
    (folder / "notes.txt").write_text("not Python")
    for template in ("one", "two"):
        done = requence("local", "tasks", "--memory", *python(RUN, template, "x"))
        assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr


def test_files_of_a_folder_that_import_later_ones_share_them(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "one.py").write_text(a_template("one", "from two import template as inner"))
    (folder / "two.py").write_text(a_template("two"))
    done = requence("local", "tasks", "--memory", *python(RUN, "two", "x"))
    assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr


@pytest.mark.parametrize("target", ["jobs", "jobs/", "jobs/deep", "jobs.deep"])
def test_a_package_is_every_module_in_it(tmp_path: Path, target: str) -> None:
    package = tmp_path / "jobs"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("raise SystemExit('must not run')")
    (package / "deep" / "__init__.py").write_text("NAME = 'inner'")
    (package / "deep" / "inner.py").write_text(a_template("inner", "from jobs.deep import NAME"))
    (package / "outer.py").write_text(a_template("outer", "from jobs.deep.inner import template as other"))
    for template in ("inner", "outer") if "deep" not in target else ("inner",):
        done = requence("local", target, "--memory", *python(RUN, template, "x"))
        assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr


def test_a_broken_module_of_a_package_is_told(tmp_path: Path) -> None:
    package = tmp_path / "jobs" / "deep"
    package.mkdir(parents=True)
    (tmp_path / "jobs" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("import no_such_package")
    done = requence("local", "jobs")
    assert done.returncode == 2
    assert "No module named 'no_such_package'" in done.stderr


def test_the_demo_is_there_without_a_file() -> None:
    done = requence("local", "--demo", "--memory", *python(RUN, "document-digest", str(ROOT / "LICENSE")))
    assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr


def test_it_prints_the_page_and_the_line_to_export(launch: Callable[..., subprocess.Popen[str]]) -> None:
    child = launch("local", "--demo", "--memory", "--strict")
    page = line(child, r"^  page   (\S+)$")
    token = line(child, r"^export REQUENCE_ACCESS_TOKEN=(\S+)$")
    with Api(token) as api:
        assert api.run("document-digest", {"path": DIGEST})[-1].name == "taskEnd"
    assert httpx.get(page, verify=False).status_code == 200
    listed = httpx.get(page.replace("/tasks", "/page/tasks"), verify=False).json()
    assert [task["template"] for task in listed["tasks"]] == ["document-digest"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_shuts_down_cleanly_as_soon_as_it_says_that_it_serves(
    launch: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    child = launch("local", DIGEST, "--memory")
    line(child, "^(Serving)")
    child.send_signal(number)
    child.communicate(timeout=10)
    assert child.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shuts_down_cleanly_while_tasks_are_watched(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "slow.py").write_text(
        "from requence.local import TaskTemplate\n"
        "slow = TaskTemplate('slow')\n"
        "slow.node('n')(lambda ctx: ctx.terminated.wait(30))\n"
    )
    child = launch("local", "slow.py")
    token = line(child, r"^export REQUENCE_ACCESS_TOKEN=(\S+)$")
    with Api(token) as api:
        stream = api.watch(api.start("slow"))
        assert next(stream).name == "taskStart"
        child.send_signal(number)
        _, errors = child.communicate(timeout=10)
    assert child.returncode == 0
    assert "Traceback" not in errors
    assert "did not stop" not in errors


@pytest.mark.parametrize("remembered", [False, True], ids=["asked for", "remembered"])
def test_a_taken_port_leads_to_the_next_free_one(
    launch: Callable[..., subprocess.Popen[str]], free_port: int, remembered: bool
) -> None:
    if remembered:
        done = requence("local", "--demo", "--port", str(free_port), *python(""))
        assert done.returncode == 0
    with socket.create_server(("127.0.0.1", free_port)):
        child = launch("local", "--demo", *([] if remembered else ["--port", str(free_port)]))
        port = int(line(child, r"http://127\.0\.0\.1:(\d+)$"))
        token = line(child, r"^export REQUENCE_ACCESS_TOKEN=(\S+)$")
        with Api(token) as api:
            assert api.url.endswith(f":{port}")
            assert api.run("document-digest", {"path": DIGEST})[-1].name == "taskEnd"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=10)
    assert free_port < port <= free_port + 100
    assert f"port {free_port} is taken; this is port {port}" in errors


def test_other_machines_are_let_in_only_when_it_is_said_twice() -> None:
    refused = requence("local", "--demo", "--memory", "--host", "0.0.0.0", *python("print('no')"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--allow-network" in refused.stderr
    done = requence(
        *("local", "--demo", "--memory", "--host", "0.0.0.0", "--allow-network"),
        *python(RUN, "document-digest", str(ROOT / "LICENSE")),
    )
    assert (done.returncode, done.stdout) == (0, "taskEnd None\n"), done.stderr
    assert "OPEN TO OTHER MACHINES" in done.stderr


def test_it_serves_until_ctrl_c_and_comes_back_the_same(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    db = str(tmp_path / "kept.db")
    tokens: set[str] = set()
    for _ in range(2):
        child = launch("local", DIGEST, "--db", db)
        url = line(child, r"(http://127\.0\.0\.1:\d+)")
        token = line(child, r"^export REQUENCE_ACCESS_TOKEN=(\S+)$")
        tokens.add(token)
        with Api(token) as api:
            assert api.url == url
            assert api.run("document-digest", {"path": DIGEST})[-1].name == "taskEnd"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=10)
        assert child.returncode == 0
        assert "Traceback" not in errors
    assert len(tokens) == 1


@pytest.mark.parametrize("status", [0, 7])
def test_the_command_s_status_is_ours(status: int) -> None:
    done = requence("local", DIGEST, "--memory", *python(f"raise SystemExit({status})"))
    assert done.returncode == status


def test_a_command_that_died_of_a_signal_is_told_as_a_shell_does() -> None:
    done = requence("local", DIGEST, "--memory", *python("import os; os.kill(os.getpid(), 9)"))
    assert done.returncode == 128 + signal.SIGKILL


def test_the_command_s_arguments_and_streams_are_its_own() -> None:
    code = "import sys; print(sys.argv[1:]); print('oops', file=sys.stderr)"
    done = requence("local", DIGEST, "--memory", *python(code, "--port", "x", "--", "-h", "a b"))
    assert done.stdout == "['--port', 'x', '--', '-h', 'a b']\n"
    assert "oops" in done.stderr


def test_ctrl_c_reaches_the_command_which_decides(launch: Callable[..., subprocess.Popen[str]]) -> None:
    code = (
        "import time\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(30)\n"
        "except KeyboardInterrupt: print('asked to stop'); raise SystemExit(42)\n"
    )
    child = launch("local", DIGEST, "--memory", *python(code))
    line(child, "(ready)")
    os.killpg(child.pid, signal.SIGINT)
    output, errors = child.communicate(timeout=10)
    assert child.returncode == 42
    assert output == "asked to stop\n"
    assert "Traceback" not in errors


def test_a_command_that_lets_ctrl_c_end_it_gives_130(launch: Callable[..., subprocess.Popen[str]]) -> None:
    code = "import signal, time; signal.signal(2, signal.SIG_DFL); print('ready', flush=True); time.sleep(30)"
    child = launch("local", DIGEST, "--memory", *python(code))
    line(child, "(ready)")
    os.killpg(child.pid, signal.SIGINT)
    child.communicate(timeout=10)
    assert child.returncode == 130


def test_a_request_to_end_that_comes_before_the_command_runs_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start: Any = subprocess.Popen

    def late(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", late)
    assert run_command(["sleep", "30"], {}) == 128 + signal.SIGTERM


def test_a_request_to_end_is_passed_on_as_soon_as_it_says_that_it_serves(
    launch: Callable[..., subprocess.Popen[str]],
) -> None:
    for _ in range(3):
        child = launch("local", DIGEST, "--memory", "--", "sleep", "30")
        assert child.stderr is not None
        assert "serving" in child.stderr.readline()
        child.terminate()
        child.communicate(timeout=10)
        assert child.returncode == 128 + signal.SIGTERM


def test_a_request_to_end_is_passed_on(launch: Callable[..., subprocess.Popen[str]]) -> None:
    child = launch(
        "local", DIGEST, "--memory", *python("import time; print('ready', flush=True); time.sleep(30)")
    )
    line(child, "(ready)")
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 128 + signal.SIGTERM


def no_command(tmp_path: Path) -> tuple[list[str], int, str]:
    return [DIGEST, "--memory", "--", "no-such-command"], 127, "no-such-command"


def not_executable(tmp_path: Path) -> tuple[list[str], int, str]:
    (tmp_path / "plain.txt").write_text("text")
    return [DIGEST, "--memory", "--", "./plain.txt"], 126, "plain.txt"


def no_file(tmp_path: Path) -> tuple[list[str], int, str]:
    return ["missing.py"], 2, "There is no file missing.py"


def nothing_named(tmp_path: Path) -> tuple[list[str], int, str]:
    return [], 2, "--demo"


def empty_folder(tmp_path: Path) -> tuple[list[str], int, str]:
    (tmp_path / "empty").mkdir()
    return ["empty"], 2, "There is no TaskTemplate in empty"


def no_module(tmp_path: Path) -> tuple[list[str], int, str]:
    return ["missing.module"], 2, "no file and no module named missing.module"


def no_template(tmp_path: Path) -> tuple[list[str], int, str]:
    (tmp_path / "empty.py").write_text("")
    return ["empty.py"], 2, "There is no TaskTemplate in empty.py"


def broken_code(tmp_path: Path) -> tuple[list[str], int, str]:
    (tmp_path / "broken.py").write_text("import no_such_package")
    return ["broken.py"], 2, "No module named 'no_such_package'"


def broken_template(tmp_path: Path) -> tuple[list[str], int, str]:
    (tmp_path / "wrong.py").write_text("from requence.local import TaskTemplate\nt = TaskTemplate('lonely')")
    return ["wrong.py", "--memory"], 2, '"lonely" has no nodes'


def two_places(tmp_path: Path) -> tuple[list[str], int, str]:
    return [DIGEST, "--memory", "--db", "x.db"], 2, "exclude each other"


def no_duration(tmp_path: Path) -> tuple[list[str], int, str]:
    return [DIGEST, "--memory", "--retention", "7 days"], 2, "--retention takes 90s, 30m, 12h, 7d or forever"


def too_long(tmp_path: Path) -> tuple[list[str], int, str]:
    return [DIGEST, "--memory", "--retention", "99999d"], 2, "36500 days"


def no_folder(tmp_path: Path) -> tuple[list[str], int, str]:
    return [DIGEST, "--db", "a/b/c.db"], 2, "a/b"


@pytest.mark.parametrize(
    "prepare",
    [
        no_command,
        not_executable,
        no_file,
        nothing_named,
        empty_folder,
        no_module,
        no_template,
        broken_code,
        broken_template,
        two_places,
        no_duration,
        too_long,
        no_folder,
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    tmp_path: Path, prepare: Callable[[Path], tuple[list[str], int, str]]
) -> None:
    arguments, status, text = prepare(tmp_path)
    done = requence("local", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr
    assert prepare is broken_code or "Traceback" not in done.stderr


def test_two_servers_on_one_file_are_refused(launch: Callable[..., subprocess.Popen[str]]) -> None:
    line(launch("local", DIGEST), "(REQUENCE_ACCESS_TOKEN)")
    done = requence("local", DIGEST, *python("print('must not run')"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "in use by another server" in done.stderr
    assert "--db" in done.stderr


@pytest.mark.parametrize("missing", ["typer", "starlette", "uvicorn", "jsonschema"])
def test_a_missing_package_is_told_with_the_line_that_brings_it(missing: str) -> None:
    code = (
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name, package=None: None if name == {missing!r} else find(name, package)\n"
        "from requence.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "local", DIGEST], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'requence[local]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_quickstart_runs_as_it_is_documented() -> None:
    quickstart = str(ROOT / "examples" / "quickstart.py")
    done = requence("local", DIGEST, "--", sys.executable, quickstart, str(ROOT / "LICENSE"))
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"^ +\d+  (\w+) +(\w*)$", done.stdout, re.MULTILINE)
    assert steps[0] == ("taskStart", "")
    assert steps[-1] == ("taskEnd", "")
    assert {alias for _, alias in steps if alias} == {"read", "words", "links", "headings", "report"}
    assert re.search(r"\d+ words, about 1 min to read", done.stdout)
    assert re.search(r"^http://127\.0\.0\.1:\d+/tasks/\S+key=\S+$", done.stdout, re.MULTILINE)


def test_the_quickstart_explains_what_is_missing(tmp_path: Path) -> None:
    quickstart = [sys.executable, str(ROOT / "examples" / "quickstart.py")]
    missing = subprocess.run([*quickstart, "nope.md"], capture_output=True, text=True, timeout=30)
    assert (missing.returncode, missing.stderr) == (1, "There is no file nope.md\n")
    (tmp_path / "a.md").write_text("# A")
    lonely = subprocess.run([*quickstart, "a.md"], capture_output=True, text=True, timeout=30)
    assert lonely.returncode == 1
    assert lonely.stderr.startswith("ConfigurationError: ")
    assert "Traceback" not in lonely.stderr
