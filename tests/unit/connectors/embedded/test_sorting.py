"""Sort orders, and pages after a given hit."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

GREATEST, INFINITY = 2**63 - 1, "Infinity"
MAPPING = {
    "mappings": {
        "properties": {
            "n": {"type": "long"},
            "f": {"type": "float"},
            "k": {"type": "keyword"},
            "day": {"type": "date"},
            "open": {"type": "boolean"},
            "text": {"type": "text"},
            "i": {"type": "integer"},
        }
    }
}
DOCUMENTS: list[dict[str, Any]] = [
    {"n": 2, "f": 0.5, "k": ["b", "d"], "day": "2020-01-01", "open": True, "text": "x"},
    {"n": 1, "k": "c"},
    {"n": 2, "f": -1, "day": "2019-01-01", "open": False},
    {"f": 0.5, "k": "a"},
]


@pytest.fixture
async def things(engine: Asker) -> Asker:
    """Four documents; each field misses in one or two."""
    await engine.json("PUT", "/books", MAPPING)
    await engine.put(DOCUMENTS)
    return engine


async def _found(engine: Asker, **body: Any) -> list[tuple[str, Any]]:
    answer = await engine.json("POST", "/books/_search", body)
    return [(hit["_id"], hit.get("sort")) for hit in answer["hits"]["hits"]]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("n", [("2", [1]), ("1", [2]), ("3", [2]), ("4", [GREATEST])]),
        ([{"n": "desc"}], [("1", [2]), ("3", [2]), ("2", [1]), ("4", [-GREATEST - 1])]),
        ([{"n": {"missing": "_first"}}], [("4", [-GREATEST - 1]), ("2", [1]), ("1", [2]), ("3", [2])]),
        ("f", [("3", [-1.0]), ("1", [0.5]), ("4", [0.5]), ("2", [INFINITY])]),
        ("i", [("1", [2**31 - 1]), ("2", [2**31 - 1]), ("3", [2**31 - 1]), ("4", [2**31 - 1])]),
        ("k", [("4", ["a"]), ("1", ["b"]), ("2", ["c"]), ("3", [None])]),
        ([{"k": {"order": "desc"}}], [("1", ["d"]), ("2", ["c"]), ("4", ["a"]), ("3", [None])]),
        ([{"k": {"missing": "_first"}}], [("3", [None]), ("4", ["a"]), ("1", ["b"]), ("2", ["c"])]),
        ("open", [("3", [0]), ("1", [1]), ("2", [GREATEST]), ("4", [GREATEST])]),
        (["f", {"n": "desc"}], [("3", [-1.0, 2]), ("1", [0.5, 2]), ("4", [0.5, -GREATEST - 1]), ("2", [INFINITY, 1])]),
        ("_doc", [("1", [0]), ("2", [1]), ("3", [2]), ("4", [3])]),
        ([{"nope": {"unmapped_type": "keyword"}}, "_doc"], [(str(n + 1), [None, n]) for n in range(4)]),
    ],
)
async def test_orders(things: Asker, sort: Any, expected: list[tuple[str, Any]]) -> None:
    """Numbers, strings, booleans; missing values at the end that was asked for; ties in the order of writing."""
    assert expected == await _found(things, sort=sort)


@pytest.mark.parametrize("sort", ["n", "f", "k", "open", "day", [{"k": "desc"}], [{"n": {"missing": "_first"}}]])
async def test_sort_values_lead_to_the_next_page(things: Asker, sort: Any) -> None:
    """Page after page of one hit gives every hit once, in the same order."""
    keys = [*(sort if isinstance(sort, list) else [sort]), "_doc"]
    everything = await _found(things, sort=keys)
    paged: list[tuple[str, Any]] = []
    while page := await _found(things, sort=keys, size=1, **({"search_after": paged[-1][1]} if paged else {})):
        paged += page
    assert everything == paged


async def test_values_to_come_after_are_read_like_the_fields(things: Asker) -> None:
    """A number in a string, a date as text, a truth value."""
    for sort, after, found in (
        ("n", "1", "134"),
        ("day", "2019-06-01", "124"),
        ("open", False, "124"),
        ("k", "b", "23"),
    ):
        assert found == "".join(sorted(one for one, _ in await _found(things, sort=sort, search_after=[after])))


async def test_scores_are_computed_where_they_are_asked_for(things: Asker) -> None:
    """By field alone there are none; `_score` as a key or `track_scores` brings them."""
    for body, has_scores, has_best in (
        ({"sort": "n"}, False, False),
        ({"sort": ["n", "_score"]}, True, False),
        ({"sort": "n", "track_scores": True}, True, True),
        ({"sort": "_score"}, True, True),
        ({"sort": [{"_score": "asc"}]}, True, False),
    ):
        hits = (await things.json("POST", "/books/_search", body))["hits"]
        assert (has_scores, has_best) == (hits["hits"][0]["_score"] is not None, hits["max_score"] is not None), body


async def test_sorting_by_score_alone_is_no_sorting(things: Asker) -> None:
    """Such hits have no sort values, and there is nothing to come after."""
    assert {None} == {sort for _, sort in await _found(things, sort=["_score"])}
    assert 400 == (await things.error("POST", "/books/_search", {"sort": "_score", "search_after": [1]}))[0]


@pytest.mark.parametrize(
    "body",
    [
        {"sort": "text"},
        {"sort": "nope"},
        {"sort": "_id"},
        {"sort": [5]},
        {"sort": [{"n": "up"}]},
        {"sort": [{"n": {"mode": "max"}}]},
        {"sort": [{"n": {"missing": 5}}]},
        {"sort": [{"n": {"nope": 5}}]},
        {"sort": [{"_script": {}}]},
        {"sort": [{"nope": {"unmapped_type": "nope"}}]},
        {"search_after": [1]},
        {"sort": "n", "search_after": 1},
        {"sort": "n", "search_after": []},
        {"sort": "n", "search_after": [1, 2]},
        {"sort": "n", "search_after": ["x"]},
        {"sort": "n", "search_after": [None]},
        {"sort": "n", "search_after": [{}]},
        {"sort": "n", "search_after": [1], "from": 1},
    ],
)
async def test_what_is_no_order_is_refused(things: Asker, body: Any) -> None:
    """Even where nothing matches."""
    assert 400 == (await things.error("POST", "/books/_search", {**body, "query": {"match_none": {}}}))[0]


async def test_types_that_do_not_compare(things: Asker) -> None:
    """A number in one index and a string in another have no order."""
    await things.put([{"n": "not a number"}], index="more")
    body = {"sort": [{"n.keyword": {"unmapped_type": "long"}}]}
    assert 400 == (await things.error("POST", "/books,more/_search", body))[0]
