from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.prepared_task import PreparedTask
from ...types import Response


def _get_kwargs(
    task_template: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/task/prepare/{task_template}".format(
            task_template=quote(str(task_template), safe=""),
        ),
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> PreparedTask | str | None:
    if response.status_code == 200:
        response_200 = PreparedTask.from_dict(response.json())

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[PreparedTask | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    task_template: str,
    *,
    client: AuthenticatedClient | Client,
) -> Response[PreparedTask | str]:
    """Reserve a task

     The first of the two steps of a start. The answer names the new task and tells where to send its
    input.
    Nothing runs until the task is finalized; a reservation that is never finalized does no harm, so
    this call
    may be repeated. The id may already be used to abort or protect the task.

    There is no request body.

    Args:
        task_template (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PreparedTask | str]
    """

    kwargs = _get_kwargs(
        task_template=task_template,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    task_template: str,
    *,
    client: AuthenticatedClient | Client,
) -> PreparedTask | str | None:
    """Reserve a task

     The first of the two steps of a start. The answer names the new task and tells where to send its
    input.
    Nothing runs until the task is finalized; a reservation that is never finalized does no harm, so
    this call
    may be repeated. The id may already be used to abort or protect the task.

    There is no request body.

    Args:
        task_template (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PreparedTask | str
    """

    return sync_detailed(
        task_template=task_template,
        client=client,
    ).parsed


async def asyncio_detailed(
    task_template: str,
    *,
    client: AuthenticatedClient | Client,
) -> Response[PreparedTask | str]:
    """Reserve a task

     The first of the two steps of a start. The answer names the new task and tells where to send its
    input.
    Nothing runs until the task is finalized; a reservation that is never finalized does no harm, so
    this call
    may be repeated. The id may already be used to abort or protect the task.

    There is no request body.

    Args:
        task_template (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PreparedTask | str]
    """

    kwargs = _get_kwargs(
        task_template=task_template,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    task_template: str,
    *,
    client: AuthenticatedClient | Client,
) -> PreparedTask | str | None:
    """Reserve a task

     The first of the two steps of a start. The answer names the new task and tells where to send its
    input.
    Nothing runs until the task is finalized; a reservation that is never finalized does no harm, so
    this call
    may be repeated. The id may already be used to abort or protect the task.

    There is no request body.

    Args:
        task_template (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PreparedTask | str
    """

    return (
        await asyncio_detailed(
            task_template=task_template,
            client=client,
        )
    ).parsed
