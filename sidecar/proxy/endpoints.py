"""Our own endpoints: what one is asked, and what it answers. No HTTP library."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRequest:
    """A complete request to one of our endpoints."""

    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResponse:
    """Its answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Headers = ()


Endpoint = Callable[[EndpointRequest], Awaitable[EndpointResponse]]
Refusal = Callable[[Headers], EndpointResponse | None]
"""Says by a request's headers what its caller is refused with, None where it is not."""
Endpoints = Mapping[tuple[str, str], Endpoint]
"""Endpoints by (method, path)."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """An endpoint that is not for everybody: who is refused is so before anything of the body is read."""

    refusal: Refusal
    answer: Endpoint

    async def __call__(self, request: EndpointRequest) -> EndpointResponse:
        """Answer those who are not refused."""
        return self.refusal(request.headers) or await self.answer(request)


def refusal_by_headers(endpoint: Endpoint | None, headers: Headers) -> EndpointResponse | None:
    """Return what an endpoint refuses a request with whose body nobody has read, None where it does not."""
    return endpoint.refusal(headers) if isinstance(endpoint, Guarded) else None


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> EndpointResponse:
    """Return `value` as a JSON answer."""
    return EndpointResponse(status=status, body=json.dumps(value).encode() + b"\n", headers=headers)
