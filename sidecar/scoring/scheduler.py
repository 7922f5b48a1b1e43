"""Many searches, one device: a Scorer over a PairModel.

What happens to a call: its pairs are tokenised in a small thread pool, wait as tokens, and go to the device in
batches that `batching.choose` puts together from everybody's pairs whenever the device is free. There is no delay
timer: what waits is taken at once. All state belongs to the event loop; the model belongs to one thread.

Laws:
- A call ends at its deadline at the latest, whatever the device is doing.
- Dead work (cancelled, late) is dropped before it is launched. A batch that runs is never interrupted.
- A failed batch fails the calls that have pairs in it, and no others; the worker lives on.
- What cannot be done in time is refused at once (`SchedulerFull`), so that waiting work stays bounded.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

from sidecar import tasks
from sidecar.errors import (
    ModelFailed,
    RerankUnavailable,
    SchedulerFull,
    ScorerLost,
    ScorerStarting,
    ScoringTimeout,
)
from sidecar.scoring import splitting
from sidecar.scoring.base import ModelFacts, PairModel, TokenPair
from sidecar.scoring.batching import TURN_PAIRS, Slice, Waiting, choose
from sidecar.scoring.device_thread import DeviceThread
from sidecar.scoring.measuring import forward, in_words, load_and_measure
from sidecar.scoring.splitting import Spans, SplitsTexts

log = logging.getLogger(__name__)

TOKENIZER_THREADS = 2
"""The tokenizer itself is parallel and releases the GIL; two calls in flight keep it busy."""

BATCH_SECONDS = 0.05
"""A batch should take this long: short against a search's deadline, long against its fixed costs."""

MIN_BATCH_TOKENS = 512
"""On a CPU the speed in tokens per second is flat from here up."""

MAX_BATCH_TOKENS = 32_768
"""On a GPU more tokens per batch hardly gain speed."""

SPEED_MEMORY = 0.8
"""How much of the running estimate of the speed a new batch leaves standing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOptions:
    """How much may wait and run."""

    #: tokens that may wait at most; beyond, calls are refused
    max_waiting_tokens: int = 1_000_000
    #: tokens of one batch; None = BATCH_SECONDS of the measured speed
    batch_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStatistics:
    """A snapshot. Counters grow from the start of the process."""

    #: calls that wait for tokenization or the device, or run in part
    waiting_calls: int
    #: tokens of pairs that are tokenised and not launched
    waiting_tokens: int
    #: pairs and tokens of the batch on the device now
    running_pairs: int
    running_tokens: int
    batches: int
    failed_batches: int
    scored_pairs: int
    scored_tokens: int
    #: calls refused because they could not be done in time, missed their deadline, or were cancelled
    refused_calls: int
    late_calls: int
    cancelled_calls: int
    #: queries longer than the model allows them to be
    queries_cut: int
    #: running estimate of the device's speed; None until it is loaded
    tokens_per_second: float | None


@runtime_checkable
class CountsCutQueries(Protocol):
    """A PairModel that says how many queries it had to cut."""

    @property
    def queries_cut(self) -> int:
        """Queries cut since the start."""
        ...


class LocalScorer:
    """A Scorer over a model in this process. Belongs to the event loop in which it is made."""

    def __init__(self, load: Callable[[], PairModel], options: SchedulerOptions) -> None:
        """Use `LocalScorer.loading`."""
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._device = DeviceThread(name="model")
        self._tokenizers = ThreadPoolExecutor(TOKENIZER_THREADS, thread_name_prefix="tokenize")
        self._model: PairModel | None = None
        self._facts: ModelFacts | None = None
        self._unavailable: RerankUnavailable | None = ScorerStarting("the model is being loaded")
        self._has_outcome = asyncio.Event()
        self._has_work = asyncio.Event()
        self._calls: dict[int, _Call] = {}
        self._running = _Running()
        self._count = _Counters()
        self._speed = 0.0
        self._round = 0
        self._worker = tasks.start(self._work(load), name="scheduler")

    @classmethod
    def loading(cls, load: Callable[[], PairModel], options: SchedulerOptions | None = None) -> Self:
        """Return a scorer that begins at once to load its model in a thread.

        Until `load` returns and the model is measured, calls raise ScorerStarting; if it raises, ModelFailed in
        the words of its error. Must be called within a running event loop.
        """
        return cls(load, options or SchedulerOptions())

    async def loaded(self) -> ModelFacts:
        """Wait until the model is loaded and measured, and return its facts.

        Raises:
            RerankUnavailable: loading failed, or the scorer was closed meanwhile.
        """
        await self._has_outcome.wait()
        return self.describe()

    def describe(self) -> ModelFacts:
        """Return the model's facts, with its measured speed.

        Raises:
            RerankUnavailable: it is not loaded (yet), or the scorer is closed.
        """
        self._check_available()
        assert self._facts is not None
        return self._facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text, in the order of `texts`; see `Scorer.score`."""
        self._check_available()
        if not texts:
            return []
        call = self._admit(math.inf if deadline is None else deadline)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._score(call, query, texts)
        except TimeoutError as error:
            raise self._late() from error
        except asyncio.CancelledError:
            self._count.cancelled_calls += 1
            raise
        finally:
            del self._calls[call.arrival]

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`."""
        self._check_available()
        if not isinstance(self._model, SplitsTexts):
            return [splitting.estimated(text, tokens=tokens, overlap=overlap) for text in texts]
        spans = functools.partial(self._model.spans, tokens=tokens, overlap=overlap)
        return await self._loop.run_in_executor(self._tokenizers, spans, texts)

    def statistics(self) -> SchedulerStatistics:
        """Return what is going on, as a snapshot."""
        count = self._count
        return SchedulerStatistics(
            waiting_calls=len(self._calls),
            waiting_tokens=self._waiting_tokens(),
            running_pairs=self._running.pairs,
            running_tokens=self._running.tokens,
            batches=count.batches,
            failed_batches=count.failed_batches,
            scored_pairs=count.scored_pairs,
            scored_tokens=count.scored_tokens,
            refused_calls=count.refused_calls,
            late_calls=count.late_calls,
            cancelled_calls=count.cancelled_calls,
            queries_cut=self._model.queries_cut if isinstance(self._model, CountsCutQueries) else 0,
            tokens_per_second=self._speed or None,
        )

    async def aclose(self) -> None:
        """Stop: waiting calls end with ScorerLost, a batch that runs is not waited for."""
        self._give_up(ScorerLost("the scorer is closed"))
        self._worker.cancel()
        await asyncio.wait({self._worker})
        self._device.close()
        self._tokenizers.shutdown(wait=False, cancel_futures=True)

    def _check_available(self) -> None:
        if self._unavailable is not None:
            raise _again(self._unavailable)

    # One call: admitted, tokenised, admitted again now that its tokens are known, queued.

    def _admit(self, deadline: float) -> _Call:
        """Register a call, or refuse it when what waits already fills the time until its deadline."""
        call = _Call(
            arrival=self._count.arrivals,
            deadline=deadline,
            # Calls without a deadline take turns; those of one deadline are one search, first come first served.
            joined=self._round if deadline == math.inf else 0,
            done=self._loop.create_future(),
        )
        self._refuse_if_late(call)
        self._refuse_if_full(tokens=0)
        self._count.arrivals += 1
        self._calls[call.arrival] = call
        return call

    async def _score(self, call: _Call, query: str, texts: Sequence[str]) -> list[float]:
        assert self._model is not None
        tokenizing = self._loop.run_in_executor(self._tokenizers, self._model.tokenize, query, texts)
        try:
            pairs = await tokenizing
        except asyncio.CancelledError:
            self._check_available()  # closing drops what waits for a tokenizer; then it is not the caller who gave up
            raise
        except Exception as error:  # whatever a tokenizer raises is the model's failure
            raise ModelFailed(f"tokenization failed: {in_words(error)}") from error
        self._check_available()
        self._refuse_if_late(call)
        self._refuse_if_full(sum(pair.tokens for pair in pairs))
        call.accept(pairs)
        self._has_work.set()
        return await call.done

    def _refuse_if_late(self, call: _Call) -> None:
        """Refuse a call when the work before it alone takes until its deadline; an idle device refuses nothing."""
        now = self._loop.time()
        if call.deadline <= now:
            raise self._late()
        before = sum(other.waiting_tokens for other in self._calls.values() if other.is_before(call))
        wait = (before / self._speed if self._speed else 0.0) + self._running.seconds_left(now)
        if now + wait > call.deadline:
            self._refuse(f"the work before it takes {wait:.2f} s, longer than its deadline allows")

    def _refuse_if_full(self, tokens: int) -> None:
        """Bound what waits; a call that finds nobody waiting is never too large."""
        waiting, limit = self._waiting_tokens(), self._options.max_waiting_tokens
        if waiting and waiting + tokens > limit:
            self._refuse(f"{waiting} tokens are waiting, at most {limit} may")

    def _refuse(self, why: str) -> None:
        self._count.refused_calls += 1
        raise SchedulerFull(why)

    def _late(self) -> ScoringTimeout:
        self._count.late_calls += 1
        return ScoringTimeout("no scores before the deadline")

    def _waiting_tokens(self) -> int:
        return sum(call.waiting_tokens for call in self._calls.values())

    # The worker: load, then one batch after the other.

    async def _work(self, load: Callable[[], PairModel]) -> None:
        """Load the model, then keep the device busy until the scorer is closed."""
        try:
            model, self._speed = await self._device.run(lambda: load_and_measure(load))
        except Exception as error:  # noqa: BLE001  # the boundary: whatever loading raises, the program lives on
            log.error("model not loaded reason=%s", in_words(error))
            self._give_up(error if isinstance(error, ModelFailed) else ModelFailed(in_words(error)))
            return
        self._model = model
        self._facts = replace(model.facts, tokens_per_second=self._speed)
        self._unavailable = None
        self._has_outcome.set()
        try:
            while True:
                await self._has_work.wait()
                await self._run_batch(model, self._next_batch())
        except Exception as error:  # a bug of ours: better no scorer than calls that wait for ever
            self._give_up(ModelFailed(f"the scheduler failed: {in_words(error)}"))
            raise

    async def _run_batch(self, model: PairModel, batch: _Batch) -> None:
        if not batch:
            self._has_work.clear()
            return
        pairs = [pair for call, piece in batch for pair in call.pairs[piece.start : piece.stop]]
        tokens = sum(pair.tokens for pair in pairs)
        seconds = tokens / self._speed if self._speed else 0.0
        self._running = _Running(pairs=len(pairs), tokens=tokens, ends=self._loop.time() + seconds)
        try:
            scores, took = await self._device.run(lambda: _timed_forward(model, pairs))
        except Exception as error:  # noqa: BLE001  # the boundary: a failed batch costs its own calls only
            self._fail(batch, error)
        else:
            self._learn_speed(tokens / took)
            self._hand_out(batch, scores)
        finally:
            self._running = _Running()

    def _next_batch(self) -> _Batch:
        """Take the next slices; from here on they count as launched."""
        waiting = (call.waiting() for call in self._calls.values())
        slices = choose(waiting, budget=self._batch_tokens(), now=self._loop.time())
        batch = [(self._calls[piece.arrival], piece) for piece in slices]
        for call, piece in batch:
            call.launch(piece.stop)
            if call.deadline == math.inf:
                self._round = max(self._round, call.joined + (piece.stop - 1) // TURN_PAIRS)
        return batch

    def _batch_tokens(self) -> int:
        if self._options.batch_tokens is not None:
            return self._options.batch_tokens
        return int(min(MAX_BATCH_TOKENS, max(MIN_BATCH_TOKENS, BATCH_SECONDS * self._speed)))

    def _learn_speed(self, measured: float) -> None:
        """Move the estimate towards the last batch's speed, by ratio: speeds differ by orders of magnitude."""
        self._speed = self._speed**SPEED_MEMORY * measured ** (1 - SPEED_MEMORY)

    def _hand_out(self, batch: _Batch, scores: Sequence[float]) -> None:
        self._count.batches += 1
        self._count.scored_pairs += self._running.pairs
        self._count.scored_tokens += self._running.tokens
        first = 0
        for call, piece in batch:
            count = piece.stop - piece.start
            call.receive(piece.start, scores[first : first + count])
            first += count

    def _fail(self, batch: _Batch, error: Exception) -> None:
        self._count.failed_batches += 1
        log.error("batch failed pairs=%d reason=%s", self._running.pairs, in_words(error))
        for call, _ in batch:
            call.fail(ModelFailed(f"the model failed: {in_words(error)}"))

    def _give_up(self, why: RerankUnavailable) -> None:
        """Let nothing in any more, and end what waits."""
        self._unavailable = why
        self._has_outcome.set()
        for call in self._calls.values():
            call.fail(_again(why))


@dataclass(slots=True, kw_only=True)
class _Counters:
    arrivals: int = 0
    batches: int = 0
    failed_batches: int = 0
    scored_pairs: int = 0
    scored_tokens: int = 0
    refused_calls: int = 0
    late_calls: int = 0
    cancelled_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """What is on the device. `ends` is when it should be done, by the speed so far."""

    pairs: int = 0
    tokens: int = 0
    ends: float = 0.0

    def seconds_left(self, now: float) -> float:
        return max(0.0, self.ends - now)


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    """One call of `score`: its pairs, which of them are launched, and the scores so far."""

    arrival: int
    deadline: float
    joined: int
    done: asyncio.Future[list[float]]
    pairs: Sequence[TokenPair] = ()
    tokens: Sequence[int] = ()
    first: int = 0
    waiting_tokens: int = 0
    scores: list[float] | None = None
    missing: int = 0

    def is_before(self, other: _Call) -> bool:
        """Whether this call is served before `other`; equal deadlines in order of arrival."""
        return (self.deadline, self.arrival) < (other.deadline, other.arrival)

    def accept(self, pairs: Sequence[TokenPair]) -> None:
        """Wait for the device from now on."""
        self.pairs = pairs
        self.tokens = [pair.tokens for pair in pairs]
        self.waiting_tokens = sum(self.tokens)
        self.scores = [math.nan] * len(pairs)
        self.missing = len(pairs)

    def waiting(self) -> Waiting:
        return Waiting(
            arrival=self.arrival,
            tokens=self.tokens,
            first=self.first,
            deadline=self.deadline,
            is_cancelled=self.done.done(),
            joined=self.joined,
        )

    def launch(self, stop: int) -> None:
        self.waiting_tokens -= sum(self.tokens[self.first : stop])
        self.first = stop

    def receive(self, start: int, scores: Sequence[float]) -> None:
        assert self.scores is not None
        self.scores[start : start + len(scores)] = scores
        self.missing -= len(scores)
        if self.missing == 0 and not self.done.done():
            self.done.set_result(self.scores)

    def fail(self, error: RerankUnavailable) -> None:
        """End the call; whatever of it still waits is dead."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen: a call that still tokenises never awaits it


_Batch = list[tuple[_Call, Slice]]


def _again(error: RerankUnavailable) -> RerankUnavailable:
    """Return a fresh copy: one exception object raised by many calls would collect their tracebacks."""
    return type(error)(*error.args)


def _timed_forward(model: PairModel, pairs: Sequence[TokenPair]) -> tuple[list[float], float]:
    began = time.perf_counter()
    scores = forward(model, pairs)
    return scores, max(time.perf_counter() - began, 1e-6)
