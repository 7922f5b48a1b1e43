"""A thousand searches of all kinds at once, on a real model: each gets the scores that it would get alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar import tasks
from sidecar.errors import RerankUnavailable
from sidecar.scoring import models
from sidecar.scoring.base import PairModel, PreparesBatches, TokenPair
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.scheduler import LocalScorer, SchedulerOptions, SchedulerStatistics
from tests import tiny_models

REQUESTS = 1000
TOLERANCE = 1e-4
BATCH_TOKENS = 700


class Preparing:
    """A model that says that it prepares its batches, so that two of them are on their way at a time."""

    def __init__(self, model: PairModel) -> None:
        """Do as `model` does."""
        self._model = model
        self.facts = model.facts
        self.tokenize = model.tokenize
        self.forward = model.forward
        self._slots: list[Sequence[TokenPair]] = [(), ()]

    def prepare(self, pairs: Sequence[TokenPair], *, slot: int) -> int:
        """Stage the pairs in memory that is used again, as pinned memory is."""
        self._slots[slot] = tuple(pairs)
        return slot

    def run(self, batch: int) -> list[float]:
        """Score what is in the slot."""
        return self._model.forward(self._slots[batch])


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[PairModel], PairModel]]] = {
    "cross-encoder": (tiny_models.bert, lambda model: model),
    "cross-encoder, prepared": (tiny_models.bert, Preparing),
    "late interaction": (tiny_models.bi_encoder, lambda model: model),
}


@dataclass(frozen=True, slots=True)
class World:
    """A model, queries and texts, and the score of every pair alone."""

    model: PairModel
    queries: list[str]
    texts: list[str]
    alone: dict[tuple[str, str], float]


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Give each tiny model, with texts of all lengths, empty and odd ones among them."""
    make, wrap = KINDS[request.param]
    model = models.load(str(make(tmp_path_factory.mktemp("model"))), device="cpu", dtype="fp32")
    rng = random.Random(tiny_models.SEED)
    queries = [tiny_models.random_text(rng, rng.randrange(1, 12)) for _ in range(4)]
    texts = ["", "\ud800", *(tiny_models.random_text(rng, rng.randrange(1, 60)) for _ in range(48))]
    alone = {
        (query, text): model.forward([pair])[0]
        for query in queries
        for text, pair in zip(texts, model.tokenize(query, texts), strict=True)
    }
    return World(wrap(model), queries, texts, alone)


@pytest.fixture
async def scorer(world: World) -> AsyncIterator[LocalScorer]:
    """Give a scorer over the model, with batches of a few pairs."""
    scorer = LocalScorer.loading(lambda: world.model, SchedulerOptions(batch_tokens=BATCH_TOKENS))
    await scorer.loaded()
    yield scorer
    await scorer.aclose()


@dataclass(slots=True)
class Request:
    """One search: its texts, how it is sent, and what came of it."""

    query: str
    texts: list[str]
    outcome: asyncio.Task[list[float] | RerankUnavailable]
    is_given_up: bool


def begin(scorer: LocalScorer, world: World, rng: random.Random) -> Request:
    """Send a search of some kind: large or small, with a deadline or without, whole or in chunks."""
    query = rng.choice(world.queries)
    texts = rng.choices(world.texts, k=rng.choice((1, 2, 3, 5, 10, 40)))
    seconds = rng.choice((None, None, 60.0, 90.0))
    in_chunks = rng.random() < 0.5

    async def run() -> list[float] | RerankUnavailable:
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        try:
            if in_chunks:
                return await score_prefix(scorer, query, texts, deadline=deadline)
            return await scorer.score(query, texts, deadline=deadline)
        except RerankUnavailable as error:
            return error

    return Request(query, texts, tasks.start(run(), name="request"), rng.random() < 0.2)


async def test_everybody_gets_the_scores_of_their_own_texts(scorer: LocalScorer, world: World) -> None:
    """Within 1e-4 and in order, whoever shares the batches; those who give up leave nothing behind."""
    rng = random.Random(7)
    requests: list[Request] = []
    for _ in range(REQUESTS):
        requests.append(begin(scorer, world, rng))
        if rng.random() < 0.1:  # let some work be done, and some be given up, before more comes
            await asyncio.sleep(0.001)
        for request in requests[-20:]:
            if request.is_given_up and rng.random() < 0.1:
                request.outcome.cancel()
    for request in requests:
        if request.is_given_up:
            request.outcome.cancel()
    await asyncio.wait([request.outcome for request in requests])
    finished = [request for request in requests if not request.outcome.cancelled()]
    assert len(finished) >= REQUESTS // 2
    for request in finished:
        scores = request.outcome.result()
        assert not isinstance(scores, RerankUnavailable), scores
        expected = [world.alone[request.query, text] for text in request.texts]
        assert scores == pytest.approx(expected, abs=TOLERANCE)
    assert any(request.outcome.cancelled() for request in requests)
    await _nothing_is_left(scorer)


async def _nothing_is_left(scorer: LocalScorer) -> None:
    """Wait for the last batch, of which nobody may be there any more, and look."""
    statistics = scorer.statistics()
    assert (statistics.waiting_calls, statistics.waiting_tokens) == (0, 0)
    while scorer.statistics().running_pairs:  # noqa: ASYNC110  # the scorer announces nothing
        await asyncio.sleep(0.001)
    _check(scorer.statistics(), is_prepared=isinstance(scorer._model, PreparesBatches))


def _check(statistics: SchedulerStatistics, *, is_prepared: bool) -> None:
    assert (statistics.failed_batches, statistics.refused_calls, statistics.late_calls) == (0, 0, 0)
    assert statistics.scored_tokens <= statistics.batches * BATCH_TOKENS
    assert statistics.cancelled_calls > 0
    assert (statistics.batches_ahead > statistics.batches // 2) == is_prepared
