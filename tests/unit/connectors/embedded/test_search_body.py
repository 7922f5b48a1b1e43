"""What a search request asks for: keys and parameters, and what is refused of them."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

BOOKS = [{"title": "black tea", "n": 1, "author": {"name": "A", "age": 5}}, {"title": "tea tea", "n": 2}, {"n": 3}]


@pytest.fixture
async def books(engine: Asker) -> Asker:
    """Three books."""
    await engine.put(BOOKS)
    return engine


async def _hits(engine: Asker, body: Any, parameters: str = "") -> Any:
    return (await engine.json("POST", f"/books/_search{parameters}", body))["hits"]


@pytest.mark.parametrize(
    "body",
    [
        {"nope": 1},
        {"query": None},
        {"size": -1},
        {"size": "x"},
        {"size": None},
        {"from": -1},
        {"from": 9_999, "size": 2},
        {"size": 10_001},
        {"_source": 5},
        {"_source": {"nope": []}},
        {"_source": {"includes": [5]}},
        {"fields": "title"},
        {"fields": [5]},
        {"fields": [{"field": "day", "format": "yyyy"}]},
        {"stored_fields": ["title"]},
        {"stored_fields": "_none_", "_source": True},
        {"track_total_hits": "some"},
        {"track_total_hits": -2},
        {"track_scores": "perhaps"},
        {"min_score": "x"},
        {"explain": True},
        {"ext": {"nope": {}}},
        {"knn": {"field": "v"}},
        {"collapse": {"field": "n"}},
        {"rescore": {"query": {}}},
        {"retriever": {"standard": {}}},
        {"suggest": {"a": {}}},
        {"slice": {"id": 0, "max": 2}},
        {"pit": {"id": "x"}},
        {"highlight": 5},
        {"aggs": []},
    ],
)
async def test_what_is_not_done_is_refused(books: Asker, body: Any) -> None:
    """Every key is read, or is 400."""
    assert 400 == (await books.error("POST", "/books/_search", body))[0]


@pytest.mark.parametrize(
    "body", [{"ext": {}}, {"rescore": []}, {"suggest": {}}, {"profile": False}, {"explain": False}, {"timeout": "1s"}]
)
async def test_what_asks_for_nothing_is_no_harm(books: Asker, body: Any) -> None:
    """An empty value of a key that is not done changes nothing."""
    assert 3 == (await _hits(books, body))["total"]["value"]


async def test_pages_follow_each_other(books: Asker) -> None:
    """`from` and `size` cut the same order."""
    pages = [await _hits(books, {"sort": "n", "from": start, "size": 2}) for start in (0, 2, 4)]
    assert [["1", "2"], ["3"], []] == [[hit["_id"] for hit in page["hits"]] for page in pages]
    assert {3} == {page["total"]["value"] for page in pages}


@pytest.mark.parametrize(
    ("wanted", "total"),
    [
        (True, {"value": 3, "relation": "eq"}),
        (2, {"value": 2, "relation": "gte"}),
        (3, {"value": 3, "relation": "eq"}),
        (0, {"value": 0, "relation": "gte"}),
        (False, None),
        (-1, None),
    ],
)
async def test_totals_are_counted_as_far_as_asked(books: Asker, wanted: Any, total: Any) -> None:
    """Exact, up to a number, or not at all."""
    assert total == (await _hits(books, {"track_total_hits": wanted})).get("total")


async def test_totals_as_integers(books: Asker) -> None:
    """The old form is exact, and -1 without a total; counting up to a number does not go with it."""
    assert 3 == (await _hits(books, {}, "?rest_total_hits_as_int=true"))["total"]
    assert -1 == (await _hits(books, {"track_total_hits": False}, "?rest_total_hits_as_int=true"))["total"]
    target = "/books/_search?rest_total_hits_as_int=true&track_total_hits=2"
    assert 400 == (await books.error("POST", target, {}))[0]


async def test_parameters_go_over_the_body(books: Asker) -> None:
    """The query string has the last word."""
    hits = await _hits(
        books, {"size": 5, "sort": "n", "query": {"match_none": {}}}, "?size=1&sort=n:desc&q=n:3&_source=false"
    )
    assert [("3", False)] == [(hit["_id"], "_source" in hit) for hit in hits["hits"]]


@pytest.mark.parametrize(
    ("wanted", "source"),
    [
        (True, BOOKS[0]),
        (False, None),
        ("n", {"n": 1}),
        (["a*.name", "n"], {"n": 1, "author": {"name": "A"}}),
        ({"excludes": ["author.*", "title"]}, {"n": 1, "author": {}}),
        ({"includes": "author", "excludes": "*.age"}, {"author": {"name": "A"}}),
        ([], BOOKS[0]),
        (["nope"], {}),
    ],
)
async def test_parts_of_the_source(books: Asker, wanted: Any, source: Any) -> None:
    """Names, patterns, includes and excludes."""
    hits = await _hits(books, {"_source": wanted, "query": {"term": {"n": 1}}})
    assert source == hits["hits"][0].get("_source")


async def test_hits_show_what_was_asked_for(books: Asker) -> None:
    """Versions, sequence numbers, fields, no ids."""
    body = {"query": {"term": {"n": 2}}, "version": True, "seq_no_primary_term": True, "fields": ["title*", "_id"]}
    (hit,) = (await _hits(books, body))["hits"]
    assert (1, 1, 1) == (hit["_version"], hit["_seq_no"], hit["_primary_term"])
    assert {"_id": ["2"], "title": ["tea tea"], "title.keyword": ["tea tea"]} == hit["fields"]
    (bare,) = (await _hits(books, {"query": {"term": {"n": 2}}, "stored_fields": "_none_"}))["hits"]
    assert {"_index", "_score"} == set(bare)


async def test_scores_below_the_least_do_not_count(books: Asker) -> None:
    """`min_score` works on hits and totals."""
    scores = await books.scores({"match": {"title": "tea"}})
    body = {"query": {"match": {"title": "tea"}}, "min_score": (scores["1"] + scores["2"]) / 2}
    hits = await _hits(books, body)
    assert (1, ["2"]) == (hits["total"]["value"], [hit["_id"] for hit in hits["hits"]])


async def test_a_search_may_come_in_a_parameter(books: Asker) -> None:
    """`source` stands for the body where a client cannot send one with GET."""
    target = "/books/_search?source=%7B%22size%22:1%7D"
    assert 400 == (await books.error("GET", target))[0]
    found = await books.json("GET", f"{target}&source_content_type=application/json")
    assert 1 == len(found["hits"]["hits"])
