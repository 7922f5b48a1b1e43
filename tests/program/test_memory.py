"""What passes through does not stay: a large `_bulk`, and a large answer, in a little memory."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.program.processes import ANYWHERE, QUICK_END, running

MEGABYTE = 1024 * 1024
LENGTH = 100 * MEGABYTE
ALLOWED = 16 * MEGABYTE
PIECE = b'{"index":{}}\n{"text":"tea"}\n' * 4096
ANSWER = b'{"errors":false,"items":[]}'


@asynccontextmanager
async def engine(received: list[int]) -> AsyncIterator[str]:
    """An engine that reads bodies to their end, and whose `_large` is as long as what was sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int((re.search(rb"(?i)content-length: *(\d+)", head) or [b"", b"0"])[1])
                left = length
                while left:
                    left -= len(await reader.read(min(left, MEGABYTE)))
                received.append(length)
                count = LENGTH if b"/_large" in head else len(ANSWER)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % count)
                if count == LENGTH:
                    for _ in range(LENGTH // MEGABYTE):
                        writer.write(b" " * MEGABYTE)
                        await writer.drain()
                else:
                    writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MEGABYTE)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def talk(url: str, head: str, length: int = 0) -> int:
    """Send a request with a body of some length and return the length of the answer's body."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=MEGABYTE)
    writer.write(f"{head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n".encode())
    writer.write(b"Content-Type: application/x-ndjson\r\n\r\n")
    sent = 0
    while sent < length:
        piece = PIECE[: length - sent]
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
    status = await reader.readuntil(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 200"), status
    count = 0
    while piece := await reader.read(MEGABYTE):
        count += len(piece)
    writer.close()
    return count


def peak(pid: int) -> int:
    """Return the most memory in bytes that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int((re.search(r"VmHWM:\s+(\d+) kB", status) or ["", "0"])[1]) * 1024


async def test_what_passes_through_does_not_stay() -> None:
    """100 MiB up and 100 MiB down, in 16 MiB beside what the program needs anyway."""
    received: list[int] = []
    async with engine(received) as url:
        command = ("serve", "--engine", f"elasticsearch+{url}", "--listen", ANYWHERE)
        scorer = ("--scorer", "test:identity", "--allow-test-scorers")
        with running(*command, *scorer, **QUICK_END) as program:
            await asyncio.to_thread(lambda: program.url)  # waits until it listens
            for _ in range(3):
                assert len(ANSWER) == await talk(program.url, "POST /_bulk", 5 * MEGABYTE)
            before = peak(program.pid)
            assert len(ANSWER) == await talk(program.url, "POST /_bulk", LENGTH)
            assert LENGTH == await talk(program.url, "GET /books/_large")
            after = peak(program.pid)
    assert LENGTH in received
    assert after - before <= ALLOWED
