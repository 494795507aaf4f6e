"""The list of tasks, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from tests.local.api import Api
from tests.page.conftest import Open, Served
from tests.page.nodes import begin

from requence.local import LocalServer, TaskTemplate

EVIL = "<img src=x onerror=alert(1)> & \u202e"


def stubbed(served: Served) -> tuple[LocalServer, Api]:
    server, api = served()
    server.stub("import", result=1)
    server.stub("report", error="no")
    server.stub("slow", delay=3600)
    return server, api


def test_it_shows_each_task_and_follows_what_happens(served: Served, open_page: Open) -> None:
    server, api = stubbed(served)
    page = open_page(server.page_url)
    expect(page.get_by_text("There are no tasks yet.")).to_be_visible()
    task_id, _ = begin(api, "slow", name=f"Nightly {EVIL}")
    row = page.locator("#rows tr").first
    expect(row.locator(".status")).to_have_text("running")
    assert row.get_by_role("link").text_content() == f"Nightly {EVIL}"
    expect(row).to_contain_text("slow")
    expect(row.locator("time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    server.clock.advance(1800)
    expect(row.locator("td").last).to_have_text(re.compile(r"^30 min \d s$"))
    row.get_by_role("link").focus()
    begin(api, "report", name="second")
    expect(page.locator("#rows tr")).to_have_count(2)
    # What is there stays there: so do the focus and what is selected.
    assert page.evaluate("() => document.activeElement.textContent") == f"Nightly {EVIL}"
    expect(page.locator("#rows tr").first.locator(".status")).to_have_text("failed")
    server.clock.advance(1800)
    expect(page.locator("#rows tr").last.locator(".status")).to_have_text("successful")
    expect(page.get_by_text("2 tasks, newest first")).to_be_visible()
    page.get_by_role("link", name="Nightly").click()
    expect(page.locator("#facts")).to_contain_text(task_id)


def test_it_can_be_searched(served: Served, open_page: Open) -> None:
    server, api = stubbed(served)
    for name in ("Grüße", "Daily 1", "Daily 2"):
        api.watch(begin(api, "import", name=name)[0])
    begin(api, "report", name="Daily 3")
    begin(api, "slow")
    page = open_page(server.page_url)
    expect(page.locator("#rows tr")).to_have_count(5)
    page.get_by_label("Search").fill("daily")
    expect(page.locator("#rows .name a")).to_have_text(["Daily 3", "Daily 2", "Daily 1"])
    page.get_by_label("Status").select_option("failed")
    expect(page.locator("#rows .name a")).to_have_text(["Daily 3"])
    page.get_by_label("Search").fill("")
    page.get_by_label("Status").select_option("all")
    page.get_by_label("Template").select_option("slow")
    expect(page.locator("#rows .name a")).to_have_text(["slow"])
    page.get_by_label("Search").fill("nothing like this")
    expect(page.get_by_text("No task is like that.")).to_be_visible()


def test_it_shows_more_when_asked(served: Served, open_page: Open) -> None:
    server, api = stubbed(served)
    for _ in range(130):
        api.prepare("import")
    page = open_page(server.page_url)
    expect(page.locator("#rows tr")).to_have_count(100)
    expect(page.get_by_text("The last 100, newest first")).to_be_visible()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#rows tr")).to_have_count(130)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_it_fits_a_phone_and_has_landmarks(served: Served, open_page: Open) -> None:
    server, api = stubbed(served)
    begin(api, "import", name="N" * 200)
    page = open_page(server.page_url, viewport={"width": 360, "height": 740}, is_mobile=True)
    expect(page.locator("#rows tr")).to_have_count(1)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        """() => ["caption", "#rows .number", "#rows .status"].map((it) => document.querySelector(it))
            .map((it) => [it.clientHeight, it.getBoundingClientRect().right])"""
    )
    assert sizes[0][0] < 45  # how many there are stands in one line,
    assert abs(sizes[1][1] - sizes[2][1]) < 1  # and the duration below the status
    expect(page.get_by_role("search", name="Tasks")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()


def test_it_says_when_the_server_is_away_and_goes_on(served: Served, open_page: Open, db: object) -> None:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template, db=str(db)) as server, Api(server.access_token) as api:
        page = open_page(server.page_url)
        begin(api, "t", name="first")
        expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#connection")).to_have_text("The server does not answer")
    _, api = served(template, db=str(db))
    begin(api, "t", name="second")
    expect(page.locator("#rows tr")).to_have_count(2)
    expect(page.locator("#connection")).to_have_text("")
