"""The page of one task, in a real browser: what becomes of it while time passes, and things go wrong."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Route, expect
from tests.local.api import Api
from tests.page.conftest import Gates, Open, Served
from tests.page.nodes import be_seen, begin, box, expect_state, states, update_list

from requence.local import LocalServer, NodeContext, TaskTemplate


def test_it_goes_on_when_the_server_comes_back(
    served: Served, open_page: Open, db: Path, gates: Gates
) -> None:
    def templates() -> TaskTemplate:
        template = TaskTemplate("t")
        first = template.node("first")(lambda ctx: 1)
        template.node("second", after=first)(gates.handler("second"))
        return template

    with LocalServer(templates(), db=db) as server, Api(server.access_token) as api:
        page = open_page(begin(api, "t")[1])
        expect_state(page, "second", "running")
    expect(page.locator("#connection")).to_have_text("Connection lost; trying again")
    served(templates(), db=db)
    expect(page.locator("#connection")).to_have_text("")
    gates.open("second")
    expect(page.locator("#status")).to_have_text("successful")
    positions = [int(row.split(" ")[0]) for row in update_list(page)]
    assert positions == list(range(1, len(positions) + 1))
    # The attempt that was interrupted has ended where the next one began.
    bars = page.locator("#timeline li").filter(has_text="second").locator(".bar")
    assert [bar.get_attribute("class") for bar in bars.all()] == ["bar stopped", "bar done"]


def test_a_task_that_is_removed_meanwhile(served: Served, open_page: Open, gates: Gates) -> None:
    template = TaskTemplate("t")
    template.node("n")(gates.handler("n"))
    server, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect_state(page, "n", "running")
    server.reset()
    expect(page.locator("#connection")).to_have_text("The updates of this task cannot be had any more")
    page.get_by_role("button", name="Protect").click()
    expect(page.locator("#problem")).to_have_text("There is no task with this id")


def test_what_is_not_in_the_plan_finds_its_place(served: Served, open_page: Open, db: Path) -> None:
    old, new = TaskTemplate("t"), TaskTemplate("t")
    for alias in ("kept", *(f"removed-{number}" for number in range(6))):
        old.node(alias)(lambda ctx: 1)
    new.node("kept")(lambda ctx: 1)
    with LocalServer(old, db=db) as server, Api(server.access_token) as api:
        task_id, url = begin(api, "t")
        list(api.watch(task_id))
    served(new, db=db)
    page = open_page(url)
    expect(page.locator("#graph .node.done")).to_have_count(7)
    boxes = [one.bounding_box() for one in page.locator("#graph .node rect").all()]
    corners = {(round(one["x"]), round(one["y"])) for one in boxes if one}
    assert len(corners) == 7


def test_an_outcome_that_waits_for_its_confirmation(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    _, api = served(template)
    task_id = api.prepare("t")
    url = api.finalize(task_id, ack=True).json()["urls"]["show"]
    page = open_page(url)
    expect(page.locator("#status")).to_have_text("awaiting delivery")
    api.post("ack", task_id)
    expect(page.locator("#status")).to_have_text("successful")


def test_a_page_that_nobody_sees_leaves_the_stream_and_goes_on_later(
    served: Served, open_page: Open, gates: Gates
) -> None:
    template = TaskTemplate("t")
    first = template.node("first")(gates.handler("first"))
    template.node("second", after=first)(gates.handler("second"))
    _, api = served(template)
    page = open_page(begin(api, "t", name="hidden")[1])
    expect_state(page, "first", "running")
    be_seen(page, False)
    gates.open("first")
    gates.open("second")
    expect(page).to_have_title("successful · hidden")  # told in its tab all the same
    assert update_list(page) == ["1 taskStart", "2 nodeStart first"]
    with page.expect_request("**/updates?*after=2") as request:
        be_seen(page, True)
    assert "last-event-id" not in request.value.headers
    expect(page.locator("#updates .taskEnd")).to_have_count(1)
    assert [int(row.split(" ")[0]) for row in update_list(page)] == list(range(1, 9))


def test_a_page_that_was_opened_before_its_task_was_started(
    served: Served, open_page: Open, gates: Gates
) -> None:
    template = TaskTemplate("t")
    template.node("n")(gates.handler("n"))
    server, api = served(template, workers=1)
    page = open_page(server.page_url)
    begin(api, "t")
    task_id, early = api.prepare("t"), api.prepare("t")
    page.locator(f'#rows tr[data-id="{task_id}"] a').click()
    expect(page).to_have_title("idle · t")
    expect(page.locator("#timeline")).to_have_attribute("data-empty", "Nothing has begun yet.")
    api.finalize(task_id, 1, name="late", priority=0)
    expect(page).to_have_title("pending · late")
    expect(page.locator("#facts")).to_contain_text(re.compile("Priority10", re.DOTALL))
    gates.open("n")
    expect(page).to_have_title("successful · late")
    page.go_back()
    page.locator(f'#rows tr[data-id="{early}"] a').click()
    page.get_by_role("button", name="Abort…").click()
    page.get_by_role("button", name="Abort the task").click()
    expect(page).to_have_title("stopped · t")
    expect(page.locator("#outcome")).to_contain_text("No reason was given.")
    assert states(page) == {"n": "unused"}


def test_what_has_not_changed_stays_while_a_task_runs(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")
    go = threading.Semaphore(0)

    @template.node
    def parts(ctx: NodeContext) -> Any:
        for number in range(5):
            while not (go.acquire(timeout=0.05) or ctx.terminated.is_set()):
                pass
            yield {"part": number}

    _, api = served(template)
    page = open_page(begin(api, "t", {"a": {"b": {"c": {}, "d": {"e": 1}}}})[1])
    box(page, "parts").click()
    panel = page.locator("#node")
    panel.locator("summary", has_text='"b"').click()
    panel.get_by_role("button", name="Copy the input").focus()
    page.evaluate("() => getSelection().selectAllChildren(document.getElementById('fact-task'))")
    before = page.locator("#fact-duration").text_content() or ""
    go.release(2)
    expect(panel).to_contain_text('"part": 1')
    expect(page.locator("#fact-duration")).not_to_have_text(before)
    expect(panel.locator("summary", has_text='"d"')).to_be_visible()
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Copy the input"
    assert page.evaluate("() => String(getSelection())") == page.locator("#fact-task").text_content()
    go.release(3)
    expect(page.locator("#status")).to_have_text("successful")


def test_a_refusal_that_passes_is_not_the_end_of_the_updates(
    served: Served, open_page: Open, gates: Gates
) -> None:
    template = TaskTemplate("t")
    template.node("n")(gates.handler("n"))
    _, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect_state(page, "n", "running")
    answered: list[int] = []

    def busy_once(route: Route) -> None:
        answered.append(1)
        if len(answered) == 1:
            route.fulfill(status=503, body="the disk is full")
        else:
            route.continue_()

    page.route("**/updates?*", busy_once)
    be_seen(page, False)
    be_seen(page, True)
    expect(page.locator("#connection")).to_have_text("Connection lost; trying again")
    gates.open("n")
    expect(page.locator("#status")).to_have_text("successful")
    assert len(answered) == 2


def test_a_task_that_waits_for_its_template(served: Served, open_page: Open, db: Path, gates: Gates) -> None:
    template = TaskTemplate("t")
    template.node("n")(gates.handler("n"))
    with LocalServer(template, db=db) as server, Api(server.access_token) as api:
        url = begin(api, "t")[1]
    server, _ = served(db=db)
    page = open_page(url)
    expect(page.locator("#note")).to_contain_text("no template of this name, so the task waits")
    server.stub("t", result=1)
    expect(page.locator("#status")).to_have_text("successful")
    expect(page.locator("#note")).to_be_hidden()
    expect_state(page, "stub", "done")
