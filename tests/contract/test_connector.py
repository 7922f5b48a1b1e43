"""What every Connector keeps to: embedded, both real engines, also through their clients; each bare and reranked."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from connectors.base import Connector, RelayRequest, SearchRequest
from connectors.detect import connect
from connectors.elasticsearch import ElasticsearchConnector
from connectors.embedded import EmbeddedConnector
from connectors.errors import EngineStatusError
from connectors.opensearch import OpenSearchConnector
from sidecar import tasks
from sidecar.pipeline import RerankingConnector
from sidecar.scoring.scripted import parse

JSON = (("Content-Type", "application/json"),)
NDJSON = (("Content-Type", "application/x-ndjson"),)
MARKER = "X-Rerank"

SOURCE = b'{ "title":"green tea",  "n":12345678901234567890, "e":1E+2 }'
"""What no parser gives back as it was."""

DOCUMENTS = (b'{"title":"tea"}', b'{"title":"tea and more tea with a long title"}', SOURCE, b'{"title":"coffee"}')
MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}},
}
KINDS = ["embedded", "elasticsearch", "opensearch", "elasticsearch client", "opensearch client"]


@asynccontextmanager
async def embedded(_: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """The engine in this process."""
    async with EmbeddedConnector() as connector:
        yield connector


@asynccontextmanager
async def elasticsearch(request: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """A real Elasticsearch, over HTTP."""
    async with await connect(request.getfixturevalue("elasticsearch_url")) as connector:
        yield connector


@asynccontextmanager
async def opensearch(request: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """A real OpenSearch, over HTTP."""
    async with await connect(request.getfixturevalue("opensearch_url")) as connector:
        yield connector


@asynccontextmanager
async def elasticsearch_client(request: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """A real Elasticsearch, through its official client."""
    from elasticsearch import AsyncElasticsearch

    async with AsyncElasticsearch(request.getfixturevalue("elasticsearch_url")) as client:
        yield ElasticsearchConnector.from_client(client)


@asynccontextmanager
async def opensearch_client(request: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """A real OpenSearch, through its official client."""
    from opensearchpy import AsyncOpenSearch

    async with AsyncOpenSearch(request.getfixturevalue("opensearch_url")) as client:
        yield OpenSearchConnector.from_client(client)


MAKERS = dict(zip(KINDS, (embedded, elasticsearch, opensearch, elasticsearch_client, opensearch_client), strict=True))


@pytest.fixture(params=[False, True], ids=["bare", "reranked"])
def is_reranked(request: pytest.FixtureRequest) -> bool:
    """Whether a second stage stands before the engine."""
    return bool(request.param)


@pytest.fixture(params=KINDS)
async def connector(request: pytest.FixtureRequest, is_reranked: bool) -> AsyncIterator[Connector]:
    """One of each kind."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(MAKERS[request.param](request))
        yield RerankingConnector(engine, parse("test:identity")) if is_reranked else engine


@pytest.fixture
async def index(connector: Connector, new_index_name: Callable[[], str]) -> AsyncIterator[str]:
    """An index with four documents, written through the connector."""
    name = new_index_name()
    status, _ = await ask(connector, "PUT", f"/{name}", body=json.dumps(MAPPING).encode())
    assert status == 200
    lines = b"".join(b'{"index":{"_id":"%d"}}\n%b\n' % (n, source) for n, source in enumerate(DOCUMENTS, start=1))
    status, answer = await ask(connector, "POST", f"/{name}/_bulk?refresh=true", headers=NDJSON, body=lines)
    assert (200, False) == (status, json.loads(answer)["errors"])
    yield name
    await ask(connector, "DELETE", f"/{name}")


async def ask(
    connector: Connector, method: str, target: str, *, headers: Any = JSON, body: bytes | None = None
) -> tuple[int, bytes]:
    """Relay a request; a GET without a body has no media type."""
    request = RelayRequest(method=method, target=target, headers=headers if body is not None else (), body=body)
    async with connector.relay(request) as answer:
        return answer.status, b"".join([chunk async for chunk in answer.chunks])


def match(index: str, text: str = "tea", **settings: Any) -> SearchRequest:
    """Return a search of the titles."""
    return SearchRequest.build(index=index, body={"query": {"match": {"title": text}}, **settings})


def marker_of(answer: Any) -> str | None:
    """Return the marker of an answer."""
    return next((value for name, value in answer.headers if name == MARKER), None)


async def test_it_is_a_connector_with_a_name(connector: Connector, is_reranked: bool) -> None:
    """A name for people says what it is, and whether it is reranked."""
    assert isinstance(connector, Connector)
    assert connector.name.startswith("reranked ") is is_reranked
    await connector.ping()


async def test_a_search_gives_hits_in_the_order_of_their_scores(
    connector: Connector, index: str, is_reranked: bool
) -> None:
    """The scorer here keeps the first stage's order; the scores are then ours, between 1 and 2."""
    answer = await connector.search(match(index))
    assert (200, ["1", "3", "2"]) == (answer.status, [hit.id for hit in answer.hits])
    assert [1, 2, 3] == [hit.rank for hit in answer.hits]
    scores = [hit.score or 0.0 for hit in answer.hits]
    assert sorted(scores, reverse=True) == scores
    assert all(1 < score < 2 for score in scores) or not is_reranked
    assert scores[0] == answer.json["hits"]["max_score"]
    assert {"value": 3, "relation": "eq"} == answer.json["hits"]["total"]
    assert (marker_of(answer) or "").startswith("applied; candidates=3") is is_reranked


async def test_documents_come_back_byte_for_byte(connector: Connector, index: str) -> None:
    """In a hit, and by id."""
    answer = await connector.search(match(index, "green"))
    assert SOURCE in answer.content
    status, found = await ask(connector, "GET", f"/{index}/_source/3")
    assert (200, SOURCE) == (status, found)


async def test_pages_are_cut_from_one_order(connector: Connector, index: str) -> None:
    """Nothing twice, nothing lost."""
    whole = await connector.search(match(index))
    pages = [await connector.search(match(index, size=1, **{"from": offset})) for offset in range(4)]
    assert [hit.id for hit in whole.hits] == [hit.id for page in pages for hit in page.hits]


async def test_a_filtered_source_stays_filtered(connector: Connector, index: str) -> None:
    """Whatever the second stage reads."""
    without = await connector.search(match(index, _source=False))
    assert [None] * 3 == [hit.source for hit in without.hits]
    assert [{}] * 3 == [hit.fields for hit in without.hits]
    only = await connector.search(match(index, _source=["n"]))
    assert [{"n": 12345678901234567890}] == [hit.source for hit in only.hits if hit.source]


async def test_an_error_of_the_engine_is_an_answer(connector: Connector, index: str) -> None:
    """Statuses are values; who wants an exception asks for it."""
    missing = await connector.search(match(f"{index}-missing"))
    assert (404, "index_not_found_exception") == (missing.status, missing.json["error"]["type"])
    bad = await connector.search(SearchRequest.build(index=index, body={"query": {"no_such_clause": {}}}))
    assert 400 == bad.status
    with pytest.raises(EngineStatusError, match="no_such_clause"):
        bad.raise_for_status()


async def test_an_msearch_answers_each_search(connector: Connector, index: str, is_reranked: bool) -> None:
    """One that fails touches no other; the marker has an entry for each."""
    lines = [
        {"index": index},
        {"query": {"match": {"title": "tea"}}},
        {"index": f"{index}-missing"},
        {"query": {"match": {"title": "tea"}}},
        {},
        {"query": {"match_all": {}}, "size": 0},
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = await connector.msearch(
        SearchRequest(method="POST", target=f"/{index}/_msearch", headers=NDJSON, body=body)
    )
    responses = answer.json["responses"]
    assert [200, 404, 200] == [response["status"] for response in responses]
    assert ["1", "3", "2"] == [hit["_id"] for hit in responses[0]["hits"]["hits"]]
    assert (3 if is_reranked else 0) == len([entry for entry in (marker_of(answer) or "").split(", ") if entry])


async def test_a_search_can_be_relayed(connector: Connector, index: str) -> None:
    """By either door the answer is the same, but for the time that it took."""
    request = match(index)
    direct = (await connector.search(request)).json
    status, body = await ask(connector, request.method, request.target, body=request.body)
    relayed = json.loads(body)
    assert status == 200
    assert {**direct, "took": 0} == {**relayed, "took": 0}


async def test_a_compressed_request_is_read(connector: Connector, index: str) -> None:
    """As the engines read it."""
    plain = match(index)
    headers = (*plain.headers, ("Content-Encoding", "gzip"))
    request = SearchRequest(method=plain.method, target=plain.target, headers=headers, body=gzip.compress(plain.body))
    answer = await connector.search(request)
    assert ["1", "3", "2"] == [hit.id for hit in answer.hits]


async def test_a_target_is_taken_as_it_is(connector: Connector, index: str) -> None:
    """Percent-encoded names, parameters in any spelling."""
    encoded = "%2C".join([index, index])
    status, body = await ask(connector, "GET", f"/{encoded}/_search?q=title%3atea&size=2&pretty")
    answer = json.loads(body)
    assert (200, 2, 3) == (status, len(answer["hits"]["hits"]), answer["hits"]["total"]["value"])
    assert b'\n  "hits" : {' in body


async def test_head_and_404_have_no_surprises(connector: Connector, index: str) -> None:
    """The status tells."""
    assert (200, b"") == await ask(connector, "HEAD", f"/{index}/_doc/1")
    assert (404, b"") == await ask(connector, "HEAD", f"/{index}/_doc/99")
    status, body = await ask(connector, "GET", f"/{index}/_doc/99")
    assert (404, False) == (status, json.loads(body)["found"])


async def test_many_searches_at_once_have_each_its_answer(connector: Connector, index: str) -> None:
    """Answers are not mixed up."""
    words = ["tea", "coffee", "green", "more"] * 6
    answers = await asyncio.gather(*(connector.search(match(index, word)) for word in words))
    assert [3, 1, 1, 1] * 6 == [len(answer.hits) for answer in answers]


async def test_a_search_that_nobody_waits_for_leaves_the_connector_usable(connector: Connector, index: str) -> None:
    """Cancelled at some moment."""
    for delay in (0.0, 0.001, 0.003):
        task = tasks.start(connector.search(match(index)), name="given up")
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert 3 == len((await connector.search(match(index))).hits)
