"""The page of a task: what it shows, to whom, and what it cannot be made to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote, urljoin

import httpx
import pytest
from tests.local.api import Api, Connect

from requence.local import LocalServer, NodeContext, TaskTemplate
from requence.local.requests import Finalize
from requence.local.store import Store

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> \" ' &"


@pytest.fixture
def go() -> threading.Event:
    return threading.Event()


@pytest.fixture
def running(go: threading.Event) -> Iterator[LocalServer]:
    echo, waits, fails, many = (TaskTemplate(name) for name in (f"echo {EVIL}", "waits", "fails", "many"))
    echo.node(EVIL)(lambda ctx: {EVIL: ctx.input})
    waits.node("n")(lambda ctx: go.wait(20))

    @fails.node
    def bad(ctx: NodeContext) -> None:
        raise ValueError(EVIL)

    for number in range(100):
        many.node(f"node-{number}")(lambda ctx: ctx.input)
    with LocalServer(echo, waits, fails, many) as server:
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
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def start(api: Api, template: str, input_value: object = None, name: str | None = None) -> tuple[str, str]:
    task_id = api.prepare(quote(template, safe=""))
    return task_id, api.finalize(task_id, input_value, name=name).json()["urls"]["show"]


def test_it_shows_what_the_task_is_and_did(api: Api, browser: httpx.Client) -> None:
    task_id, url = start(api, "many", {"path": "grüße.md"}, name="Daily import")
    list(api.watch(task_id))
    answer = browser.get(url)
    assert answer.status_code == 200
    text = Reader(answer.text).text
    for expected in (
        "Daily import",
        "many",
        task_id,
        "successful",
        "grüße.md",
        "node-99",
        "Result",
        "taskEnd",
    ):
        assert expected in text
    # 1 + 100 * 3 + 1 events, of which the last 200 are shown.
    assert Reader(answer.text).tags.count("li") == 200
    assert "102 earlier updates are not shown" in text
    assert "http-equiv" not in answer.text


def test_it_refreshes_itself_until_the_task_has_ended(
    api: Api, browser: httpx.Client, go: threading.Event
) -> None:
    task_id, url = start(api, "waits")
    assert '<meta http-equiv="refresh" content="2">' in browser.get(url).text
    go.set()
    list(api.watch(task_id))
    assert "http-equiv" not in browser.get(url).text


def test_it_shows_why_a_task_failed(api: Api, browser: httpx.Client) -> None:
    task_id, url = start(api, "fails")
    list(api.watch(task_id))
    assert EVIL in Reader(browser.get(url).text).text
    assert "failed" in browser.get(url).text


def test_nothing_that_a_task_says_becomes_part_of_the_page(api: Api, browser: httpx.Client) -> None:
    task_id, url = start(api, f"echo {EVIL}", EVIL, name=EVIL)
    list(api.watch(task_id))
    answer = browser.get(url)
    reader = Reader(answer.text)
    assert reader.text.count(EVIL) >= 5  # name, template, alias, input, result
    assert not {"script", "img", "iframe", "form", "a"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_style_sheet_comes_from_the_server_itself(api: Api, browser: httpx.Client) -> None:
    _, url = start(api, "many")
    reader = Reader(browser.get(url).text)
    [href] = [value for name, value in reader.attributes if name == "href"]
    style = browser.get(urljoin(url, href))
    assert style.status_code == 200
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_the_key_opens_this_page_and_nothing_else(api: Api, browser: httpx.Client) -> None:
    task_id, url = start(api, "many")
    other_id, other_url = start(api, "many")
    key = url.partition("key=")[2]
    assert key not in other_url
    assert api.bearer not in url
    wrong = [
        url.partition("?")[0],
        f"{url}x",
        url.replace(key, ""),
        url.replace(key, api.bearer),
        url.replace(key, "%F0%9F"),
        url.replace(task_id, other_id),
        url.replace(task_id, "unknown"),
    ]
    texts = {(answer.status_code, answer.text) for answer in map(browser.get, wrong)}
    assert texts == {(404, "There is nothing here")}
    bearer = {"Authorization": f"Bearer {key}"}
    assert browser.get(f"{api.url}/task/{task_id}", headers=bearer).status_code == 401


def test_a_value_that_is_deep_or_long_is_still_shown(api: Api, browser: httpx.Client) -> None:
    value: object = "x" * 50_000
    for _ in range(190):
        value = [value]
    task_id, url = start(api, "many", value)
    list(api.watch(task_id))
    answer = browser.get(url)
    assert answer.status_code == 200
    assert "more characters" in answer.text
    lone_id, lone_url = start(api, "many", None, name="\ud800")
    list(api.watch(lone_id))
    assert browser.get(lone_url).status_code == 200


def test_the_list_shows_the_last_tasks_and_leads_to_their_pages(
    api: Api, running: LocalServer, browser: httpx.Client
) -> None:
    template = quote(f"echo {EVIL}", safe="")
    first = api.start(template, 1)
    list(api.watch(first))
    prepared = api.prepare("waits")
    named = api.prepare("fails")
    assert api.finalize(named, name=f"by name {EVIL}").status_code == 200
    list(api.watch(named))
    answer = browser.get(running.page_url)
    assert answer.status_code == 200
    page = Reader(answer.text)
    assert not {"script", "img"} & set(page.tags)
    links = [value for name, value in page.attributes if name == "href" and value and "/tasks/" in value]
    assert [link.split("/")[2].split("?")[0] for link in links[:3]] == [named, prepared, first]
    for link in links[:3]:
        assert browser.get(urljoin(running.url, link)).status_code == 200
    assert page.text.index("failed") < page.text.index("idle") < page.text.index("successful")
    assert f"by name {EVIL}" in page.text


def test_the_list_has_a_key_of_its_own(api: Api, running: LocalServer, browser: httpx.Client) -> None:
    task_id = api.prepare("waits")
    key = running.page_url.partition("key=")[2]
    assert browser.get(f"{running.url}/tasks/{task_id}?key={key}").status_code == 404
    for wrong in ("", "?key=", f"?key={key[:-1]}", f"?key={key.upper()}x"):
        assert browser.get(f"{running.url}/tasks{wrong}").status_code == 404
    assert api.http.get("/tasks").status_code == 404
    headers = browser.get(running.page_url).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_the_list_reads_no_inputs() -> None:
    with closing(Store(None)) as store:
        store.add_task("one", "t", "2026-01-31T12:00:00.000000Z")
        store.add_task("two", "t", "2026-01-31T12:00:01.000000Z")
        request = Finalize("a name", '"large"', 5, require_ack=False)
        store.accept("two", request, "2026-01-31T12:00:02.000000Z")
        (second, *_), (first, *_) = store.newest(2)
        assert first.request is None
        assert second.request == replace(request, input_text="null")
