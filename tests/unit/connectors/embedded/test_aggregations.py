"""Aggregations over the documents that match."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

MAPPING = {"mappings": {"properties": {"tag": {"type": "keyword"}, "day": {"type": "date"}, "text": {"type": "text"}}}}
DOCUMENTS = [
    {"tag": ["b", "a", "b"], "n": 1, "day": "2020-01-01", "ok": True, "price": 1.5},
    {"tag": "b", "n": 2, "ok": False, "price": 2.5},
    {"tag": "c", "n": 2, "day": "2020-01-03"},
    {"n": [4, 5]},
]


@pytest.fixture
async def things(engine: Asker) -> Asker:
    """Four documents."""
    await engine.json("PUT", "/books", MAPPING)
    await engine.put(DOCUMENTS)
    return engine


async def _aggregated(engine: Asker, aggregation: Any, **body: Any) -> Any:
    answer = await engine.json("POST", "/books/_search", {"size": 0, "aggs": {"a": aggregation}, **body})
    return answer["aggregations"]["a"]


@pytest.mark.parametrize(
    ("options", "keys", "others"),
    [
        ({}, [("b", 2), ("a", 1), ("c", 1)], 0),
        ({"size": 1}, [("b", 2)], 2),
        ({"min_doc_count": 2}, [("b", 2)], 0),
        ({"order": {"_key": "desc"}}, [("c", 1), ("b", 2), ("a", 1)], 0),
        ({"order": {"_key": "asc"}, "size": 2}, [("a", 1), ("b", 2)], 1),
        ({"order": {"_count": "asc"}}, [("a", 1), ("c", 1), ("b", 2)], 0),
        ({"order": [{"_count": "desc"}, {"_key": "asc"}]}, [("b", 2), ("a", 1), ("c", 1)], 0),
    ],
)
async def test_terms(things: Asker, options: Any, keys: Any, others: int) -> None:
    """Documents per value, each counted once; the most frequent first, then by key."""
    answer = await _aggregated(things, {"terms": {"field": "tag", **options}})
    assert (keys, others) == (
        [(one["key"], one["doc_count"]) for one in answer["buckets"]],
        answer["sum_other_doc_count"],
    )


async def test_keys_that_need_words(things: Asker) -> None:
    """Dates and booleans are numbers with a text beside them."""
    days = (await _aggregated(things, {"terms": {"field": "day"}}))["buckets"]
    assert {"key": 1577836800000, "key_as_string": "2020-01-01T00:00:00.000Z", "doc_count": 1} == days[0]
    truths = (await _aggregated(things, {"terms": {"field": "ok"}}))["buckets"]
    assert [(0, "false"), (1, "true")] == [(one["key"], one["key_as_string"]) for one in truths]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ({"min": {"field": "n"}}, {"value": 1.0}),
        ({"max": {"field": "n"}}, {"value": 5.0}),
        ({"sum": {"field": "n"}}, {"value": 14.0}),
        ({"avg": {"field": "price"}}, {"value": 2.0}),
        ({"stats": {"field": "price"}}, {"count": 2, "min": 1.5, "max": 2.5, "avg": 2.0, "sum": 4.0}),
        ({"value_count": {"field": "n"}}, {"value": 5}),
        ({"value_count": {"field": "tag"}}, {"value": 5}),
        ({"cardinality": {"field": "tag"}}, {"value": 3}),
        ({"max": {"field": "day"}}, {"value": 1578009600000.0, "value_as_string": "2020-01-03T00:00:00.000Z"}),
        ({"avg": {"field": "ok"}}, {"value": 0.5, "value_as_string": "true"}),
        ({"min": {"field": "nope"}}, {"value": None}),
        ({"sum": {"field": "nope"}}, {"value": 0.0}),
        ({"min": {"field": "n"}, "meta": {"x": 1}}, {"meta": {"x": 1}, "value": 1.0}),
    ],
)
async def test_metrics(things: Asker, aggregation: Any, expected: Any) -> None:
    """Numbers over all values of a field."""
    assert expected == await _aggregated(things, aggregation)


async def test_aggregations_inside_terms(things: Asker) -> None:
    """Each bucket has its own."""
    below = {"m": {"max": {"field": "n"}}, "t": {"terms": {"field": "tag", "order": {"_key": "asc"}}}}
    (most, *_) = (await _aggregated(things, {"terms": {"field": "tag"}, "aggs": below}))["buckets"]
    assert ("b", 2.0, ["a", "b"]) == (most["key"], most["m"]["value"], [one["key"] for one in most["t"]["buckets"]])


async def test_aggregations_see_what_matches(things: Asker) -> None:
    """The query and the least score cut them, the post filter and the page do not."""
    terms = {"terms": {"field": "tag"}}
    query = {"term": {"n": 2}}
    assert 2 == len((await _aggregated(things, terms, query=query))["buckets"])
    assert 3 == len((await _aggregated(things, terms, post_filter=query))["buckets"])
    assert 0 == len((await _aggregated(things, terms, min_score=5))["buckets"])


async def test_typed_keys(things: Asker) -> None:
    """The kind of an aggregation stands before its name, in buckets, too."""
    body = {
        "size": 0,
        "aggs": {
            "t": {"terms": {"field": "tag"}, "aggs": {"m": {"max": {"field": "n"}}}},
            "n": {"terms": {"field": "n"}},
            "p": {"terms": {"field": "price"}},
        },
    }
    answer = (await things.json("POST", "/books/_search?typed_keys=true", body))["aggregations"]
    assert ["sterms#t", "lterms#n", "dterms#p"] == list(answer)
    assert "max#m" in answer["sterms#t"]["buckets"][0]


@pytest.mark.parametrize(
    "aggregation",
    [
        5,
        {},
        {"terms": 5},
        {"terms": {}},
        {"terms": {"field": "text"}},
        {"terms": {"field": "_id"}},
        {"terms": {"field": "tag", "size": 0}},
        {"terms": {"field": "tag", "size": "x"}},
        {"terms": {"field": "tag", "order": {"x": "asc"}}},
        {"terms": {"field": "tag", "missing": "x"}},
        {"avg": {"field": "tag"}},
        {"avg": {"field": "text"}},
        {"avg": {"field": "n", "missing": 0}},
        {"avg": {"field": "n"}, "min": {"field": "n"}},
        {"avg": {"field": "n"}, "aggs": {"b": {"min": {"field": "n"}}}},
        {"terms": {"field": "tag"}, "aggs": {"b": {"avg": {"field": "text"}}}},
        {"date_histogram": {"field": "day"}},
        {"nope": {"field": "n"}},
    ],
)
async def test_what_is_not_done_is_refused(things: Asker, aggregation: Any) -> None:
    """Also where nothing matches."""
    body = {"query": {"match_none": {}}, "aggs": {"a": aggregation}}
    assert 400 == (await things.error("POST", "/books/_search", body))[0]


async def test_names_have_limits(things: Asker) -> None:
    """Brackets are not allowed in them."""
    assert 400 == (await things.error("POST", "/books/_search", {"aggs": {"a[b]": {"avg": {"field": "n"}}}}))[0]


async def test_types_that_do_not_compare(things: Asker) -> None:
    """Numbers in one index and strings in another are not put into one order."""
    await things.json("PUT", "/more", {"mappings": {"properties": {"n": {"type": "keyword"}}}})
    await things.put([{"n": "x"}], index="more")
    assert 400 == (await things.error("POST", "/books,more/_search", {"aggs": {"a": {"terms": {"field": "n"}}}}))[0]
