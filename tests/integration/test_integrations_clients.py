"""`Reranker` and `AsyncReranker` on real engines: what is true of a client at the proxy is true of them.

The calls are those of the clients' own tests, made by the client itself and by the client inside a reranker.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import elasticsearch
import opensearchpy
import pytest

from connectors.embedded import EmbeddedConnector
from sidecar.errors import ScorerLost
from sidecar.integrations.client import AsyncReranker, Reranker
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from tests.integration import clients, test_elasticsearch_py, test_opensearch_py
from tests.integration.books import BOOKS, book, put_documents
from tests.integration.clients import Call, Client, comparable, shortest_first
from tests.integration.proxies import ShortestFirst
from tests.unit.doubles import FailingScorer

TEA: dict[str, Any] = {"match": {"body": "tea"}}
BODY_ORDER = shortest_first("body")


@dataclass(frozen=True)
class Kind:
    """A client, what is asked of it in its own tests, and whether it shows headers."""

    plain: Client
    around: type[Any]
    suite: Any
    engine: str

    def reranking(self, scorer: Any = None, *, is_whole: bool = True, **settings: Any) -> Client:
        """Return what makes a reranker around such a client, or the client that it gives to those who want one."""

        def make(url: str, **own: Any) -> Any:
            client = self.plain.make(url, **own)
            options = {"deadline_ms": 0, **settings}
            reranker = self.around(client, scorer or ShortestFirst(), close_client=True, **options)
            return reranker if is_whole else reranker.client

        return Client(make, is_async=self.plain.is_async)


def kind(plain: Client, suite: Any, engine: str) -> Kind:
    """Return a kind with the reranker that goes with the client."""
    return Kind(plain, AsyncReranker if plain.is_async else Reranker, suite, engine)


KINDS = [
    *(kind(client, test_elasticsearch_py, "elasticsearch") for client in clients.ELASTICSEARCH),
    *(kind(client, test_opensearch_py, "opensearch") for client in clients.OPENSEARCH),
]
COMPRESSED = {"http_compress": True}


def named(kind: Kind, name: str = "") -> str:
    """Return a test's name."""
    return " ".join(filter(None, (kind.plain.make.__name__, name)))


def each(table: str) -> pytest.MarkDecorator:
    """Run a test for every kind and every call of a table of its suite."""
    rows = [(kind.engine, kind, name) for kind in KINDS for name in getattr(kind.suite, table)]
    return pytest.mark.parametrize(
        ("engine_url", "kind", "name"),
        rows,
        ids=[named(kind, name) for _, kind, name in rows],
        indirect=["engine_url"],
    )


EVERY = pytest.mark.parametrize(
    ("engine_url", "kind"), [(kind.engine, kind) for kind in KINDS], ids=map(named, KINDS), indirect=["engine_url"]
)


def body_of(answer: Any) -> Any:
    """Return what an engine answered."""
    return answer.get("body", answer)


@each("RERANKED")
async def test_a_search_is_reranked(engine_url: str, library: str, kind: Kind, name: str) -> None:
    """In the scorer's order; all the rest is the engine's, and the headers, where the client shows them."""
    ask, expected = kind.suite.RERANKED[name]
    direct = await clients.answer(kind.plain, engine_url, ask, library)
    given = await clients.answer(kind.reranking(), engine_url, ask, library)
    clients.assert_reranked(body_of(direct), body_of(given), expected)
    if "headers" in direct:
        assert given["headers"].pop("x-rerank").startswith("applied")
        assert comparable([direct["status"], direct["headers"]]) == comparable([given["status"], given["headers"]])


@EVERY
async def test_a_client_that_compresses(engine_url: str, library: str, kind: Kind) -> None:
    """Does so on."""
    ask, expected = kind.suite.RERANKED["aggregations"]
    direct = await clients.answer(kind.plain, engine_url, ask, library, **COMPRESSED)
    given = await clients.answer(kind.reranking(), engine_url, ask, library, **COMPRESSED)
    clients.assert_reranked(body_of(direct), body_of(given), expected)


@each("SAME")
async def test_everything_else_is_the_same(engine_url: str, library: str, kind: Kind, name: str) -> None:
    """No model is asked; helpers take the client that a reranker has for them."""
    scorer, ask = ShortestFirst(), kind.suite.SAME[name]
    direct = await clients.answers(kind.plain, engine_url, ask, library)
    reranking = kind.reranking(scorer, is_whole=name != "scan")
    given = await clients.answers(reranking, engine_url, ask, library)
    assert comparable(direct) == comparable(given)
    assert not scorer.queries


@each("ERRORS")
async def test_an_error_is_the_same(engine_url: str, library: str, kind: Kind, name: str) -> None:
    """Class, words, status and what the engine answered."""
    ask, status = kind.suite.ERRORS[name]
    direct = await clients.failure(kind.plain, engine_url, ask, library)
    given = await clients.failure(kind.reranking(), engine_url, ask, library)
    assert comparable(direct) == comparable(given)
    assert status == given["status"]


@EVERY
async def test_writing_is_the_same(engine_url: str, new_index_name: Callable[[], str], kind: Kind) -> None:
    """Also by the helpers for many documents."""
    for ask in (kind.suite.a_life, kind.suite.bulk_helper):
        first, second = new_index_name(), new_index_name()
        direct = await clients.answers(kind.plain, engine_url, ask, first)
        given = await clients.answers(kind.reranking(is_whole=False), engine_url, ask, second)
        assert comparable(direct, first) == comparable(given, second)


@EVERY
async def test_many_searches_in_one(engine_url: str, library: str, kind: Kind) -> None:
    """Each is reranked, or left alone, by itself; an error among them is the engine's."""
    lines = [{}, {"query": TEA, "size": BOOKS}, {}, {"query": TEA, "sort": "n"}, {"index": "none"}, {"query": TEA}]

    def ask(c: Any, i: str) -> Any:
        return c.msearch(index=i, body=lines)

    direct, given = [
        body_of(await clients.answer(client, engine_url, ask, library))["responses"]
        for client in (kind.plain, kind.reranking())
    ]
    clients.assert_reranked(direct[0], given[0], BODY_ORDER)
    assert comparable(direct[1:]) == comparable(given[1:])


@EVERY
async def test_settings_of_a_call(engine_url: str, library: str, kind: Kind) -> None:
    """By the keyword, also where the engine's own settings are in the URL."""

    def off(c: Any, i: str) -> Any:
        return c.search(index=i, body={"query": TEA, "size": BOOKS}, rerank=False)

    def window(c: Any, i: str) -> Any:
        return c.search(index=i, q="tea", df="body", size=BOOKS, rerank={"window": 2, "explain": True})

    def plain(c: Any, i: str) -> Any:
        return c.search(index=i, body={"query": TEA, "size": BOOKS})

    direct = clients.ids(body_of(await clients.answer(kind.plain, engine_url, plain, library)))
    unchanged = body_of(await clients.answer(kind.reranking(), engine_url, off, library))
    two = body_of(await clients.answer(kind.reranking(), engine_url, window, library))
    assert direct == clients.ids(unchanged)
    assert (direct[1::-1], direct[2:]) in (
        (clients.ids(two)[:2], clients.ids(two)[2:]),
        (clients.ids(two)[1::-1], clients.ids(two)[2:]),
    )
    assert [1, 2] == sorted(hit["_rerank"]["first_stage_rank"] for hit in two["hits"]["hits"][:2])


@EVERY
async def test_a_failing_second_stage_costs_nothing(engine_url: str, library: str, kind: Kind) -> None:
    """The answer is the engine's."""
    ask, _ = kind.suite.RERANKED["aggregations"]
    direct = body_of(await clients.answer(kind.plain, engine_url, ask, library))
    failing = kind.reranking(FailingScorer(ScorerLost("gone")))
    given = body_of(await clients.answer(failing, engine_url, ask, library))
    assert clients.ids(direct) == clients.ids(given)
    assert comparable(direct) == comparable(given)


@EVERY
async def test_an_engine_that_is_away(engine_url: str, kind: Kind) -> None:
    """Is the client's own exception, whose words are those without a reranker."""
    errors: Any = (elasticsearch.TransportError, opensearchpy.ConnectionError)
    said = []
    for client in (kind.plain, kind.reranking()):
        with pytest.raises(errors) as raised:
            await clients.answer(client, "http://127.0.0.1:9", lambda c, i: c.search(index=i, body={}), "none")
        said.append((type(raised.value), str(raised.value)))
    assert said[0] == said[1]


# --- the embedded engine ------------------------------------------------------------------------------------


@asynccontextmanager
async def embedded() -> AsyncIterator[str]:
    """Give the URL of an embedded engine with the library."""
    fields = ("title", "body", "n")
    documents = [{key: value for key, value in json.loads(book(n)).items() if key in fields} for n in range(BOOKS)]
    async with listening(ProxyApp(EmbeddedConnector(), {}), Address.parse("127.0.0.1:0")) as address:
        await asyncio.to_thread(put_documents, str(address), "library", documents)
        yield str(address)


EMBEDDED: list[Call] = [
    lambda c, i: c.search(index=i, body={"query": TEA, "size": BOOKS}),
    lambda c, i: c.search(index=i, body={"query": TEA, "size": BOOKS, "_source": ["n"]}),
]


@pytest.mark.parametrize("kind", KINDS, ids=named)
async def test_at_the_embedded_engine(kind: Kind) -> None:
    """All four clients, as at the others."""
    async with embedded() as url:
        for ask in EMBEDDED:
            direct = body_of(await clients.answer(kind.plain, url, ask, "library"))
            given = body_of(await clients.answer(kind.reranking(), url, ask, "library"))
            clients.assert_reranked(direct, given, BODY_ORDER)
        counts = [
            await clients.answer(client, url, lambda c, i: c.count(index=i), "library")
            for client in (kind.plain, kind.reranking())
        ]
        assert comparable(counts[0]) == comparable(counts[1])
