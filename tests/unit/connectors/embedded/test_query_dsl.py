"""Queries: what they find, and that nothing in them is passed over."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

MAPPING = {
    "mappings": {
        "properties": {
            "title": {"type": "text", "fields": {"english": {"type": "text", "analyzer": "english"}}},
            "tags": {"type": "keyword"},
            "n": {"type": "integer"},
            "day": {"type": "date"},
            "open": {"type": "boolean"},
            "secret": {"type": "text", "index": False},
        }
    }
}
BOOKS = [
    {"title": "Black tea", "tags": ["a", "b"], "n": 1, "day": "2020-01-01", "open": True, "secret": "x"},
    {"title": "Green tea leaves and black leaves", "tags": "b", "n": 2, "day": "2020-06-15T12:30:00Z"},
    {"title": "The connections of rivers", "n": 3, "open": False},
]


@pytest.fixture
async def books(engine: Asker) -> Asker:
    """Three books."""
    await engine.json("PUT", "/books", MAPPING)
    await engine.put(BOOKS)
    return engine


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"match_all": {}}, "123"),
        ({"match_none": {}}, ""),
        ({"match": {"title": "TEA rivers"}}, "123"),
        ({"match": {"title": {"query": "black tea", "operator": "and"}}}, "12"),
        ({"match": {"title": {"query": "black leaves water", "minimum_should_match": 2}}}, "2"),
        ({"match": {"title": "connection"}}, ""),
        ({"match": {"title.english": "connection river"}}, "3"),
        ({"match": {"title.english": "the of"}}, ""),
        ({"match": {"title.english": {"query": "the of", "zero_terms_query": "all"}}}, "123"),
        ({"match": {"title.english": {"query": "Connections", "analyzer": "keyword"}}}, ""),
        ({"match": {"n": {"query": "tea", "lenient": True}}}, ""),
        ({"match_phrase": {"title": "black tea"}}, "1"),
        ({"match_phrase": {"title.english": "connection of the river"}}, ""),
        ({"match_phrase": {"title.english": "the connection of river"}}, "3"),
        ({"multi_match": {"query": "3"}}, "3"),
        ({"multi_match": {"query": "black tea", "fields": ["ti*"], "type": "phrase"}}, "1"),
        ({"term": {"title": "tea"}}, "12"),
        ({"term": {"title": "Tea"}}, ""),
        ({"term": {"tags": "b"}}, "12"),
        ({"term": {"open": False}}, "3"),
        ({"term": {"n": 2.5}}, ""),
        ({"term": {"day": "2020-06-15"}}, "2"),
        ({"terms": {"tags": ["a", "nope"]}}, "1"),
        ({"terms": {"_id": ["2", "3"]}}, "23"),
        ({"range": {"n": {"gt": 1, "lte": 3}}}, "23"),
        ({"range": {"day": {"gt": "2020-01-01", "lte": "2020-06-15"}}}, "2"),
        ({"range": {"day": {"lt": "2021"}}}, "12"),
        ({"range": {"tags": {"gte": "b"}}}, "12"),
        ({"prefix": {"title": "lea"}}, "2"),
        ({"prefix": {"tags": {"value": "a"}}}, "1"),
        ({"exists": {"field": "day"}}, "12"),
        ({"exists": {"field": "secret"}}, ""),
        ({"ids": {"values": [3, "1", "nope"]}}, "13"),
        ({"bool": {"must": {"match": {"title": "tea"}}, "must_not": [{"term": {"tags": "a"}}]}}, "2"),
        ({"bool": {"should": [{"term": {"n": 1}}, {"term": {"tags": "b"}}], "minimum_should_match": 2}}, "1"),
        ({"bool": {"filter": {"term": {"tags": "b"}}, "should": {"term": {"n": 3}}}}, "12"),
        ({"bool": {"must_not": {"term": {"tags": "b"}}}}, "3"),
        ({"dis_max": {"queries": [{"term": {"n": 1}}, {"term": {"n": 3}}]}}, "13"),
        ({"constant_score": {"filter": {"term": {"n": 2}}}}, "2"),
        ({"boosting": {"positive": {"match_all": {}}, "negative": {"term": {"n": 1}}, "negative_boost": 0}}, "123"),
    ],
)
async def test_a_query_finds(books: Asker, query: Any, found: str) -> None:
    """Each clause matches what its name says."""
    assert found == "".join(sorted(await books.ids(query)))


async def test_boosts_multiply(books: Asker) -> None:
    """A boost at any level changes the score by its factor, and nothing else."""
    plain = await books.scores({"match": {"title": "tea"}})
    assert pytest.approx({one: 6 * score for one, score in plain.items()}) == await books.scores(
        {"bool": {"must": {"match": {"title": {"query": "tea", "boost": 2}}}, "boost": 3}}
    )
    assert {"1": 1.5} == await books.scores({"term": {"n": {"value": 1, "boost": 1.5}}})
    assert {"1": 0.0, "2": 2.0, "3": 2.0} == await books.scores(
        {
            "boosting": {
                "positive": {"match_all": {"boost": 2}},
                "negative": {"term": {"n": 1}},
                "negative_boost": 0.0,
            }
        }
    )


async def test_fields_compete_or_add_up(books: Asker) -> None:
    """best_fields takes the best, most_fields the sum, a tie breaker what is between."""
    fields = [await books.scores({"match": {name: "tea"}}) for name in ("title", "title.english")]
    for style, tie_breaker in (("best_fields", 0.0), ("most_fields", 1.0), ("best_fields", 0.5)):
        query = {"query": "tea", "fields": ["title", "title.english"], "type": style, "tie_breaker": tie_breaker}
        expected = {
            one: max(parts) + tie_breaker * min(parts) for one in "12" if (parts := [scores[one] for scores in fields])
        }
        assert pytest.approx(expected) == await books.scores({"multi_match": query})


@pytest.mark.parametrize(
    "query",
    [
        {},
        [],
        "tea",
        {"match": {}},
        {"match": "tea"},
        {"match": {"a": "x", "b": "y"}},
        {"match": {"a": "x"}, "term": {"a": "x"}},
        {"match": {"title": ["tea"]}},
        {"match": {"title": {"query": "tea", "nope": 1}}},
        {"match": {"title": {"query": "tea", "boost": "x"}}},
        {"match": {"title": {"query": "tea", "boost": -1}}},
        {"match": {"title": {"query": "tea", "boost": 1e39}}},
        {"match": {"title": {"query": "tea", "operator": "xor"}}},
        {"match": {"title": {"query": "tea", "minimum_should_match": "many"}}},
        {"match": {"title": {"query": "tea", "analyzer": "nope"}}},
        {"match": {"title": {"query": "tea", "fuzziness": "AUTO"}}},
        {"match": {"n": "tea"}},
        {"match": {"secret": "tea"}},
        {"match_phrase": {"title": {"query": "black tea", "slop": 1}}},
        {"multi_match": {"fields": ["title"]}},
        {"multi_match": {"query": "tea", "fields": [5]}},
        {"multi_match": {"query": "tea", "fields": ["title^x"]}},
        {"multi_match": {"query": "tea", "type": "cross_fields"}},
        {"multi_match": {"query": "tea", "type": "nope"}},
        {"term": {"n": [1]}},
        {"term": {"n": None}},
        {"term": {"open": ""}},
        {"term": {"tags": {"value": "a", "case_insensitive": True}}},
        {"terms": {"n": 5}},
        {"terms": {"n": {"index": "x", "id": "1", "path": "n"}}},
        {"terms": {"n": [{}]}},
        {"range": {"n": 5}},
        {"range": {"n": {"nope": 5}}},
        {"range": {"day": {"gte": "now-1d"}}},
        {"range": {"day": {"gte": "yesterday"}}},
        {"range": {"title": {"gte": "a"}}},
        {"prefix": {"n": "1"}},
        {"exists": {}},
        {"exists": {"field": ["n"]}},
        {"ids": {"values": [[]]}},
        {"bool": {"nope": []}},
        {"bool": {"must": "x"}},
        {"bool": {"must": ["x"]}},
        {"dis_max": {"queries": []}},
        {"constant_score": {}},
        {"boosting": {"positive": {"match_all": {}}, "negative": {"match_all": {}}}},
        {"nested": {"path": "a", "query": {"match_all": {}}}},
        {"knn": {"field": "v", "query_vector": [1]}},
        {"nope": {}},
    ],
)
async def test_what_is_not_understood_is_refused(books: Asker, query: Any) -> None:
    """Nothing in a query is skipped: it is 400 with a type and a reason."""
    status, kind, reason = await books.error("POST", "/books/_search", {"query": query})
    assert 400 == status
    assert kind
    assert reason


async def test_clauses_have_a_depth(books: Asker) -> None:
    """Thirty levels are a query, more are refused."""

    def nested(levels: int) -> Any:
        query: Any = {"match_all": {}}
        for _ in range(levels):
            query = {"bool": {"must": query}}
        return query

    assert ["1", "2", "3"] == await books.ids(nested(30))
    assert 400 == (await books.error("POST", "/books/_search", {"query": nested(31)}))[0]
