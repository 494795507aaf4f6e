"""`requence.configure`, each in a process of its own: what it sets counts for the whole process, for good."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scripted_server import BEARER, ScriptedServer

HEAD = """
import requence
from requence._client import default_client
from requence.exceptions import ConfigurationError, UsageError
from requence.task import Task, TaskWatcher, abort_task, get_task

def refused(*arguments, **settings):
    try:
        requence.configure(*arguments, **settings)
    except (ConfigurationError, UsageError) as error:
        return type(error).__name__
    return "taken"

"""


def run(code: str, cwd: Path, **environ: str) -> str:
    """Runs a script in a process that has only these variables of ours, and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code],
        env={**os.environ, **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def test_it_sets_the_default_client_until_that_was_used(tmp_path: Path) -> None:
    code = """
requence.configure("no token", retries=9)
requence.configure(TOKEN, call_timeout=7, patience=None)
print(default_client().call_timeout, default_client().patience, default_client().retries)
print(Task("t").sync.result.result)
print(refused(TOKEN, retries=1), default_client().call_timeout)
try:
    requence.configure()
except UsageError as error:
    print(error.message, error.hint, sep="\\n")
"""
    with ScriptedServer() as server:
        printed = run(f"TOKEN = {server.access_token!r}\n{code}", tmp_path, REQUENCE_RETRIES="2").splitlines()
        assert {call.headers["authorization"] for call in server.calls()} == {f"Bearer {BEARER}"}
    assert printed == [
        "7 None 2",
        "done",
        "UsageError 7",
        "The default client was used already, so it cannot be configured any more",
        "call requence.configure(…) before the first task, or give tasks and functions client=Client(…)",
    ]


@pytest.mark.parametrize(
    "use",
    [
        'Task("t", access_token=TOKEN)',
        'get_task("x", TOKEN)',
        'abort_task("x", TOKEN)',
        'TaskWatcher("2026-01-01", TOKEN).stop()',
    ],
)
def test_each_use_without_a_client_settles_it(tmp_path: Path, use: str) -> None:
    with ScriptedServer() as server:
        code = f"TOKEN = {server.access_token!r}\n{use}\nprint(refused(retries=1))"
        assert run(code, tmp_path) == "UsageError"


def test_what_does_not_use_the_default_client_does_not_settle_it(tmp_path: Path) -> None:
    code = """
from requence.local import LocalServer, TaskTemplate
greet = TaskTemplate("greet")

@greet.node
def hello(ctx):
    return "hello"

Task("t", client=requence.Client(TOKEN)).sync.result
with LocalServer(greet) as server:
    with server.use():
        print(Task("greet").sync.result.result)
        print(refused(TOKEN, retries=1), default_client() == server.client)
        print(Task("greet").sync.result.result)
    print(default_client().retries)
    print(Task("t").sync.result.result)
    print(refused(retries=2))
    with server.use():
        print(Task("greet").sync.result.result)
"""
    with ScriptedServer() as server:
        printed = run(f"TOKEN = {server.access_token!r}\n{code}", tmp_path).splitlines()
    assert printed == ["hello", "taken True", "hello", "1", "done", "UsageError", "hello"]


def test_who_has_no_token_may_configure_one_then(tmp_path: Path) -> None:
    code = """
import os
for _ in range(2):
    try:
        Task("t")
    except ConfigurationError as error:
        print(error.message.partition(".")[0])
    os.environ["REQUENCE_RETRIES"] = "x"
del os.environ["REQUENCE_RETRIES"]
print(refused(TOKEN), Task("t").sync.result.result)
"""
    (tmp_path / ".git").mkdir()
    with ScriptedServer() as server:
        printed = run(f"TOKEN = {server.access_token!r}\n{code}", tmp_path).splitlines()
    assert printed == [
        "No access token was found",
        "The environment variable REQUENCE_RETRIES must be a whole number of at least 0, not 'x'",
        "taken done",
    ]


def test_a_refused_configuration_changes_nothing(tmp_path: Path) -> None:
    code = """
requence.configure(retries=5)
print(refused(retries=-1), refused(proxy="socks5://p"), refused(ca_bundle="missing.pem"), default_client().retries)
try:
    requence.configure(colour="blue")
except TypeError as error:
    print(error)
"""
    assert run(code, tmp_path).splitlines() == [
        "ConfigurationError ConfigurationError ConfigurationError 5",
        "configure() got an unexpected keyword argument 'colour'",
    ]


def test_importing_the_package_reads_no_variable_and_no_tls_library(tmp_path: Path) -> None:
    code = "import sys, requence; print('ssl' in sys.modules, requence.configure.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "REQUENCE_RETRIES": "x", "REQUENCE_CA_BUNDLE": "missing.pem"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False configure\n"
