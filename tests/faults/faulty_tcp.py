"""A TCP proxy that goes wrong when its test says so: between the program and an engine, or a scorer.

Laws: it knows no HTTP but where a head ends; what it passes on it passes on unchanged; and each fault is a fact, not a
chance: it happens at a byte, on every exchange that begins while it is set.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

HEAD_END = b"\r\n\r\n"
MOST_BYTES = 64 * 1024
"""Bytes that are passed on at once."""
INTO_HEAD = 20
"""Bytes of a head that come through before it breaks off."""
INTO_BODY = 10
"""Bytes of a body that come through before it breaks off; every body of these tests is longer."""


class Point(Enum):
    """Where in an exchange something breaks."""

    REQUEST = "before a byte of the request is passed on"
    IN_REQUEST = "in the request's body"
    ANSWER = "when the answer begins"
    IN_HEAD = "in the answer's head"
    IN_BODY = "in the answer's body"

    @property
    def is_in_request(self) -> bool:
        """Whether the engine does not get the whole request."""
        return self in (Point.REQUEST, Point.IN_REQUEST)

    def offset(self, passed: bytes) -> int | None:
        """Return how many bytes come through, given those seen so far; None while that is not known."""
        match self:
            case Point.REQUEST | Point.ANSWER:
                return 0
            case Point.IN_HEAD:
                return INTO_HEAD
            case Point.IN_REQUEST | Point.IN_BODY:
                end = passed.find(HEAD_END)
                return None if end < 0 else end + len(HEAD_END) + INTO_BODY


class Ending(Enum):
    """How it breaks."""

    RESET = "RST"
    CLOSE = "FIN"
    SILENCE = "nothing more, and no end"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong. The default is nothing."""

    #: seconds by which each piece of an answer is late, and by how many more at most
    latency: float = 0.0
    jitter: float = 0.0
    #: bytes of a piece of an answer
    piece_bytes: int = MOST_BYTES
    #: where the exchange breaks, and how
    at: Point | None = None
    how: Ending = Ending.RESET
    #: what is said in place of the answer
    instead: bytes | None = None
    #: the other side's end of the connection does not come through until `release` says so
    holds_close: bool = False
    #: happens to one exchange and to none after it
    is_once: bool = False


HEALTHY = Fault()


@dataclass(eq=False)
class _Flow:
    """One direction of one connection, and what has passed since the present fault was set."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: whose connection breaks
    caller: asyncio.StreamWriter
    fault: Fault = HEALTHY
    seen: bytearray = field(default_factory=bytearray)
    passed: int = 0

    @property
    def is_answer(self) -> bool:
        """Whether it goes to the caller."""
        return self.writer is self.caller


class FaultProxy:
    """Listens on a port of its own and passes on to another one."""

    def __init__(self, target: int) -> None:
        """Pass on to the port `target`."""
        self.port = 0
        #: pieces of requests that have come
        self.exchanges = 0
        #: set when a connection has fallen silent, and when the program has closed it
        self.silent = asyncio.Event()
        self.left = asyncio.Event()
        self._target = target
        self._fault = HEALTHY
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def go_wrong(self, fault: Fault) -> None:
        """Do this from now on, on connections that are already there, too."""
        self._fault = fault
        self._released.clear()
        self.silent.clear()
        self.left.clear()

    def recover(self) -> None:
        """Pass on everything."""
        self.go_wrong(HEALTHY)
        self.release()

    def release(self) -> None:
        """Let ends of connections come through."""
        self._released.set()

    async def start(self, target: int | None = None) -> None:
        """Listen, at the same port as before, and pass on to `target`, the same as before by default."""
        self._target = target or self._target
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()

    async def die(self) -> None:
        """Refuse connections from now on and reset those that are there, as the death of a process does."""
        if self._server is None:
            return
        await self.refuse()
        for writer in list(self._open):
            _reset(writer)
        self._released.set()
        while self._served:
            await asyncio.wait(self._served)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all connections."""
        await self.die()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        try:
            async with self._kept(writer):
                onward, other = await asyncio.open_connection("127.0.0.1", self._target)
                async with self._kept(other):
                    await self._run(_Flow(reader, other, writer), _Flow(onward, writer, writer))
        except OSError:
            pass  # whoever is behind is away: the caller sees its connection end
        finally:
            self._served.discard(task)

    @asynccontextmanager
    async def _kept(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        writer.transport.set_write_buffer_limits(high=0)  # `drain` waits until all of it is out
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _run(self, request: _Flow, answer: _Flow) -> None:
        """Pass on both ways until one of them ends."""
        ways = [asyncio.ensure_future(self._pass_on(flow)) for flow in (request, answer)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if request.fault.how is Ending.SILENCE and ways[0].done():
                self.left.set()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, flow: _Flow) -> None:
        """Pass one direction on until it ends, or breaks."""
        while piece := await flow.reader.read(MOST_BYTES):
            self.exchanges += not flow.is_answer
            if flow.fault is not self._fault:
                flow.fault, flow.seen, flow.passed = self._fault, bytearray(), 0
            size = flow.fault.piece_bytes if flow.is_answer else MOST_BYTES
            for start in range(0, len(piece), size):
                if not await self._pass_piece(flow, piece[start : start + size]):
                    return
        if flow.is_answer and flow.fault.holds_close:
            await self._released.wait()

    async def _pass_piece(self, flow: _Flow, piece: bytes) -> bool:
        """Pass a piece on; False when the connection has to end."""
        fault = flow.fault
        if flow.is_answer and (fault.latency or fault.jitter):
            await asyncio.sleep(fault.latency + fault.jitter * random.random())
        if flow.is_answer and fault.instead is not None:
            await _write(flow.writer, fault.instead)
            return False
        if fault.at is None or fault.at.is_in_request is flow.is_answer:
            await _write(flow.writer, piece)
            return True
        flow.seen += piece
        end = fault.at.offset(bytes(flow.seen))
        if end is None or len(flow.seen) <= end:
            await _write(flow.writer, piece)
            flow.passed += len(piece)
            return True
        await _write(flow.writer, piece[: end - flow.passed])
        await self._break(flow, fault)
        return False

    async def _break(self, flow: _Flow, fault: Fault) -> None:
        if fault.is_once:
            self._fault = HEALTHY
        if fault.how is Ending.SILENCE:
            self.silent.set()
            await asyncio.Event().wait()  # until the other direction ends
        if fault.how is Ending.RESET:
            _reset(flow.caller)


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    opened = writer.transport.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
