"""What an explanation adds: how the model read the hits of the page, and what it costs."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.base import SearchResponse, header
from sidecar import explaining
from sidecar.errors import ScorerLost
from sidecar.pipeline import RerankingConnector
from sidecar.scoring.alignments import Alignment, Match
from tests.unit.doubles import ScriptedEngine, ScriptedScorer, match, search

EXPLAIN = (("X-Rerank-Explain", "true"), ("Authorization", "Basic anybody"))


class ReadingScorer(ScriptedScorer):
    """A scorer that says of every text that it read one character of it, which answered everything."""

    def __init__(self) -> None:
        """Have been asked nothing."""
        super().__init__()
        self.read: list[list[str]] = []
        self.failure: Exception | None = None
        self.is_stalled = False

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return an alignment per text."""
        self.read.append(list(texts))
        if self.failure is not None:
            raise self.failure
        if self.is_stalled:
            await asyncio.Event().wait()
        return [Alignment(tokens=1, end=1, matches=(Match(query, text[:1], 0, 1, 0.5),)) for text in texts]


def engine(count: int = 4) -> ScriptedEngine:
    """Return an engine whose later documents are shorter, and so better."""
    return ScriptedEngine(*("x" * (count - number) for number in range(count)))


async def explain(scorer: ReadingScorer, found: ScriptedEngine, **settings: Any) -> SearchResponse:
    """Return an explained search."""
    return await RerankingConnector(found, scorer).search(search(match(**settings), headers=EXPLAIN))


async def test_hits_say_how_they_were_read() -> None:
    """Positions, what answered what, and a highlight of it."""
    answer = await explain(ReadingScorer(), engine(), size=1)
    assert {
        "text": "x",
        "read_tokens": 1,
        "read_characters": 1,
        "matches": [{"query_word": "blue sky", "word": "x", "start": 0, "end": 1, "similarity": 0.5}],
        "highlight": {"text": ["<em>x</em>"]},
    }.items() <= answer.hits[0].value["_rerank"].items()


async def test_only_what_the_caller_sees_is_read() -> None:
    """The page, in the caller's name: no text but those of the answer, and no search but the caller's own."""
    scorer, found = ReadingScorer(), engine()
    answer = await explain(scorer, found, size=2, **{"from": 1})
    assert [[hit.value["_rerank"]["text"] for hit in answer.hits]] == scorer.read
    assert [["xx", "xxx"]] == scorer.read
    assert {"Basic anybody"} == {header(asked.headers, "Authorization") for asked in found.searches}


async def test_a_page_is_read_in_portions_and_not_for_ever() -> None:
    """Between two of them other searches are scored; after the first hits there is no more."""
    scorer = ReadingScorer()
    answer = await explain(scorer, engine(60), size=60)
    assert explaining.HITS == sum(map(len, scorer.read)) < 60
    assert max(map(len, scorer.read)) <= explaining.HITS_AT_ONCE
    assert explaining.HITS == sum("matches" in hit.value["_rerank"] for hit in answer.hits)
    assert all("matches" in hit.value["_rerank"] for hit in answer.hits[: explaining.HITS])


@pytest.mark.parametrize("how", ["fails", "stalls"])
async def test_an_explanation_costs_no_ranking(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that does not say in time, or fails, has still scored."""
    monkeypatch.setattr(explaining, "SECONDS", 0.01)
    scorer = ReadingScorer()
    scorer.failure = ScorerLost("gone") if how == "fails" else None
    scorer.is_stalled = how == "stalls"
    answer = await explain(scorer, engine())
    assert ["x", "xx", "xxx", "xxxx"] == [hit.value["_rerank"]["text"] for hit in answer.hits]
    assert all("matches" not in hit.value["_rerank"] for hit in answer.hits)


async def test_its_time_is_not_the_rankings() -> None:
    """`Server-Timing` names it by itself, and only where there was one."""
    explained = await explain(ReadingScorer(), engine())
    plain = await RerankingConnector(engine(), ReadingScorer()).search(search(match()))
    names = [
        [entry.split(";")[0] for entry in (header(answer.headers, "Server-Timing") or "").split(", ")]
        for answer in (explained, plain)
    ]
    assert [["first_stage", "rerank", "explain", "total"], ["first_stage", "rerank", "total"]] == names
    assert "explain" not in (header(explained.headers, "X-Rerank") or "")


async def test_nobody_is_asked_without_need() -> None:
    """An explanation is the caller's wish, and a search that is left alone has none."""
    scorer = ReadingScorer()
    await RerankingConnector(engine(), scorer).search(search(match()))
    await RerankingConnector(engine(), scorer).search(search({"query": {"match_all": {}}}, headers=EXPLAIN))
    assert [] == scorer.read
