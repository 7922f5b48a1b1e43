"""What stands behind one address: one scorer or many of them, which a balancer spreads requests over.

Who is there is learned from the answers, in which replicas name themselves and their model. Laws: a request that only
reads is sent twice at most, and the second time only where the first one died or is silent; silence may cost a small
share of requests more, so that a pool that is late is not asked twice as much. No HTTP library.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from cachetools import LRUCache

from sidecar import tasks
from sidecar.scoring.base import ModelFacts

Answer = TypeVar("Answer")

MAX_REQUESTS: Final = 256
"""Requests in flight at most, of one process: two windows of 100 texts for each search that it reranks by default."""

SEEN_SECONDS: Final = 30.0
"""A replica, or a model, that has not been heard of for so long is gone."""

PATIENCE_SHARE: Final = 0.5
"""The share of the time until its deadline after which a request without an answer may be sent to another replica."""

SECOND_TRIES_SHARE: Final = 0.05
"""The share of requests that silence may send once more."""

SECOND_TRIES_AT_ONCE: Final = 10.0
"""How many of them may be saved up, for the moment at which a machine is cut off."""

MAX_REPLICAS: Final = 256
"""Replicas whose figures are kept; the one that was not heard of for the longest time makes room."""

DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

UNNAMED: Final = ""
"""Who is named where nobody answered, or somebody that does not name itself."""


@dataclass(slots=True)
class ReplicaFigures:
    """What came of the requests to one replica. Counters grow from when it was first heard of."""

    #: by outcome: answered, refused, failed; died and given_up where nobody answered
    outcomes: Counter[str] = field(default_factory=Counter)
    #: answers by how long they took: one more than there are buckets
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    seconds: float = 0.0

    def took(self, seconds: float) -> None:
        """Count the duration of an answer."""
        self.seconds += seconds
        self.durations[bisect_left(DURATION_BUCKETS, seconds)] += 1


class Pool:
    """The replicas behind one address, as one caller sees them. Belongs to one event loop."""

    def __init__(self, max_requests: int = MAX_REQUESTS, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Have `max_requests` in flight at most. `clock` tells seconds."""
        self._clock = clock
        self._free = asyncio.Semaphore(max_requests)
        self._replicas: LRUCache[str, ReplicaFigures] = LRUCache(MAX_REPLICAS)
        self._replicas_seen: dict[str, float] = {}
        self._models_seen: dict[tuple[str | int, ...], float] = {}
        self._resent: Counter[str] = Counter()
        self._spare = SECOND_TRIES_AT_ONCE

    @property
    def replicas(self) -> Mapping[str, ReplicaFigures]:
        """What is known of each replica, by the name that it gives itself."""
        return dict(self._replicas)

    @property
    def resent(self) -> Mapping[str, int]:
        """How many requests were sent once more, by what the first try did: died, or silent."""
        return dict(self._resent)

    def models(self) -> int:
        """Return how many different models were heard of lately."""
        return _lately(self._models_seen, self._clock())

    def has_replicas(self) -> bool:
        """Whether several were heard of lately."""
        return _lately(self._replicas_seen, self._clock()) > 1

    def heard(self, replica: str | None, model: ModelFacts | None) -> None:
        """Learn from an answer who gave it."""
        if replica is not None:
            self._replicas_seen[replica] = self._clock()
        if model is not None:
            self._models_seen[model.identity] = self._clock()

    def count(self, replica: str | None, outcome: str, seconds: float | None = None) -> None:
        """Count what came of a request, and how long its answer took."""
        name = replica or UNNAMED
        figures = self._replicas.get(name)
        if figures is None:
            self._replicas[name] = figures = ReplicaFigures()
        figures.outcomes[outcome] += 1
        if seconds is not None:
            figures.took(seconds)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a request may be in flight, and let it be while the context lasts."""
        async with self._free:
            yield

    async def send(
        self,
        attempt: Callable[[], Coroutine[Any, Any, Answer]],
        *,
        has_died: Callable[[asyncio.Task[Answer]], bool],
        left: float | None,
    ) -> Answer:
        """Return what `attempt` does; it is made once more where the first one died, or is silent for too long.

        `has_died` tells of a task that is done whether somebody else should be asked; `left` is the time until the
        deadline, in seconds, None for none. The first good answer counts. The other attempt is cancelled.
        """
        self._spare = min(SECOND_TRIES_AT_ONCE, self._spare + SECOND_TRIES_SHARE)
        patience = left * PATIENCE_SHARE if left is not None and self.has_replicas() else None
        tries = [tasks.start(attempt(), name="first try")]
        try:
            done, _ = await asyncio.wait(tries, timeout=patience)
            if not done and not self._may_try_again():
                done, _ = await asyncio.wait(tries)
            if done and not has_died(tries[0]):
                return tries[0].result()
            self._resent["died" if done else "silent"] += 1
            tries.append(tasks.start(attempt(), name="second try"))
            return await _first_good(tries, has_died)
        finally:
            for each in tries:
                each.cancel()
            await asyncio.gather(*tries, return_exceptions=True)

    def _may_try_again(self) -> bool:
        if self._spare < 1.0:
            return False
        self._spare -= 1.0
        return True


async def _first_good(tries: list[asyncio.Task[Answer]], has_died: Callable[[asyncio.Task[Answer]], bool]) -> Answer:
    """Return the first answer of a replica that lives, or what the last try ended with."""
    waiting = set(tries)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        good = [each for each in tries if each in done and not has_died(each)]
        if good or not waiting:
            return (good or tries[-1:])[0].result()


def _lately(seen: dict[Any, float], now: float) -> int:
    """Return how many were seen lately, and forget the others."""
    for name in [name for name, when in seen.items() if now - when > SEEN_SECONDS]:
        del seen[name]
    return len(seen)
