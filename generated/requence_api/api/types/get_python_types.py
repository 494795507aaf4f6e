from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.type_files import TypeFiles
from ...types import Response


def _get_kwargs() -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/task/types/python",
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> TypeFiles | str | None:
    if response.status_code == 200:
        response_200 = TypeFiles.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = response.text
        return response_401

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[TypeFiles | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
) -> Response[TypeFiles | str]:
    """Type declarations for Python

     Files with type declarations for the templates that the token may start, for editors and type
    checkers. The
    file names come from the server: check that each stays inside the folder you write to before you
    write any.

    The local server sends a module for each template, with the types of its input and result and a
    function that
    starts it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TypeFiles | str]
    """

    kwargs = _get_kwargs()

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
) -> TypeFiles | str | None:
    """Type declarations for Python

     Files with type declarations for the templates that the token may start, for editors and type
    checkers. The
    file names come from the server: check that each stays inside the folder you write to before you
    write any.

    The local server sends a module for each template, with the types of its input and result and a
    function that
    starts it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TypeFiles | str
    """

    return sync_detailed(
        client=client,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
) -> Response[TypeFiles | str]:
    """Type declarations for Python

     Files with type declarations for the templates that the token may start, for editors and type
    checkers. The
    file names come from the server: check that each stays inside the folder you write to before you
    write any.

    The local server sends a module for each template, with the types of its input and result and a
    function that
    starts it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TypeFiles | str]
    """

    kwargs = _get_kwargs()

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
) -> TypeFiles | str | None:
    """Type declarations for Python

     Files with type declarations for the templates that the token may start, for editors and type
    checkers. The
    file names come from the server: check that each stays inside the folder you write to before you
    write any.

    The local server sends a module for each template, with the types of its input and result and a
    function that
    starts it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TypeFiles | str
    """

    return (
        await asyncio_detailed(
            client=client,
        )
    ).parsed
