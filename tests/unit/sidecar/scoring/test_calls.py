"""Who waits: what is taken, put back and counted."""

from __future__ import annotations

import math

import pytest

from sidecar.errors import ModelFailed
from sidecar.scoring.base import TokenPair
from sidecar.scoring.calls import Call, Calls, Piece, halves

PAIR = TokenPair((1,), (2, 3))
TOKENS = 6


def joined(calls: Calls, pairs: int, *, deadline: float = math.inf) -> Call:
    """Return a call with so many pairs that waits."""
    call = calls.new(deadline=deadline, expected_tokens=100, now=0.0)
    calls.join(call)
    calls.accept(call, [PAIR] * pairs)
    return call


def bounds(pieces: list[Piece]) -> list[tuple[int, int, int]]:
    """Return pieces as (arrival, start, stop)."""
    return [(piece.call.waiting.arrival, piece.start, piece.stop) for piece in pieces]


async def test_taken_pairs_wait_no_longer() -> None:
    """And put back they do, as the very next batch."""
    calls = Calls()
    joined(calls, 3)
    joined(calls, 3)
    assert calls.waiting_tokens == 6 * TOKENS
    pieces = calls.take(budget=4 * TOKENS, now=0.0)
    assert bounds(pieces) == [(1, 0, 3), (2, 0, 1)]
    assert calls.waiting_tokens == 2 * TOKENS
    calls.put_back(pieces)
    assert calls.waiting_tokens == 6 * TOKENS
    assert bounds(calls.take(budget=4 * TOKENS, now=0.0)) == [(1, 0, 3), (2, 0, 1)]
    assert bounds(calls.take(budget=4 * TOKENS, now=0.0)) == [(2, 1, 3)]
    assert calls.take(budget=4 * TOKENS, now=0.0) == []


async def test_who_has_ended_is_not_taken() -> None:
    """Neither from the queue nor from what was put back; a batch of nobody is passed over."""
    calls = Calls()
    first, second, third = joined(calls, 2), joined(calls, 2), joined(calls, 2)
    for batch in [calls.take(budget=2 * TOKENS, now=0.0) for _ in range(2)]:
        calls.put_back(batch)
    first.fail(ModelFailed("broken"))
    assert bounds(calls.take(budget=10 * TOKENS, now=0.0)) == [(2, 0, 2)]
    third.done.cancel()
    assert calls.take(budget=10 * TOKENS, now=0.0) == []
    assert not second.done.done()


async def test_what_comes_before_a_call_is_what_is_due_before_it() -> None:
    """Tokenised or not, launched no longer; nothing that is due later."""
    calls = Calls()
    joined(calls, 2, deadline=10.0)
    calls.join(calls.new(deadline=11.0, expected_tokens=50, now=0.0))
    later = joined(calls, 9, deadline=30.0)
    call = joined(calls, 1, deadline=20.0)
    assert calls.tokens_before(call) == 2 * TOKENS + 50
    calls.take(budget=TOKENS, now=0.0)
    assert calls.tokens_before(call) == TOKENS + 50
    assert calls.tokens_before(later) == 2 * TOKENS + 50


async def test_scores_come_piece_by_piece_and_in_any_order() -> None:
    """With the last one the call is done."""
    calls = Calls()
    call = joined(calls, 4)
    call.receive(2, [2.0, 3.0])
    assert not call.done.done()
    call.receive(0, [0.0, 1.0])
    assert await call.done == [0.0, 1.0, 2.0, 3.0]


async def test_a_call_that_failed_stays_failed() -> None:
    """Scores that come afterwards change nothing, and neither does another failure."""
    call = joined(Calls(), 1)
    call.fail(ModelFailed("first"))
    call.fail(ModelFailed("second"))
    call.receive(0, [1.0])
    with pytest.raises(ModelFailed, match="first"):
        await call.done


@pytest.mark.parametrize("sizes", [(1, 1), (5,), (1, 6, 2), (3, 1, 1, 1)])
async def test_halves_have_all_pairs_between_them(sizes: tuple[int, ...]) -> None:
    """Each once, and neither is empty."""
    calls = Calls()
    pieces = [Piece(joined(calls, size), 0, size) for size in sizes]
    first, second = halves(pieces)
    found = [(piece.call, position) for piece in first + second for position in range(piece.start, piece.stop)]
    assert found == [(piece.call, position) for piece in pieces for position in range(piece.stop)]
    assert sum(sizes) // 2 == sum(piece.stop - piece.start for piece in first)
