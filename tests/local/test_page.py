"""What the pages are filled with: what it tells, to whom, and what it cannot be made to tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import httpx
import pytest
from tests.local.api import Api, Connect

from requence.local import LocalServer, NodeContext, TaskTemplate, any_of
from requence.local.page.drawing import drawing
from requence.local.requests import Finalize
from requence.local.search import STATUSES, Search
from requence.local.store import Store

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> \" ' &"


@pytest.fixture
def go() -> threading.Event:
    return threading.Event()


@pytest.fixture
def running(go: threading.Event) -> Iterator[LocalServer]:
    echo, waits, fails, outer = (TaskTemplate(name) for name in (f"echo {EVIL}", "waits", "fails", "outer"))
    echo.node(EVIL)(lambda ctx: {EVIL: ctx.input})
    waits.node("n")(lambda ctx: go.wait(20))
    outer.subtask("inner", waits)

    @fails.node
    def bad(ctx: NodeContext) -> None:
        raise ValueError(EVIL)

    with LocalServer(echo, waits, fails, outer) as server:
        yield server
        go.set()


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Has no token: whoever has the URL."""
    with httpx.Client(verify=False) as client:
        yield client


class Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def start(api: Api, template: str, input_value: object = None, name: str | None = None) -> tuple[str, str]:
    """Starts a task; returns its id and the URL of its page."""
    task_id = api.prepare(quote(template, safe=""))
    return task_id, api.finalize(task_id, input_value, name=name).json()["urls"]["show"]


def data_url(url: str, what: str = "") -> str:
    """Where a page gets its data from."""
    return url.replace("/tasks", "/page/tasks", 1).replace("?", f"{what}?", 1)


def data(browser: httpx.Client, url: str, **asked: str) -> Any:
    parts = urlsplit(data_url(url))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    answer = browser.get(parts._replace(query="").geturl(), params={**query, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_documents_hold_no_data_and_load_only_what_is_here(api: Api, browser: httpx.Client) -> None:
    task_id, url = start(api, f"echo {EVIL}", EVIL, name=EVIL)
    list(api.watch(task_id))
    answer = browser.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert task_id not in answer.text
    assert "<script>alert" not in answer.text
    reader = Reader(answer.text)
    sources = [value for name, value in reader.attributes if name in ("src", "href") and value]
    assert [source for source in sources if not source.startswith(("/static/", "#"))] == []
    assert not {"style", "form", "iframe", "img"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_part_comes_from_the_server_itself(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    _, url = start(api, "waits")
    waiting = [
        urljoin(url, value)
        for page in (url, running.page_url)
        for name, value in Reader(browser.get(page).text).attributes
        if name in ("src", "href") and value and value.startswith("/")
    ]
    seen: set[str] = set()
    while waiting:
        part = waiting.pop()
        if part in seen:
            continue
        seen.add(part)
        answer = browser.get(part)
        assert answer.status_code == 200, part
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css")
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = browser.get(part, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for trap in (
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "url(",
            "@import",
            "//cdn",
        ):
            assert trap not in answer.text, (part, trap)
        lines = answer.text.splitlines()
        waiting += [urljoin(part, line.split('"')[1]) for line in lines if line.startswith("import ")]
    folder = files("requence.local.page").joinpath("static")
    parts = {file.name for file in folder.iterdir() if not file.name.endswith(".html")}
    assert {part.rpartition("/")[2] for part in seen} == parts  # nothing is left that nobody loads
    for other in ("task.html", "unknown.js", "%FF.js", ""):
        assert browser.get(f"{running.url}/static/{other}").status_code == 404


def test_the_key_opens_this_page_and_nothing_else(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    task_id, url = start(api, "waits")
    other_id, other_url = start(api, "waits")
    key = url.partition("key=")[2]
    assert key not in other_url
    assert api.bearer not in url
    list_key = running.page_url.partition("key=")[2]
    wrong = [
        url.partition("?")[0],
        f"{url}x",
        url.replace(key, ""),
        url.replace(key, api.bearer),
        url.replace(key, list_key),
        url.replace(key, key.upper()),
        url.replace(key, "%F0%9F"),
        url.replace(task_id, other_id),
        url.replace(task_id, "unknown"),
    ]
    wrong += [data_url(one, what) for one in wrong for what in ("", "/updates") if "?" in one]
    wrong += [running.page_url.replace(list_key, key), data_url(running.page_url).replace(list_key, key)]
    texts = {(answer.status_code, answer.text) for answer in map(browser.get, wrong)}
    assert texts == {(404, "There is nothing here")}
    for what in ("/abort", "/protect"):
        for one in (
            data_url(url, what).replace(task_id, other_id),
            data_url(url, what).replace(key, list_key),
        ):
            assert browser.post(one).status_code == 404
    assert api.get(other_id)["status"] == "running"
    bearer = {"Authorization": f"Bearer {key}"}
    assert browser.get(f"{api.url}/task/{task_id}", headers=bearer).status_code == 401


def test_the_page_is_told_what_the_task_is(api: Api, browser: httpx.Client, go: threading.Event) -> None:
    task_id, url = start(api, "waits", {"path": "grüße.md"}, name=f"Daily {EVIL}")
    told = data(browser, url)
    assert (told["id"], told["name"], told["template"]) == (task_id, f"Daily {EVIL}", "waits")
    assert (told["status"], told["endedAt"], told["priority"]) == ("running", None, 5)
    assert told["preparedAt"] <= told["startedAt"] <= told["now"]
    assert [node["key"] for node in told["graph"]["nodes"]] == ["n"]
    assert data(browser, url, plan="no") == {**told, "graph": None, "now": ANY}
    go.set()
    list(api.watch(task_id))
    told = data(browser, url)
    assert told["status"] == "successful"
    assert told["endedAt"] >= told["startedAt"]
    assert len(data(browser, start(api, "waits", None, name="x" * 1_000_000)[1])["name"]) == 1000
    lone_id, lone_url = start(api, "waits", None, name="\ud800")
    list(api.watch(lone_id))
    assert data(browser, lone_url)["name"] == "\ud800"


def test_the_updates_are_those_of_the_stream_that_clients_follow(
    api: Api, browser: httpx.Client, go: threading.Event
) -> None:
    go.set()
    task_id, url = start(api, "waits", {"a": "é" * 100_000})
    with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}) as answer:
        followed = answer.read()
    answer = browser.get(data_url(url, "/updates"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == followed
    rest = browser.get(data_url(url, "/updates"), headers={"Last-Event-ID": "2"}).content
    assert followed.endswith(rest)
    assert rest.startswith(b"id: 3\n")
    after = f"{data_url(url, '/updates')}&after=2"
    assert browser.get(after).content == rest
    assert browser.get(after, headers={"Last-Event-ID": "0"}).content == followed  # of later, so it counts
    for nonsense in ("x", "-1", "9" * 30):
        again = browser.get(data_url(url, "/updates"), headers={"Last-Event-ID": nonsense})
        assert again.content == followed
        assert browser.get(f"{data_url(url, '/updates')}&after={nonsense}").content == followed


def test_nothing_stays_open_for_who_asks_only_for_the_head(api: Api, browser: httpx.Client) -> None:
    _, url = start(api, "waits")
    for one in (url, data_url(url), data_url(url, "/updates")):
        answer = browser.head(one, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")


def test_whoever_has_the_page_can_abort_and_protect(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    task_id, url = start(api, "waits")
    assert data(browser, url)["protected"] is False
    assert browser.post(data_url(url, "/protect")).status_code == 200
    assert data(browser, url)["protected"] is True
    assert browser.post(data_url(url, "/abort"), content="nicht mehr nötig".encode()).status_code == 200
    [task] = running.started()
    assert (task.task_id, task.aborted, task.protected) == (task_id, True, True)
    assert api.get(task_id)["statusText"] == "nicht mehr nötig"
    assert data(browser, url)["status"] == "stopped"


def test_a_page_leads_to_those_of_its_sub_tasks(api: Api, browser: httpx.Client, go: threading.Event) -> None:
    _, url = start(api, "outer")
    [subtask] = data(browser, url)["subtasks"]
    assert subtask["node"] == "inner"
    inner = urljoin(url, subtask["href"])
    assert browser.get(inner).status_code == 200
    assert (data(browser, inner)["template"], data(browser, inner)["isSubtask"]) == ("waits", True)


def test_a_task_whose_template_is_not_served_any_more_is_still_shown(
    tmp_path: Path, connect: Connect, browser: httpx.Client
) -> None:
    gone, stays = TaskTemplate("gone"), TaskTemplate("stays")
    for template in (gone, stays):
        template.node("only")(lambda ctx: None)
    with LocalServer(gone, db=tmp_path / "db") as server:
        api = connect(server)
        task_id, url = start(api, "gone")
        list(api.watch(task_id))
        assert [node["key"] for node in data(browser, url)["graph"]["nodes"]] == ["only"]
    with LocalServer(stays, db=tmp_path / "db") as server:
        assert browser.get(url).status_code == 200
        told = data(browser, url)
        assert (told["graph"], told["served"], told["status"]) == (None, False, "successful")
        assert data(browser, server.page_url)["templates"] == ["stays"]


def test_the_list_shows_the_last_tasks_and_leads_to_their_pages(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    first = api.start(quote(f"echo {EVIL}", safe=""), 1)
    list(api.watch(first))
    prepared = api.prepare("waits")
    named, _ = start(api, "fails", name=f"by name {EVIL}")
    list(api.watch(named))
    assert browser.get(running.page_url).status_code == 200
    found = data(browser, running.page_url)
    assert [task["id"] for task in found["tasks"]] == [named, prepared, first]
    assert [task["status"] for task in found["tasks"]] == ["failed", "idle", "successful"]
    assert found["tasks"][0]["name"] == f"by name {EVIL}"
    assert found["more"] is None
    assert found["templates"] == [f"echo {EVIL}", "waits", "fails", "outer"]
    for task in found["tasks"]:
        assert browser.get(urljoin(running.url, task["href"])).status_code == 200


def test_the_list_can_be_searched(api: Api, running: LocalServer, browser: httpx.Client) -> None:
    running.stub("orders")
    names = ["Grüße 100%", "Grüße 100x", "under_score", "underscore", "!", '"quoted" \\ back', "\ud800"]
    ids = {name: start(api, "orders", name=name)[0] for name in names}
    ids["waits"] = api.prepare("waits")

    def found(**asked: str) -> list[str]:
        known = {task_id: name for name, task_id in ids.items()}
        return [known[task["id"]] for task in data(browser, running.page_url, **asked)["tasks"]][::-1]

    assert found() == [*names, "waits"]
    assert found(search="grüße") == names[:2]
    assert found(search="100%") == names[:1]
    assert found(search="r_s") == names[2:3]
    assert found(search="!") == ["!"]
    assert found(search='"QUOTED" \\') == names[5:6]
    assert found(search=ids["underscore"][:18].upper()) == ["underscore"]
    assert found(search="WAIT") == ["waits"]
    assert found(template="orders", search="under") == names[2:4]
    assert found(template="order") == []
    assert found(status="idle") == ["waits"]
    assert found(search="nothing like this") == []
    assert found(search="s\0") == found(search="\N{REPLACEMENT CHARACTER}") == []  # no pattern ends at NUL
    assert found(search="%_!" * 300) == []
    wrong: dict[str, str]
    for wrong in (
        *({"status": "unknown"}, {"before": "x"}, {"before": "-1"}, {"before": "9" * 30}),
        {"search": "x" * 60_000},  # more than SQLite takes
    ):
        answer = browser.get(data_url(running.page_url), params={**_key(running), **wrong})
        assert answer.status_code == 400


def test_the_list_goes_on_where_it_ended(api: Api, running: LocalServer, browser: httpx.Client) -> None:
    ids = [api.prepare("waits") for _ in range(230)]
    seen: list[str] = []
    more: str | None = ""
    sizes: list[int] = []
    while more is not None:
        found = data(browser, running.page_url, **({"before": more} if more else {}))
        sizes.append(len(found["tasks"]))
        seen += [task["id"] for task in found["tasks"]]
        more = None if found["more"] is None else str(found["more"])
    assert seen == ids[::-1]
    assert sizes == [100, 100, 30]


def _key(server: LocalServer) -> dict[str, str]:
    return {"key": server.page_url.partition("key=")[2]}


def test_each_status_finds_the_tasks_that_are_shown_with_it(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    running.stub("good", result=1)
    running.stub("bad", error="no")
    api.prepare("good")
    for template in ("good", "bad"):
        for ack in (False, True):
            api.run(template, ack=ack)
    aborted = api.start("waits")
    api.post("abort", aborted)
    early = api.prepare("waits")
    api.post("abort", early)
    acknowledged = api.start("good", ack=True)
    list(api.watch(acknowledged))
    assert api.post("ack", acknowledged).status_code == 200
    for _ in range(9):  # one more than have a place: it is pending until another has begun
        api.start("waits")
    everything = data(browser, running.page_url)["tasks"]
    assert {task["status"] for task in everything} >= set(STATUSES) - {"pending"}
    for status in STATUSES:
        found = data(browser, running.page_url, status=status)["tasks"]
        assert [task["id"] for task in found] == [
            task["id"] for task in everything if task["status"] == status
        ]


def test_the_list_reads_no_inputs() -> None:
    with closing(Store(None)) as store:
        store.add_task("one", "t", "2026-01-31T12:00:00.000000Z")
        store.add_task("two", "t", "2026-01-31T12:00:01.000000Z")
        request = Finalize("a name", '"large"', 5, require_ack=False)
        store.accept("two", request, "2026-01-31T12:00:02.000000Z")
        second, first = store.newest(Search(), 2)
        assert first.record.request is None
        assert second.record.request == replace(request, input_text="null")


def test_the_plan_is_drawn_with_all_its_lines() -> None:
    template = TaskTemplate("t")
    inner = TaskTemplate("inner")
    inner.node("only")(lambda ctx: None)
    first = template.node("first")(lambda ctx: None)
    second = template.node("second", after=first.on_fail)(lambda ctx: None)
    third = template.subtask("third", inner, after=any_of(first.output("pdf"), second))
    last = template.node("last", after=[first, third])(lambda ctx: None)
    template.exit("out", after=last)
    template.exit(after=first.on_fail)
    drawn = drawing(template.graph())
    nodes = {node["alias"]: node for node in drawn["nodes"]}
    either = nodes.pop(None)
    assert [nodes[alias]["column"] for alias in ("first", "second", "third", "last")] == [0, 1, 3, 4]
    assert (either["kind"], either["join"], either["column"]) == ("or", "first", 2)
    assert (nodes["third"]["kind"], nodes["third"]["subtask"]) == ("reference", "inner")
    assert nodes["first"]["after"] == []

    def lines(box: dict[str, Any]) -> list[tuple[str, str, str | None]]:
        return [(line["node"], line["way"], line["output"]) for line in box["after"]]

    assert lines(nodes["second"]) == [("first", "failure", None)]
    assert lines(either) == [("first", "success", "pdf"), ("second", "success", None)]
    assert lines(nodes["third"]) == [(either["key"], "success", None)]
    assert lines(nodes["last"]) == [("first", "success", None), ("third", "success", None)]
    assert len(nodes["last"]["after"][0]["via"]) == 3
    assert [(way_out["name"], lines(way_out)) for way_out in drawn["exits"]] == [
        ("out", [("last", "success", None)]),
        (None, [("first", "failure", None)]),
    ]
