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
Endpoints = Mapping[tuple[str, str], Endpoint]
"""Endpoints by (method, path)."""


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> EndpointResponse:
    """Return `value` as a JSON answer."""
    return EndpointResponse(status=status, body=json.dumps(value).encode() + b"\n", headers=headers)
