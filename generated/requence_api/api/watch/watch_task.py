"""Builds the request. To send it, and to read the event stream that answers it, is left to you."""

from typing import Any
from urllib.parse import quote

from ...models.watch_request import WatchRequest


def _get_kwargs(
    task_id: str,
    *,
    body: WatchRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/task/watch/{task_id}".format(
            task_id=quote(str(task_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs
