"""`requence doctor`: what it finds, what it says of it, and that the token is never shown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import lines_of, requence
from tests.scripted_server import BEARER, Answer, ScriptedServer

from requence import __version__, _client
from requence._token import encode_access_token
from requence.cli import installation

NAMES = [
    *("python", "requence", "dependencies", "installation", "commands"),
    *("settings", "certificates", "token", "proxy", "service"),
]


@pytest.fixture(autouse=True)
def fresh_default_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a process of its own: the default client is made from this test's environment."""
    monkeypatch.setattr(_client, "_default", type(_client._default)())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REQUENCE_RETRIES", "0")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A service that knows no task; its token is in the environment."""
    with ScriptedServer() as server:
        server.always("get", Answer(404, "There is no such task"))
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
        yield server


def examined(*, status: int) -> dict[str, tuple[str, str]]:
    """Runs the command both ways, which tell the same; returns verdict and text of each check."""
    done, in_json = requence("doctor"), requence("doctor", "--json")
    assert done.exit_code == in_json.exit_code == status
    assert done.stderr == ""
    lines = lines_of(in_json)
    assert sorted(line["name"] for line in lines) == sorted(NAMES)
    assert {tuple(line) for line in lines} == {("kind", "name", "verdict", "says", "hint", "exit_status")}
    failed = [line for line in lines if line["verdict"] == "fail"]
    assert [line["exit_status"] for line in failed[:1]] == ([status] if status else [])
    told = [line.split()[:2] for line in done.stdout.splitlines() if line[0] != " "]
    assert told == [[line["verdict"], line["name"]] for line in lines]
    return {line["name"]: (line["verdict"], line["says"]) for line in lines}


def test_all_is_well(service: ScriptedServer) -> None:
    found = examined(status=0)
    assert {verdict for verdict, _ in found.values()} <= {"ok", "warn"}
    assert found["requence"][1].startswith(f"{__version__} (")
    assert found["python"][1] == f"{sys.version.split()[0]} ({sys.executable})"
    assert all(name in found["dependencies"][1] for name in ("aiohttp 3", "httpx 0", "attrs 2", "msgspec 0"))
    assert found["token"][1] == f"from the environment variable REQUENCE_ACCESS_TOKEN, for {service.url}"
    assert found["service"][1].startswith(f"{service.url} answers, and accepts the token (")
    assert found["settings"][1] == "REQUENCE_RETRIES=0"
    assert set(service.operations) == {"get"}


def test_the_token_is_not_shown(service: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (Answer(404), Answer(401, f"{BEARER} is refused"), Answer(500, BEARER)):
        service.always("get", answer)
        done = requence("doctor")
        assert BEARER not in done.output
        assert service.access_token not in done.output
    monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", service.access_token[:-3])
    done = requence("doctor")
    assert done.exit_code == 2
    assert service.access_token[:-3] not in done.output


def test_where_the_token_comes_from(
    service: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = encode_access_token("another-secret", service.url)
    monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", other)
    verdict, says = examined(status=0)["token"]
    assert verdict == "warn"
    assert says.startswith("from the environment variable REQUENCE_TASK_ACCESS_TOKEN, ")
    assert says.endswith("REQUENCE_TASK_ACCESS_TOKEN and REQUENCE_ACCESS_TOKEN differ")
    monkeypatch.delenv("REQUENCE_TASK_ACCESS_TOKEN")
    monkeypatch.delenv("REQUENCE_ACCESS_TOKEN")
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[tool.requence]\naccess_token = "{other}"\n')
    assert examined(status=0)["token"] == (
        "ok",
        f"from access_token in [tool.requence] of {file}, for {service.url}",
    )
    file.unlink()
    found = examined(status=2)
    assert found["token"][0] == "fail"
    assert found["token"][1].startswith("No access token was found")
    assert found["proxy"] == found["service"] == ("skipped", "there is no usable access token")


def test_a_service_that_does_not_take_the_token(service: ScriptedServer) -> None:
    service.always("get", Answer(401, "Unknown token"))
    assert examined(status=1)["service"] == ("fail", "Unknown token")
    service.always("get", Answer(500, "Broken"))
    assert examined(status=1)["service"] == ("fail", "Broken")


def test_a_service_that_is_not_there(service: ScriptedServer) -> None:
    service.go_away()
    verdict, says = examined(status=69)["service"]
    assert verdict == "fail"
    assert "could not be reached" in says


def test_the_way_to_a_service_elsewhere(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "REQUENCE_ACCESS_TOKEN", encode_access_token("a-secret-bearer", "http://service.example")
    )
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass-word@127.0.0.1:{free_port}")
    found = examined(status=69)
    assert found["token"][0] == "warn"
    assert found["token"][1].endswith("it is sent there without encryption")
    assert found["proxy"] == ("ok", f"http://127.0.0.1:{free_port}, from the environment variable HTTP_PROXY")
    assert "pass-word" not in requence("doctor").output
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:pass-word@127.0.0.1")
    found = examined(status=2)
    assert found["proxy"][0] == "fail"
    assert found["service"] == ("skipped", "the proxy is of no use")
    assert "pass-word" not in requence("doctor").output


def test_settings_of_no_use(service: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUENCE_CA_BUNDLE", "no/such.pem")
    found = examined(status=2)
    assert found["settings"][0] == "fail"
    assert "REQUENCE_CA_BUNDLE" in found["settings"][1]
    assert found["service"][0] == "skipped"
    monkeypatch.delenv("REQUENCE_CA_BUNDLE")
    monkeypatch.setenv("SSL_CERT_FILE", "/some/where.pem")
    assert (
        examined(status=0)["certificates"][1]
        == "those that the system trusts, by SSL_CERT_FILE=/some/where.pem"
    )


def a_distribution(folder: Path, name: str, version: str, *packages: str) -> None:
    """Makes what an installer leaves behind of a distribution."""
    facts = folder / f"{name}-{version}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (facts / "top_level.txt").write_text("\n".join(packages))


def test_an_installation_that_is_mixed_with_the_published_sdk(
    service: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert examined(status=0)["installation"][0] == "ok"
    site = tmp_path / "site"
    a_distribution(site, "requence", "0.8.2", "requence")
    a_distribution(site, "some-other", "3", "requence_api")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    (tmp_path / "requence.py").write_text("")
    ours = tmp_path / "ours"
    (ours / "transformer").mkdir(parents=True)
    (ours / "transformer" / "__init__.py").write_text("")
    (ours / "wire_codec.py").write_text("")
    monkeypatch.setattr(installation, "_package_folder", lambda: ours)
    verdict, says = examined(status=1)["installation"]
    assert verdict == "fail"
    assert "requence is installed more than once: " in says
    assert f"0.8.2 in {site}" in says
    assert "the package requence_api is also in the distribution some-other" in says
    assert f"files of the published SDK are left in {ours}: wire_codec.py, transformer/__init__.py" in says
    assert f"scripts in {tmp_path} import {tmp_path / 'requence.py'} instead of the package requence" in says
    assert "hint: make an environment of its own for each" in requence("doctor").stdout


# Modules of the published SDK in the place of ours: they lack what ours have.
OVERWRITTEN = """
import sys, types, requence
sys.modules["requence.exceptions"] = types.ModuleType("requence.exceptions")
from requence.cli import main
main()
"""


def test_an_installation_whose_files_are_those_of_the_published_sdk(tmp_path: Path) -> None:
    """Nothing else works then, so whatever the command, it tells what is mixed."""
    (tmp_path / "requence.py").write_text("")
    runs = [
        subprocess.run(
            [sys.executable, "-I", "-c", OVERWRITTEN, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=30,
        )
        for arguments in (["doctor"], ["run", "my-template", "--json"])
    ]
    assert [run.returncode for run in runs] == [1, 1]
    (text, in_json), shadow = runs, tmp_path / "requence.py"
    assert text.stderr.startswith("requence: This installation does not work: cannot import name ")
    assert f"scripts in {tmp_path} import {shadow} instead of the package requence" in text.stderr
    assert "\nhint: make an environment of its own for each" in text.stderr
    [line] = [json.loads(line) for line in in_json.stdout.splitlines()]
    assert (line["kind"], line["error"], line["exit_status"]) == ("error", "ImportError", 1)
    assert str(shadow) in line["message"]
    assert text.stdout == in_json.stderr == ""


def test_in_a_directory_that_was_deleted(service: ScriptedServer, tmp_path: Path) -> None:
    tmp_path.rmdir()
    assert examined(status=0)["installation"][0] == "ok"


def test_commands_of_another_environment(
    service: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "bin"
    other.mkdir()
    command = other / "requence-task"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    found = examined(status=0)
    assert found["commands"] == ("warn", f"in the shell, {command} of another environment comes first")


def test_a_dependency_that_is_missing(service: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_NEEDED", ("aiohttp", "no-such-distribution"))
    verdict, says = examined(status=1)["dependencies"]
    assert verdict == "fail"
    assert says.startswith("no-such-distribution missing; there are aiohttp ")
