"""What pytest loads at its start, in every project: so nothing but pytest is imported before a fixture is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from requence.local import LocalServer

__all__ = ["requence_server", "requence_session_server"]

_MAY_STAY_OPEN = "requence_streams_may_stay_open"
_has_failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers", f"{_MAY_STAY_OPEN}: event streams that are left open do not fail this test (requence)"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None]:
    """Takes note of an exception, which holds what the test had in its hands."""
    yield  # unittest's exceptions are known only then
    if call.excinfo is not None:
        item.stash[_has_failed] = True


@pytest.fixture(scope="session")
def requence_session_server() -> Iterator[LocalServer]:
    """The task server behind `requence_server`: one for the whole run, or for each worker of pytest-xdist.

    Override it to choose its settings, or templates that all tests use.
    """
    try:
        from requence.local import LocalServer
    except ModuleNotFoundError:
        raise
    except ImportError as error:  # the extra is missing, and it says how to get it
        pytest.fail(f"The fixture requence_server cannot be used: {error}", pytrace=False)
    with LocalServer() as server:
        yield server


@pytest.fixture
def requence_server(
    request: pytest.FixtureRequest,
    requence_session_server: LocalServer,
    # This very fixture, so that all that a test sets is undone in order.
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalServer]:
    """A clean task server, which the code under test talks to by itself: say what tasks do with `stub` or `serve`.

    Its access token is in the environment, and it is the default client. When the test is over, tasks that still
    run are aborted. The test fails if it has left event streams open, unless it is marked
    `requence_streams_may_stay_open`, or if a task could not be started and nobody has asked.
    """
    from requence.testing.around import begin, end

    server, item = requence_session_server, request.node
    item.stash[_has_failed] = False
    open_before = begin(server, monkeypatch)
    with server.use():
        yield server
    may_stay_open = item.get_closest_marker(_MAY_STAY_OPEN) is not None
    problems = end(server, open_before, may_stay_open=may_stay_open or item.stash[_has_failed])
    if not problems:
        return
    if item.stash[_has_failed]:  # once is enough; this may be why
        item.add_report_section("teardown", "requence_server", "\n".join(problems))
    else:
        pytest.fail("\n".join(problems), pytrace=False)
