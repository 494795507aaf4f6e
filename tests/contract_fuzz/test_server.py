"""The local server does what the contract says, whatever it is asked: all phases and checks of schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.contract_fuzz.conftest import served
from tests.contract_fuzz.report import Exchange
from tests.contract_fuzz.run import Run, schemathesis
from tests.contract_fuzz.spec import labels, links, narrowed

pytestmark = pytest.mark.timeout(180)

# A request can fit its schema and be refused all the same, for these reasons; no others are let through.
REFUSED = {
    ("finalize_task", 400): (
        'The input does not fit the template "my-template": ',
        "The claim check cannot be resolved: ",
    ),
    ("watch_task", 400): ("since: ",),
    ("watch_all_tasks", 400): ("since: ",),
    ("upload_file", 413): ("The content is larger than ",),
    ("send_stream", 413): ("The stream is larger than ",),
}


@pytest.fixture(scope="module")
def run(contract: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests of this module."""
    with served() as server:
        return schemathesis(server, contract, tmp_path_factory.mktemp("schemathesis"))


@pytest.fixture(scope="module")
def exchanges(contract: dict[str, Any], run: Run) -> list[tuple[str, dict[str, Any], Exchange]]:
    """The requests that were sent for an operation, with its id and description."""
    known = labels(narrowed(contract))
    found = [(*known[each.label], each) for each in run.report.exchanges if each.label in known]
    assert len(found) > 500
    return found


def test_no_check_minds_anything(run: Run) -> None:
    assert run.report.failures == []
    assert run.report.errors == []
    assert run.code == 0, run.output


def test_every_phase_has_run(run: Run) -> None:
    for phase in ("examples", "coverage", "fuzzing", "stateful"):
        assert run.report.phases[phase] == {"success"}, phase


def test_every_answer_is_one_of_the_operations_list(
    exchanges: list[tuple[str, dict[str, Any], Exchange]],
) -> None:
    others = Counter(
        (name, each.status)
        for name, operation, each in exchanges
        if each.status not in operation["x-local-statuses"]
    )
    assert others == {}


def test_another_method_is_never_an_operation(contract: dict[str, Any], run: Run) -> None:
    known = labels(narrowed(contract))
    others = [each for each in run.report.exchanges if each.label not in known]
    assert len(others) > len(known)
    # A GET of a path that is a task's id to `get_task` is such an operation, and there is no such task.
    wrong = {(each.label, each.status) for each in others if each.status != 405}
    assert wrong <= {("GET /task/watch-all", 404)}


def test_every_operation_has_succeeded(
    contract: dict[str, Any], exchanges: list[tuple[str, dict[str, Any], Exchange]]
) -> None:
    done = Counter(name for name, _, each in exchanges if each.status == 200)
    print(dict(done))
    assert set(done) == {name for name, _ in labels(narrowed(contract)).values()}


def test_every_link_has_led_to_success(contract: dict[str, Any], run: Run) -> None:
    followed = Counter(each.link for each in run.report.exchanges if each.link and each.status == 200)
    print(dict(followed))
    assert set(followed) == links(narrowed(contract))


def test_every_kind_of_event_has_been_sent(
    contract: dict[str, Any], exchanges: list[tuple[str, dict[str, Any], Exchange]]
) -> None:
    streams = [each.text for name, _, each in exchanges if name == "watch_task" and each.status == 200]
    sent = {
        line.removeprefix("event: ")
        for text in streams
        for line in text.splitlines()
        if line[:7] == "event: "
    }
    assert sent == set(contract["components"]["responses"]["EventStream"]["x-events"])


def test_what_fits_its_schema_is_refused_for_few_reasons(
    exchanges: list[tuple[str, dict[str, Any], Exchange]],
) -> None:
    """Where schemathesis is told to put up with a refusal of valid data, the text must be one of those meant."""
    refused = [(name, each) for name, _, each in exchanges if each.is_valid and each.status in (400, 413)]
    assert {name for name, _ in refused} >= {"finalize_task", "watch_all_tasks"}
    others = [
        (name, each) for name, each in refused if not each.text.startswith(REFUSED[name, each.status or 0])
    ]
    assert others == []


def test_every_operation_with_a_token_has_refused_requests_without(
    exchanges: list[tuple[str, dict[str, Any], Exchange]],
) -> None:
    refused = {name for name, _, each in exchanges if each.status == 401}
    assert refused == {name for name, operation, _ in exchanges if "security" not in operation}
