"""Many searches on one device: transcripts with a model whose forwards the test releases, the rules on a fake clock."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sidecar import tasks
from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring import calls, scheduler
from sidecar.scoring.base import ModelFacts, PairModel, TokenPair
from sidecar.scoring.batching import TURN_PAIRS
from sidecar.scoring.scheduler import LocalScorer, SchedulerOptions
from tests.unit.sidecar.scoring.doubles import FakeModel, PreparingModel, a_moment, advance, on_fake_clock, scores_of

PAIR_TOKENS = 5
"""Of the query "q" and a text of one letter, with three special tokens."""


@asynccontextmanager
async def scheduled(
    model: FakeModel, *, pairs_per_batch: int = 2, max_waiting_tokens: int | None = 10_000
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
    while scorer.statistics().waiting_tokens != tokens:  # the scorer announces nothing
        await a_moment()


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


@pytest.mark.parametrize(("tokens_per_second", "is_refused"), [(1_000.0, True), (10_000_000.0, False)])
async def test_a_fast_device_lets_more_wait(
    monkeypatch: pytest.MonkeyPatch, tokens_per_second: float, is_refused: bool
) -> None:
    """Unless it is set, the bound is two seconds of work, and a million tokens on slower devices."""
    model = FakeModel(is_gated=True)
    monkeypatch.setattr(scheduler, "load_and_measure", lambda load: (load(), tokens_per_second))
    async with scheduled(model, max_waiting_tokens=None) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        waiting = scoring(scorer, ["b" * 999_000])
        await tokenised(scorer, 999_000 + PAIR_TOKENS - 1)
        next_one = scoring(scorer, ["c" * 10_000])
        if is_refused:
            assert isinstance(await next_one, SchedulerFull)
        model.let_go(10)
        await asyncio.gather(first, waiting, next_one)


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


# --- the rules, on a fake clock ------------------------------------------------------------------------------


@pytest.fixture
def one_token_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the device's speed be known: 1000 tokens per second."""
    monkeypatch.setattr(scheduler, "load_and_measure", lambda load: (load(), 1000.0))


@on_fake_clock
async def test_an_idle_device_waits_for_nobody() -> None:
    """A lone pair is scored without any time going by: there is no delay in which others could come."""
    async with scheduled(FakeModel(), pairs_per_batch=100) as scorer:
        assert await scorer.score("q", ["a"]) == [97]


@on_fake_clock
async def test_deadlines_and_not_arrivals_make_the_order() -> None:
    """Of four searches that wait, the one due first is served first, and the one without a deadline last."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["z"])
        await launched(model)
        waiting = []
        for number, (text, seconds) in enumerate([("a", None), ("b", 30), ("c", 10), ("d", 20)], start=1):
            waiting.append(scoring(scorer, [text, text], seconds))
            await tokenised(scorer, 2 * number * PAIR_TOKENS)
        model.let_go(5)
        await asyncio.wait({first, *waiting})
    assert model.batches == [["z"], ["c", "c"], ["d", "d"], ["b", "b"], ["a", "a"]]


@on_fake_clock
async def test_requests_without_a_deadline_take_turns() -> None:
    """Turn by turn, in order of arrival."""
    model = FakeModel(is_gated=True)
    async with scheduled(model, pairs_per_batch=TURN_PAIRS) as scorer:
        first = scoring(scorer, ["z"])
        await launched(model)
        one, other = scoring(scorer, ["a"] * 3 * TURN_PAIRS), scoring(scorer, ["b"] * 2 * TURN_PAIRS)
        await tokenised(scorer, 5 * TURN_PAIRS * PAIR_TOKENS)
        model.let_go(6)
        await asyncio.wait({first, one, other})
    assert ["z", "a", "b", "a", "b", "a"] == [batch[0] for batch in model.batches]
    assert all(len(set(batch)) == 1 for batch in model.batches)


@pytest.mark.usefixtures("one_token_a_millisecond")
@on_fake_clock
async def test_a_call_is_refused_when_the_work_before_it_takes_longer_than_it_may() -> None:
    """1 s runs and 1 s waits before it: due in 1.9 s it has no chance, in 2.1 s it has; half a second later 1.5 s is
    enough."""
    model = FakeModel(is_gated=True)
    async with scheduled(model, pairs_per_batch=200) as scorer:
        running = scoring(scorer, ["a"] * 200)
        await launched(model)
        waiting = scoring(scorer, ["b"] * 200, seconds=1.2)
        await tokenised(scorer, 200 * PAIR_TOKENS)
        refused = await scoring(scorer, ["c"], seconds=1.9)
        assert isinstance(refused, SchedulerFull)
        assert "takes 2.00 s" in str(refused)
        in_time = scoring(scorer, ["d"], seconds=2.1)
        await tokenised(scorer, 201 * PAIR_TOKENS)
        await advance(0.5)
        assert isinstance(await scoring(scorer, ["e"], seconds=1.4), SchedulerFull)
        in_time_too = scoring(scorer, ["f"], seconds=1.55)
        await tokenised(scorer, 202 * PAIR_TOKENS)
        model.let_go(5)
        assert [await running, await waiting] == [[97] * 200, [98] * 200]
        assert [await in_time, await in_time_too] == [[100], [102]]
        assert scorer.statistics().refused_calls == 2


@pytest.mark.usefixtures("one_token_a_millisecond")
@on_fake_clock
async def test_what_is_not_tokenised_yet_counts_by_its_length() -> None:
    """A tokenizer that is busy hides no work: 40,000 characters are some 10,000 tokens."""
    model = FakeModel()
    model.facts = replace(model.facts, max_length=100_000)
    is_let_go = threading.Event()
    tokenize = model.tokenize

    def held(query: str, texts: Sequence[str]) -> list[TokenPair]:
        assert is_let_go.wait(10)
        return tokenize(query, texts)

    model.tokenize = held  # type: ignore[method-assign]
    async with scheduled(model) as scorer:
        urgent = scoring(scorer, ["b" * 40_000], seconds=5)
        await asyncio.sleep(0)
        assert isinstance(await scoring(scorer, ["c"], seconds=9), SchedulerFull)
        assert isinstance(await scoring(scorer, ["d"]), SchedulerFull)  # more than 10,000 may not wait
        is_let_go.set()
        assert await urgent == [98]


@on_fake_clock
async def test_the_work_of_patient_callers_does_not_shut_out_urgent_ones() -> None:
    """The bound is on what is served before a call."""
    model = FakeModel(is_gated=True)
    async with scheduled(model, max_waiting_tokens=4 * PAIR_TOKENS) as scorer:
        first = scoring(scorer, ["z"])
        await launched(model)
        patient = scoring(scorer, ["a"] * 4)
        await tokenised(scorer, 4 * PAIR_TOKENS)
        assert isinstance(await scoring(scorer, ["b"]), SchedulerFull)
        urgent = scoring(scorer, ["c"], seconds=60)
        await tokenised(scorer, 5 * PAIR_TOKENS)
        model.let_go(5)
        assert [await first, await urgent, await patient] == [[122], [99], [97] * 4]


@on_fake_clock
async def test_what_is_late_is_told_so_at_its_deadline_and_never_launched() -> None:
    """The device is still busy; nothing of the call is left."""
    model = FakeModel(is_gated=True)
    async with scheduled(model) as scorer:
        running = scoring(scorer, ["a"])
        await launched(model)
        late = scoring(scorer, ["b"], seconds=10)
        await tokenised(scorer, PAIR_TOKENS)
        await advance(9.9)
        assert not late.done()
        await advance(0.2)
        assert isinstance(await late, ScoringTimeout)
        assert scorer.statistics().waiting_tokens == 0
        model.let_go()
        assert await running == [97]
        model.let_go()
        assert await scorer.score("q", ["c"]) == [99]
    assert model.batches == [["a"], ["c"]]


# --- batches prepared ahead ---------------------------------------------------------------------------------


async def prepared(model: PreparingModel) -> None:
    """Wait until the model has prepared another batch."""
    assert await asyncio.to_thread(model.has_prepared.acquire, timeout=10)


async def test_a_whole_batch_is_prepared_while_the_device_runs() -> None:
    """The next one and not the one after it; each of the two that exist has a slot of its own."""
    model = PreparingModel(is_gated=True)
    async with scheduled(model) as scorer:
        call = scoring(scorer, list("abcdefgh"))
        await launched(model)
        await prepared(model)
        await prepared(model)
        assert model.batches == [["a", "b"]]
        assert [(0, ["a", "b"]), (1, ["c", "d"])] == model.prepared
        assert (4, 4 * PAIR_TOKENS) == (scorer.statistics().running_pairs, scorer.statistics().waiting_tokens)
        for texts in (["e", "f"], ["g", "h"]):
            model.let_go()
            await launched(model)
            await prepared(model)
            assert texts == model.prepared[-1][1]
        model.let_go(2)
        assert await call == [97, 98, 99, 100, 101, 102, 103, 104]
        assert scorer.statistics().batches_ahead == 3
    assert [0, 1, 0, 1] == [slot for slot, _ in model.prepared]


async def test_a_batch_that_is_not_full_stays_open_for_others() -> None:
    """Nothing is gained by closing it while the device is busy."""
    model = PreparingModel(is_gated=True)
    async with scheduled(model, pairs_per_batch=4) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        second = scoring(scorer, ["b"])
        await tokenised(scorer, PAIR_TOKENS)
        third = scoring(scorer, ["c"])
        await tokenised(scorer, 2 * PAIR_TOKENS)
        model.let_go(2)
        assert [await first, await second, await third] == [[97], [98], [99]]
    assert model.batches == [["a"], ["b", "c"]]


async def test_who_goes_away_is_taken_out_of_the_batch_that_was_prepared() -> None:
    """The others in it are prepared again, in the slot that nobody uses; the device never sees the one who left."""
    model = PreparingModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        abandoned, other = scoring(scorer, ["b"]), scoring(scorer, ["c"])
        await prepared(model)
        await prepared(model)
        assert scorer.statistics().running_pairs == 3
        abandoned.cancel()
        await asyncio.wait({abandoned})
        model.let_go(2)
        assert [await first, await other] == [[97], [99]]
        assert scorer.statistics().waiting_calls == 0
    assert model.batches == [["a"], ["c"]]
    assert (1, ["b", "c"]) in model.prepared


async def test_a_batch_of_which_everybody_has_gone_is_not_run() -> None:
    """Nor prepared again."""
    model = PreparingModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        abandoned = scoring(scorer, ["b", "c"])
        await prepared(model)
        await prepared(model)
        abandoned.cancel()
        await asyncio.wait({abandoned})
        model.let_go(2)
        assert await first == [97]
        assert await scorer.score("q", ["d"]) == [100]
    assert model.batches == [["a"], ["d"]]
    assert [["a"], ["b", "c"], ["d"]] == [texts for _, texts in model.prepared]


async def test_a_batch_that_cannot_be_prepared_fails_its_own_calls() -> None:
    """The one that runs meanwhile does not notice."""
    model = PreparingModel(is_gated=True)
    async with scheduled(model) as scorer:
        first = scoring(scorer, ["a"])
        await launched(model)
        model.prepare_error = ValueError("no room")
        failing = scoring(scorer, ["b", "c"])
        await prepared(model)
        await prepared(model)
        model.prepare_error = None
        model.let_go(2)
        assert await first == [97]
        outcome = await failing
        assert isinstance(outcome, ModelFailed)
        assert "ValueError: no room" in str(outcome)
        assert await scorer.score("q", ["d"]) == [100]


# --- memory of the device -----------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """Called as torch's."""


@on_fake_clock
async def test_a_batch_too_large_for_the_device_is_tried_in_halves() -> None:
    """Scores stay with their texts; for a minute no batch is as large again."""
    model = FakeModel()

    def at_most_two(pairs: Sequence[TokenPair]) -> list[float]:
        if len(pairs) > 2:
            raise OutOfMemoryError
        return scores_of(pairs)

    model.result = at_most_two
    async with scheduled(model, pairs_per_batch=8) as scorer:
        assert await scorer.score("q", list("abcdef")) == [97, 98, 99, 100, 101, 102]
        assert [["a", "b", "c"], ["d", "e", "f"], ["a"], ["b", "c"], ["d"], ["e", "f"]] == model.batches[1:]
        model.batches.clear()
        assert await scorer.score("q", list("abcd")) == [97, 98, 99, 100]
        assert [["a"], ["b"], ["c"], ["d"]] == model.batches
        await advance(60)
        model.batches.clear()
        assert await scorer.score("q", list("ab")) == [97, 98]
        assert model.batches == [["a", "b"]]


async def test_a_pair_too_large_for_the_device_fails_its_call() -> None:
    """There is nothing to halve."""
    model = FakeModel()

    def never(pairs: Sequence[TokenPair]) -> list[float]:
        raise MemoryError

    model.result = never
    async with scheduled(model) as scorer:
        assert isinstance(await scoring(scorer, ["a", "b"]), ModelFailed)
        model.result = scores_of
        assert await scorer.score("q", ["c"]) == [99]


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
        monkeypatch.setattr(calls, "choose", lambda *_, **__: 1 / 0)
        with pytest.raises(ModelFailed, match="the scheduler failed: ZeroDivisionError"):
            await scorer.score("q", ["a"])
        with pytest.raises(ModelFailed, match="the scheduler failed"):
            scorer.describe()
    assert "background task failed task=scheduler" in caplog.text


class AcceleratorError(RuntimeError):
    """Called as torch's."""


@pytest.mark.parametrize(
    "error", [AcceleratorError("unspecified launch failure"), RuntimeError("CUDA error: misaligned")]
)
async def test_a_device_that_is_lost_is_given_up(error: Exception) -> None:
    """The batch failed; who waits is told that the scorer is lost, and so is whoever watches over the process."""
    model = FakeModel(is_gated=True)

    def broken(pairs: Sequence[TokenPair]) -> list[float]:
        raise error

    model.result = broken
    async with scheduled(model) as scorer:
        watching = tasks.start(scorer.ended(), name="watching")
        failing = scoring(scorer, ["a", "b"])
        await launched(model)
        waiting = scoring(scorer, ["c"])
        await tokenised(scorer, PAIR_TOKENS)
        assert not watching.done()
        model.let_go()
        assert isinstance(await failing, ModelFailed)
        assert isinstance(await waiting, ScorerLost)
        assert isinstance(await scoring(scorer, ["d"]), ScorerLost)
        assert "the device is lost" in str(await watching)
    assert model.batches == [["a", "b"]]


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
