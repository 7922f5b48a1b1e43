"""A pool: who is there, what is sent twice, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from sidecar import tasks
from sidecar.scoring.pool import MAX_REPLICAS, SEEN_SECONDS, Pool
from tests.unit.sidecar.scoring.doubles import FACTS


class Clock:
    """A clock that stands still."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Attempts:
    """What the attempts of one request do, in turn; None never ends."""

    def __init__(self, *outcomes: str | Exception | None) -> None:
        """Do this."""
        self._outcomes = list(outcomes)
        self.begun = 0
        self.given_up = 0

    def __call__(self) -> Coroutine[Any, Any, str]:
        """Make the next one."""
        self.begun += 1
        return self._run(self._outcomes.pop(0))

    async def _run(self, outcome: str | Exception | None) -> str:
        try:
            if outcome is None:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None
        return outcome


def has_died(done: asyncio.Task[str]) -> bool:
    """Say so of a lost connection, and of an answer that says so."""
    return isinstance(done.exception(), OSError) if done.exception() else done.result() == "gone"


def of_two(**options: Any) -> Pool:
    """Return a pool in which two replicas were heard of."""
    pool = Pool(**options)
    pool.heard("one", FACTS)
    pool.heard("two", FACTS)
    return pool


async def send(pool: Pool, attempts: Callable[[], Coroutine[Any, Any, str]], left: float | None = None) -> str:
    """Send a request."""
    return await pool.send(attempts, has_died=has_died, left=left)


async def test_an_answer_is_the_answer() -> None:
    """Nothing is sent twice."""
    pool, attempts = of_two(), Attempts("scores")
    assert "scores" == await send(pool, attempts, left=60.0)
    assert (1, {}) == (attempts.begun, pool.resent)


@pytest.mark.parametrize("end", ["gone", ConnectionResetError("reset")])
async def test_what_died_is_sent_once_more(end: str | Exception) -> None:
    """Its connection, or its replica."""
    pool, attempts = of_two(), Attempts(end, "scores")
    assert "scores" == await send(pool, attempts)
    assert (2, {"died": 1}) == (attempts.begun, pool.resent)


async def test_what_dies_twice_is_dead() -> None:
    """There is no third time; the last end is the end."""
    attempts = Attempts(ConnectionResetError("reset"), ConnectionRefusedError("refused"))
    with pytest.raises(ConnectionRefusedError):
        await send(of_two(), attempts)
    assert 2 == attempts.begun
    assert "gone" == await send(of_two(), Attempts(ConnectionResetError("reset"), "gone"))


async def test_other_failures_are_not_sent_again() -> None:
    """What is wrong with a request is wrong everywhere."""
    pool, attempts = of_two(), Attempts(ValueError("no request"), "scores")
    with pytest.raises(ValueError, match="no request"):
        await send(pool, attempts)
    assert (1, {}) == (attempts.begun, pool.resent)


async def test_silence_is_answered_by_another_replica() -> None:
    """At half of the time that is left; the silent one is given up when the other has answered."""
    pool, attempts = of_two(), Attempts(None, "scores")
    assert "scores" == await send(pool, attempts, left=0.02)
    assert (2, 1, {"silent": 1}) == (attempts.begun, attempts.given_up, pool.resent)


async def test_the_silent_one_may_still_be_first() -> None:
    """It is not given up when the second attempt begins, nor when that one dies."""
    pool = of_two()
    answer = asyncio.Event()

    class Late(Attempts):
        async def _run(self, outcome: str | Exception | None) -> str:
            if outcome is None:
                await answer.wait()
                return "late scores"
            answer.set()
            return await super()._run(outcome)

    assert "late scores" == await send(pool, Late(None, ConnectionResetError("reset")), left=0.02)


@pytest.mark.parametrize("left", [None, 0.02])
async def test_a_lone_scorer_is_not_asked_twice_for_its_silence(left: float | None) -> None:
    """Nor anybody where there is no deadline: it would be the same work once more."""
    pool = Pool() if left else of_two()
    attempts = Attempts(None)
    call = tasks.start(send(pool, attempts, left=left), name="call")
    await asyncio.sleep(0.03)
    assert not call.done()
    call.cancel()
    await asyncio.wait({call})
    assert (1, 1) == (attempts.begun, attempts.given_up)


async def test_silence_costs_a_small_share_of_requests() -> None:
    """A pool that is late as a whole does not get twice the work."""
    pool = of_two()
    begun = 0
    for _ in range(100):
        attempts = Attempts(None, None)
        call = tasks.start(send(pool, attempts, left=0.0002), name="call")
        await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.wait({call})
        begun += attempts.begun
    assert 110 <= begun <= 116  # ten at once, and one of twenty


async def test_no_more_than_so_many_are_in_flight() -> None:
    """The next one waits for its turn."""
    pool, inside, most = Pool(2), 0, 0

    async def ask() -> None:
        nonlocal inside, most
        async with pool.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ask())
    assert 2 == most


def test_replicas_and_models_are_forgotten() -> None:
    """A while after they were last heard of."""
    clock = Clock()
    pool = Pool(clock=clock)
    assert (False, 0) == (pool.has_replicas(), pool.models())
    pool.heard("one", FACTS)
    pool.heard("one", replace(FACTS, tokens_per_second=1.0))
    assert (False, 1) == (pool.has_replicas(), pool.models())
    pool.heard("two", replace(FACTS, revision="another"))
    assert (True, 2) == (pool.has_replicas(), pool.models())
    clock.now += SEEN_SECONDS - 1
    pool.heard("two", replace(FACTS, revision="another"))
    clock.now += 2
    assert (False, 1) == (pool.has_replicas(), pool.models())


def test_what_came_of_requests_is_counted_by_replica() -> None:
    """A bounded number of them."""
    pool = Pool()
    pool.count("one", "answered", 0.004)
    pool.count("one", "answered", 60.0)
    pool.count(None, "died")
    assert {"answered": 2} == pool.replicas["one"].outcomes
    assert (1, 1) == (pool.replicas["one"].durations[2], pool.replicas["one"].durations[-1])
    assert 60.004 == pytest.approx(pool.replicas["one"].seconds)
    assert ({"died": 1}, 0) == (pool.replicas[""].outcomes, sum(pool.replicas[""].durations))
    for number in range(MAX_REPLICAS):
        pool.count(f"pod-{number}", "answered", 0.1)
    assert MAX_REPLICAS == len(pool.replicas)
    assert "one" not in pool.replicas
