"""What is reranked, by which words and which texts; and what of the answer stays as it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.books import BOOKS, book, call, put_documents, text_at, texts_of
from tests.integration.pages import RawPage, differences, shortest_first
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, same_but_time, send

Body = Mapping[str, Any]

BOOK = [json.loads(book(n)) for n in range(BOOKS)]
TEA: Body = {"match": {"body": "tea"}}


# --- words and texts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Case:
    """A search, the words that a model must be asked about, and the fields of which it must see the text."""

    words: str
    fields: tuple[str, ...]
    query: Body | None = None
    parameters: str = ""
    body: Body = field(default_factory=dict)
    method: str = "POST"

    @property
    def whole_body(self) -> Body | None:
        """The body of the request, None for a request without one."""
        return {**({} if self.query is None else {"query": self.query}), **self.body} or None


CASES: Mapping[str, Case] = {
    "match": Case(query={"match": {"body": "green tea"}}, words="green tea", fields=("body",)),
    "match, long form": Case(
        query={"match": {"body": {"query": " tea   leaves ", "operator": "or", "boost": 2}}},
        words="tea leaves",
        fields=("body",),
    ),
    "match_phrase": Case(query={"match_phrase": {"note": "note on tea"}}, words="note on tea", fields=("note",)),
    "multi_match": Case(
        query={"multi_match": {"query": "black tea", "fields": ["body", "note^3", "title^2"]}},
        words="black tea",
        fields=("title", "body", "note"),
    ),
    "multi_match, cross fields": Case(
        query={"multi_match": {"query": "tea water", "type": "cross_fields", "fields": ["note", "body"]}},
        words="tea water",
        fields=("note", "body"),
    ),
    "multi_match, phrase": Case(
        query={"multi_match": {"query": "about green tea", "type": "phrase", "fields": ["title", "body"]}},
        words="about green tea",
        fields=("title", "body"),
    ),
    "combined_fields": Case(
        query={"combined_fields": {"query": "tea water", "fields": ["title", "body"]}},
        words="tea water",
        fields=("title", "body"),
    ),
    "query_string": Case(
        query={"query_string": {"query": "+tea -coffee shelf:shelf-1 (water OR milk) wor*", "default_field": "body"}},
        words="tea water milk",
        fields=("body",),
    ),
    "simple_query_string": Case(
        query={"simple_query_string": {"query": '"black tea" | leaves -milk', "fields": ["title", "body"]}},
        words="black tea leaves",
        fields=("title", "body"),
    ),
    "bool must, filter": Case(
        query={
            "bool": {
                "must": [{"match": {"body": "tea"}}],
                "filter": [{"terms": {"shelf": ["shelf-1", "shelf-2"]}}, {"match": {"title": "book"}}],
                "must_not": {"match": {"body": "word7"}},
            }
        },
        words="tea",
        fields=("body",),
    ),
    "bool should": Case(
        query={"bool": {"should": [{"match": {"title": "green"}}, {"match": {"body": "tea leaves"}}]}},
        words="green tea leaves",
        fields=("title", "body"),
    ),
    "bool with a weak clause": Case(
        query={
            "bool": {
                "must": {"match": {"body": "tea"}},
                "should": {"match": {"note": {"query": "number", "boost": 0.1}}},
            }
        },
        words="tea",
        fields=("body", "note"),
    ),
    "dis_max": Case(
        query={"dis_max": {"queries": [{"match": {"title": "tea"}}, {"match": {"body": "tea"}}], "tie_breaker": 0.3}},
        words="tea",
        fields=("title", "body"),
    ),
    "constant_score": Case(
        query={"constant_score": {"filter": {"match": {"body": "tea leaves"}}}}, words="tea leaves", fields=("body",)
    ),
    "function_score without functions": Case(
        query={"function_score": {"query": TEA, "boost": 3}}, words="tea", fields=("body",)
    ),
    "boosting": Case(
        query={"boosting": {"positive": TEA, "negative": {"match": {"title": "black"}}, "negative_boost": 0.2}},
        words="tea",
        fields=("body",),
    ),
    "nested": Case(
        query={"nested": {"path": "chapters", "query": {"match": {"chapters.heading": "tea chapter"}}}},
        words="tea chapter",
        fields=("chapters.heading",),
    ),
    "nested beside a match": Case(
        query={
            "bool": {
                "must": TEA,
                "should": {
                    "nested": {"path": "chapters", "query": {"match": {"chapters.heading": "tea"}}, "inner_hits": {}}
                },
            }
        },
        words="tea",
        fields=("chapters.heading", "body"),
    ),
    "field of an object": Case(
        query={"match": {"author.name": "author of tea"}}, words="author of tea", fields=("author.name",)
    ),
    "multi-field": Case(query={"match": {"body.simple": "tea water"}}, words="tea water", fields=("body",)),
    "wildcard of fields": Case(
        query={"multi_match": {"query": "tea", "fields": ["*o*y", "tit*"]}}, words="tea", fields=("title", "body")
    ),
    "q": Case(parameters="?q=body:water+AND+green+tea&df=title", words="green tea", fields=("title",)),
    "q wins over the body": Case(
        parameters="?q=tea&df=body", query={"match": {"title": "green"}}, words="tea", fields=("body",)
    ),
    "q, GET": Case(parameters="?q=tea&df=note", words="tea", fields=("note",), method="GET"),
    "GET with a body": Case(query={"match": {"body": "water"}}, words="water", fields=("body",), method="GET"),
    "source": Case(
        parameters=f"?source={quote(json.dumps({'query': {'match': {'body': 'tea & wätêr'}}}))}"
        "&source_content_type=application%2Fjson",
        words="tea & wätêr",
        fields=("body",),
        method="GET",
    ),
    "sort by _score": Case(query=TEA, body={"sort": ["_score"]}, words="tea", fields=("body",)),
    "sort by _score, descending": Case(
        query=TEA, body={"sort": [{"_score": {"order": "desc"}}]}, words="tea", fields=("body",)
    ),
    "sort in the URL": Case(query=TEA, parameters="?sort=_score:desc", words="tea", fields=("body",)),
}


@pytest.mark.parametrize("name", CASES)
async def test_words_and_texts_are_read_from_the_query(engine_url: str, library: str, name: str) -> None:
    """The scorer is asked about the words that a user typed, of the fields that they search; the rest stays."""
    case = CASES[name]
    scorer, target = ShortestFirst(), f"/{library}/_search{case.parameters}"
    separator = "&" if "?" in target else "?"
    async with proxied(engine_url, scorer) as proxy:
        got = await send(proxy, case.method, target, body=case.whole_body)
        own = await send(engine_url, case.method, target, body=case.whole_body)
    everything = await send(engine_url, case.method, f"{target}{separator}size={BOOKS}", body=case.whole_body)
    assert 200 == own.status, own.body
    assert "applied" == got.outcome, got.marker
    assert {case.words} == set(scorer.queries)
    texts = texts_of(*case.fields)
    assert sorted(texts[found] for found in everything.ids) == sorted(scorer.texts)
    order = shortest_first(RawPage(everything.body), texts, window=100)
    assert [] == differences(got.body, own.body, everything.body, order[: len(own.ids)])
    assert "first_stage;dur=" in (got.header("server-timing") or "")
    assert "rerank;dur=" in (got.header("server-timing") or "")


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        pytest.param("?q=leaves+tea", None, id="q"),
        pytest.param("", {"query": {"query_string": {"query": "leaves tea"}}}, id="query_string"),
        pytest.param("", {"query": {"simple_query_string": {"query": "leaves tea"}}}, id="simple_query_string"),
        pytest.param("", {"query": {"multi_match": {"query": "leaves tea"}}}, id="multi_match"),
        pytest.param("", {"query": {"multi_match": {"query": "leaves tea", "fields": ["*"]}}}, id="multi_match *"),
    ],
)
async def test_a_query_without_fields_means_all_text_fields(
    engine_url: str, library: str, parameters: str, body: Body | None
) -> None:
    """Every field of type text, and no keyword: what `_field_caps` says."""
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search{parameters}", body=body)
        own = await send(engine_url, "POST", f"/{library}/_search{parameters}", body=body)
    assert "applied" == got.outcome, got.marker
    assert {"leaves tea"} == set(scorer.queries)
    assert own.json["hits"]["total"] == got.json["hits"]["total"]
    assert own.json["hits"]["total"]["value"] == len(scorer.texts)
    for seen in scorer.texts:
        document = next(document for document in BOOK if f"{document['title']} " in f"{seen} ")
        for path in ("title", "body", "note", "author.name", "chapters.heading"):
            assert text_at(document, path) in seen
        assert "shelf" not in seen


# --- where fields are kept ----------------------------------------------------------------------------------


def documents(count: int = 6) -> list[dict[str, Any]]:
    """Return documents whose order by length is not BM25's."""
    texts = ["tea " * (count - n) + "x" * n * n for n in range(count)]
    return [{"text": text, "dotted.text": text, "tag": f"tea number {n}"} for n, text in enumerate(texts)]


MAPPINGS: Mapping[str, tuple[Body, str, str]] = {
    "alias": (
        {"properties": {"text": {"type": "text"}, "words": {"type": "alias", "path": "text"}}},
        "words",
        "applied",
    ),
    "stored, too": ({"properties": {"text": {"type": "text", "store": True}}}, "text", "applied"),
    "a stored copy": (
        {"properties": {"text": {"type": "text", "copy_to": "all"}, "all": {"type": "text", "store": True}}},
        "all",
        "applied",
    ),
    "left out of _source": (
        {"_source": {"excludes": ["text"]}, "properties": {"text": {"type": "text"}, "tag": {"type": "text"}}},
        "text",
        "skipped",
    ),
    "no _source": ({"_source": {"enabled": False}, "properties": {"text": {"type": "text"}}}, "text", "skipped"),
    "keyword": (
        {"properties": {"text": {"type": "keyword", "fields": {"words": {"type": "text"}}}}},
        "text.words",
        "applied",
    ),
    "dots in names": ({"properties": {"dotted": {"properties": {"text": {"type": "text"}}}}}, "dotted.text", "applied"),
}
"""Mappings, the field that is searched, and what becomes of the search."""


@pytest.mark.parametrize("name", MAPPINGS)
async def test_text_is_found_where_the_engine_keeps_it(engine_url: str, index_name: str, name: str) -> None:
    """In `_source` or under `fields`; where it is in neither, the search is left alone. The answer keeps its bytes."""
    mapping, searched, outcome = MAPPINGS[name]
    put_documents(engine_url, index_name, documents(), {"mappings": mapping})
    for view in ({}, {"_source": False}, {"_source": ["tag"], "fields": ["tag"]}):
        body = {"query": {"match": {searched: "tea"}}, **view}
        async with proxied(engine_url, LastFirst()) as proxy:
            for _ in range(2):  # the second search knows what the first has learned
                got = await send(proxy, "POST", f"/{index_name}/_search", body=body)
                own = await send(engine_url, "POST", f"/{index_name}/_search", body=body)
                if _is_unreadable_copy(got, own, name):
                    continue
                assert outcome == got.outcome, (view, got.marker)
                if outcome == "applied":
                    assert [] == differences(got.body, own.body, own.body, RawPage(own.body).ids[::-1]), view
                else:
                    assert same_but_time(own) == same_but_time(got), (view, got.marker)


def _is_unreadable_copy(got: Answer, own: Answer, name: str) -> bool:
    """Whether this is OpenSearch, which gives the text of `copy_to` to nobody, and the search came back untouched."""
    is_opensearch = own.header("x-elastic-product") is None
    is_untouched = got.reason == "no_text_field" and same_but_time(own) == same_but_time(got)
    return is_opensearch and "copy" in name and is_untouched


# --- the rest of the answer ---------------------------------------------------------------------------------

REST: Mapping[str, tuple[str, Body]] = {
    "highlight": (
        "",
        {"highlight": {"fields": {"body": {"number_of_fragments": 1}, "title": {}}, "require_field_match": False}},
    ),
    "explain": ("", {"explain": True}),
    "min_score": ("", {"min_score": 0.0135}),
    "terms and metrics": (
        "",
        {
            "aggs": {
                "shelves": {"terms": {"field": "shelf"}, "aggs": {"price": {"stats": {"field": "price"}}}},
                "years": {"date_histogram": {"field": "published", "calendar_interval": "year", "format": "yyyy"}},
                "everything": {"global": {}, "aggs": {"n": {"value_count": {"field": "n"}}}},
            }
        },
    ),
    "top_hits": ("", {"aggs": {"best": {"terms": {"field": "shelf"}, "aggs": {"one": {"top_hits": {"size": 1}}}}}}),
    "typed_keys": ("?typed_keys=true", {"aggs": {"shelves": {"terms": {"field": "shelf"}}}}),
    "suggest": ("", {"suggest": {"text": "taa", "words": {"term": {"field": "body", "min_word_length": 3}}}}),
    "post_filter": ("", {"post_filter": {"terms": {"shelf": ["shelf-0", "shelf-1"]}}}),
    "no total": ("", {"track_total_hits": False}),
    "total up to": ("", {"track_total_hits": 12}),
    "total as a number": ("?rest_total_hits_as_int=true", {"track_total_hits": True}),
    "track_scores": ("", {"track_scores": True}),
    "timeout": ("?timeout=10s", {}),
    "indices_boost": ("", {"indices_boost": [{"library*": 2.5}]}),
    "stats groups": ("", {"stats": ["group"]}),
    "dfs": ("?search_type=dfs_query_then_fetch", {}),
    "preference": ("?preference=_local&routing=1,2", {}),
    "request_cache": ("?request_cache=true&batched_reduce_size=2&pre_filter_shard_size=1", {}),
    "allow_partial": ("?allow_partial_search_results=false&ignore_unavailable=true&expand_wildcards=open", {}),
    "human": ("?human&error_trace=true", {}),
    "pretty": ("?pretty=true", {"highlight": {"fields": {"body": {"fragment_size": 20}}}}),
    "a long body": ("", {"_source": {"includes": [f"name{n}" for n in range(500)] + ["n"]}}),
}
"""What a caller may want beside the ranking: query string and members of the body."""


async def test_everything_but_the_ranking_is_the_engine_s(engine_url: str, library: str) -> None:
    """Aggregations, highlights, explanations, suggestions, totals: as if nobody had been in between."""
    wrong: list[str] = []
    async with proxied(engine_url, LastFirst(), window=20) as proxy:
        for name, (parameters, more) in REST.items():
            target, body = f"/{library}/_search{parameters}", {"query": TEA, "size": 9, **more}
            got, own = await send(proxy, "POST", target, body=body), await send(engine_url, "POST", target, body=body)
            everything = await send(engine_url, "POST", target, body={**body, "size": BOOKS})
            if (own.status, got.outcome) != (200, "applied"):
                wrong.append(f"{name}: {got.status} {got.marker}, the engine says {own.status} {own.body[:300]!r}")
                continue
            order = everything.ids[:20][::-1] + everything.ids[20:]
            wrong += [f"{name}: {words}" for words in differences(got.body, own.body, everything.body, order[:9])]
    assert not wrong, "\n".join(wrong)


async def test_a_search_that_may_end_early_is_as_complete_as_the_engine_s(engine_url: str, library: str) -> None:
    """Elasticsearch skips hits that cannot be on the page, so with `terminate_after` the size decides what it sees.

    Its own page is reranked then.
    """
    target, body = f"/{library}/_search", {"query": TEA, "size": 9, "terminate_after": 25}
    async with proxied(engine_url, LastFirst(), window=20) as proxy:
        got, own = [await send(url, "POST", target, body=body) for url in (proxy, engine_url)]
    assert "applied" == got.outcome
    assert [] == differences(got.body, own.body, own.body, own.ids[::-1])


CLAUSES: Mapping[str, Body] = {
    "named queries": {
        "bool": {
            "must": {"match": {"body": {"query": "tea", "_name": "tea"}}},
            "should": {"term": {"shelf": {"value": "shelf-1", "_name": "shelf"}}},
        }
    },
    "inner_hits": {
        "nested": {
            "path": "chapters",
            "query": {"match": {"chapters.heading": "tea chapter"}},
            "inner_hits": {
                "name": "found",
                "size": 2,
                "_source": ["chapters.page"],
                "highlight": {"fields": {"*": {}}},
            },
        }
    },
}


@pytest.mark.parametrize("name", CLAUSES)
async def test_what_a_hit_says_of_its_clauses_stays(engine_url: str, library: str, name: str) -> None:
    """`matched_queries` and `inner_hits`, whose own `_score`s are not ours."""
    body = {"query": CLAUSES[name], "size": 9}
    for parameters in ("", "?include_named_queries_score=true"):
        target = f"/{library}/_search{parameters}"
        async with proxied(engine_url, LastFirst()) as proxy:
            got, own = await send(proxy, "POST", target, body=body), await send(engine_url, "POST", target, body=body)
            everything = await send(engine_url, "POST", target, body={**body, "size": BOOKS})
        assert "applied" == got.outcome, got.marker
        assert [] == differences(got.body, own.body, everything.body, everything.ids[::-1][:9])


async def test_a_profile_comes_along(engine_url: str, library: str) -> None:
    """It is that of the search which the engine ran."""
    async with proxied(engine_url, LastFirst()) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body={"query": TEA, "profile": True})
        own = await send(engine_url, "POST", f"/{library}/_search", body={"query": TEA, "size": BOOKS})
    assert "applied" == got.outcome
    assert own.ids[::-1][:10] == got.ids
    assert 1 == len(got.json["profile"]["shards"])


@pytest.mark.parametrize(
    "path", ["/{}/_search/", "/{}*/_search", "/{0},{0}/_search", "/%6Cibrary{1}/_search", "/alias-{2}/_search"]
)
async def test_an_index_may_be_named_in_every_way(engine_url: str, library: str, index_name: str, path: str) -> None:
    """A trailing slash, a pattern, a list, an encoded name, an alias."""
    call(engine_url, "PUT", f"/{library}/_alias/alias-{index_name}")
    target = path.format(library, library.removeprefix("library"), index_name)
    async with proxied(engine_url, LastFirst()) as proxy:
        got, own = [await send(url, "POST", target, body={"query": TEA}) for url in (proxy, engine_url)]
        everything = await send(engine_url, "POST", target, body={"query": TEA, "size": BOOKS})
    assert "applied" == got.outcome, got.marker
    assert [] == differences(got.body, own.body, everything.body, everything.ids[::-1][:10])
