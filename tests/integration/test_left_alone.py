"""What is not reranked: the marker gives the reason, and the answer is the engine's own, byte for byte but `took`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from sidecar.requests.streams import MAX_REQUEST_BYTES
from sidecar.types import SkipReason
from tests.integration.books import BOOKS, call, put_documents
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import JSON, Answer, same_but_time, send

Body = Mapping[str, Any]

TEA = {"match": {"body": "tea"}}
SCRIPT = {"script_score": {"query": TEA, "script": {"source": "doc['n'].value + 1"}}}
STANDARD = {"standard": {"query": TEA}}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A search that is left alone, and why. `ours` are headers that the engine does not get."""

    reason: SkipReason
    query: Body | None = None
    more: Body = field(default_factory=dict)
    parameters: str = ""
    method: str = "POST"
    path: str = "/{}/_search"
    #: the body as it is, in place of `query` and `more`
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ours: Mapping[str, str] = field(default_factory=dict)
    #: whether `X-Rerank: on` changes nothing
    is_impossible: bool = False

    @property
    def content(self) -> bytes | None:
        """The body that is sent."""
        settings = {**({} if self.query is None else {"query": self.query}), **self.more}
        return json.dumps(settings).encode() if settings else self.body


def impossible(reason: SkipReason, **request: Any) -> Case:
    """Return a case that `X-Rerank: on` leaves as it is; it searches for tea unless it says otherwise."""
    query = None if "body" in request or "method" in request else TEA
    return Case(**{"query": query, **request, "reason": reason, "is_impossible": True})


def no_words(query: Body | None = None, **request: Any) -> Case:
    """Return a case of a query in which nobody typed a word."""
    return Case(**{**request, "query": query, "reason": SkipReason.NO_FREE_TEXT, "is_impossible": True})


CASES: Mapping[str, Case] = {
    # --- switched off
    "header off": Case(reason=SkipReason.OFF, query=TEA, ours={"X-Rerank": "off"}),
    "header off and settings": Case(
        reason=SkipReason.OFF, query=TEA, ours={"X-Rerank": "OFF", "X-Rerank-Window": "5", "x-rerank-explain": "true"}
    ),
    # --- not JSON
    "YAML answer": impossible(SkipReason.NOT_JSON, parameters="?format=yaml"),
    "YAML accepted": impossible(SkipReason.NOT_JSON, headers={"Accept": "application/yaml"}),
    "CBOR accepted": impossible(
        SkipReason.NOT_JSON,
        headers={"Accept": "application/cbor"},
        parameters="?filter_path=-took",
        more={"_source": False},  # Elasticsearch breaks off where CBOR or SMILE would have to hold a lone surrogate
    ),
    "YAML request": impossible(
        SkipReason.NOT_JSON,
        body=b"---\nquery:\n  match:\n    body: tea\n",
        headers={"Content-Type": "application/yaml"},
    ),
    "CBOR request": impossible(
        SkipReason.NOT_JSON,
        body=b"\xa1equery\xa1ematch\xa1dbodyctea",
        headers={"Content-Type": "application/cbor", "Accept": "application/json"},
    ),
    "SMILE request": impossible(
        SkipReason.NOT_JSON,
        body=b":)\n\x00\xfa\xfb",
        parameters="?_source=false&filter_path=-took",
        headers={"Content-Type": "application/smile"},
    ),
    # --- cannot be read
    "broken JSON": impossible(SkipReason.UNPARSABLE, body=b'{"query": {"match": {"body": "tea"}'),
    "no object": impossible(SkipReason.UNPARSABLE, body=b'["tea"]'),
    "two objects": impossible(SkipReason.UNPARSABLE, body=b'{"query": {"match": {"body": "tea"}}} {}'),
    "not UTF-8": impossible(SkipReason.UNPARSABLE, body=b'{"query": {"match": {"body": "\xff"}}}'),
    "too deep": impossible(
        SkipReason.UNPARSABLE,
        body=b'{"query":' + b'{"bool":{"must":' * 40 + b'{"match":{"body":"tea"}}' + b"}}" * 40 + b"}",
    ),
    "not gzip": impossible(SkipReason.UNPARSABLE, body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    "size of no number": impossible(SkipReason.UNPARSABLE, more={"size": "ten"}),
    "negative from": impossible(SkipReason.UNPARSABLE, parameters="?from=-1"),
    "half a hit": impossible(SkipReason.UNPARSABLE, more={"size": 2.5}),
    "fields no list": impossible(SkipReason.UNPARSABLE, more={"fields": {"field": "n"}}),
    # --- no words
    "no body": no_words(),
    "GET without a body": no_words(method="GET"),
    "an empty object": no_words(body=b"{}"),
    "blanks": impossible(SkipReason.UNPARSABLE, body=b"  \n "),
    "an empty source": impossible(
        SkipReason.UNPARSABLE, method="GET", parameters="?source=&source_content_type=application/json"
    ),
    "match_all": no_words({"match_all": {}}),
    "match_none": no_words({"match_none": {}}),
    "term": no_words({"term": {"body": "tea"}}),
    "terms": no_words({"terms": {"shelf": ["shelf-1", "shelf-2"]}}),
    "ids": no_words({"ids": {"values": ["1", "2", "3"]}}),
    "range": no_words({"range": {"n": {"gte": 3}}}),
    "exists": no_words({"exists": {"field": "title"}}),
    "prefix": no_words({"prefix": {"body": "te"}}),
    "wildcard": no_words({"wildcard": {"body": "t*a"}}),
    "regexp": no_words({"regexp": {"body": "te."}}),
    "fuzzy": no_words({"fuzzy": {"body": "taa"}}),
    "match_phrase_prefix": no_words({"match_phrase_prefix": {"title": "book 1"}}),
    "match_bool_prefix": no_words({"match_bool_prefix": {"body": "leaves an"}}),
    "search as you type": no_words(
        {"multi_match": {"query": "black te", "type": "bool_prefix", "fields": ["title", "body"]}}
    ),
    "more_like_this": no_words(
        {"more_like_this": {"fields": ["body"], "like": "tea water", "min_term_freq": 1, "min_doc_freq": 1}}
    ),
    "filters only": no_words(
        {"bool": {"filter": [TEA, {"term": {"shelf": "shelf-1"}}], "must_not": {"match": {"n": 3}}}}
    ),
    "number": no_words({"match": {"n": "3"}}),
    "identifier": no_words({"match": {"body": "978-3-16-148410-0"}}),
    "field syntax": no_words({"query_string": {"query": "shelf:shelf-1 AND n:[3 TO 20] -coffee te*"}}),
    "q, field syntax": no_words(parameters="?q=body:tea", method="GET"),
    "empty text": no_words({"match": {"body": {"query": " ", "zero_terms_query": "all"}}}),
    "span": no_words({"span_term": {"body": "tea"}}),
    # --- no text
    "a field of numbers": Case(
        reason=SkipReason.NO_TEXT_FIELD, query=TEA, ours={"X-Rerank-Fields": "n,price"}, is_impossible=True
    ),
    "a field that is not there": Case(
        reason=SkipReason.NO_TEXT_FIELD, query=TEA, ours={"X-Rerank-Fields": "missing"}, is_impossible=True
    ),
    # --- the caller's own ranking
    "field_value_factor": Case(
        reason=SkipReason.CUSTOM_RANKING,
        query={"function_score": {"query": TEA, "field_value_factor": {"field": "n", "missing": 1}}},
    ),
    "decay inside bool": Case(
        reason=SkipReason.CUSTOM_RANKING,
        query={"bool": {"must": {"function_score": {"query": TEA, "gauss": {"n": {"origin": 9, "scale": 4}}}}}},
    ),
    "distance_feature": Case(
        reason=SkipReason.CUSTOM_RANKING,
        query={
            "bool": {
                "must": TEA,
                "should": {"distance_feature": {"field": "published", "pivot": "90d", "origin": "2010-01-01"}},
            }
        },
    ),
    "script_score": Case(reason=SkipReason.CUSTOM_RANKING, query=SCRIPT),
    "rescore": Case(
        reason=SkipReason.CUSTOM_RANKING,
        query=TEA,
        more={"rescore": {"window_size": 5, "query": {"rescore_query": {"match": {"title": "green"}}}}},
    ),
    # --- pages that are no pages of a ranking
    "sort": impossible(SkipReason.SORT, more={"sort": [{"n": "desc"}]}),
    "sort by name": impossible(SkipReason.SORT, more={"sort": "n"}),
    "sort in the URL": impossible(SkipReason.SORT, parameters="?sort=price:asc&track_scores=true"),
    "sort by _score and more": impossible(SkipReason.SORT, more={"sort": ["_score", {"n": "asc"}]}),
    "sort by _score, ascending": impossible(SkipReason.SORT, more={"sort": [{"_score": "asc"}]}),
    "sort by _doc": impossible(SkipReason.SORT, parameters="?sort=_doc"),
    "size 0": impossible(SkipReason.SIZE_ZERO, more={"size": 0, "aggs": {"n": {"stats": {"field": "n"}}}}),
    "size 0 in the URL": impossible(SkipReason.SIZE_ZERO, parameters="?size=0&q=tea", more={"size": 3}),
    "scroll": impossible(SkipReason.SCROLL, parameters="?scroll=5s&size=3"),
    "slice": impossible(SkipReason.SCROLL, more={"slice": {"id": 0, "max": 2}}, parameters="?scroll=5s"),
    "slice alone": impossible(SkipReason.SCROLL, more={"slice": {"id": 0, "max": 2}}),
    "search_after": impossible(SkipReason.SEARCH_AFTER, more={"search_after": [0.013], "sort": [{"_score": "desc"}]}),
    "search_after without a sort": impossible(SkipReason.SEARCH_AFTER, more={"search_after": [0.013]}),
    "collapse": impossible(SkipReason.COLLAPSE, more={"collapse": {"field": "shelf", "inner_hits": {"name": "most"}}}),
    "filter_path without hits": impossible(SkipReason.FILTER_PATH, parameters="?filter_path=hits.total,took"),
    "filter_path of any depth": impossible(SkipReason.FILTER_PATH, parameters="?filter_path=**._id"),
    "filter_path that leaves out": impossible(
        SkipReason.FILTER_PATH, parameters="?filter_path=-took,-hits.hits._score"
    ),
    "beyond the result window": impossible(SkipReason.BEYOND_RESULT_WINDOW, more={"from": 9_999, "size": 10}),
    # --- rankings that depend on size
    "knn": impossible(
        SkipReason.SIZE_DEPENDENT, more={"knn": {"field": "v", "query_vector": [1, 2], "k": 3}, "from": 1}
    ),
    "knn clause": impossible(
        SkipReason.SIZE_DEPENDENT,
        query={"bool": {"should": [TEA, {"knn": {"field": "v", "query_vector": [1, 2]}}]}},
        parameters="?from=1",
    ),
    "hybrid clause": impossible(SkipReason.SIZE_DEPENDENT, query={"hybrid": {"queries": [TEA]}}, more={"from": 1}),
    "rrf retriever": impossible(
        SkipReason.SIZE_DEPENDENT,
        body=json.dumps({"retriever": {"rrf": {"retrievers": [STANDARD, STANDARD]}}, "from": 1}).encode(),
    ),
    "terminate_after": impossible(SkipReason.SIZE_DEPENDENT, more={"terminate_after": 100, "from": 1}),
    # --- the engine's own rerankers
    "text_similarity_reranker": impossible(
        SkipReason.NATIVE_RERANK,
        body=json.dumps(
            {"retriever": {"text_similarity_reranker": {"retriever": STANDARD, "inference_text": "tea"}}}
        ).encode(),
    ),
    "query_context": impossible(SkipReason.NATIVE_RERANK, more={"ext": {"rerank": {"query_context": {}}}}),
    "search pipeline": Case(reason=SkipReason.SEARCH_PIPELINE, query=TEA, parameters="?search_pipeline=_none"),
    "search pipeline in the body": Case(
        reason=SkipReason.SEARCH_PIPELINE, query=TEA, more={"search_pipeline": {"request_processors": []}}
    ),
    # --- other ways to search
    "a template that is not there": impossible(
        SkipReason.TEMPLATE, path="/{}/_search/template", body=b'{"id": "missing", "params": {}}'
    ),
    "async search": impossible(SkipReason.ASYNC_SEARCH, path="/{}/_async_search"),
    # --- who asks, and for what
    "system index": Case(reason=SkipReason.SYSTEM_INDEX, query=TEA, path="/.alias-of-{}/_search"),
    "system index in a list": Case(reason=SkipReason.SYSTEM_INDEX, query=TEA, path="/{},.alias-of-{}/_search"),
    "Kibana": Case(reason=SkipReason.PRODUCT_ORIGIN, query=TEA, headers={"x-elastic-product-origin": "kibana"}),
    "Dashboards": Case(reason=SkipReason.PRODUCT_ORIGIN, query=TEA, headers={"X-OpenSearch-Product-Origin": "osd"}),
    "signed": impossible(
        SkipReason.SIGNED, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c, Signature=d"}
    ),
    # --- what the engine says
    "one hit": impossible(SkipReason.FEW_HITS, query={"match": {"body": "word17"}}),
    "no hit": impossible(SkipReason.FEW_HITS, query={"match": {"body": "coffee"}}),
    "no index": impossible(SkipReason.ENGINE_ERROR, path="/no-such-index/_search"),
    "no index with that pattern": impossible(SkipReason.FEW_HITS, path="/no-such-*/_search"),
    "an unknown setting": impossible(SkipReason.ENGINE_ERROR, more={"nonsense": True}),
    "an unknown parameter": impossible(SkipReason.ENGINE_ERROR, parameters="?nonsense=true"),
    "a word for a number": impossible(SkipReason.ENGINE_ERROR, query={"match": {"n": "tea"}}),
    "source without its type": impossible(
        SkipReason.ENGINE_ERROR, method="GET", parameters=f"?source={quote(json.dumps({'query': TEA}))}"
    ),
    "fields without stored_fields": impossible(
        SkipReason.ENGINE_ERROR, more={"stored_fields": "_none_", "_source": False, "fields": ["n"]}
    ),
    "too large": impossible(
        SkipReason.TOO_LARGE, body=json.dumps({"query": TEA}).encode().ljust(MAX_REQUEST_BYTES + 1)
    ),
}

ELSEWHERE = {SkipReason.WIDENING_REFUSED, SkipReason.CONTROL, SkipReason.LANGUAGE}
"""Reasons with a test of their own."""


def comparable(answer: Answer) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Return what must be equal: all but `took`, and the names that scrolls and shards get anew each time."""
    status, headers, body = same_but_time(answer)
    return status, headers, re.sub(rb'("_scroll_id"\s*:\s*")[^"]+', rb"\1", body)


async def ask(url: str, index: str, case: Case, headers: Mapping[str, str]) -> Answer:
    """Send the search of a case."""
    content = case.content
    kind = {} if content is None else JSON
    target = case.path.replace("{}", index) + case.parameters
    return await send(url, case.method, target, body=content, headers={**kind, **case.headers, **headers})


@pytest.fixture(scope="session")
def aliased(engine_url: str, library: str) -> str:
    """Name of the library, which has an alias that looks like a system index."""
    call(engine_url, "PUT", f"/{library}/_alias/.alias-of-{library}")
    return library


@pytest.mark.parametrize("name", CASES)
async def test_a_search_is_left_alone_for_a_reason(engine_url: str, aliased: str, name: str) -> None:
    """The engine's answer comes back as it is, its errors, too; and no model is asked."""
    case, scorer = CASES[name], ShortestFirst()
    async with proxied(engine_url, scorer) as proxy:
        got = await ask(proxy, aliased, case, case.ours)
        own = await ask(engine_url, aliased, case, {})
        insisting = await ask(proxy, aliased, case, {**case.ours, "X-Rerank": "on"}) if case.is_impossible else None
    assert f"skipped; reason={case.reason.value}" == got.marker
    assert comparable(own) == comparable(got)
    assert [] == scorer.texts
    if insisting is not None:
        assert got.marker == insisting.marker
        assert comparable(own) == comparable(insisting)


def test_every_reason_has_a_case() -> None:
    """A new member of SkipReason needs a line in the table above."""
    assert set(SkipReason) - ELSEWHERE == {case.reason for case in CASES.values()}


async def test_a_window_that_the_engine_refuses_costs_nothing(engine_url: str, index_name: str) -> None:
    """The caller's own bytes are sent then, and that answer stands."""
    documents = [{"body": "tea " * (n + 1)} for n in range(30)]
    put_documents(engine_url, index_name, documents, {"settings": {"max_result_window": 25}})
    body, scorer = {"query": TEA, "size": 20}, ShortestFirst()
    async with proxied(engine_url, scorer) as proxy:
        got, own = [await send(url, "POST", f"/{index_name}/_search", body=body) for url in (proxy, engine_url)]
        larger = {**body, "size": 26}
        refused, refused_directly = [
            await send(url, "POST", f"/{index_name}/_search", body=larger) for url in (proxy, engine_url)
        ]
    assert "skipped; reason=widening_refused" == got.marker
    assert same_but_time(own) == same_but_time(got)
    assert 200 == got.status
    assert "skipped; reason=engine_error" == refused.marker
    assert 400 == refused_directly.status
    assert same_but_time(refused_directly) == same_but_time(refused)
    assert [] == scorer.texts


async def test_an_answer_of_some_shards_stays_as_it_is(engine_url: str, library: str, index_name: str) -> None:
    """Which shards fail may depend on what we ask for: the caller gets what its own search gives."""
    mapping = {"mappings": {"properties": {"body": {"type": "integer"}}}}
    put_documents(engine_url, index_name, [{"other": "tea"}], mapping)
    body = {"query": {"match": {"body": "tea"}}}
    async with proxied(engine_url, ShortestFirst()) as proxy:
        target = f"/{library},{index_name}/_search"
        got, own = [await send(url, "POST", target, body=body) for url in (proxy, engine_url)]
    assert (200, 1, 10) == (own.status, own.json["_shards"]["failed"], len(own.ids))
    assert "skipped" == got.outcome
    assert same_but_time(own) == same_but_time(got)


async def test_switched_off_by_the_body_or_by_configuration(engine_url: str, library: str) -> None:
    """`ext.rerank` is taken out all the same; configuration needs no word from the caller."""
    body = {"query": TEA, "size": BOOKS, "aggs": {"n": {"max": {"field": "n"}}}}
    target, own_scorer = f"/{library}/_search", ShortestFirst()
    own = await send(engine_url, "POST", target, body=body)
    cases: list[tuple[Body, dict[str, Any]]] = [
        ({"ext": {"rerank": {"enabled": False}}}, {}),
        ({"ext": {"rerank": {"enabled": False, "window": 10}}}, {}),
        ({}, {"enabled": False}),
    ]
    for ext, options in cases:
        async with proxied(engine_url, own_scorer, **options) as proxy:
            got = await send(proxy, "POST", target, body={**body, **ext})
        assert "skipped; reason=off" == got.marker
        assert same_but_time(own) == same_but_time(got)
    assert [] == own_scorer.texts
