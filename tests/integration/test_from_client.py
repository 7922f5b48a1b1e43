"""Somebody's own client as a connector, on real engines: it answers as the connector of `connect(url)` does."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from opensearchpy import AsyncOpenSearch

from connectors.base import Connector, RelayRequest, SearchRequest, SearchResponse, header
from connectors.detect import connect
from connectors.elasticsearch import ElasticsearchConnector
from connectors.errors import EngineError
from connectors.opensearch import OpenSearchConnector
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.types import RerankOptions
from tests.integration import clients
from tests.integration.books import BOOKS, call
from tests.integration.clients import shortest_first
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import ndjson, untimed

TEA: dict[str, Any] = {"match": {"body": "tea"}}
SHELVES = {"shelves": {"terms": {"field": "shelf"}}}
JSON = (("Content-Type", "application/json"),)
NDJSON = (("Content-Type", "application/x-ndjson"),)
GZIP = (("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip"))
UNTIMED = "/books/_search?q=tea&_source=n&filter_path=hits"
WORDS = json.dumps({"query": TEA, "size": BOOKS}).encode()
UNDONE = clients.FRAMING | {"content-encoding", "server-timing"}
"""Headers that the client's HTTP layer has dealt with, and the one that says how long something took."""


@asynccontextmanager
async def connectors(engine_url: str, *, is_reranked: bool = False, **settings: Any) -> AsyncIterator[list[Connector]]:
    """Give two connectors of one engine: that of `connect(url)`, and that of a client with these settings."""
    async with await connect(engine_url) as relay:
        kinds: dict[str, tuple[Any, Any]] = {
            "elasticsearch": (AsyncElasticsearch, ElasticsearchConnector),
            "opensearch": (AsyncOpenSearch, OpenSearchConnector),
        }
        make, connector = kinds[relay.facts.product]
        async with make(engine_url, **settings) as client:
            both: list[Connector] = [relay, connector.from_client(client)]
            policy = Policy(defaults=RerankOptions(deadline=0))
            yield [RerankingConnector(each, ShortestFirst(), policy) if is_reranked else each for each in both]


def facts(answer: SearchResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return what must be equal of two answers: status, headers, content."""
    headers = sorted((name.lower(), value) for name, value in answer.headers if name.lower() not in UNDONE)
    return answer.status, headers, untimed(answer.content)


SEARCHES: dict[str, SearchRequest] = {
    "words": SearchRequest.build(index="books", body={"query": TEA, "size": BOOKS}),
    "a page": SearchRequest.build(index="books", body={"query": TEA, "from": 5, "size": 5}),
    "aggregations": SearchRequest.build(index="books", body={"query": TEA, "size": 3, "aggs": SHELVES}),
    "fields": SearchRequest.build(index="books", body={"query": TEA, "fields": ["n"], "_source": False}),
    "the URL": SearchRequest.build(index="books", params={"q": 'tea -word3 title:"black tea"', "df": "body"}),
    "several indices": SearchRequest.build(index=["books", "books*", "-no-such-*"], body={"query": TEA}),
    "sorted": SearchRequest.build(index="books", body={"query": TEA, "sort": [{"n": "asc"}]}),
    "other characters": SearchRequest.build(index="books", body={"query": {"match": {"body": "thé ☕ tea"}}}),
    "escapes in the target": SearchRequest(
        method="GET", target="/%62ooks/_search?q=body%3Atea+n:%5B3%20TO%205%5D&sort=n%2Casc"
    ),
    "a name twice": SearchRequest(method="GET", target="/books/_search?size=2&size=3&q=tea"),
    "a parameter without a value": SearchRequest(method="GET", target="/books/_search?pretty&q=tea&df=body"),
    "a GET with a body": SearchRequest(method="GET", target="/books/_search", headers=JSON, body=WORDS),
    "gzip both ways": SearchRequest(
        method="POST", target="/books/_search", headers=JSON + GZIP, body=gzip.compress(WORDS)
    ),
    "as YAML": SearchRequest(method="GET", target=UNTIMED, headers=(("Accept", "application/yaml"),)),
    "no such query": SearchRequest.build(index="books", body={"query": {"no_such_query": {}}}),
    "no such index": SearchRequest.build(index="no-such-index", body={"query": TEA}),
    "nothing": SearchRequest(method="GET", target="/books/_search"),
}


BINARY = SearchRequest(method="GET", target=UNTIMED, headers=(("Accept", "application/cbor"),))


def of_library(request: SearchRequest, library: str) -> SearchRequest:
    """Return a request of SEARCHES with the library's name in its target."""
    target = request.target.replace("books", library).replace("%62ooks", f"%{ord(library[0]):02x}{library[1:]}")
    return SearchRequest(method=request.method, target=target, headers=request.headers, body=request.body)


@pytest.mark.parametrize("is_reranked", [False, True], ids=["plain", "reranked"])
@pytest.mark.parametrize("settings", [{}, {"http_compress": True}], ids=["as it is", "compressing"])
@pytest.mark.parametrize("name", SEARCHES)
async def test_a_search_is_answered_as_by_the_relay(
    engine_url: str, library: str, name: str, settings: dict[str, Any], is_reranked: bool
) -> None:
    """Status, headers and bytes are the same, whether our HTTP session carries the search or somebody's client."""
    request = of_library(SEARCHES[name], library)
    async with connectors(engine_url, is_reranked=is_reranked, **settings) as both:
        wanted, found = [await each.search(request) for each in both]
    assert facts(wanted) == facts(found)


async def test_a_binary_answer_comes_where_the_client_reads_it(engine_url: str, library: str) -> None:
    """opensearch-py decodes every answer as text: an error says so, and the node is not taken for dead."""
    request = of_library(BINARY, library)
    async with connectors(engine_url, is_reranked=False) as (relayed, through_client):
        wanted = await relayed.search(request)
        if "opensearch" in through_client.name:
            with pytest.raises(EngineError, match="opensearch-py reads text only"):
                await through_client.search(request)
            assert 200 == (await through_client.search(of_library(SEARCHES["nothing"], library))).status
        else:
            assert facts(wanted) == facts(await through_client.search(request))


@pytest.mark.parametrize("settings", [{}, {"http_compress": True}], ids=["plain", "gzip"])
async def test_a_search_through_a_client_is_reranked(engine_url: str, library: str, settings: dict[str, Any]) -> None:
    """The hits come in the scorer's order, and the rest as the engine has it."""
    request = SearchRequest.build(index=library, body={"query": TEA, "size": BOOKS, "aggs": SHELVES})
    direct = call(engine_url, "POST", request.target, request.body)
    async with connectors(engine_url, is_reranked=True, **settings) as (_, connector):
        given = await connector.search(request)
    clients.assert_reranked(direct, given.json, shortest_first("body"))
    assert (header(given.headers, "X-Rerank") or "").startswith("applied")


@pytest.mark.parametrize("is_reranked", [False, True], ids=["plain", "reranked"])
async def test_a_multi_search_is_answered_as_by_the_relay(engine_url: str, library: str, is_reranked: bool) -> None:
    """So is a request of many searches, with an error among them."""
    lines = ndjson({}, {"query": TEA}, {}, {"query": TEA, "sort": "n"}, {"index": "no-such-index"}, {"query": TEA})
    request = SearchRequest(method="POST", target=f"/{library}/_msearch", headers=NDJSON, body=lines)
    async with connectors(engine_url, is_reranked=is_reranked) as both:
        wanted, found = [await each.msearch(request) for each in both]
    assert facts(wanted) == facts(found)
    assert [200, 200, 404] == [item["status"] for item in found.json["responses"]]
    assert is_reranked == (shortest_first("body")[:10] == clients.ids(found.json["responses"][0]))


RELAYED: dict[str, RelayRequest] = {
    "who are you": RelayRequest(method="GET", target="/"),
    "text": RelayRequest(method="GET", target="/_cat/indices/books?h=index,docs.count&v"),
    "a document": RelayRequest(method="GET", target="/books/_doc/3?_source_includes=exotic"),
    "no document": RelayRequest(method="GET", target="/books/_doc/no%2Fsuch%20id"),
    "a HEAD": RelayRequest(method="HEAD", target="/books/_doc/3"),
    "a HEAD of nothing": RelayRequest(method="HEAD", target="/books/_doc/none"),
    "a count": RelayRequest(
        method="POST", target="/books/_count", headers=JSON, body=json.dumps({"query": TEA}).encode()
    ),
    "a search": RelayRequest(method="POST", target="/books/_search", headers=JSON, body=WORDS),
    "gzip": RelayRequest(method="POST", target="/books/_search", headers=JSON + GZIP, body=gzip.compress(WORDS)),
    "a wrong method": RelayRequest(method="PATCH", target="/books/_search"),
}


@pytest.mark.parametrize("is_reranked", [False, True], ids=["plain", "reranked"])
@pytest.mark.parametrize("name", RELAYED)
async def test_any_request_is_answered_as_by_the_relay(
    engine_url: str, library: str, name: str, is_reranked: bool
) -> None:
    """A request of any kind has the same answer when it is streamed."""
    form = RELAYED[name]
    request = RelayRequest(
        method=form.method, target=form.target.replace("books", library), headers=form.headers, body=form.body
    )
    async with connectors(engine_url, is_reranked=is_reranked) as both:
        wanted, found = [facts(await _whole(each, request)) for each in both]
    assert wanted == found


async def _whole(connector: Connector, request: RelayRequest) -> SearchResponse:
    async with connector.relay(request) as answer:
        body = b"".join([chunk async for chunk in answer.chunks])
        return SearchResponse(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)


async def test_writing_through_a_client(engine_url: str, index_name: str) -> None:
    """A bulk request arrives as it was, and so does what reads it back."""
    lines = ndjson({"index": {"_id": "1"}}, {"text": "thé ☕"}, {"index": {"_id": "2"}}, {"text": "tea"})
    bulk = RelayRequest(method="POST", target=f"/{index_name}/_bulk?refresh=true", headers=NDJSON, body=lines)
    async with connectors(engine_url) as (relay, connector):
        written = (await _whole(connector, bulk)).json
        request = SearchRequest.build(index=index_name, body={"query": {"match_all": {}}})
        wanted, found = await relay.search(request), await connector.search(request)
    assert not written["errors"]
    assert [{"text": "thé ☕"}, {"text": "tea"}] == [hit.source for hit in found.hits]
    assert facts(wanted) == facts(found)


async def test_each_reaches_the_same_engine(engine_url: str) -> None:
    """Both answer a ping."""
    async with connectors(engine_url) as both:
        for each in both:
            await each.ping()


async def test_a_client_that_is_itself_directed_at_the_proxy(engine_url: str, library: str) -> None:
    """A client whose URL is the proxy's serves as a connector, too: an engine that is reranked is an engine."""
    request = SearchRequest.build(index=library, body={"query": TEA, "size": BOOKS})
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url, connectors(url) as both:
        wanted, found = [await each.search(request) for each in both]
    assert facts(wanted) == facts(found)
    assert shortest_first("body") == clients.ids(found.json)
