from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.registered_stream import RegisteredStream
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    key: str,
    *,
    body: File | Unset = UNSET,
    file_size: int | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(file_size, Unset):
        headers["file-size"] = str(file_size)

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/streams/register/{key}".format(
            key=quote(str(key), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["content"] = body.payload
    headers["Content-Type"] = "application/octet-stream"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> RegisteredStream | str | None:
    if response.status_code == 200:
        response_200 = RegisteredStream.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = response.text
        return response_400

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


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[RegisteredStream | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | Unset = UNSET,
    file_size: int | Unset = UNSET,
) -> Response[RegisteredStream | str]:
    """Announce a stream

     Sent to `fileUrls.streamUrl`, with an empty body and the media type of the coming bytes as `Content-
    Type`. The
    answer names the URL that takes the bytes, which is also the one that gives them. The reference to
    put
    into the input is the answer together with `__REQUENCE_type: RequenceStream`.

    Args:
        key (str):
        file_size (int | Unset):
        body (File | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[RegisteredStream | str]
    """

    kwargs = _get_kwargs(
        key=key,
        body=body,
        file_size=file_size,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | Unset = UNSET,
    file_size: int | Unset = UNSET,
) -> RegisteredStream | str | None:
    """Announce a stream

     Sent to `fileUrls.streamUrl`, with an empty body and the media type of the coming bytes as `Content-
    Type`. The
    answer names the URL that takes the bytes, which is also the one that gives them. The reference to
    put
    into the input is the answer together with `__REQUENCE_type: RequenceStream`.

    Args:
        key (str):
        file_size (int | Unset):
        body (File | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        RegisteredStream | str
    """

    return sync_detailed(
        key=key,
        client=client,
        body=body,
        file_size=file_size,
    ).parsed


async def asyncio_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | Unset = UNSET,
    file_size: int | Unset = UNSET,
) -> Response[RegisteredStream | str]:
    """Announce a stream

     Sent to `fileUrls.streamUrl`, with an empty body and the media type of the coming bytes as `Content-
    Type`. The
    answer names the URL that takes the bytes, which is also the one that gives them. The reference to
    put
    into the input is the answer together with `__REQUENCE_type: RequenceStream`.

    Args:
        key (str):
        file_size (int | Unset):
        body (File | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[RegisteredStream | str]
    """

    kwargs = _get_kwargs(
        key=key,
        body=body,
        file_size=file_size,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | Unset = UNSET,
    file_size: int | Unset = UNSET,
) -> RegisteredStream | str | None:
    """Announce a stream

     Sent to `fileUrls.streamUrl`, with an empty body and the media type of the coming bytes as `Content-
    Type`. The
    answer names the URL that takes the bytes, which is also the one that gives them. The reference to
    put
    into the input is the answer together with `__REQUENCE_type: RequenceStream`.

    Args:
        key (str):
        file_size (int | Unset):
        body (File | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        RegisteredStream | str
    """

    return (
        await asyncio_detailed(
            key=key,
            client=client,
            body=body,
            file_size=file_size,
        )
    ).parsed
