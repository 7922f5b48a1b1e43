"""Hits that weigh: what is fetched for a window, and what may not fail because of it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.base import Connector, SearchRequest, SearchResponse
from connectors.detect import connect
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.types import RerankOptions
from tests.integration.books import put_documents
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, send, untimed

TEA = {"match": {"body": "tea"}}
DIMENSIONS = 1536
HEAVY = 120
"""Documents of the heavy index."""


class Counting:
    """An engine that counts the bytes of its answers to searches."""

    def __init__(self, engine: Connector) -> None:
        """Count what `engine` gives."""
        self._engine = engine
        self.bytes = 0
        self.bodies: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the engine does."""
        return getattr(self._engine, name)

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer, and count."""
        answer = await self._engine.search(request)
        self.bytes += len(answer.body)
        self.bodies.append(json.loads(request.body or b"{}"))
        return answer


@pytest.fixture
def heavy(engine_url: str, index_name: str) -> str:
    """An index of documents with an embedding in `_source`, which nobody maps."""
    vector = [round(0.001 * n, 6) for n in range(DIMENSIONS)]
    documents = [{"body": "tea " * (n % 9 + 1) + f"word{n}", "embedding": vector} for n in range(HEAVY)]
    properties = {"body": {"type": "text"}, "embedding": {"type": "object", "enabled": False}}
    mapping = {"settings": {"number_of_shards": 1}, "mappings": {"properties": properties}}
    put_documents(engine_url, index_name, documents, mapping)
    return index_name


@asynccontextmanager
async def counted(engine_url: str, **options: Any) -> AsyncIterator[tuple[Counting, RerankingConnector]]:
    """Give an engine that counts, bare, and reranked."""
    async with await connect(engine_url) as engine:
        counting = Counting(engine)
        policy = Policy(defaults=RerankOptions(deadline=0, **options))
        yield counting, RerankingConnector(counting, ShortestFirst(), policy)


async def test_vectors_in_the_source_are_not_fetched_for_the_window(engine_url: str, heavy: str) -> None:
    """With a window of 100 and a page of 10 at most twice the bytes of the direct answer, from the first search on."""
    request = SearchRequest.build(index=heavy, body={"query": TEA, "size": 10})
    async with counted(engine_url) as (counting, reranked):
        direct = await counting.search(request)
        for _ in range(3):
            counting.bytes = 0
            answer = await reranked.search(request)
            assert ("applied", "100") == marker_facts(answer)
            assert counting.bytes <= 2 * len(direct.body)
    assert [len(hit.source["embedding"]) for hit in answer.hits if hit.source] == [DIMENSIONS] * 10
    assert sorted(len(str((hit.source or {})["body"])) for hit in answer.hits) == [
        len(str((hit.source or {})["body"])) for hit in answer.hits
    ]


async def test_light_hits_come_in_one_request_once_they_are_known(engine_url: str, library: str) -> None:
    """The first page tells how heavy they are."""
    request = SearchRequest.build(index=library, body={"query": TEA, "size": 10})
    async with counted(engine_url) as (counting, reranked):
        for _ in range(3):
            await reranked.search(request)
    assert [False, True, True, True] == [body.get("_source", True) for body in counting.bodies]


VIEWS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "plain": ("", {}),
    "second page": ("", {"from": 5}),
    "pretty": ("?pretty", {}),
    "source filter": ("", {"_source": ["title", "exotic"]}),
    "fields": ("", {"fields": ["title", "n"], "_source": False}),
    "stored and docvalue fields": ("", {"stored_fields": ["note"], "docvalue_fields": ["n"]}),
    "highlight": ("", {"highlight": {"fields": {"body": {"fragment_size": 30}}}}),
    "explain": ("", {"explain": True}),
    "version": ("", {"version": True, "seq_no_primary_term": True}),
    "aggregations": ("", {"aggs": {"shelves": {"terms": {"field": "shelf"}}}}),
    "post_filter": ("", {"post_filter": {"terms": {"shelf": ["shelf-0", "shelf-1"]}}}),
    "total as a number": ("?rest_total_hits_as_int=true", {}),
    "sort by _score": ("", {"sort": ["_score"]}),
    "a pattern of indices": ("", {"indices_boost": [{"library*": 2.5}]}),
    "inner hits": (
        "",
        {
            "query": {
                "bool": {
                    "must": TEA,
                    "should": {
                        "nested": {
                            "path": "chapters",
                            "inner_hits": {},
                            "query": {"match": {"chapters.heading": "tea"}},
                        }
                    },
                }
            }
        },
    ),
    "q": ("?q=tea&df=body&size=5", {"query": None}),
}


REPRINTED = frozenset({"source filter", "fields"})


def alike(one: Answer, two: Answer) -> bool:
    """Return whether two answers say the same but for the time that it took."""
    return {**one.json, "took": 0} == {**two.json, "took": 0}


async def test_two_requests_give_the_page_that_one_gives(engine_url: str, library: str) -> None:
    """Byte for byte, in every view, but for the time that it took.

    Where `fields` were added, Elasticsearch prints the members of a filtered `_source` in another order.
    """
    wrong: list[str] = []
    async with (
        proxied(engine_url, LastFirst(), window=20, fetch="once", deadline=0) as once,
        proxied(engine_url, LastFirst(), window=20, fetch="twice", deadline=0) as twice,
    ):
        for name, (parameters, more) in VIEWS.items():
            settings = {"query": TEA, "size": 5, **more}
            body = {key: value for key, value in settings.items() if value is not None and name != "q"}
            target = f"/{library}/_search{parameters}"
            one, two = [await send(url, "POST", target, body=body or None) for url in (once, twice)]
            if (one.status, one.marker) != (200, two.marker) or not one.marker.startswith("applied"):
                wrong.append(f"{name}: {one.status} {one.marker} and {two.status} {two.marker}")
            elif untimed(one.body) != untimed(two.body) and not (name in REPRINTED and alike(one, two)):
                wrong.append(f"{name}:\n{one.body[:1500]!r}\n{two.body[:1500]!r}")
    assert not wrong, "\n".join(wrong)


async def test_a_document_too_long_to_highlight_costs_nothing(engine_url: str, index_name: str) -> None:
    """It stands at rank 60, where nobody asked for its highlight."""
    documents = [{"body": "tea " * (70 - n) + f"word{n}"} for n in range(70)]
    documents[59]["body"] = "tea " * 11 + "x " * 60_000
    mapping = {
        "settings": {"number_of_shards": 1, "highlight.max_analyzed_offset": 100_000},
        "mappings": {"properties": {"body": {"type": "text", "norms": False}}},
    }
    put_documents(engine_url, index_name, documents, mapping)
    body = {"query": TEA, "size": 10, "highlight": {"fields": {"body": {}}}}
    target = f"/{index_name}/_search"
    async with proxied(engine_url, "test:identity", deadline=0) as proxy:
        got, own = [await send(url, "POST", target, body=body) for url in (proxy, engine_url)]
    assert ("applied", 0) == (got.outcome, got.json["_shards"]["failed"])
    assert [hit["highlight"] for hit in own.hits] == [hit["highlight"] for hit in got.hits]
    async with proxied(engine_url, LastFirst(), window=60, deadline=0) as proxy:  # now it would be on the page
        got = await send(proxy, "POST", target, body=body)
    assert ("skipped", "widening_refused", own.ids) == (got.outcome, got.reason, got.ids)


def marker_facts(answer: SearchResponse) -> tuple[str, str]:
    """Return outcome and candidates of an answer's marker."""
    marker = dict(answer.headers)["X-Rerank"]
    outcome, _, rest = marker.partition("; candidates=")
    return outcome, rest.partition(";")[0]


# --- passages -----------------------------------------------------------------------------------------------


async def test_long_documents_are_read_passage_by_passage(engine_url: str, index_name: str) -> None:
    """What answers the question may stand at the end; it comes back as a highlight."""
    filler = "tea is an old drink of many lands " * 60
    documents = [{"title": f"Book {n}", "body": f"<p>{filler}</p><p>passage {n} ends here</p>"} for n in range(4)]
    put_documents(engine_url, index_name, documents)
    scorer = ShortestFirst()
    ext = {"rerank": {"passage_tokens": 100, "passage_title": True, "passage_return": True, "strip_html": True}}
    body = {"query": {"multi_match": {"query": "tea", "fields": ["title", "body"]}}, "ext": ext}
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{index_name}/_search", body=body)
    assert ("applied", 4) == (got.outcome, len(got.hits))
    assert all(text.startswith("Book ") and "<p>" not in text for text in scorer.texts)
    assert len(scorer.texts) > 4 * 4
    for hit in got.hits:
        (best,) = hit["highlight"]["rerank_passage"]
        assert best == min((text for text in scorer.texts if text.startswith(hit["_source"]["title"])), key=len)


async def test_inner_hits_are_passages(engine_url: str, library: str) -> None:
    """The nested documents that the search found are scored, each by itself."""
    nested = {"path": "chapters", "inner_hits": {}, "query": {"match": {"chapters.heading": "tea"}}}
    body = {"query": {"nested": nested}, "ext": {"rerank": {"text_from": "inner_hits"}}, "size": 30}
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body=body)
    assert ("applied", 30) == (got.outcome, len(got.hits))
    assert {f"Tea chapter {n}" for n in range(30)} == set(scorer.texts)


async def test_top_hits_get_nothing_that_nobody_asked_for(engine_url: str, library: str) -> None:
    """Elasticsearch gives the fields of a search to its `top_hits`, too."""
    body = {"query": TEA, "size": 5, "aggs": {"shelves": {"top_hits": {"size": 2}}}}
    async with proxied(engine_url, "test:identity", deadline=0) as proxy:
        for more in ({}, {"_source": False}, {"_source": ["title"]}, {"_source": ["body"]}):
            for _ in range(2):
                got = await send(proxy, "POST", f"/{library}/_search", body={**body, **more})
                own = await send(engine_url, "POST", f"/{library}/_search", body={**body, **more})
                assert own.json["aggregations"] == got.json["aggregations"]
                assert own.ids == got.ids
                is_readable = more in ({}, {"_source": ["body"]})
                assert ("applied" if is_readable else "no_text_field") == (got.reason or got.outcome)
