"""What the transport writes to the log at DEBUG, and that no log shows the token or a proxy's password."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterator

import pytest
from tests.http_proxy import HTTPProxy
from tests.scripted_server import (
    BEARER,
    Answer,
    Lose,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    prepared,
    started,
)

from requence._transport.io_thread import io_thread
from requence.exceptions import RequenceUnreachableException, UnauthorizedError
from requence.task import Task, get_task

PASSWORD = "pass-of-the-proxy"
ECHO = f"unknown: Authorization: Bearer {BEARER}".encode()


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """All loggers at DEBUG, and asyncio in its debug mode."""
    for name in (None, "requence", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    loop = io_thread().loop
    loop.call_soon_threadsafe(loop.set_debug, True)
    yield
    loop.call_soon_threadsafe(loop.set_debug, False)


def shown_by(records: list[logging.LogRecord]) -> list[str]:
    """Returns everything that a handler could write of these records."""
    shown: list[str] = []
    for record in records:
        shown += [record.getMessage(), repr(record.msg), repr(record.args), repr(vars(record))]
        if record.exc_info:
            shown += traceback.format_exception(*record.exc_info)
    return shown


@pytest.mark.parametrize("through_proxy", [False, True])
def test_no_log_shows_the_token_or_the_password(
    caplog: pytest.LogCaptureFixture, through_proxy: bool
) -> None:
    host = "service.test" if through_proxy else "127.0.0.1"
    with ScriptedServer(host=host) as server, HTTPProxy(user="user", password=PASSWORD) as proxy:
        way = proxy.url_for(f"user:{PASSWORD}") if through_proxy else ""
        client = server.client_with(retries=1, proxy=way)
        root = server.url.removesuffix("/api")
        # A service that writes the secret into its URLs must not get it into our log, either.
        server.script(
            "prepare", Answer(503, ECHO), prepared(server, "it", finalizeUrl=f"{root}/start-here/{BEARER}")
        )
        server.script(
            "finalize", started(server, "it", urls={"watch": f"{root}/follow-here/it?key={BEARER}"})
        )
        server.script("watch", Stream([event(1, "taskStart")], end="reset"), Answer(503, ECHO), Lose())
        server.always("watch", from_position(event(1, "taskStart"), end(2, "done")))
        assert Task("a start that succeeds", client=client).sync.result.result == "done"
        server.always("prepare", Answer(401, ECHO))
        with pytest.raises(UnauthorizedError):
            Task("a start that fails", client=client).sync.finalized()
        server.always("get", Lose())
        with pytest.raises(RequenceUnreachableException):
            get_task("x", client=client)
        assert server.operations.count("watch") == 4
    messages = "\n".join(record.getMessage() for record in caplog.records)
    assert {"requence.transport", "asyncio"} <= {record.name for record in caplog.records}
    assert f"POST {root}/start-here/[access token]" in messages
    assert "; opening it again in " in messages
    for text in shown_by(caplog.records):
        for secret in (
            BEARER,
            server.access_token,
            PASSWORD,
            b64encode(f"user:{PASSWORD}".encode()).decode(),
        ):
            assert secret not in text


def test_each_request_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer() as server:
        server.script("prepare", Answer(503, "not now"))
        task = Task("my template", {"secret": "input"}, client=server.client_with(retries=2))
        assert task.sync.result.result == "done"
        root = server.url.removesuffix("/api")
        server.go_away()
        with pytest.raises(RequenceUnreachableException):
            get_task("a/b", client=server.client_with(retries=0))
    lines = [record.getMessage() for record in caplog.records if record.name == "requence.transport"]
    *told, failed = [re.sub(r"\d\.\d+ s", "… s", line) for line in lines]
    assert told == [
        f"POST {root}/api/task/prepare/my%20template: 503, … s",
        "preparing the task: repetition 1 of 2 in … s",
        f"POST {root}/api/task/prepare/my%20template: 200, … s",
        f"POST {root}/start-here/task-1: 200, … s",
        f"POST {root}/follow-here/task-1: 200, a stream, … s",
    ]
    assert failed.startswith(f"GET {root}/api/task/a%2Fb: {root} could not be reached: ")
    assert failed.endswith(", … s")
    assert {record.levelno for record in caplog.records if record.name == "requence.transport"} == {
        logging.DEBUG
    }


def test_every_logger_of_the_package_is_under_its_name() -> None:
    code = (
        "import logging, requence.local, requence.cli, requence.task, requence.task.watch, requence.task.follow; "
        "from requence._transport import event_stream; "
        "own = [n for n, l in vars(logging.root.manager)['loggerDict'].items() if n.startswith('requence')]; "
        "print(sorted(own))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['requence', 'requence.local', 'requence.task', 'requence.transport']"
