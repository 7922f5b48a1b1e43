"""The head of a list, scored until the deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerStarting, ScoringTimeout
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.prefix import CHUNK_PAIRS, MAX_CHUNK_PAIRS, score_prefix
from tests.unit.sidecar.scoring.doubles import FACTS


class PlayedScorer:
    """A scorer whose n-th call takes the n-th number of seconds, or fails with the n-th error."""

    def __init__(self, *script: float | Exception) -> None:
        """After the script, calls are answered at once."""
        self.script = list(script)
        self.facts: ModelFacts | None = FACTS
        self.calls: list[list[str]] = []
        self.cancelled = 0

    def describe(self) -> ModelFacts:
        """Return the facts."""
        if self.facts is None:
            raise ScorerStarting("not yet")
        return self.facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Do what the script says and return the texts as numbers."""
        self.calls.append(list(texts))
        turn = self.script.pop(0) if self.script else 0.0
        if isinstance(turn, Exception):
            raise turn
        try:
            await (asyncio.sleep(turn) if math.isfinite(turn) else asyncio.Event().wait())
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [float(text) for text in texts]

    async def aclose(self) -> None:
        """Nothing to close."""


TEXTS = [str(number) for number in range(10)]


async def in_a_moment() -> float:
    """Return a deadline in 20 ms."""
    return asyncio.get_running_loop().time() + 0.02


async def test_all_chunks_are_scored_in_order() -> None:
    """Ten texts in calls of four come back as ten scores."""
    scorer = PlayedScorer(0.005, 0.002)
    assert await score_prefix(scorer, "q", TEXTS, deadline=None, chunk=4) == list(range(10))
    assert scorer.calls == [TEXTS[:4], TEXTS[4:8], TEXTS[8:]]


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        (None, CHUNK_PAIRS),
        (FACTS, CHUNK_PAIRS),
        (replace(FACTS, tokens_per_second=15_000.0), CHUNK_PAIRS),
        (replace(FACTS, tokens_per_second=100_000.0), 20),
        (replace(FACTS, tokens_per_second=10_000_000.0), MAX_CHUNK_PAIRS),
    ],
)
async def test_a_fast_device_gets_larger_calls(facts: ModelFacts | None, size: int) -> None:
    """As many texts as it scores in 20 ms, so that a call is not all overhead; few where nobody knows its speed."""
    scorer = PlayedScorer()
    scorer.facts = facts
    await score_prefix(scorer, "q", ["1"] * 200, deadline=None)
    assert size == len(scorer.calls[0])
    assert 200 == sum(map(len, scorer.calls))


async def test_no_texts_have_no_scores() -> None:
    """The scorer is not asked."""
    scorer = PlayedScorer()
    assert await score_prefix(scorer, "q", [], deadline=None) == []
    assert scorer.calls == []


async def test_the_deadline_keeps_the_finished_prefix() -> None:
    """What is finished after a gap is dropped; what is unfinished is cancelled."""
    scorer = PlayedScorer(0.0, math.inf, 0.0)
    assert await score_prefix(scorer, "q", TEXTS, deadline=await in_a_moment(), chunk=4) == [0, 1, 2, 3]
    assert scorer.cancelled == 1


async def test_nothing_finished_is_a_timeout() -> None:
    """A stalled scorer costs the deadline and no more."""
    scorer = PlayedScorer(math.inf, math.inf, math.inf)
    with pytest.raises(ScoringTimeout):
        await score_prefix(scorer, "q", TEXTS, deadline=await in_a_moment(), chunk=4)
    assert scorer.cancelled == 3


@pytest.mark.parametrize("error", [ModelFailed("broken"), SchedulerFull("full")])
async def test_a_first_chunk_that_fails_raises_its_reason(error: RerankUnavailable) -> None:
    """At once: the others are cancelled."""
    scorer = PlayedScorer(error, math.inf, math.inf)
    with pytest.raises(type(error), match=str(error)):
        await score_prefix(scorer, "q", TEXTS, deadline=None, chunk=4)
    assert scorer.cancelled == 2


async def test_a_later_chunk_that_is_refused_ends_the_prefix() -> None:
    """A scheduler that cannot make the tail in time refuses it; the head counts."""
    scorer = PlayedScorer(0.0, SchedulerFull("full"), math.inf)
    assert await score_prefix(scorer, "q", TEXTS, deadline=None, chunk=4) == [0, 1, 2, 3]
    assert scorer.cancelled == 1


async def test_whatever_a_scorer_raises_is_a_failed_model(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's own scorer may have bugs; the log has them, and the chunks before count."""
    scores = await score_prefix(PlayedScorer(0.0, ZeroDivisionError("bug")), "q", TEXTS, deadline=None, chunk=4)
    assert 4 == len(scores)
    assert "ZeroDivisionError: bug" in caplog.text
    with pytest.raises(ModelFailed, match="ZeroDivisionError: bug"):
        await score_prefix(PlayedScorer(ZeroDivisionError("bug")), "q", TEXTS, deadline=None, chunk=4)


@pytest.mark.parametrize("broken", [[0.5] * 3, [0.5] * 5, [math.nan] * 4, [math.inf] * 4])
async def test_a_wrong_answer_is_a_failed_model(broken: list[float]) -> None:
    """A score too few would put every later score on the wrong text."""

    class Broken(PlayedScorer):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            return broken

    with pytest.raises(ModelFailed):
        await score_prefix(Broken(), "q", TEXTS, deadline=None, chunk=4)


async def test_cancelling_cancels_every_chunk() -> None:
    """A client that goes away leaves no work behind."""
    scorer = PlayedScorer(math.inf, math.inf, math.inf)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await score_prefix(scorer, "q", TEXTS, deadline=None, chunk=4)
    assert scorer.cancelled == 3


async def test_a_scorer_of_whole_windows_gets_one_call() -> None:
    """Scripted scorers count positions over the window."""
    scorer = PlayedScorer()
    scorer.whole_window = True  # type: ignore[attr-defined]
    await score_prefix(scorer, "q", TEXTS, deadline=None, chunk=4)
    assert scorer.calls == [TEXTS]
