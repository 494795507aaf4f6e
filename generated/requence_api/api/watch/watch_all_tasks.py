"""Builds the request. To send it, and to read the event stream that answers it, is left to you."""

from typing import Any

from ...models.watch_all_request import WatchAllRequest


def _get_kwargs(
    *,
    body: WatchAllRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/task/watch-all",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs
