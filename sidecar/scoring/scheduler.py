"""Many searches, one device: a Scorer over a PairModel.

What happens to a call: its pairs are tokenised in a small thread pool, wait as tokens (`calls.py`), and go to the
device (`flights.py`) in batches that `batching.choose` puts together from everybody's pairs whenever the device is
free. There is no delay timer: what waits is taken at once. All state belongs to the event loop; the model belongs to
one thread.

Laws:
- A call ends at its deadline at the latest, whatever the device is doing.
- Dead work (cancelled, late) is dropped before it is launched. A batch that runs is never interrupted.
- A batch is launched ahead of time only when a whole one waits: nobody who comes meanwhile could have joined it.
- A failed batch fails the calls that have pairs in it, and no others; the worker lives on. One that was too large for
  the device's memory is tried again in smaller ones. Only a device that is lost is given up: a new process may have it.
- What cannot be done in time is refused at once (`SchedulerFull`), so that waiting work stays bounded.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
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
from sidecar.scoring import figures, splitting, timing
from sidecar.scoring.alignments import Alignment, AlignsTexts
from sidecar.scoring.base import ModelFacts, PairModel
from sidecar.scoring.calls import Call, Calls, Piece, halves
from sidecar.scoring.device_thread import DeviceThread
from sidecar.scoring.figures import CountsFurther, Figures
from sidecar.scoring.flights import Flight, Flights, Scored
from sidecar.scoring.measuring import in_words, is_device_lost, is_out_of_memory, load_and_measure
from sidecar.scoring.pace import Pace
from sidecar.scoring.splitting import Spans, SplitsTexts

log = logging.getLogger(__name__)

TOKENIZER_THREADS = 2
"""The tokenizer itself is parallel and releases the GIL; two calls in flight keep it busy."""

ALIGNED_AT_ONCE = 5
"""Texts of one job when a call asks how they are read: between two jobs the device scores what waits."""

MOST_WAITING_SECONDS = 2.0
LEAST_WAITING_TOKENS = 1_000_000
"""What may wait before a call: as much as the device scores in that time, and ten searches of a thousand texts in any
case. How late a call may be is its deadline's affair; this bounds memory."""

CHARACTERS_PER_TOKEN = 4
"""What a text that is not tokenised yet is thought to have: English under BERT's vocabulary has 4.3 to 4.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOptions:
    """How much may wait and run."""

    #: tokens that may wait before a call; beyond, it is refused. None = MOST_WAITING_SECONDS of the measured speed
    max_waiting_tokens: int | None = None
    #: tokens of one batch; None = BATCH_SECONDS of the measured speed (`pace.py`)
    batch_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStatistics:
    """A snapshot. Counters grow from the start of the process."""

    #: calls that wait for tokenization or the device, or run in part
    waiting_calls: int
    #: tokens of pairs that are tokenised and not launched
    waiting_tokens: int
    #: pairs and tokens of the batches that the device has been given
    running_pairs: int
    running_tokens: int
    #: batches that have been scored, and how many of them were launched while another one ran
    batches: int
    batches_ahead: int
    failed_batches: int
    scored_pairs: int
    scored_tokens: int
    #: calls of which pairs have been launched, and the seconds that they waited for that, in all
    launched_calls: int
    waited_seconds: float
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
        self._has_changed = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._calls = Calls()
        self._flights: Flights | None = None
        self._pace = Pace(options.batch_tokens)
        self._count = _Counters()
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

    async def ended(self) -> RerankUnavailable:
        """Wait until the scorer cannot score any more, and return why: closed, not loaded, or its device lost."""
        await self._has_ended.wait()
        assert self._unavailable is not None
        return self._unavailable

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
        call = self._admit(query, texts, math.inf if deadline is None else deadline)
        try:
            async with asyncio.timeout_at(deadline):
                scores = await self._score(call, query, texts)
            timing.tell(call.timing(self._loop.time()))
            return scores
        except TimeoutError as error:
            raise self._late() from error
        except asyncio.CancelledError:
            self._count.cancelled_calls += 1
            raise
        finally:
            self._leave(call)

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`."""
        self._check_available()
        if not isinstance(self._model, SplitsTexts):
            return [splitting.estimated(text, tokens=tokens, overlap=overlap) for text in texts]
        spans = functools.partial(self._model.spans, tokens=tokens, overlap=overlap)
        return await self._loop.run_in_executor(self._tokenizers, spans, texts)

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read; see `Aligner.alignments`."""
        self._check_available()
        model = self._model
        if not isinstance(model, AlignsTexts):
            raise ModelFailed("the model does not say how it reads")
        found: list[Alignment] = []
        try:
            for portion in (texts[first : first + ALIGNED_AT_ONCE] for first in range(0, len(texts), ALIGNED_AT_ONCE)):
                found += await self._device.run(functools.partial(model.alignments, query, portion))
            return found
        except Exception as error:  # whatever a model raises is its failure
            raise ModelFailed(f"the model failed: {in_words(error)}") from error

    def statistics(self) -> SchedulerStatistics:
        """Return what is going on, as a snapshot."""
        count = self._count
        return SchedulerStatistics(
            waiting_calls=len(self._calls),
            waiting_tokens=self._calls.waiting_tokens,
            running_pairs=self._flights.pairs if self._flights else 0,
            running_tokens=self._flights.tokens if self._flights else 0,
            batches=count.batches,
            batches_ahead=count.batches_ahead,
            failed_batches=count.failed_batches,
            scored_pairs=count.scored_pairs,
            scored_tokens=count.scored_tokens,
            launched_calls=self._calls.launched,
            waited_seconds=self._calls.waited_seconds,
            refused_calls=count.refused_calls,
            late_calls=count.late_calls,
            cancelled_calls=count.cancelled_calls,
            queries_cut=self._model.queries_cut if isinstance(self._model, CountsCutQueries) else 0,
            tokens_per_second=self._pace.tokens_per_second or None,
        )

    async def figures(self) -> Figures:
        """Return what has been counted, of the scheduler and of the model; see `CountsWork.figures`."""
        counted = figures.of(self.statistics())
        return {**counted, **self._model.figures()} if isinstance(self._model, CountsFurther) else counted

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

    def _admit(self, query: str, texts: Sequence[str], deadline: float) -> Call:
        """Register a call, or refuse it when what waits already fills the time until its deadline."""
        expected = self._expected_tokens(query, texts)
        call = self._calls.new(deadline=deadline, expected_tokens=expected, now=self._loop.time())
        self._refuse_if_late(call)
        self._refuse_if_full(call)
        self._calls.join(call)
        return call

    def _expected_tokens(self, query: str, texts: Sequence[str]) -> int:
        assert self._facts is not None
        longest, own = self._facts.max_length, len(query) // CHARACTERS_PER_TOKEN + 3
        return sum(min(longest, own + len(text) // CHARACTERS_PER_TOKEN) for text in texts)

    async def _score(self, call: Call, query: str, texts: Sequence[str]) -> list[float]:
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
        self._calls.accept(call, pairs)
        self._refuse_if_full(call)
        self._has_changed.set()
        return await call.done

    def _leave(self, call: Call) -> None:
        """Let a call go that has ended; a batch with pairs of it that has not begun is put together without them."""
        self._calls.leave(call)
        pieces = self._flights.take_back(call) if self._flights else ()
        if pieces:
            self._calls.put_back(pieces)
            self._has_changed.set()

    def _refuse_if_late(self, call: Call) -> None:
        """Refuse a call when the work before it alone takes until its deadline; an idle device refuses nothing."""
        now = self._loop.time()
        if call.deadline <= now:
            raise self._late()
        running = self._flights.seconds_left(now) if self._flights else 0.0
        left = call.deadline - now - running
        if self._pace.seconds(self._calls.tokens) <= left:  # even if all of it were before this call
            return
        wait = self._pace.seconds(self._calls.tokens_before(call))
        if wait > left:
            self._refuse(f"the work before it takes {running + wait:.2f} s, longer than its deadline allows")

    def _refuse_if_full(self, call: Call) -> None:
        """Bound what waits, and not the work of urgent calls by that of patient ones.

        A call that finds nobody before it is never too large.
        """
        own, most = call.waiting_tokens + call.expected_tokens, self._most_waiting_tokens()
        if self._calls.tokens + own <= most:
            return
        before = self._calls.tokens_before(call)
        if before and before + own > most:
            self._refuse(f"{before} tokens wait before it, at most {most} may wait")

    def _most_waiting_tokens(self) -> int:
        if self._options.max_waiting_tokens is not None:
            return self._options.max_waiting_tokens
        return max(LEAST_WAITING_TOKENS, int(MOST_WAITING_SECONDS * self._pace.tokens_per_second))

    def _refuse(self, why: str) -> None:
        self._count.refused_calls += 1
        raise SchedulerFull(why)

    def _late(self) -> ScoringTimeout:
        self._count.late_calls += 1
        return ScoringTimeout("no scores before the deadline")

    # The worker: load, then keep the device busy.

    async def _work(self, load: Callable[[], PairModel]) -> None:
        """Load the model, then keep the device busy until the scorer is closed."""
        try:
            model, speed = await self._device.run(lambda: load_and_measure(load))
        except Exception as error:  # noqa: BLE001  # the boundary: whatever loading raises, the program lives on
            log.error("model not loaded reason=%s", in_words(error))
            self._give_up(error if isinstance(error, ModelFailed) else ModelFailed(in_words(error)))
            return
        self._pace.measured(speed)
        self._model = model
        self._flights = Flights(model, self._device, self._has_changed.set)
        self._facts = replace(model.facts, tokens_per_second=speed)
        self._unavailable = None
        self._has_outcome.set()
        try:
            await self._keep_busy(self._flights)
        except Exception as error:  # a bug of ours: better no scorer than calls that wait for ever
            self._give_up(ModelFailed(f"the scheduler failed: {in_words(error)}"))
            raise
        finally:
            self._flights.close()

    async def _keep_busy(self, flights: Flights) -> None:
        """Hand out what has been scored and launch what waits, whenever one of them changes."""
        while True:
            self._has_changed.clear()
            for flight in flights.ended(self._loop.time()):
                self._end(flight)
            while pieces := self._next_batch(flights):
                self._count.batches_ahead += len(flights) > 0
                flights.launch(pieces, now=self._loop.time(), pace=self._pace)
            await self._has_changed.wait()

    def _next_batch(self, flights: Flights) -> list[Piece]:
        """Return what is to be launched now; from here on it counts as launched."""
        now = self._loop.time()
        budget = self._pace.batch_tokens(now)
        is_open = len(flights) > 0 and self._calls.waiting_tokens < budget
        return [] if is_open or not flights.has_room else self._calls.take(budget=budget, now=now)

    def _end(self, flight: Flight) -> None:
        try:
            scored = flight.job.future.result()
        except Exception as error:  # noqa: BLE001  # the boundary: a failed batch costs its own calls only
            self._fail(flight, error)
        else:
            self._pace.learn(flight.tokens, scored.seconds)
            self._hand_out(flight, scored)

    def _hand_out(self, flight: Flight, scored: Scored) -> None:
        self._count.batches += 1
        self._count.scored_pairs += flight.pairs
        self._count.scored_tokens += flight.tokens
        first = 0
        for piece in flight.pieces:
            count = piece.stop - piece.start
            piece.call.receive(piece.start, scored.scores[first : first + count])
            first += count

    def _fail(self, flight: Flight, error: Exception) -> None:
        self._count.failed_batches += 1
        log.error("batch failed pairs=%d tokens=%d reason=%s", flight.pairs, flight.tokens, in_words(error))
        if is_out_of_memory(error) and flight.pairs > 1:
            self._pace.shrink(flight.tokens // 2, now=self._loop.time())
            for half in halves(flight.pieces):
                self._calls.put_back(half)
            return
        for piece in flight.pieces:
            piece.call.fail(ModelFailed(f"the model failed: {in_words(error)}"))
        if is_device_lost(error):
            self._give_up(ScorerLost(f"the device is lost: {in_words(error)}"))

    def _give_up(self, why: RerankUnavailable) -> None:
        """Let nothing in any more, and end what waits."""
        self._unavailable = why
        self._has_outcome.set()
        self._has_ended.set()
        for call in self._calls:
            call.fail(_again(why))


@dataclass(slots=True, kw_only=True)
class _Counters:
    batches: int = 0
    batches_ahead: int = 0
    failed_batches: int = 0
    scored_pairs: int = 0
    scored_tokens: int = 0
    refused_calls: int = 0
    late_calls: int = 0
    cancelled_calls: int = 0


def _again(error: RerankUnavailable) -> RerankUnavailable:
    """Return a fresh copy: one exception object raised by many calls would collect their tracebacks."""
    return type(error)(*error.args)
