"""What would have become of searches that are only observed, found out after their answers have left.

Laws: nobody waits for an observation: it begins when the answer is gone, its scores come after everybody's that have a
deadline, and only so many are in hand at a time, and begun in a second; the others are dropped and counted. It asks the
engine what would have been asked, with the caller's own headers. Its window is the one that the deadline would have
allowed; that it is scored to the end, without one, is the only thing that is different.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from connectors.errors import EngineError
from sidecar import first_stage, marker, tasks
from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.experiments import overlap
from sidecar.first_stage import FirstStage, Unusable, WholeAnswer
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.response import Ranked
from sidecar.searches import Search
from sidecar.telemetry.clock import Clock
from sidecar.text_fields import TextFields
from sidecar.two_steps import HitWeights
from sidecar.types import Observation, Operation, Outcome, RerankOptions, SkipReason

logger = logging.getLogger(__name__)

TOP: Final = 10

MOST_OBSERVED: Final = 4
"""Requests that are observed at the same time: each costs the engine a search, and this process its part of one."""

MOST_PER_SECOND: Final = 10
"""Searches whose observation begins within a second: reading a window takes milliseconds, and nobody is answered."""

Rank = Callable[[FirstStage, float | None], Awaitable[Ranked]]
"""Scores a first stage until a deadline, None for none; raises RerankUnavailable."""

Tell = Callable[[Observation], None]


def nobody(_: Observation) -> None:
    """Tell nobody."""


class Observer:
    """Observes the searches of one connector. Belongs to one event loop."""

    def __init__(
        self,
        rank: Rank,
        failure: Callable[[RerankOptions], RerankUnavailable | None],
        text_fields: TextFields,
        weights: HitWeights,
        tell: Tell = nobody,
        *,
        most: int = MOST_OBSERVED,
        draw: Callable[[], float] = random.random,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Have `rank` score what is observed, unless `failure` says why it cannot; `tell` gets what was found.

        `most` requests are in hand at a time. `draw` gives numbers from 0 to 1, which choose the sample. `now` gives
        seconds.
        """
        self._rank = rank
        self._failure = failure
        self._text_fields = text_fields
        self._weights = weights
        self._tell = tell
        self._most = most
        self._draw = draw
        self._now = now
        self._begun: deque[float] = deque(maxlen=MOST_PER_SECOND)
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, search: Search) -> None:
        """Observe a request that has been answered, where it is to be observed and is in the sample."""
        plans = {index: _patient(plan) for index, plan in search.observed.items() if self._is_drawn(plan.options)}
        room = self._room() if plans else 0
        taken = dict(islice(plans.items(), room))
        for index in plans.keys() - taken.keys():
            self._tell(_observation(search.operation, plans[index], None))
        if not taken:
            return
        self._begun.extend([self._now()] * len(taken))
        task = tasks.start(self._observe(search, taken), name="observe")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def aclose(self) -> None:
        """Give up what is in hand."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _room(self) -> int:
        """Return how many searches may be observed now."""
        if len(self._running) >= self._most:
            return 0
        second_ago = self._now() - 1.0
        return MOST_PER_SECOND - sum(begun > second_ago for begun in self._begun)

    def _is_drawn(self, options: RerankOptions) -> bool:
        return options.observe_percent >= 100 or self._draw() * 100 < options.observe_percent

    async def _observe(self, search: Search, plans: Mapping[int, Plan]) -> None:
        """Do the first stage of all searches, and then the second of one after the other."""
        assert search.exchange is not None
        scorable: dict[int, Plan] = {}
        for index, plan in plans.items():
            failure = None if plan.is_beyond_window else self._failure(plan.options)
            if failure is None:
                scorable[index] = plan
            else:
                self._tell(_observation(search.operation, plan, marker.degraded(failure)))
        if not scorable:
            return
        clock = Clock()
        try:
            stages = await first_stage.run(scorable, {}, search.exchange.again(), self._text_fields, self._weights)
        except (EngineError, WholeAnswer):
            for plan in scorable.values():
                self._tell(_observation(search.operation, plan, marker.skipped(SkipReason.ENGINE_ERROR)))
            return
        clock.first_stage_is_complete()
        for index, stage in stages.items():
            found = await self._second_stage(search.operation, scorable[index], stage)
            self._tell(replace(found, first_stage_seconds=clock.first_stage))

    async def _second_stage(self, operation: Operation, plan: Plan, stage: FirstStage | Unusable) -> Observation:
        if isinstance(stage, Unusable):
            return _observation(operation, plan, marker.skipped(stage.reason))
        if plan.is_beyond_window:
            return _observation(
                operation, plan, Marker(outcome=Outcome.APPLIED, candidates=0, window=plan.options.window)
            )
        began = time.monotonic()
        try:
            ranked = await self._rank(stage, None)
        except RerankUnavailable as error:
            return _observation(operation, plan, marker.degraded(error))
        except Exception as error:  # a mistake of ours, or of a scorer of somebody's own
            logger.exception("observation_failed")
            return _observation(operation, plan, marker.degraded(ModelFailed(f"{type(error).__name__}: {error}")))
        seconds = time.monotonic() - began
        found = _observation(operation, plan, _in_time(ranked.mark, plan.options, seconds))
        return replace(_compared(found, len(stage.hits), ranked), second_stage_seconds=seconds)


def _patient(plan: Plan) -> Plan:
    """Return a plan without what only a caller would look at."""
    return replace(plan, options=replace(plan.options, explain=False))


def _observation(operation: Operation, plan: Plan, mark: Marker | None) -> Observation:
    found = Observation(
        policy=plan.options.policy,
        operation=operation,
        outcome=None,
        index=plan.call.index,
        params=plan.call.params,
        body=plan.call.text,
        query=plan.query,
    )
    if mark is None:
        return found
    return replace(
        found,
        outcome=mark.outcome,
        reason=mark.reason,
        candidates=mark.candidates or 0,
        window=mark.window or 0,
        model=mark.model,
        queue_seconds=mark.timing.queue if mark.timing else None,
        model_seconds=mark.timing.model if mark.timing else None,
    )


def _in_time(mark: Marker, options: RerankOptions, seconds: float) -> Marker:
    """Return the marker of a search that was scored to the end: the deadline would have cut one that works longer.

    What it waited for the device is left out: it waits longer than a search that somebody waits for.
    """
    working = seconds - (mark.timing.queue if mark.timing else 0.0)
    if mark.outcome is Outcome.APPLIED and 0 < options.deadline < working:
        return replace(mark, outcome=Outcome.PARTIAL, reason="deadline")
    return mark


def _compared(found: Observation, hits: int, ranked: Ranked) -> Observation:
    """Return what was found with how far the new ranking is from the engine's, whose ranks are the hits' identity."""
    if ranked.kept is None:
        return found
    before, after = range(1, hits + 1), [place.rank for place in ranked.kept]
    top = tuple(after[:TOP])
    moves = [abs(position - rank) for position, rank in enumerate(top, start=1)]
    return replace(
        found,
        hits=hits,
        top=top,
        jaccard=overlap.jaccard(before, after, TOP),
        rbo=overlap.rbo(before, after),
        moved=sum(moves) / len(moves) if moves else None,
    )
