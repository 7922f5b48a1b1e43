"""Batches on their way: in order, in slots of their own, with an idea of when they are done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sidecar.scoring.base import TokenPair
from sidecar.scoring.calls import Calls, Piece
from sidecar.scoring.device_thread import DeviceThread
from sidecar.scoring.flights import Flights
from sidecar.scoring.pace import Pace
from tests.unit.sidecar.scoring.doubles import FakeModel, PreparingModel

PAIR_TOKENS = 5


@asynccontextmanager
async def flying(model: FakeModel) -> AsyncIterator[tuple[Flights, asyncio.Event]]:
    """Give flights of `model`, and what is set when one of them has ended."""
    landed = asyncio.Event()
    device = DeviceThread(name="under test")
    flights = Flights(model, device, landed.set)
    try:
        yield flights, landed
    finally:
        model.let_go(1000)
        flights.close()
        device.close()


def batch(text: str) -> list[Piece]:
    """Return a batch of one call, a pair for each letter."""
    calls = Calls()
    call = calls.new(deadline=math.inf, expected_tokens=0, now=0.0)
    calls.join(call)
    calls.accept(call, [TokenPair((ord("q"),), (ord(letter),)) for letter in text])
    return calls.take(budget=PAIR_TOKENS * len(text), now=0.0)


async def number_left(flights: Flights, landed: asyncio.Event, number: int) -> None:
    """Wait until so many batches are left."""
    while len(flights) > number:
        await landed.wait()
        landed.clear()
        list(flights.ended(0.0))


def pace() -> Pace:
    """Return the pace of a device that scores a pair in a second."""
    found = Pace()
    found.measured(float(PAIR_TOKENS))
    return found


async def test_a_model_that_prepares_nothing_has_one_batch_at_a_time() -> None:
    """There is nothing to be done ahead of time."""
    async with flying(FakeModel(is_gated=True)) as (flights, _):
        assert flights.has_room
        flights.launch(batch("ab"), now=0.0, pace=pace())
        assert not flights.has_room
        assert (len(flights), flights.pairs, flights.tokens) == (1, 2, 2 * PAIR_TOKENS)


async def test_batches_end_in_order_and_take_their_time_one_after_the_other() -> None:
    """The second one begins when the first has ended, and not when it was launched."""
    model = PreparingModel(is_gated=True)
    async with flying(model) as (flights, landed):
        flights.launch(batch("ab"), now=100.0, pace=pace())
        flights.launch(batch("cde"), now=101.0, pace=pace())
        assert not flights.has_room
        assert flights.seconds_left(101.0) == 1.0 + 3.0
        assert list(flights.ended(101.0)) == []
        model.let_go()
        await landed.wait()
        (first,) = flights.ended(110.0)
        assert (first.job.future.result().scores, first.pairs) == ([97.0, 98.0], 2)
        assert flights.seconds_left(110.0) == 3.0
        assert flights.seconds_left(200.0) == 0.0
        assert flights.has_room


async def test_a_slot_is_never_shared() -> None:
    """Of two batches that exist each has its own; one that is taken back leaves its slot to the next."""
    model = PreparingModel(is_gated=True)
    async with flying(model) as (flights, landed):
        flights.launch(batch("a"), now=0.0, pace=pace())
        assert await asyncio.to_thread(model.launched.acquire, timeout=10)
        second = batch("b")
        flights.launch(second, now=0.0, pace=pace())
        assert second == list(flights.take_back(second[0].call))
        assert flights.take_back(second[0].call) == ()
        flights.launch(batch("c"), now=0.0, pace=pace())
        model.let_go()
        await number_left(flights, landed, 1)
        flights.launch(batch("d"), now=0.0, pace=pace())
        model.let_go(2)
        await number_left(flights, landed, 0)
    assert [(0, ["a"]), (1, ["b"]), (1, ["c"]), (0, ["d"])] == model.prepared
    assert [["a"], ["c"], ["d"]] == model.batches


async def test_a_batch_that_has_begun_is_not_taken_back() -> None:
    """Nor one in which the call has nothing."""
    model = FakeModel(is_gated=True)
    async with flying(model) as (flights, _):
        begun, other = batch("a"), batch("b")
        flights.launch(begun, now=0.0, pace=pace())
        assert await asyncio.to_thread(model.launched.acquire, timeout=10)
        assert flights.take_back(begun[0].call) == ()
        assert flights.take_back(other[0].call) == ()
        assert len(flights) == 1


async def test_closing_waits_for_nobody() -> None:
    """What has not begun never does."""
    model = PreparingModel(is_gated=True)
    async with flying(model) as (flights, _):
        for text in ("a", "b"):
            flights.launch(batch(text), now=0.0, pace=pace())
        assert await asyncio.to_thread(model.launched.acquire, timeout=10)
        flights.close()
        assert len(flights) == 0
    assert model.batches == [["a"]]


async def test_what_is_no_score_fails_a_prepared_batch_too() -> None:
    """A score too few would put every later one on the wrong text."""
    model = PreparingModel()

    def one_short(pairs: Sequence[TokenPair]) -> list[float]:
        return [1.0] * (len(pairs) - 1)

    model.result = one_short
    async with flying(model) as (flights, landed):
        flights.launch(batch("ab"), now=0.0, pace=pace())
        await landed.wait()
        (flight,) = flights.ended(0.0)
        assert "1 scores for 2 pairs" in str(flight.job.future.exception())
