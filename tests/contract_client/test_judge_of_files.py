"""What breaks the contract is found in uploads, streams and downloads, whose contents may be anything."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml
from tests.contract_client.in_words import ANY_MEDIA_TYPE
from tests.contract_client.judge import Judge
from tests.contract_client.watching import CONTRACT
from tests.scripted_server import frame

DOCUMENT: dict[str, Any] = yaml.safe_load(CONTRACT.read_text("utf-8"))
BYTES = {"content-type": "application/octet-stream"}
JSON = {"content-type": "application/json"}
TOKEN = {"authorization": "Bearer secret"}
FRAMED = {"x-requence-stream-protocol": "framed"}
UPLOADED = {"url": "http://127.0.0.1/x", "mime": "a/b", "size": 0}
REGISTERED = {"url": "http://127.0.0.1/x", "mime": "a/b"}
LARGE = bytes(range(256))
OPERATIONS = ["upload_file", "download_file", "register_stream", "send_stream", "download_stream"]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(DOCUMENT)


def test_the_contract_says_itself_where_it_means_any_media_type() -> None:
    found: dict[str, str] = {}
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            body = operation.get("requestBody", {})
            if "application/octet-stream" in body.get("content", {}):
                assert list(body["content"]) == ["application/octet-stream"]
                found[operation["operationId"]] = f"{operation['description']} {body.get('description', '')}"
    assert set(found) == set(ANY_MEDIA_TYPE)
    for operation, says in ANY_MEDIA_TYPE.items():
        assert says in found[operation]


REQUESTS: list[tuple[str, dict[str, str], bytes, str | None]] = [
    ("upload_file", BYTES, b"abc", None),
    ("upload_file", BYTES, b"", None),
    ("upload_file", BYTES, LARGE, None),
    ("upload_file", BYTES | {"file-size": "0"}, b"", None),
    ("upload_file", BYTES | {"file-size": "large"}, b"abc", "'large'"),
    ("upload_file", BYTES | {"file-size": "large"}, b"", "'large'"),
    ("upload_file", BYTES | {"file-size": "-1"}, b"abc", "-1"),
    ("upload_file", BYTES | {"file-size": "1.5"}, b"abc", "'1.5'"),
    ("register_stream", BYTES, b"", None),
    ("register_stream", BYTES | {"file-size": "5"}, b"", None),
    ("register_stream", BYTES | {"file-size": "large"}, b"", "'large'"),
    ("register_stream", BYTES, b"abc", "empty"),
    ("register_stream", BYTES, LARGE[-128:], "empty"),
    ("register_stream", {}, b"", "no media type"),
    ("send_stream", BYTES, b"abc", None),
    ("send_stream", BYTES, LARGE, None),
    ("send_stream", BYTES, b"", None),
    ("send_stream", {}, b"abc", None),
    ("send_stream", {"content-type": "nonsense"}, b"abc", None),
    ("download_file", {}, b"", None),
    ("download_stream", FRAMED, b"", None),
    ("download_stream", {}, b"", None),
]


@pytest.mark.parametrize(("operation", "headers", "body", "said"), REQUESTS)
def test_wrong_requests_are_found(
    judge: Judge, operation: str, headers: dict[str, str], body: bytes, said: str | None
) -> None:
    complaints = judge.of_request(judge.request(operation, "k", "", headers, body))
    assert (complaints == []) if said is None else (said in str(complaints))
    assert all(each.startswith(f"{operation}, request: ") for each in complaints)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_token_and_no_query_of_the_clients_own(judge: Judge, operation: str) -> None:
    with_token = judge.request(operation, "k", "", BYTES | TOKEN, b"")
    assert "a token is sent to where none belongs" in str(judge.of_request(with_token))
    assert "no more in the query" in str(
        judge.of_request(judge.request(operation, "k", "more=1", BYTES, b""))
    )
    assert judge.has_url_of_its_own(operation)


@pytest.mark.parametrize(
    "kind",
    [
        "image/png",
        "text/plain; charset=utf-8",
        "application/json",
        "application/vnd.x+json",
        "multipart/mixed",
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", LARGE])
def test_a_content_may_be_of_any_media_type(judge: Judge, kind: str, body: bytes) -> None:
    headers = {"content-type": kind}
    assert judge.of_request(judge.request("upload_file", "k", "", headers, body)) == []
    assert judge.of_request(judge.request("send_stream", "k", "", headers, body)) == []
    assert judge.of_request(judge.request("register_stream", "k", "", headers, b"")) == []
    # Nothing but the content.
    assert judge.of_request(judge.request("register_stream", "k", "", headers, b"abc")) != []
    assert judge.of_request(judge.request("upload_file", "k", "", headers | {"file-size": "x"}, body)) != []
    asked = judge.request("download_file", "k", "", {}, b"")
    assert judge.of_answer(asked, 200, headers, body) == []


@pytest.mark.parametrize("kind", ["", "nonsense", "/", "a/", "/b", "*/*", "a b/c", "a/b c"])
@pytest.mark.parametrize("body", [b"", b"abc"])
def test_what_is_no_media_type_is_found(judge: Judge, kind: str, body: bytes) -> None:
    headers = {"content-type": kind}
    for operation in ("upload_file", "register_stream"):
        assert judge.of_request(judge.request(operation, "k", "", headers, body)) == [
            f"{operation}, request: {kind!r} is no media type"
        ]


def test_other_operations_take_their_own_media_type_only(judge: Judge) -> None:
    start = json.dumps({"name": None, "input": {}, "priority": 5, "requireAck": False}).encode()
    for kind in ("application/octet-stream", "image/png"):
        asked = judge.request("finalize_task", "k", "", TOKEN | {"content-type": kind}, start)
        assert "MediaTypeNotFound" in str(judge.of_request(asked))
        for operation in ("upload_file", "register_stream"):
            asked = judge.request(operation, "k", "", BYTES, b"")
            assert "MediaTypeNotFound" in str(judge.of_answer(asked, 200, {"content-type": kind}, b"{}"))
        asked = judge.request("download_file", "k", "", {}, b"")
        assert "MediaTypeNotFound" in str(judge.of_answer(asked, 404, {"content-type": kind}, b"x"))


CLAIM: dict[str, Any] = {"__REQUENCE_type": "ClaimCheck", "url": "http://127.0.0.1/x", "size": 5}


@pytest.mark.parametrize(
    ("broken", "is_right"),
    [
        ({"name": CLAIM}, True),
        ({"input": CLAIM}, True),
        ({"name": CLAIM, "input": CLAIM}, True),
        ({"name": CLAIM | {"__REQUENCE_type": "RequenceFile"}}, False),
        ({"name": CLAIM | {"url": ""}}, False),
        ({"name": CLAIM | {"size": "5"}}, False),
        ({"name": CLAIM | {"more": 1}}, False),
        ({"name": {"url": "http://127.0.0.1/x", "size": 5}}, False),
        ({"name": 5}, False),
        ({"priority": CLAIM}, False),
        ({"requireAck": CLAIM}, False),
    ],
)
def test_a_claim_check_may_stand_in_for_what_can_be_large(
    judge: Judge, broken: dict[str, Any], is_right: bool
) -> None:
    words = DOCUMENT["components"]["schemas"]["FinalizeRequest"]["description"]
    assert "claim check may stand in for a value that is too large" in " ".join(words.split())
    start: dict[str, Any] = {"name": None, "input": {}, "priority": 5, "requireAck": False, **broken}
    asked = judge.request("finalize_task", "k", "", TOKEN | JSON, json.dumps(start).encode())
    assert (judge.of_request(asked) == []) is is_right


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


ANSWERS: list[tuple[str, int, dict[str, str], Any, str | None]] = [
    ("upload_file", 200, JSON, UPLOADED, None),
    ("upload_file", 200, JSON, UPLOADED | {"more": 1}, None),
    ("upload_file", 200, JSON, without(UPLOADED, "mime"), None),  # a claim check
    ("upload_file", 200, JSON, without(UPLOADED, "url"), "url"),
    ("upload_file", 200, JSON, without(UPLOADED, "size"), "size"),
    ("upload_file", 200, JSON, UPLOADED | {"url": ""}, "non-empty"),
    ("upload_file", 200, JSON, UPLOADED | {"size": "1"}, "'1'"),
    ("upload_file", 200, JSON, UPLOADED | {"size": -1}, "-1"),
    ("upload_file", 200, JSON, UPLOADED | {"mime": None}, "None"),
    ("upload_file", 200, JSON, b"", "no body"),
    ("upload_file", 201, JSON, UPLOADED, "201"),
    ("upload_file", 413, {"content-type": "text/plain"}, b"too large", None),
    ("register_stream", 200, JSON, REGISTERED, None),
    ("register_stream", 200, JSON, without(REGISTERED, "url"), "url"),
    ("register_stream", 200, JSON, without(REGISTERED, "mime"), "mime"),
    ("register_stream", 200, JSON, b"", "no body"),
    ("send_stream", 200, {}, b"", None),
    ("send_stream", 204, {}, b"", "204"),
    ("send_stream", 307, {"content-type": "text/plain"}, b"", "307"),
    ("download_file", 200, BYTES, LARGE, None),
    ("download_file", 200, BYTES, b"", None),
    ("download_file", 200, {}, b"abc", "mimetype"),
    ("download_file", 200, {}, b"", "no body"),
    ("download_file", 206, BYTES, b"abc", "206"),
    ("download_file", 404, JSON, {"message": "x"}, "mimetype"),
    ("download_stream", 200, BYTES, LARGE, None),
    ("download_stream", 200, {}, b"abc", "mimetype"),
]


@pytest.mark.parametrize(("operation", "status", "headers", "body", "said"), ANSWERS)
def test_wrong_answers_are_found(
    judge: Judge, operation: str, status: int, headers: dict[str, str], body: Any, said: str | None
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    complaints = judge.of_answer(judge.request(operation, "k", "", BYTES, b""), status, headers, content)
    assert (complaints == []) if said is None else (said in str(complaints))


WHOLE = frame(0, b"hi") + frame(0, b"") + frame(1, b"")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        *((WHOLE[:length], None) for length in range(len(WHOLE) + 1)),  # cut, which can happen to anybody
        (frame(0, b"hi") + frame(2, b"why"), None),
        (bytes.fromhex("00 00000002 6869 01 00000000"), None),  # the contract's own example
        (WHOLE + b"x", "after the last"),
        (frame(2, b"why") + frame(0, b"hi"), "after the last"),
        (frame(3, b""), "type 03"),
        (frame(1, b"x"), "not empty"),
        (b"hi", "type 68"),
    ],
)
def test_wrong_frames_are_found(judge: Judge, body: bytes, said: str | None) -> None:
    asked = judge.request("download_stream", "k", "", FRAMED, b"")
    complaints = judge.of_answer(asked, 200, BYTES | FRAMED, body)
    assert (complaints == []) if said is None else (said in str(complaints))
    assert judge.of_answer(asked, 200, BYTES, body) == []  # not said to be frames


def test_frames_are_for_those_who_ask(judge: Judge) -> None:
    unasked = judge.request("download_stream", "k", "", {}, b"")
    assert "nobody has asked" in str(judge.of_answer(unasked, 200, BYTES | FRAMED, WHOLE))
    asked = judge.request("download_stream", "k", "", FRAMED, b"")
    other = {"x-requence-stream-protocol": "knotted"}
    assert "'knotted'" in str(judge.of_answer(asked, 200, BYTES | other, WHOLE))


def test_what_the_contract_says_is_what_counts() -> None:
    """A contract that wants more is broken by what was right before."""
    document = deepcopy(DOCUMENT)
    document["components"]["schemas"]["UploadedFile"]["required"].append("checksum")
    document["components"]["parameters"]["FileSize"]["required"] = True
    judge = Judge(document)
    asked = judge.request("upload_file", "k", "", BYTES, b"abc")
    assert "file-size" in str(judge.of_request(asked))
    assert "checksum" in str(judge.of_answer(asked, 200, JSON, json.dumps(UPLOADED).encode()))
