"""Between the streamed requests of a relay and the complete ones that a search needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse, without_headers

MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
"""A longer search body is passed on as it comes, unranked."""


async def read_body(
    body: AsyncIterator[bytes] | bytes | None, limit: int = MAX_REQUEST_BYTES
) -> bytes | AsyncIterator[bytes]:
    """Return the complete body, or, when it is longer than `limit`, an iterator over all of it."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body if len(body) <= limit else _resume([body], None)
    pieces: list[bytes] = []
    length = 0
    async for piece in body:
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            return _resume(pieces, body)
    return b"".join(pieces)


async def _resume(pieces: list[bytes], rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if rest is not None:
        async for piece in rest:
            yield piece


def as_search(request: RelayRequest, body: bytes) -> SearchRequest:
    """Return a relay request with its complete body as a search request."""
    return SearchRequest(method=request.method, target=request.target, headers=request.headers, body=body)


def as_relay(request: SearchRequest, streamed: RelayRequest) -> RelayRequest:
    """Return a search request as the relay request it came from, without a body where that had none."""
    body = None if streamed.body is None and not request.body else request.body
    return replace(streamed, target=request.target, headers=request.headers, body=body, is_search=True)


def as_stream(answer: SearchResponse) -> RelayResponse:
    """Return a complete answer as a streamed one."""
    return RelayResponse(
        status=answer.status, reason=answer.reason, headers=answer.headers, chunks=_pieces(answer.body)
    )


def with_header(answer: RelayResponse, name: str, value: str) -> RelayResponse:
    """Return a streamed answer with a header, in place of those of its name that it has."""
    return replace(answer, headers=(*without_headers(answer.headers, name), (name, value)))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
