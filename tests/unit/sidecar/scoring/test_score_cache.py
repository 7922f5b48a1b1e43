"""Scores that were given before: the same as the model's, of the same model, for the same tenant, and not too many."""

from __future__ import annotations

import asyncio
import math
import os
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sidecar.errors import ModelFailed, ScorerLost
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.score_cache import ENTRY_BYTES, ScoreCache
from tests.unit.sidecar.scoring.doubles import FACTS


class Counting:
    """A scorer whose score is the sum of the characters' codes; it notes what it was asked."""

    def __init__(self) -> None:
        """With a model that changes when the test says so."""
        self.facts = FACTS
        self.asked: list[list[str]] = []
        self.gate: asyncio.Event | None = None
        self.answer: list[float] | None = None

    def describe(self) -> ModelFacts:
        """Return the facts."""
        return self.facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return a score per text, when the gate is open."""
        self.asked.append(list(texts))
        if self.gate is not None:
            await self.gate.wait()
        return [score(query, text) for text in texts] if self.answer is None else self.answer

    async def aclose(self) -> None:
        """Do nothing."""


def score(query: str, text: str) -> float:
    """Return what the scorer says of a pair."""
    return float(sum(map(ord, query)) * 1000 + sum(map(ord, text)))


async def test_what_was_scored_before_is_not_asked_again() -> None:
    """The known come from memory, the new from the model, each in its place."""
    scorer, cache = Counting(), ScoreCache(10**6)
    assert await cache.of(scorer).score("q", ["a", "b", "c"]) == [score("q", text) for text in "abc"]
    again = cache.of(scorer)
    assert await again.score("q", ["x", "b", "a", "y"]) == [score("q", text) for text in "xbay"]
    assert [["a", "b", "c"], ["x", "y"]] == scorer.asked
    assert again.hits == 2
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.entries) == (2, 5, 5)


async def test_what_is_known_needs_no_scorer() -> None:
    """Not even an empty call."""
    scorer, cache = Counting(), ScoreCache(10**6)
    await cache.of(scorer).score("q", ["a"])
    scorer.asked.clear()
    assert await cache.of(scorer).score("q", ["a", "a"]) == [score("q", "a")] * 2
    assert await cache.of(scorer).score("q", []) == []
    assert scorer.asked == []


async def test_a_text_that_comes_twice_is_scored_once() -> None:
    """And has its score in both places."""
    scorer, cache = Counting(), ScoreCache(10**6)
    assert await cache.of(scorer).score("q", ["a", "b", "a"]) == [score("q", text) for text in "aba"]
    assert scorer.asked == [["a", "b"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "2"},
        {"max_length": 256},
        {"dtype": "bf16"},
        {"device": "cuda"},
        {"kind": "cosine"},
    ],
)
async def test_another_model_has_scores_of_its_own(changes: dict[str, Any]) -> None:
    """Revision, length, precision, device and kind are in the key; the name, under which weights may change, is not."""
    scorer, cache = Counting(), ScoreCache(10**6)
    await cache.of(scorer).score("q", ["a"])
    scorer.facts = replace(FACTS, name="another name for it")
    await cache.of(scorer).score("q", ["a"])
    assert scorer.asked == [["a"]]
    scorer.facts = replace(FACTS, **changes)
    await cache.of(scorer).score("q", ["a"])
    assert scorer.asked == [["a"], ["a"]]


async def test_tenants_do_not_share_scores() -> None:
    """Whoever asks first cannot be told from the time that the second one takes."""
    scorer, cache = Counting(), ScoreCache(10**6)
    for tenant in ("", "one", "other"):
        mine = cache.of(scorer, tenant)
        await mine.score("q", ["a"])
        assert mine.hits == 0
    assert scorer.asked == [["a"]] * 3
    again = cache.of(scorer, "one")
    await again.score("q", ["a"])
    assert again.hits == 1


PAIRS = [
    ("q", "ab"),
    ("qa", "b"),
    ("q", "a"),
    ("q", ""),
    ("", "q"),
    ("", ""),
    ('q"]', "a"),
    ("\ud800", "a"),
    ("q", "\udc80"),
]


async def test_what_differs_has_a_score_of_its_own() -> None:
    """Wherever the query ends and the text begins, empty or not even Unicode."""
    scorer, cache = Counting(), ScoreCache(10**6)
    keys = [cache.keys("", FACTS, query, [text])[0] for query, text in PAIRS]
    keys += [cache.keys("tenant", FACTS, query, [text])[0] for query, text in PAIRS]
    assert len(set(keys)) == 2 * len(PAIRS)
    for query, text in PAIRS:
        await cache.of(scorer).score(query, [text])
    for query, text in PAIRS:
        assert await cache.of(scorer).score(query, [text]) == [score(query, text)]
    assert len(scorer.asked) == len(PAIRS)


async def test_two_memories_have_keys_of_their_own() -> None:
    """Nobody can choose texts whose digests collide in somebody's process."""
    assert ScoreCache(1).keys("", FACTS, "q", ["a"]) != ScoreCache(1).keys("", FACTS, "q", ["a"])


async def test_calls_at_the_same_time_get_the_same_scores() -> None:
    """Both ask, since one may be cancelled; neither disturbs the other."""
    scorer, cache = Counting(), ScoreCache(10**6)
    scorer.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(cache.of(scorer).score("q", ["a", "b"])) for _ in range(20)]
        while len(scorer.asked) < 20:  # noqa: ASYNC110  # they announce nothing
            await asyncio.sleep(0)
        calls[0].cancel()
        scorer.gate.set()
    assert calls[0].cancelled()
    assert all(call.result() == [score("q", "a"), score("q", "b")] for call in calls[1:])
    assert cache.statistics().entries == 2


async def test_a_cancelled_call_leaves_nothing() -> None:
    """There is no half of an answer."""
    scorer, cache = Counting(), ScoreCache(10**6)
    scorer.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.of(scorer).score("q", ["a"])
    assert cache.statistics().entries == 0


@pytest.mark.parametrize("answer", [[], [1.0, 2.0], [math.nan]])
async def test_a_wrong_answer_is_not_remembered(answer: list[float]) -> None:
    """It is the scorer's failure."""
    scorer, cache = Counting(), ScoreCache(10**6)
    scorer.answer = answer
    with pytest.raises(ModelFailed):
        await cache.of(scorer).score("q", ["a"])
    assert cache.statistics().entries == 0


async def test_scores_of_a_model_that_went_meanwhile_are_not_remembered() -> None:
    """They may be the new one's, or the old one's; they are given and forgotten."""
    scorer, cache = Counting(), ScoreCache(10**6)

    class Changing(Counting):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            self.facts = replace(FACTS, revision="2")
            return await super().score(query, texts, deadline=deadline)

    class Lost(Counting):
        def describe(self) -> ModelFacts:
            if self.asked:
                raise ScorerLost("gone")
            return FACTS

    for scorer in (Changing(), Lost()):
        assert await cache.of(scorer).score("q", ["a"]) == [score("q", "a")]
    assert cache.statistics().entries == 0


@pytest.mark.parametrize("revision", ["unknown", ""])
async def test_a_model_without_a_revision_is_asked_every_time(revision: str) -> None:
    """Its weights may change under its name."""
    scorer, cache = Counting(), ScoreCache(10**6)
    scorer.facts = replace(FACTS, revision=revision)
    for _ in range(2):
        await cache.of(scorer).score("q", ["a"])
    assert len(scorer.asked) == 2
    assert cache.statistics().entries == 0


async def test_a_scorer_by_position_is_asked_every_time() -> None:
    """And with the whole window."""
    scorer, cache = Counting(), ScoreCache(10**6)
    scorer.whole_window = True  # type: ignore[attr-defined]
    cached = cache.of(scorer)
    assert cached.whole_window
    for _ in range(2):
        await cached.score("q", ["a", "a"])
    assert scorer.asked == [["a", "a"]] * 2


async def test_the_least_recently_used_goes_first() -> None:
    """With room for three."""
    scorer, cache = Counting(), ScoreCache(3 * ENTRY_BYTES)
    await cache.of(scorer).score("q", ["a", "b", "c"])
    await cache.of(scorer).score("q", ["a"])
    await cache.of(scorer).score("q", ["d"])
    scorer.asked.clear()
    await cache.of(scorer).score("q", ["a", "c", "d"])
    assert scorer.asked == []
    await cache.of(scorer).score("q", ["b"])
    assert scorer.asked == [["b"]]
    statistics = cache.statistics()
    assert (statistics.entries, statistics.evictions, statistics.bytes) == (3, 2, 3 * ENTRY_BYTES)


def test_the_memory_stays_under_its_bound() -> None:
    """Measured, at every size on the way, and when twice as much has come as there is room for."""
    bound = 5_000_000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = ScoreCache(bound)
        for number in range(2 * bound // ENTRY_BYTES):
            cache.remember({os.urandom(16): number + 0.5})
        used, peak = (value - before for value in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    assert cache.statistics().bytes <= bound
    assert used <= peak <= bound
