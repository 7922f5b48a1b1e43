"""The wire of the fuzz tests: kept connections, bodies in one piece or in chunks, and what is no answer as a value.

Law: what a case says is what goes out; only Host and the framing are added.
"""

import asyncio

from tests.fuzz.cases import Request
from tests.parity.connection import Answer, Connection, Lost

NO_ANSWER = Answer(0, (), b"")
"""The connection was closed without an answer."""

HANGS = Answer(-1, (), b"")
"""There was no answer in PATIENCE seconds."""

PATIENCE = 20.0


class Wire(Connection):
    """One kept connection to one server."""

    async def ask(self, request: Request) -> Answer:
        """Send a request and return its answer; NO_ANSWER when there is none the second time either, or HANGS."""
        for _ in range(2):  # a kept connection may have been closed meanwhile
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self.send(request)  # type: ignore[arg-type]  # has the same members
            except Lost:
                continue
            except TimeoutError:
                await self.close()
                return HANGS
        return NO_ANSWER

    def _bytes(self, request: Request) -> bytes:  # type: ignore[override]
        head = [f"{request.method} {request.target} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        head += [f"{name}: {value}" for name, value in request.headers]
        body = request.body
        if body is None:
            return _head(head)
        if request.is_chunked:
            pieces = (body[:7], body[7:])
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
            return _head([*head, "Transfer-Encoding: chunked"]) + chunks + b"0\r\n\r\n"
        return _head([*head, f"Content-Length: {len(body)}"]) + body


def _head(lines: list[str]) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("utf-8")
