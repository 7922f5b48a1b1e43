"""An engine that keeps every byte it gets, and the proxy in front of it.

The engine answers each request with what that request was, so that an answer that comes to the wrong caller is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from connectors.relay import EngineFacts, Relay, RelayConnector
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.scripted import parse
from sidecar.types import RerankOptions
from tests.security import strict_http
from tests.security.strict_http import Request

MARK: Final = b"x-mark"
"""Header by which requests are told apart."""

BOUND: Final = 8.0
"""Seconds in which every connection has its end."""

PATIENCE: Final = 0.05
"""Seconds after which a connection is half closed whose request may lack its end."""

Script = Callable[[Request], bytes]
"""Says what the engine answers."""


@dataclass
class Recorder:
    """A running engine and what it got."""

    script: Script
    port: int = 0
    #: the bytes of each connection
    connections: list[bytearray] = field(default_factory=list)
    #: complete requests in the order in which they came
    arrived: list[Request] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection."""
        got, unread = bytearray(), b""
        self.connections.append(got)
        self._open.add(writer)
        try:
            while piece := await reader.read(1 << 16):
                got += piece
                unread += piece
                reading = strict_http.read(unread)
                unread = unread[reading.size :]
                for request in reading.requests:
                    self.arrived.append(request)
                    writer.write(self.script(request))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def close(self) -> None:
        """End all connections."""
        for writer in self._open:
            writer.transport.abort()

    def forget(self) -> None:
        """Forget what has come, but for connections that go on."""
        self.arrived.clear()
        for got in self.connections:
            got.clear()
        del self.connections[:-64]


def echo(request: Request) -> bytes:
    """Answer with the mark and the target of the request."""
    mark = b", ".join(request.values(MARK))
    body = b"" if request.method == b"HEAD" else b"answer to " + mark
    size = len(b"answer to " + mark)
    target = request.target.split(b"?")[0][:100]
    lines = b"Content-Type: text/plain\r\nX-Answer: %s\r\nX-Target: %s\r\n" % (mark, target)
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (lines, size, body)


@asynccontextmanager
async def recorded(script: Script = echo) -> AsyncIterator[tuple[Recorder, int]]:
    """Give a recorder and the port of a proxy in front of it, whose reranking is off."""
    recorder = Recorder(script)
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.port = server.sockets[0].getsockname()[1]
    off = Policy(defaults=RerankOptions(enabled=False))
    facts = EngineFacts(product="elasticsearch")
    try:
        async with RelayConnector(Relay([f"http://127.0.0.1:{recorder.port}"]), facts) as engine:
            app = ProxyApp(RerankingConnector(engine, parse("test:identity"), off), {})
            async with listening(app, Address.parse("127.0.0.1:0")) as address:
                yield recorder, address.port
    finally:
        server.close()
        recorder.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # connection tasks see that they are closed


async def exchange(port: int, content: bytes, *, is_whole: bool = True) -> bytes:
    """Send bytes on a connection of their own and return all that comes back until its end.

    What is not `is_whole` is half closed after a while, since nobody can know whether more will come.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(BOUND):
            writer.write(content)
            if is_whole:
                while piece := await reader.read(1 << 16):
                    received += piece
                return received
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while piece := await reader.read(1 << 16):
                        received += piece
                    return received
            with suppress(OSError):
                writer.write_eof()
            while piece := await reader.read(1 << 16):
                received += piece
            return received
    except ConnectionError:
        return received
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@dataclass(frozen=True)
class Answer:
    """One answer as the client got it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def value(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


def answers(received: bytes, methods: list[bytes]) -> list[Answer]:
    """Return the answers on a connection to requests of these methods; one that breaks off fails."""
    found: list[Answer] = []
    left = list(methods)
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, f"an answer breaks off: {head!r}"
        first, *lines = head.split(b"\r\n")
        status = int(first.split(b" ")[1])
        if status == 100:
            continue
        pairs = (line.partition(b":") for line in lines)
        headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
        method = left.pop(0) if left else b"GET"
        size = int(dict(headers).get(b"content-length", b"0"))
        # a parser that fails knows no method, and answers with a body in any case
        has_body = method != b"HEAD" or (status == 400 and bool(received))
        body, received = (received[:size], received[size:]) if has_body else (b"", received)
        assert not has_body or len(body) == size, f"an answer breaks off: {head!r} {body!r}"
        found.append(Answer(status, headers, body))
    return found
