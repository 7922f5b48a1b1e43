"""An engine that keeps every complete request it gets and answers `{}`; and the proxy in front of it.

Law: it understands HTTP by the letter: what it has not got to its end it has not got.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from connectors.relay import EngineFacts, Relay, RelayConnector
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.scripted import parse
from sidecar.types import RerankOptions

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"

HeaderLines = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Arrived:
    """One request: method, target, headers with names in lower case, the body without framing."""

    method: bytes
    target: bytes
    headers: HeaderLines
    body: bytes


@dataclass
class Recorder:
    """A running engine, and what it has got."""

    port: int = 0
    arrived: list[Arrived] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                arrived = await _read(reader)
                self.arrived.append(arrived)
                writer.write(ANSWER if arrived.method == b"HEAD" else ANSWER + b"{}")
                await writer.drain()
        except (EOFError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Arrived:
    lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    method, target, _ = lines[0].split(b" ")
    pairs = (line.partition(b":") for line in lines[1:])
    headers = tuple((name.lower(), value.strip(b" \t")) for name, _, value in pairs)
    named = dict(headers)
    if named.get(b"transfer-encoding") == b"chunked":
        body = b"".join([piece async for piece in _chunks(reader)])
    else:
        body = await reader.readexactly(int(named.get(b"content-length", b"0")))
    return Arrived(method, target, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers


@asynccontextmanager
async def recorded() -> AsyncIterator[tuple[Recorder, int]]:
    """Give a recorder and the port of a proxy in front of it, whose reranking is off."""
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0, limit=1 << 20)
    recorder.port = server.sockets[0].getsockname()[1]
    off = Policy(defaults=RerankOptions(enabled=False))
    facts = EngineFacts(product="elasticsearch")
    async with RelayConnector(Relay([f"http://127.0.0.1:{recorder.port}"]), facts) as engine:
        app = ProxyApp(RerankingConnector(engine, parse("test:identity"), off), {})
        async with listening(app, Address.parse("127.0.0.1:0")) as address:
            yield recorder, address.port
    server.close()
    await server.wait_closed()
