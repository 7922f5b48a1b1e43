"""A client that keeps its connection and is hard to please: it tells a whole answer from one that was cut short."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.unit.raw_http import Answer

PATIENCE_SECONDS = 20.0
"""Whoever is not answered by then hangs."""


@dataclass(frozen=True)
class Reply:
    """What came back on one request, and whether its framing says that this is all."""

    answer: Answer
    is_complete: bool

    @property
    def status(self) -> int:
        """The status, 0 where there is no head."""
        return self.answer.status if b"\r\n\r\n" in self.answer.content else 0

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        return self.answer.body

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def marker(self) -> str:
        """What `X-Rerank` says, "" where it is absent."""
        return ", ".join(self.answer.values("X-Rerank"))

    @property
    def said(self) -> tuple[int, bytes, str]:
        """Status, body and marker: what must be equal of two equal answers."""
        return self.status, self.body, self.marker


class Caller:
    """Somebody with one connection to the program."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self) -> None:
        """Have none yet."""
        self.is_open = False

    async def reconnect(self, port: int) -> None:
        """Have a new connection."""
        await self.close()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self.is_open = True

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read its answer, or as much of it as comes."""
        assert self.is_open
        received = bytearray()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._writer.write(request)  # not waited for: an answer may come before all of it is out
                await self._read(received, is_head=request.startswith(b"HEAD "))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            received += getattr(error, "partial", b"")
            self.is_open = False
            return Reply(Answer(bytes(received)), is_complete=False)
        answer = Answer(bytes(received))
        self.is_open = "close" not in answer.values("Connection")
        return Reply(answer, is_complete=True)

    async def close(self) -> None:
        """Close the connection, where there is one."""
        self.is_open = False
        if hasattr(self, "_writer"):
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _read(self, received: bytearray, *, is_head: bool) -> None:
        """Add one answer to `received`. Raises IncompleteReadError or ConnectionError where it ends too early."""
        received += await self._reader.readuntil(b"\r\n\r\n")
        head = Answer(bytes(received))
        if is_head or head.status in {204, 304}:
            return
        if not head.values("Transfer-Encoding"):
            received += await self._reader.readexactly(int(head.values("Content-Length")[0]))
            return
        size = -1
        while size != 0:
            line = await self._reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            received += line + await self._reader.readexactly(size + 2)


async def asked_alone(port: int, request: bytes) -> Reply:
    """Return the answer to a request on a connection of its own."""
    caller = Caller()
    await caller.reconnect(port)
    try:
        return await caller.ask(request)
    finally:
        await caller.close()
