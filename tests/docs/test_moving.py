"""What the page on moving says of errors is so, in this package and in the published one."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.published.environment import NotToBeHadError, made

import requence.exceptions
import requence.task
from requence._token import encode_access_token
from requence.local import LocalServer
from requence.task import Task

PAGE = (ROOT / "docs" / "moving.md").read_text("utf-8")
ROWS = re.findall(r"^\| [^|]* \| `(.*?)` \| `(\w+)` \| `(\w+)`(?:, an? `(\w+)`)?[^|]*\|$", PAGE, re.MULTILINE)

# The rows of the table of priorities.
SCALES = {
    row[1]: [int(number) for number in row[2:-1]]
    for line in PAGE.splitlines()
    if len(row := [cell.strip() for cell in line.split("|")]) == 8 and row[1] in ("published", "here")
}

# Tells what each call raises, then starts a task with each priority.
PUBLISHED = """
import json, os, sys
from requence.task import Task, abort_task, get_task, protect_task
other, nowhere, told = os.environ["OTHER"], os.environ["NOWHERE"], []
def aborted():
    task = Task("endless", {})
    task.abort("not needed")
    return task
for call in json.loads(sys.argv[1]):
    try:
        eval(call)
        told.append("nothing")
    except Exception as error:
        told.append(type(error).__name__)
for priority in json.loads(sys.argv[2]):
    Task("echo", {}, name=f"published {priority}", priority=priority).sync.id
print(json.dumps(told), flush=True)
os._exit(0)
"""


@pytest.fixture
def tokens(server: LocalServer, free_port: int) -> dict[str, str]:
    """A token that the server does not know, and one of a server that is not there."""
    return {
        "other": encode_access_token("other", server.url),
        "nowhere": encode_access_token("t", f"http://127.0.0.1:{free_port}"),
    }


def test_the_page_has_these_tables() -> None:
    assert len(ROWS) == 15
    assert SCALES["published"] == [0, 1, 2, 3, 4]
    assert len(SCALES["here"]) == 5


@pytest.mark.parametrize(("call", "published", "here", "also"), ROWS, ids=[row[0] for row in ROWS])
def test_an_error_is_what_the_page_says(
    call: str, published: str, here: str, also: str, tokens: dict[str, str]
) -> None:
    def aborted() -> Task[Any]:
        task = Task("endless")
        task.abort("not needed")
        return task

    names = {**vars(requence.task), **tokens, "aborted": aborted}
    with pytest.raises(getattr(requence.exceptions, here)) as caught:
        eval(call, names)
    assert type(caught.value).__name__ == here
    assert not also or also in [kind.__name__ for kind in type(caught.value).__mro__]


@pytest.mark.timeout(180)
def test_the_published_client_is_as_the_page_says(
    server: LocalServer, tokens: dict[str, str], tmp_path: Path
) -> None:
    try:
        python = made()
    except NotToBeHadError as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        [
            python,
            "-I",
            "-c",
            PUBLISHED,
            json.dumps([row[0] for row in ROWS]),
            json.dumps(SCALES["published"]),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "REQUENCE_ACCESS_TOKEN": server.access_token,
            "OTHER": tokens["other"],
            "NOWHERE": tokens["nowhere"],
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
    )
    assert json.loads(done.stdout) == [row[1] for row in ROWS]
    names = [f"published {priority}" for priority in SCALES["published"]]
    found = {task.name: task.priority for task in server.started("echo") if task.name in names}
    assert found == dict(zip(names, SCALES["here"], strict=True))
