"""Documented searches that no bare node can run, on engines made of documented answers (`documented_engine`).

Three kinds of engines: one that has all but the reranker's endpoint, so that the reranker is ours to execute; one that
has the reranker, too, whose answers are not touched; and OpenSearch with neural search.

*Source:* as in test_documented_examples.py; "Inference endpoint not found" is what Elasticsearch answers to a reranker
whose endpoint is missing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.documented_engine import DocumentedEngine, documented, error, nothing
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.talks import TEXTS, length
from tests.integration.wire import Answer, send

Body = dict[str, Any]

FOUND = ("0", "19", "14", "9", "4", "23", "18", "13")
"""What the engines find, in their order, which is not that of any length."""

WORDS = "What are the state of the art applications of AI in information retrieval?"
QUESTION = "(information retrieval) OR (artificial intelligence)"
ENDPOINT = "my-rerank-model"


def without_endpoint(body: Body) -> tuple[int, Body] | None:
    """Refuse a reranker, wherever it stands: its endpoint is not there."""
    if "text_similarity_reranker" not in json.dumps(body):
        return None
    return error(404, "resource_not_found_exception", f"Inference endpoint not found [{ENDPOINT}]")


def without_licence(body: Body) -> tuple[int, Body] | None:
    """Refuse a reranker for the licence's sake."""
    if "text_similarity_reranker" not in json.dumps(body):
        return None
    return error(403, "security_exception", "current license is non-compliant for [text_similarity_reranker]")


def shortest_first(fields: Sequence[str], found: Sequence[str] = FOUND) -> list[str]:
    """Return the order that the model of these tests gives."""
    return sorted(found, key=lambda identifier: length(identifier, fields))


# --- retrievers ---------------------------------------------------------------------------------------------

KNN: Body = {"knn": {"field": "vector", "query_vector": [0.23, 0.67, 0.89], "k": 3, "num_candidates": 5}}
BUILT: Body = {"query_vector_builder": {"text_embedding": {"model_id": "my-text-embedding", "model_text": "the moon"}}}
WORDED: Body = {"standard": {"query": {"query_string": {"query": QUESTION, "default_field": "text"}}}}
SPARSE: Body = {"sparse_vector": {"field": "plot_embedding", "inference_id": "my-elser-model", "query": "dark films"}}
ELSER: Body = {"text_expansion": {"plot_embedding": {"model_id": ".elser_model_2", "model_text": "dark films"}}}
SEMANTIC: Body = {"semantic": {"field": "text_semantic", "query": "dark films"}}
RRF: Body = {"rrf": {"retrievers": [WORDED, KNN], "rank_window_size": 10, "rank_constant": 1}}
WEIGHTED: Body = {"rrf": {"retrievers": [{"retriever": WORDED, "weight": 2.0}, {"retriever": KNN}]}}
LINEAR: Body = {
    "linear": {
        "retrievers": [
            {"retriever": WORDED, "weight": 2, "normalizer": "minmax"},
            {"retriever": KNN, "weight": 1.5, "normalizer": "minmax"},
        ],
        "rank_window_size": 10,
    }
}
FOR_FIELDS: Body = {
    "linear": {"query": "artificial intelligence", "fields": ["text", "title^2"], "normalizer": "minmax"}
}
MATCHING: Body = {"standard": {"query": {"match": {"text": "moon"}}}}
PINNED: Body = {"pinned": {"docs": [{"_id": "doc1", "_index": "my-index"}, {"_id": "doc2"}], "retriever": MATCHING}}
RULE: Body = {
    "rule": {"match_criteria": {"query_string": "moon"}, "ruleset_ids": ["my-ruleset"], "retriever": MATCHING}
}
DIVERSE: Body = {
    "diversify": {
        "type": "mmr",
        "field": "vector",
        "lambda": 0.7,
        "size": 3,
        "query_vector": [0.1, 0.2, 0.3],
        "retriever": MATCHING,
    }
}
SCRIPT = {"source": "cosineSimilarity(params.v, 'vector') + 1.0", "params": {"v": [-0.5, 90.0, -10]}}
RESCORED: Body = {
    "rescorer": {
        "rescore": {
            "window_size": 50,
            "query": {"rescore_query": {"script_score": {"query": {"match_all": {}}, "script": SCRIPT}}},
        },
        "retriever": {"rrf": {"rank_window_size": 100, "retrievers": [{"standard": {"query": SPARSE}}, MATCHING, KNN]}},
    }
}


def reranked(inner: Body, **settings: Any) -> Body:
    """Return the reranker around a retriever."""
    given = {"retriever": inner, "field": "text", "inference_id": ENDPOINT, "inference_text": WORDS, **settings}
    return {"text_similarity_reranker": given}


CHUNKS = {"size": 1, "chunking_settings": {"strategy": "sentence", "max_chunk_size": 300, "sentence_overlap": 0}}
INSIDE: Mapping[str, Body] = {
    "rrf, the best chunk": reranked(RRF, chunk_rescorer=CHUNKS),
    "rrf with weights": reranked(WEIGHTED),
    "linear": reranked(LINEAR),
    "fields in short": reranked(FOR_FIELDS),
    "knn whose vector a model builds": reranked({"knn": {"field": "vector", "k": 8, "num_candidates": 20, **BUILT}}),
    "pinned": reranked(PINNED),
    "rule": reranked(RULE),
    "diversify": reranked(DIVERSE),
    "rescorer around rrf": reranked(RESCORED),
}
LIFTED: Mapping[str, Body] = {"sparse_vector": SPARSE, "text_expansion": ELSER, "semantic": SEMANTIC}
"""Queries of a `standard` retriever."""


@pytest.mark.parametrize("refusal", [without_endpoint, without_licence], ids=["no endpoint", "no licence"])
@pytest.mark.parametrize("name", [*INSIDE, *LIFTED])
async def test_a_reranker_without_its_endpoint_is_executed_by_us(refusal: Any, name: str) -> None:
    """The engine is asked for what is inside, as it was written; the text that counts is the reranker's."""
    retriever = INSIDE[name] if name in INSIDE else reranked({"standard": {"query": LIFTED[name]}})
    inner = retriever["text_similarity_reranker"]["retriever"]
    scorer = ShortestFirst()
    async with documented("elasticsearch", FOUND, refusal) as engine, proxied(engine.url, scorer, deadline=0) as proxy:
        for _ in range(2):
            got = await send(proxy, "POST", "/talks/_search", body={"retriever": retriever, "_source": False})
            assert ("applied", shortest_first(["text"])) == (got.outcome, got.ids)
            assert all(set(hit) == {"_index", "_id", "_score"} for hit in got.hits)
    assert {WORDS} == set(scorer.queries)
    refused, *asked = engine.bodies
    assert retriever == refused["retriever"]
    assert 2 == len(asked)  # the refusal is learned: the second search asks once
    expected = {"query": inner["standard"]["query"]} if "standard" in inner else {"retriever": inner}
    for body in asked:
        assert expected == {key: body[key] for key in body if key in {"query", "retriever"}}


DEEP: Mapping[str, tuple[Body, int, int]] = {
    "knn": (reranked(KNN, rank_window_size=6), 6, 6),
    "rrf with a window of its own": (
        reranked({"rrf": {**RRF["rrf"], "rank_window_size": 5}}, rank_window_size=50),
        5,
        5,
    ),
    "rrf with the window that it has by default": (reranked(WEIGHTED, rank_window_size=50), 10, 8),
    "rescorer": (reranked(RESCORED, rank_window_size=60), 50, 8),
    "a chain": (reranked(reranked(KNN, rank_window_size=7, inference_text="other"), rank_window_size=3), 7, 7),
}
"""A reranker, the hits that the engine can be asked for, and how many it finds of them."""


@pytest.mark.parametrize("name", DEEP)
async def test_a_reranker_ranks_its_window_and_not_only_the_page(name: str) -> None:
    """The engine is asked for the whole window once, and pages are cut from one ranking."""
    retriever, asked, found = DEEP[name]
    ranking = shortest_first(["text"], FOUND[:found])
    async with (
        documented("elasticsearch", FOUND, without_endpoint) as engine,
        proxied(engine.url, ShortestFirst(), deadline=0, fetch="once") as proxy,
    ):
        pages = [
            await send(proxy, "POST", "/talks/_search", body={"retriever": retriever, "from": offset, "size": 3})
            for offset in (0, 3)
        ]
    assert ["applied", "applied"] == [page.outcome for page in pages]
    assert ranking[:6] == [identifier for page in pages for identifier in page.ids]
    assert {(0, asked)} == {(body.get("from", 0), body["size"]) for body in engine.bodies[1:]}


ELSEWHERE: Mapping[str, Body] = {
    "rrf over a reranker": {"rrf": {"retrievers": [KNN, reranked(MATCHING)], "rank_constant": 1}},
    "rule over a reranker": {"rule": {**RULE["rule"], "retriever": reranked(RRF)}},
    "pinned over a reranker": {"pinned": {"ids": ["1"], "retriever": reranked(MATCHING)}},
    "diversify over a reranker": {"diversify": {**DIVERSE["diversify"], "retriever": reranked(MATCHING)}},
    "linear over a reranker": {"linear": {"retrievers": [{"retriever": reranked(MATCHING), "weight": 2}]}},
}


@pytest.mark.parametrize("refusal", [nothing, without_endpoint], ids=["it can", "it cannot"])
@pytest.mark.parametrize("name", ELSEWHERE)
async def test_a_reranker_inside_another_retriever_stays_the_engines(refusal: Any, name: str) -> None:
    """What is done with its ranking is done in the engine, which answers or says why not."""
    got, engine = await _untouched(refusal, "/talks/_search", {"retriever": ELSEWHERE[name]})
    assert "skipped; reason=native_rerank" == got.marker
    assert [{"retriever": ELSEWHERE[name]}] == engine.bodies


@pytest.mark.parametrize("name", INSIDE)
async def test_an_engine_that_reranks_is_left_alone(name: str) -> None:
    """Its answer is given back to the byte."""
    got, engine = await _untouched(nothing, "/talks/_search", {"retriever": INSIDE[name], "size": 4})
    assert "skipped; reason=native_rerank" == got.marker
    assert [{"retriever": INSIDE[name], "size": 4}] == engine.bodies


async def test_one_that_names_us_is_not_offered_to_the_engine() -> None:
    """Not even to one that could."""
    retriever = reranked(RRF, inference_id="rerank-sidecar")
    async with documented("elasticsearch", FOUND) as engine, proxied(engine.url, ShortestFirst(), deadline=0) as proxy:
        got = await send(proxy, "POST", "/talks/_search", body={"retriever": retriever})
    assert ("applied", shortest_first(["text"])) == (got.outcome, got.ids)
    assert [RRF] == [body["retriever"] for body in engine.bodies]


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A documented search without a reranker: the words and fields that are read from it, or why it is left alone."""

    body: Body
    words: str = ""
    fields: Sequence[str] = ("text",)
    reason: str = ""


RANGE: Body = {"standard": {"query": {"range": {"year": {"gt": 2023}}}}}
TERM: Body = {"standard": {"query": {"term": {"topic": "elastic"}}}}
BY_TIME: Body = {
    "standard": {
        "query": {"function_score": {"query": {"term": {"topic": "ai"}}, "functions": [{"weight": 2}]}},
        "sort": {"year": {"order": "asc"}},
    }
}
NESTED: Body = {
    "nested": {
        "path": "nested_field",
        "inner_hits": {"name": "nested_vector", "_source": False},
        "query": {"knn": {"field": "nested_field.vector", "query_vector": [1, 0, 0.5], "k": 10}},
    }
}
READ = "information retrieval artificial intelligence"
PLAIN: Mapping[str, Plain] = {
    "rrf of words and vectors": Plain(body={"retriever": RRF, "_source": False}, words=READ),
    "rrf with weights": Plain(body={"retriever": WEIGHTED}, words=READ),
    "linear": Plain(body={"retriever": LINEAR, "_source": False}, words=READ),
    "rrf of all fields": Plain(
        body={"retriever": {"rrf": {"query": "artificial intelligence"}}}, words="artificial intelligence", fields=TEXTS
    ),
    "linear of fields": Plain(
        body={"retriever": FOR_FIELDS}, words="artificial intelligence", fields=("title", "text")
    ),
    "highlighted": Plain(body={"retriever": RRF, "highlight": {"fields": {"text": {}}}, "_source": False}, words=READ),
    "sparse and dense": Plain(
        body={"retriever": {"rrf": {"retrievers": [{"standard": {"query": SPARSE}}, MATCHING, KNN]}}},
        words="dark films moon",
    ),
    "sub_searches": Plain(
        body={
            "sub_searches": [{"query": {"match": {"text": "blue moon"}}}, {"query": SPARSE}],
            "rank": {"rrf": {"rank_window_size": 50, "rank_constant": 20}},
        },
        words="blue moon dark films",
    ),
    "rrf inside rrf, explained": Plain(
        body={"retriever": {"rrf": {"retrievers": [TERM, RRF]}}, "_source": False, "explain": True}, words=READ
    ),
    "semantic": Plain(body={"query": SEMANTIC}, words="dark films", fields=("text_semantic",), reason="no_text_field"),
    "sparse_vector": Plain(body={"query": SPARSE}, words="dark films", fields=TEXTS),
    "text_expansion": Plain(body={"query": ELSER}, words="dark films", fields=TEXTS),
    "knn alone": Plain(body={"retriever": KNN}, reason="no_free_text"),
    "knn of a text, as a retriever": Plain(
        body={"retriever": {"knn": {"field": "vector", **BUILT}}}, words="the moon", fields=TEXTS
    ),
    "knn of a text": Plain(
        body={"knn": [{"field": "vector", "k": 5, "num_candidates": 50, **BUILT}], "size": 8},
        words="the moon",
        fields=TEXTS,
    ),
    "knn of a text, as a query": Plain(
        body={"query": {"knn": {"field": "vector", **BUILT}}}, words="the moon", fields=TEXTS
    ),
    "numbers and terms": Plain(
        body={"retriever": {"rrf": {"retrievers": [RANGE, TERM]}}, "aggs": {"topics": {"terms": {"field": "topic"}}}},
        reason="no_free_text",
    ),
    "nested vectors with inner hits": Plain(
        body={"retriever": {"rrf": {"retrievers": [{"standard": {"query": NESTED}}, TERM]}}, "_source": ["topic"]},
        reason="no_free_text",
    ),
    "one per year": Plain(body={"retriever": RRF, "collapse": {"field": "year"}}, reason="collapse"),
    "by time": Plain(
        body={"retriever": {"linear": {"retrievers": [{"retriever": BY_TIME}, {"retriever": KNN}]}}},
        reason="sort",
    ),
    "a rescorer around rrf": Plain(body={"size": 10, "retriever": RESCORED}, reason="custom_ranking"),
    "pinned": Plain(body={"retriever": PINNED}, reason="custom_ranking"),
    "a rule": Plain(body={"retriever": RULE}, reason="custom_ranking"),
    "a rule around rrf": Plain(
        body={"retriever": {"rule": {**RULE["rule"], "retriever": RRF}}}, reason="custom_ranking"
    ),
    "diversify": Plain(body={"retriever": DIVERSE}, reason="custom_ranking"),
}


@pytest.mark.parametrize("name", PLAIN)
async def test_retrievers_without_a_reranker(name: str) -> None:
    """The page of one with words is reranked within itself; another one is the engine's, byte for byte."""
    example, scorer = PLAIN[name], ShortestFirst()
    if example.reason:
        got, _ = await _untouched(nothing, "/talks/_search", example.body, scorer)
        assert f"skipped; reason={example.reason}" == got.marker
        assert [] == scorer.texts
        return
    async with documented("elasticsearch", FOUND) as engine, proxied(engine.url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", "/talks/_search", body=example.body)
    assert ("applied", shortest_first(example.fields)) == (got.outcome, got.ids)
    assert [example.words] == scorer.queries
    asked = {key: value for key, value in engine.bodies[0].items() if key != "fields"}
    assert example.body == asked


WITH_PINS: dict[str, Body] = {
    "pinned": {"pinned": {"ids": ["1"], "organic": {"match": {"text": "moon"}}}},
    "rule": {
        "rule": {
            "match_criteria": {"query_string": "moon"},
            "ruleset_ids": ["my-ruleset"],
            "organic": {"match": {"text": "moon"}},
        }
    },
}


@pytest.mark.parametrize("query", WITH_PINS.values(), ids=WITH_PINS)
async def test_what_a_query_finds_behind_its_pins_is_reranked(query: Body) -> None:
    """By the words of its organic part; here the engine has pinned nothing."""
    scorer = ShortestFirst()
    async with documented("elasticsearch", FOUND) as engine, proxied(engine.url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", "/talks/_search", body={"query": query})
    assert ("applied", ["moon"]) == (got.outcome, scorer.queries)
    assert query == engine.bodies[0]["query"]
    assert sorted(FOUND) == sorted(got.ids)


# --- OpenSearch with neural search --------------------------------------------------------------------------

NEURAL: Body = {"neural": {"passage_embedding": {"query_text": "Hi moon", "model_id": "aVeif4oB5Vm0Tdw8zYO2", "k": 5}}}
SPARSELY: Body = {"neural_sparse": {"passage_embedding": {"query_text": "Hi moon", "model_id": "aP2Q8ooBpBj3wT4HVS8a"}}}
HYBRID: Body = {"hybrid": {"queries": [{"match": {"passage_text": {"query": "Hi moon"}}}, NEURAL]}}
AREAS: Body = {"multi_match": {"query": "artists creative community", "fields": ["description", "facts"]}}


def context(**settings: str) -> Body:
    """Return OpenSearch's query context."""
    return {"ext": {"rerank": {"query_context": settings}}}


def without_reranker(body: Body) -> tuple[int, Body] | None:
    """Refuse `ext.rerank`, as neural search before 2.12 does."""
    if "rerank" not in body.get("ext", {}):
        return None
    return error(400, "x_content_parse_exception", "[1:50] [ext] unknown field [rerank]")


CONTEXTS: Mapping[str, tuple[Body, Body, str, Sequence[str]]] = {
    "neural": (NEURAL, context(query_text_path="query.neural.passage_embedding.query_text"), "Hi moon", TEXTS),
    "neural_sparse": (SPARSELY, context(query_text="Who says hi?"), "Who says hi?", TEXTS),
    "hybrid": (HYBRID, context(query_text="Who says hi?"), "Who says hi?", ["passage_text"]),
    "hybrid, the path to its words": (
        HYBRID,
        context(query_text_path="query.hybrid.queries.1.neural.passage_embedding.query_text"),
        "Hi moon",
        ["passage_text"],
    ),
    "agentic": ({"agentic": {"query_text": "Show me moons"}}, context(query_text="moons"), "moons", TEXTS),
}


@pytest.mark.parametrize("name", CONTEXTS)
async def test_a_query_context_that_the_engine_does_not_know_is_ours(name: str) -> None:
    """The engine is asked for the query, and its page is reranked within itself."""
    query, ext, words, fields = CONTEXTS[name]
    scorer = ShortestFirst()
    async with (
        documented("opensearch", FOUND, without_reranker) as engine,
        proxied(engine.url, scorer, deadline=0) as proxy,
    ):
        got = await send(proxy, "POST", "/talks/_search", body={"query": query, **ext})
    assert ("applied", shortest_first(fields)) == (got.outcome, got.ids)
    assert [words] == scorer.queries
    assert query == engine.bodies[-1]["query"]
    assert "ext" not in engine.bodies[-1]


@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("parameters", ["?search_pipeline=rerank_pipeline", ""], ids=["pipeline", "no pipeline"])
async def test_a_query_context_that_the_engine_knows_is_the_engines(name: str, parameters: str) -> None:
    """It reranks by the pipeline that is named or an index has; without one its order is the first stage's."""
    query, ext, _, _ = CONTEXTS[name]
    got, engine = await _untouched(nothing, f"/talks/_search{parameters}", {"query": query, **ext}, engine="opensearch")
    assert "skipped; reason=native_rerank" == got.marker
    assert [{"query": query, **ext}] == engine.bodies


WITHOUT_CONTEXT: Mapping[str, Plain] = {
    "neural": Plain(body={"query": NEURAL}, words="Hi moon", fields=TEXTS),
    "neural_sparse": Plain(body={"query": SPARSELY}, words="Hi moon", fields=TEXTS),
    "hybrid": Plain(body={"query": HYBRID}, words="Hi moon", fields=("passage_text",)),
}


@pytest.mark.parametrize("name", WITHOUT_CONTEXT)
async def test_neural_queries_are_reranked_within_their_page(name: str) -> None:
    """Their words are what the embedding is made of."""
    example, scorer = WITHOUT_CONTEXT[name], ShortestFirst()
    async with documented("opensearch", FOUND) as engine, proxied(engine.url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", "/talks/_search", body=example.body)
    assert ("applied", shortest_first(example.fields)) == (got.outcome, got.ids)
    assert ([example.words], example.body) == (scorer.queries, engine.bodies[-1])


BY_FIELD: Mapping[str, tuple[str, Body]] = {
    "stars": ("search_pipeline", {"query": {"match_all": {}}}),
    "a remote model's score": ("search_pipeline", {"query": AREAS}),
    "a term": ("search_pipeline", {"query": {"term": {"topic": {"value": "moon"}}}}),
    "late interaction": ("search_pipeline", {"query": {"term": {"search_text": {"value": "moon report"}}}}),
}


@pytest.mark.parametrize("name", BY_FIELD)
async def test_a_pipeline_that_reranks_by_a_field_is_the_engines(name: str) -> None:
    """Its order may be anything; nobody asked for ours."""
    reason, body = BY_FIELD[name]
    got, _ = await _untouched(
        nothing, "/talks/_search?search_pipeline=rerank_byfield_pipeline", body, engine="opensearch"
    )
    assert f"skipped; reason={reason}" == got.marker


async def _untouched(
    refusal: Any, target: str, body: Body, scorer: ShortestFirst | None = None, *, engine: str = "elasticsearch"
) -> tuple[Answer, DocumentedEngine]:
    """Return an answer that is the engine's, byte for byte, and the engine that gave it."""
    async with documented(engine, FOUND, refusal) as stand_in:
        async with proxied(stand_in.url, scorer or ShortestFirst(), deadline=0) as proxy:
            got = await send(proxy, "POST", target, body=body)
        assert (body, got.body) in zip(stand_in.bodies, stand_in.answers, strict=True)
        return got, stand_in
