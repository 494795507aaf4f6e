from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.uploaded_file import UploadedFile
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    key: str,
    *,
    body: File,
    file_size: int | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(file_size, Unset):
        headers["file-size"] = str(file_size)

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/files/upload/{key}".format(
            key=quote(str(key), safe=""),
        ),
    }

    _kwargs["content"] = body.payload
    headers["Content-Type"] = "application/octet-stream"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> UploadedFile | str | None:
    if response.status_code == 200:
        response_200 = UploadedFile.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = response.text
        return response_400

    if response.status_code == 404:
        response_404 = response.text
        return response_404

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[UploadedFile | str]:
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
    body: File,
    file_size: int | Unset = UNSET,
) -> Response[UploadedFile | str]:
    """Upload a file or a large value

     Sent to `fileUrls.uploadUrl`, as often as there are files. The body is the content itself, and
    `Content-Type`
    is its media type, whichever that is; `application/octet-stream` here stands for any. The reference
    to put
    into the input is the answer together with `__REQUENCE_type: RequenceFile`.

    A value that is too large for finalize takes the same way: as JSON, with `Content-Type:
    application/json`
    and without `file-size`. Its reference is a claim check.

    The local server takes files until the task is finalized.

    Args:
        key (str):
        file_size (int | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[UploadedFile | str]
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
    body: File,
    file_size: int | Unset = UNSET,
) -> UploadedFile | str | None:
    """Upload a file or a large value

     Sent to `fileUrls.uploadUrl`, as often as there are files. The body is the content itself, and
    `Content-Type`
    is its media type, whichever that is; `application/octet-stream` here stands for any. The reference
    to put
    into the input is the answer together with `__REQUENCE_type: RequenceFile`.

    A value that is too large for finalize takes the same way: as JSON, with `Content-Type:
    application/json`
    and without `file-size`. Its reference is a claim check.

    The local server takes files until the task is finalized.

    Args:
        key (str):
        file_size (int | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        UploadedFile | str
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
    body: File,
    file_size: int | Unset = UNSET,
) -> Response[UploadedFile | str]:
    """Upload a file or a large value

     Sent to `fileUrls.uploadUrl`, as often as there are files. The body is the content itself, and
    `Content-Type`
    is its media type, whichever that is; `application/octet-stream` here stands for any. The reference
    to put
    into the input is the answer together with `__REQUENCE_type: RequenceFile`.

    A value that is too large for finalize takes the same way: as JSON, with `Content-Type:
    application/json`
    and without `file-size`. Its reference is a claim check.

    The local server takes files until the task is finalized.

    Args:
        key (str):
        file_size (int | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[UploadedFile | str]
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
    body: File,
    file_size: int | Unset = UNSET,
) -> UploadedFile | str | None:
    """Upload a file or a large value

     Sent to `fileUrls.uploadUrl`, as often as there are files. The body is the content itself, and
    `Content-Type`
    is its media type, whichever that is; `application/octet-stream` here stands for any. The reference
    to put
    into the input is the answer together with `__REQUENCE_type: RequenceFile`.

    A value that is too large for finalize takes the same way: as JSON, with `Content-Type:
    application/json`
    and without `file-size`. Its reference is a claim check.

    The local server takes files until the task is finalized.

    Args:
        key (str):
        file_size (int | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        UploadedFile | str
    """

    return (
        await asyncio_detailed(
            key=key,
            client=client,
            body=body,
            file_size=file_size,
        )
    ).parsed
