"""Many searches on one device: transcripts with a model whose forwards the test releases."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from sidecar import tasks
from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring import scheduler
from sidecar.scoring.base import ModelFacts, PairModel, TokenPair
from sidecar.scoring.scheduler import LocalScorer, SchedulerOptions
from tests.unit.sidecar.scoring.doubles import FakeModel

PAIR_TOKENS = 5
"""Of the query "q" and a text of one letter, with three special tokens."""


@asynccontextmanager
async def scheduled(
    model: FakeModel, *, pairs_per_batch: int = 2, max_waiting_tokens: int = 10_000
) -> AsyncIterator[LocalScorer]:
    """Give a loaded scorer over `model`, with batches of so many pairs of one letter."""
    options = SchedulerOptions(max_waiting_tokens=max_waiting_tokens, batch_tokens=pairs_per_batch * PAIR_TOKENS)
    scorer = LocalScorer.loading(lambda: model, options)
    try:
        await scorer.loaded()
        yield scorer
    finally:
        model.let_go(1000)
        await scorer.aclose()


async def launched(model: FakeModel) -> None:
    """Wait until the model has begun another forward."""
    assert await asyncio.to_thread(model.launched.acquire, timeout=10)


async def tokenised(scorer: LocalScorer, tokens: int) -> None:
    """Wait until so many tokens wait for the device."""
    async with asyncio.timeout(10):
        while scorer.statistics().waiting_tokens != tokens:  # noqa: ASYNC110  # the scorer announces nothing
            await asyncio.sleep(0.001)


def scoring(
    scorer: LocalScorer, texts: Sequence[str], seconds: float | None = None
) -> asyncio.Task[list[float] | RerankUnavailable]:
    """Call the scorer in a task; a failure is its result."""
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def call() -> list[float] | RerankUnavailable:
        try:
            return await scorer.score("q", texts, deadline=deadline)
        except RerankUnavailable as error:
            return error

    return tasks.start(call(), name="scoring")


async def test_scores_are_aligned_with_the_texts_over_several_batches() -> None:
    """Five texts in batches of two come back as five scores in order."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        assert await scorer.score("q", ["a", "b", "c", "d", "e"]) == [97, 98, 99, 100, 101]
    assert model.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_no_texts_need_no_model() -> None:
    """An empty list is answered at once."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        assert await scorer.score("q", []) == []
    assert model.batches == []


async def test_searches_share_a_batch() -> None:
    """What came while the device was busy is put together."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        second, third = scoring(scorer, ["b"]), scoring(scorer, ["c"])
        await tokenised(scorer, 2 * PAIR_TOKENS)
        model.let_go(2)
        assert [await first, await second, await third] == [[97], [98], [99]]
    assert model.batches == [["a"], ["b", "c"]]


async def test_the_earliest_deadline_is_served_first() -> None:
    """A search that came later but is more urgent goes before one without a deadline."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        patient = scoring(scorer, ["b", "c"])
        await tokenised(scorer, 2 * PAIR_TOKENS)
        urgent = scoring(scorer, ["d", "e"], seconds=60)
        await tokenised(scorer, 4 * PAIR_TOKENS)
        model.let_go(3)
        await asyncio.wait({first, patient, urgent})
    assert model.batches == [["a"], ["d", "e"], ["b", "c"]]


async def test_a_large_request_does_not_stall_a_small_one() -> None:
    """Without deadlines requests take turns of 32 pairs."""
    model = FakeModel(is_gated=True)
    async with scheduled(model, pairs_per_batch=32) as scorer:
        large = scoring(scorer, ["a"] * 200)
        await launched(model)
        small = scoring(scorer, ["b"])
        await tokenised(scorer, (200 - 32 + 1) * PAIR_TOKENS)
        model.let_go(3)
        assert await small == [98]
        assert not large.done()
        large.cancel()


async def test_a_deadline_is_kept_while_the_device_is_busy() -> None:
    """The call ends in time although its batch is still running."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        outcome = await scoring(scorer, ["a"], seconds=0.02)
        assert isinstance(outcome, ScoringTimeout)
        assert scorer.statistics().late_calls == 1


async def test_a_deadline_that_has_passed_is_refused_as_late() -> None:
    """Nothing is tokenised for it."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        assert isinstance(await scoring(scorer, ["a"], seconds=-1), ScoringTimeout)
        assert scorer.statistics().late_calls == 1


async def test_late_work_is_dropped_before_it_is_launched() -> None:
    """What missed its deadline while it waited never reaches the model."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        late = scoring(scorer, ["b"], seconds=0.02)
        assert isinstance(await late, (ScoringTimeout, SchedulerFull))
        model.let_go(2)
        await first
        assert await scorer.score("q", ["c"]) == [99]
    assert model.batches == [["a"], ["c"]]


async def test_cancelled_work_is_dropped_before_it_is_launched() -> None:
    """A search whose client went away costs no forward."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        abandoned = scoring(scorer, ["b"])
        await tokenised(scorer, PAIR_TOKENS)
        abandoned.cancel()
        await asyncio.wait({abandoned})
        assert scorer.statistics().waiting_tokens == 0
        model.let_go(2)
        await first
        assert await scorer.score("q", ["c"]) == [99]
        assert scorer.statistics().cancelled_calls == 1
    assert model.batches == [["a"], ["c"]]


async def test_a_call_cancelled_in_its_running_batch_harms_nobody() -> None:
    """The others in the batch get their scores."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        blocker = scoring(scorer, ["z"])
        await launched(model)
        abandoned, other = scoring(scorer, ["a"]), scoring(scorer, ["b"])
        await tokenised(scorer, 2 * PAIR_TOKENS)
        model.let_go()
        await launched(model)
        abandoned.cancel()
        model.let_go()
        assert await other == [98]
        await blocker


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda pairs: 1 / 0, "ZeroDivisionError"),
        (lambda pairs: [1.0], "1 scores for 2 pairs"),
        (lambda pairs: [1.0, math.nan], "not a finite number"),
        (lambda pairs: [-math.inf, 1.0], "not a finite number"),
    ],
)
async def test_a_failed_batch_fails_its_own_calls_only(
    result: Callable[[Sequence[TokenPair]], list[float]], words: str
) -> None:
    """An exception, a wrong number of scores or NaN is ModelFailed; the worker lives on."""
    model = FakeModel(is_gated=True)
    model.result = result
    async with scheduled(model) as scorer:
        failing = scoring(scorer, ["a", "b"])
        await launched(model)
        waiting = scoring(scorer, ["c", "d"])
        await tokenised(scorer, 2 * PAIR_TOKENS)
        model.let_go()
        outcome = await failing
        model.result = lambda pairs: [1.0] * len(pairs)
        model.let_go()
        assert isinstance(outcome, ModelFailed)
        assert words in str(outcome)
        assert await waiting == [1.0, 1.0]
        assert scorer.statistics().failed_batches == 1


async def test_the_rest_of_a_failed_call_is_not_launched() -> None:
    """A request of three batches whose first fails takes no more of the device."""
    model = FakeModel()
    model.result = lambda pairs: []
    async with scheduled(model) as scorer:
        assert isinstance(await scoring(scorer, ["a"] * 6), ModelFailed)
        model.result = lambda pairs: [0.0] * len(pairs)
        await scorer.score("q", ["z"])
    assert model.batches == [["a", "a"], ["z"]]


async def test_a_tokenizer_that_fails_is_the_models_failure() -> None:
    """Its words are kept."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        model.tokenize_error = ValueError("odd text")
        with pytest.raises(ModelFailed, match="tokenization failed: ValueError: odd text"):
            await scorer.score("q", ["a"])


async def test_a_tokenizers_own_timeout_is_not_the_deadlines() -> None:
    """It is a failure like any other."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        model.tokenize_error = TimeoutError("of its own")
        with pytest.raises(ModelFailed, match="TimeoutError: of its own"):
            await scorer.score("q", ["a"], deadline=asyncio.get_running_loop().time() + 60)


async def test_a_full_queue_refuses() -> None:
    """Beyond the bound on waiting tokens calls fail at once, and later ones are let in again."""
    model = FakeModel(is_gated=True)
    async with scheduled(model, max_waiting_tokens=4 * PAIR_TOKENS) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        second = scoring(scorer, ["b"] * 3)
        await tokenised(scorer, 3 * PAIR_TOKENS)
        assert isinstance(await scoring(scorer, ["c", "d"]), SchedulerFull)
        fitting = scoring(scorer, ["e"])
        await tokenised(scorer, 4 * PAIR_TOKENS)
        assert isinstance(await scoring(scorer, ["f"]), SchedulerFull)
        model.let_go(10)
        assert [await first, await second, await fitting] == [[97], [98] * 3, [101]]
        assert scorer.statistics().refused_calls == 2


async def test_a_single_request_is_never_too_large_for_an_idle_queue() -> None:
    """The bound is on what waits, not on one call."""
    model = FakeModel()
    async with scheduled(model, max_waiting_tokens=PAIR_TOKENS) as scorer:
        assert await scorer.score("q", ["a"] * 10) == [97] * 10


@pytest.mark.parametrize(("seconds", "is_refused"), [(40, False), (60, True), (120, False)])
async def test_what_cannot_be_reached_in_time_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, seconds: float, is_refused: bool
) -> None:
    """Behind 94 s of work due in 50 s: one due earlier goes first, one due in 60 s has no chance, one in 120 s has."""
    model = FakeModel(is_gated=True)
    monkeypatch.setattr(scheduler, "load_and_measure", lambda load: (load(), 1000.0))
    async with scheduled(model, max_waiting_tokens=1_000_000) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        queued = scoring(scorer, ["b" * 90] * 1000, seconds=50)
        await tokenised(scorer, 94_000)
        call = scoring(scorer, ["c"], seconds=seconds)
        await asyncio.wait({call}, timeout=0.1)
        assert call.done() == is_refused
        assert scorer.statistics().refused_calls == int(is_refused)
        for task in (first, queued, call):
            task.cancel()


async def test_statistics_are_a_snapshot() -> None:
    """Counts follow what happens; an old snapshot does not change."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        before = scorer.statistics()
        call = scoring(scorer, ["a", "b", "c"])
        await launched(model)
        during = scorer.statistics()
        model.let_go(2)
        await call
        after = scorer.statistics()
    assert (before.waiting_calls, before.scored_pairs, before.batches) == (0, 0, 0)
    assert (during.running_pairs, during.running_tokens, during.waiting_tokens) == (2, 10, 5)
    assert (after.waiting_calls, after.scored_pairs, after.scored_tokens, after.batches) == (0, 3, 15, 2)


async def test_a_bug_in_the_scheduler_ends_waiting_calls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for ever for a worker that is gone; the traceback is in the log."""
    model = FakeModel()
    async with scheduled(model) as scorer:
        monkeypatch.setattr(scheduler, "choose", lambda *_, **__: 1 / 0)
        with pytest.raises(ModelFailed, match="the scheduler failed: ZeroDivisionError"):
            await scorer.score("q", ["a"])
        with pytest.raises(ModelFailed, match="the scheduler failed"):
            scorer.describe()
    assert "background task failed task=scheduler" in caplog.text


# --- loading ------------------------------------------------------------------------------------------------


async def test_until_the_model_is_loaded_the_scorer_is_starting() -> None:
    """describe and score say so; afterwards the facts have a measured speed."""
    release = threading.Event()

    def load() -> PairModel:
        release.wait(10)
        return FakeModel()

    scorer = LocalScorer.loading(load)
    try:
        with pytest.raises(ScorerStarting):
            scorer.describe()
        with pytest.raises(ScorerStarting):
            await scorer.score("q", ["a"])
        release.set()
        facts = await scorer.loaded()
        assert facts.name == "fake"
        assert facts.tokens_per_second is not None
        assert facts.tokens_per_second > 0
        assert facts == scorer.describe()
    finally:
        await scorer.aclose()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelFailed("x has no weights"), "x has no weights"),
        (OSError("disk on fire"), "OSError: disk on fire"),
        (SystemExit(3), "SystemExit"),
    ],
)
async def test_a_model_that_cannot_be_loaded_says_why(error: BaseException, words: str) -> None:
    """Every call raises ModelFailed in the words of the load's error."""

    def load() -> PairModel:
        raise error

    scorer = LocalScorer.loading(load)
    try:
        with pytest.raises(ModelFailed, match=words):
            await scorer.loaded()
        with pytest.raises(ModelFailed, match=words):
            scorer.describe()
        with pytest.raises(ModelFailed, match=words):
            await scorer.score("q", ["a"])
    finally:
        await scorer.aclose()


async def test_a_model_that_loads_but_cannot_score_is_no_model() -> None:
    """The first forward is part of loading."""
    model = FakeModel()
    model.tokenize = lambda query, texts: [TokenPair((1,), (2,))] * len(texts)  # type: ignore[method-assign]
    model.result = lambda pairs: [math.nan] * len(pairs)
    scorer = LocalScorer.loading(lambda: model)
    try:
        with pytest.raises(ModelFailed, match="its first forward failed: the model gave a score that is not"):
            await scorer.loaded()
    finally:
        await scorer.aclose()


async def test_closing_ends_waiting_calls() -> None:
    """They raise ScorerLost, although a forward hangs; later calls do, too."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        running, waiting = scoring(scorer, ["a"]), scoring(scorer, ["b"])
        await launched(model)
        await scorer.aclose()
        assert isinstance(await running, ScorerLost)
        assert isinstance(await waiting, ScorerLost)
        assert isinstance(await scoring(scorer, ["c"]), ScorerLost)


async def test_closing_while_loading_does_not_wait_for_it() -> None:
    """Who waits for the model is told."""
    release = threading.Event()

    def load() -> PairModel:
        release.wait(10)
        return FakeModel()

    scorer = LocalScorer.loading(load)
    waiting = tasks.start(_outcome_of_loading(scorer), name="waiting")
    await asyncio.sleep(0)
    await scorer.aclose()
    assert isinstance(await waiting, ScorerLost)
    release.set()


async def _outcome_of_loading(scorer: LocalScorer) -> ModelFacts | RerankUnavailable:
    try:
        return await scorer.loaded()
    except RerankUnavailable as error:
        return error
