"""The page of one task: what it is, what has happened, what came out. Plain HTML, nothing to build."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from starlette.responses import HTMLResponse, Response

from requence.local.events import Event
from requence.local.state import LoggedTask

__all__ = ["LIST", "STYLE_PATH", "key", "listing", "response", "style"]

# What the key of the list is made for; ids of tasks are different.
LIST = "tasks"
STYLE_PATH = "/static/page.css"
_REFRESH_SECONDS = 2
_SHOWN_UPDATES = 200
_SHOWN_CHARACTERS = 20_000
_COMMON_FIELDS = {"timestamp", "taskId", "updateId", "name", "node"}

# The page shows what tasks produced, which may be anything; so it may load its style sheet and nothing else.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{refresh}<title>{title}</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<header>
<h1>{title}</h1>
<p><span class="status {status}">{status_name}</span> {status_text}</p>
<dl>
<dt>Template</dt><dd>{template}</dd>
<dt>Task</dt><dd><code>{task_id}</code></dd>
</dl>
</header>
<main>
{sections}<section>
<h2>Updates</h2>
{left_out}<ol class="updates">
{updates}</ol>
</section>
</main>
</body>
</html>
"""


_LIST = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{refresh}">
<title>Tasks</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<header>
<h1>Tasks</h1>
<p>{heading}</p>
</header>
<main>
<ol class="tasks">
{tasks}</ol>
</main>
</body>
</html>
"""


def key(secret: str, task_id: str) -> str:
    """Returns the key that opens the page of one task, and nothing else."""
    return hmac.new(secret.encode(), task_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def style() -> Response:
    """Returns the style sheet."""
    text = files("requence.local").joinpath("static/page.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


def response(state: LoggedTask, events: Iterable[Event]) -> Response:
    """Returns the page of a task.

    Args:
        state: The task as it is now.
        events: All its events so far; the page shows the last ones.
    """
    shown = deque(events, maxlen=_SHOWN_UPDATES)
    left_out = shown[0].position - 1 if shown else 0
    over = state.ended_by is not None
    text = _PAGE.format(
        refresh="" if over else f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">\n',
        title=escape(state.record.display_name),
        style=STYLE_PATH,
        status=escape(state.status),
        status_name=escape(state.status.replace("_", " ")),
        status_text=escape(state.status_text),
        template=escape(state.record.template),
        task_id=escape(state.record.id),
        sections="".join(_sections(state)),
        left_out=f"<p>{left_out} earlier updates are not shown.</p>\n" if left_out else "",
        updates="".join(_update(event) for event in shown),
    )
    return HTMLResponse(text.encode("utf-8", "replace"), headers=_HEADERS)


def listing(tasks: Sequence[tuple[LoggedTask, str]], secret: str) -> Response:
    """Returns the page with the list of tasks, each with the key of its own page.

    Args:
        tasks: The tasks, in the order in which they are shown, with when they were prepared.
        secret: What keys are made with.
    """
    text = _LIST.format(
        refresh=_REFRESH_SECONDS,
        style=STYLE_PATH,
        heading=f"The last {len(tasks)}, newest first." if tasks else "There are none yet.",
        tasks="".join(_listed(state, at, key(secret, state.record.id)) for state, at in tasks),
    )
    return HTMLResponse(text.encode("utf-8", "replace"), headers=_HEADERS)


def _listed(state: LoggedTask, at: str, task_key: str) -> str:
    record = state.record
    name = escape(record.display_name)
    template = "" if record.display_name == record.template else f" {escape(record.template)}"
    return (
        f'<li><span class="status {escape(state.status)}">{escape(state.status.replace("_", " "))}</span> '
        f'<a href="/tasks/{escape(record.id)}?key={task_key}">{name}</a>{template} '
        f'<time datetime="{escape(at)}">{escape(at)}</time></li>\n'
    )


def _sections(state: LoggedTask) -> Iterator[str]:
    if state.ended_by == "taskEnd":
        yield _section("Result", _json(state.result))
    elif state.ended_by is not None:
        yield _section("Reason", _shortened(state.reason or "None was given."))
    if state.record.request is not None:
        yield _section("Input", _json(state.input))


def _section(title: str, text: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<pre>{escape(text)}</pre>\n</section>\n"


def _update(event: Event) -> str:
    payload: dict[str, Any] = json.loads(event.payload)
    node = payload.get("node", {}).get("alias", "")
    own = {name: value for name, value in payload.items() if name not in _COMMON_FIELDS}
    at = escape(payload["timestamp"])
    what = f"<pre>{escape(_json(own))}</pre>" if own else ""
    return (
        f'<li><span class="position">{event.position}</span> <time datetime="{at}">{at}</time>'
        f"<strong>{escape(event.name)}</strong> {escape(node)}{what}</li>\n"
    )


def _json(value: object) -> str:
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:  # indenting goes less deep than reading
        text = json.dumps(value)
    return _shortened(text)


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}\n… {len(text) - _SHOWN_CHARACTERS} more characters"
