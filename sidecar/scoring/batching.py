"""Which waiting pairs form the next batch.

Pure: values in, values out; no clock, no torch, no asyncio.

Invariants, for any waiting work (each is a property in the tests):

1. A pair is in at most one batch: a slice starts where the request's last one ended.
2. A batch costs at most `budget` tokens, unless it is one single pair that alone costs more.
3. Dead work (cancelled, or its deadline passed) is never in a batch.
4. A batch is empty only when nothing alive waits.
5. Earliest deadline first. Among equal deadlines requests take turns of TURN_PAIRS pairs, so a request of a
   thousand pairs delays one of ten by a turn at most. Whoever comes later joins the round that is being served, so
   nobody is overtaken for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

TURN_PAIRS = 32
"""Pairs that a request may place before others of the same deadline: at least the chunk of `score_prefix`, so that
the chunks of one search, which share its deadline, finish one after the other."""


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
    is_cancelled: bool = False
    #: the round that was being served when the request came: the turns that it need not catch up with
    joined: int = 0

    def priority(self, position: int) -> tuple[float, int, int]:
        """Return when the pair at `position` is served, the smallest first: deadline, round, arrival."""
        return (self.deadline, self.joined + position // TURN_PAIRS, self.arrival)


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
    alive = [request for request in waiting if not request.is_cancelled and request.deadline > now]
    return _fill(alive, budget)


def _fill(alive: Sequence[Waiting], budget: int) -> tuple[Slice, ...]:
    """Take turns in order of priority until the next pair does not fit."""
    slices: list[Slice] = []
    left = budget
    for request, start, stop in _turns(alive):
        fitting, cost = _fit(request.tokens, start, stop, left)
        if fitting == start and not slices:
            fitting = start + 1  # a pair longer than the budget goes alone
            cost = budget
        if fitting > start:
            slices.append(Slice(request.arrival, start, fitting))
        left -= cost
        if fitting < stop:
            break
    return _joined(slices)


def _turns(alive: Sequence[Waiting]) -> list[tuple[Waiting, int, int]]:
    """Return every turn (request, first pair, end) of everybody, in order of service."""
    turns = [
        (request.priority(start), request, start, stop)
        for request in alive
        for start, stop in _bounds(request.first, len(request.tokens))
    ]
    turns.sort(key=lambda turn: turn[0])
    return [(request, start, stop) for _, request, start, stop in turns]


def _bounds(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut first..end at multiples of TURN_PAIRS."""
    while first < end:
        stop = min(end, (first // TURN_PAIRS + 1) * TURN_PAIRS)
        yield first, stop
        first = stop


def _fit(tokens: Sequence[int], start: int, stop: int, left: int) -> tuple[int, int]:
    """Return how far pairs from `start` fit into `left` tokens, and what they cost."""
    cost = 0
    for position in range(start, stop):
        if cost + tokens[position] > left:
            return position, cost
        cost += tokens[position]
    return stop, cost


def _joined(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return one slice per request; turns of one request follow each other."""
    spans: dict[int, Slice] = {}
    for piece in slices:
        known = spans.get(piece.arrival, piece)
        spans[piece.arrival] = Slice(piece.arrival, known.start, piece.stop)
    return tuple(spans.values())
