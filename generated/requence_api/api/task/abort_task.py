from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import UNSET, Response, Unset


def _get_kwargs(
    task_id: str,
    *,
    body: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/task/abort/{task_id}".format(
            task_id=quote(str(task_id), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["content"] = body
    headers["Content-Type"] = "text/plain; charset=utf-8"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Any | str | None:
    if response.status_code == 200:
        response_200 = cast(Any, None)
        return response_200

    if response.status_code == 401:
        response_401 = response.text
        return response_401

    if response.status_code == 404:
        response_404 = response.text
        return response_404

    if 400 <= response.status_code <= 499:
        response_4xx = response.text
        return response_4xx

    if 500 <= response.status_code <= 599:
        response_5xx = response.text
        return response_5xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Any | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: str | Unset = UNSET,
) -> Response[Any | str]:
    """Stop a task

     Stops a task that is prepared, waiting or running. The body is the reason, as plain text and not as
    JSON;
    without a reason it is empty. The reason comes back in the `taskAborted` event. A server accepts
    the body with and without a `Content-Type`. The body of the answer has no meaning.

    The local server answers 200 also for a task that has already ended, which stays as it is.

    Args:
        task_id (str):
        body (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        task_id=task_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: str | Unset = UNSET,
) -> Any | str | None:
    """Stop a task

     Stops a task that is prepared, waiting or running. The body is the reason, as plain text and not as
    JSON;
    without a reason it is empty. The reason comes back in the `taskAborted` event. A server accepts
    the body with and without a `Content-Type`. The body of the answer has no meaning.

    The local server answers 200 also for a task that has already ended, which stays as it is.

    Args:
        task_id (str):
        body (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | str
    """

    return sync_detailed(
        task_id=task_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: str | Unset = UNSET,
) -> Response[Any | str]:
    """Stop a task

     Stops a task that is prepared, waiting or running. The body is the reason, as plain text and not as
    JSON;
    without a reason it is empty. The reason comes back in the `taskAborted` event. A server accepts
    the body with and without a `Content-Type`. The body of the answer has no meaning.

    The local server answers 200 also for a task that has already ended, which stays as it is.

    Args:
        task_id (str):
        body (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        task_id=task_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: str | Unset = UNSET,
) -> Any | str | None:
    """Stop a task

     Stops a task that is prepared, waiting or running. The body is the reason, as plain text and not as
    JSON;
    without a reason it is empty. The reason comes back in the `taskAborted` event. A server accepts
    the body with and without a `Content-Type`. The body of the answer has no meaning.

    The local server answers 200 also for a task that has already ended, which stays as it is.

    Args:
        task_id (str):
        body (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | str
    """

    return (
        await asyncio_detailed(
            task_id=task_id,
            client=client,
            body=body,
        )
    ).parsed
