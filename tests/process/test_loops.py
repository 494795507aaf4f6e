"""One handle in every surrounding: plain scripts, running loops, several loops and threads, IPython."""

from __future__ import annotations

from tests.process.children import run, run_python
from tests.process.conftest import Notes
from tests.scripted_server import ScriptedServer


def printed(script: str, access_token: str, *, strict: bool = True) -> list[str]:
    done = run(script, access_token, strict=strict)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_plain_script(notes: Notes) -> None:
    script = """
        from requence.task import Task
        task = Task("note", {"from": "a script", "wait": False})
        print(task.sync.result.result, [update.type for update in task.sync.updates][-1])
        """
    assert printed(script, notes.access_token) == ["noted taskEnd"]


def test_two_loops_one_after_the_other(notes: Notes) -> None:
    script = """
        import asyncio
        from requence.task import Task

        task = Task("note", {"from": "between loops", "wait": False})

        async def main():
            return (await task.result).result, [update.type async for update in task][-1]

        print(asyncio.run(main()))
        print(asyncio.run(main()), task.sync.result.result)
        """
    told = "('noted', 'taskEnd')"
    assert printed(script, notes.access_token) == [told, f"{told} noted"]


def test_many_loops_and_threads_at_once(notes: Notes) -> None:
    script = """
        import asyncio, threading
        from concurrent.futures import ThreadPoolExecutor
        from requence.task import Task

        task = Task("note", {"from": "everywhere", "wait": False})
        together = threading.Barrier(16)

        async def main():
            return (await task.result).result, [update.type async for update in task][-1]

        def in_a_loop():
            together.wait()
            return asyncio.run(main())

        def blocking():
            together.wait()
            return task.sync.result.result, [update.type for update in task.sync.updates][-1]

        with ThreadPoolExecutor(16) as pool:
            found = [pool.submit(way) for way in [in_a_loop, blocking] * 8]
            print({future.result() for future in found})
        """
    assert printed(script, notes.access_token) == ["{('noted', 'taskEnd')}"]


BLOCKING = """
    import asyncio, datetime, threading, warnings
    import requence
    from requence.task import Task, TaskWatcher, abort_task, get_task, map_tasks, protect_task

    async def main():
        task = Task("note", {"from": "a running loop", "wait": False})
        for _ in range(3):
            task.sync.id
            task.sync.url
            task.sync.finalized()
            task.sync.ref()
            task.sync.result
            task.sync.wait(5)
            for update in task.sync.updates: pass
            task.sync.protect()
            task.sync.abort()
            get_task(task.known_id)
            protect_task(task.known_id)
            abort_task(task.known_id)
            requence.flush()
            next(map_tasks("note", [{"from": "one of many", "wait": False}]))
    """
INSTEAD = [
    "await task.task_id",
    "await task.task_url",
    "await task.finalized()",
    "await task.ref()",
    "await task.result",
    "await task.wait(…)",
    "async for … in task.updates",
    "await task.protect()",
    "await task.abort(…)",
    "await requence.task.aio.get_task(…)",
    "await requence.task.aio.protect_task(…)",
    "await requence.task.aio.abort_task(…)",
    "await requence.task.aio.flush()",
    "async for … in requence.task.aio.map_tasks(…)",
]


def test_blocking_on_a_running_loop_works_and_warns_once_for_each_place(notes: Notes) -> None:
    script = f"""{BLOCKING}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        asyncio.run(main())
    for warning in caught:
        print(warning.category.__name__, warning.filename, warning.lineno, warning.message)
    """
    lines = printed(script, notes.access_token, strict=False)
    # The script begins with an empty line; what it calls in vain is on the lines from 9 on.
    assert lines == [
        f"RuntimeWarning <string> {number} This blocks the running event loop; write `{instead}` instead"
        for number, instead in enumerate(INSTEAD, start=9)
    ]


def test_in_another_thread_than_that_of_the_loop_there_is_nothing_to_warn_of(notes: Notes) -> None:
    script = f"""{BLOCKING}
    async def beside():
        await asyncio.to_thread(lambda: Task("note", {{"from": "a thread", "wait": False}}).sync.result)

    asyncio.run(beside())
    """
    assert printed(script, notes.access_token) == []


def test_the_warning_can_be_made_an_error(notes: Notes) -> None:
    script = """
        import asyncio
        from requence.task import Task

        async def main():
            task = Task("note", {"from": "a strict program"})
            try:
                task.sync.id
            except RuntimeWarning as warning:
                print(warning)
            await task.abort()

        asyncio.run(main())
        """
    assert printed(script, notes.access_token) == [
        "This blocks the running event loop; write `await task.task_id` instead"
    ]


def test_in_ipython_nothing_is_said(notes: Notes) -> None:
    """There a loop always runs, and cells are meant to block."""
    cell = "\n".join(
        [
            "import asyncio, warnings",
            "warnings.simplefilter('error')",
            "from requence.task import Task",
            "task = Task('note', {'from': 'ipython', 'wait': False})",
            "async def cell(): return task.sync.result.result",
            "print(await cell())",
            "print((await task.result).result, task.sync.result.result)",
        ]
    )
    done = run_python(["-m", "IPython", "--no-banner", "--colors=NoColor", "-c", cell], notes.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["noted", "noted noted"]


def test_blocking_on_the_io_thread_itself_is_refused() -> None:
    """Whoever gets there (by an `await` of a foreign executor, say) would wait for himself for ever."""
    script = """
        import requence
        from requence._transport.io_thread import io_thread
        from requence.task import Task, get_task

        task = Task("t")
        task.sync.id

        async def on_the_io_thread():
            import warnings
            warnings.simplefilter("ignore")
            for use in (lambda: task.sync.result, lambda: list(task.sync.updates), lambda: get_task("x"),
                        lambda: task.sync.abort(), requence.flush):
                try:
                    use()
                except requence.exceptions.UsageError as error:
                    print(error.message)
            print((await task.result).task_id)

        io_thread().run(on_the_io_thread)
        """
    told = "A blocking call was made on the SDK's own I/O thread, which would wait for itself"
    with ScriptedServer() as server:
        assert printed(script, server.access_token) == [*[told] * 5, "task-1"]


def test_a_program_that_gevent_has_patched(notes: Notes) -> None:
    """Its threads are greenlets, our I/O thread among them: waiting for a task holds no other greenlet up."""
    script = """
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from requence.task import Task, protect_task

        def work(number):
            task = Task("note", {"from": f"greenlet {number}", "wait": False})
            return task.sync.result.result, [update.type for update in task.sync.updates][-1]

        task = Task("note", {"from": "gevent", "wait": False})
        others = [gevent.spawn(work, number) for number in range(5)]
        print(task.sync.result.result)
        gevent.joinall(others, timeout=30)
        print({other.value for other in others})
        print(repr(task.protect()).endswith(": confirmed>"))
        """
    assert printed(script, notes.access_token, strict=False) == ["noted", "{('noted', 'taskEnd')}", "True"]
