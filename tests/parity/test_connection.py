"""Tests of the connection, with a server that says what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.parity.calls import Request
from tests.parity.connection import Connection, Lost

GET = Request(method="GET", target="/a?b=%20")
LENGTH = b"HTTP/1.1 200 OK\r\nX-Twice: 1\r\nx-twice: 2\r\ncontent-length: 3\r\n\r\nabc"
CHUNKS = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: 1\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\n\r\nabc"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
HEAD_ONLY = b"HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n"


@asynccontextmanager
async def server(answers: Sequence[bytes], received: list[bytes]) -> AsyncIterator[str]:
    """Give these answers in turn; one that has no end in itself closes the connection."""
    waiting = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while waiting:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
            received.append(head + await reader.readexactly(length))
            said = waiting.pop(0)
            writer.write(said)
            if said in (CLOSED, b"", LENGTH[:-1]):
                break
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_the_request_goes_out_as_it_was_written() -> None:
    """Target and headers in their spelling and order; the length of the body is added."""
    received: list[bytes] = []
    post = Request(method="POST", target="/%61?q", headers=(("X-b", "1"), ("x-A", "2")), body=b"{}")
    async with server([LENGTH], received) as url, Connection(url) as connection:
        await connection.send(post)
    host = url.removeprefix("http://").encode()
    expected = b"POST /%61?q HTTP/1.1\r\nHost: " + host + b"\r\nX-b: 1\r\nx-A: 2\r\nContent-Length: 2\r\n\r\n{}"
    assert received == [expected]


async def test_the_answer_is_what_came_without_framing() -> None:
    """By length, in chunks, up to the end; headers keep spelling and duplicates."""
    async with server([LENGTH, CHUNKS, NOTHING, CONTINUE + LENGTH, CLOSED], []) as url, Connection(url) as connection:
        first = await connection.send(GET)
        assert (first.status, first.body) == (200, b"abc")
        assert first.headers[:2] == (("X-Twice", "1"), ("x-twice", "2"))
        assert first.all("X-TWICE") == ["1", "2"]
        second = await connection.send(GET)
        assert (second.status, second.body) == (201, b"abc")
        assert (await connection.send(GET)).body == b""
        assert (await connection.send(GET)).body == b"abc"
        assert (await connection.send(GET)).body == b"abc"


async def test_an_answer_to_head_has_no_body() -> None:
    """Whatever length it states, and the connection is used again."""
    async with server([HEAD_ONLY, LENGTH], []) as url, Connection(url) as connection:
        answer = await connection.send(Request(method="HEAD", target="/"))
        assert (answer.status, answer.header("content-length"), answer.body) == (404, "99", b"")
        assert (await connection.send(GET)).body == b"abc"


async def test_a_closed_connection_is_opened_again() -> None:
    """A server may close after an answer; the next request is none the worse for it."""
    async with server([CLOSED, CLOSED], []) as url, Connection(url) as connection:
        assert (await connection.send(GET)).body == b"abc"
        assert (await connection.send(GET)).body == b"abc"


@pytest.mark.parametrize("said", [b"", LENGTH[:-1], b"220 mail.example ready\r\n\r\n"])
async def test_no_answer_is_lost_and_not_asked_for_again(said: bytes) -> None:
    """Nothing, half an answer, or something that is no HTTP."""
    received: list[bytes] = []
    async with server([said, LENGTH], received) as url, Connection(url) as connection:
        with pytest.raises(Lost, match="GET /a"):
            await connection.send(GET)
    assert len(received) == 1
