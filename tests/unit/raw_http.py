"""HTTP by hand: an upstream that records the exact bytes it gets, and a client that shows the exact bytes it is given.

HTTP libraries hide what a proxy can get wrong (targets, header duplicates, framing, truncation), so both ends of the
relay tests are raw sockets. Nothing here knows a search.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]
"""What the upstream does with a request: writes an answer, closes, resets, waits."""


@dataclass(frozen=True)
class Received:
    """One request as the upstream got it. `body` keeps its framing; `connection` counts from 1."""

    connection: int
    head: bytes
    body: bytes

    @property
    def request_line(self) -> str:
        """The first line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The raw request target."""
        return self.request_line.split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in their order and spelling."""
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """Every value of one header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def content(self) -> bytes:
        """The body without its framing."""
        return unchunked(self.body) if self.values("Transfer-Encoding") else self.body


@dataclass
class Upstream:
    """A running upstream and what it has received."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    #: set when the first request is there
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    #: set when a client has gone away while its request was being answered
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    """Serve `script` on a free port."""
    state = Upstream()
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        number = state.connections
        open_writers.add(writer)
        try:
            while (received := await _read_request(reader, number)) is not None:
                state.received.append(received)
                state.asked.set()
                await _watched(script(received, writer), reader, state)
                if writer.is_closing():
                    return
        except ConnectionError:
            pass
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for writer in list(open_writers):
            writer.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # connection tasks see that they are closed


async def _watched(answering: Awaitable[None], reader: asyncio.StreamReader, state: Upstream) -> None:
    """Run a script until it ends or the client is gone."""
    task = asyncio.ensure_future(answering)
    while not task.done():
        await asyncio.wait({task}, timeout=0.005)
        if reader.at_eof() and not task.done():
            state.abandoned.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if not task.cancelled():
        task.result()


async def _read_request(reader: asyncio.StreamReader, number: int) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    received = Received(number, head, b"")
    if received.values("Transfer-Encoding"):
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int((received.values("Content-Length") or ["0"])[0]))
    return Received(number, head, body)


# --- scripts ------------------------------------------------------------------------------------------------


def reply(
    body: bytes = b"{}", *, status: str = "200 OK", headers: tuple[str, ...] = ("Content-Type: application/json",)
) -> Script:
    """Answer every request so; Content-Length is added."""
    return raw(f"HTTP/1.1 {status}\r\n{_lines(*headers, f'Content-Length: {len(body)}')}\r\n".encode() + body)


def raw(answer: bytes, *, then_close: bool = False) -> Script:
    """Answer every request with exactly these bytes."""

    async def script(received: Received, writer: asyncio.StreamWriter) -> None:
        del received
        writer.write(answer)
        await writer.drain()
        if then_close:
            writer.close()

    return script


async def reset(received: Received, writer: asyncio.StreamWriter) -> None:
    """Read the whole request and drop the connection."""
    del received
    writer.transport.abort()


async def hang(received: Received, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    del received, writer
    await asyncio.Event().wait()


def in_turn(*scripts: Script) -> Script:
    """Do with the first request what the first script says, and so on; the last one stays."""
    left = list(scripts)

    async def script(received: Received, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(received, writer)

    return script


# --- the client ---------------------------------------------------------------------------------------------


def request(
    method: str = "GET", target: str = "/", *headers: str, body: bytes = b"", version: str = "1.1", is_last: bool = True
) -> bytes:
    """Return the bytes of a request; Content-Length is added to a body unless its framing is given."""
    is_framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers)
    length = (f"Content-Length: {len(body)}",) if body and not is_framed else ()
    close = ("Connection: close",) if is_last else ()
    lines = _lines("Host: sidecar", *close, *headers, *length)
    return f"{method} {target} HTTP/{version}\r\n{lines}\r\n".encode("latin-1") + body


async def exchange(port: int, content: bytes) -> "Answer":
    """Send bytes on a connection of their own and return everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        async with asyncio.timeout(5):
            return Answer(await reader.read())
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@dataclass(frozen=True)
class Answer:
    """The bytes of an answer."""

    content: bytes

    @property
    def head(self) -> str:
        """Status line and headers."""
        return self.content.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status."""
        return int(self.head.split(" ")[1])

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in their order and spelling."""
        return [
            (name, value.strip()) for name, _, value in (line.partition(":") for line in self.head.split("\r\n")[1:])
        ]

    def values(self, name: str) -> list[str]:
        """Every value of one header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        rest = self.content.partition(b"\r\n\r\n")[2]
        return unchunked(rest) if self.values("Transfer-Encoding") else rest

    @property
    def is_complete(self) -> bool:
        """Whether the framing says that the body has ended where the bytes end."""
        rest = self.content.partition(b"\r\n\r\n")[2]
        if self.values("Transfer-Encoding"):
            return rest.endswith(b"0\r\n\r\n")
        return len(rest) == int(self.values("Content-Length")[0])


def unchunked(body: bytes) -> bytes:
    """Return a chunked body's content."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        content += body[:length]
        body = body[length + 2 :] if length else b""
    return content


def _lines(*headers: str) -> str:
    return "".join(f"{line}\r\n" for line in headers)
