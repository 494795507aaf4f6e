"""`requence-task generate-types`, as a process of its own: what it writes, what it refuses, and what it says."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import failing, greeting
from tests.local.api import Api
from tests.scripted_server import BEARER, Answer, Gate, ScriptedServer
from typer.testing import CliRunner, Result

from requence import Client, __version__
from requence._client import default_client_set_to
from requence._token import encode_access_token
from requence.cli.commands import app
from requence.cli.generate_types import main
from requence.cli.type_folder import RECORD
from requence.cli.type_names import RefusedFilesError, checked_files
from requence.local import LocalServer

COMMAND = str(Path(sys.executable).with_name("requence-task"))
FILES = {"order.py": "order = 1\n", "invoice.py": "invoice = 1\n"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a current directory of its own, and a service that is gone is told at once."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REQUENCE_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A service with two files; its token is in the environment."""
    with ScriptedServer() as server:
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
        server.always("types", Answer(200, dict(FILES)))
        # For what runs in this process, whose default client is not settled by it.
        with default_client_set_to(Client(server.access_token, retries=0)):
            yield server


Done = subprocess.CompletedProcess[str]


def generate(*arguments: str) -> Done:
    """Runs the command in this process, which takes a hundredth of the time."""
    command = ["generate-types", *arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(command)
    for stream in (out, err):
        stream.seek(0)
    return checked(Done(command, status, out.read(), err.read()))


def in_a_child(*arguments: str, **settings: Any) -> Done:
    """Runs the command as users do: the console script that was installed."""
    command = [COMMAND, "generate-types", *arguments]
    return checked(subprocess.run(command, capture_output=True, text=True, timeout=30, **settings))


def checked(done: Done) -> Done:
    """Whatever happens, an error is one line, and the token is in none."""
    assert done.stderr.count("\n") == (done.returncode != 0 and not said_a_difference(done)), done.stderr
    for secret in (BEARER, os.environ.get("REQUENCE_ACCESS_TOKEN") or BEARER):
        assert secret not in done.stdout + done.stderr
    return done


def said_a_difference(done: Done) -> bool:
    return "Run: requence-task generate-types" in done.stdout


def refused(*arguments: str, run: Callable[..., Done] = generate) -> str:
    """Runs the command, which refuses and leaves everything as it was; returns what it says."""
    before = tree(Path.cwd().parent)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert tree(Path.cwd().parent) == before
    assert done.stderr.startswith("requence-task: refused: ")
    assert done.stderr.endswith("; nothing was written\n")
    return done.stderr


def tree(folder: Path) -> dict[str, object]:
    """All that is in a folder, with what would show that it was touched."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else None
        found[str(path)] = (facts.st_mtime_ns, facts.st_ino, facts.st_mode, content)
    return found


def names(folder: str = "typings") -> list[str]:
    """The files in a folder, but for the record."""
    root = Path(folder)
    files = (path for path in root.rglob("*") if not path.is_dir() and path.name != RECORD)
    return sorted(path.relative_to(root).as_posix() for path in files)


# What it writes


def test_it_writes_a_module_for_each_template(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(greeting(), failing()) as server, Api(server.access_token) as api:
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
        done = in_a_child()
        assert done.stdout.splitlines() == [
            f"wrote {Path('typings', 'my_template.py')}",
            f"wrote {Path('typings', 'failing.py')}",
            "typings: 2 files, 2 written, 0 as before",
        ]
        assert names() == ["failing.py", "my_template.py"]
        for name, text in api.http.get("/task/types/python").json().items():
            assert Path("typings", name).read_bytes() == text.encode()
        assert in_a_child("--check").returncode == 0


def test_the_folder_is_made_and_others_may_read_what_is_in_it(service: ScriptedServer) -> None:
    service.always("types", Answer(200, {"ünï.py": "x = 'ü€😀'\r\n"}))
    done = in_a_child("--outdir", "a/b/c", umask=0o022)
    assert done.returncode == 0
    assert Path("a/b/c/ünï.py").read_bytes() == "x = 'ü€😀'\r\n".encode()
    assert {path.stat().st_mode & 0o777 for path in Path("a/b/c").iterdir()} == {0o644}


def test_stubs_go_where_editors_look_for_them(service: ScriptedServer) -> None:
    service.always("types", Answer(200, {"__init__.pyi": "x: int\n", "order.py": "", "py.typed": ""}))
    assert generate().returncode == 0
    assert names() == ["order.py", "py.typed", "requence/task/__init__.pyi"]
    assert generate("--check").returncode == 0


def test_what_is_as_it_should_be_is_not_touched(service: ScriptedServer) -> None:
    generate()
    before = tree(Path("typings"))
    assert generate().stdout == "typings: 2 files, 0 written, 2 as before\n"
    assert tree(Path("typings")) == before
    service.always("types", Answer(200, FILES | {"order.py": "order = 2\n"}))
    done = generate()
    assert done.stdout.splitlines()[-1] == "typings: 2 files, 1 written, 1 as before"
    after = tree(Path("typings"))
    path = str(Path("typings", "invoice.py"))
    assert after[path] == before[path]
    assert Path("typings", "order.py").read_text("utf-8") == "order = 2\n"


def test_line_ends_of_version_control_are_no_difference(service: ScriptedServer) -> None:
    generate()
    for path in Path("typings").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert generate("--check").returncode == 0
    service.always("types", Answer(200, {"order.py": "order = 2\n"}))
    assert generate().returncode == 0
    assert names() == ["order.py"]


def test_no_files_at_all(service: ScriptedServer) -> None:
    service.always("types", Answer(200, {}))
    done = generate()
    assert (done.returncode, done.stdout) == (0, "The service has no types for this access token\n")
    assert generate("--check").returncode == 0
    assert not Path("typings").exists()


def test_what_was_written_and_is_not_wanted_any_more_is_removed(service: ScriptedServer) -> None:
    Path("typings").mkdir()
    Path("typings", "own.py").write_text("own = 1\n", "utf-8")
    generate()
    service.always("types", Answer(200, {"order.py": "order = 1\n"}))
    assert f"removed {Path('typings', 'invoice.py')}" in generate().stdout
    assert names() == ["order.py", "own.py"]
    service.always("types", Answer(200, {}))
    generate()
    assert names() == ["own.py"]


@pytest.mark.parametrize("is_one_file", [False, True])
def test_a_name_whose_case_has_changed(service: ScriptedServer, is_one_file: bool) -> None:
    """The old file is removed, but not where that would remove the new one."""
    old, new = Path("typings", "Order.py"), Path("typings", "order.py")
    service.always("types", Answer(200, {"Order.py": "order = 1\n"}))
    generate()
    if is_one_file and not new.exists():
        new.hardlink_to(old)  # as a file system does by itself where case does not count
    service.always("types", Answer(200, {"order.py": "order = 1\n"}))
    assert "was changed" not in generate().stdout
    assert new.read_text("utf-8") == "order = 1\n"
    assert is_one_file or len(names()) == 1
    assert generate("--check").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_it_works_where_nobody_listens(service: ScriptedServer) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {COMMAND} generate-types >&- 2>&-"], capture_output=True, timeout=30
    )
    assert done.returncode == 0
    assert names() == ["invoice.py", "order.py"]
    # Nor is anybody told that it is refused.
    service.always("types", Answer(200, {"../x.py": ""}))
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {COMMAND} generate-types >&- 2>&-"], capture_output=True, timeout=30
    )
    assert done.returncode == 1


def test_what_somebody_has_changed_is_not_removed(service: ScriptedServer) -> None:
    generate()
    Path("typings", "invoice.py").write_text("mine = 1\n", "utf-8")
    service.always("types", Answer(200, {"order.py": "order = 1\n"}))
    assert f"left {Path('typings', 'invoice.py')}, which was changed" in generate().stdout
    assert names() == ["invoice.py", "order.py"]
    assert generate().stdout == "typings: 1 file, 0 written, 1 as before\n"
    assert generate("--check").returncode == 0


def test_what_it_has_written_is_written_again(service: ScriptedServer) -> None:
    generate()
    Path("typings", "order.py").write_text("damaged\n", "utf-8")
    Path("typings", "invoice.py").unlink()
    assert generate("--check").returncode == 1
    assert generate().returncode == 0
    assert Path("typings", "order.py").read_text("utf-8") == "order = 1\n"
    assert names() == ["invoice.py", "order.py"]


def test_what_somebody_else_has_written_is_not_replaced(service: ScriptedServer) -> None:
    Path("typings").mkdir()
    Path("typings", "order.py").write_text("mine = 1\n", "utf-8")
    said = refused()
    assert f"{Path('typings', 'order.py')} was not written by this command" in said
    # The same text may have come with a checkout that has no record.
    Path("typings", "order.py").write_text("order = 1\n", "utf-8")
    assert generate().stdout.splitlines()[-1] == "typings: 2 files, 1 written, 1 as before"


def test_a_record_with_something_else_in_it_leads_nowhere(service: ScriptedServer) -> None:
    generate()
    outside = Path("outside.py")
    shutil.copy(Path("typings", "order.py"), outside)
    record = Path("typings", RECORD)
    digest = next(line for line in record.read_text("utf-8").splitlines() if "order.py" in line)[:64]
    record.write_bytes(
        f"<<<<<<<\n{digest}  ../outside.py\n{digest}  {outside.resolve()}\n".encode() + b"\xff\0\n"
    )
    service.always("types", Answer(200, {}))
    assert generate().returncode == 0
    assert outside.exists()
    assert names() == ["invoice.py", "order.py"]  # the record did not say that they were ours


# What it refuses


HOSTILE = [
    "../x.py",
    "../../../../../../tmp/x.py",
    "/tmp/x.py",
    "a/b.py",
    "a\\b.py",
    "..\\x.py",
    "C:x.py",
    "C:\\x.py",
    "x.py:stream",
    "",
    ".",
    "..",
    "...",
    ".hidden.py",
    ".requence-types",
    "x.py.",
    "x.py ",
    " x.py",
    "\u00a0x.py",
    "x\0.py",
    "x\n.py",
    "x\x1b[31m.py",
    "x\u202eyp.exe",
    "CON",
    "nul.py",
    "Com1.tar.gz",
    "LPT¹.py",
    "conin$",
    "a" * 300 + ".py",
    "é" * 127 + ".py",
    "what?.py",
    "*.py",
    "requence",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_other_than_plain_names_are_refused(service: ScriptedServer, name: str) -> None:
    service.always("types", Answer(200, {"good.py": "x = 1\n", name: "x = 1\n", "later.py": ""}))
    said = refused()
    assert said[:-1].isprintable()
    assert f"the file name {name!r} " in said or len(name) > 80


@pytest.mark.parametrize("name", ["../x.py", "../../../../../../tmp/x.py", "/tmp/x.py", "C:\\x.py", "x\0.py"])
def test_so_they_are_in_a_process_of_its_own(service: ScriptedServer, name: str) -> None:
    service.always("types", Answer(200, {"good.py": "x = 1\n", name: "x = 1\n"}))
    assert f"the file name {name!r} " in refused(run=in_a_child)


@pytest.mark.parametrize(
    ("one", "other"), [("Order.py", "order.py"), ("STRASSE.py", "straße.py"), ("é.py", "e\u0301.py")]
)
def test_names_that_some_file_system_takes_for_the_same_are_refused(one: str, other: str) -> None:
    with pytest.raises(RefusedFilesError, match="are the same where case does not count"):
        checked_files({one: "", "between.py": "", other: ""})


@pytest.mark.breaks_contract
@pytest.mark.parametrize("content", [None, 1, True, ["x = 1"], {"text": "x = 1"}], ids=str)
def test_a_content_that_is_no_text_is_refused(service: ScriptedServer, content: object) -> None:
    service.always("types", Answer(200, {"good.py": "x = 1\n", "bad.py": content}))
    assert "the content of 'bad.py' is not a text" in refused()


def test_a_content_that_no_text_file_can_have_is_refused(service: ScriptedServer) -> None:
    service.always("types", Answer(200, {"bad.py": "x = 1\0\n"}))
    assert "the content of 'bad.py' is not a text: it has a NUL" in refused()
    with pytest.raises(RefusedFilesError, match="not a text in Unicode"):
        checked_files({"bad.py": "\ud800"})


def test_more_than_could_be_meant_is_refused() -> None:
    with pytest.raises(RefusedFilesError, match="more than 10000 files"):
        checked_files({f"{number}.py": "" for number in range(10_001)})
    with pytest.raises(RefusedFilesError, match=r"more than 64 MiB up to 'b\.py'"):
        checked_files({"a.py": "x" * 40_000_000, "b.py": "x" * 40_000_000})


@pytest.mark.parametrize("leads_to", ["outside.py", "nowhere.py", "typings/inside.py"])
def test_a_link_in_the_place_of_a_file_is_not_followed(service: ScriptedServer, leads_to: str) -> None:
    Path("outside.py").write_text("mine\n", "utf-8")
    Path("typings").mkdir()
    Path("typings", "inside.py").write_text("mine\n", "utf-8")
    Path("typings", "order.py").symlink_to(Path(leads_to).resolve())
    assert "order.py is a link, where a file is to be written" in refused()
    assert "is a link" in refused("--check")


@pytest.mark.parametrize("link", ["requence", "requence/task"])
def test_a_folder_that_leads_outside_is_refused(service: ScriptedServer, link: str) -> None:
    outside = Path("outside")
    (outside / "task").mkdir(parents=True)
    place = Path("typings", link)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside.resolve(), target_is_directory=True)
    service.always("types", Answer(200, {"order.py": "", "__init__.pyi": ""}))
    assert "a link on the way leads out of it" in refused()


@pytest.mark.parametrize("place", ["order.py", RECORD])
def test_what_is_no_file_is_refused(service: ScriptedServer, place: str) -> None:
    Path("typings", place).mkdir(parents=True)
    assert f"{place} is a folder" in refused()
    Path("typings", place).rmdir()
    os.mkfifo(Path("typings", place))
    assert f"{place} is not a file" in refused()


def test_a_file_in_the_place_of_a_folder_is_refused(service: ScriptedServer) -> None:
    Path("typings").write_text("mine\n", "utf-8")
    assert "typings is not a folder" in refused()
    Path("other").mkdir()
    Path("other", "requence").write_text("mine\n", "utf-8")
    service.always("types", Answer(200, {"order.py": "", "__init__.pyi": ""}))
    assert "is not a folder" in refused("--outdir", "other")


def test_the_folder_itself_may_be_a_link(service: ScriptedServer) -> None:
    Path("elsewhere").mkdir()
    Path("typings").symlink_to("elsewhere", target_is_directory=True)
    assert generate().returncode == 0
    assert names("elsewhere") == ["invoice.py", "order.py"]


@pytest.mark.parametrize("outdir", ["closed", "/proc/typings"])
def test_a_folder_that_cannot_be_written_to_is_told(service: ScriptedServer, outdir: str) -> None:
    if outdir == "closed" and os.geteuid() == 0:
        pytest.skip("root writes everywhere: run the tests as another user")
    if not Path(outdir).parent.exists():
        pytest.skip("needs /proc")
    if outdir == "closed":
        Path(outdir).mkdir(mode=0o555)
    done = generate("--outdir", outdir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"requence-task: {outdir}")


def test_an_end_half_way_leaves_whole_files_that_are_known_to_be_ours(service: ScriptedServer) -> None:
    large = "x = 1\n" * 1000
    service.always("types", Answer(200, {"a.py": "a = 1\n", "b.py": large}))
    limit = (2000, 2000)
    done = in_a_child(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.returncode == 1
    assert done.stderr.startswith(f"requence-task: {Path('typings', 'b.py')}: ")
    assert done.stdout == f"wrote {Path('typings', 'a.py')}\n"
    assert names() == ["a.py"]  # and no draft
    service.always("types", Answer(200, {"a.py": "a = 2\n", "b.py": large}))
    assert generate().returncode == 0
    assert Path("typings", "a.py").read_text("utf-8") == "a = 2\n"


# --check


def test_check_tells_what_is_missing_different_and_obsolete(service: ScriptedServer) -> None:
    service.always("types", Answer(200, FILES | {"old.py": "", "changed.py": ""}))
    generate("--outdir", "the types")
    Path("the types", "order.py").write_text("damaged\n", "utf-8")
    Path("the types", "changed.py").write_text("mine now\n", "utf-8")
    Path("the types", "own.py").write_text("mine\n", "utf-8")
    Path("the types", "invoice.py").unlink()
    service.always("types", Answer(200, dict(FILES)))
    before = tree(Path("the types"))
    done = in_a_child("--check", "--outdir", "the types")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f"missing: {Path('the types', 'invoice.py')}",
        f"different: {Path('the types', 'order.py')}",
        f"obsolete: {Path('the types', 'old.py')}",
        "Run: requence-task generate-types --outdir 'the types'",
    ]
    assert tree(Path("the types")) == before
    generate("--outdir", "the types")
    assert generate("--check", "--outdir", "the types").stdout == "the types: 2 files, up to date\n"


def test_check_where_nothing_was_written_makes_nothing(service: ScriptedServer) -> None:
    done = generate("--check")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert not Path("typings").exists()


def test_check_needs_no_record_to_see_that_files_are_the_same(service: ScriptedServer) -> None:
    generate()
    Path("typings", RECORD).unlink()
    assert generate("--check").returncode == 0
    Path("typings", "order.py").write_text("somebody's\n", "utf-8")
    assert f"different: {Path('typings', 'order.py')}" in generate("--check").stdout


def test_check_refuses_what_the_command_would_refuse(service: ScriptedServer) -> None:
    service.always("types", Answer(200, {"../x.py": ""}))
    assert "'../x.py'" in refused("--check")


# The token, the service, the options


def test_the_token_is_found_as_everywhere(service: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    token = service.access_token
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", encode_access_token("other", "http://127.0.0.1:9"))
    assert in_a_child("--check", "--access-token", token).returncode == 1
    monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", token)
    assert in_a_child("--check").returncode == 1
    monkeypatch.delenv("REQUENCE_TASK_ACCESS_TOKEN")
    monkeypatch.delenv("REQUENCE_ACCESS_TOKEN")
    Path("pyproject.toml").write_text(f'[tool.requence]\naccess_token = "{token}"\n', "utf-8")
    assert in_a_child("--check").returncode == 1
    assert len(service.calls("types")) == 3
    assert {call.headers["authorization"] for call in service.calls()} == {f"Bearer {BEARER}"}


def test_without_a_usable_token_nothing_is_asked(service: ScriptedServer) -> None:
    damaged = service.access_token[:-3]
    done = in_a_child(env={**os.environ, "REQUENCE_ACCESS_TOKEN": ""})
    assert done.returncode == 2
    assert "No access token was found" in done.stderr
    done = in_a_child("--access-token", damaged)
    assert done.returncode == 2
    assert damaged not in done.stderr
    assert "REQUENCE_RETRIES" in in_a_child(env={**os.environ, "REQUENCE_RETRIES": "many"}).stderr
    assert service.calls() == []


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (Answer(401, f"\x1b[31mno\nsuch token {BEARER}"), 1, r"\x1b[31mno such token [access token]"),
        (Answer(404, "not here"), 1, "not here"),
        (Answer(500, "<h1>broken</h1>"), 1, "broken"),
        (Answer(503, "later"), 69, "later"),
        pytest.param(
            Answer(302, "", {"Location": "http://127.0.0.1:9/"}),
            1,
            "redirects are not followed",
            marks=pytest.mark.breaks_contract,
        ),
        pytest.param(Answer(200, "no JSON"), 1, "not understood", marks=pytest.mark.breaks_contract),
        pytest.param(Answer(200, ["a.py"]), 1, "not understood", marks=pytest.mark.breaks_contract),
        pytest.param(Answer(200, '"a.py"'), 1, "not understood", marks=pytest.mark.breaks_contract),
        (Answer(200, '{"a.py": "x', length=1000), 69, "connection"),
    ],
)
def test_what_the_service_says_instead_is_told(
    service: ScriptedServer, answer: Answer, status: int, said: str
) -> None:
    service.always("types", answer)
    for more in ((), ("--check",)):
        done = generate(*more)
        assert done.returncode == status
        assert said in done.stderr
        assert "\x1b" not in done.stderr
    assert not Path("typings").exists()


def test_a_service_that_is_gone(service: ScriptedServer) -> None:
    service.go_away()
    assert in_a_child().returncode == 69


def test_ctrl_c_ends_it(service: ScriptedServer) -> None:
    gate = Gate()
    service.always("types", Answer(200, {}, when=gate))
    child = subprocess.Popen([COMMAND, "generate-types"], stderr=subprocess.PIPE, text=True)
    try:
        service.wait_until(lambda: len(service.calls()) == 1)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    finally:
        child.kill()
        gate.open()
    assert (child.returncode, said) == (130, "requence-task: interrupted\n")


def test_wrong_options(service: ScriptedServer) -> None:
    token = service.access_token
    wrong = [
        ("--acces-token", token),
        (f"--acces-token={token}",),
        (token,),
        (f"--check={token}",),
        ("--access-token",),
        ("--outdir", " "),
        ("--outfile", "x.py"),
    ]
    for arguments in wrong:
        done = generate(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "see requence-task generate-types --help" in done.stderr
    assert subprocess.run([COMMAND, token], capture_output=True).returncode == 2
    assert subprocess.run([COMMAND], capture_output=True).returncode == 2
    assert service.calls() == []


def test_help_tells_of_the_list_of_processes_and_the_statuses() -> None:
    done = in_a_child("--help")
    assert done.returncode == 0
    assert "list of processes" in done.stdout
    assert "69 if the service cannot be reached" in done.stdout
    version = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"requence {__version__}\n"


def test_the_other_command_line_has_it_too(service: ScriptedServer) -> None:
    def types(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["types", *arguments], prog_name="requence")
        assert service.access_token not in result.output
        return result

    assert types("--outdir", "x").stdout.splitlines()[-1] == "x: 2 files, 2 written, 0 as before"
    assert names("x") == ["invoice.py", "order.py"]
    done = types("--check")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        1,
        "Run: requence-task generate-types --outdir typings",
    )
    for wrong in ([service.access_token], ["--acces-token", service.access_token], ["--outdir", " "]):
        done = types(*wrong)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "see requence types --help" in done.stderr
    assert types("--outdir", "x", "--access-token", service.access_token).exit_code == 0
    assert types("--access-token", "damaged").exit_code == 2
    done = types("--help")
    assert "list of processes" in " ".join(done.stdout.split())
    assert "69 the service cannot be reached" in " ".join(done.stdout.split())
