"""HTTP in, a connector, HTTP out: on the wire, over an upstream that records every byte."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.http_writer import StreamWriter

from connectors.base import Connector, Headers, header
from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar.errors import ScorerLost
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy import app as proxy_app
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints, Guarded, json_response
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, match
from tests.unit.raw_http import Answer, Script, Upstream, exchange, hang, in_turn, raw, reply, request, reset, upstream

JSON_BODY = "Content-Type: application/json"
ONCE = Policy(defaults=RerankOptions(fetch="once"))
SEARCH_BODY = json.dumps(match()).encode()


@dataclass
class Proxy:
    """A running proxy and the upstream behind it."""

    port: int
    engine: Upstream

    async def send(self, *args: Any, **kwargs: Any) -> Answer:
        """Send one request on a connection of its own."""
        return await exchange(self.port, request(*args, **kwargs))


ProxyOf = Callable[..., AbstractAsyncContextManager[Proxy]]


@asynccontextmanager
async def serving(engine: Connector | None, endpoints: Endpoints | None = None) -> AsyncIterator[int]:
    """Serve a connector; gives the port."""
    async with listening(ProxyApp(engine, endpoints or {}), Address(host="127.0.0.1", port=0)) as address:
        yield address.port


@asynccontextmanager
async def bare(script: Script, **options: Any) -> AsyncIterator[Proxy]:
    """Serve an upstream through a bare connector: the proxy must be invisible."""
    async with upstream(script) as engine:
        relay = Relay([engine.url], EngineOptions(**options))
        async with RelayConnector(relay, EngineFacts(product="unknown")) as connector, serving(connector) as port:
            yield Proxy(port, engine)


@asynccontextmanager
async def reranked(script: Script, scorer: Scorer | None = None, **options: Any) -> AsyncIterator[Proxy]:
    """Serve an upstream through a reranking connector."""
    async with upstream(script) as engine:
        relay = Relay([engine.url], EngineOptions(**options))
        async with RelayConnector(relay, EngineFacts(product="unknown")) as connector:
            reranking = RerankingConnector(connector, scorer or ScriptedScorer(), ONCE)
            async with serving(reranking) as port:
                yield Proxy(port, engine)


@pytest.fixture(params=[bare, reranked], ids=["bare", "reranked"])
def proxy_of(request: pytest.FixtureRequest) -> ProxyOf:
    """Either kind of proxy: whatever is no search looks the same through both."""
    found: ProxyOf = request.param
    return found


# --- requests arrive as they were sent ----------------------------------------------------------------------

TARGETS = [
    "/a%2Cb,%3Clogs-%7Bnow%2Fd%7D%3E/_doc/1?q=a+b%20c%2B&x=%zz&y",
    "/a/../b/_doc/1",
    "/a/%2e%2e/b",
    "//x/_search",
    "/i%2fj/%3cx%3e",
    "/i/_doc/100%",
    '/_count?q={"a":"b|c"}',
    "/_count?",
    "/_count?a=%C3%A4&b=%25",
    "/a;b/_count?x=1;y=2",
    "/a+b/_count",
    "/a%25b/_count",
    "/%zz/_count",
    "/" + "u" * 9000,
]


@pytest.mark.parametrize("target", TARGETS, ids=[target[:24] for target in TARGETS])
async def test_targets_arrive_as_they_were_sent(proxy_of: ProxyOf, target: str) -> None:
    """Nothing is decoded, normalised or encoded anew: that would be somebody else's index."""
    async with proxy_of(reply()) as proxy:
        assert 200 == (await proxy.send("GET", target)).status
    assert target == proxy.engine.received[0].target


async def test_nothing_is_added_to_a_request(proxy_of: ProxyOf) -> None:
    """A GET without a body arrives with Host alone."""
    async with proxy_of(reply()) as proxy:
        await proxy.send("GET", "/books")
    (received,) = proxy.engine.received
    assert [("host", f"127.0.0.1:{proxy.engine.port}")] == [(name.lower(), value) for name, value in received.headers]


async def test_headers_arrive_but_for_the_hop_by_hop_ones(proxy_of: ProxyOf) -> None:
    """Duplicates in any case, long ones, credentials; and no header that Connection names."""
    async with proxy_of(reply()) as proxy:
        await proxy.send(
            "GET",
            "/",
            "x-foo: 1",
            "X-Foo: 2",
            "Authorization: ApiKey a",
            "X-Opaque-Id: 7",
            f"X-Long: {'v' * 12_000}",
            "Connection: X-Api, Authorization, Content-Type",
            "X-Api: gone",
            "Content-Type: application/json",
            "TE: trailers",
            "Proxy-Authorization: gone",
        )
    (received,) = proxy.engine.received
    values = {name: received.values(name) for name in ("x-foo", "Authorization", "X-Opaque-Id", "Content-Type")}
    assert {
        "x-foo": ["1", "2"],
        "Authorization": ["ApiKey a"],
        "X-Opaque-Id": ["7"],
        "Content-Type": ["application/json"],
    } == values
    assert [12_000] == [len(value) for value in received.values("X-Long")]
    assert [] == [name for name, _ in received.headers if name.lower() in {"x-api", "te", "proxy-authorization"}]


@pytest.mark.parametrize("value", [b"a\xffb", "ä".encode("latin-1"), "ä".encode(), b"\xed\xa0\x80"])
async def test_header_bytes_go_on_as_they_came(proxy_of: ProxyOf, value: bytes) -> None:
    """Both ways, UTF-8 or not: the engines send an X-Opaque-Id back as they got it."""
    text = value.decode("latin-1")
    async with proxy_of(raw(b"HTTP/1.1 200 OK\r\nX-Opaque-Id: " + value + b"\r\nContent-Length: 0\r\n\r\n")) as proxy:
        answer = await proxy.send("GET", "/", f"X-Opaque-Id: {text}", "X-After: 1")
    (received,) = proxy.engine.received
    assert ([text], ["1"]) == (received.values("X-Opaque-Id"), received.values("X-After"))
    assert (200, [text]) == (answer.status, answer.values("X-Opaque-Id"))


async def test_headers_of_ours_do_not_reach_the_engine() -> None:
    """Through a reranking connector, whatever the request is."""
    async with reranked(reply()) as proxy:
        await proxy.send("GET", "/books/_doc/1", "X-Rerank: on")
        await proxy.send("POST", "/_search", "X-Rerank-Window: 5", JSON_BODY, body=b'{"query":{"match_all":{}}}')
    assert [] == [name for got in proxy.engine.received for name, _ in got.headers if name.lower().startswith("x-r")]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
async def test_a_body_arrives_with_any_method(proxy_of: ProxyOf, method: str) -> None:
    """With its length."""
    async with proxy_of(reply()) as proxy:
        await proxy.send(method, "/books/_doc/1", JSON_BODY, body=b'{"a" : 1}')
    (received,) = proxy.engine.received
    assert (b'{"a" : 1}', ["9"]) == (received.body, received.values("Content-Length"))


async def test_a_chunked_body_arrives_chunked(proxy_of: ProxyOf) -> None:
    """Chunk extensions are framing, and go."""
    async with proxy_of(reply()) as proxy:
        body = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        await proxy.send("POST", "/_bulk", "Transfer-Encoding: chunked", body=body)
    (received,) = proxy.engine.received
    assert (["chunked"], [], b"abcde") == (
        received.values("Transfer-Encoding"),
        received.values("Content-Length"),
        received.content,
    )


async def test_a_compressed_body_arrives_compressed(proxy_of: ProxyOf) -> None:
    """With its encoding and its length."""
    body = gzip.compress(b'{"index":{}}\n{}\n')
    async with proxy_of(reply()) as proxy:
        await proxy.send("POST", "/_bulk", "Content-Encoding: gzip", body=body)
    (received,) = proxy.engine.received
    assert (body, ["gzip"]) == (received.body, received.values("Content-Encoding"))


async def test_a_large_body_arrives(proxy_of: ProxyOf) -> None:
    """Two megabytes of documents."""
    body = b"x" * (2 << 20)
    async with proxy_of(reply()) as proxy:
        assert 200 == (await proxy.send("POST", "/_bulk", body=body)).status
    assert len(body) == len(proxy.engine.received[0].body)


@pytest.mark.parametrize("target", ["/_bulk", "/_search"])
async def test_expect_continue_is_answered_by_us(proxy_of: ProxyOf, target: str) -> None:
    """The client then sends its body, and the engine never sees the question."""
    async with proxy_of(reply(b"done")) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request("POST", target, "Expect: 100-continue", "Content-Length: 2"))
        async with asyncio.timeout(2):
            assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{}")
        assert b"done" == Answer(await reader.read()).body
        writer.close()
        await writer.wait_closed()
    assert (b"{}", []) == (proxy.engine.received[0].body, proxy.engine.received[0].values("Expect"))


async def test_pipelined_requests_are_answered_in_order(proxy_of: ProxyOf) -> None:
    """Three on one connection."""

    async def echo(received: Any, writer: asyncio.StreamWriter) -> None:
        await reply(received.target.encode())(received, writer)

    async with proxy_of(echo) as proxy:
        sent = request("GET", "/1", is_last=False) + request("GET", "/2", is_last=False) + request("GET", "/3")
        answer = await exchange(proxy.port, sent)
    assert [b"/1", b"/2", b"/3"] == [part[:2] for part in answer.content.split(b"\r\n\r\n")[1:]]


# --- answers come back as they were given -------------------------------------------------------------------


async def test_an_answer_keeps_everything(proxy_of: ProxyOf) -> None:
    """Status line, header duplicates, order and bytes; nothing of ours is added."""
    body = b'{"error" : "\xff", "status":409}\n'
    headers = ("Warning: a", "warning: b", "X-Elastic-Product: Elasticsearch", "content-type: application/json")
    async with proxy_of(reply(body, status="409 Conflict", headers=headers)) as proxy:
        answer = await proxy.send("PUT", "/books", "Connection: keep-alive", is_last=True)
    assert "HTTP/1.1 409 Conflict" == answer.head.split("\r\n")[0]
    assert body == answer.body
    expected = [
        ("warning", "a"),
        ("warning", "b"),
        ("x-elastic-product", "Elasticsearch"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
    ]
    assert expected == [(n.lower(), v) for n, v in answer.headers if n.lower() != "connection"]


async def test_an_answer_without_a_media_type_gets_none(proxy_of: ProxyOf) -> None:
    """Nor a Date, nor a Server."""
    async with proxy_of(reply(b"", headers=())) as proxy:
        answer = await proxy.send("GET", "/")
    assert [("content-length", "0")] == [(n.lower(), v) for n, v in answer.headers if n.lower() != "connection"]


async def test_what_the_engine_says_of_itself_stays(proxy_of: ProxyOf) -> None:
    """Some have a Date and a Server, cookies, or an authentication challenge."""
    headers = ("Date: yesterday", "Server: them", "Set-Cookie: a=b", "Set-Cookie: c=d", "WWW-Authenticate: Basic")
    async with proxy_of(reply(headers=headers, status="401 Unauthorized")) as proxy:
        answer = await proxy.send("GET", "/")
    assert (["yesterday"], ["them"]) == (answer.values("Date"), answer.values("Server"))
    assert ["a=b", "c=d"] == answer.values("Set-Cookie")
    assert ["Basic"] == answer.values("WWW-Authenticate")


async def test_a_compressed_answer_stays_compressed(proxy_of: ProxyOf) -> None:
    """Byte for byte."""
    body = gzip.compress(b"{}")
    async with proxy_of(reply(body, headers=("Content-Encoding: gzip",))) as proxy:
        answer = await proxy.send("GET", "/", "Accept-Encoding: gzip")
    assert (body, ["gzip"]) == (answer.body, answer.values("Content-Encoding"))
    assert ["gzip"] == proxy.engine.received[0].values("Accept-Encoding")


async def test_a_chunked_answer_stays_chunked(proxy_of: ProxyOf) -> None:
    """And ends with its last chunk."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with proxy_of(raw(chunked)) as proxy:
        answer = await proxy.send("GET", "/")
    assert (["chunked"], b"abcde", True) == (answer.values("Transfer-Encoding"), answer.body, answer.is_complete)


async def test_an_answer_that_ends_with_its_connection_is_complete(proxy_of: ProxyOf) -> None:
    """As HTTP/1.0 servers give them."""
    async with proxy_of(raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", then_close=True)) as proxy:
        answer = await proxy.send("GET", "/")
    assert (b"abc", True) == (answer.body, answer.is_complete)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_head_has_the_length_of_a_get(proxy_of: ProxyOf, status: str) -> None:
    """And no body."""
    script = raw(f"HTTP/1.1 {status}\r\nContent-Length: 1234\r\nContent-Type: application/json\r\n\r\n".encode())
    async with proxy_of(script) as proxy:
        answer = await proxy.send("HEAD", "/books")
    assert (int(status[:3]), ["1234"], b"") == (answer.status, answer.values("Content-Length"), answer.body)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_has_none(proxy_of: ProxyOf, status: str) -> None:
    """Nor a framing of one."""
    async with proxy_of(raw(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())) as proxy:
        answer = await proxy.send("GET", "/")
    assert (int(status[:3]), b"", []) == (answer.status, answer.body, answer.values("Transfer-Encoding"))
    assert ["x"] == answer.values("ETag")


async def test_a_long_answer_header_comes_back(proxy_of: ProxyOf) -> None:
    """Deprecation warnings can be long."""
    async with proxy_of(reply(headers=(f"Warning: {'w' * 20_000}",))) as proxy:
        answer = await proxy.send("GET", "/")
    assert [20_000] == [len(value) for value in answer.values("Warning")]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
    ids=["shorter than its length", "without the last chunk"],
)
async def test_a_truncated_answer_never_looks_complete(
    proxy_of: ProxyOf, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees what came, and a connection that closes too early."""
    with caplog.at_level(logging.WARNING):
        async with proxy_of(raw(answer, then_close=True)) as proxy:
            got = await proxy.send("GET", "/", is_last=False)
    assert (b"abc", False) == (got.body, got.is_complete)
    assert "engine_answer_broke_off" in caplog.text


async def test_an_answer_is_streamed_as_it_comes(proxy_of: ProxyOf) -> None:
    """The first chunk is there before the second one is sent."""
    go_on = asyncio.Event()

    async def in_two(received: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go_on.wait()
        writer.write(b"2\r\nde\r\n0\r\n\r\n")

    async with proxy_of(in_two) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request("GET", "/"))
        async with asyncio.timeout(2):
            await reader.readuntil(b"3\r\nabc\r\n")
        go_on.set()
        assert b"2\r\nde\r\n0\r\n\r\n" == await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_head_does_not_wait_for_its_body(proxy_of: ProxyOf) -> None:
    """Which may be a search that takes minutes."""
    go_on = asyncio.Event()

    async def slow(received: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        await go_on.wait()
        writer.write(b"abc")

    async with proxy_of(slow) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request("GET", "/"))
        async with asyncio.timeout(2):
            await reader.readuntil(b"\r\n\r\n")
        go_on.set()
        assert b"abc" == await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_head_and_body_that_are_both_here_are_sent_as_one(
    proxy_of: ProxyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending is the most that an answer costs us."""
    sent: list[bytes] = []
    async with proxy_of(reply(b"abc")) as proxy:
        write, several = StreamWriter._write, StreamWriter._writelines

        def is_answer(writer: StreamWriter) -> bool:
            return writer.transport is not None and writer.transport.get_extra_info("sockname")[1] == proxy.port

        def recorded(writer: StreamWriter, chunk: bytes) -> None:
            if is_answer(writer):
                sent.append(chunk)
            write(writer, chunk)

        def recorded_several(writer: StreamWriter, chunks: Sequence[bytes]) -> None:
            recorded(writer, b"".join(chunks)) if is_answer(writer) else several(writer, chunks)

        monkeypatch.setattr(StreamWriter, "_write", recorded)
        monkeypatch.setattr(StreamWriter, "_writelines", recorded_several)
        await proxy.send("GET", "/")
    assert 1 == len(sent)
    assert sent[0].endswith(b"\r\n\r\nabc")


# --- once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "POST"])
async def test_a_request_that_the_engine_has_read_is_not_sent_again(proxy_of: ProxyOf, method: str) -> None:
    """It is the client's to decide; a 502 says that nobody knows."""
    async with proxy_of(in_turn(reply(), reset)) as proxy:
        await proxy.send(method, "/books/_doc/1", JSON_BODY, body=b"{}")
        answer = await proxy.send(method, "/books/_doc/1", JSON_BODY, body=b"{}")
    assert (502, 2) == (answer.status, len(proxy.engine.received))


async def test_a_reranked_search_on_a_dead_connection_is_repeated_once() -> None:
    """It is read-only, and the client would see an error that is none."""
    page = reply(ScriptedEngine("bb", "a").render({}).encode())
    async with reranked(in_turn(page, reset, page)) as proxy:
        answers = [await proxy.send("POST", "/_search", JSON_BODY, body=SEARCH_BODY) for _ in range(2)]
    answer = answers[1]
    assert (200, 3) == (answer.status, len(proxy.engine.received))
    assert b'"_id":"2"' in answer.body.partition(b'"_id":"1"')[0]


async def test_a_client_that_goes_away_ends_the_request(proxy_of: ProxyOf) -> None:
    """The engine sees a closed connection and can cancel its search."""
    async with proxy_of(hang) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request("POST", "/_search", JSON_BODY, body=SEARCH_BODY))
        async with asyncio.timeout(2):
            await proxy.engine.asked.wait()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(2):
            await proxy.engine.abandoned.wait()


async def test_a_client_that_goes_away_ends_the_scoring() -> None:
    """Nobody scores for nobody."""
    asked, cancelled = asyncio.Event(), asyncio.Event()

    class Endless(ScriptedScorer):
        async def score(self, query: str, texts: Any, *, deadline: float | None = None) -> list[float]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return []

    async with serving(RerankingConnector(ScriptedEngine("bb", "a"), Endless())) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({**match(), "ext": {"rerank": {"deadline_ms": 0}}}).encode()
        writer.write(request("POST", "/_search", JSON_BODY, body=body))
        async with asyncio.timeout(2):
            await asked.wait()
            writer.close()
            await writer.wait_closed()
            await cancelled.wait()


# --- no answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/books", "/_search"])
async def test_an_engine_that_is_down_is_a_502(target: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the engine's shape, so that clients can read it."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    with caplog.at_level(logging.WARNING):
        async with RelayConnector(Relay([url]), EngineFacts(product="unknown")) as connector:
            reranking = RerankingConnector(connector, ScriptedScorer(), ONCE)
            async with serving(reranking) as port:
                answer = await exchange(port, request("POST", target, JSON_BODY, body=SEARCH_BODY))
    error = json.loads(answer.body)
    assert (502, 502, "engine_unavailable") == (answer.status, error["status"], error["error"]["root_cause"][0]["type"])
    assert "cannot be reached" in error["error"]["reason"]
    assert ["application/json"] == answer.values("Content-Type")
    assert "engine_error" in caplog.text


@pytest.mark.parametrize("target", ["/books", "/_search"])
async def test_an_engine_that_is_late_is_a_504(proxy_of: ProxyOf, target: str) -> None:
    """After the time that was configured."""
    async with proxy_of(hang, read_timeout=0.03) as proxy:
        answer = await proxy.send("POST", target, JSON_BODY, body=SEARCH_BODY)
    assert (504, "engine_timeout") == (answer.status, json.loads(answer.body)["error"]["type"])
    assert 1 == len(proxy.engine.received)


async def test_one_dead_node_of_several_costs_nothing() -> None:
    """The next one answers."""
    async with upstream(reply(b"alive")) as engine:
        relay = Relay(["http://127.0.0.1:9", engine.url])
        async with RelayConnector(relay, EngineFacts(product="unknown")) as connector, serving(connector) as port:
            answers = [await exchange(port, request("GET", f"/{number}")) for number in range(3)]
    assert [b"alive"] * 3 == [answer.body for answer in answers]


# --- what no engine is to see -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("GET", "http://evil/x"), 400),
        (request("OPTIONS", "*"), 400),
        (request("POST", "/_bulk", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n", version="1.0"), 400),
        (request("GET", "/", version="0.9"), 400),
        (b"GET /\r\n\r\n", 400),
        (request("CONNECT", "/"), 405),
    ],
    ids=["absolute form", "asterisk", "HTTP/1.0 and chunked", "HTTP/0.9", "HTTP/0.9 without a version", "CONNECT"],
)
async def test_what_no_engine_is_to_see_is_refused(proxy_of: ProxyOf, sent: bytes, status: int) -> None:
    """In the engine's shape and with its status, and the connection ends."""
    async with proxy_of(reply()) as proxy:
        answer = await exchange(proxy.port, sent.replace(b"Connection: close\r\n", b""))
    assert (status, "illegal_argument_exception") == (answer.status, json.loads(answer.body)["error"]["type"])
    assert [] == proxy.engine.received


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT evil:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    ],
    ids=[
        "CONNECT",
        "length and chunked",
        "two lengths",
        "signed length",
        "unknown coding",
        "space before the colon",
        "folded header",
        "NUL",
        "two hosts",
        "no host",
        "negative chunk",
        "a list of lengths",
        "negative length",
        "hexadecimal length",
        "chunked and identity",
        "two codings",
        "bare LF after a chunk's size",
        "a chunk longer than its size",
        "bare LF",
        "bare CR",
        "space in the target",
        "version of the future",
        "raw UTF-8 in the target",
    ],
)
async def test_ambiguous_requests_are_refused(proxy_of: ProxyOf, sent: bytes) -> None:
    """Nothing can be smuggled past us: 400, and no complete request arrives."""
    async with proxy_of(reply()) as proxy:
        answer = await exchange(proxy.port, sent)
    assert 400 == answer.status
    assert [] == proxy.engine.received


# --- our own endpoints --------------------------------------------------------------------------------------


async def echo_endpoint(asked: EndpointRequest) -> EndpointResponse:
    """Say what was asked."""
    return json_response([asked.method, asked.path, asked.body.decode()], 201, (("X-Own", "1"),))


OWN: Endpoints = {("POST", "/v1/rerank"): echo_endpoint, ("HEAD", "/_rerank/live"): echo_endpoint}


async def test_an_endpoint_of_ours_is_answered_by_it() -> None:
    """With its body, its status and its headers; the query string is not part of the path."""
    async with serving(ScriptedEngine(), OWN) as port:
        answer = await exchange(port, request("POST", "/v1/rerank?a=b", body=b"abc"))
    assert (201, ["POST", "/v1/rerank", "abc"]) == (answer.status, json.loads(answer.body))
    assert (["application/json"], ["1"]) == (answer.values("Content-Type"), answer.values("X-Own"))
    assert [] == [name for name in ("Server", "Date") if answer.values(name)]


async def test_a_head_of_ours_has_a_length_and_no_body() -> None:
    """As everywhere."""
    async with serving(None, OWN) as port:
        answer = await exchange(port, request("HEAD", "/_rerank/live"))
    assert (201, b"", True) == (answer.status, answer.body, int(answer.values("Content-Length")[0]) > 0)


@pytest.mark.parametrize(
    ("engine", "method", "path", "status"),
    [
        (True, "GET", "/v1/rerank", 200),
        (True, "GET", "/_rerank/unknown", 404),
        (True, "POST", "/_rerank/", 404),
        (True, "GET", "/_rerank", 200),
        (False, "GET", "/books", 404),
        (False, "GET", "/v1/rerank", 404),
    ],
)
async def test_only_exact_paths_are_ours(engine: bool, method: str, path: str, status: int) -> None:
    """What is not ours is the engine's; without an engine, or under our prefix, it is nobody's."""
    async with serving(ScriptedEngine() if engine else None, OWN) as port:
        answer = await exchange(port, request(method, path))
    assert status == answer.status
    if status == 404:
        assert f"no endpoint for {method} {path}" == json.loads(answer.body)["error"]["reason"]


async def test_too_long_a_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not cut: half a body means something else."""
    monkeypatch.setattr(proxy_app, "MAX_ENDPOINT_BYTES", 10)
    async with serving(None, OWN) as port:
        fits = await exchange(port, request("POST", "/v1/rerank", body=b"x" * 10))
        refused = await exchange(port, request("POST", "/v1/rerank", body=b"x" * 11))
    assert (201, 413) == (fits.status, refused.status)


@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)])
async def test_who_is_refused_by_headers_is_so_before_a_body_is_read(expect: tuple[str, ...]) -> None:
    """No byte of 32 MB is waited for, and nobody is asked to send it; with the key the body is read."""

    async def echo(request: EndpointRequest) -> EndpointResponse:
        return EndpointResponse(body=request.body)

    def refusal(headers: Headers) -> EndpointResponse | None:
        return None if header(headers, "Authorization") else EndpointResponse(status=401)

    async with serving(None, {("POST", "/v1/rerank"): Guarded(refusal, echo)}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/rerank", f"Content-Length: {32 * 1024 * 1024}", *expect))
        async with asyncio.timeout(5):
            refused = Answer(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        answered = await exchange(port, request("POST", "/v1/rerank", "Authorization: Bearer key", body=b"text"))
    assert (401, ["close"]) == (refused.status, [value.lower() for value in refused.values("Connection")])
    assert (200, b"text") == (answered.status, answered.body)


# --- searches on the wire -----------------------------------------------------------------------------------


async def test_a_search_is_reranked_on_the_wire() -> None:
    """The marker and the timing are headers, the length is right, and the engine's headers are there."""
    page = ScriptedEngine("ccc", "bb", "a").render({}).encode()
    async with reranked(reply(page, headers=("X-Elastic-Product: Elasticsearch", JSON_BODY))) as proxy:
        answer = await proxy.send("POST", "/books/_search", JSON_BODY, body=SEARCH_BODY)
    assert ["3", "2", "1"] == [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]
    assert ["applied; candidates=3; window=100; model=scripted"] == answer.values("X-Rerank")
    assert ["Elasticsearch"] == answer.values("X-Elastic-Product")
    assert answer.values("Server-Timing")
    assert answer.is_complete
    assert b'{"size":100,' == proxy.engine.received[0].body[:12]


async def test_a_chunked_search_and_a_chunked_answer_are_reranked() -> None:
    """Framing is the relay's business, both ways."""
    page = ScriptedEngine("bb", "a").render({}).encode()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(page), page)
    body = json.dumps(match()).encode()
    async with reranked(raw(chunked)) as proxy:
        answer = await proxy.send(
            "POST",
            "/_search",
            "Transfer-Encoding: chunked",
            JSON_BODY,
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        )
    assert ["2", "1"] == [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]
    (received,) = proxy.engine.received
    assert ([], [str(len(received.body))]) == (received.values("Transfer-Encoding"), received.values("Content-Length"))


async def test_a_degraded_search_is_the_engines_answer_on_the_wire() -> None:
    """Byte for byte, and a 200."""
    page = ScriptedEngine("ccc", "bb", is_pretty=True).render({}).encode()
    async with reranked(reply(page), FailingScorer(ScorerLost("killed"))) as proxy:
        answer = await proxy.send("POST", "/_search", JSON_BODY, body=json.dumps(match(size=2)).encode())
    assert (200, page, ["degraded; reason=scorer_lost"]) == (answer.status, answer.body, answer.values("X-Rerank"))


async def test_a_skipped_search_is_streamed_on_the_wire() -> None:
    """With the caller's bytes, the marker, and its framing as the engine gave it."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with reranked(raw(chunked)) as proxy:
        answer = await proxy.send("GET", "/books/_search?x=%zz", JSON_BODY, body=b' {"size":0 }')
    assert (b"abc", ["skipped; reason=size_zero"]) == (answer.body, answer.values("X-Rerank"))
    assert ("/books/_search?x=%zz", b' {"size":0 }') == (
        proxy.engine.received[0].target,
        proxy.engine.received[0].body,
    )


async def test_a_refused_setting_is_a_400_on_the_wire() -> None:
    """With a reason that both official clients show."""
    async with reranked(reply()) as proxy:
        answer = await proxy.send("POST", "/_search", "X-Rerank-Window: many", JSON_BODY, body=b"{}")
    assert (400, "Bad Request") == (answer.status, answer.head.split("\r\n")[0].split(" ", 2)[2])
    assert "header X-Rerank-Window must be" in json.loads(answer.body)["error"]["root_cause"][0]["reason"]


async def test_a_strict_failure_has_the_reason_of_its_status() -> None:
    """Not the OK of the first stage."""
    page = ScriptedEngine("bb", "a").render({}).encode()
    async with reranked(reply(page), FailingScorer(ScorerLost("killed"))) as proxy:
        answer = await proxy.send("POST", "/_search", "X-Rerank-On-Failure: error", JSON_BODY, body=SEARCH_BODY)
    assert "HTTP/1.1 500 Internal Server Error" == answer.head.split("\r\n")[0]
    assert answer.is_complete


async def test_a_mistake_of_ours_is_an_error_that_clients_read(caplog: pytest.LogCaptureFixture) -> None:
    """In the engine's shape, from a connector and from an endpoint; the log has the cause."""

    class Mistaken(ScriptedEngine):
        def relay(self, request: Any) -> Any:
            raise ZeroDivisionError("a mistake")

    async def endpoint(_: EndpointRequest) -> EndpointResponse:
        raise LookupError("another mistake")

    async with serving(Mistaken(), {("GET", "/_rerank/x"): endpoint}) as port:
        answers = [await exchange(port, request("GET", target)) for target in ("/books/_doc/1", "/_rerank/x")]
    assert [500, 500] == [answer.status for answer in answers]
    assert ["internal_error"] * 2 == [json.loads(answer.body)["error"]["type"] for answer in answers]
    assert "a mistake" in caplog.text
    assert "another mistake" in caplog.text


@pytest.mark.parametrize("target", ["/books/_search", "/_bulk", "/_rerank/x"])
async def test_a_body_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """With a status of its own and a closed connection: it would hold a connection and memory for ever."""

    async def endpoint(_: EndpointRequest) -> EndpointResponse:
        return json_response({})

    monkeypatch.setattr(proxy_app, "STALLED_SECONDS", 0.1)
    async with upstream(reply()) as engine:
        relay = Relay([engine.url])
        async with (
            RelayConnector(relay, EngineFacts(product="unknown")) as connector,
            serving(RerankingConnector(connector, ScriptedScorer()), {("POST", "/_rerank/x"): endpoint}) as port,
        ):
            head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            answer = await exchange(port, head.encode() + b'{"query":')
    assert (408, "request_timeout") == (answer.status, json.loads(answer.body)["error"]["type"])
    assert not engine.received


async def test_a_trailer_is_no_header_of_the_next_request(proxy_of: ProxyOf) -> None:
    """Credentials in a trailer would speak for whoever comes next: the connection ends after a chunked request."""
    first = (
        b"POST /a/_bulk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nX-T: 1\r\nAuthorization: Basic evil\r\n\r\n"
    )
    async with proxy_of(reply()) as proxy:
        await exchange(proxy.port, first + b"GET /b/_count HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [] == [value for received in proxy.engine.received for value in received.values("Authorization")]
