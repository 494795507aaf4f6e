"""The fold of updates into the progress of a task, and how that is drawn."""

from __future__ import annotations

import io
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from tests.cli.command import CONTROL

from requence.cli.lines import seconds_text
from requence.cli.output import say
from requence.cli.printable import brief, json_line, json_text, one_line, printable
from requence.cli.progress import Progress, State, after, seconds_between
from requence.cli.tree import LiveTree, console_for, draw
from requence.task import Context, TaskRef, Update
from requence.task.reading import read_update

ESCAPES = "\x1b[31m[bold]\u202e\r\n"


def update(kind: str, second: float | str, alias: str | None = None, **fields: Any) -> Update:
    """Makes an update of the task `top`, so many seconds after a fixed time."""
    timestamp = second if isinstance(second, str) else datetime.fromtimestamp(1e9 + second, UTC).isoformat()
    payload = {"taskId": "top", "timestamp": timestamp, **fields}
    if alias is not None:
        payload["node"] = {"id": f"id-of-{alias}", "alias": alias, "type": "service"}
    return read_update(kind, payload, before=Context.at_start("top", None))


def folded(*updates: Update) -> Progress:
    progress = Progress("top")
    for one in updates:
        progress = after(progress, one)
    return progress


BEGUN = (update("taskStart", 0, input={}), update("nodeStart", 1, "read"))


def test_a_node_from_its_start_to_its_end() -> None:
    progress = folded(*BEGUN)
    [node] = progress.nodes.values()
    assert (node.label, node.state, node.attempts, node.started) == (
        *("read", State.RUNNING, 1),
        datetime.fromtimestamp(1e9 + 1, UTC),
    )
    progress = folded(*BEGUN, update("nodeUpdate", 2, "read", data=[1]), update("nodeEnd", 3.5, "read"))
    [node] = progress.nodes.values()
    assert (node.state, node.outputs, node.says) == (State.DONE, 1, "[1]")
    assert seconds_between(node.started, node.ended) == 2.5
    assert progress.state is State.RUNNING


def test_a_node_that_is_deferred_and_begun_again() -> None:
    waiting = (
        *BEGUN,
        update("nodeUpdate", 2, "read", data=1),
        update("nodeDefer", 3, "read", reason="later"),
    )
    [node] = folded(*waiting).nodes.values()
    assert (node.state, node.says, node.ended) == (State.DEFERRED, "later", None)
    [node] = folded(*waiting, update("nodeEnd", 9, "read")).nodes.values()
    assert (node.state, node.attempts, node.outputs, node.says) == (State.DONE, 1, 1, None)
    [node] = folded(*waiting, update("nodeStart", 9, "read")).nodes.values()
    assert (node.state, node.attempts, node.outputs, node.says) == (State.RUNNING, 2, 0, None)
    assert node.started == datetime.fromtimestamp(1e9 + 1, UTC)


def test_a_node_that_fails_and_a_task_that_ends() -> None:
    failed = (*BEGUN, update("nodeStart", 1, "words"), update("nodeError", 2, "read", error="no"))
    progress = folded(*failed, update("taskError", 3, reason="no"))
    assert [(node.state, node.says) for node in progress.nodes.values()] == [
        (State.FAILED, "no"),
        (State.STOPPED, None),
    ]
    assert (progress.state, progress.says) == (State.FAILED, "no")
    assert seconds_between(progress.started, progress.latest) == 3
    assert folded(*BEGUN, update("taskAborted", 3, reason=None)).state is State.STOPPED
    assert folded(*BEGUN, update("taskEnd", 3, result=1)).state is State.DONE


def test_a_sub_task_ends_by_itself() -> None:
    sub = {"taskId": "below", "rootTaskId": "top"}
    progress = folded(
        *BEGUN,
        update("taskStart", 2, input=1, **sub),
        update("nodeStart", 3, "read", **sub),
        update("taskAborted", 4, reason="enough", **sub),
    )
    assert [(node.task_id, node.state) for node in progress.nodes.values()] == [
        ("top", State.RUNNING),
        ("below", State.STOPPED),
    ]
    assert (progress.state, progress.says) == (State.RUNNING, None)
    assert progress.started == datetime.fromtimestamp(1e9, UTC)
    assert [line.rstrip() for line in drawn(progress)] == [
        "⠹ my-template  4.00 s  1 running, 1 stopped",
        "├── ⠹ read    3.00 s",
        "└── sub-task below",
        "    └── ■ read    1.00 s  stopped",
    ]


@pytest.mark.parametrize("node", [None, 1, [], {}, {"alias": 1}, {"alias": "", "id": ""}], ids=str)
def test_a_node_that_says_nothing_of_itself_is_passed_over(node: object) -> None:
    progress = folded(*BEGUN, update("nodeStart", 2, node=node), update("nodeEnd", "no time", node=node))
    assert len(progress.nodes) == 1


def test_a_node_without_an_alias_is_called_by_its_type() -> None:
    progress = folded(update("nodeStart", 2, node={"id": "0123456789abcdef", "type": "or"}))
    assert [node.label for node in progress.nodes.values()] == ["or 01234567"]


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:01.5Z", 1.5),
        ("2026-01-31T12:00:00", "2026-01-31T13:00:02+01:00", 2),
        ("2026-01-31T12:00:09Z", "2026-01-31T12:00:00Z", 0),
        ("nonsense", "2026-01-31T12:00:00Z", None),
    ],
    ids=["utc", "offsets", "backwards", "no-time"],
)
def test_durations_are_by_the_clock_of_the_service(begin: str, end: str, seconds: float | None) -> None:
    progress = folded(update("nodeStart", begin, "read"), update("nodeEnd", end, "read"))
    [node] = progress.nodes.values()
    assert seconds_between(node.started, node.ended) == seconds


def test_durations_for_people() -> None:
    told = [
        seconds_text(seconds)
        for seconds in (None, 0.004, 9.99, 9.999, 12.34, 59.96, 60, 185, 3600, 7 * 3600 + 125)
    ]
    assert told == [
        "",
        "0.00 s",
        "9.99 s",
        "10.0 s",
        "12.3 s",
        "1 min 00 s",
        "1 min 00 s",
        "3 min 05 s",
        "1 h 00 min",
        "7 h 02 min",
    ]


def drawn(progress: Progress, *, width: int = 80, encoding: str = "utf-8", **options: Any) -> list[str]:
    """Draws on paper of a width."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", write_through=True)
    console = Console(file=stream, width=width, color_system=None)
    console.print(draw(progress, "my-template", encoding=encoding, **options))
    stream.seek(0)
    return stream.read().splitlines()


def test_the_tree() -> None:
    progress = folded(
        *BEGUN,
        update("nodeUpdate", 1.25, "read", data="text"),
        update("nodeEnd", 1.5, "read"),
        update("nodeStart", 2, "words"),
        update("nodeDefer", 2.5, "words", reason="later"),
        update("nodeStart", 3, "words"),
        update("nodeUpdate", 3, "words", data=1),
        update("nodeUpdate", 3, "words", data={"a": 2}),
        update("nodeStart", 3, "漢字"),
        update("nodeDefer", 4, "漢字", reason="at night"),
        update("nodeError", 4, "mail", error="no such host"),
    )
    assert [line.rstrip() for line in drawn(progress, since=1.0)] == [
        "⠋ my-template  5.00 s  1 running, 1 deferred, 1 done, 1 failed",
        '├── ✔ read     0.50 s  "text"',
        '├── ⠋ words    3.00 s  attempt 2  2 outputs  {"a": 2}',
        "├── ◷ 漢字     2.00 s  deferred  at night",
        "└── ✘ mail     0.00 s  no such host",
    ]
    in_ascii = drawn(progress, encoding="ascii", width=40)
    assert in_ascii[1].startswith("+-- + read")
    assert [len(line) <= 40 and line.isascii() for line in in_ascii] == [True] * 5


def test_more_nodes_than_lines() -> None:
    progress = folded(
        *(update("nodeStart", 1, f"n{number}") for number in range(50)),
        *(update("nodeEnd", 2, f"n{number}") for number in range(50) if number not in (3, 30)),
    )
    lines = drawn(progress, height=8)
    assert len(lines) == 8
    assert [line.split()[2] for line in lines[2:]] == ["n3", "n30", "n46", "n47", "n48", "n49"]
    assert lines[1].split()[1:] == ["44", "more"]
    assert len(drawn(progress)) == 51


class Terminal(io.StringIO):
    """What says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def live(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Shows a task on a terminal; returns all that was written to it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20", **environment}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console = console_for(terminal)
    assert console is not None
    with LiveTree(console, TaskRef(task_id="top", base_url="http://x", task_template=ESCAPES)) as tree:
        for one in (
            *BEGUN,
            update("nodeError", 2, ESCAPES, error=ESCAPES * 99),
            update("nodeUpdate", 2, "read", data={ESCAPES: ESCAPES}),
            update("taskError", 3, reason=ESCAPES),
        ):
            tree.show(one)
            say(f"logged {ESCAPES}")
    return terminal.getvalue()


def test_what_is_live_ends_as_it_was_and_obeys_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    written = live(monkeypatch)
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert "\x1b[32m" in written or "\x1b[31m" in written
    shown = written.rpartition("\x1b[2K")[2]
    assert "\\x1b[31m[bold]\\u202e" in shown
    assert "\u202e" not in written
    assert written.count("logged \\x1b[31m[bold]\\u202e") == 5
    assert len(shown.splitlines()) >= 3

    plain = live(monkeypatch, NO_COLOR="1")
    assert not any(f"\x1b[{code}" in plain for code in (*range(30, 38), *range(90, 98)))


@pytest.mark.parametrize("term", ["dumb", "DUMB", "unknown"])
def test_where_nothing_can_be_drawn(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    assert console_for(Terminal()) is None
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console_for(io.StringIO()) is None
    assert console_for(None) is None
    gone = open(os.devnull)  # noqa: SIM115
    gone.close()
    assert console_for(gone) is None


def test_text_for_terminals() -> None:
    assert printable("a\x1b[0m\u202e\n\ud800é") == "a\\x1b[0m\\u202e\\n\\ud800é"
    assert printable("é漢", "latin-1") == "é\\u6f22"
    assert one_line(" two\n lines\t") == "two lines"
    assert one_line("x" * 10_000_000, 10) == "xxxxxxx..."
    assert brief({"a": [1, "ü"] * 1000}, 20) == '{"a": [1, "ü", 1,...'
    assert brief("x" * 100, 10) == '"xxxxxx...'
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert brief(deep, 10) == "[[[[[[[..."
    assert brief(object(), 20) == '"<object>"'


def test_json_for_people_and_for_programs_says_the_same() -> None:
    value = {"\x7f\x9b\u202e": ["é漢\U0001f600\ud800", '\x1b\n"\\'], "n": [1, 2.5, None, True]}
    for encoding in ("utf-8", "ascii", "latin-1"):
        text = json_text(value, encoding)
        assert not CONTROL.search(text)
        text.encode(encoding)
        assert json.loads(text) == value
    line = json_line(value)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == value
