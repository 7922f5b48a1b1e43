"""A kept HTTP/1.1 connection that shows what is on the wire: the request as written, the answer as it came.

Law: it changes nothing but the framing, and it sends nothing twice. Names of headers keep their spelling.
"""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from tests.parity.calls import Request

LINE_BYTES = 64 * 1024


class Lost(Exception):
    """No answer, or one that broke off."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers in their order, the body without framing."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        """Return the first value of a header, "" where it is absent."""
        return next(iter(self.all(name)), "")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @cached_property
    def value(self) -> Any:
        """The body as what it is: JSON, YAML or text."""
        kind = self.header("content-type")
        try:
            if "json" in kind:
                return json.loads(self.body)
            if "yaml" in kind:
                return yaml.load(self.text, Loader=yaml.CSafeLoader)
        except (ValueError, yaml.YAMLError):
            pass
        return self.text


class Connection:
    """One connection to one server, opened by the first request and again when the server has closed it."""

    def __init__(self, url: str) -> None:
        """Take the server's URL."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        """Return self; leaving the context closes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with suppress(OSError):  # the server was first
                await writer.wait_closed()

    async def send(self, request: Request) -> Answer:
        """Send one request and return its answer. Raises Lost."""
        try:
            reader, writer = await self._open()
            writer.write(self._bytes(request))
            answer, is_kept = await _read(reader, request.method)
        except (OSError, EOFError, ValueError) as error:
            await self.close()
            raise Lost(f"{request.method} {request.target}: {type(error).__name__}: {error}") from error
        if not is_kept:
            await self.close()
        return answer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=LINE_BYTES)
        return self._streams

    def _bytes(self, request: Request) -> bytes:
        head = [f"{request.method} {request.target} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        head += [f"{name}: {value}" for name, value in request.headers]
        if request.body is not None:
            head.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join((*head, "", "")).encode() + (request.body or b"")


_STATUS = re.compile(r"HTTP/1\.[01] (\d{3})")


async def _read(reader: asyncio.StreamReader, method: str) -> tuple[Answer, bool]:
    """Return an answer, and whether the connection can be used again."""
    status, headers = await _head(reader)
    while 100 <= status < 200:
        status, headers = await _head(reader)
    named = {name.lower(): value for name, value in headers}
    is_kept = named.get("connection", "").lower() != "close"
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif named.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    elif "content-length" in named:
        body = await reader.readexactly(int(named["content-length"]))
    else:
        body, is_kept = await reader.read(), False
    return Answer(status, headers, body), is_kept


async def _head(reader: asyncio.StreamReader) -> tuple[int, tuple[tuple[str, str], ...]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    found = _STATUS.match(lines[0])
    if found is None:
        raise ValueError(f"no HTTP: {lines[0]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(found[1]), tuple((name, value.strip()) for name, _, value in pairs)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass  # trailers
    return bytes(body)
