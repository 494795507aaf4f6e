"""What notebooks show: small HTML in which nothing that came from a task is more than text."""

from __future__ import annotations

import builtins
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, NoReturn, cast

import pytest
from IPython.core.formatters import DisplayFormatter
from tests.scripted_server import ScriptedServer

from requence._transport.io_loop import IOThread
from requence.exceptions import TaskAbortedError, TaskFailedError, TaskWaitTimeout
from requence.files import RequenceFile
from requence.task import (
    Context,
    Task,
    TaskException,
    TaskItem,
    TaskRef,
    TaskResult,
    TaskSnapshot,
    Unstarted,
)
from requence.task.outline import KEPT, in_words, outline
from requence.task.reading import read_update
from requence.task.updates import Update

KEY = "key-that-opens-it"
URL = f"https://example.test/{KEY}"
FILE = {"__REQUENCE_type": "RequenceFile", "url": URL, "mime": "image/png", "size": 7}
ATTACK = "</pre></summary><script>alert(1)</script><img src=x onerror=alert(1)>\" ' onclick='x' &lt; &amp;"
CONTROLS = "\x1b[2J\x00\x85\u2028\u202e\ud800"
SHOWN_CONTROLS = r"\x1b[2J\x00\x85\u2028\u202e\ud800"
HOSTILE = ATTACK + CONTROLS
MOST_TEXT = 80_000


def context(**fields: Any) -> Context:
    return Context({"task_id": "task-1", "input": {"path": "a.pdf"}} | fields)


def result(**fields: Any) -> TaskResult[Any]:
    return TaskResult({"task_id": "task-1", "task_url": URL, "input": {}, "result": "done", **fields})


def update(kind: str, **payload: Any) -> Update:
    usual = {"taskId": "task-1", "timestamp": "2026-01-31T12:00:00.250Z", "updateId": "u-1"}
    return read_update(kind, usual | payload, before=context(), position=3)


def node(alias: str) -> dict[str, str]:
    return {"id": "9a1f", "type": "service", "alias": alias}


class Page(HTMLParser):
    """HTML taken apart.

    Attributes:
        text: What is to be read.
        folded: What of it is not seen before something is opened.
        tags: The tags and their attributes.
    """

    def __init__(self, value: object) -> None:
        super().__init__()
        self.html: str = cast("Any", value)._repr_html_()
        self.text = self.folded = ""
        self.tags = set[tuple[str, tuple[tuple[str, str | None], ...]]]()
        self._open = list[str]()
        self.feed(self.html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add((tag, tuple(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "details" in self._open and "summary" not in self._open:
            self.folded += data

    def handle_comment(self, data: str) -> NoReturn:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> NoReturn:
        raise AssertionError(decl)

    def unknown_decl(self, data: str) -> NoReturn:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> NoReturn:
        raise AssertionError(data)


def everything(data: Any, text: Any) -> dict[str, object]:
    """One value of each class, which all hold the same data, and the same text wherever there is a text."""
    nodes = {"node_data": {text: data, "other": text}, "node_error": {text: text}}
    ctx = context(task_id=text, input=data, result=data, **nodes)
    values: dict[str, object] = {
        "a context": ctx,
        "a result": result(task_id=text, input=data, result=data, **nodes),
        "a decoded result": result().with_result([data, text]),
        "a snapshot": TaskSnapshot(text, ctx, text, text, text, text),
        "an item": TaskItem(1, data, None, None, result(result=data, **nodes)),
        "an item that failed": TaskItem(1, data, None, TaskFailedError(text, context=ctx), None),
        "an item that was aborted": TaskItem(1, data, None, TaskAbortedError(text, context=None), None),
        "an item of another kind": TaskItem(1, data, None, ValueError(text), None),
    }
    for kind in (
        "taskStart",
        "nodeStart",
        "nodeUpdate",
        "nodeError",
        "nodeDefer",
        "taskEnd",
        "taskError",
        "new",
    ):
        fields = {"data": data, "error": text, "reason": text, "result": data, "output": text, "exit": text}
        values[kind] = update(kind, taskId=text, timestamp=text, node=node(text), input=data, **fields)
    values["an unknown kind"] = update(str(text), **{str(text): data})
    return values


ATTACKS = everything({HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}, HOSTILE)
LARGE = everything([{"text": "'" * 100_000}] * 10_000, "'" * 100_000)
MANY = everything({str(number): {"a": [number] * 20} for number in range(10_000)}, "x")


def deep() -> Any:
    value: Any = "x"
    for _ in range(10_000):
        value = {"in": [value]}
    return value


class Awkward:
    """Fails whatever it is asked, as a part of the class of a decoded result or of an input may."""

    def fail(self, *_: object) -> NoReturn:
        raise RuntimeError(ATTACK)

    __len__ = __iter__ = __bool__ = __contains__ = isprintable = replace = fail


class AwkwardText(Awkward, str): ...


class AwkwardRepr(Awkward):
    __repr__ = __str__ = Awkward.fail


class AwkwardList(Awkward, list[int]): ...


class AwkwardObject(Awkward, dict[str, int]): ...


AWKWARD: list[object] = [AwkwardText("x" * 200), AwkwardList([1]), AwkwardObject(a=1), AwkwardRepr()]
ODD = [*everything(deep(), "x").values(), *everything(10**5000, 7).values(), *everything(None, None).values()]
STYLES = {
    "opacity:.7",
    "overflow-wrap:anywhere",
    "margin:.2em 0 .2em 1em;max-height:24em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere",
}


def check(page: Page) -> None:
    """Checks what holds for all: the tags are ours, their attributes are fixed, and the text can be sent."""
    for tag, attributes in page.tags:
        assert tag in {"div", "strong", "code", "details", "summary", "span", "pre"}
        assert attributes == () or (attributes[0][0] == "style" and attributes[0][1] in STYLES)
        assert len(attributes) < 2
    page.html.encode()
    assert page.html.startswith('<div style="overflow-wrap:anywhere">')  # no word makes the notebook wider
    assert all(char.isprintable() or char in KEPT for char in page.html)
    assert KEY not in page.html
    assert len(page.text) <= MOST_TEXT
    assert len(page.html) <= 6 * MOST_TEXT


@pytest.mark.parametrize("name", ATTACKS)
def test_what_comes_from_a_task_is_text(name: str) -> None:
    page = Page(ATTACKS[name])
    check(page)
    assert "<script" not in page.html
    assert "<img" not in page.html
    assert "<script>" in page.text


def test_text_is_shown_as_it_is_but_for_what_cannot_be_seen() -> None:
    page = Page(result(result=HOSTILE))
    assert ATTACK + SHOWN_CONTROLS in page.text
    page = Page(result(node_error={"a": HOSTILE}))
    assert f"node a failed: {ATTACK}{SHOWN_CONTROLS}" in page.text


@pytest.mark.parametrize("values", [LARGE, MANY], ids=["large", "many"])
@pytest.mark.parametrize("name", ATTACKS)
def test_large_data_is_folded_and_cut(name: str, values: dict[str, object]) -> None:
    page = Page(values[name])
    check(page)
    seen = len(page.text) - len(page.folded)
    assert seen < 10_000
    assert not page.folded or "more" in page.folded or "left out: " in page.folded


def test_odd_data_is_no_obstacle() -> None:
    for value in ODD:
        check(Page(value))


@pytest.mark.parametrize("value", AWKWARD, ids=lambda it: type(it).__name__)
def test_objects_of_the_users_own_may_fail(value: object) -> None:
    """Jupyter would show our traceback."""
    for holder in (value, [value], {"a": value}):
        for shown in (result().with_result(holder), TaskItem(1, holder, None, ValueError("no"), None)):
            check(Page(shown))
            assert len(repr(shown)) < 200


def test_what_is_said_in_several_lines_keeps_them() -> None:
    page = Page(update("taskError", reason="Traceback:\n  line 7\nKeyError"))
    check(page)
    assert page.text.endswith("reason:Traceback:\n  line 7\nKeyError")
    assert "<pre" in page.html


def test_what_a_result_shows() -> None:
    page = Page(
        result(
            input={"path": "a.pdf"},
            result={"pages": 2},
            node_data={"read": "line\n" * 30, "words": 3},
            node_error={"links": "timeout"},
        )
    )
    assert page.text.startswith(
        "TaskResult · succeeded · task task-1result: {'pages': 2}input: {'path': 'a.pdf'}"
    )
    assert "node links failed: timeout" in page.text
    assert "node words: 3" in page.text
    assert "node read: 150 characters" in page.text
    assert page.folded == "line\n" * 30


def test_what_a_context_shows() -> None:
    assert Page(context()).text == "Context · task task-1input: {'path': 'a.pdf'}"
    many = context(node_data={str(number): number for number in range(30)})
    assert Page(many).text.endswith("node 24: 24… data of 5 more nodes")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (update("taskStart", input={}), "TaskStart · at 3 · 2026-01-31T12:00:00.250Z · task task-1input: {}"),
        (
            update("nodeUpdate", node=node("ocr"), data=[1]),
            "NodeUpdate · ocr · at 3 · 2026-01-31T12:00:00.250Z · task task-1data: [1]",
        ),
        (
            update("nodeUpdate", node={"id": "9a1f"}, data=None, output="pdf"),
            "NodeUpdate · 9a1f · at 3 · 2026-01-31T12:00:00.250Z · task task-1data: Noneoutput: pdf",
        ),
        (
            update("nodeError", node=node("ocr"), error="no"),
            "NodeError · ocr · at 3 · 2026-01-31T12:00:00.250Z · task task-1error: no",
        ),
        (
            update("taskEnd", result=1, requireAck=True),
            "TaskEnd · at 3 · 2026-01-31T12:00:00.250Z · task task-1result: 1",
        ),
        (
            update("taskError", reason="no"),
            "TaskError · at 3 · 2026-01-31T12:00:00.250Z · task task-1reason: no",
        ),
        (
            update("nodePaused", node=node("ocr"), until="noon"),
            "UnknownUpdate · nodePaused · ocr · at 3 · 2026-01-31T12:00:00.250Z · task task-1until: 'noon'",
        ),
        (
            TaskSnapshot("running", context(input={}), "since noon", "t", "Daily", "live"),
            "TaskSnapshot · running · t · Daily · branch live · task task-1status: since nooninput: {}",
        ),
        (
            TaskItem(4, "a", None, None, result(node_data={"read": 1})),
            "TaskItem 4 · succeededresult: 'done'input: 'a'node read: 1",
        ),
        (
            TaskItem(4, "a", None, TaskFailedError("no", context=context(node_error={"read": "oh"})), None),
            "TaskItem 4 · no resulterror: TaskFailedError: noinput: 'a'node read failed: oh",
        ),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_is_shown(value: object, text: str) -> None:
    assert Page(value).text == text


def test_urls_that_let_somebody_in_are_not_in_what_a_notebook_keeps() -> None:
    file = RequenceFile._referred(dict(FILE), None)
    data = [file, FILE, {"deep": [{"er": FILE, "text": "x" * 200}]}]
    timeout = TaskWaitTimeout("it still runs", task_url=URL, hint=f"look at it at {URL}")
    for value in [*everything(data, "x").values(), TaskItem(1, data, None, timeout, None)]:
        check(Page(value))
    assert "RequenceFile of 7 bytes, image/png" in Page(result(result=data)).text


@pytest.fixture
def task() -> Iterator[Task[Any]]:
    with ScriptedServer() as server:
        ref = TaskRef(task_id="task-1", base_url=server.url, task_template="t")
        yield Task.attach(ref, client=server.client)
        assert server.operations == []


def test_looking_does_no_io(task: Task[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("showing does no I/O")

    item = TaskItem(1, "a", task, None, result())
    for value in (*ATTACKS.values(), item):
        _ = Page(value)  # what is imported for it is there then
    with monkeypatch.context() as without:
        for method in ("submit", "run", "run_async", "wait", "wait_async", "call", "call_soon"):
            without.setattr(IOThread, method, refuse)
        without.setattr(socket.socket, "connect", refuse)
        without.setattr(builtins, "open", refuse)
        for value in ATTACKS.values():
            Page(value)
        assert Page(item).text.startswith("TaskItem 1 · succeeded · task task-1")


def test_what_ipython_makes_of_them(task: Task[Any]) -> None:
    """Though they are mappings and tuples, it takes our own forms; where there is none, the repr."""
    formatter: Any = DisplayFormatter()
    for value in ATTACKS.values():
        data, metadata = formatter.format(value)
        assert data == {"text/plain": repr(value), "text/html": cast("Any", value)._repr_html_()}
        assert metadata == {}
    unstarted = Unstarted(task, TaskException("no"))
    for value in (
        task,
        task.sync,
        task.result,
        task.updates,
        unstarted,
        result().node_data,
        task.sync.updates,
    ):
        assert formatter.format(value) == ({"text/plain": repr(value)}, {})


# The lines


def test_an_outline() -> None:
    value = {
        "short": [1, {"a": None}],
        "long": ["x" * 60, {"y" * 30: ["z" * 30]}],
        "text": "it's\n" + "t" * 200,
    }
    assert outline(value, 1000).text == "\n".join(
        [
            "{",
            "  'short': [1, {'a': None}],",
            "  'long': [",
            f"    '{'x' * 60}',",
            f"    {{'{'y' * 30}': ['{'z' * 30}']}},",
            "  ],",
            f"""  'text': "it's\\n{"t" * 200}",""",
            "}",
        ]
    )


@pytest.mark.parametrize(
    ("value", "text", "left_out"),
    [
        ("a\nb\x1b", "a\nb\\x1b", ""),
        ("a\r\nb\rc\u3000d\u200d", "a\nb\\rc\u3000d\u200d", ""),
        ("x" * 21, "x" * 20, "1 character more"),
        ("x" * 5_000, "x" * 20, "4,980 characters more"),
        ([1, 2], "[1, 2]", ""),
        ([100_000] * 20, "[\n  100000,\n  100000…", "what is behind the first 20 characters"),
    ],
)
def test_an_outline_says_what_it_leaves_out(value: object, text: str, left_out: str) -> None:
    shown = outline(value, 20)
    assert (shown.text, shown.left_out) == (text, left_out)


def test_a_list_of_an_outline_says_how_much_longer_it_is() -> None:
    assert outline(list(range(1_060)), 10_000).text.endswith("  49,\n  … 1,010 more\n]")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", "1 character"),
        ({}, "0 entries"),
        ({"a": 1}, "1 entry"),
        ([1] * 1000, "1,000 items"),
        (1.5, "float"),
    ],
)
def test_a_value_in_words(value: object, words: str) -> None:
    assert in_words(value) == words
