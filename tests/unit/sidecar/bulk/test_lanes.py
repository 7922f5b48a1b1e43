"""Several queries at a time over the real pipeline: answers, another try, and a proxy that reranks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineStatusError, EngineUnavailable
from sidecar.bulk import lanes
from sidecar.bulk.answers import Answer
from sidecar.bulk.lanes import Query, open_lanes
from sidecar.bulk.request import BulkRequest
from sidecar.evaluation import datasets
from sidecar.evaluation.request import question
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.sources import Source
from sidecar.evaluation.stored_run import StoredRun
from sidecar.program.config import load
from sidecar.program.parts import Options

DOCUMENTS = {id: {"text": f"text {id}"} for id in "abcd"}
RUN = {f"q{number}": [ScoredId(id, 9.0 - place) for place, id in enumerate("abcd")] for number in range(6)}
QUERIES = [Query(place, id, f"words {place}") for place, id in enumerate(RUN)]
IDENTITY = {"scorer.url": "test:identity"}


class Unsteady(StoredRun):
    """A stored run as an engine that fails as often as it is told to."""

    def __init__(self, failures: int, error: Exception | None = None, marker: str | None = None) -> None:
        super().__init__("r", RUN, DOCUMENTS)
        self.failures = failures
        self.error = error or EngineUnavailable("nobody answers")
        self.marker = marker
        self.asked: list[SearchRequest] = []

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Fail, or answer."""
        self.asked.append(request)
        if self.failures:
            self.failures -= 1
            raise self.error
        answer = await super().search(request)
        return answer if self.marker is None else replace(answer, headers=(*answer.headers, ("X-Rerank", self.marker)))


async def answered(engine: StoredRun, **changed: Any) -> dict[str, Answer]:
    """Return what becomes of all queries."""
    request = BulkRequest(outputs=(Path("rows.parquet"),), **changed)
    dataset = replace(datasets.unjudged("sample"), queries={query.id: query.text for query in QUERIES})
    source = Source(engine=engine, dataset=dataset, question=question("run", ("text",), None, 10), fields=("text",))
    found: dict[str, Answer] = {}
    told: Callable[[Query, Answer], None] = lambda query, answer: found.update({query.id: answer})  # noqa: E731
    options = Options(settings=load(None, IDENTITY), allow_test_scorers=True)
    async with open_lanes(options, request, source) as opened:
        await opened.answer_all(iter(QUERIES), told)
    return found


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PAUSES", (0.0, 0.0))


@pytest.mark.parametrize("count", [1, 4])
async def test_every_query_is_answered_once(count: int) -> None:
    """With texts, scores and ranks, however many lanes there are."""
    found = await answered(StoredRun("r", RUN, DOCUMENTS), lanes=count)
    assert sorted(RUN) == sorted(found)
    rows = found["q3"].rows
    assert [("a", 1, "text a"), ("b", 2, "text b")] == [(row.document, row.rank, row.text) for row in rows[:2]]
    assert all(row.model_score is not None and row.first_stage_score is not None for row in rows)


async def test_a_query_is_asked_again() -> None:
    """As long as its engine may come back, and no longer."""
    assert sorted(RUN) == sorted(await answered(Unsteady(2), lanes=1))
    with pytest.raises(EngineUnavailable):
        await answered(Unsteady(3), lanes=1)


async def test_what_is_refused_is_not_asked_again() -> None:
    """The caller's mistake stays one."""
    engine = Unsteady(1, EngineStatusError("bad request", status=400, body=b""))
    with pytest.raises(EngineStatusError):
        await answered(engine, lanes=1)
    assert 1 == len(engine.asked)


@pytest.mark.parametrize(
    ("marker", "skipped"),
    [
        ("applied; candidates=4; window=4; model=m", ""),
        ("skipped; reason=no_text_field", "skipped: no_text_field"),
        (None, "not a reranking proxy"),
    ],
)
async def test_a_proxy_reranks(marker: str | None, skipped: str) -> None:
    """Without a deadline; nothing is scored here, and what was not reranked is said."""
    engine = Unsteady(0, marker=marker)
    found = await answered(engine, is_served=True)
    assert {skipped} == {answer.skipped for answer in found.values()}
    assert ("X-Rerank-Deadline-Ms", "0") in engine.asked[0].headers
