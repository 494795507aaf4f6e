from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.finalize_request import FinalizeRequest
from ...models.started_task import StartedTask
from ...types import Response


def _get_kwargs(
    task_id: str,
    *,
    body: FinalizeRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/task/finalize/{task_id}".format(
            task_id=quote(str(task_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> StartedTask | str | None:
    if response.status_code == 200:
        response_200 = StartedTask.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = response.text
        return response_400

    if response.status_code == 401:
        response_401 = response.text
        return response_401

    if response.status_code == 404:
        response_404 = response.text
        return response_404

    if response.status_code == 409:
        response_409 = response.text
        return response_409

    if response.status_code == 413:
        response_413 = response.text
        return response_413

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[StartedTask | str]:
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
    body: FinalizeRequest,
) -> Response[StartedTask | str]:
    """Hand over the input and start the task

     The second step of a start, sent to the `finalizeUrl` of the answer to prepare. The input is checked
    and the
    task starts.

    Do not simply repeat this call when the connection breaks after the request may have arrived: what
    the hosted
    service makes of a second one is not documented. Ask for the task instead; a status other than
    `idle` says
    that the first call did it.

    Args:
        task_id (str):
        body (FinalizeRequest): The input and how to run the task. A claim check may stand in for
            a value that is too large; the server puts
            the value back before it checks anything.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[StartedTask | str]
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
    body: FinalizeRequest,
) -> StartedTask | str | None:
    """Hand over the input and start the task

     The second step of a start, sent to the `finalizeUrl` of the answer to prepare. The input is checked
    and the
    task starts.

    Do not simply repeat this call when the connection breaks after the request may have arrived: what
    the hosted
    service makes of a second one is not documented. Ask for the task instead; a status other than
    `idle` says
    that the first call did it.

    Args:
        task_id (str):
        body (FinalizeRequest): The input and how to run the task. A claim check may stand in for
            a value that is too large; the server puts
            the value back before it checks anything.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        StartedTask | str
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
    body: FinalizeRequest,
) -> Response[StartedTask | str]:
    """Hand over the input and start the task

     The second step of a start, sent to the `finalizeUrl` of the answer to prepare. The input is checked
    and the
    task starts.

    Do not simply repeat this call when the connection breaks after the request may have arrived: what
    the hosted
    service makes of a second one is not documented. Ask for the task instead; a status other than
    `idle` says
    that the first call did it.

    Args:
        task_id (str):
        body (FinalizeRequest): The input and how to run the task. A claim check may stand in for
            a value that is too large; the server puts
            the value back before it checks anything.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[StartedTask | str]
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
    body: FinalizeRequest,
) -> StartedTask | str | None:
    """Hand over the input and start the task

     The second step of a start, sent to the `finalizeUrl` of the answer to prepare. The input is checked
    and the
    task starts.

    Do not simply repeat this call when the connection breaks after the request may have arrived: what
    the hosted
    service makes of a second one is not documented. Ask for the task instead; a status other than
    `idle` says
    that the first call did it.

    Args:
        task_id (str):
        body (FinalizeRequest): The input and how to run the task. A claim check may stand in for
            a value that is too large; the server puts
            the value back before it checks anything.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        StartedTask | str
    """

    return (
        await asyncio_detailed(
            task_id=task_id,
            client=client,
            body=body,
        )
    ).parsed
