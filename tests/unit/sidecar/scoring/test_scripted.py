"""Test scorers: each does what its name says."""

from __future__ import annotations

import asyncio

import pytest

from sidecar import tasks
from sidecar.errors import ConfigError, ModelFailed, ScorerLost, ScoringTimeout
from sidecar.scoring.base import Scorer, sigmoid
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.scripted import parse

TEXTS = [f"text {number}" for number in range(1000)]


def in_a_moment() -> float:
    """Return a deadline in 10 ms."""
    return asyncio.get_running_loop().time() + 0.01


async def test_identity_keeps_the_first_stages_order() -> None:
    """Scores fall strictly with the position over the whole window, also as probabilities."""
    scores = await score_prefix(parse("test:identity"), "q", TEXTS, deadline=None)
    as_probabilities = [sigmoid(score) for score in scores]
    assert len(scores) == len(TEXTS)
    assert as_probabilities == sorted(set(as_probabilities), reverse=True)


async def test_slow_is_identity_after_a_while() -> None:
    """Scores come after the given milliseconds, or not before the deadline."""
    scorer = parse("test:slow=30")
    began = asyncio.get_running_loop().time()
    assert await scorer.score("q", ["a", "b"]) == [0.0, -0.01]
    assert asyncio.get_running_loop().time() - began >= 0.029
    with pytest.raises(ScoringTimeout):
        await scorer.score("q", ["a"], deadline=in_a_moment())


async def test_slow_may_take_so_many_calls_at_a_time() -> None:
    """The next one waits, as before a device."""
    scorer = parse("test:slow=20x2")
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(scorer.score("q", ["a"]) for _ in range(4)))
    assert asyncio.get_running_loop().time() - began >= 0.039
    waiting = [tasks.start(scorer.score("q", ["a"]), name="first") for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ScoringTimeout):
        await scorer.score("q", ["a"], deadline=in_a_moment())
    await asyncio.gather(*waiting)


async def test_it_can_be_served_as_a_model_can() -> None:
    """There is nothing to load, and it has ended when it is closed."""
    scorer = parse("test:identity")
    assert (await scorer.loaded()).whole_window
    await scorer.aclose()
    assert isinstance(await scorer.ended(), ScorerLost)


async def test_failing_fails_as_a_model_does() -> None:
    """Every call raises ModelFailed, but the scorer says what it is."""
    scorer = parse("test:failing")
    assert scorer.describe().name == "test:failing"
    with pytest.raises(ModelFailed):
        await scorer.score("q", ["a"])


async def test_stalled_answers_at_the_deadline_at_the_latest() -> None:
    """A call with a deadline is late; one without waits until the scorer is closed."""
    scorer = parse("test:stalled")
    with pytest.raises(ScoringTimeout):
        await scorer.score("q", ["a"], deadline=in_a_moment())
    waiting = tasks.start(_lost(scorer), name="waiting")
    await asyncio.sleep(0.001)
    assert not waiting.done()
    await scorer.aclose()
    assert await waiting


@pytest.mark.parametrize(
    "name",
    [
        "test:",
        "test:unknown",
        "test:slow",
        "test:slow=",
        "test:slow=-1",
        "test:slow=x",
        "test:slow=1x",
        "test:slow=1x0",
    ],
)
def test_unknown_names_are_refused(name: str) -> None:
    """The message lists the known ones."""
    with pytest.raises(ConfigError, match=r"test:identity.*test:slow=MILLISECONDS"):
        parse(name)


async def _lost(scorer: Scorer) -> bool:
    try:
        await scorer.score("q", ["a"])
    except ScorerLost:
        return True
    return False
