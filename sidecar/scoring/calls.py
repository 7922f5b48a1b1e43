"""Who waits for scores, in what order, and how much that is.

Belongs to one event loop. Law: a call is here from its admission until its end, whatever ended it, so that what is here
is alive and nothing of a call that has gone can be launched.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.errors import RerankUnavailable
from sidecar.scoring.base import TokenPair
from sidecar.scoring.batching import Slice, Waiting, choose
from sidecar.scoring.timing import Timing


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One call of `score`: its pairs, which of them are launched, and the scores so far."""

    done: asyncio.Future[list[float]]
    #: what the scheduling rules see of it; without pairs until it is tokenised
    waiting: Waiting
    #: tokens that it is thought to have, 0 once they are counted
    expected_tokens: int
    #: when it came, and when the device was given the first of it
    came: float
    launched: float | None = None
    pairs: Sequence[TokenPair] = ()
    #: tokens of pairs that wait for the device
    waiting_tokens: int = 0
    scores: list[float] | None = None
    missing: int = 0

    @property
    def deadline(self) -> float:
        """Absolute time, math.inf for none."""
        return self.waiting.deadline

    def is_before(self, other: Call) -> bool:
        """Whether this call is served before `other`; equal deadlines in order of arrival."""
        return (self.deadline, self.waiting.arrival) < (other.deadline, other.waiting.arrival)

    def timing(self, now: float) -> Timing | None:
        """Return how long it has waited and been computed, None while it waits."""
        return None if self.launched is None else Timing(self.launched - self.came, now - self.launched)

    def receive(self, start: int, scores: Sequence[float]) -> None:
        """Take the scores of the pairs from `start` on; with the last one the call is done."""
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


@dataclass(frozen=True, slots=True)
class Piece:
    """Pairs `start` to `stop` (exclusive) of a call, in one batch."""

    call: Call
    start: int
    stop: int

    @property
    def pairs(self) -> Sequence[TokenPair]:
        """The pairs, in order."""
        return self.call.pairs[self.start : self.stop]

    @property
    def tokens(self) -> int:
        """Tokens of the pairs."""
        return sum(self.call.waiting.tokens[self.start : self.stop])


class Calls:
    """All calls that have been admitted and have not ended."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._calls: dict[int, Call] = {}
        self._put_back: deque[Sequence[Piece]] = deque()
        self._arrivals = 0
        self._round = 0
        #: tokens of all pairs that are tokenised and wait for the device
        self.waiting_tokens = 0
        #: tokens that the calls that are not tokenised yet are thought to have
        self.expected_tokens = 0
        #: calls of which pairs have been launched, and the seconds that they waited for that, in all
        self.launched = 0
        self.waited_seconds = 0.0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        """Yield them in order of arrival."""
        return iter(list(self._calls.values()))

    @property
    def tokens(self) -> int:
        """Tokens of all that waits, tokenised or not."""
        return self.waiting_tokens + self.expected_tokens

    def new(self, *, deadline: float, expected_tokens: int, now: float) -> Call:
        """Return a call as it comes; `join` admits it."""
        self._arrivals += 1
        return Call(
            done=asyncio.get_running_loop().create_future(),
            waiting=Waiting(arrival=self._arrivals, tokens=(), deadline=deadline, joined=self._round),
            expected_tokens=expected_tokens,
            came=now,
        )

    def join(self, call: Call) -> None:
        """Admit a call."""
        self._calls[call.waiting.arrival] = call
        self.expected_tokens += call.expected_tokens

    def accept(self, call: Call, pairs: Sequence[TokenPair]) -> None:
        """Let a call wait for the device, now that it is tokenised."""
        self.expected_tokens -= call.expected_tokens
        tokens = [pair.tokens for pair in pairs]
        call.waiting = replace(call.waiting, tokens=tokens)
        call.pairs, call.expected_tokens = pairs, 0
        call.scores, call.missing = [math.nan] * len(pairs), len(pairs)
        self._wait(call, sum(tokens))

    def leave(self, call: Call) -> None:
        """Forget a call that has ended, however it has."""
        call.done.cancel()
        del self._calls[call.waiting.arrival]
        self.expected_tokens -= call.expected_tokens
        self._wait(call, -call.waiting_tokens)

    def tokens_before(self, call: Call) -> int:
        """Return the tokens of others that are served before a call, those included that are not tokenised yet."""
        return sum(
            other.waiting_tokens + other.expected_tokens for other in self._calls.values() if other.is_before(call)
        )

    def take(self, *, budget: int, now: float) -> list[Piece]:
        """Return the next batch, which counts as launched from here on: what was put back, less what has died since,
        then what `batching.choose` says."""
        pieces: list[Piece] = []
        while self._put_back and not pieces:
            pieces = [piece for piece in self._put_back.popleft() if not piece.call.done.done()]
        if not pieces:
            waiting = (call.waiting for call in self._calls.values() if not call.done.done())
            pieces = [self._begin(piece, now) for piece in choose(waiting, budget=budget, now=now)]
        for piece in pieces:
            self._wait(piece.call, -piece.tokens)
        return pieces

    def put_back(self, pieces: Sequence[Piece]) -> None:
        """Let a batch that was launched wait again, as the next one, less what has ended since."""
        alive = [piece for piece in pieces if not piece.call.done.done()]
        self._put_back.append(alive)
        for piece in alive:
            self._wait(piece.call, piece.tokens)

    def _wait(self, call: Call, tokens: int) -> None:
        call.waiting_tokens += tokens
        self.waiting_tokens += tokens

    def _begin(self, piece: Slice, now: float) -> Piece:
        call = self._calls[piece.arrival]
        if piece.start == 0:
            self.launched += 1
            self.waited_seconds += now - call.came
            call.launched = now
        call.waiting = replace(call.waiting, first=piece.stop)
        if call.deadline == math.inf:
            self._round = max(self._round, call.waiting.round(piece.stop - 1))
        return Piece(call, piece.start, piece.stop)


def halves(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Return the first and the second half of a batch's pairs."""
    left = sum(piece.stop - piece.start for piece in pieces) // 2
    first: list[Piece] = []
    second: list[Piece] = []
    for piece in pieces:
        middle = min(piece.stop, piece.start + left)
        left -= middle - piece.start
        if piece.start < middle:
            first.append(Piece(piece.call, piece.start, middle))
        if middle < piece.stop:
            second.append(Piece(piece.call, middle, piece.stop))
    return first, second
