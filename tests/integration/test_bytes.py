"""What a reranked answer keeps: every byte of it but `_score`, `max_score` and the order of the hits."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.books import BOOKS, ODD_JSON, book, put_documents
from tests.integration.pages import RawPage, differences, shortest_first
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, same_but_time, send

Body = Mapping[str, Any]

SIZE = 7

QUERIES: Mapping[str, Body] = {
    "body": {"match": {"body": "tea"}},
    "two fields": {"multi_match": {"query": "tea", "fields": ["title", "author.name"]}},
    "copy_to": {"match": {"everything": "tea"}},
    "nested": {"nested": {"path": "chapters", "query": {"match": {"chapters.heading": "tea chapter"}}}},
    "all fields": {"query_string": {"query": "tea"}},
}

VIEWS: Mapping[str, tuple[str, Body]] = {
    "as it is": ("", {}),
    "_source true": ("", {"_source": True}),
    "_source false": ("", {"_source": False}),
    "_source name": ("", {"_source": "title"}),
    "_source names": ("", {"_source": ["body", "n"]}),
    "_source without the text": ("", {"_source": ["n", "exotic"]}),
    "_source includes, excludes": ("", {"_source": {"includes": ["*o*"], "excludes": ["exotic.s*", "body"]}}),
    "_source excludes": ("", {"_source": {"excludes": ["body", "title", "chapters.heading"]}}),
    "_source of nothing": ("", {"_source": ["missing"]}),
    "fields": ("", {"fields": ["title"]}),
    "fields that are scored": ("", {"fields": ["body", "chapters.heading", "author.name"]}),
    "fields with formats": ("", {"fields": [{"field": "published", "format": "yyyy"}, "n"]}),
    "fields by pattern": ("", {"fields": ["*"]}),
    "fields by narrow pattern": ("", {"fields": ["chapters.*", "b*"], "_source": False}),
    "fields, _source false": ("", {"fields": ["shelf"], "_source": False}),
    "fields of nothing": ("", {"fields": ["missing"], "_source": False}),
    "no fields": ("", {"fields": [], "_source": False}),
    "stored_fields": ("", {"stored_fields": ["note"]}),
    "stored_fields, _source": ("", {"stored_fields": ["note"], "_source": ["n"]}),
    "stored_fields and fields": ("", {"stored_fields": ["note"], "fields": ["body"]}),
    "stored_fields as a name": ("", {"stored_fields": "note"}),
    "no stored_fields": ("", {"stored_fields": []}),
    "docvalue_fields": ("", {"docvalue_fields": ["n", {"field": "published", "format": "epoch_millis"}]}),
    "docvalue_fields, _source false": ("", {"docvalue_fields": ["shelf", "title.raw"], "_source": False}),
    "all four": (
        "",
        {"fields": ["title"], "docvalue_fields": ["n"], "stored_fields": ["note"], "_source": {"excludes": ["ex*"]}},
    ),
    "version and sequence number": ("", {"version": True, "seq_no_primary_term": True, "_source": False}),
    "URL _source=false": ("?_source=false", {}),
    "URL _source": ("?_source=title,n", {}),
    "URL _source wins": ("?_source=false", {"_source": ["title"]}),
    "URL includes, excludes": ("?_source_includes=*o*&_source_excludes=body,exotic", {}),
    "URL stored_fields": ("?stored_fields=note", {}),
    "URL docvalue_fields": ("?docvalue_fields=n,shelf", {}),
    "pretty": ("?pretty", {"_source": False, "fields": ["n"]}),
    "pretty, as it is": ("?pretty=true", {}),
}
"""What callers ask for beside the hits: query string and members of the body."""


@pytest.mark.parametrize("query", [pytest.param(query, id=name) for name, query in QUERIES.items()])
async def test_a_hit_looks_as_the_caller_asked_for(engine_url: str, library: str, query: Body) -> None:
    """Whatever the caller wants to see of a hit, it gets as the engine gives it, and nothing that we asked for."""
    wrong: list[str] = []
    async with proxied(engine_url, LastFirst()) as proxy:
        for name, (parameters, view) in VIEWS.items():
            target, body = f"/{library}/_search{parameters}", {"query": query, "size": SIZE, **view}
            got = await send(proxy, "POST", target, body=body)
            own = await send(engine_url, "POST", target, body=body)
            everything = await send(engine_url, "POST", target, body={**body, "size": BOOKS})
            wrong += [f"{name}: {words}" for words in _differences(got, own, everything)]
    assert not wrong, "\n".join(wrong)


def _differences(got: Answer, own: Answer, everything: Answer) -> list[str]:
    """Return what is wrong with an answer, except that on OpenSearch nobody can ask for the text of `copy_to`."""
    if got.reason == "no_text_field" and own.header("x-elastic-product") is None:
        return [] if same_but_time(got) == same_but_time(own) else ["left alone, and not as it was"]
    if got.outcome != "applied":
        return [f"{got.status} {got.marker} where the engine says {own.status}"]
    last_first = RawPage(everything.body).ids[::-1]
    return differences(got.body, own.body, everything.body, last_first[:SIZE])


FILTERS = (
    "hits",
    "hits.hits",
    "hits.*",
    "took,hits.hits",
    "hits.hits._source",
    "hits.hits._source,hits.total",
    "hits.hits._source.title,hits.hits._id",
    "hits.hits._source.e*",
    "hits.hits._source.missing",
    "hits.hits._id,hits.max_score",
    "hits.hits._score",
    "hits.hits.fields",
    "hits.hits.highlight",
    "_shards,hits.hits._i*",
    "*.hits,-hits.hits._source.exotic",
    "hits.hits._id,-_shards",
    "-_shards",
    "-took,-hits.hits._source",
    "-hits.hits._source.body,-hits.hits._source.e*",
    "-hits.max_score,-hits.total,-hits.hits._i*",
)
_SCORES = re.compile(rb'("(?:max)?_score"\s*:\s*)[-+.eE0-9]+|("max_score"\s*:\s*)[-+.eE0-9]+|("took"\s*:\s*)\d+')


def unscored(answer: Answer) -> tuple[int, bytes]:
    """Return an answer without scores and time."""
    return answer.status, _SCORES.sub(rb"\g<1>\g<2>\g<3>0", answer.body)


REPRINTED = {"_source": ["n", "exotic"]}
"""Where `fields` were added, Elasticsearch prints the members of a filtered `_source` in another order."""


@pytest.mark.parametrize(
    "more",
    [{}, {"_source": False}, REPRINTED, {"fields": ["n"]}, {"highlight": {"fields": {"body": {}}}}],
    ids=["as it is", "_source false", "_source names", "fields", "highlight"],
)
@pytest.mark.parametrize("query", ["body", "copy_to", "nested"])
async def test_a_filtered_answer_is_reranked(engine_url: str, library: str, query: str, more: Body) -> None:
    """What the filter shows is there to the byte, and nothing else, whatever becomes of the second stage."""
    body = {"query": QUERIES[query], "size": SIZE, **more}
    wrong: list[str] = []
    async with (
        proxied(engine_url, "test:identity", deadline=0) as same,
        proxied(engine_url, "test:failing", deadline=0) as failing,
    ):
        for number, paths in enumerate(FILTERS):
            pretty = "&pretty" if (number + [*QUERIES].index(query)) % 2 else ""
            target = f"/{library}/_search?filter_path={paths}{pretty}"
            own, got, degraded = [await send(url, "POST", target, body=body) for url in (engine_url, same, failing)]
            if got.outcome != "applied":
                wrong.append(f"{paths}: {got.marker}")
            is_alike = more == REPRINTED and json.loads(unscored(own)[1]) == json.loads(unscored(got)[1])
            if unscored(own) != unscored(got) and not is_alike:
                wrong.append(f"{paths}:\n{own.body!r}\n{got.body!r}")
            if same_but_time(own) != same_but_time(degraded):
                wrong.append(f"{paths}: {degraded.marker}\n{own.body!r}\n{degraded.body!r}")
    assert not wrong, "\n".join(wrong)


async def test_hits_of_a_filtered_answer_are_in_the_models_order(engine_url: str, library: str) -> None:
    """Ids that the caller does not see, and text that it does not see, count."""
    body = {"query": QUERIES["body"], "size": BOOKS}
    async with proxied(engine_url, LastFirst(), deadline=0) as proxy:
        for paths, member in (("hits.hits._id", "_id"), ("hits.hits._source.n", "_source")):
            target = f"/{library}/_search?filter_path={paths}"
            got, own = [await send(url, "POST", target, body=body) for url in (proxy, engine_url)]
            assert got.marker.startswith(f"applied; candidates={BOOKS}")
            assert [[hit[member] for hit in own.hits][::-1], [{member}] * BOOKS] == [
                [hit[member] for hit in got.hits],
                [set(hit) for hit in got.hits],
            ]


async def test_stored_fields_none_leaves_no_source_and_no_id(engine_url: str, library: str) -> None:
    """`stored_fields: _none_` forbids asking for the text, which is not tried: the answer is the engine's own."""
    body = {"query": QUERIES["body"], "stored_fields": "_none_", "_source": False}
    async with proxied(engine_url, ShortestFirst()) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body=body)
        own = await send(engine_url, "POST", f"/{library}/_search", body=body)
    assert 200 == own.status
    assert same_but_time(own) == same_but_time(got), got.marker
    assert ("skipped", "no_text_field") == (got.outcome, got.reason)


async def test_the_source_of_every_hit_keeps_its_bytes(engine_url: str, library: str) -> None:
    """Long integers, exponents, negative zero, long decimals, lone surrogates, escapes and odd spacing survive."""
    async with proxied(engine_url, ShortestFirst()) as proxy:
        got = await send(
            proxy, "POST", f"/{library}/_search", body={"query": {"match": {"body": "tea"}}, "size": BOOKS}
        )
    page = RawPage(got.body)
    assert "applied" == got.outcome
    assert BOOKS == len(page.hits)
    for hit in page.hits:
        assert book(int(hit.id or -1)).decode() == hit.member("_source")
    assert BOOKS == got.body.count(ODD_JSON)


async def test_text_of_any_kind_is_scored_and_given_back(engine_url: str, index_name: str) -> None:
    """Characters beyond the first plane, lone surrogates, line separators, control characters."""
    texts = ["\U0001f375 tea, longer", "tea \ud800", "tea \u2028\u2029 x", "tea \x00\x07", "te\u0301 a", "x"]
    scorer = ShortestFirst()
    put_documents(engine_url, index_name, [{"text": text, "found": "tea"} for text in texts])
    body = {"query": {"match": {"found": "tea"}}, "ext": {"rerank": {"fields": ["text"]}}}
    async with proxied(engine_url, scorer) as proxy:
        got = await send(proxy, "POST", f"/{index_name}/_search", body=body)
        own = await send(engine_url, "POST", f"/{index_name}/_search", body={"query": body["query"]})
    direct = RawPage(own.body)
    assert "applied" == got.outcome, got.marker
    assert sorted(texts) == sorted(scorer.texts)
    assert [] == differences(
        got.body, own.body, own.body, shortest_first(direct, {str(n): text for n, text in enumerate(texts)}, window=100)
    )


EMPTY_PAGES: Mapping[str, Body] = {
    "no hits": {"query": {"match": {"body": "coffee"}}},
    "after the last hit": {"query": {"match": {"body": "tea"}}, "from": BOOKS},
    "one hit": {"query": {"match": {"body": "word7"}}},
}


async def test_pages_that_cannot_be_reordered_are_the_engine_s(engine_url: str, library: str) -> None:
    """No hits, or one: the same bytes but for scores, pretty or not."""
    async with proxied(engine_url, ShortestFirst()) as proxy:
        for name, body in EMPTY_PAGES.items():
            for parameters in ("", "?pretty"):
                target = f"/{library}/_search{parameters}"
                got = RawPage((await send(proxy, "POST", target, body=body)).body)
                own = RawPage((await send(engine_url, "POST", target, body=body)).body)
                assert own.around == got.around, name
                assert [hit.unscored for hit in own.hits] == [hit.unscored for hit in got.hits], name
