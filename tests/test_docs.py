"""The documents say what the code does: every table that can be computed is computed."""

import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SearchRequest
from sidecar import errors
from sidecar.errors import RerankUnavailable
from sidecar.plan import Plan, widen
from sidecar.policy import Policy
from sidecar.requests.controls import CONTROLS
from sidecar.requests.search_call import parse
from sidecar.searches import Left, Refused, decide, read
from sidecar.types import Operation, Outcome, SkipReason
from tests.unit.doubles import ScriptedEngine

REPOSITORY = Path(__file__).parents[1]
FIDELITY = (REPOSITORY / "docs" / "fidelity.md").read_text(encoding="utf-8")

MATCH = {"match": {"title": "blue sky"}}

BODY_KEYS: dict[str, Any] = {
    "_source": False,
    "aggregations": {"shelves": {"terms": {"field": "shelf"}}},
    "aggs": {"shelves": {"terms": {"field": "shelf"}}},
    "collapse": {"field": "shelf"},
    "derived": {"d": {"type": "keyword", "script": "emit('x')"}},
    "docvalue_fields": ["shelf"],
    "explain": True,
    "ext": {"other": {}},
    "fields": ["shelf"],
    "from": 10,
    "highlight": {"fields": {"title": {}}},
    "indices_boost": [{"books": 2}],
    "knn": {"field": "v", "query_vector": [1], "k": 5},
    "min_score": 0.5,
    "pit": {"id": "46ToAwMDaWR5"},
    "post_filter": {"term": {"shelf": "a"}},
    "profile": True,
    "query": MATCH,
    "rank": {"rrf": {}},
    "rescore": {"query": {"rescore_query": MATCH}},
    "retriever": {"standard": {"query": MATCH}},
    "runtime_mappings": {"r": {"type": "long"}},
    "script_fields": {"s": {"script": "1"}},
    "search_after": [1],
    "search_pipeline": "mine",
    "seq_no_primary_term": True,
    "size": 20,
    "slice": {"id": 0, "max": 2},
    "sort": ["price"],
    "stats": ["group"],
    "stored_fields": ["shelf"],
    "sub_searches": [{"query": MATCH}],
    "suggest": {"s": {"text": "sky", "term": {"field": "title"}}},
    "terminate_after": 5,
    "timeout": "1s",
    "track_scores": True,
    "track_total_hits": True,
    "version": True,
}
"""The keys of SearchSourceBuilder in Elasticsearch 9.5 and OpenSearch 3.8, each with a value."""

PARAMETERS: dict[str, str] = {
    "_source": "false",
    "_source_exclude_vectors": "true",
    "_source_excludes": "body",
    "_source_includes": "shelf",
    "allow_no_indices": "true",
    "allow_partial_search_results": "true",
    "analyze_wildcard": "true",
    "analyzer": "english",
    "batched_reduce_size": "5",
    "cancel_after_time_interval": "1s",
    "ccs_minimize_roundtrips": "true",
    "default_operator": "and",
    "df": "title",
    "docvalue_fields": "shelf",
    "error_trace": "true",
    "expand_wildcards": "open",
    "explain": "true",
    "filter_path": "hits.hits._id",
    "force_synthetic_source": "false",
    "format": "yaml",
    "from": "10",
    "human": "true",
    "ignore_throttled": "true",
    "ignore_unavailable": "true",
    "include_named_queries_score": "true",
    "lenient": "true",
    "max_concurrent_shard_requests": "5",
    "min_compatible_shard_node": "8.0.0",
    "phase_took": "true",
    "pre_filter_shard_size": "5",
    "preference": "_local",
    "pretty": "true",
    "project_routing": "a",
    "q": "blue sky",
    "request_cache": "true",
    "rest_total_hits_as_int": "true",
    "routing": "a",
    "scroll": "1m",
    "search_pipeline": "mine",
    "search_type": "query_then_fetch",
    "seq_no_primary_term": "true",
    "size": "20",
    "sort": "price",
    "source": json.dumps({"query": MATCH}),
    "source_content_type": "application/json",
    "stats": "group",
    "stored_fields": "shelf",
    "suggest_field": "title",
    "suggest_mode": "always",
    "suggest_size": "3",
    "suggest_text": "sky",
    "terminate_after": "5",
    "timeout": "1s",
    "track_scores": "true",
    "track_total_hits": "true",
    "typed_keys": "true",
    "verbose_pipeline": "true",
    "version": "true",
}
"""The URL parameters of `_search` in both engines' REST API specifications, each with a value."""

TEXT = {"query": "blue sky"}
CLAUSES: dict[str, Any] = {
    "bool": {"must": [MATCH], "filter": [{"term": {"shelf": "a"}}]},
    "boosting": {"positive": MATCH, "negative": {"term": {"shelf": "a"}}, "negative_boost": 0.5},
    "combined_fields": {**TEXT, "fields": ["title", "body"]},
    "constant_score": {"filter": MATCH},
    "dis_max": {"queries": [MATCH]},
    "distance_feature": {"field": "published", "pivot": "7d", "origin": "now"},
    "exists": {"field": "title"},
    "function_score": {"query": MATCH, "functions": [{"weight": 2}]},
    "fuzzy": {"title": "sky"},
    "geo_distance": {"distance": "1km", "at": [0, 0]},
    "has_child": {"type": "answer", "query": MATCH},
    "hybrid": {"queries": [MATCH]},
    "ids": {"values": ["1"]},
    "intervals": {"title": {"match": TEXT}},
    "knn": {"field": "v", "query_vector": [1]},
    "match": {"title": "blue sky"},
    "match_all": {},
    "match_bool_prefix": {"title": "blue sk"},
    "match_none": {},
    "match_phrase": {"title": "blue sky"},
    "match_phrase_prefix": {"title": "blue sk"},
    "more_like_this": {"fields": ["title"], "like": "blue sky"},
    "multi_match": {**TEXT, "fields": ["title"]},
    "nested": {"path": "chapters", "query": {"match": {"chapters.heading": "blue sky"}}},
    "neural": {"v": {"query_text": "blue sky", "k": 5}},
    "neural_sparse": {"v": {"query_text": "blue sky"}},
    "percolate": {"field": "query", "document": {"title": "blue sky"}},
    "pinned": {"ids": ["1"], "organic": MATCH},
    "prefix": {"title": "sk"},
    "query_string": {"query": "title:blue AND sky"},
    "range": {"n": {"gt": 5}},
    "rank_feature": {"field": "pagerank"},
    "regexp": {"title": "s.y"},
    "rule": {"ruleset_ids": ["r"], "match_criteria": {}, "organic": MATCH},
    "script": {"script": "true"},
    "script_score": {"query": MATCH, "script": {"source": "1"}},
    "semantic": {"field": "s", "query": "blue sky"},
    "simple_query_string": TEXT,
    "span_term": {"title": "sky"},
    "sparse_vector": {"field": "v", "query": "blue sky"},
    "term": {"title": "sky"},
    "terms": {"title": ["sky"]},
    "terms_set": {"title": {"terms": ["sky"], "minimum_should_match": 1}},
    "text_expansion": {"v": {"model_text": "blue sky"}},
    "wildcard": {"title": "sk*"},
    "wrapper": {"query": "e30="},
}
"""The clauses of the query DSL in both engines; of whole families one."""

REPLACES_THE_QUERY = frozenset({"retriever", "sub_searches"})
FORWARDED, RERANKED = "forwarded", "reranked"


def table(heading: str) -> dict[str, str]:
    """Return the second cells of the first table under a heading, by the first cells."""
    found: dict[str, str] = {}
    for first, second, *_ in rows(section(heading)):
        assert first not in found, f"{first} is listed twice"
        found[first] = second
    return found


def section(heading: str) -> str:
    """Return the text under a heading."""
    return FIDELITY.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every table row that begins with code, that code without its marks."""
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            yield [first.strip("`"), *others]


def verdict(request: SearchRequest) -> str:
    """Return what the code does with a search, in the words of the document; forwarded counts as reranked."""
    search = read(Operation.SEARCH, request, Policy(), ScriptedEngine())
    match search.decisions[0]:
        case Plan():
            return RERANKED
        case Left(marker=marker):
            return f"off (`{marker.reason}`)"
        case Refused():
            return "refused"


def said(documented: str) -> str:
    """Return a documented verdict as `verdict` gives it."""
    return RERANKED if documented == FORWARDED else documented


def test_every_body_key_is_listed() -> None:
    """And no other."""
    assert sorted(BODY_KEYS) == sorted(table("Keys of the search body"))


@pytest.mark.parametrize("key", BODY_KEYS)
def test_the_verdict_on_a_body_key_is_the_codes(key: str) -> None:
    """A key that is forwarded is sent with the caller's value, in a search that is widened."""
    body = {key: BODY_KEYS[key]} if key in REPLACES_THE_QUERY else {"query": MATCH, key: BODY_KEYS[key]}
    request = SearchRequest.build(index="books", body=body)
    documented = table("Keys of the search body")[key]
    assert said(documented) == verdict(request)
    if documented == FORWARDED:
        plan = decide(parse(request), Policy())
        assert isinstance(plan, Plan)
        assert BODY_KEYS[key] == json.loads(widen(plan, ("title",)).text)[key]


def test_every_url_parameter_is_listed() -> None:
    """And no other."""
    assert sorted(PARAMETERS) == sorted(table("URL parameters"))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_verdict_on_a_url_parameter_is_the_codes(name: str) -> None:
    """A parameter that is forwarded is sent with the caller's value, in a search that is widened."""
    body = None if name in ("q", "source") else {"query": MATCH}
    request = SearchRequest.build(index="books", body=body, params={name: PARAMETERS[name]})
    documented = table("URL parameters")[name]
    assert said(documented) == verdict(request)
    if documented == FORWARDED:
        plan = decide(parse(request), Policy())
        assert isinstance(plan, Plan)
        assert PARAMETERS[name] == widen(plan, ("title",)).param(name)


def test_every_query_clause_is_listed() -> None:
    """And no other."""
    assert sorted(CLAUSES) == sorted(table("Query clauses"))


@pytest.mark.parametrize("clause", CLAUSES)
def test_the_verdict_on_a_query_clause_is_the_codes(clause: str) -> None:
    """Standing alone as the query."""
    request = SearchRequest.build(index="books", body={"query": {clause: CLAUSES[clause]}})
    assert table("Query clauses")[clause] == verdict(request)


def test_every_word_and_reason_of_the_marker_is_listed() -> None:
    """In the order of the code."""
    words, skipped, failures = (
        [first for first, *_ in rows(part)]
        for part in re.split(r"^Reasons of .*$", section("The header `X-Rerank`"), flags=re.MULTILINE)
    )
    assert [outcome.value for outcome in Outcome] == words
    assert [reason.value for reason in SkipReason] == skipped
    classes = [RerankUnavailable, *RerankUnavailable.__subclasses__()]
    assert {failure.reason for failure in classes if failure.__module__ == errors.__name__} == set(failures)


def test_the_controls_are_those_of_the_code() -> None:
    """With the words of the refusal."""
    section = FIDELITY.split("\n## The caller's controls\n", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    assert [[control.option, control.key or "", control.header or "", control.expected] for control in CONTROLS] == rows


LINK = re.compile(r"\[[^\]]+\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize(
    "document",
    sorted(
        path.relative_to(REPOSITORY).as_posix()
        for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("docker/*.md"))
    ),
)
def test_links_lead_somewhere(document: str) -> None:
    """Within the repository."""
    path = REPOSITORY / document
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / urllib.parse.unquote(target)).exists(), f"{document} links to {target}"
