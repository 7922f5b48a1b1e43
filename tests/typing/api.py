"""The public API as its users write it. Never executed: `test_api.py` has mypy read it.

What `assert_type` says is a promise to users.
"""

from collections.abc import Sequence
from typing import Any, assert_type

from elastic_transport import ObjectApiResponse
from elasticsearch import AsyncElasticsearch, Elasticsearch
from opensearchpy import AsyncOpenSearch, OpenSearch

from connectors import Connector, ElasticsearchConnector, SearchRequest, SearchResponse, connect
from sidecar import (
    AsyncReranker,
    IndexPolicy,
    ModelFacts,
    Policy,
    Reranker,
    RerankingConnector,
    RerankOptions,
    RerankSettings,
    Scorer,
    load_scorer,
)


class MyScorer:
    """A scorer of somebody's own."""

    def describe(self) -> ModelFacts:
        """Return facts."""
        return ModelFacts(
            name="mine", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return zeros."""
        return [0.0] * len(texts)

    async def aclose(self) -> None:
        """Do nothing."""


async def asynchronous(elastic: AsyncElasticsearch, open_search: AsyncOpenSearch) -> None:
    """Both asynchronous clients."""
    settings: RerankSettings = {"window": 50, "fields": ["title", "body"]}
    async with AsyncReranker(elastic, "offline", window=50, fusion="linear", deadline_ms=250) as reranker:
        assert_type(reranker, AsyncReranker[AsyncElasticsearch])
        assert_type(reranker.client, AsyncElasticsearch)
        assert_type(await reranker.search(index="books", query={}, rerank=settings), ObjectApiResponse[Any])
        assert_type(await reranker.msearch(searches=[{}, {}], rerank=False), ObjectApiResponse[Any])
        assert_type(reranker.options(request_timeout=3, rerank=True), AsyncReranker[AsyncElasticsearch])
    other = AsyncReranker(open_search, MyScorer(), policies=[IndexPolicy(indices=("books",))])
    assert_type(other.client, AsyncOpenSearch)
    assert_type(await other.search(index="books", body={}), dict[str, Any])
    await other.close()


def synchronous(elastic: Elasticsearch, open_search: OpenSearch) -> None:
    """Both synchronous clients."""
    with Reranker(elastic, "http://scorer:9281", api_key="key", **RerankSettings(explain=True)) as reranker:
        assert_type(reranker, Reranker[Elasticsearch])
        assert_type(reranker.search(index="books", query={}), ObjectApiResponse[Any])
        reranker.indices.refresh(index="books")
    assert_type(Reranker(open_search).search(body={}), dict[str, Any])


async def connectors(client: AsyncElasticsearch) -> None:
    """Without a client's own way to search."""
    scorer: Scorer = await load_scorer("offline")
    engine: Connector = await connect("http://localhost:9200")
    reranked: Connector = RerankingConnector(engine, scorer, Policy(defaults=RerankOptions(window=50)))
    RerankingConnector(ElasticsearchConnector.from_client(client), MyScorer())
    assert_type(await reranked.search(SearchRequest.build(index="books", body={})), SearchResponse)


def mistakes(elastic: Elasticsearch, unknown: AsyncReranker[Any]) -> None:
    """What mypy is to find; an ignore that is not needed is an error, too."""
    Reranker(elastic, "offline", windov=50)  # type: ignore[call-arg]
    Reranker(elastic, "offline", window="50")  # type: ignore[arg-type]
    Reranker(elastic, "offline", fusion="no_such_fusion")  # type: ignore[arg-type]
    Reranker(elastic, 5)  # type: ignore[arg-type]
    Reranker(elastic, "offline").search(rerank={"windov": 5})  # type: ignore[arg-type]
    unknown.search()  # type: ignore[unused-coroutine]
