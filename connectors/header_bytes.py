"""Header values as they came: RFC 9110 allows any byte from 0x80 on, and both engines send such bytes back.

aiohttp reads them into surrogate characters, but writes headers as UTF-8 and leaves out, without a word, what is none.
No public setting changes that, so that its function is replaced for this process; whatever it refuses is still refused.
"""

from __future__ import annotations

from typing import Final

from aiohttp import http_writer
from multidict import CIMultiDict

_OF_AIOHTTP: Final = http_writer._serialize_headers


def keep_header_bytes() -> None:
    """Have aiohttp write the bytes that a surrogate character stands for, in requests and answers alike."""
    http_writer._serialize_headers = _written


def _written(status_line: str, headers: CIMultiDict[str]) -> bytes:
    if all(value.isascii() for value in headers.values()):
        return _OF_AIOHTTP(status_line, headers)
    readable = ((name, value.encode("ascii", "replace").decode("ascii")) for name, value in headers.items())
    _OF_AIOHTTP(status_line, CIMultiDict(readable))  # raises for line ends and other control characters
    lines = (status_line, *(f"{name}: {value}" for name, value in headers.items()), "", "")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
