"""What is asked under load, and what a right answer is."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from benchmarks import sink
from benchmarks.calls import Answer, Call, Client, expects, ranking
from benchmarks.overhead import get
from benchmarks.overload import SearchJudge, search
from benchmarks.targets import INDEX, NoRightAnswer, rerank_calls, search_calls, with_right_answers
from benchmarks.workload import Search

EXPECTED = {"a": 3.0, "b": 2.0, "c": 1.0}


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer with this JSON."""
    return Answer(status, headers or {}, json.dumps(document).encode())


def results(*pairs: tuple[int, float]) -> Answer:
    """Return an answer of the rerank API."""
    return answer({"results": [{"index": index, "relevance_score": score} for index, score in pairs]})


def hits(*pairs: tuple[str, float], marker: str = "applied; candidates=2") -> Answer:
    """Return an answer to a search."""
    found = [{"_id": id, "_score": score} for id, score in pairs]
    return answer({"hits": {"hits": found}}, headers={"X-Rerank": marker} if marker else {})


class Always:
    """Gives the same answer to everybody."""

    def __init__(self, given: Answer | str) -> None:
        """Give this."""
        self._given = given

    async def send(self, call: Call) -> Answer | str:
        """Give it."""
        del call
        return self._given


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ([("a", 3.0), ("b", 2.0), ("c", 1.0)], ""),
        ([("a", 2.95), ("b", 2.05), ("c", 1.0)], ""),
        ([("a", 3.0), ("b", 2.0)], "other documents"),
        ([("a", 3.0), ("b", 2.0), ("b", 2.0)], "other documents"),
        ([("a", 3.0), ("b", 2.0), ("d", 1.0)], "other documents"),
        ([("b", 2.0), ("a", 3.0), ("c", 1.0)], "not sorted"),
        ([("a", 3.0), ("c", 2.0), ("b", 1.0)], "other scores"),
    ],
)
def test_a_ranking_has_each_document_once_in_the_order_of_right_scores(
    found: list[tuple[str, float]], fault: str
) -> None:
    """Scores may differ by the tolerance; documents and their order may not."""
    assert fault == ranking(found, EXPECTED, 0.1)


async def test_under_load_the_answer_must_be_that_of_a_call_alone() -> None:
    """Judges are made of what the server said alone: the same passes, everything else is a fault."""
    calls = rerank_calls([Search("query", ("one", "two"))])
    assert {"model": "benchmark", "query": "query", "documents": ["one", "two"]} == json.loads(calls[0].body or b"")
    (judged,) = await with_right_answers(Always(results((1, 0.9), (0, 0.2))), calls, 1e-3)
    assert "" == judged.check(results((1, 0.9), (0, 0.2)))
    assert "other documents" == judged.check(results((1, 0.9)))
    assert "other scores" == judged.check(results((0, 0.9), (1, 0.2)))
    assert "status 429" == judged.check(answer({}, status=429))


async def test_a_search_must_also_have_the_marker() -> None:
    """A search that was not reranked is a fault, however right its hits are."""
    calls = search_calls([Search("query", ("one", "two"))], size=2)
    assert f"/{INDEX}/_search" == calls[0].path
    (judged,) = await with_right_answers(Always(hits(("7", 1.5), ("3", 1.2))), calls, 1e-3)
    assert "" == judged.check(hits(("7", 1.5), ("3", 1.2)))
    assert "the marker is degraded; reason=deadline" == judged.check(
        hits(("7", 1.5), ("3", 1.2), marker="degraded; reason=deadline")
    )
    assert "the marker is none" == judged.check(hits(("7", 1.5), ("3", 1.2), marker=""))


@pytest.mark.parametrize(
    "given", ["no answer in time", answer({"message": "busy"}, status=503), hits(("1", 1.0), marker="")]
)
async def test_a_server_that_is_wrong_alone_is_not_measured(given: Answer | str) -> None:
    """There is nothing to compare with then."""
    with pytest.raises(NoRightAnswer):
        await with_right_answers(Always(given), search_calls([Search("query", ("one",))], size=1), 1e-3)


async def test_the_sink_gives_as_many_bytes_as_it_is_asked_for() -> None:
    """And what it says is what the judge wants; another size is a fault."""
    async with TestServer(sink.application()) as server, Client(str(server.make_url(""))) as client:
        given = await client.send(get(1024))
        assert isinstance(given, Answer)
        assert 1024 == len(given.body)
        assert "" == get(1024).check(given)
        assert "other bytes" == get(1025).check(given)


async def test_the_sink_counts_a_bulk_and_answers_a_search() -> None:
    """All bytes of a body arrive; a search has its size of hits, always the same."""
    async with TestServer(sink.application()) as server, Client(str(server.make_url(""))) as client:
        bulk = Call(method="POST", path="/_bulk", body=b"x" * 300_000, check=expects(b""))
        told = await client.send(bulk)
        assert isinstance(told, Answer)
        assert 300_000 == told.json["bytes"]
        found = await client.send(search(SearchJudge(25, keeps_order=True), 25))
        assert isinstance(found, Answer)
        assert [str(number) for number in range(25)] == [hit["_id"] for hit in found.json["hits"]["hits"]]


async def test_a_server_that_is_not_there_is_told_in_words() -> None:
    """A refused connection is a fault, not an exception."""
    async with Client("http://127.0.0.1:9") as client:
        assert "no answer: ClientConnectorError" == await client.send(get(10))


@pytest.mark.parametrize(
    ("ids", "marker", "fault"),
    [
        (["0", "1", "2"], "applied", ""),
        (["2", "0", "1"], "partial", ""),
        (["0", "1", "2"], "degraded", ""),
        (["2", "0", "1"], "degraded", "not in the first stage's order"),
        (["0", "1"], "applied", "other hits"),
        (["0", "1", "2"], "", "marker none"),
    ],
)
def test_an_overloaded_search_is_complete_and_says_what_became_of_it(ids: list[str], marker: str, fault: str) -> None:
    """Scored in any order, unscored in that of the first stage, always with a marker and all hits."""
    judge = SearchJudge(3, keeps_order=False)
    assert fault == judge.check(hits(*((id, 1.0) for id in ids), marker=marker))
    assert {marker or "none": 1} == dict(judge.markers)


def test_a_scripted_scorer_keeps_the_order() -> None:
    """Then every other order is a fault, scored or not."""
    judge = SearchJudge(2, keeps_order=True)
    assert "not in the first stage's order" == judge.check(hits(("1", 2.0), ("0", 1.0)))
    assert "status 503" == judge.check(answer({}, status=503))
