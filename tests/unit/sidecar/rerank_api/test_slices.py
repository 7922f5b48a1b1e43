"""A large request as several calls of the scorer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from sidecar.errors import ModelFailed, SchedulerFull
from sidecar.rerank_api.slices import SLICE_CHARACTERS, SLICE_TEXTS, SLICES_AT_ONCE, parts, score_pairs
from sidecar.scoring.base import ModelFacts
from tests.unit.sidecar.scoring.doubles import FACTS


class Lengths:
    """A scorer whose score is the number of letters of query and text; notes its calls."""

    def __init__(self) -> None:
        """Nobody waits."""
        self.calls: list[tuple[str, int]] = []
        self.at_once = 0
        self.most_at_once = 0

    def describe(self) -> ModelFacts:
        """Return facts."""
        return FACTS

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Score, a moment later."""
        self.calls.append((query, len(texts)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return [float(len(query) + len(text)) for text in texts]

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_every_pair_gets_its_own_score() -> None:
    """Whatever is together in a call."""
    scorer = Lengths()
    queries = ["q", "long query", "q"] * 100
    texts = ["x" * number for number in range(300)]
    scores = await score_pairs(scorer, queries, texts)
    assert [float(len(query) + len(text)) for query, text in zip(queries, texts, strict=True)] == scores
    assert {"q": 200, "long query": 100} == {
        query: sum(count for name, count in scorer.calls if name == query) for query in ("q", "long query")
    }


async def test_a_large_request_is_several_calls_and_few_at_a_time() -> None:
    """So that others get their turn."""
    scorer = Lengths()
    await score_pairs(scorer, ["q"] * 1000, ["text"] * 1000)
    assert max(count for _, count in scorer.calls) == SLICE_TEXTS
    assert sum(count for _, count in scorer.calls) == 1000
    assert scorer.most_at_once == SLICES_AT_ONCE


def test_parts_are_bounded_by_characters() -> None:
    """A text that is longer alone goes alone."""
    half = SLICE_CHARACTERS // 2
    texts = ["a" * half, "b" * half, "c", "d" * (SLICE_CHARACTERS + 1), "e"]
    assert [[0, 1], [2], [3], [4]] == list(parts(range(5), texts))


async def test_a_scorer_that_counts_positions_gets_the_whole() -> None:
    """Test scorers do."""
    scorer = Lengths()
    scorer.whole_window = True  # type: ignore[attr-defined]
    await score_pairs(scorer, ["q"] * 200, ["text"] * 200)
    assert [("q", 200)] == scorer.calls


async def test_no_pairs_are_no_calls() -> None:
    """And no scores."""
    scorer = Lengths()
    assert [] == await score_pairs(scorer, [], [])
    assert [] == scorer.calls


async def test_the_first_failure_ends_the_others() -> None:
    """With its own error."""
    cancelled = asyncio.Event()

    class Failing(Lengths):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            if query == "bad":
                raise SchedulerFull("busy")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return []

    with pytest.raises(SchedulerFull, match="busy"):
        await score_pairs(Failing(), ["good", "bad"], ["a", "b"])
    assert cancelled.is_set()


@pytest.mark.parametrize("found", [[1.0], [1.0, math.nan], [1.0, math.inf]])
async def test_scores_that_are_none_are_the_models_failure(found: list[float]) -> None:
    """Their number and finiteness."""

    class Broken(Lengths):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            return found

    with pytest.raises(ModelFailed):
        await score_pairs(Broken(), ["q", "q"], ["a", "b"])
