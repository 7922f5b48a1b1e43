"""Which waiting pairs form the next batch.

Pure: values in, values out; no clock, no torch, no asyncio.

Invariants, for any waiting work (each is a property in the tests):

1. A pair is in at most one batch: a slice starts where the request's last one ended.
2. A batch costs at most `budget` tokens, unless it is one single pair that alone costs more.
3. Work whose deadline has passed is never in a batch.
4. A batch is empty only when nothing alive waits, and it is full unless it holds all that waits: no pair is held back.
5. Earliest deadline first; among equal deadlines, first come first served, since they are the calls of one search.
6. Requests without a deadline come last and take turns of TURN_PAIRS pairs, so that one of a thousand pairs delays one
   of ten by a turn at most. Whoever comes later joins the round that is being served, and overtakes nobody for ever.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

TURN_PAIRS = 32
"""Pairs that a request without a deadline may place before the others have had their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is left of one request. `arrival` is its identity; it grows with time."""

    arrival: int
    #: tokens of every pair of the request, launched ones included, in order
    tokens: Sequence[int]
    #: pairs before this one have been launched
    first: int = 0
    #: absolute time, math.inf for none; a deadline that is now is missed
    deadline: float = math.inf
    #: the round that was being served when the request came: the turns that it need not catch up with
    joined: int = 0

    def round(self, position: int) -> int:
        """Return the round in which the pair at `position` has its turn; with a deadline there is but one."""
        return self.joined + position // TURN_PAIRS if self.deadline == math.inf else 0

    def priority(self, position: int) -> tuple[float, int, int]:
        """Return when the pair at `position` is served, the smallest first: deadline, round, arrival."""
        return (self.deadline, self.round(position), self.arrival)


@dataclass(frozen=True, slots=True)
class Slice:
    """Pairs `start` to `stop` (exclusive) of the request `arrival`."""

    arrival: int
    start: int
    stop: int


def choose(waiting: Iterable[Waiting], *, budget: int, now: float) -> tuple[Slice, ...]:
    """Return the next batch of at most `budget` tokens; see the module's invariants.

    `budget` counts tokens as `Waiting.tokens` does. There is one slice per request; its pairs keep their order.
    """
    slices: dict[int, Slice] = {}
    left = budget
    for request, start, stop in _turns(waiting, now):
        fitting, cost = _fit(request.tokens, start, stop, left)
        if fitting == start and not slices:
            fitting, cost = start + 1, budget  # a pair longer than the budget goes alone
        if fitting > start:
            begun = slices.get(request.arrival)  # turns of one request follow each other
            slices[request.arrival] = Slice(request.arrival, begun.start if begun else start, fitting)
        left -= cost
        if fitting < stop:
            break
    return tuple(slices.values())


def _turns(waiting: Iterable[Waiting], now: float) -> Iterator[tuple[Waiting, int, int]]:
    """Yield the turns (request, first pair, end) of everybody alive, in order of service."""
    queue = [
        (request.priority(request.first), request.first, request)
        for request in waiting
        if request.deadline > now and request.first < len(request.tokens)
    ]
    heapq.heapify(queue)  # priorities differ, since arrivals do
    while queue:
        _, start, request = queue[0]
        stop = min(len(request.tokens), (start // TURN_PAIRS + 1) * TURN_PAIRS)
        if stop < len(request.tokens):
            heapq.heapreplace(queue, (request.priority(stop), stop, request))
        else:
            heapq.heappop(queue)
        yield request, start, stop


def _fit(tokens: Sequence[int], start: int, stop: int, left: int) -> tuple[int, int]:
    """Return how far pairs from `start` fit into `left` tokens, and what they cost."""
    cost = 0
    for position in range(start, stop):
        if cost + tokens[position] > left:
            return position, cost
        cost += tokens[position]
    return stop, cost
