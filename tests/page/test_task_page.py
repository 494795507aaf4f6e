"""The page of one task, in a real browser: what is seen, and what can be done."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect
from tests.page.conftest import Gates, Open, Served
from tests.page.nodes import begin, box, expect_state, states, update_list

from requence.local import NodeContext, TaskTemplate, any_of

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' &"
UNREADABLE = f"{EVIL} \u202e\x07\x00"


def test_nodes_take_the_colour_of_their_state_while_the_task_runs(
    served: Served, open_page: Open, gates: Gates
) -> None:
    order = TaskTemplate("order")
    tries: list[int] = []

    @order.node
    def receive(ctx: NodeContext) -> Any:
        return ctx.input

    stock = order.node("stock", after=receive)(gates.handler("stock", {"left": 3}))

    @order.node(after=receive)
    def price(ctx: NodeContext) -> float:
        tries.append(1)
        if len(tries) == 1:
            ctx.retry(60_000)
        return 99.5

    order.node("fallback", after=price.on_fail)(lambda ctx: None)
    confirm = order.node("confirm", after=[stock, price])(gates.handler("confirm", "sent"))
    order.exit("done", after=confirm)
    server, api = served(order)
    _, url = begin(api, "order", {"lines": [1, 2]}, name="Order 4711", priority=2)
    page = open_page(url)

    expect(page).to_have_title("running · Order 4711")
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 4711")
    expect_state(page, "price", "deferred")
    expect_state(page, "stock", "running")
    assert states(page) == {
        "receive": "done",
        "stock": "running",
        "price": "deferred",
        "fallback": "waiting",
        "confirm": "waiting",
    }
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Templateorder.*Priority8", re.DOTALL))
    expect(page.locator("#graph .line.taken")).to_have_count(2)
    # A node that runs shows how long already, and goes on by itself.
    note = box(page, "stock").locator(".node-note")
    before = note.text_content() or ""
    expect(note).not_to_have_text(before)

    server.clock.advance(60)
    expect_state(page, "price", "done")
    expect(box(page, "price").locator(".node-note")).to_contain_text("2\N{MULTIPLICATION SIGN}")
    gates.open("stock")
    expect_state(page, "confirm", "running")
    expect(page.locator("#status")).to_have_text("running")
    # The page learns from the updates that the server's clock was moved on.
    expect(box(page, "confirm").locator(".node-note")).to_have_text(re.compile(r"▶ ([1-9]\d* ms|\d\.\d s)"))
    # Of what runs, the time is not in the name: it would be read again and again.
    expect(page.get_by_role("button", name="confirm: running", exact=True)).to_have_count(2)
    gates.open("confirm")
    expect(page.locator("#status")).to_have_text("successful")
    assert states(page) == {
        "receive": "done",
        "stock": "done",
        "price": "done",
        "fallback": "unused",
        "confirm": "done",
    }
    expect(page.locator("#graph .line.taken")).to_have_count(5)
    expect(page.get_by_role("img", name="Exit done: reached")).to_be_visible()
    expect(page.locator("#outcome")).to_contain_text("Result, at the exit “done”")
    expect(page.locator("#outcome")).to_contain_text('"sent"')
    expect(page.locator("#input")).to_contain_text('"lines": [ 2 items ]')
    expect(page).to_have_title("successful · Order 4711")
    expect(page.get_by_role("button", name="Abort…")).to_be_hidden()

    # The timeline has a row for each node that ran, with a bar for each attempt and for the wait between them.
    rows = page.locator("#timeline li")
    expect(rows).to_have_count(4)
    bars = page.locator("#timeline li").filter(has_text="price").locator(".bar")
    assert [bar.get_attribute("class") for bar in bars.all()] == ["bar done", "bar deferred", "bar done"]

    # The updates are the log, with its positions.
    shown = update_list(page)
    assert shown[0] == "1 taskStart"
    assert shown[-1] == f"{len(shown)} taskEnd"
    assert shown[1:4] == ["2 nodeStart receive", "3 nodeUpdate receive", "4 nodeEnd receive"]
    page.locator("#updates summary").nth(2).click()
    expect(page.locator("#updates li").nth(2)).to_contain_text('"lines"')


def test_a_chosen_node_shows_what_went_in_and_what_came_out(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")

    @template.node
    def first(ctx: NodeContext) -> Any:
        ctx.to_output("pdf", {"pages": 3})
        return {"text": "abc"}

    @template.node(after=first.output("pdf"))
    def of_output(ctx: NodeContext) -> Any:
        return ctx.input["pages"] + 1

    @template.node(after=first)
    def breaks(ctx: NodeContext) -> Any:
        raise ValueError("the printer is out of paper")

    @template.node(after=breaks.on_fail)
    def instead(ctx: NodeContext) -> Any:
        return ctx.input["error"]

    @template.node(after=first)
    def skips(ctx: NodeContext) -> None:
        ctx.skip()

    template.node("either", after=any_of(of_output, instead))(lambda ctx: ctx.input)

    @template.node(after=[of_output, instead])
    def both(ctx: NodeContext) -> Any:
        return sorted(ctx.input)

    _, api = served(template)
    task_id, url = begin(api, "t", {"whole": "input"})
    list(api.watch(task_id))
    page = open_page(url)
    panel = page.locator("#node")
    expect(panel).to_contain_text("Choose a node")
    box(page, "first").click()
    expect(panel.get_by_role("heading", level=2)).to_have_text("Node: first")
    expect(panel).to_contain_text(re.compile(r"Input.*whole.*Output “pdf”.*pages.*Output.*abc", re.DOTALL))
    box(page, "of_output").click()
    expect(panel).to_contain_text(re.compile(r"Input.*\"pages\": 3.*Output.*4", re.DOTALL))
    box(page, "breaks").click()
    expect(panel).to_contain_text(re.compile(r"✕ failed.*Error.*the printer is out of paper", re.DOTALL))
    page.locator("#timeline").get_by_role("button", name="instead: done").click()
    expect(panel).to_contain_text(re.compile(r"Node: instead.*Input.*\"node\": \"breaks\"", re.DOTALL))
    box(page, "skips").click()
    expect(panel).to_contain_text("It has ended without an output.")
    assert [row for row in update_list(page) if row.endswith(" nodeEnd any of")]  # not its id
    box(page, "any of").click()
    expect(panel).to_contain_text(re.compile(r"Kind\s*any of \(Or\).*Input.*Output", re.DOTALL))
    box(page, "both").click()
    expect(panel).to_contain_text(re.compile(r"\"of_output\": 4.*\"instead\": \"the printer", re.DOTALL))
    page.get_by_label("of the chosen node only").check()
    assert [row.split(" ", 1)[1] for row in update_list(page)] == [
        "nodeStart both",
        "nodeUpdate both",
        "nodeEnd both",
    ]


def test_a_task_that_fails_shows_why(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")

    @template.node
    def breaks(ctx: NodeContext) -> None:
        raise ValueError("the printer is out of paper")

    template.node("after", after=breaks)(lambda ctx: None)
    _, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect(page.locator("#status")).to_have_text("failed")
    expect(page.locator("#outcome")).to_contain_text(re.compile("Why it failed.*out of paper", re.DOTALL))
    assert states(page) == {"breaks": "failed", "after": "unused"}


def test_a_task_can_be_aborted_and_protected_from_its_page(
    served: Served, open_page: Open, gates: Gates
) -> None:
    template = TaskTemplate("t")
    template.node("waits")(gates.handler("waits"))
    keys: list[str] = []

    @template.node
    def asked(ctx: NodeContext) -> None:
        keys.append(ctx.defer("a person"))

    @template.node
    def unasked(ctx: NodeContext) -> None:
        ctx.defer("nobody")

    server, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect_state(page, "waits", "running")
    expect_state(page, "asked", "deferred")
    expect_state(page, "unasked", "deferred")
    server.act(keys[0], result=1)
    expect_state(page, "asked", "done")
    page.get_by_role("button", name="Protect").press("Enter")
    expect(page.locator("#facts")).to_contain_text("protected from cleanup")
    assert page.evaluate("() => document.activeElement.id") == "content"  # the button is gone
    expect(page.get_by_role("button", name="Protect")).to_be_hidden()
    assert server.started()[0].protected

    page.get_by_role("button", name="Abort…").click()
    dialog = page.get_by_role("dialog", name="Abort this task?")
    dialog.get_by_role("button", name="Let it run").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Abort…").click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not server.started()[0].aborted

    page.get_by_role("button", name="Abort…").click()
    dialog.get_by_label("Reason").fill("nicht mehr nötig")
    dialog.get_by_role("button", name="Abort the task").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#status")).to_have_text("stopped")
    assert page.evaluate("() => scrollY") == 0
    expect(page.locator("#outcome")).to_contain_text(
        re.compile("Why it was aborted.*nicht mehr nötig", re.DOTALL)
    )
    assert states(page) == {"waits": "stopped", "asked": "done", "unasked": "stopped"}
    assert server.started()[0].aborted
    # Each was called once, and what waited did so until somebody has ended it.
    expect(page.locator("#graph")).not_to_contain_text("\N{MULTIPLICATION SIGN}")
    for alias, end in (("asked", "done"), ("unasked", "stopped")):
        bars = page.locator("#timeline li", has=page.get_by_text(alias, exact=True)).locator(".bar")
        assert [bar.get_attribute("class") for bar in bars.all()] == [
            "bar done",
            "bar deferred",
            f"bar {end}",
        ]
        edges = [(bar["x"], bar["x"] + bar["width"]) for bar in map(Locator.bounding_box, bars.all()) if bar]
        assert abs(edges[1][1] - edges[2][0]) < 1


def test_two_hundred_nodes(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")
    split = template.node("split")(lambda ctx: 1)
    parts = [template.node(f"part-{number}", after=split)(lambda ctx: ctx.input) for number in range(198)]
    template.node("join", after=parts)(lambda ctx: sum(ctx.input.values()))
    _, api = served(template)
    page = open_page(begin(api, "t")[1], viewport={"width": 1200, "height": 800})
    expect(page.locator("#status")).to_have_text("successful")
    expect(page.locator("#graph .node.done")).to_have_count(200)
    expect(page.locator("#timeline li")).to_have_count(200)
    graph = page.locator("#graph")
    assert graph.evaluate("(it) => it.scrollWidth > it.clientWidth")  # readable, so it scrolls
    page.get_by_role("button", name="Show all").click()
    assert graph.evaluate("(it) => it.scrollWidth <= it.clientWidth && it.scrollHeight <= it.clientHeight")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    # Of 602 updates the last 500 are shown.
    expect(page.locator("#left-out")).to_have_text("102 earlier updates are not shown.")
    assert update_list(page)[-1] == "602 taskEnd"


def test_nothing_that_a_task_says_becomes_part_of_the_page(served: Served, open_page: Open) -> None:
    template = TaskTemplate(f"echo {EVIL}")
    node = template.node(EVIL)(lambda ctx: {EVIL: ctx.input, "__proto__": {"polluted": True}})

    @template.node("fails", after=node)
    def fails(ctx: NodeContext) -> None:
        raise ValueError(UNREADABLE)

    template.exit(EVIL, after=node.on_fail)
    _, api = served(template)
    task_id, url = begin(api, f"echo {EVIL}", [UNREADABLE, "\ud800"], name=UNREADABLE)
    list(api.watch(task_id))
    page = open_page(url)
    expect(page.locator("#status")).to_have_text("failed")
    assert page.locator("h1").text_content() == UNREADABLE
    page.locator("#graph .node").first.click()
    for summary in page.locator("#updates > li > details > summary").all():
        summary.click()
    expect(page.locator("#node")).to_contain_text('"__proto__"')
    assert page.locator("#outcome pre").text_content() == UNREADABLE
    assert page.evaluate("() => [...document.scripts].map((script) => script.src.split('/').pop())") == [
        "task.js"
    ]
    assert page.locator("img, iframe, object, form").count() == 0
    assert page.evaluate("() => ({}).polluted") is None


def test_the_policy_of_the_page_stops_what_would_be_inserted(served: Served, chromium: Browser) -> None:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    _, api = served(template)
    with chromium.new_context() as visitor:
        page = visitor.new_page()
        page.goto(begin(api, "t")[1])
        said = page.evaluate(
            """() => { try { document.body.innerHTML += "<p>"; return "done" } catch (it) { return it.name } }"""
        )
        assert said == "TypeError"
        page.evaluate(
            "() => document.body.append(Object.assign(document.createElement('style'), {textContent: '*{}'}))"
        )
        assert page.evaluate("() => document.querySelector('style').sheet") is None


def test_values_fold_and_copy(served: Served, open_page: Open) -> None:
    deep: Any = "bottom"
    for _ in range(150):
        deep = [deep]
    value: dict[str, Any] = {
        "many": list(range(250)),
        "deep": deep,
        "text": "x" * 999 + "🙂" + "x" * 150_000,
        "large": 12345678901234567890,
        "exact": [1.5, None, True, "grüße 🙂"],
        "empty": [{}, []],
    }
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: ctx.input)
    _, api = served(template)
    task_id, url = begin(api, "t", value)
    list(api.watch(task_id))
    page = open_page(url, permissions=["clipboard-read", "clipboard-write"])
    tree = page.locator("#input .json")
    expect(tree).to_contain_text(
        '"large": 12345678901234567890'
    )  # more digits than JavaScript's numbers have
    expect(tree).to_contain_text('"exact": [ 4 items ]')
    expect(tree).to_contain_text("0: {}")
    expect(tree).to_contain_text('x🙂"')  # no half of it
    tree.get_by_text("150,000 more characters").click()
    tree.get_by_text("50,000 more characters").click()
    assert tree.locator(".text").first.text_content() == json.dumps(value["text"], ensure_ascii=False)
    many = tree.locator("li", has_text='"many"').first
    expect(many.get_by_text("0: 0", exact=True)).to_be_hidden()
    many.locator("summary").first.click()
    expect(many.locator("li")).to_have_count(101)
    many.get_by_role("button", name="150 more").click()
    many.get_by_role("button", name="50 more").click()
    expect(many.locator("li")).to_have_count(250)
    many.locator("summary").first.click()
    expect(many.locator("li").first).to_be_hidden()
    tree.get_by_role("button", name="Copy the input").click()
    expect(tree).to_contain_text("copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert json.loads(copied) == value
    assert copied == json.dumps(value, indent=2, ensure_ascii=False)


def test_it_can_be_used_with_the_keyboard_alone(served: Served, open_page: Open, gates: Gates) -> None:
    template = TaskTemplate("t")
    first = template.node("first")(lambda ctx: 1)
    upper = template.node("upper", after=first)(lambda ctx: 2)
    lower = template.node("lower", after=first)(lambda ctx: 3)
    template.node("last", after=[upper, lower])(gates.handler("last"))
    _, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect_state(page, "last", "running")

    def focused() -> str:
        name: str = page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )
        return name.partition(":")[0].strip()

    page.keyboard.press("Tab")
    assert focused() == "Skip to the graph"
    page.keyboard.press("Tab")
    assert focused() == "Abort…"
    for _ in range(10):
        page.keyboard.press("Tab")
        if focused() == "first":
            break
    page.keyboard.press("ArrowRight")
    assert focused() in ("upper", "lower")
    page.keyboard.press("ArrowDown" if focused() == "upper" else "ArrowUp")
    middle = focused()
    page.keyboard.press("ArrowRight")
    assert focused() == "last"
    page.keyboard.press("ArrowRight")
    assert focused() == "last"  # there is nothing further on
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#node-title")).to_have_text(f"Node: {focused()}")
    assert middle in ("upper", "lower")
    # Of the whole graph one node is a stop of the Tab key.
    assert page.locator('#graph .node[tabindex="0"]').count() == 1
    gates.open("last")


def test_it_has_landmarks_names_and_headings(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: None)
    _, api = served(template)
    page = open_page(begin(api, "t")[1])
    expect(page.locator("#status")).to_have_text("successful")
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    for name in ("Nodes", "Timeline", "Node", "Result", "Input", "Updates"):
        expect(page.get_by_role("region", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^n: done, "))).to_have_count(2)  # graph and timeline
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a")].filter((it) => it.checkVisibility())
            .filter((it) => !(it.ariaLabel || it.textContent.trim() || it.labels?.length)).length"""
    )
    assert unnamed == 0
    assert page.evaluate("() => document.documentElement.lang") == "en"


CONTRAST = """(selectors) => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (it) => {
        for (; it; it = it.parentElement) {
            const colour = getComputedStyle(it).backgroundColor;
            if (rgb(colour)[3] === 255) return colour;
        }
        return "white";
    };
    return selectors.map((selector) => {
        const it = document.querySelector(selector);
        const [a, b] = [light(rgb(getComputedStyle(it).color)), light(rgb(behind(it)))];
        return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_both_schemes(served: Served, open_page: Open, scheme: str) -> None:
    template = TaskTemplate("t")
    first = template.node("first")(lambda ctx: {"a": [1, "text", None]})

    @template.node("second", after=first)
    def second(ctx: NodeContext) -> None:
        raise ValueError("no")

    _, api = served(template)
    page = open_page(begin(api, "t")[1], color_scheme=scheme)
    expect(page.locator("#status")).to_have_text("failed")
    box(page, "first").click()
    expect(page.locator("#node .json .word").first).to_be_visible()
    selectors = [
        *("h1", "#status", "dt", "dd", "#legend li", ".chip", "button", "#outcome pre", ".json .text"),
        *(
            ".json .number",
            ".json .word",
            ".json .key",
            ".position",
            ".type",
            ".took",
            ".legend .failed .chip",
        ),
        *(".legend .deferred .chip", ".legend .done .chip", ".legend .running .chip", "h3"),
    ]
    for selector, contrast in page.evaluate(CONTRAST, selectors):
        assert contrast >= 4.5, selector  # what WCAG 2 asks for in its level AA
    dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(20, 23, 27)") is (scheme == "dark")


def test_it_fits_a_phone(served: Served, open_page: Open) -> None:
    template = TaskTemplate("t" * 200)
    first = template.node("n" * 100)(lambda ctx: {"k" * 300: "v" * 3000})
    template.exit("W" * 10, after=first)
    for wide in ("W" * 17, "名" * 17, "🎉" * 17):
        template.node(wide)(lambda ctx: 1)
    _, api = served(template)
    task_id, url = begin(api, "t" * 200, name="N" * 300)
    list(api.watch(task_id))
    page = open_page(url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    expect(page.locator("#status")).to_have_text("successful")
    page.locator("#graph .node").first.tap()
    expect(page.locator("#node")).to_contain_text("Output")
    expect(page.locator("#node-title")).to_be_in_viewport()
    over = page.evaluate(
        """() => [...document.querySelectorAll("#graph .node, #graph .exit")].filter((it) =>
            it.querySelector("text").getBBox().width > it.querySelector("rect").getBBox().width - 20).length"""
    )
    assert over == 0  # names end within their boxes
    page.locator("#updates summary").nth(2).tap()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_a_sub_task_leads_to_its_own_page(served: Served, open_page: Open, gates: Gates) -> None:
    inner, outer = TaskTemplate("inner"), TaskTemplate("outer")
    inner.node("deep")(gates.handler("deep"))
    outer.subtask("calls", inner)
    _, api = served(outer)
    page = open_page(begin(api, "outer")[1])
    expect_state(page, "calls", "running")
    box(page, "calls").click()
    page.get_by_role("link", name="the page of the sub task").click()
    expect_state(page, "deep", "running")
    gates.open("deep")
    expect(page.locator("#status")).to_have_text("successful")
