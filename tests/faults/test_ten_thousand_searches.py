"""Ten thousand searches while the scorer is killed, again and again, and as many while it is stopped: none fails.

The short form, part of every run, has 300 of each; `make faults` has all.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sidecar import tasks
from sidecar.scoring.worker import SupervisedScorer
from tests.faults.caller import Caller, Reply
from tests.faults.effort import SEARCHES
from tests.faults.frail_scorer import frail_scorer
from tests.faults.operations import OPERATIONS
from tests.faults.stack import Stack, running
from tests.faults.test_scorer_process import pid_of

CALLERS = 8
BETWEEN = 25
"""Reranked searches between the return of a child and its death."""
SEARCH = OPERATIONS["search"]


@dataclass
class Tally:
    """What callers got."""

    own: Reply
    whole: Reply
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, reply: Reply) -> None:
        """Judge one answer."""
        outcome = reply.marker.partition(";")[0]
        if not self._is_right(reply, outcome):
            self.wrong.append(f"{reply.status} complete={reply.is_complete} {reply.marker}: {reply.body[:200]!r}")
        async with self.changed:
            self.outcomes[outcome] += 1
            self.changed.notify_all()

    async def more(self, outcome: str, count: int) -> None:
        """Wait until so many more searches have had this outcome."""
        async with self.changed:
            target = self.outcomes[outcome] + count
            await self.changed.wait_for(lambda: self.outcomes[outcome] >= target)

    def _is_right(self, reply: Reply, outcome: str) -> bool:
        if not reply.is_complete or reply.status != 200:
            return False
        match outcome:
            case "applied":
                return reply.said == self.whole.said
            case "degraded":
                return reply.body == self.own.body
            case "partial":  # the deadline cut the window: another order of the same books
                return len(reply.json["hits"]["hits"]) == len(self.own.json["hits"]["hits"])
            case _:
                return False


Disturb = Callable[[SupervisedScorer, Tally], Awaitable[None]]


async def kill_again_and_again(scorer: SupervisedScorer, tally: Tally) -> None:
    """Kill every child that has reranked a few searches."""
    while True:
        await tally.more("applied", BETWEEN)
        os.kill(pid_of(scorer), signal.SIGKILL)
        await tally.more("degraded", 1)


async def stop(scorer: SupervisedScorer, tally: Tally) -> None:
    """Stop the child for good."""
    await tally.more("applied", BETWEEN)
    os.kill(pid_of(scorer), signal.SIGSTOP)


@asynccontextmanager
async def disturbed(scorer: SupervisedScorer, tally: Tally, disturb: Disturb) -> AsyncIterator[None]:
    """Do this meanwhile."""
    disturbing = tasks.start(disturb(scorer, tally), name="disturb")
    try:
        yield
    finally:
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)


@pytest.mark.timeout(60 + SEARCHES / 10)
@pytest.mark.parametrize("disturb", [kill_again_and_again, stop], ids=["kill -9", "SIGSTOP"])
async def test_no_search_fails(disturb: Disturb) -> None:
    """Every answer is the engine's page or the reranked one, and says which; at the end searches are reranked."""
    async with frail_scorer() as scorer, running(scorer, deadline=0.2) as stack:
        await scorer.loaded()
        tally = Tally(own=await stack.direct(SEARCH), whole=await stack.answer(SEARCH, "X-Rerank-Deadline-Ms: 60000"))
        async with disturbed(scorer, tally, disturb):
            await search_on(stack, tally)
        if disturb is stop:
            os.kill(pid_of(scorer), signal.SIGCONT)
        await until_applied(stack, tally)
    assert [] == tally.wrong[:3]
    assert SEARCHES <= tally.outcomes.total()
    assert tally.outcomes["degraded"] > 0
    print(f"{disturb.__name__}: {dict(tally.outcomes)}, {scorer.starts} starts")  # noqa: T201  # shown by `make faults`


async def search_on(stack: Stack, tally: Tally) -> None:
    """Search SEARCHES times, a few at a time, on kept connections and on new ones."""
    left = iter(range(SEARCHES))

    async def work(*, is_kept: bool) -> None:
        caller: Caller | None = await stack.caller() if is_kept else None
        for _ in left:
            await tally.note(await stack.answer(SEARCH, by=caller))

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(work(is_kept=number % 2 == 0), name=f"caller {number}")


async def until_applied(stack: Stack, tally: Tally) -> None:
    """Search until the scorer is back."""
    async with asyncio.timeout(30):
        reply = await stack.answer(SEARCH)
        while not reply.marker.startswith("applied"):
            await tally.note(reply)
            reply = await stack.answer(SEARCH)
    assert tally.whole.said == reply.said
