"""The engines' own rerankers: what is read from them, and what is left when they are taken out."""

import json
from typing import Any

import pytest

from connectors.base import SearchResponse
from sidecar.requests.native import DEFAULT_INFERENCE_ID, OUR_INFERENCE_ID, Native, find, refused, unwrap
from sidecar.types import RerankOptions
from tests.unit.doubles import answer_with, call, match

STANDARD = {"standard": {"query": {"match": {"text": "blue sky"}}}}


def reranker(inner: Any = STANDARD, **settings: Any) -> dict[str, Any]:
    """Return a search with a reranker around a retriever."""
    given = {"retriever": inner, "field": "text", "inference_text": "why blue", **settings}
    return {"retriever": {"text_similarity_reranker": given}}


def context(**settings: Any) -> dict[str, Any]:
    """Return a search with OpenSearch's query context."""
    return {"query": {"match": {"text": "blue sky"}}, "ext": {"rerank": {"query_context": settings}}}


CONTEXT = context(query_text="x")


def found(body: dict[str, Any]) -> Native:
    """Return the reranker of a search that has one."""
    native = find(call(body))
    assert native is not None
    return native


# --- text_similarity_reranker -------------------------------------------------------------------------------


def test_what_a_retriever_says_becomes_options() -> None:
    """Its text, field, window and threshold; a template of the operator's gives way."""
    native = found(reranker(inference_id="mine", rank_window_size=30, min_score=0.5))
    assert ("text_similarity_reranker/mine", False, True) == (native.key, native.is_ours, native.is_complete)
    options = native.options(RerankOptions(template="{title}", fields=("title",), window=100))
    assert ("why blue", ("text",), None, 30, 0.5, True) == (
        options.query_text,
        options.fields,
        options.template,
        options.window,
        options.min_score,
        options.insist,
    )


def test_the_defaults_are_elastics() -> None:
    """Ten candidates, and the endpoint that comes with the product."""
    native = found(reranker())
    assert (10, f"text_similarity_reranker/{DEFAULT_INFERENCE_ID}") == (native.window, native.key)
    assert found(reranker(inference_id=OUR_INFERENCE_ID)).is_ours


@pytest.mark.parametrize(
    "body",
    [
        reranker(field=None),
        reranker(inference_text=5),
        reranker(inner=[]),
        reranker(rank_window_size="many"),
        reranker(min_score=-1),
        context(),
        context(query_text=5),
        context(query_text_path="query.match.nothing"),
        context(query_text_path="query.match"),
    ],
)
def test_a_reranker_that_lacks_something_is_not_complete(body: dict[str, Any]) -> None:
    """The engine will say so."""
    assert not found(body).is_complete


@pytest.mark.parametrize(
    "body", [match(), {"retriever": STANDARD}, {"retriever": "x"}, match(ext={"rerank": {"window": 5}}), match(ext=5)]
)
def test_other_searches_have_none(body: dict[str, Any]) -> None:
    """Ours is not theirs."""
    assert find(call(body)) is None


def test_a_standard_retriever_becomes_the_search() -> None:
    """With its filters, and in place of the reranker, so that any engine can run it."""
    inner = {"standard": {"query": {"match_all": {}}, "filter": [{"term": {"a": 1}}], "min_score": 2}}
    body = {"size": 3, **reranker(inner, filter={"term": {"b": 2}}), "_source": False}
    left = unwrap(call(body))
    filters = [{"term": {"b": 2}}, {"term": {"a": 1}}]
    assert {
        "size": 3,
        "query": {"bool": {"must": {"match_all": {}}, "filter": filters}},
        "min_score": 2,
        "_source": False,
    } == json.loads(left.text)


KNN = {"knn": {"field": "v", "query_vector": [1], "k": 5, "num_candidates": 10}}


@pytest.mark.parametrize(
    ("inner", "most", "window"),
    [
        (STANDARD, 10_000, 60),
        (KNN, 10_000, 60),
        ({"rrf": {"retrievers": [], "rank_window_size": 50}}, 50, 50),
        ({"rrf": {"retrievers": []}}, 10, 10),
        ({"linear": {"retrievers": [], "rank_window_size": 80}}, 80, 60),
        ({"rrf": {"retrievers": [], "rank_window_size": "many"}}, 10_000, 60),
        ({"rescorer": {"retriever": KNN, "rescore": {"window_size": 40}}}, 40, 40),
        ({"rescorer": {"retriever": KNN, "rescore": [{"window_size": 40}, {}]}}, 10, 10),
        ({"rule": {"retriever": {"rrf": {"rank_window_size": 20}}, "rank_window_size": 70}}, 20, 20),
        ({"no": "retriever"}, 10_000, 60),
    ],
)
def test_a_retriever_cannot_be_asked_for_more_than_its_own_window(inner: Any, most: int, window: int) -> None:
    """Elasticsearch refuses a size above it; a window of ten is the default."""
    native = found(reranker(inner, rank_window_size=60))
    assert (most, window) == (native.most, native.window)


def test_of_a_chain_the_outer_text_counts_over_the_larger_window() -> None:
    """Both are taken out, and the filters of both stay."""
    inner = {**reranker(KNN, rank_window_size=100, inference_text="inner", filter={"term": {"a": 1}})["retriever"]}
    body = reranker(inner, rank_window_size=10, inference_text="outer", filter={"term": {"b": 2}})
    native = found(body)
    assert ("outer", 100, 10_000) == (native.query_text, native.window, native.most)
    filters = [{"term": {"b": 2}}, {"term": {"a": 1}}]
    assert {"retriever": KNN, "post_filter": {"bool": {"filter": filters}}} == json.loads(unwrap(call(body)).text)


def test_a_chain_is_as_complete_as_its_inner_part() -> None:
    """What lacks something inside cannot be executed."""
    assert not found(reranker(reranker(inner=None)["retriever"])).is_complete


def test_what_is_inside_keeps_its_bytes() -> None:
    """Numbers and spacing of the query are the caller's."""
    text = (
        '{"retriever":{"text_similarity_reranker":{"field":"text","inference_text":"x","retriever":'
        '{"standard":{"query":{ "match":{"text" : {"query":"a","boost":1E+2}}}}}}},"size":5}'
    )
    assert '{"query":{ "match":{"text" : {"query":"a","boost":1E+2}}},"size":5}' == unwrap(call(text)).text


@pytest.mark.parametrize(
    ("post_filter", "expected"),
    [
        ({}, {"bool": {"filter": [{"term": {"b": 2}}]}}),
        ({"post_filter": {"term": {"c": 3}}}, {"bool": {"filter": [{"term": {"c": 3}}, {"term": {"b": 2}}]}}),
    ],
)
def test_another_retriever_stays_one(post_filter: dict[str, Any], expected: dict[str, Any]) -> None:
    """Its reranker's filter comes after it."""
    inner = {"knn": {"field": "v", "query_vector": [1], "k": 5, "num_candidates": 10}}
    left = unwrap(call({**reranker(inner, filter={"term": {"b": 2}}), **post_filter}))
    assert {"retriever": inner, "post_filter": expected} == json.loads(left.text)


# --- query_context ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (context(query_text="why blue"), "why blue"),
        (context(query_text_path="query.match.text.query"), "blue sky"),
        (
            {**context(query_text_path="query.match.text.query"), "query": {"match": {"text": {"query": "long"}}}},
            "long",
        ),
        (
            {
                **context(query_text_path="query.bool.must.0.match.a.b.query"),
                "query": {"bool": {"must": [{"match": {"a.b": "dotted"}}]}},
            },
            "dotted",
        ),
    ],
)
def test_a_query_context_gives_the_words(body: dict[str, Any], words: str) -> None:
    """Or the way to them; the short form of a clause is read as its long one, as OpenSearch does."""
    native = found(body)
    assert (words, "query_context") == (native.query_text, native.key)
    options = native.options(RerankOptions(fields=("title",), window=50))
    assert (("title",), 50, True) == (options.fields, options.window, options.insist)


def test_a_query_context_is_taken_out() -> None:
    """With nothing left behind."""
    assert {"query": {"match": {"text": "blue sky"}}} == json.loads(unwrap(call(context(query_text="x"))).text)


# --- refusals -----------------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "Elasticsearch without inference": (reranker(), 400, "unknown retriever [text_similarity_reranker]"),
    "OpenSearch": (reranker(), 400, "Unknown key for a START_OBJECT in [retriever]."),
    "a licence": (reranker(), 403, "current license is non-compliant for [text_similarity_reranker]"),
    "no endpoint": (reranker(), 404, "Inference endpoint not found [.rerank-v1-elasticsearch]"),
    "ext": (CONTEXT, 400, "unknown named object category [org.opensearch.search.SearchExtBuilder]"),
    "ext with other plugins": (CONTEXT, 400, "[1:50] [ext] unknown field [rerank]"),
}


def error(status: int, reason: str) -> SearchResponse:
    """Return an engine's error."""
    return answer_with(json.dumps({"error": {"type": "x", "reason": reason}, "status": status}), status)


@pytest.mark.parametrize(("body", "status", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_engines_say_of_a_reranker_that_they_cannot_run(body: dict[str, Any], status: int, reason: str) -> None:
    """Then we run it."""
    asked = found(body)
    assert [asked] == refused({0: asked}, error(status, reason))


@pytest.mark.parametrize(
    "answer",
    [
        error(404, "no such index [books]"),
        error(400, "unknown query [mtch]"),
        error(429, "text_similarity_reranker queue is full"),
        error(500, "text_similarity_reranker failed"),
        error(400, "[1:99] [text_similarity_reranker] failed to parse field [retriever]"),
        error(400, "unknown retriever [rrrf]"),
        error(400, "[standard] [retriever] unknown key"),
        error(400, "[rerank_v2] unknown setting"),
        answer_with('{"hits":{"hits":[{"_source":{"a":"text_similarity_reranker"}}]}}'),
        SearchResponse(status=400, headers=(("Content-Encoding", "gzip"),), body=b"no gzip"),
    ],
)
def test_other_errors_are_no_refusals(answer: SearchResponse) -> None:
    """They stand, and so do those of a mistake inside a reranker that the engine can run."""
    assert not refused({0: found(reranker()), 1: found(CONTEXT)}, answer)


def test_each_item_of_an_msearch_has_its_own_refusal() -> None:
    """One endpoint is there, the other is not; an error of the request as a whole is about every retriever."""
    mine, ours, other = (
        found(reranker(inference_id="mine")),
        found(reranker(inference_id="b")),
        found(context(query_text="x")),
    )
    missing = error(404, "Inference endpoint not found [mine]").body.decode()
    answer = answer_with(f'{{"responses":[{missing},{{"hits":{{"hits":[]}},"status":200}},{{}}]}}')
    assert [mine] == refused({0: mine, 1: ours, 2: other}, answer)
    assert [mine, ours] == refused({0: mine, 1: ours, 2: other}, error(400, REFUSALS["OpenSearch"][2]))
    assert [] == refused({}, error(400, REFUSALS["OpenSearch"][2]))
