"""A plugin of pytest: what the client and the servers of the tests say to each other is held against the contract.

`python -m pytest -p tests.contract_client.watching tests/task …`. A test fails if a request breaks the contract,
or an answer, or an event, unless it says that its service does so on purpose: `@pytest.mark.breaks_contract`.
Where the test itself, and no client, sends what is wrong: `@pytest.mark.breaks_contract("requests")`.

With `--whole-suite` the run also fails if the client's operations did not all come, or if a test claims to break
the contract and does not.
"""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import scripted_server
from tests.contract_client.asgi import Exchange, watched
from tests.contract_client.judge import Judge, Request, events_in
from tests.scripted_server import Answer, Call, Lose, Operation, Stream

from requence.local.app import TaskApi

CONTRACT = Path(__file__).parents[2] / "openapi" / "requence.yaml"
MARK = "breaks_contract"
OPERATION_IDS: dict[Operation, str] = {
    "prepare": "prepare_task",
    "finalize": "finalize_task",
    "watch": "watch_task",
    "watch-all": "watch_all_tasks",
    "get": "get_task",
    "ack": "ack_task",
    "abort": "abort_task",
    "protect": "protect_task",
    "upload": "upload_file",
    "register": "register_stream",
    "send": "send_stream",
    "download": "download_file",
    "download-stream": "download_stream",
    "types": "get_python_types",
}


class Watching:
    """What was seen, and what is wrong with it."""

    def __init__(self) -> None:
        self._judge = Judge(yaml.safe_load(CONTRACT.read_text("utf-8")))
        self._lock = threading.Lock()
        self._seen: list[Callable[[], None]] = []
        self._wrong: dict[str, list[str]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        # By test function: which kinds of breach it claims, and which of them came.
        self.claimed: dict[str, set[str]] = {}
        self.came: dict[str, set[str]] = {}

    def see_scripted(self, call: Call, step: Answer | Lose | Stream) -> None:
        """Notes what a scripted server was asked and is about to answer; judged later, in the test's thread."""
        self._note(lambda: self._judge_scripted(call, step))

    def see_local(self, exchange: Exchange) -> None:
        """Notes what a local server was asked and has answered."""
        self._note(lambda: self._judge_local(exchange))

    def _note(self, judge: Callable[[], None]) -> None:
        if tracemalloc.is_tracing():  # the test measures memory, and what is noted stays there
            return
        with self._lock:
            self._seen.append(judge)

    def breaches(self) -> dict[str, list[str]]:
        """Judges what came since the last time; returns what is wrong, by "requests" and "answers"."""
        with self._lock:
            seen, self._seen = self._seen, []
        self._wrong = {"requests": [], "answers": []}
        for judge in seen:
            judge()
        return {kind: list(dict.fromkeys(wrong)) for kind, wrong in self._wrong.items() if wrong}

    def told(self) -> dict[str, list[Any]]:
        """Returns what was seen, as plain JSON, for `add` in another process."""
        return {
            "counts": [[*key, count] for key, count in self.counts.items()],
            "claimed": [[function, *kinds] for function, kinds in self.claimed.items()],
            "came": [[function, *kinds] for function, kinds in self.came.items()],
        }

    def add(self, told: dict[str, list[Any]]) -> None:
        """Adds what another process has seen."""
        for operation, what, count in told["counts"]:
            self.counts[operation, what] += count
        for function, *kinds in told["claimed"]:
            self.claimed.setdefault(function, set()).update(kinds)
        for function, *kinds in told["came"]:
            self.came.setdefault(function, set()).update(kinds)

    def _judge_scripted(self, call: Call, step: Answer | Lose | Stream) -> None:
        if call.operation == "unknown":
            self._wrong["requests"].append(f"{call.method} {call.path} is no operation")
            return
        if isinstance(step, Lose) and step.before_body:  # nobody has seen all of the request
            return
        path, _, query = call.path.partition("?")
        operation = OPERATION_IDS[call.operation]
        query = "" if self._judge.has_url_of_its_own(operation) else query
        request = self._judged_request(operation, path.rpartition("/")[2], query, call.headers, call.body)
        if isinstance(step, Stream):
            kind = {"content-type": step.content_type}
            sent = b"".join(chunk for chunk in step.chunks if isinstance(chunk, bytes))
            self._judge_answer(request, step.status, kind, sent)
        elif isinstance(step, Answer) and not step.lost and step.length is None:
            body, kind = _whole(step)
            self._judge_answer(request, step.status, {**kind, **step.headers}, body)

    def _judge_local(self, exchange: Exchange) -> None:
        asked = self._judge.asked_for(exchange.method, exchange.path)
        if asked is None:  # a page, or nothing at all
            return
        request = self._judged_request(*asked, exchange.query, exchange.headers, exchange.body)
        self._judge_answer(request, exchange.status, exchange.answer_headers, exchange.answer)

    def _judged_request(
        self, operation: str, segment: str, query: str, headers: dict[str, str], body: bytes
    ) -> Request:
        request = self._judge.request(operation, segment, query, headers, body)
        self.counts[operation, "requests"] += 1
        self._wrong["requests"] += self._judge.of_request(request)
        return request

    def _judge_answer(self, request: Request, status: int, headers: dict[str, str], body: bytes) -> None:
        self.counts[request.operation, "answers"] += 1
        wrong = self._judge.of_answer(request, status, headers, body)
        if not wrong and request.operation.startswith("watch") and status == 200:
            for name, data in events_in(body):
                self.counts[request.operation, name] += 1
                wrong += self._judge.of_event(request.operation, name, data)
        self._wrong["answers"] += wrong


def _whole(answer: Answer) -> tuple[bytes, dict[str, str]]:
    if isinstance(answer.body, bytes):
        return answer.body, {"content-type": "text/plain"}
    if isinstance(answer.body, str):
        return answer.body.encode(), {"content-type": "text/plain"}
    return json.dumps(answer.body).encode(), {"content-type": "application/json"}


WATCHING = pytest.StashKey[Watching]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-suite", action="store_true", help="fail if something did not come at all")


def pytest_configure(config: pytest.Config) -> None:
    watching = config.stash[WATCHING] = Watching()
    scripted_server.observers.append(watching.see_scripted)
    whole = TaskApi.asgi
    TaskApi.asgi = lambda self: watched(whole(self), watching.see_local)  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def keeps_to_the_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set up before the test's servers, and so the last to end."""
    watching = request.config.stash[WATCHING]
    watching.breaches()
    yield
    breaches = watching.breaches()
    marks = list(request.node.iter_markers(MARK))
    allowed = {kind for mark in marks for kind in mark.args or ("answers",)}
    function = request.node.nodeid.partition("[")[0]
    watching.claimed.setdefault(function, set()).update(allowed)
    watching.came.setdefault(function, set()).update(breaches)
    wrong = [line for kind, lines in breaches.items() if kind not in allowed for line in lines]
    if wrong:
        pytest.fail("This breaks the contract:\n" + "\n".join(wrong[:20]), pytrace=False)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    watching = config.stash[WATCHING]
    terminalreporter.section("held against the contract")
    for (operation, what), count in sorted(watching.counts.items()):
        terminalreporter.write_line(f"{operation:18} {what:12} {count:8}")
    for complaint in _missing(watching) if config.getoption("--whole-suite") else ():
        terminalreporter.write_line(complaint, red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:  # one of several processes, each of which has seen a part of the suite
        output["watching"] = config.stash[WATCHING].told()
    elif config.getoption("--whole-suite") and _missing(config.stash[WATCHING]) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Adds up what the processes have seen."""
    node.config.stash[WATCHING].add(node.workeroutput["watching"])


def _missing(watching: Watching) -> list[str]:
    missing = [
        f"no {what} of {operation} came"
        for operation in OPERATION_IDS.values()
        for what in ("requests", "answers")
        if not watching.counts[operation, what]
    ]
    stale = [
        f"{function} claims that its {kind} break the contract, and they do not"
        for function, claimed in watching.claimed.items()
        for kind in sorted(claimed - watching.came[function])
    ]
    return missing + stale
