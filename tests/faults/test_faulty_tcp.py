"""The faulty wire does what it says: a reset is a reset, silence has no end, and nothing else changes a byte."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.faulty_tcp import INTO_BODY, INTO_HEAD, Ending, Fault, FaultProxy, Point
from tests.unit.raw_http import Upstream, reply, upstream

BODY = bytes(range(256)) * 40
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz"
Behind = tuple[Upstream, FaultProxy]


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    """Give a server and a wire to it."""
    async with upstream(reply(BODY)) as server, FaultProxy(server.port) as wire:
        yield server, wire


async def received(wire: FaultProxy) -> tuple[bytes, type[BaseException] | None]:
    """Return all that comes back on a request, and how it ended: None is an end like any other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    content = bytearray()
    try:
        writer.write(REQUEST)
        async with asyncio.timeout(0.15):
            while piece := await reader.read(1000):
                content += piece
    except (OSError, TimeoutError) as error:
        return bytes(content), type(error)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return bytes(content), None


@pytest.mark.parametrize(
    ("how", "end"), [(Ending.RESET, ConnectionResetError), (Ending.CLOSE, None), (Ending.SILENCE, TimeoutError)]
)
@pytest.mark.parametrize("at", [Point.ANSWER, Point.IN_HEAD, Point.IN_BODY])
async def test_an_answer_breaks_where_it_is_told_to(
    behind: Behind, at: Point, how: Ending, end: type[BaseException] | None
) -> None:
    """The server has the whole request; the caller has so many bytes of its answer."""
    server, wire = behind
    wire.go_wrong(Fault(at=at, how=how))
    content, ended = await received(wire)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10240\r\n\r\n"
    expected = {Point.ANSWER: b"", Point.IN_HEAD: head[:INTO_HEAD], Point.IN_BODY: head + BODY[:INTO_BODY]}
    assert (expected[at], end) == (content, ended)
    assert 1 == len(server.received)


@pytest.mark.parametrize("at", [Point.REQUEST, Point.IN_REQUEST])
async def test_a_request_breaks_where_it_is_told_to(behind: Behind, at: Point) -> None:
    """The server never has the whole of it."""
    server, wire = behind
    wire.go_wrong(Fault(at=at))
    assert (b"", ConnectionResetError) == await received(wire)
    assert [] == server.received


async def test_a_slow_wire_changes_nothing_and_a_fault_may_happen_once(behind: Behind) -> None:
    """Every byte comes, in order."""
    server, wire = behind
    wire.go_wrong(
        Fault(latency=0.0001, jitter=0.0002, piece_bytes=999, at=Point.REQUEST, how=Ending.CLOSE, is_once=True)
    )
    assert (b"", None) == await received(wire)
    wire.go_wrong(Fault(latency=0.0001, jitter=0.0002, piece_bytes=999))
    content, ended = await received(wire)
    assert content.endswith(b"\r\n\r\n" + BODY)
    assert ended is TimeoutError  # it is kept open
    assert 1 == len(server.received)


async def test_a_dead_wire_refuses_and_comes_back_at_its_port(behind: Behind) -> None:
    """Connections that were there are reset."""
    _, wire = behind
    port = wire.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    await wire.die()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await wire.start()
    assert port == wire.port
    assert (await received(wire))[0].endswith(BODY)
