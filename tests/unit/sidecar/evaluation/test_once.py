"""Nothing is asked or scored twice for one query."""

import asyncio
from collections.abc import Sequence

import pytest

from connectors.base import Connector, RelayRequest
from sidecar.errors import ModelFailed
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.scoring import scripted
from sidecar.scoring.base import Scorer
from sidecar.scoring.prefix import CHUNK_PAIRS
from sidecar.scoring.splitting import Spans, Splitter, estimated
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, match, msearch, search

TEXTS = [f"text {n}" for n in range(20)]


async def test_the_engine_gets_a_search_once() -> None:
    """Until it is to be forgotten; another body is another search."""
    engine = ScriptedEngine("one", "two")
    asked = AskedOnce(engine)
    first = await asked.search(search(match("sky")))
    assert first is await asked.search(search(match("sky")))
    await asked.search(search(match("sea")))
    assert 2 == len(engine.searches)
    asked.forget()
    await asked.search(search(match("sky")))
    assert 3 == len(engine.searches)


async def test_everything_else_is_the_engines() -> None:
    """And closing it does not close the engine."""
    engine = ScriptedEngine("one")
    asked = AskedOnce(engine)
    assert isinstance(asked, Connector)
    assert "scripted engine" == asked.name
    assert 200 == (await asked.msearch(msearch({}, match()))).status
    async with asked.relay(RelayRequest(method="GET", target="/x")) as answer:
        assert 200 == answer.status
    await asked.ping()
    await asked.aclose()
    assert not engine.is_closed


async def test_no_pair_is_scored_twice() -> None:
    """Neither in the windows that contain one another nor for standing twice in one."""
    scorer = ScriptedScorer()
    once = ScoredOnce(scorer)
    assert isinstance(once, Scorer)
    small = await once.score("sky", [*TEXTS[:5], TEXTS[0]])
    large = await once.score("sky", TEXTS)
    assert small == [*large[:5], large[0]]
    assert sorted(TEXTS) == sorted(scorer.texts)
    assert 20 == once.pairs


async def test_another_query_is_scored_anew() -> None:
    """The same text is another pair with it."""
    scorer = ScriptedScorer()
    once = ScoredOnce(scorer)
    await once.score("sky", TEXTS[:2])
    await once.score("sea", TEXTS[:2])
    assert ["sky", "sea"] == scorer.queries
    assert 4 == once.pairs


async def test_a_window_goes_to_the_model_in_the_pieces_of_serve() -> None:
    """Though it comes as one."""
    scorer = ScriptedScorer()
    await ScoredOnce(scorer).score("sky", TEXTS)
    assert [CHUNK_PAIRS, CHUNK_PAIRS, 20 - 2 * CHUNK_PAIRS] == [len(call) for call in scorer.calls]


async def test_the_time_that_scores_took_is_kept() -> None:
    """What comes from memory took the time that it took before; what is new adds to it."""
    once = ScoredOnce(ScriptedScorer())
    await once.score("sky", TEXTS[:5])
    assert 0.0 == once.seconds_before
    await once.score("sky", TEXTS)
    small = once.seconds_before
    await once.score("sky", TEXTS)
    assert 0.0 < small < once.seconds_before
    await once.score("sea", TEXTS)
    assert 0.0 == once.seconds_before


async def test_a_failure_is_no_score() -> None:
    """It is raised, and the next call asks again."""
    failing = FailingScorer(ModelFailed("broken"))
    once = ScoredOnce(failing)
    with pytest.raises(ModelFailed, match="broken"):
        await once.score("sky", TEXTS[:1])
    assert 0 == once.pairs
    assert failing.facts is once.describe()
    await once.aclose()


class Halves(ScriptedScorer):
    """A scorer that splits texts in the middle."""

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return two passages of every text."""
        return [[(0, len(text) // 2), (len(text) // 2, len(text))] for text in texts]


async def test_passages_are_those_of_the_scorer() -> None:
    """As in `serve`: by its own tokens, or by the estimate that stands in for them."""
    once = ScoredOnce(Halves())
    assert isinstance(once, Splitter)
    assert [[(0, 2), (2, 4)]] == await once.split(["text"], tokens=1, overlap=0)
    assert [estimated("a b c d", tokens=2, overlap=0)] == await ScoredOnce(ScriptedScorer()).split(
        ["a b c d"], tokens=2, overlap=0
    )


class BreaksAfterOneCall(ScriptedScorer):
    """A scorer whose second call fails."""

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Score once."""
        if self.calls:
            raise ModelFailed("broken")
        return await super().score(query, texts, deadline=deadline)


async def test_half_a_window_is_a_failure() -> None:
    """Nothing is evaluated with the scores of some candidates alone."""
    with pytest.raises(ModelFailed, match="gave 8 scores for 20 texts"):
        await ScoredOnce(BreaksAfterOneCall()).score("sky", TEXTS)


async def test_calls_wait_for_one_another() -> None:
    """So that two at once do not both score the same text."""
    scorer = ScriptedScorer()
    once = ScoredOnce(scorer)
    await asyncio.gather(once.score("sky", TEXTS), once.score("sky", TEXTS))
    assert 20 == len(scorer.texts)


async def test_a_scorer_by_position_gets_every_window_anew() -> None:
    """So that it keeps the order of all of them, also of texts that stand twice."""
    once = ScoredOnce(scripted.parse("test:identity"))
    for texts in (TEXTS[:2], [*TEXTS, TEXTS[0]]):
        scores = await once.score("sky", texts)
        assert sorted(set(scores), reverse=True) == scores
        assert 0.0 == once.seconds_before
