from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    key: str,
    *,
    x_requence_stream_protocol: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(x_requence_stream_protocol, Unset):
        headers["x-requence-stream-protocol"] = x_requence_stream_protocol

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/streams/{key}".format(
            key=quote(str(key), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> File | str | None:
    if response.status_code == 200:
        response_200 = File(payload=BytesIO(response.content))

        return response_200

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[File | str]:
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
    x_requence_stream_protocol: str | Unset = UNSET,
) -> Response[File | str]:
    """Fetch the bytes of a stream

     Sent to the `url` inside a stream reference. Who asks with `x-requence-stream-protocol: framed` may
    get the
    bytes in frames, which tell a complete stream from one that broke off; the same header in the answer
    says
    so. Without it the body is the plain bytes.

    A frame is one byte for its type, four bytes for the length of its payload (most significant byte
    first) and
    the payload. Frames do not keep to the chunks of the transfer. Type `00` is data, and may be
    empty. Type `01` is the end, has length 0, and nothing follows it. Type `02` says that the sender
    broke
    off; its payload is the reason, in UTF-8. A body that ends without `01` or `02` was cut. The text
    `hi` and the
    end are `00 00000002 6869 01 00000000`.

    Args:
        key (str):
        x_requence_stream_protocol (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | str]
    """

    kwargs = _get_kwargs(
        key=key,
        x_requence_stream_protocol=x_requence_stream_protocol,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    x_requence_stream_protocol: str | Unset = UNSET,
) -> File | str | None:
    """Fetch the bytes of a stream

     Sent to the `url` inside a stream reference. Who asks with `x-requence-stream-protocol: framed` may
    get the
    bytes in frames, which tell a complete stream from one that broke off; the same header in the answer
    says
    so. Without it the body is the plain bytes.

    A frame is one byte for its type, four bytes for the length of its payload (most significant byte
    first) and
    the payload. Frames do not keep to the chunks of the transfer. Type `00` is data, and may be
    empty. Type `01` is the end, has length 0, and nothing follows it. Type `02` says that the sender
    broke
    off; its payload is the reason, in UTF-8. A body that ends without `01` or `02` was cut. The text
    `hi` and the
    end are `00 00000002 6869 01 00000000`.

    Args:
        key (str):
        x_requence_stream_protocol (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | str
    """

    return sync_detailed(
        key=key,
        client=client,
        x_requence_stream_protocol=x_requence_stream_protocol,
    ).parsed


async def asyncio_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    x_requence_stream_protocol: str | Unset = UNSET,
) -> Response[File | str]:
    """Fetch the bytes of a stream

     Sent to the `url` inside a stream reference. Who asks with `x-requence-stream-protocol: framed` may
    get the
    bytes in frames, which tell a complete stream from one that broke off; the same header in the answer
    says
    so. Without it the body is the plain bytes.

    A frame is one byte for its type, four bytes for the length of its payload (most significant byte
    first) and
    the payload. Frames do not keep to the chunks of the transfer. Type `00` is data, and may be
    empty. Type `01` is the end, has length 0, and nothing follows it. Type `02` says that the sender
    broke
    off; its payload is the reason, in UTF-8. A body that ends without `01` or `02` was cut. The text
    `hi` and the
    end are `00 00000002 6869 01 00000000`.

    Args:
        key (str):
        x_requence_stream_protocol (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | str]
    """

    kwargs = _get_kwargs(
        key=key,
        x_requence_stream_protocol=x_requence_stream_protocol,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    x_requence_stream_protocol: str | Unset = UNSET,
) -> File | str | None:
    """Fetch the bytes of a stream

     Sent to the `url` inside a stream reference. Who asks with `x-requence-stream-protocol: framed` may
    get the
    bytes in frames, which tell a complete stream from one that broke off; the same header in the answer
    says
    so. Without it the body is the plain bytes.

    A frame is one byte for its type, four bytes for the length of its payload (most significant byte
    first) and
    the payload. Frames do not keep to the chunks of the transfer. Type `00` is data, and may be
    empty. Type `01` is the end, has length 0, and nothing follows it. Type `02` says that the sender
    broke
    off; its payload is the reason, in UTF-8. A body that ends without `01` or `02` was cut. The text
    `hi` and the
    end are `00 00000002 6869 01 00000000`.

    Args:
        key (str):
        x_requence_stream_protocol (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | str
    """

    return (
        await asyncio_detailed(
            key=key,
            client=client,
            x_requence_stream_protocol=x_requence_stream_protocol,
        )
    ).parsed
