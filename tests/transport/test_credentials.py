"""Where the access token is found, in which order, and that no fault on the way shows a token."""

from __future__ import annotations

import os
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from requence import Client
from requence._token import encode_access_token
from requence._transport import pyproject
from requence._transport.credentials import find_access_token
from requence.exceptions import ConfigurationError

NO_CLIENT = Client()


def token(bearer: str) -> str:
    return encode_access_token(bearer, "http://127.0.0.1:8080")


SECRET = token("s3cr3t")
DAMAGED = SECRET[:-1] + "1"
ABSENT = [None, "", "  ", "\n"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a project of its own, so that nothing above it is looked at."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("REQUENCE_TASK_ACCESS_TOKEN", "REQUENCE_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return project


def write(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "pyproject.toml"
    file.write_text(text, "utf-8")
    return file


def found(argument: object = None, client: Client = NO_CLIENT) -> str:
    return find_access_token(argument, client).bearer


def fault(argument: object = None, client: Client = NO_CLIENT) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        find_access_token(argument, client)
    return caught.value


def chain_of(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException | None] = [error]
    while seen:
        link = seen.pop()
        if link is not None:
            yield link
            seen += [link.__cause__, link.__context__]


def assert_hidden(error: ConfigurationError, *secrets: str) -> None:
    """No part of the error, however it is looked at, shows one of the secrets."""
    shown = [*traceback.format_exception(error)]
    for link in chain_of(error):
        shown += [str(link), repr(link), repr(link.args), repr(vars(link))]
    for secret in secrets:
        assert not any(secret in text for text in shown)


# The order


def test_the_order_of_the_sources(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source is taken away in turn, from the first to the last."""
    client = Client(token("client"))
    monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", token("task-variable"))
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", token("variable"))
    values = [("requence", "task_access_token"), ("requence", "access_token")]
    values += [("tool.requence", key) for _, key in values]
    tables = ["requence", "tool.requence"]

    def configure(*given: tuple[str, str]) -> None:
        lines = [
            line
            for table in tables
            for line in (
                f"[{table}]",
                *(f'{key} = "{token(f"{owner} {key}")}"' for owner, key in given if owner == table),
            )
        ]
        write(project, "\n".join(lines))

    configure(*values)
    assert found(token("argument"), client) == "argument"
    assert found(None, client) == "client"
    assert found() == "task-variable"
    monkeypatch.delenv("REQUENCE_TASK_ACCESS_TOKEN")
    assert found() == "variable"
    monkeypatch.delenv("REQUENCE_ACCESS_TOKEN")
    while values:
        configure(*values)
        assert found() == " ".join(values.pop(0))
    configure()
    assert "No access token was found" in fault().message


@pytest.mark.parametrize("empty", ABSENT)
def test_empty_values_count_as_absent(
    empty: str | None, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUENCE_TASK_ACCESS_TOKEN", "REQUENCE_ACCESS_TOKEN"):
        if empty is not None:
            monkeypatch.setenv(name, empty)
    quoted = (empty or "").replace("\n", "\\n")
    write(
        project,
        f'[requence]\ntask_access_token = "{quoted}"\naccess_token = "{quoted}"\n'
        f'[tool.requence]\ntask_access_token = "{quoted}"\naccess_token = "{token("last")}"',
    )
    assert found(empty, Client(empty)) == "last"


def test_an_empty_value_in_a_file_does_not_end_the_search(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, f'[requence]\naccess_token = "{token("above")}"')
    write(project / "inner", '[requence]\naccess_token = ""')
    monkeypatch.chdir(project / "inner")
    assert found() == "above"


def test_white_space_around_a_token_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(f"  {SECRET}\n") == "s3cr3t"
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", f"{SECRET}\r\n")
    assert found() == "s3cr3t"


def test_the_sources_are_read_at_each_use(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", token("one"))
    assert found() == "one"
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", token("two"))
    assert found() == "two"


# Damaged tokens


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("argument", "the argument access_token"),
        ("client", "the client's access_token"),
        ("REQUENCE_TASK_ACCESS_TOKEN", "the environment variable REQUENCE_TASK_ACCESS_TOKEN"),
        ("REQUENCE_ACCESS_TOKEN", "the environment variable REQUENCE_ACCESS_TOKEN"),
        ("requence", "access_token in [requence] of "),
        ("tool.requence", "access_token in [tool.requence] of "),
    ],
)
def test_a_damaged_token_never_falls_through(
    place: str, named: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(project.parent, "")
    if place.startswith("REQUENCE"):
        monkeypatch.setenv(place, DAMAGED)
        if place != "REQUENCE_ACCESS_TOKEN":
            monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", SECRET)
    elif "requence" in place:
        file = write(project, f'[{place}]\ntask_access_token = ""\naccess_token = "{DAMAGED}"')
    if "requence" not in place:
        write(project, f'[requence]\naccess_token = "{SECRET}"')
    argument = DAMAGED if place == "argument" else None
    error = fault(argument, Client(DAMAGED) if place == "client" else NO_CLIENT)
    assert error.message.startswith(f"The access token from {named}")
    assert "is not valid" in error.message
    if "requence" in place:
        assert str(file) in error.message
    assert_hidden(error, DAMAGED, DAMAGED[:12], SECRET, "s3cr3t")


@pytest.mark.parametrize("argument", [5, b"AGEA", ["AGEA"], True, 0, False])
def test_the_argument_is_text(argument: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong type is a fault, even where its value would count as empty."""
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", SECRET)
    assert fault(argument).message == f"access_token must be text, not {type(argument).__name__}"


def test_an_argument_of_bytes_is_not_shown() -> None:
    assert_hidden(fault(SECRET.encode()), SECRET)


# pyproject.toml


@pytest.mark.parametrize("key", ["task_access_token", "access_token"])
@pytest.mark.parametrize("table", ["requence", "tool.requence"])
def test_both_tables_and_both_keys(table: str, key: str, project: Path) -> None:
    write(project, f'[project]\nname = "mine"\n[{table}]\nother = 5\n{key} = "{SECRET}"')
    assert found() == "s3cr3t"


def test_files_above_are_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    write(project, f'[tool.requence]\naccess_token = "{token("top")}"')
    monkeypatch.chdir(deep)
    assert found() == "top"
    write(project / "a" / "b", '[project]\nname = "without a token"')
    assert found() == "top"
    write(project / "a", f'[tool.requence]\naccess_token = "{token("nearer")}"')
    assert found() == "nearer"


@pytest.mark.parametrize("as_file", [False, True], ids=["directory", "file"])
def test_the_search_ends_at_the_root_of_the_repository(
    as_file: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.git` is a file in work trees and submodules."""
    write(project, f'[requence]\naccess_token = "{SECRET}"')
    inner = project / "vendored"
    inner.mkdir()
    if as_file:
        (inner / ".git").write_text("gitdir: elsewhere", "utf-8")
    else:
        (inner / ".git").mkdir()
    (inner / "src").mkdir()
    monkeypatch.chdir(inner / "src")
    assert "No access token was found" in fault().message
    write(inner, f'[requence]\naccess_token = "{token("inner")}"')
    assert found() == "inner"


@pytest.mark.parametrize("linked", [False, True], ids=["home", "link to home"])
def test_the_search_ends_at_home(linked: bool, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Home may be reached by a link, while the current directory is always named without one."""
    home = project / "home"
    (home / "work").mkdir(parents=True)
    write(project, f'[requence]\naccess_token = "{SECRET}"')
    if linked:
        (project / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(project / "link" if linked else home))
    monkeypatch.chdir(home / "work")
    assert "No access token was found" in fault().message
    write(home, f'[requence]\naccess_token = "{token("home")}"')
    assert found() == "home"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_search_ends_at_a_file_of_somebody_else(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, f'[requence]\naccess_token = "{SECRET}"')
    theirs = write(project / "inner", f'[requence]\naccess_token = "{token("theirs")}"')
    os.chown(theirs, 12345, -1)
    monkeypatch.chdir(project / "inner")
    error = fault()
    assert f"{theirs}, which was not read since it belongs to another user" in error.message
    assert_hidden(error, token("theirs"), SECRET)


@pytest.mark.parametrize(
    "text",
    [
        'requence = "text"',
        "requence = 5",
        "tool = 5",
        "[tool]\nrequence = []",
        "[[requence]]",
        "[requence]\ntoken = 'x'",
        "",
    ],
)
def test_tables_of_another_shape_are_passed_over(text: str, project: Path) -> None:
    write(project, text)
    assert "No access token was found" in fault().message


@pytest.mark.parametrize("value", ["5", "true", "0", "false", "[]", "['x']", "{}", "2026-01-31", "1.5"])
@pytest.mark.parametrize("table", ["requence", "tool.requence"])
def test_a_value_in_a_file_is_text(table: str, value: str, project: Path) -> None:
    file = write(project, f"[{table}]\naccess_token = {value}")
    assert fault().message.startswith(f"access_token in [{table}] of {file} must be text, not ")


def test_a_value_of_another_type_is_not_shown(project: Path) -> None:
    write(project, f'[requence]\naccess_token = ["{SECRET}"]')
    error = fault()
    assert error.message.endswith("must be text, not list")
    assert_hidden(error, SECRET)


@pytest.mark.parametrize(
    "broken",
    [
        f'[requence]\naccess_token = "{SECRET}',
        f'[requence]\naccess_token = "{SECRET}"\n[requence]',
        f"[requence]\naccess_token = {SECRET}",
        f'[requence]\naccess_token = "{SECRET}"\nx = ' + "[" * 5000,
    ],
    ids=["not closed", "twice", "not quoted", "too deep"],
)
def test_a_broken_file_is_named(broken: str, project: Path) -> None:
    """And its content is not shown: it may hold the token."""
    file = write(project, broken)
    error = fault()
    assert error.message.startswith(f"{file} could not be read while looking for an access token: ")
    assert error.hint is not None
    assert "mend the file" in error.hint
    assert_hidden(error, SECRET, SECRET[:12])


def test_a_file_that_is_not_utf_8_is_named(project: Path) -> None:
    """The decoder's own error would carry the whole file along."""
    file = project / "pyproject.toml"
    file.write_bytes(f'[requence]\naccess_token = "{SECRET}"\nname = "'.encode() + b'\xe9"')
    error = fault()
    assert error.message.startswith(f"{file} could not be read while looking for an access token: ")
    assert "utf-8" in error.message
    assert_hidden(error, SECRET, SECRET[:12])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(project: Path) -> None:
    file = write(project, f'[requence]\naccess_token = "{SECRET}"')
    file.chmod(0)
    assert fault().message.startswith(f"{file} could not be read while looking for an access token: ")


def test_a_broken_file_is_not_looked_at_where_a_token_comes_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "[")
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", SECRET)
    assert found() == "s3cr3t"


def test_a_directory_of_that_name_is_passed_over(project: Path) -> None:
    (project / "pyproject.toml").mkdir()
    assert "No access token was found" in fault().message


def test_each_file_is_parsed_once_as_long_as_it_is_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyproject, "_parsed", {})
    parsed: list[str] = []
    plain_loads = tomllib.loads

    def loads(text: str) -> dict[str, object]:
        parsed.append(text)
        return plain_loads(text)

    monkeypatch.setattr(tomllib, "loads", loads)
    write(project, f'[tool.requence]\naccess_token = "{SECRET}"')
    inner = project / "inner"
    write(inner, "[project]\nname = 'inner'")  # which has no token, so the one above is looked at, too
    monkeypatch.chdir(inner)
    assert [found() for _ in range(3)] == ["s3cr3t"] * 3
    assert len(parsed) == 2
    write(project, f'[tool.requence]\naccess_token = "{token("other")}"')
    assert [found() for _ in range(3)] == ["other"] * 3
    assert len(parsed) == 3


# Nothing anywhere


def test_without_any_token_the_error_lists_where_it_was_looked_for(project: Path) -> None:
    error = fault()
    for place in (
        "the argument access_token",
        "the client",
        "REQUENCE_TASK_ACCESS_TOKEN",
        "REQUENCE_ACCESS_TOKEN",
        "[requence]",
        "[tool.requence]",
        f"pyproject.toml files from {project} upward",
    ):
        assert place in error.message
    assert error.hint is not None
    assert "requence local" in error.hint
    assert isinstance(error, ValueError)


def test_a_current_directory_that_is_gone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "the current directory is gone" in fault().message
    assert found(SECRET) == "s3cr3t"


def test_a_user_without_a_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that run under a number which no list of users knows."""
    pwd = pytest.importorskip("pwd")

    def unknown(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert "No access token was found" in fault().message
    write(project, f'[requence]\naccess_token = "{SECRET}"')
    assert found() == "s3cr3t"
