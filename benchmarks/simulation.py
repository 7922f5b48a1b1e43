"""Fronts and scorers as queues, simulated (simpy): how long searches take where there are no such machines to try.

    search ─▶ a front, one core: half its work ─▶ requests ─▶ scorers, one after the other ─▶ the front's other half

Searches come when they are due. A front is the one with the fewest searches, a scorer the one with the fewest requests
(`leastconn`; ties in turn). What is neither work nor waiting, the way, is added as it is. Laws: nothing here is
measured; all durations are seconds that somebody else has measured, and what comes out is called simulated.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a search costs, in seconds."""

    #: of a front's core
    front: float
    #: of a scorer, for a whole window
    window: float
    #: of a scorer, for each request
    request: float = 0.0
    #: of nobody: the way, and what else takes time but no work
    way: float = 0.0
    #: standard deviation of a scorer's times, as a share of them; texts are not of one length
    spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """How many there are of everything."""

    fronts: int
    scorers: int
    #: requests that a window travels as
    requests: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What searches would have met, in seconds; busy shares from 0 to 1."""

    p50: float
    p99: float
    fronts_busy: float
    scorers_busy: float


class Servers:
    """Equal servers, each of which does one thing at a time, in the order of arrival."""

    def __init__(self, environment: simpy.Environment, count: int) -> None:
        """Have so many, all idle."""
        self._environment = environment
        self._servers = [simpy.Resource(environment) for _ in range(count)]
        self._loads = [0] * count
        self._turns = itertools.count()
        self._least = [(0, next(self._turns), server) for server in range(count)]
        self.busy_seconds = 0.0

    def take(self) -> int:
        """Choose the server with the least to do, which has one thing more now."""
        while True:
            load, _, server = heapq.heappop(self._least)
            if load == self._loads[server]:
                self._change(server, 1)
                return server

    def leave(self, server: int) -> None:
        """Have one thing less there."""
        self._change(server, -1)

    def work(self, server: int, seconds: float) -> Generator[Any, Any, None]:
        """Wait for a server's turn and work so long."""
        with self._servers[server].request() as turn:
            yield turn
            self.busy_seconds += seconds
            yield self._environment.timeout(seconds)

    def _change(self, server: int, by: int) -> None:
        self._loads[server] += by
        heapq.heappush(self._least, (self._loads[server], next(self._turns), server))


def simulate(due: Sequence[float], costs: Costs, site: Site, *, seed: int = 0) -> Simulated:
    """Return what searches that are due at these times would meet."""
    environment, chance = simpy.Environment(), random.Random(seed)
    fronts, scorers = Servers(environment, site.fronts), Servers(environment, site.scorers)
    latencies: list[float] = []
    seconds = costs.window / site.requests + costs.request

    def scored() -> Generator[Any, Any, None]:
        scorer = scorers.take()
        yield from scorers.work(scorer, _drawn(chance, seconds, costs.spread))
        scorers.leave(scorer)

    def search() -> Generator[Any, Any, None]:
        began = environment.now
        front = fronts.take()
        yield from fronts.work(front, costs.front / 2)
        yield environment.timeout(costs.way)
        yield environment.all_of([environment.process(scored()) for _ in range(site.requests)])
        yield from fronts.work(front, costs.front / 2)
        fronts.leave(front)
        latencies.append(environment.now - began)

    def arrive() -> Generator[Any, Any, None]:
        for time in due:
            yield environment.timeout(time - environment.now)
            environment.process(search())

    environment.process(arrive())
    environment.run()
    p50, p99 = (float(value) for value in np.percentile(latencies, [50, 99]))
    return Simulated(
        p50=p50,
        p99=p99,
        fronts_busy=fronts.busy_seconds / (environment.now * site.fronts),
        scorers_busy=scorers.busy_seconds / (environment.now * site.scorers),
    )


def _drawn(chance: random.Random, mean: float, spread: float) -> float:
    """Return a duration around `mean`: gamma, since none is negative."""
    if not spread:
        return mean
    shape = 1.0 / spread**2
    return chance.gammavariate(shape, mean / shape)
