"""From an answer that says no to an error: its class by the status, its text from whatever the body is."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requence._transport.refusals import readable, refusal
from requence.exceptions import (
    RequenceError,
    RequenceUnreachableException,
    TaskAbortException,
    TaskException,
    TaskNotFoundError,
    TaskProtectException,
    TaskRefusedError,
    UnauthorizedError,
)

STEP = "reading the task"

HTML = b"""<!DOCTYPE html>
<html><head><title>404 &copy; Not Found</title>
<STYLE type="text/css">b > i { color: red }</STYLE>
<script>if (1 < 2) { alert("<b>no</b>") }</script ></head>
<body><!-- a > b --><h1>Not&nbsp;Found</h1>
<p>Nothing is at &lt;this&gt; place.</p></body></html>"""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b" \r\n ", ""),
        (b"name must be a text", "name must be a text"),
        ("  Größe fehlt 😀\n".encode(), "Größe fehlt 😀"),
        ("\ufeffmarked".encode(), "marked"),
        (b"first line\nsecond line", "first line\nsecond line"),
        (b"not \xff utf-8", "not \ufffd utf-8"),
        (b"5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        # JSON
        (b'"just a text"', "just a text"),
        (b'{"message": "no"}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"reason": "no"}', "no"),
        (b'{"error": "Bad Request", "message": "no"}', "no"),
        (b'{"message": "", "error": "no"}', "no"),
        (b'{"message": null, "error": "no"}', "no"),
        (b'{"message": 5, "error": " no "}', "no"),
        (b'{"error": {"code": 5, "message": "no"}}', "no"),
        (b'{"code": 5}', '{"code": 5}'),
        (
            b'{"message": {"a": {"message": "too deep to be sure"}}}',
            '{"message": {"a": {"message": "too deep to be sure"}}}',
        ),
        (b'[{"message": "one of many"}]', '[{"message": "one of many"}]'),
        (b"[not json", "[not json"),
        (b'{"message": "cut o', '{"message": "cut o'),
        (b"{}", ""),
        (b"[]", ""),
        (b'""', ""),
        (b"null", "null"),
        # HTML
        (HTML, "404 © Not Found Not Found Nothing is at <this> place."),
        (b"<h1>502 Bad Gateway</h1>", "502 Bad Gateway"),
        (b"<p>cut o", "cut o"),
        (b"<p>cut off in a <scr", "cut off in a <scr"),
        (b"<p>kept</p><script>never closed", "kept"),
        (b"<p>kept</p><!-- never closed", "kept"),
        (b"<hr>", ""),
    ],
)
def test_bodies_become_readable(body: bytes, text: str) -> None:
    assert readable(body) == text


def test_long_bodies_are_shortened() -> None:
    assert readable(b"x" * 2000) == "x" * 2000
    for body in (b"x" * 2001, b"x" * 10**6, b'{"message": "' + b"x" * 10**6 + b'"}', b"<p>" + b"x" * 10**6):
        assert readable(body) == "x" * 1998 + " …"


@pytest.mark.parametrize(
    "piece", ["<", "<script ", "<!--", "<style>", "[", '{"error":', "&", "</", "\\", '"']
)
def test_no_body_takes_long(piece: str) -> None:
    """Errors are made where all requests are sent from: a hostile page must not hold them up."""
    before = time.monotonic()
    assert len(readable(piece.encode() * 100_000)) <= 2000
    assert time.monotonic() - before < 2


@given(st.binary() | st.text(alphabet='<>!-/script"{}[]:,message &;').map(str.encode))
def test_every_body_becomes_readable(body: bytes) -> None:
    text = readable(body)
    assert len(text) <= 2000
    assert text == text.strip()


@pytest.mark.parametrize(
    ("status", "otherwise", "kind"),
    [
        (400, TaskException, TaskException),
        (400, TaskRefusedError, TaskRefusedError),
        (400, TaskAbortException, TaskAbortException),
        (401, TaskException, UnauthorizedError),
        (401, TaskRefusedError, UnauthorizedError),
        (403, TaskProtectException, UnauthorizedError),
        (404, TaskException, TaskNotFoundError),
        (410, TaskException, TaskNotFoundError),
        (404, TaskRefusedError, TaskRefusedError),
        (404, TaskAbortException, TaskAbortException),
        (404, TaskProtectException, TaskProtectException),
        (301, TaskException, TaskException),
        (308, TaskRefusedError, TaskRefusedError),
        (409, TaskException, TaskException),
        (413, TaskRefusedError, TaskRefusedError),
        (429, TaskException, TaskException),
        (429, TaskRefusedError, TaskException),
        (500, TaskException, TaskException),
        (500, TaskRefusedError, TaskException),
        (500, TaskAbortException, TaskAbortException),
    ],
)
def test_the_class_by_the_status(
    status: int, otherwise: type[TaskException], kind: type[TaskException]
) -> None:
    error = refusal(STEP, status, b"no", otherwise=otherwise, task_id="t1", task_template="my-template")
    assert type(error) is kind
    assert isinstance(error, TaskException)
    assert (error.message, error.status_code) == ("no", status)
    assert (error.task_id, error.task_template, error.task_url) == ("t1", "my-template", None)
    assert f"The service answered {status} to reading the task" in error.__notes__


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("otherwise", [TaskException, TaskRefusedError, TaskAbortException])
def test_gateways_answer_in_the_place_of_the_service(status: int, otherwise: type[TaskException]) -> None:
    error = refusal(STEP, status, b"<h1>Bad Gateway</h1>", otherwise=otherwise, task_id="t1")
    assert type(error) is RequenceUnreachableException
    assert error.status == status
    assert error.message == "The service is not reachable: Bad Gateway"
    assert error.__notes__ == [f"The service answered {status} to reading the task"]


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'""', b"<hr>"])
def test_without_a_text_the_status_is_the_message(body: bytes) -> None:
    assert refusal(STEP, 404, body).message == "The service answered 404 to reading the task"
    assert refusal(STEP, 503, body).message == (
        "The service is not reachable: The service answered 503 to reading the task"
    )


def test_hints_say_what_to_look_at() -> None:
    def hint_of(error: RequenceError) -> str:
        return error.hint or ""

    assert "check the access token" in hint_of(refusal(STEP, 401, b""))
    assert "redirects are not followed" in hint_of(refusal(STEP, 302, b""))
    assert hint_of(refusal(STEP, 404, b"")) == ""  # there is nothing that would help in every case


def test_the_text_of_the_service_is_the_text_of_the_error() -> None:
    body = json.dumps({"message": "input.name must be a text"}).encode()
    error = refusal("starting the task", 400, body, otherwise=TaskRefusedError)
    assert str(error) == error.message == "input.name must be a text"
