"""The pytest plugin, in runs of pytest as its users have them: child processes with files of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs a file of tests in a child process; warnings are errors there, too."""

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        if "no:asyncio" not in options:  # else pytest-asyncio wants to be told
            options = ("-o", "asyncio_default_fixture_loop_scope=function", *options)
        options = ("-p", "no:hypothesispytest", *options)  # half of the time goes there, for nothing
        return pytester.runpytest_subprocess("-q", "-W", "error", *options, timeout=50)

    return run


def said(result: pytest.RunResult) -> str:
    return result.stdout.str()


# What costs nothing


def test_nothing_but_pytest_is_imported_before_the_fixture_is_used(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            ours = {name for name in sys.modules if name.partition(".")[0] in ("requence", "requence_api")}
            print("OURS", *sorted(ours))
            heavy = {"aiohttp", "asyncio", "attrs", "httpx", "msgspec", "sqlite3", "starlette", "typer", "uvicorn"}
            print("HEAVY", *sorted(heavy & set(sys.modules)))
        """
    )
    # Without pytest-asyncio, which imports asyncio itself.
    result = run("def test_it(): pass", "--collect-only", "-s", "-p", "no:asyncio", "-p", "no:anyio")
    # The light ones are what `import requence` brings.
    light = ["_brief", "_client", "_json", "_proxy", "_references", "_settings", "_trust", "_version"]
    named = " ".join(f"requence.{name}" for name in light)
    assert f"OURS requence {named} requence.exceptions requence.testing requence.testing.plugin\n" in said(
        result
    )
    assert "HEAVY" in result.outlines


# What a test finds

A_USERS_CODE = """
from requence.task import Task

def total_of(path):
    return Task("invoice", {"path": path}).sync.result.result["total"]
"""


def test_code_under_test_runs_unmodified(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(billing=A_USERS_CODE)
    result = run(
        """
        import subprocess, sys
        from billing import Task, total_of

        def test_in_this_process(requence_server):
            requence_server.stub("invoice", result={"total": 12.5})
            assert total_of("a.pdf") == 12.5
            [started] = requence_server.started("invoice")
            assert started.input == {"path": "a.pdf"}

        def test_in_a_child_process(requence_server):
            requence_server.stub("invoice", result={"total": 3})
            code = "from billing import total_of; print(total_of('b.pdf'))"
            assert subprocess.check_output([sys.executable, "-c", code], text=True) == "3\\n"
            assert [task.input for task in requence_server.started()] == [{"path": "b.pdf"}]

        def test_with_its_clock(requence_server):
            requence_server.stub("invoice", result={"total": 4}, delay=3600)
            task = Task("invoice")
            for update in task.sync.updates:
                if update.type == "nodeStart":
                    requence_server.clock.advance(3600)
            assert task.sync.result.result == {"total": 4}
        """
    )
    result.assert_outcomes(passed=3)


def test_each_test_finds_a_clean_server_that_is_the_same(run: Run) -> None:
    result = run(
        """
        import pytest
        from requence.local import TaskTemplate
        from requence.task import Task

        made = TaskTemplate("made")
        made.node("n")(lambda ctx: "real")
        seen = []

        @pytest.mark.parametrize("number", range(3))
        def test_it(requence_server, number):
            assert requence_server.started() == []
            for name in ("stubbed", "made"):
                with pytest.raises(Exception, match="This server has: none"):
                    Task(name).sync.finalized()
            requence_server.stub("stubbed", result=number)
            requence_server.serve(made)
            assert Task("stubbed").sync.result.result == number
            assert Task("made").sync.result.result == "real"
            requence_server.faults.status(503, operation="prepare", times=None)
            seen.append(requence_server.url)
            assert len(set(seen)) == 1
        """
    )
    result.assert_outcomes(passed=3)


def test_the_settings_of_the_machine_are_out_of_the_way_and_come_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", "another")
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", "mine")
    monkeypatch.setenv("REQUENCE_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUENCE_CALL_TIMEOUT", "nonsense")
    monkeypatch.setenv("REQUENCE_OF_THE_USER", "stays")
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    result = run(
        """
        import os
        from requence import Client
        from requence.task import Task

        def ours():
            return {name: text for name, text in os.environ.items() if name.startswith("REQUENCE_")}

        before = ours()

        def test_it(monkeypatch, requence_server):
            token = requence_server.access_token
            assert ours() == {"REQUENCE_ACCESS_TOKEN": token, "REQUENCE_OF_THE_USER": "stays"}
            requence_server.stub("invoice", result=1)
            assert Task("invoice").sync.result.result == 1
            assert Task("invoice", client=Client(call_timeout=20)).sync.result.result == 1
            monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", "of the test")

        def test_afterwards():
            assert ours() == before
            assert len(before) == 5
        """
    )
    result.assert_outcomes(passed=2)


def test_the_session_server_can_be_chosen(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from requence.local import LocalServer, TaskTemplate

        everywhere = TaskTemplate("everywhere")
        everywhere.node("n")(lambda ctx: 1)

        @pytest.fixture(scope="session")
        def requence_session_server():
            with LocalServer(everywhere, max_payload_size=1000) as server:
                yield server
        """
    )
    result = run(
        """
        import pytest
        from requence.task import Task, TaskRefusedError

        @pytest.mark.parametrize("number", range(2))
        def test_it(requence_server, number):
            assert Task("everywhere").sync.result.result == 1
            requence_server.stub("everywhere", result=2)
            assert Task("everywhere").sync.result.result == 2
        """
    )
    result.assert_outcomes(passed=2)


# Whoever runs the tests


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_with_asyncio(run: Run, mode: str) -> None:
    result = run(
        """
        import asyncio, pytest
        from requence.task import Task

        @pytest.mark.asyncio
        async def test_awaiting(requence_server):
            requence_server.stub("invoice", result={"total": 1})
            assert (await Task("invoice").result).result == {"total": 1}

        @pytest.mark.asyncio
        async def test_leaving_a_loop_early(requence_server):
            requence_server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
            async for update in Task("invoice").updates:
                if update.type == "nodeStart":
                    break

        @pytest.mark.asyncio
        async def test_giving_up_a_wait(requence_server):
            requence_server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await Task("invoice").result

        @pytest.mark.asyncio
        async def test_what_goes_on_is_aborted(requence_server):
            requence_server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
            await Task("invoice").finalized()
        """,
        f"--asyncio-mode={mode}",
    )
    result.assert_outcomes(passed=4)


def test_with_a_server_for_each_worker_of_xdist(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        """
        import os, pathlib, pytest
        from requence.task import Task

        @pytest.mark.parametrize("number", range(12))
        def test_it(requence_server, number):
            requence_server.stub("invoice", result=number)
            assert Task("invoice").sync.result.result == number
            [started] = requence_server.started()
            worker = os.environ["PYTEST_XDIST_WORKER"]
            with open(f"{worker}.urls", "a") as file:
                print(requence_server.url, file=file)
        """,
        "-n",
        "2",
    )
    result.assert_outcomes(passed=12)
    urls = [file.read_text("utf-8").split() for file in pytester.path.glob("gw*.urls")]
    assert [len(set(of_worker)) for of_worker in urls] == [1, 1]
    assert len({url for of_worker in urls for url in of_worker}) == 2


# What a test leaves behind

LEAVES = """
from datetime import UTC, datetime
import pytest, threading, unittest
from requence.task import Task, TaskWatcher

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
kept = []

def endless(server):
    server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
    task = Task("invoice", name="The one")
    updates = iter(task.sync.updates)
    next(updates)
    return task, updates
"""


def test_a_stream_that_is_left_open_fails_its_test_and_no_other(run: Run) -> None:
    result = run(
        f"""{LEAVES}
def test_of_a_task(requence_server):
    kept.append(endless(requence_server))

def test_of_all_tasks(requence_server):
    requence_server.stub("invoice", result=1)
    Task("invoice").sync.result
    updates = iter(TaskWatcher(LONG_AGO).sync.updates)
    next(updates)
    kept.append(updates)

def test_of_a_callback(requence_server):
    requence_server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
    called = threading.Event()
    Task("invoice", on_update=lambda update: called.set())
    assert called.wait(10)

def test_clean(requence_server):
    requence_server.stub("invoice", result=1)
    assert Task("invoice").sync.result.result == 1
    Task("invoice", on_update=lambda update: None)
"""
    )
    result.assert_outcomes(passed=4, errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "*ERROR at teardown of test_of_a_task*",
            "This test has left event streams open:",
            '  of task * ("The one", running)',
            "*ERROR at teardown of test_of_all_tasks*",
            "*ERROR at teardown of test_of_a_callback*",
            "  of all tasks: a TaskWatcher, *",
            "*@pytest.mark.requence_streams_may_stay_open.",
        ]
    )
    assert "around.py" not in said(result)  # no traceback of ours


def test_a_stream_may_stay_open_where_a_marker_says_so(run: Run) -> None:
    result = run(
        f"""{LEAVES}
@pytest.mark.requence_streams_may_stay_open
@pytest.mark.parametrize("number", range(2))
def test_it(requence_server, number):
    kept.append(endless(requence_server))

@pytest.mark.requence_streams_may_stay_open
def test_of_all_tasks(requence_server):
    requence_server.stub("invoice", result=1)
    Task("invoice").sync.result
    kept.append(iter(TaskWatcher(LONG_AGO).sync.updates))
    next(kept[-1])

def test_clean(requence_server):
    assert len(kept) == 3
""",
        "--strict-markers",
    )
    result.assert_outcomes(passed=4)


def test_a_stream_whose_reader_has_left_is_none(run: Run) -> None:
    result = run(
        f"""{LEAVES}
@pytest.fixture
def watched(requence_server):
    task, updates = endless(requence_server)
    yield
    updates.close()

def test_closed_by_a_fixture(watched):
    pass

def test_let_go(requence_server):
    endless(requence_server)

def test_in_a_circle(requence_server):
    task = Task("invoice")
    with pytest.raises(Exception) as caught:
        task.sync.finalized()
    updates = endless(requence_server)
    assert caught.value

def test_given_up(requence_server):
    requence_server.stub("invoice", lambda ctx: ctx.terminated.wait(30))
    task = Task("invoice")
    with pytest.raises(TimeoutError) as caught:
        task.sync.wait(timeout=0.1)
    assert caught.value
"""
    )
    result.assert_outcomes(passed=4)


def test_a_test_that_fails_is_not_blamed_for_its_streams(run: Run) -> None:
    result = run(
        f"""{LEAVES}
def test_it(requence_server):
    task, updates = endless(requence_server)
    Task("invoise")
    assert False, "on purpose"

@pytest.mark.xfail
def test_expected(requence_server):
    task, updates = endless(requence_server)
    assert False, "on purpose"

class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, requence_server):
        self.server = requence_server

    def test_passes(self):
        self.server.stub("invoice", result=1)
        self.assertEqual(Task("invoice").sync.result.result, 1)

    def test_fails(self):
        task, updates = endless(self.server)
        self.fail("on purpose")
"""
    )
    result.assert_outcomes(passed=1, failed=2, xfailed=1)
    # What may be the reason is told all the same.
    result.stdout.fnmatch_lines(
        ["*Captured requence_server teardown*", "*There is no task template*invoise*"]
    )


def test_what_runs_is_aborted_and_waited_for(run: Run) -> None:
    result = run(
        """
        import asyncio, pytest, threading
        from requence.task import Task, TaskAbortedError

        ended, tasks = [], []

        def handler(ctx):
            ctx.terminated.wait(30)
            ended.append(ctx.input)

        @pytest.mark.requence_streams_may_stay_open
        def test_it(requence_server):
            requence_server.stub("invoice", handler)
            tasks.extend(Task("invoice", number) for number in range(3))
            for task in tasks:
                next(iter(task.sync.updates))

        def test_afterwards(requence_server):
            assert sorted(ended) == [0, 1, 2]

        @pytest.mark.requence_streams_may_stay_open
        def test_whoever_waits_is_told(requence_server):
            requence_server.stub("invoice", handler)
            told = []
            task = Task("invoice", 3, on_update=lambda update: told.append(update))
            task.sync.finalized()
            tasks.append((task, told))

        def test_afterwards_too(requence_server):
            with pytest.raises(TaskAbortedError, match="The test has ended"):
                tasks[-1][0].sync.result
        """
    )
    result.assert_outcomes(passed=4)


def test_a_handler_that_does_not_end_is_a_warning(run: Run) -> None:
    result = run(
        """
        import threading
        import requence.testing.around
        from requence.task import Task

        requence.testing.around._STOPPING = 0.1
        let_go = threading.Event()

        def test_it(requence_server):
            began = threading.Event()
            requence_server.stub("invoice", lambda ctx: (began.set(), let_go.wait(30)))
            Task("invoice").sync.finalized()
            assert began.wait(10)

        def test_afterwards():
            let_go.set()
        """,
        "-W",
        "default::pytest.PytestWarning",
    )
    result.assert_outcomes(passed=2, warnings=1)
    assert "do not look at ctx.terminated: requence-local-node-stub" in said(result)


def test_a_start_that_nobody_asks_for_fails_its_test_or_comes_to_its_end(run: Run) -> None:
    result = run(
        """
        import pytest, requence
        from requence.local import LocalServer
        from requence.task import Task, TaskRefusedError, map_tasks

        kept = []

        @pytest.mark.parametrize("number", range(5))
        def test_one_that_comes_late_never_comes_in_the_next_test(requence_server, number):
            assert requence_server.started() == []
            requence_server.stub("invoice", result=1)
            for _ in range(3):
                Task("invoice")

        def test_let_go(requence_server):
            Task("invoise")

        def test_kept(requence_server):
            kept.append(Task("invoise"))

        def test_noticed(requence_server):
            task = Task("invoise")
            with pytest.raises(TaskRefusedError):
                task.sync.finalized()
            with pytest.raises(TaskRefusedError):
                Task("invoise").sync.result

        def test_flushed(requence_server):
            task = Task("invoise")
            [unstarted] = requence.flush()

        def test_many(requence_server):
            [item] = map_tasks("invoise", [1])
            assert isinstance(item.error, TaskRefusedError)

        @pytest.fixture(scope="module")
        def other():
            with LocalServer() as other:
                yield other

        def test_those_at_another_service_are_not_looked_at(requence_server, other):
            kept.append(Task("invoise", client=other.client))

        def test_but_left_to_flush(other):
            assert [unstarted.task for unstarted in requence.flush()] == kept[-1:]
        """
    )
    result.assert_outcomes(passed=12, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*ERROR at teardown of test_let_go*",
            "*ERROR at teardown of test_kept*",
            "Tasks that this test has begun were not started, *",
            '*There is no task template named "invoise". This server has: none*',
        ]
    )
