"""OpenSearch: how it is known, and requests through somebody's own client."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from connectors.base import Connector, RelayRequest, SearchRequest
from connectors.errors import AnswerTooLarge, EngineTimeout, EngineUnavailable
from connectors.opensearch import OpenSearchConnector, OpenSearchTransport, recognise
from tests.unit.doubles import whole
from tests.unit.raw_http import hang, reply, reset, upstream

SEARCH = SearchRequest(
    method="POST",
    target="/a%2Cb/_search?q=x%20y&q=z&pretty",
    headers=(("Content-Type", "application/json"), ("X-Opaque-Id", "1"), ("Connection", "close")),
    body=b'{"size":1}',
)

DEAD = "http://127.0.0.1:9"  # nobody listens on the discard port

ClientOf = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def client_of() -> ClientOf:
    """Return a context manager that opens an official client of some URLs."""
    from opensearchpy import AsyncOpenSearch

    @asynccontextmanager
    async def opened(*urls: str, **settings: Any) -> AsyncIterator[Any]:
        async with AsyncOpenSearch(list(urls), **settings) as client:
            connections = list(client.transport.connection_pool.connections)
            yield client
            for connection in connections:  # the client forgets those that it has marked dead
                await connection.close()

    return opened


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"version": {"distribution": "opensearch", "number": "3.8.0"}}, "3.8.0"),
        ({"version": {"distribution": "opensearch"}, "tagline": "You Know, for Search"}, ""),
    ],
    ids=["as it is", "in compatibility mode"],
)
def test_opensearch_is_recognised(info: dict[str, Any], version: str) -> None:
    """The distribution decides."""
    facts = recognise((), info)
    assert facts is not None
    assert ("opensearch", version) == (facts.product, facts.version)


@pytest.mark.parametrize("info", [{}, {"version": "3"}, {"version": {"number": "9.5.3"}}])
def test_others_are_not_opensearch(info: dict[str, Any]) -> None:
    """No distribution, no OpenSearch."""
    assert recognise((), info) is None


async def test_a_search_goes_through_the_client(client_of: ClientOf) -> None:
    """Path, parameters and body arrive, with the client's credentials and the caller's headers."""
    async with upstream(reply(b'{"hits":{}}')) as engine:
        async with client_of(engine.url, http_auth=("u", "p")) as client:
            connector = OpenSearchConnector.from_client(client)
            answer = await connector.search(SEARCH)
        assert isinstance(connector, Connector)
    (received,) = engine.received
    assert ("/a%2Cb/_search?q=x+y&q=z&pretty=", b'{"size":1}') == (received.target, received.content)
    assert [["Basic dTpw"], ["1"]] == [received.values(name) for name in ("Authorization", "X-Opaque-Id")]
    assert (200, b'{"hits":{}}') == (answer.status, answer.body)


async def test_an_error_status_is_an_answer(client_of: ClientOf) -> None:
    """4xx is not raised, whatever the client would do."""
    async with upstream(reply(b'{"error":{}}', status="404 Not Found")) as engine, client_of(engine.url) as client:
        answer = await OpenSearchConnector.from_client(client).search(SEARCH)
    assert (404, b'{"error":{}}') == (answer.status, answer.body)


async def test_a_compressed_answer_is_content_without_encoding(client_of: ClientOf) -> None:
    """The client has decompressed the body, so the headers must not say otherwise."""
    script = reply(gzip.compress('{"hits":"ä"}'.encode()), headers=("Content-Encoding: gzip",))
    async with upstream(script) as engine, client_of(engine.url) as client:
        answer = await OpenSearchConnector.from_client(client).search(SEARCH)
    assert '{"hits":"ä"}'.encode() == answer.content
    assert {"content-encoding", "content-length"}.isdisjoint(key.lower() for key, _ in answer.headers)


async def test_anything_else_goes_through_the_client_too(client_of: ClientOf) -> None:
    """A streamed request is read and sent; its answer comes back as a stream."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}\n"
        yield b"{}\n"

    async with upstream(reply(b"done", status="201 Created")) as engine, client_of(engine.url) as client:
        connector = OpenSearchConnector.from_client(client)
        async with connector.relay(RelayRequest(method="POST", target="/_bulk", body=pieces())) as answer:
            assert (201, b"done") == (answer.status, await whole(answer.chunks))
    assert ("/_bulk", b"{}\n{}\n") == (engine.received[0].target, engine.received[0].content)


async def test_an_answer_over_the_limit_is_an_error(client_of: ClientOf) -> None:
    """The limit holds here, too."""
    async with upstream(reply(b"x" * 100)) as engine, client_of(engine.url) as client:
        with pytest.raises(AnswerTooLarge, match="longer than 99 bytes"):
            await OpenSearchTransport(client).fetch(SEARCH, max_bytes=99)


async def test_a_dead_node_is_passed_over(client_of: ClientOf) -> None:
    """The client's own pool says which node is next."""
    async with upstream(reply()) as engine, client_of(DEAD, engine.url, randomize_hosts=False) as client:
        transport = OpenSearchTransport(client)
        for _ in range(2):
            assert 200 == (await transport.fetch(SEARCH)).status
        await transport.aclose()
        assert 200 == (await transport.fetch(SEARCH)).status  # the client is not ours to close
    assert 3 == len(engine.received)


async def test_no_answer_is_ours_to_name(client_of: ClientOf) -> None:
    """A dropped connection is EngineUnavailable."""
    async with upstream(reset) as engine, client_of(engine.url) as client:
        with pytest.raises(EngineUnavailable):
            await OpenSearchConnector.from_client(client).search(SEARCH)


async def test_the_clients_timeout_holds(client_of: ClientOf) -> None:
    """A late engine is EngineTimeout after what the client was given."""
    async with upstream(hang) as engine, client_of(engine.url, timeout=0.05) as client:
        with pytest.raises(EngineTimeout, match="did not answer in time"):
            await OpenSearchConnector.from_client(client).search(SEARCH)
