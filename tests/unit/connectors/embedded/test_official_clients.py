"""The official clients over HTTP: what their users do first works, and errors are the exceptions that they expect."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import elasticsearch
import opensearchpy
import pytest
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from opensearchpy import AsyncOpenSearch
from opensearchpy.helpers import async_bulk as opensearch_bulk

from connectors.detect import connect
from connectors.embedded import EmbeddedConnector
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening

BOOKS = {"1": {"title": "black tea", "n": 1}, "2": {"title": "green tea", "n": 2}, "3": {"title": "water", "n": 3}}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Address of a proxy in front of an empty engine."""
    async with listening(ProxyApp(EmbeddedConnector(), {}), Address.parse("127.0.0.1:0")) as address:
        yield str(address)


@pytest.fixture
async def elastic(url: str) -> AsyncIterator[AsyncElasticsearch]:
    """Elastic's client."""
    async with AsyncElasticsearch(url, max_retries=0) as client:
        yield client


@pytest.fixture
async def opensearch(url: str) -> AsyncIterator[AsyncOpenSearch]:
    """OpenSearch's client."""
    async with AsyncExitStack() as stack:
        client = AsyncOpenSearch(url, max_retries=0)
        stack.push_async_callback(client.close)
        yield client


async def test_elasticsearch_documents(elastic: AsyncElasticsearch) -> None:
    """Index, get, exists, create, mget, delete, source."""
    assert "created" == (await elastic.index(index="books", id="1", document=BOOKS["1"], refresh=True))["result"]
    assert "created" == (await elastic.create(index="books", id="2", document=BOOKS["2"]))["result"]
    assert (await elastic.index(index="books", document=BOOKS["3"]))["_id"]
    assert BOOKS["1"] == (await elastic.get(index="books", id="1"))["_source"]
    assert BOOKS["2"] == (await elastic.get_source(index="books", id="2")).body
    assert await elastic.exists(index="books", id="1")
    assert not await elastic.exists(index="books", id="nope")
    found = await elastic.mget(index="books", ids=["2", "nope"])
    assert [True, False] == [one["found"] for one in found["docs"]]
    assert "deleted" == (await elastic.delete(index="books", id="2"))["result"]
    assert 2 == (await elastic.count(index="books"))["count"]


async def test_elasticsearch_searches(elastic: AsyncElasticsearch) -> None:
    """Bulk, search, msearch, count, field_caps."""
    actions = [{"_index": "books", "_id": key, "_source": source} for key, source in BOOKS.items()]
    assert (3, []) == await async_bulk(elastic, actions, refresh=True)
    answer = await elastic.search(
        index="books",
        query={"match": {"title": "tea"}},
        aggs={"n": {"avg": {"field": "n"}}},
        highlight={"fields": {"title": {}}},
        sort=["_score", {"n": "desc"}],
        source=["n"],
        size=1,
    )
    (hit,) = answer["hits"]["hits"]
    assert ("2", {"n": 2}, {"title": ["green <em>tea</em>"]}) == (hit["_id"], hit["_source"], hit["highlight"])
    assert (2, 1.5) == (answer["hits"]["total"]["value"], answer["aggregations"]["n"]["value"])
    many = await elastic.msearch(index="books", searches=[{}, {"query": {"match_all": {}}}, {"index": "nope"}, {}])
    assert [200, 404] == [one["status"] for one in many["responses"]]
    assert 2 == (await elastic.count(index="books", query={"match": {"title": "tea"}}))["count"]
    assert {"title"} == set((await elastic.field_caps(index="books", fields="title"))["fields"])
    assert ["3"] == [hit["_id"] for hit in (await elastic.search(index="books", q="title:water"))["hits"]["hits"]]


async def test_elasticsearch_indices(elastic: AsyncElasticsearch) -> None:
    """Create, exists, mappings, settings, refresh, tables, delete; info and ping."""
    mappings = {"properties": {"title": {"type": "text", "analyzer": "english"}}}
    assert (await elastic.indices.create(index="books", mappings=mappings))["acknowledged"]
    assert await elastic.indices.exists(index="books")
    assert not await elastic.indices.exists(index="nope")
    assert mappings == (await elastic.indices.get_mapping(index="books"))["books"]["mappings"]
    await elastic.indices.put_mapping(index="books", properties={"n": {"type": "long"}})
    assert {"title", "n"} == set((await elastic.indices.get(index="books"))["books"]["mappings"]["properties"])
    assert "1" == (await elastic.indices.get_settings(index="books"))["books"]["settings"]["index"]["number_of_shards"]
    assert 1 == (await elastic.indices.refresh(index="books"))["_shards"]["successful"]
    assert [("books", "0")] == [
        (row["index"], row["docs.count"]) for row in (await elastic.cat.indices(format="json")).body
    ]
    assert "green" == (await elastic.cluster.health())["status"]
    assert (await elastic.indices.delete(index="books"))["acknowledged"]
    assert (await elastic.info())["version"]["build_flavor"] == "embedded"
    assert await elastic.ping()


async def test_elasticsearch_errors(elastic: AsyncElasticsearch) -> None:
    """The client's own exceptions, with the engine's words."""
    await elastic.index(index="books", id="1", document=BOOKS["1"])
    with pytest.raises(elasticsearch.NotFoundError, match="no such index"):
        await elastic.search(index="nope")
    with pytest.raises(elasticsearch.NotFoundError):
        await elastic.get(index="books", id="nope")
    with pytest.raises(elasticsearch.ConflictError, match="document already exists"):
        await elastic.create(index="books", id="1", document={})
    with pytest.raises(elasticsearch.BadRequestError, match="not supported by the embedded engine"):
        await elastic.search(index="books", query={"fuzzy": {"title": "te"}})
    with pytest.raises(elasticsearch.BadRequestError, match="resource_already_exists_exception"):
        await elastic.indices.create(index="books")
    with pytest.raises(elasticsearch.helpers.BulkIndexError, match="1 document"):
        await async_bulk(elastic, [{"_index": "books", "_id": "2", "n": "no number"}])


async def test_opensearch_documents(opensearch: AsyncOpenSearch) -> None:
    """Index, get, exists, create, mget, delete."""
    assert "created" == (await opensearch.index(index="books", id="1", body=BOOKS["1"], refresh=True))["result"]
    assert "created" == (await opensearch.create(index="books", id="2", body=BOOKS["2"]))["result"]
    assert BOOKS["1"] == (await opensearch.get(index="books", id="1"))["_source"]
    assert await opensearch.exists(index="books", id="1")
    assert not await opensearch.exists(index="books", id="nope")
    found = await opensearch.mget(index="books", body={"ids": ["2", "nope"]})
    assert [True, False] == [one["found"] for one in found["docs"]]
    assert "deleted" == (await opensearch.delete(index="books", id="2"))["result"]


async def test_opensearch_searches(opensearch: AsyncOpenSearch) -> None:
    """Bulk, search, msearch, count."""
    actions = [{"_index": "books", "_id": key, "_source": source} for key, source in BOOKS.items()]
    assert (3, []) == await opensearch_bulk(opensearch, actions, refresh=True)
    answer = await opensearch.search(index="books", body={"query": {"match": {"title": "green tea"}}})
    assert ["2", "1"] == [hit["_id"] for hit in answer["hits"]["hits"]]
    many = await opensearch.msearch(body=[{"index": "books"}, {"size": 0}, {"index": "nope"}, {}])
    assert [200, 404] == [one["status"] for one in many["responses"]]
    assert 2 == (await opensearch.count(index="books", body={"query": {"match": {"title": "tea"}}}))["count"]


async def test_opensearch_indices(opensearch: AsyncOpenSearch) -> None:
    """Create, exists, mapping, tables, delete; info and ping."""
    body: Mapping[str, Any] = {"mappings": {"properties": {"title": {"type": "text"}}}}
    assert (await opensearch.indices.create(index="books", body=body))["acknowledged"]
    assert await opensearch.indices.exists(index="books")
    assert body == (await opensearch.indices.get_mapping(index="books"))["books"]
    assert ["books"] == [row["index"] for row in await opensearch.cat.indices(format="json")]
    assert (await opensearch.indices.delete(index="books"))["acknowledged"]
    assert not await opensearch.indices.exists(index="books")
    assert "the embedded engine" == (await opensearch.info())["name"]
    assert await opensearch.ping()


async def test_opensearch_errors(opensearch: AsyncOpenSearch) -> None:
    """The client's own exceptions, with the engine's words."""
    with pytest.raises(opensearchpy.NotFoundError, match="no such index"):
        await opensearch.search(index="nope", body={})
    await opensearch.index(index="books", id="1", body=BOOKS["1"])
    with pytest.raises(opensearchpy.NotFoundError):
        await opensearch.get(index="books", id="nope")
    with pytest.raises(opensearchpy.ConflictError):
        await opensearch.create(index="books", id="1", body={})
    with pytest.raises(opensearchpy.RequestError, match="parsing_exception"):
        await opensearch.search(index="books", body={"nope": 1})


async def test_our_own_connector_takes_it_for_elasticsearch(url: str) -> None:
    """Who asks for its name gets an engine of Elasticsearch's dialect."""
    async with await connect(url) as engine:
        assert "9.5.3" in engine.name
