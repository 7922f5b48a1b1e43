"""The byte-exact session: what was sent is what arrives, once."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey

from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.errors import AnswerTooLarge, EngineError, EngineTimeout, EngineUnavailable
from connectors.relay import (
    EngineFacts,
    EngineOptions,
    Relay,
    RelayConnector,
    end_to_end,
    engine_errors,
    one_chunk,
    one_spelling,
    split_userinfo,
    stream_buffered,
)
from tests.unit.doubles import whole
from tests.unit.raw_http import Received, Script, Upstream, hang, in_turn, raw, reply, reset, upstream

SEARCH = SearchRequest(
    method="POST", target="/books/_search", headers=(("Content-Type", "application/json"),), body=b'{"size":1}'
)

OpenRelay = Callable[..., Relay]
"""Opens a Relay to upstreams or URLs, with EngineOptions as keywords."""


@pytest.fixture
async def relays() -> AsyncIterator[list[Relay]]:
    """Relays that are closed when the test ends."""
    opened: list[Relay] = []
    yield opened
    for one in opened:
        await one.aclose()


@pytest.fixture
def open_relay(relays: list[Relay]) -> OpenRelay:
    """Return a function that opens a Relay to upstreams."""

    def to(*upstreams: Upstream | str, **options: object) -> Relay:
        urls = [one if isinstance(one, str) else one.url for one in upstreams]
        relays.append(Relay(urls, EngineOptions(**options)))  # type: ignore[arg-type]
        return relays[-1]

    return to


async def streamed(session: Relay, request: RelayRequest) -> SearchResponse:
    """Return a streamed answer as a complete one."""
    async with session.stream(request) as answer:
        body = await whole(answer.chunks)
        return SearchResponse(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)


async def closed_port() -> str:
    """Return the URL of a port where nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


# --- what arrives -------------------------------------------------------------------------------------------

TARGETS = [
    "/a%2Cb,%3Clogs-%7Bnow%2Fd%7D%3E/_search?q=a+b%20c%2B&x=%zz&y",
    "/a/../b/_search",
    "/a/%2e%2e/b",
    "//x/_search",
    "/i%2fj/%3cx%3e",
    "/i/_doc/100%",
    '/_search?q={"a":"b|c"}',
    "/_search?",
    "/_search?a=%C3%A4&b=%25",
    "/a;b/_search?x=1;y=2",
    "/" + "u" * 9000,
]


@pytest.mark.parametrize("target", TARGETS, ids=[target[:24] for target in TARGETS])
async def test_targets_arrive_as_they_were_sent(open_relay: OpenRelay, target: str) -> None:
    """No target is decoded, normalised or encoded anew."""
    async with upstream(reply()) as engine:
        await streamed(open_relay(engine), RelayRequest(method="GET", target=target))
    assert target == engine.received[0].target


async def test_a_path_prefix_of_the_engine_goes_in_front(open_relay: OpenRelay) -> None:
    """An engine behind a prefix gets it, and a slash at its end is not doubled."""
    async with upstream(reply()) as engine:
        await open_relay(f"{engine.url}/es/").fetch(SEARCH)
    assert "/es/books/_search" == engine.received[0].target


async def test_nothing_is_added_to_a_request_without_a_body(open_relay: OpenRelay) -> None:
    """A bare GET has Host and nothing else: no User-Agent, Accept, Accept-Encoding, Content-Type or length."""
    async with upstream(reply()) as engine:
        await streamed(open_relay(engine), RelayRequest(method="GET", target="/"))
        await open_relay(engine).fetch(SearchRequest(method="GET", target="/_search"))
    assert [["host"], ["host"]] == [[name.lower() for name, _ in got.headers] for got in engine.received]
    assert [f"127.0.0.1:{engine.port}"] == engine.received[0].values("Host")


async def test_headers_keep_values_and_duplicates(open_relay: OpenRelay) -> None:
    """End-to-end headers arrive, names in two spellings both; hop-by-hop ones and the old Host do not."""
    headers = (
        ("Host", "sidecar:9280"),
        ("X-Opaque-Id", "1"),
        ("x-foo", "1"),
        ("X-Foo", "2"),
        ("Authorization", "ApiKey a"),
        ("Cookie", "a=b"),
        ("traceparent", "00-ab"),
        ("Connection", "close, X-Api, Authorization, Content-Type, Host, cookie"),
        ("X-Api", "gone"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "gone"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "h2c"),
        ("Content-Type", "application/vnd.elasticsearch+json; compatible-with=9"),
    )
    async with upstream(reply()) as engine:
        await open_relay(engine).fetch(SearchRequest(method="POST", target="/", headers=headers, body=b"{}"))
    (received,) = engine.received
    assert ["1", "2"] == received.values("x-foo")
    assert ["ApiKey a"] == received.values("Authorization")
    assert ["a=b"] == received.values("Cookie")
    assert ["application/vnd.elasticsearch+json; compatible-with=9"] == received.values("Content-Type")
    gone = ("X-Api", "TE", "Proxy-Authorization", "Keep-Alive", "Upgrade", "Connection", "Expect")
    assert {} == {name: received.values(name) for name in gone if received.values(name)}


async def test_a_long_header_arrives(open_relay: OpenRelay) -> None:
    """12 KB of one header are the engine's to judge."""
    async with upstream(reply()) as engine:
        await streamed(open_relay(engine), RelayRequest(method="GET", target="/", headers=(("X-Long", "v" * 12_000),)))
    assert ["v" * 12_000] == engine.received[0].values("X-Long")


async def test_a_compressed_body_stays_compressed_both_ways(open_relay: OpenRelay) -> None:
    """Neither the request's nor the answer's bytes are touched."""
    body = gzip.compress(b'{"query":{}}')
    answer = gzip.compress(b'{"hits":{}}')
    headers = (("Content-Encoding", "gzip"), ("Content-Length", str(len(body))))
    async with upstream(reply(answer, headers=("Content-Encoding: gzip",))) as engine:
        got = await open_relay(engine).fetch(SearchRequest(method="POST", target="/", headers=headers, body=body))
    assert body == engine.received[0].body
    assert [str(len(body))] == engine.received[0].values("Content-Length")
    assert (answer, "gzip") == (got.body, dict(got.headers)["Content-Encoding"])


async def test_a_streamed_body_keeps_its_framing(open_relay: OpenRelay) -> None:
    """With a length the body has that length; without one it is chunked."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async with upstream(reply()) as engine:
        session = open_relay(engine)
        await streamed(
            session, RelayRequest(method="PUT", target="/", headers=(("content-length", "4"),), body=pieces())
        )
        await streamed(session, RelayRequest(method="PUT", target="/", body=pieces()))
    with_length, without = engine.received
    assert (["4"], [], b"abcd") == (
        with_length.values("Content-Length"),
        with_length.values("Transfer-Encoding"),
        with_length.body,
    )
    assert ([], ["chunked"], b"abcd") == (
        without.values("Content-Length"),
        without.values("Transfer-Encoding"),
        without.content,
    )


async def test_an_empty_body_with_a_length_keeps_it(open_relay: OpenRelay) -> None:
    """`Content-Length: 0` is sent on."""
    async with upstream(reply()) as engine:
        await open_relay(engine).fetch(SearchRequest(method="POST", target="/", headers=(("Content-Length", "0"),)))
    assert ["0"] == engine.received[0].values("Content-Length")


# --- what comes back ----------------------------------------------------------------------------------------


async def test_the_answer_keeps_status_reason_headers_and_bytes(open_relay: OpenRelay) -> None:
    """Any status is a value; every Warning is there, hop-by-hop headers are not."""
    headers = ("Warning: a", "warning: b", "X-Elastic-Product: Elasticsearch", "Connection: x-hop", "X-Hop: 1")
    body = b'{"error" : "\xff odd bytes", "status":404}'
    async with upstream(reply(body, status="404 Nothing Here", headers=headers)) as engine:
        got = await open_relay(engine).fetch(SEARCH)
    assert (404, "Nothing Here", body) == (got.status, got.reason, got.body)
    assert (
        ("Warning", "a"),
        ("warning", "b"),
        ("X-Elastic-Product", "Elasticsearch"),
        ("Content-Length", str(len(body))),
    ) == got.headers


async def test_a_long_answer_header_comes_back(open_relay: OpenRelay) -> None:
    """A Warning of 20 KB is passed on."""
    async with upstream(reply(headers=(f"Warning: {'w' * 20_000}",))) as engine:
        got = await open_relay(engine).fetch(SEARCH)
    assert 20_000 == len(dict(got.headers)["Warning"])


async def test_head_keeps_the_length_and_reads_no_body(open_relay: OpenRelay) -> None:
    """The Content-Length of a HEAD answer is what a GET would have."""
    script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    async with upstream(script) as engine:
        got = await streamed(open_relay(engine), RelayRequest(method="HEAD", target="/books"))
    assert ((("Content-Length", "1234"),), b"") == (got.headers, got.body)


async def test_redirects_are_answers(open_relay: OpenRelay) -> None:
    """A redirect is passed on, not followed."""
    async with upstream(reply(b"", status="302 Found", headers=("Location: http://127.0.0.1:1/",))) as engine:
        got = await open_relay(engine).fetch(SEARCH)
    assert (302, 1) == (got.status, len(engine.received))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
    ids=["shorter than its length", "without the last chunk"],
)
async def test_an_answer_that_breaks_off_is_an_error(open_relay: OpenRelay, answer: bytes) -> None:
    """What came is delivered, and then the error, never an end."""
    async with upstream(raw(answer, then_close=True)) as engine:
        with pytest.raises(EngineUnavailable, match="broke off"):
            await open_relay(engine).fetch(SEARCH)
        async with open_relay(engine).stream(RelayRequest(method="GET", target="/")) as got:
            assert b"abc" == await anext(got.chunks)
            with pytest.raises(EngineUnavailable, match="broke off"):
                await anext(got.chunks)


async def test_an_answer_over_the_limit_is_not_read_on(open_relay: OpenRelay) -> None:
    """The limit counts bytes, and an answer that just fits is fine."""
    async with upstream(reply(b"x" * 100)) as engine:
        session = open_relay(engine)
        assert 100 == len((await session.fetch(SEARCH, max_bytes=100)).body)
        with pytest.raises(AnswerTooLarge, match="longer than 99 bytes"):
            await session.fetch(SEARCH, max_bytes=99)


async def test_leaving_the_answer_early_closes_the_connection(open_relay: OpenRelay) -> None:
    """The engine then sees that nobody waits, and can cancel its search."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

    async def begin_only(received: object, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.Event().wait()

    async with upstream(begin_only) as engine:
        async with open_relay(engine).stream(RelayRequest(method="GET", target="/")) as got:
            assert b"abc" == await anext(got.chunks)
        async with asyncio.timeout(2):
            await engine.abandoned.wait()


async def test_cancelling_a_search_closes_its_connection(open_relay: OpenRelay) -> None:
    """A client that went away leaves no search behind."""
    async with upstream(hang) as engine:
        searching = asyncio.ensure_future(open_relay(engine).fetch(SEARCH))
        async with asyncio.timeout(2):
            await engine.asked.wait()
        searching.cancel()
        async with asyncio.timeout(2):
            await engine.abandoned.wait()
        with pytest.raises(asyncio.CancelledError):
            await searching


# --- once, and only sometimes twice -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_nothing_streamed_is_sent_twice(open_relay: OpenRelay, method: str) -> None:
    """An upstream that reads a request and drops the connection sees it once, on a kept connection, too."""
    async with upstream(in_turn(reply(), reset)) as engine:
        session = open_relay(engine)
        request = RelayRequest(method=method, target="/books/_doc/1", headers=(("Content-Length", "2"),), body=b"{}")
        await streamed(session, request)
        with pytest.raises(EngineUnavailable):
            await streamed(session, request)
    assert [1, 1] == [received.connection for received in engine.received]


async def test_a_streamed_search_is_repeated_once_and_shares_the_connections_of_searches(open_relay: OpenRelay) -> None:
    """A search that is left alone is as harmless as one that is reranked, and no bulk request stands in its way."""
    async with upstream(in_turn(reply(), reply(), reset, reply(b"[2]"))) as engine:
        session = open_relay(engine)
        await session.fetch(SEARCH)
        search = RelayRequest(method="POST", target="/_search", body=SEARCH.body, is_search=True)
        await streamed(session, search)
        assert b"[2]" == (await streamed(session, search)).body
    assert [1, 1, 1, 2] == [received.connection for received in engine.received]


async def test_a_search_is_repeated_once_when_a_kept_connection_is_dead(open_relay: OpenRelay) -> None:
    """Read-only, on a reused connection, before a byte of an answer: then once more."""
    async with upstream(in_turn(reply(), reset, reply(b"[2]"))) as engine:
        session = open_relay(engine)
        await session.fetch(SEARCH)
        assert b"[2]" == (await session.fetch(SEARCH)).body
    assert [1, 1, 2] == [received.connection for received in engine.received]


async def test_a_search_is_not_repeated_twice(open_relay: OpenRelay) -> None:
    """A second dead connection is an error."""
    async with upstream(in_turn(reply(), reset)) as engine:
        session = open_relay(engine)
        await session.fetch(SEARCH)
        with pytest.raises(EngineUnavailable):
            await session.fetch(SEARCH)
    assert 3 == len(engine.received)


async def test_a_search_on_a_new_connection_is_not_repeated(open_relay: OpenRelay) -> None:
    """A connection that was never any good says something about the engine."""
    async with upstream(reset) as engine:
        with pytest.raises(EngineUnavailable):
            await open_relay(engine).fetch(SEARCH)
    assert 1 == len(engine.received)


async def test_a_search_is_not_repeated_after_a_byte_of_its_answer(open_relay: OpenRelay) -> None:
    """An answer that broke off was an answer."""
    broken = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then_close=True)
    async with upstream(in_turn(reply(), broken)) as engine:
        session = open_relay(engine)
        await session.fetch(SEARCH)
        with pytest.raises(EngineUnavailable):
            await session.fetch(SEARCH)
    assert 2 == len(engine.received)


@pytest.mark.parametrize(
    ("script", "error"),
    [(hang, EngineTimeout), (raw(b"SMTP ready\r\n\r\n"), EngineUnavailable)],
    ids=["slow", "no HTTP"],
)
async def test_a_slow_or_strange_engine_is_not_asked_again(
    open_relay: OpenRelay, script: Script, error: type[EngineError]
) -> None:
    """Only a dead connection is worth a second try: a slow engine would get double the load."""
    async with upstream(in_turn(reply(), script)) as engine:
        session = open_relay(engine, read_timeout=0.05)
        await session.fetch(SEARCH)
        with pytest.raises(error):
            await session.fetch(SEARCH)
    assert 2 == len(engine.received)


# --- several nodes ------------------------------------------------------------------------------------------


async def test_nodes_take_turns(open_relay: OpenRelay) -> None:
    """Requests go round the nodes."""
    async with upstream(reply()) as first, upstream(reply()) as second:
        session = open_relay(first, second)
        for _ in range(4):
            await session.fetch(SEARCH)
    assert (2, 2) == (len(first.received), len(second.received))


async def test_a_dead_node_is_passed_over(open_relay: OpenRelay) -> None:
    """A request that reached nobody goes to the next node, a streamed body included; later ones go there at once."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"

    async with upstream(reply()) as engine:
        session = open_relay(await closed_port(), engine)
        await streamed(session, RelayRequest(method="POST", target="/_bulk", body=pieces()))
        for _ in range(3):
            await session.fetch(SEARCH)
    assert 4 == len(engine.received)
    assert b"ab" == engine.received[0].content


async def test_a_search_that_a_node_drops_goes_to_another_one(open_relay: OpenRelay) -> None:
    """A node that is about to end takes connections and closes them; a search may be asked of the next."""
    async with upstream(reset) as first, upstream(reply(b"[2]")) as second:
        session = open_relay(first, second)
        for _ in range(3):
            assert b"[2]" == (await session.fetch(SEARCH)).body
    assert (1, 3) == (len(first.received), len(second.received))


async def test_many_requests_that_fail_together_are_one_failure(
    open_relay: OpenRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """A node is left out for a second at first, and not for half a minute because many were asking it just then."""
    released = asyncio.Event()

    async def drop(_: Received, writer: asyncio.StreamWriter) -> None:
        if first.connections == 8:
            released.set()
        await released.wait()
        writer.transport.abort()

    async with upstream(drop) as first, upstream(reply()) as second:
        session = open_relay(first, second)
        await asyncio.gather(*(session.fetch(SEARCH) for _ in range(16)))
    assert (8, 16) == (len(first.received), len(second.received))
    assert 1 == caplog.text.count("times in a row")


async def test_a_node_that_was_away_for_long_is_tried_when_all_others_fail(
    open_relay: OpenRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be back: nothing fails while any node answers, and none is tried twice, whosever turn it is."""
    async with upstream(reply(b"[2]")) as back:
        session = open_relay(gone := await closed_port(), back)
        pool, node = session._nodes._pool, session._nodes._node_of[back.url]
        assert pool is not None
        pool._dead_consecutive_failures[node.config] = 4  # and left out for sixteen seconds
        session._nodes.mark_dead(back.url)
        session._nodes.mark_dead(gone)
        caplog.clear()
        assert b"[2]" == (await session.fetch(SEARCH)).body
    assert 1 == caplog.text.count("times in a row")


async def test_when_every_node_is_dead_each_was_tried_once(open_relay: OpenRelay) -> None:
    """The error is that of the last one, and it does not take for ever."""
    session = open_relay(await closed_port(), await closed_port())
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        await session.fetch(SEARCH)


async def test_a_node_that_refused_is_not_tried_through_another(open_relay: OpenRelay) -> None:
    """A request that one node has read is not sent to a second one."""
    async with upstream(reset) as first, upstream(reply()) as second:
        with pytest.raises(EngineUnavailable):
            await streamed(open_relay(first, second), RelayRequest(method="DELETE", target="/books"))
    assert (1, 0) == (len(first.received), len(second.received))


# --- credentials and options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"api_key": "a2V5"}, "ApiKey a2V5"),
        ({"api_key": ("id", "key")}, "ApiKey aWQ6a2V5"),
        ({"basic_auth": ("user", "päss")}, "Basic dXNlcjpww6Rzcw=="),
        ({}, None),
    ],
)
def test_authorization_is_what_the_official_clients_send(options: dict[str, object], expected: str | None) -> None:
    """API keys and passwords become the same header as there."""
    assert expected == EngineOptions(**options).authorization()  # type: ignore[arg-type]


async def test_our_credential_is_used_where_the_caller_sends_none(open_relay: OpenRelay) -> None:
    """The caller's own Authorization always wins."""
    async with upstream(reply()) as engine:
        session = open_relay(engine, basic_auth=("u", "p"))
        await session.fetch(SearchRequest(method="GET", target="/"))
        await session.fetch(SearchRequest(method="GET", target="/", headers=(("authorization", "Bearer own"),)))
    assert [["Basic dTpw"], ["Bearer own"]] == [received.values("Authorization") for received in engine.received]


async def test_credentials_in_the_url_are_taken_out_of_it(open_relay: OpenRelay) -> None:
    """`user:password@` becomes Basic authentication and is nowhere shown."""
    async with upstream(reply()) as engine:
        session = open_relay(f"http://us%40er:p%2Fw@127.0.0.1:{engine.port}")
        await session.fetch(SEARCH)
    assert ["Basic dXNAZXI6cC93"] == engine.received[0].values("Authorization")
    assert (engine.url,) == session.urls


def test_two_credentials_are_a_mistake() -> None:
    """Which one is meant is not guessed."""
    with pytest.raises(ValueError, match="exclude each other"):
        EngineOptions(api_key="a", basic_auth=("u", "p")).authorization()


def test_options_show_no_secrets() -> None:
    """Credentials are not in the repr."""
    shown = repr(EngineOptions(api_key="secret1")) + repr(EngineOptions(basic_auth=("u", "secret2")))
    assert "secret" not in shown


def test_tls_follows_the_options(tmp_path: Path) -> None:
    """No checks, the system's certificates, or a context with a folder of certificates."""
    assert EngineOptions(verify_certs=False).tls() is False
    assert EngineOptions().tls() is True
    assert isinstance(EngineOptions(ca_certs=str(tmp_path)).tls(), ssl.SSLContext)
    for missing in ({"ca_certs": str(tmp_path / "a.pem")}, {"client_cert": str(tmp_path / "b.pem")}):
        with pytest.raises(OSError, match="No such file"):
            EngineOptions(**missing).tls()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:9200", ("http://h:9200", None)),
        ("https://u:p@h/es/", ("https://h/es", ("u", "p"))),
        ("http://u:p%40q@[::1]:1", ("http://[::1]:1", ("u", "p@q"))),
    ],
)
def test_split_userinfo(url: str, expected: tuple[str, tuple[str, str] | None]) -> None:
    """The base URL comes without credentials and without a slash at its end."""
    assert expected == split_userinfo(url)


@pytest.mark.parametrize("url", ["localhost:9200", "ftp://h", "http://", "http://h?x=1", "http://u:hidden@h#f", ""])
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    """The message shows the URL, and never what stands before the @."""
    with pytest.raises(ValueError, match="is not like http://localhost:9200") as refused:
        split_userinfo(url)
    assert "hidden" not in str(refused.value)


def test_an_engine_needs_an_address() -> None:
    """No URL at all is a mistake."""
    with pytest.raises(ValueError, match="no engine URL"):
        Relay([])


# --- headers, purely ----------------------------------------------------------------------------------------


def test_end_to_end_drops_what_it_is_told_to() -> None:
    """Hop-by-hop headers, those that Connection names, and the caller's own list."""
    headers = (("Connection", "a, ,Content-Length"), ("A", "1"), ("Content-Length", "2"), ("Host", "h"), ("B", "3"))
    assert (("Content-Length", "2"), ("B", "3")) == end_to_end(headers, "Host")


def test_one_spelling_takes_the_first() -> None:
    """Names that differ in case alone are spelled alike, values and order stay."""
    assert (("x-A", "1"), ("b", "2"), ("x-A", "3")) == one_spelling((("x-A", "1"), ("b", "2"), ("X-a", "3")))


# --- errors -------------------------------------------------------------------------------------------------


KEY = ConnectionKey("node", 9200, True, True, None, None, None)
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "ClientResponseError": (None, ()),
    "ClientConnectorError": (KEY, OSError(1, "foreign")),
    "ClientConnectorCertificateError": (KEY, ssl.CertificateError("foreign")),
    "UnixClientConnectorError": ("/socket", KEY, OSError(1, "foreign")),
    "ServerFingerprintMismatch": (b"a", b"b", "node", 9200),
    "InvalidURL": ("http://",),
}
"""What exceptions of the HTTP library, and those under them, are made with."""


def foreign_errors() -> list[Exception]:
    """Return an instance of every client error and timeout of the HTTP library."""
    found: list[Exception] = []
    for name, value in vars(client_exceptions).items():
        if isinstance(value, type) and issubclass(value, aiohttp.ClientError | TimeoutError):
            bases = [name, *(base.__name__ for base in value.__mro__)]
            arguments = next((ARGUMENTS[base] for base in bases if base in ARGUMENTS), ("foreign",))
            found.append(value(*arguments))
    return found


@pytest.mark.parametrize("foreign", foreign_errors(), ids=lambda foreign: type(foreign).__name__)
def test_every_error_of_the_http_library_becomes_ours(foreign: Exception) -> None:
    """No class of aiohttp's client errors gets through unmapped, and timeouts are timeouts."""
    expected = EngineTimeout if isinstance(foreign, TimeoutError) else EngineUnavailable
    with pytest.raises(EngineError) as raised, engine_errors("http://node"):
        raise foreign
    assert expected is type(raised.value)
    assert foreign is raised.value.__cause__
    assert "http://node" in str(raised.value)


async def test_an_engine_that_is_down_cannot_be_reached(open_relay: OpenRelay) -> None:
    """Nobody listening is EngineUnavailable, with the node's name."""
    url = await closed_port()
    with pytest.raises(EngineUnavailable, match=url):
        await open_relay(url).fetch(SEARCH)


async def test_an_engine_that_is_late_is_a_timeout(open_relay: OpenRelay) -> None:
    """No byte within `read_timeout` is EngineTimeout."""
    async with upstream(hang) as engine:
        with pytest.raises(EngineTimeout, match="did not answer in time"):
            await open_relay(engine, read_timeout=0.02).fetch(SEARCH)


async def test_plain_http_on_a_tls_address_is_unavailable(open_relay: OpenRelay) -> None:
    """A TLS handshake that fails is EngineUnavailable."""

    async def answer_in_plain_text(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_plain_text, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(EngineUnavailable, match=f"{url}: TLS failed"):
            await open_relay(url).fetch(SEARCH)


# --- the connector over it ----------------------------------------------------------------------------------


async def test_the_connector_bounds_searches_and_names_its_engine() -> None:
    """`max_answer_bytes` holds for `search` and `msearch`, not for what is streamed."""
    async with upstream(reply(b"x" * 100)) as engine:
        facts = EngineFacts(product="elasticsearch", version="9.5.3")
        async with RelayConnector(Relay([engine.url]), facts, max_answer_bytes=10) as connector:
            assert "elasticsearch 9.5.3" == connector.name
            for ask in (connector.search, connector.msearch):
                with pytest.raises(AnswerTooLarge):
                    await ask(SEARCH)
            async with connector.relay(RelayRequest(method="GET", target="/")) as answer:
                assert 100 == len(await whole(answer.chunks))
            await connector.ping()
    assert "unknown" == EngineFacts(product="unknown").name


async def test_ping_takes_any_status_and_no_silence() -> None:
    """401 is an answer; a dead port is none."""
    unknown = EngineFacts(product="unknown")
    async with upstream(reply(status="401 Unauthorized")) as engine, RelayConnector(Relay([engine.url]), unknown) as up:
        await up.ping()
    async with RelayConnector(Relay([await closed_port()]), unknown) as down:
        with pytest.raises(EngineUnavailable):
            await down.ping()


async def test_stream_buffered_reads_the_body_and_gives_the_answer() -> None:
    """A transport that can only fetch still streams."""
    seen: list[SearchRequest] = []

    async def fetch(request: SearchRequest) -> SearchResponse:
        seen.append(request)
        return SearchResponse(status=201, reason="Created", headers=(("a", "b"),), body=b"done")

    async with stream_buffered(fetch, RelayRequest(method="PUT", target="/x", body=one_chunk(b"body"))) as answer:
        assert isinstance(answer, RelayResponse)
        assert (201, "Created", (("a", "b"),)) == (answer.status, answer.reason, answer.headers)
        assert b"done" == await whole(answer.chunks)
    async with stream_buffered(fetch, RelayRequest(method="GET", target="/")):
        pass
    assert [b"body", b""] == [request.body for request in seen]


# --- names --------------------------------------------------------------------------------------------------


class Names:
    """A resolver that the test controls: one name, and the address that it stands for now."""

    def __init__(self) -> None:
        """Stand for the first of two addresses."""
        self.address = "127.0.0.1"
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, *args: object, **options: object) -> list[tuple[object, ...]]:
        """Answer as the system's resolver does."""
        assert "engine.test" == host
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


@asynccontextmanager
async def listener(address: str, port: int = 0) -> AsyncIterator[int]:
    """Answer requests with the address at which they came in, on kept connections; yield the port."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(address), address.encode()))

    server = await asyncio.start_server(serve, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def test_a_name_that_stands_for_another_address_is_resolved_anew(
    open_relay: OpenRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once when nobody listens at the old one, so that not one request fails, writes included."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    async with AsyncExitStack() as second:
        async with listener("127.0.0.1") as port:
            session = open_relay(f"http://engine.test:{port}")
            for _ in range(3):
                assert b"127.0.0.1" == (await session.fetch(SEARCH)).body
            assert 1 == names.asked
            await second.enter_async_context(listener("127.0.0.2", port))
            names.address = "127.0.0.2"
        write = RelayRequest(method="POST", target="/_bulk", body=b"{}")
        answers = [await streamed(session, write), await session.fetch(SEARCH), await session.fetch(SEARCH)]
    assert [b"127.0.0.2"] * 3 == [answer.body for answer in answers]


async def test_a_name_whose_engine_is_away_is_resolved_once_more_and_no_more(
    open_relay: OpenRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told; the next request asks again, and finds an engine that is back elsewhere."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    async with listener("127.0.0.1") as port:
        session = open_relay(f"http://engine.test:{port}")
        await session.fetch(SEARCH)
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        await session.fetch(SEARCH)
    assert 2 == names.asked
    async with listener("127.0.0.2", port):
        names.address = "127.0.0.2"
        assert b"127.0.0.2" == (await session.fetch(SEARCH)).body
