"""The protocol page says what the contract says, all of it, and nothing that somebody wrote by hand."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.contract.renderings import Rendering, github, mkdocs

RunRegen = Callable[..., "subprocess.CompletedProcess[str]"]
Show = Callable[[dict[str, Any]], str]

PAGE = ROOT / "docs" / "protocol.md"
PACKAGE = ROOT / "generated" / "requence_api"
RENDERERS = pytest.mark.parametrize("render", [github, mkdocs])

# What Markdown and HTML would take for their own.
ODD = r"a|b <b>c</b> *d* **e** _f_ `g` \h [i](j) &amp; ~~k~~ # l"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "protocol_page.py"
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def changed(contract: dict[str, Any]) -> dict[str, Any]:
    """A contract to be changed at will."""
    return copy.deepcopy(contract)


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Returns the page for a contract."""

    def shown(document: dict[str, Any]) -> str:
        source, page = tmp_path / "contract.json", tmp_path / "new" / "page.md"
        source.write_text(json.dumps(document), "utf-8")
        done = run(source, page)
        assert done.returncode == 0, done.stderr
        return page.read_text("utf-8")

    return shown


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(r"^#+ ", page.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def operations(contract: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def words(text: str) -> str:
    """A text of the contract as a reader sees it."""
    return github(text).text


def test_each_operation_is_there_with_all_that_is_said_of_it(contract: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    for method, path, operation in operations(contract):
        part = section(page, operation["summary"])
        assert f"`{method} {path}`" in part
        assert ("Without a token" in part) is (operation.get("security") == [])
        seen = github(part)
        assert words(operation["description"]) in seen.text
        statuses = re.findall(r"^\| (?:any other )?(\d\d\d|\dXX) \|", part, re.MULTILINE)
        assert statuses == list(operation["responses"])
        known = re.findall(r"^\| (\d+) \|.*\| yes \|$", part, re.MULTILINE)
        assert list(map(int, known)) == operation["x-local-statuses"]
        assert "```http" in part


def test_each_schema_is_there_with_all_its_fields(contract: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    kinds = contract["components"]["responses"]["EventStream"]["x-events"]
    titles = {reference["$ref"].rpartition("/")[2]: kind for kind, reference in kinds.items()}
    assert len(titles) == 9
    for name, schema in contract["components"]["schemas"].items():
        seen = github(section(page, titles.get(name, name)))
        assert words(schema["description"]) in seen.text, name
        assert name not in titles or name in seen.text
        for part in schema.get("allOf", [schema]):
            assert "$ref" not in part or part["$ref"].rpartition("/")[2] in seen.text, name
            for field, described in part.get("properties", {}).items():
                assert field in seen.cells, f"{name}.{field}"
                assert words(described.get("description", "")) in seen.text, f"{name}.{field}"


def test_the_introduction_and_the_tags_are_there(contract: dict[str, Any]) -> None:
    seen = github(PAGE.read_text("utf-8")).text
    assert words(contract["info"]["description"]) in seen
    for tag in contract["tags"]:
        assert words(tag["description"]) in seen, tag["name"]


@RENDERERS
def test_each_link_within_the_page_leads_somewhere(render: Callable[[str], Rendering]) -> None:
    seen = render(PAGE.read_text("utf-8"))
    inner = {link.removeprefix("#") for link in seen.links if link.startswith("#")}
    assert len(inner) > 50
    assert inner <= set(seen.anchors)
    assert len(seen.anchors) == len(set(seen.anchors))


@RENDERERS
def test_each_schema_has_an_anchor(contract: dict[str, Any], render: Callable[[str], Rendering]) -> None:
    anchors = render(PAGE.read_text("utf-8")).anchors
    events = contract["components"]["responses"]["EventStream"]["x-events"]
    shown_as = {reference["$ref"].rpartition("/")[2]: kind for kind, reference in events.items()}
    assert {shown_as.get(name, name).lower() for name in contract["components"]["schemas"]} <= set(anchors)


def test_links_of_other_documents_into_the_page_lead_somewhere() -> None:
    anchors = {"", *(f"#{anchor}" for anchor in github(PAGE.read_text("utf-8")).anchors)}
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        (document.name, link.partition("protocol.md")[2])
        for document in documents
        for link in github(document.read_text("utf-8")).links
        if (document.parent / link.partition("#")[0]).resolve() == PAGE
    ]
    assert {name for name, _ in found} >= {"README.md", "CONTRIBUTING.md", "local-server.md"}
    assert [(name, anchor) for name, anchor in found if anchor not in anchors] == []


def test_github_and_mkdocs_show_the_same() -> None:
    page = PAGE.read_text("utf-8")
    assert github(page).text == mkdocs(page).text


def test_a_changed_summary_appears(changed: dict[str, Any], show: Show) -> None:
    changed["paths"]["/task/{task_id}"]["get"]["summary"] = "Have a look"
    page = show(changed)
    assert "### Have a look\n" in page
    assert "Look at a task" not in page
    assert "[`GET /task/{task_id}`](#have-a-look)" in page


def test_a_new_field_appears(changed: dict[str, Any], show: Show) -> None:
    changed["components"]["schemas"]["Node"]["properties"]["colour"] = {
        "type": ["integer", "null"],
        "minimum": 3,
        "description": "How it is painted.",
    }
    assert "| `colour` | whole number or null, 3 or more | no | How it is painted. |" in section(
        show(changed), "Node"
    )


def test_a_new_operation_appears(changed: dict[str, Any], show: Show) -> None:
    changed["paths"]["/task/paint/{task_id}"] = {
        "put": {
            "operationId": "paint_task",
            "tags": ["task"],
            "summary": "Paint a task",
            "description": "Gives it a colour.",
            "parameters": [{"$ref": "#/components/parameters/TaskId"}],
            "responses": {"200": {"description": "It is painted."}},
        }
    }
    page = show(changed)
    assert "| [Paint a task](#paint-a-task) | `PUT /task/paint/{task_id}` | yes |" in page
    assert "Gives it a colour." in section(page, "Paint a task")
    assert "| 200 | It is painted. |" in section(page, "Paint a task")


def test_a_new_event_appears(changed: dict[str, Any], show: Show) -> None:
    changed["components"]["responses"]["EventStream"]["x-events"]["taskPainted"] = {
        "$ref": "#/components/schemas/TaskPaintedEvent"
    }
    changed["components"]["schemas"]["TaskPaintedEvent"] = {
        "description": "The task has a colour.",
        "allOf": [{"$ref": "#/components/schemas/EventBase"}],
    }
    part = section(show(changed), "taskPainted")
    assert "The task has a colour." in part
    assert "It has the fields of [`EventBase`](#eventbase): `timestamp`" in part


@RENDERERS
def test_names_are_shown_as_they_stand(
    changed: dict[str, Any], show: Show, render: Callable[[str], Rendering]
) -> None:
    operation = changed["paths"]["/task/prepare/{task_template}"]["post"]
    operation["responses"]["200"]["content"]["application/json"]["examples"]["with_files"]["summary"] = ODD
    changed["components"]["schemas"]["TypeFiles"]["properties"] = {ODD: {"type": "string"}}
    seen = render(show(changed))
    assert f"Answer: {ODD}" in seen.text
    assert ODD in seen.cells
    assert "b" not in seen.tags


@RENDERERS
def test_a_summary_of_odd_characters_has_its_anchor(
    changed: dict[str, Any], show: Show, render: Callable[[str], Rendering]
) -> None:
    changed["paths"]["/task/{task_id}"]["get"]["summary"] = (
        "See the <i>task_id</i>, *again* (or `more`) at 1.5"
    )
    page = show(changed)
    assert "See the <i>task_id</i>, *again* (or `more`) at 1.5" in render(page).text
    assert "see-the-itask_idi-again-or-more-at-15" in render(page).anchors
    assert "#see-the-itask_idi-again-or-more-at-15" in render(page).links


@RENDERERS
def test_a_description_in_a_table_stays_one_cell(
    changed: dict[str, Any], show: Show, render: Callable[[str], Rendering]
) -> None:
    field = changed["components"]["schemas"]["Node"]["properties"]["alias"]
    field["description"] = "One | two,\n`three | four`\nand\n\n*five* \\| six."
    cells = render(show(changed)).cells
    assert "One | two, three | four andfive | six." in cells


@pytest.mark.parametrize(
    ("where", "key", "value", "complaint"),
    [
        ("schemas/Node", "maxProperties", 3, "does not show maxProperties"),
        ("schemas/Node/properties/alias", "not", {}, "does not show not"),
        ("schemas/Node", "description", "A \x60Node\x60.", None),
        ("schemas/Node/properties/alias", "description", "- one\n- two", "anything but paragraphs"),
        ("parameters/Key", "style", "simple", "does not show style"),
        ("responses/Unauthorized", "odd", 1, "does not show odd"),
        ("schemas", "Words", {"type": "object"}, "the same anchor, words"),
        ("schemas", "Tom & Jerry", {"type": "object"}, "call it otherwise"),
    ],
)
def test_what_would_be_missing_or_wrong_on_the_page_is_refused(
    changed: dict[str, Any], tmp_path: Path, where: str, key: str, value: object, complaint: str | None
) -> None:
    part = changed["components"]
    for step in where.split("/"):
        part = part[step]
    part[key] = value
    (tmp_path / "contract.json").write_text(json.dumps(changed), "utf-8")
    done = run(tmp_path / "contract.json", tmp_path / "page.md")
    assert (done.returncode, (tmp_path / "page.md").exists()) == (
        (0, True) if complaint is None else (1, False)
    )
    assert (complaint or "") in done.stderr
    assert "Traceback" not in done.stderr


def test_check_names_the_difference_and_the_way_back(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8").replace("### Keep a task\n", "### Keep the task\n"), "utf-8")
    before = page.read_text("utf-8")
    done = run(PACKAGE / "openapi.json", page, "--check")
    assert done.returncode == 1
    assert "\n-### Keep the task\n+### Keep a task\n" in done.stdout
    assert str(page) in done.stderr
    assert "make regen" in done.stderr
    assert page.read_text("utf-8") == before


def test_a_page_that_is_not_there_is_not_right(tmp_path: Path) -> None:
    done = run(PACKAGE / "openapi.json", tmp_path / "page.md", "--check")
    assert done.returncode == 1
    assert not (tmp_path / "page.md").exists()


@pytest.mark.timeout(300)
def test_regen_compares_and_writes_the_page_too(
    run_regen: RunRegen, contract_path: Path, tmp_path: Path
) -> None:
    """A page that was edited by hand ends `make regen-check`, and `make regen` writes it anew."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8").replace("Keep a task", "Keep the task"), "utf-8")
    where = {"spec": contract_path, "generated": PACKAGE.parent, "REQUENCE_PAGE": str(page)}
    done = run_regen("--check", **where)
    assert done.returncode == 1
    assert "-### Keep the task" in done.stdout
    assert f"{page} is not what the contract says" in done.stderr
    assert run_regen(**where).returncode == 0
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
    assert run_regen("--check", **where).returncode == 0


@pytest.mark.timeout(300)
def test_a_contract_that_has_no_page_changes_nothing(
    run_regen: RunRegen, contract_path: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "contract.yaml"
    text = contract_path.read_text("utf-8").replace(
        "    Node:\n      type: object\n", "    Node:\n      type: object\n      minProperties: 2\n"
    )
    spec.write_text(text, "utf-8")
    done = run_regen(spec=spec, generated=tmp_path / "out")
    assert done.returncode == 1
    assert "Node: the page does not show minProperties" in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "docs").exists()
