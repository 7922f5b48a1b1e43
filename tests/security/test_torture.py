"""Clients and engines that want to hurt: slow ones, long ones, deep ones, and ones that unfold.

Memory is that of the program in a process of its own, at its peak. Time is bounded by what each exchange may take.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import os
import re
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from sidecar.proxy import connections
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.requests.filter_path import FilterPath
from sidecar.requests.multi_search import MAX_ITEMS
from tests.program.processes import ANYWHERE, QUICK_END, Program, running
from tests.unit.doubles import ScriptedEngine
from tests.unit.raw_http import Answer, exchange, request

MEGABYTE: Final = 1024 * 1024
BOUND: Final = 30.0
"""Seconds that the worst exchange may take on a busy machine."""

# --- slow clients -------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve an engine; gives the port."""
    async with listening(ProxyApp(ScriptedEngine(), {}), Address(host="127.0.0.1", port=0)) as address:
        yield address.port


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Wait until a connection ends and return what came."""
    async with asyncio.timeout(BOUND):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "drip",
    [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: y", b"\r\n"],
    ids=["a method", "a line", "a header", "a line end"],
)
async def test_a_head_that_drips_is_given_up(drip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it goes on; others are answered meanwhile, and an idle connection stays."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    async with serving() as port:
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        idle.write(request("GET", "/a/_doc/1", is_last=False))
        assert b"200 OK" in await idle_reader.readuntil(b"/a/_doc/1 0")
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]

        async def dribble(writer: asyncio.StreamWriter) -> None:
            writer.write(drip)
            while not writer.is_closing():
                writer.write(b"x" if drip != b"\r\n" else drip)
                await asyncio.sleep(0.02)

        dribbling = [asyncio.ensure_future(dribble(writer)) for _, writer in slow]
        try:
            answer = await exchange(port, request("GET", "/a/_doc/2"))
            ends = {(await closed(reader))[:12] for reader, _ in slow}
            idle.write(request("GET", "/a/_doc/3"))
            still = await closed(idle_reader)
        finally:
            for task in dribbling:
                task.cancel()
            await asyncio.wait(dribbling)
            for writer in (idle, *(writer for _, writer in slow)):
                writer.transport.abort()
    assert 200 == answer.status
    assert ends <= {b"", b"HTTP/1.0 400"}
    assert b"200 OK" in still


async def test_a_head_in_two_parts_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stops with it, also where a long answer follows."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(3):
            sent = request("GET", f"/a/_doc/{number}", is_last=False)
            writer.write(sent[:20])
            await writer.drain()
            await asyncio.sleep(0.12)  # less than the patience, and together more
            writer.write(sent[20:])
            assert b"200 OK" in await reader.readuntil(f"/a/_doc/{number} 0".encode())
        writer.close()


async def test_a_head_without_end_is_refused() -> None:
    """Many lines, each of which is allowed: together they are too much."""
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
        sent = 0
        try:
            for number in range(200):
                writer.write(b"X-%d: %s\r\n" % (number, b"y" * 60_000))
                sent += 60_000
                await writer.drain()
        except ConnectionError:
            pass
        content = await closed(reader)
        writer.close()
    assert content == b"" or content.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert sent < 12_000_000


@pytest.mark.parametrize("size", [8_000, 60_000])
async def test_a_long_header_arrives(size: int) -> None:
    """Up to the length that both engines refuse themselves."""
    async with serving() as port:
        answer = await exchange(port, request("GET", "/a/_doc/1", f"X-Long: {'y' * size}"))
    assert 200 == answer.status


def test_a_filter_of_stars_is_matched_at_once() -> None:
    """Each of them could stand for any part of a name; tried in every combination that would take years."""
    for pattern in ("*" * 5000 + "x", "*a" * 500, "*_" * 2000 + "*"):
        found = FilterPath.parse(f"hits.{pattern},{pattern}")
        assert found is not None
        assert not found.shows("max_score") or pattern.endswith("*")


# --- what unfolds -------------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    """Return gzip that decodes to about `size` zeros, a thousandth of that."""
    encoder = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = encoder.compress(bytes(MEGABYTE)) + encoder.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + piece * (size // MEGABYTE) + end + struct.pack("<LL", 0, size & 0xFFFFFFFF)


_HIT: Final = b'{"_index":"a","_id":"%d","_score":1.0,"_source":%s}'


def _hit(source: bytes) -> bytes:
    """Return an answer with that document, and another one."""
    hits = b",".join(_HIT % (number, each) for number, each in enumerate((source, b'{"text":"b"}')))
    return b'{"hits":{"total":{"value":2},"max_score":1.0,"hits":[' + hits + b"]}}"


@functools.cache
def ten_gigabytes() -> bytes:
    """Return ten megabytes that decode to ten gigabytes."""
    return bomb(10 * 1024 * MEGABYTE)


def _query_string(text: str) -> bytes:
    return json.dumps({"query": {"query_string": {"query": text}}}).encode()


ALLOWED: Final = 384 * MEGABYTE
"""More than what the program had before: a body of 16 MiB or a document of 30 MB, and what reading it takes."""

UNPACKED: Final = 128 * MEGABYTE
"""The same for what decodes to more than is decoded."""

GZIP: Final = "Content-Encoding: gzip"
JSON: Final = "Content-Type: application/json"
NDJSON: Final = "Content-Type: application/x-ndjson"
DEEP: Final = 100_000
LINE: Final = b'{}\n{"query":{"match":{"text":"a"}}}\n'

BOMBS: Final[dict[str, tuple[str, tuple[str, ...], Callable[[], bytes]]]] = {
    "gzip": ("/a/_search", (JSON, GZIP), lambda: ten_gigabytes()),
    "gzip msearch": ("/_msearch", (NDJSON, GZIP), lambda: ten_gigabytes()),
    "gzip of gzip": ("/a/_search", (JSON, "Content-Encoding: gzip, gzip"), lambda: gzip.compress(ten_gigabytes())),
    "gzip bulk": ("/_bulk", (NDJSON, GZIP), lambda: ten_gigabytes()),
    "deflate": ("/a/_search", (JSON, "Content-Encoding: deflate"), lambda: b"\x78\xda" + ten_gigabytes()[10:]),
    "deep arrays": ("/a/_search", (JSON,), lambda: b'{"query":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "deep objects": ("/a/_search", (JSON,), lambda: b'{"query":' * DEEP + b"1" + b"}" * DEEP),
    "deep without end": ("/a/_search", (JSON,), lambda: b"[" * 10 * MEGABYTE),
    "deep msearch": ("/_msearch", (NDJSON,), lambda: b"{}\n" + b'{"query":' * DEEP + b"1" + b"}" * DEEP + b"\n"),
    "deep header of an msearch": ("/_msearch", (NDJSON,), lambda: b"[" * DEEP + b"]" * DEEP + b"\n{}\n"),
    "many keys": (
        "/a/_search",
        (JSON,),
        lambda: b"{" + b",".join(b'"k%d":1' % number for number in range(1_000_000)) + b"}",
    ),
    "a long number": ("/a/_search", (JSON,), lambda: b'{"size":' + b"9" * 10_000_000 + b"}"),
    "a long word": ("/a/_search", (JSON,), lambda: b'{"query":{"match":{"text":"' + b"x" * 15_000_000 + b'"}}}'),
    "many escapes": ("/a/_search", (JSON,), lambda: b'{"query":{"match":{"text":"' + b"\\u0041" * 2_000_000 + b'"}}}'),
    "many clauses": (
        "/a/_search",
        (JSON,),
        lambda: b'{"query":{"bool":{"should":[' + b",".join([b'{"match":{"text":"a"}}'] * 300_000) + b"]}}}",
    ),
    "many searches": ("/_msearch", (NDJSON,), lambda: LINE * (15 * MEGABYTE // len(LINE))),
    "many empty searches": ("/_msearch", (NDJSON,), lambda: b"{}\n" * (15 * MEGABYTE // 3)),
    "many templates": ("/_msearch/template", (NDJSON,), lambda: b'{}\n{"id":"a"}\n' * (15 * MEGABYTE // 14)),
    "just enough searches": ("/_msearch", (NDJSON,), lambda: LINE * MAX_ITEMS),
    "a query string of brackets": ("/a/_search", (JSON,), lambda: _query_string("(" * 100_000)),
    "a query string of quotes": ("/a/_search", (JSON,), lambda: _query_string('\\"' * 100_000)),
    "a query string of backslashes": ("/a/_search", (JSON,), lambda: _query_string("\\\\" * 100_000)),
    "a query string of stars": ("/a/_search", (JSON,), lambda: _query_string("*a" * 100_000)),
    "a query string of tildes": ("/a/_search", (JSON,), lambda: _query_string("a~1" * 100_000)),
    "a query string of marks": ("/a/_search", (JSON,), lambda: _query_string("?" * 100_000 + "a")),
    "deep rerank": ("/v1/rerank", (JSON,), lambda: b'{"query":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "many documents": (
        "/v1/rerank",
        (JSON,),
        lambda: b'{"query":"a","documents":[' + b",".join([b'"b"'] * 1_000_000) + b"]}",
    ),
    "a long body": ("/a/_search", (JSON,), lambda: b"{" + b" " * 40 * MEGABYTE + b"}"),
}
ANSWERS: Final[dict[str, tuple[tuple[tuple[str, str], ...], Callable[[], bytes]]]] = {
    "gzip": ((("Content-Encoding", "gzip"),), lambda: ten_gigabytes()),
    "deep": ((), lambda: _hit(b'{"text":' + b"[" * DEEP + b"]" * DEEP + b"}")),
    "number": ((), lambda: _hit(b'{"text":"a","n":' + b"9" * 10_000_000 + b"}")),
    "hits": ((), lambda: b'{"hits":{"hits":[' + b",".join([_HIT % (1, b'{"text":"a"}')] * 10_000) + b"]}}"),
    "keys": ((), lambda: _hit(b"{" + b",".join(b'"k%d":1' % number for number in range(500_000)) + b"}")),
    "tags": ((), lambda: _hit(b'{"text":"' + b"<a <!-- <![ &#" * 100_000 + b'"}')),
    "long": ((), lambda: _hit(b'{"text":"' + b"word " * 6_000_000 + b'"}')),
    "longer": ((), lambda: b'{"hits":{"hits":[' + b" " * 64 * MEGABYTE + b"]}}"),
}
"""Of an engine, or of whoever writes to its indices, by index."""


@dataclass(frozen=True)
class Tortured:
    """The program, and how much memory it takes."""

    program: Program
    port: int

    def peak(self) -> int:
        """Return the most that it has had since `forget_peak`, in bytes."""
        status = Path(f"/proc/{self.program.pid}/status").read_text(encoding="ascii")
        return int((re.search(r"VmHWM:\s+(\d+) kB", status) or ["", "0"])[1]) * 1024

    def forget_peak(self) -> int:
        """Forget the peak; return what it has now."""
        Path(f"/proc/{self.program.pid}/clear_refs").write_text("5", encoding="ascii")
        return self.peak()

    async def ask(self, target: str, *headers: str, body: bytes) -> Answer:
        """Send a request, half of it at a time, and one for a probe beside it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(BOUND):
            try:
                writer.write(request("POST", target, *headers, body=body))
                probed = await exchange(self.port, request("GET", "/_rerank/live"))
                assert 200 == probed.status
                return Answer(await reader.read())
            finally:
                writer.close()


@functools.lru_cache(maxsize=1)
def _answer(index: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
    headers, made = ANSWERS.get(index, ((), lambda: b'{"hits":{"hits":[]}}'))
    return headers, made()


class Engine(BaseHTTPRequestHandler):
    """An engine that answers by index."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the request to its end and answer."""
        if self.headers.get("Transfer-Encoding"):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers, body = _answer(self.path.split("/")[1])
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), *headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The engine's server."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing of callers who go away."""


@pytest.fixture(scope="module")
def tortured() -> Iterator[Tortured]:
    """The program in front of such an engine, with a scorer that costs nothing."""
    server = Server(("127.0.0.1", 0), Engine)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"elasticsearch+http://127.0.0.1:{server.server_address[1]}"
    scorer = ("--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", "--engine", url, "--listen", ANYWHERE, *scorer, **QUICK_END) as program:
        yield Tortured(program, int(program.url.rpartition(":")[2]))
    server.shutdown()
    server.server_close()


IS_LONG: Final = "RERANK_SECURITY_REQUESTS" in os.environ
"""Whether all of them are played, as `make security` does, or the worst."""

WORST: Final = ("gzip", "deep objects", "many keys", "many clauses", "many searches", "a query string of marks")


@pytest.mark.parametrize("name", BOMBS if IS_LONG else WORST)
async def test_a_request_that_unfolds_is_bounded(tortured: Tortured, name: str) -> None:
    """It is answered, and takes little more memory than it has bytes."""
    target, headers, body = BOMBS[name]
    before = tortured.forget_peak()
    answer = await tortured.ask(target, *headers, body=body())
    grown = tortured.peak() - before
    assert answer.status in {200, 400, 413}
    assert grown <= (ALLOWED if GZIP not in headers else UNPACKED)


@pytest.mark.parametrize("name", ANSWERS if IS_LONG else ("gzip", "tags"))
async def test_an_answer_that_unfolds_is_bounded(tortured: Tortured, name: str) -> None:
    """The caller gets the engine's hits, and the proxy takes little memory for them."""
    body = b'{"query":{"match":{"text":"a"}},"ext":{"rerank":{"strip_html":true,"fields":["text"]}}}'
    before = tortured.forget_peak()
    answer = await tortured.ask(f"/{name}/_search", JSON, body=body)
    grown = tortured.peak() - before
    assert 200 == answer.status
    assert answer.is_complete
    assert grown <= ALLOWED


async def test_a_caller_that_does_not_read_costs_little(tortured: Tortured) -> None:
    """A long answer waits at the engine, not here."""
    before = tortured.forget_peak()
    sent = request("POST", "/longer/_doc/1", body=b"{}")
    opened = [await asyncio.open_connection("127.0.0.1", tortured.port, limit=1024) for _ in range(8)]
    for _, writer in opened:
        writer.write(sent)
    for reader, _ in opened:
        await reader.readuntil(b"\r\n\r\n")
    answer = await tortured.ask("/a/_search", JSON, body=b"{}")
    assert 200 == answer.status
    grown = tortured.peak() - before
    for _, writer in opened:
        writer.transport.abort()
    assert grown <= 64 * MEGABYTE
