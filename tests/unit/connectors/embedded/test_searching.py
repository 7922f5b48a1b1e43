"""`_search`, `_msearch` and `_count` over one index or several."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker


@pytest.fixture
async def shelves(engine: Asker) -> Asker:
    """Two indices that share a field, and one that has another."""
    await engine.put([{"title": "tea", "n": 1}, {"title": "water", "n": 2}], index="a")
    await engine.put([{"title": "tea tea", "n": 3}], index="b")
    await engine.put([{"title": "tea"}], index="c")
    return engine


async def test_indices_are_searched_together(shelves: Asker) -> None:
    """Hits of all, best first, equal ones in the order of index names; one shard each."""
    found = await shelves.json("POST", "/a,b,c/_search", {"query": {"match_all": {}}})
    assert [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")] == [
        (hit["_index"], hit["_id"]) for hit in found["hits"]["hits"]
    ]
    assert {"total": 3, "successful": 3, "skipped": 0, "failed": 0} == found["_shards"]
    assert 3 == (await shelves.json("GET", "/_count?q=tea"))["count"]


async def test_an_index_that_cannot_answer_is_left_out(shelves: Asker) -> None:
    """The others answer, and the failure is told; where none can answer it is the answer."""
    found = await shelves.json("POST", "/a,c/_search", {"sort": "n"})
    assert ["1", "2"] == [hit["_id"] for hit in found["hits"]["hits"]]
    assert (1, 1) == (found["_shards"]["successful"], found["_shards"]["failed"])
    assert "c" == found["_shards"]["failures"][0]["index"]
    answer = await shelves.answer("POST", "/b,c/_search", {"sort": "nope"})
    assert (400, "search_phase_execution_exception") == (answer.status, answer.json["error"]["type"])
    assert ["b", "c"] == [shard["index"] for shard in answer.json["error"]["failed_shards"]]


async def test_the_other_indices_statistics_are_not_mixed_in(shelves: Asker) -> None:
    """A search over several indices scores each by itself, and says so where the caller asks for the contrary."""
    query = {"match": {"title": "tea"}}
    alone = await shelves.scores(query, index="b")
    together = await shelves.json("POST", "/a,b/_search", {"query": query})
    assert alone["1"] == next(hit["_score"] for hit in together["hits"]["hits"] if hit["_index"] == "b")
    assert 400 == (await shelves.error("POST", "/a,b/_search?search_type=dfs_query_then_fetch", {}))[0]
    await shelves.json("POST", "/a/_search?search_type=dfs_query_then_fetch", {})


async def test_no_index_is_no_error(engine: Asker) -> None:
    """An engine without indices finds nothing."""
    found = await engine.json("POST", "/_search", {})
    assert (0, 0, 0.0) == (found["_shards"]["total"], found["hits"]["total"]["value"], found["hits"]["max_score"])


async def test_many_searches_in_one_request(shelves: Asker) -> None:
    """Each has its answer and its status, in order; a missing index fails its own."""
    lines: list[Any] = [
        *({"index": "a"}, {"query": {"match": {"title": "tea"}}}),
        *({}, {"size": 0}),
        *({"index": ["b", "c"]}, {"size": 0}),
        *({"index": "nope"}, {}),
        *({"index": "nope", "ignore_unavailable": True}, {}),
        *({"index": "c"}, {"sort": "nope"}),
        *(b"", {"size": 0}),
    ]
    answer = await shelves.json("POST", "/a/_msearch", lines)
    assert [200, 200, 200, 404, 200, 400, 200] == [one["status"] for one in answer["responses"]]
    totals = [one["hits"]["total"]["value"] for one in answer["responses"] if one["status"] == 200]
    assert [1, 2, 2, 0, 2] == totals


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\n",
        b'{}\n{"size":0}',
        [{"index": "a"}],
        [{}, {"nope": 1}],
        [{}, {"query": {"nope": {}}}],
        [{"nope": 1}, {}],
        [[], {}],
        [b"{", {}],
        [{}, b"{"],
        [{}, {}, {}],
    ],
)
async def test_an_ill_formed_msearch_is_refused_as_a_whole(shelves: Asker, lines: Any) -> None:
    """What cannot be read answers for all."""
    assert 400 == (await shelves.error("POST", "/_msearch", lines))[0]


async def test_count_takes_a_query_alone(shelves: Asker) -> None:
    """Everything else of a search is refused."""
    assert 1 == (await shelves.json("POST", "/a/_count", {"query": {"match": {"title": "tea"}}}))["count"]
    assert 2 == (await shelves.json("GET", "/a/_count"))["count"]
    for body in ({"size": 1}, {"query": {"nope": {}}}, {"query": 5}):
        assert 400 == (await shelves.error("POST", "/a/_count", body))[0]
