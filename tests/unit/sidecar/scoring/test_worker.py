"""The scorer as a child process: started, killed, started again, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from sidecar import tasks
from sidecar.errors import RerankUnavailable, ScorerLost, ScorerStarting
from sidecar.scoring.worker import SupervisedScorer, SupervisorOptions

CHILD = [sys.executable, "-m", "tests.scoring_server"]
QUICK = SupervisorOptions(back_off=0.01, longest_back_off=0.05, patience=5.0)


@asynccontextmanager
async def supervised(argv: Sequence[str], options: SupervisorOptions = QUICK) -> AsyncIterator[SupervisedScorer]:
    """Give a scorer in a child."""
    scorer = SupervisedScorer(argv, options)
    try:
        yield scorer
    finally:
        await scorer.aclose()


async def test_a_killed_child_is_started_again_and_calls_in_flight_end_at_once() -> None:
    """kill -9 while it works: the call is ScorerLost at once, the next child answers, and closing ends it."""
    async with supervised([*CHILD, "test:slow=60000"]) as scorer:
        with pytest.raises(ScorerStarting):
            scorer.describe()
        assert (await scorer.loaded()).name == "test:slow=60000"
        first = scorer.pid
        assert first is not None
        call = tasks.start(_failure(scorer), name="call")
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(5):
            assert isinstance(await call, ScorerLost)
        assert (await scorer.loaded()).name == "test:slow=60000"
        second = scorer.pid
        assert second not in (None, first)
        assert scorer.starts == 2
    assert not _is_running(second)


async def test_a_child_that_ends_at_once_is_tried_again_with_pauses() -> None:
    """The reason is in the words of every call."""
    async with supervised([sys.executable, "-c", "raise SystemExit(7)"]) as scorer:
        async with asyncio.timeout(10):
            while scorer.starts < 3:  # noqa: ASYNC110  # the supervisor announces nothing
                await asyncio.sleep(0.01)
        with pytest.raises(ScorerLost, match="exit_code=7"):
            scorer.describe()


async def test_a_command_that_does_not_exist_is_a_lost_scorer() -> None:
    """Searches degrade; the program goes on."""
    async with supervised(["/no/such/program"]) as scorer:
        await asyncio.sleep(0.02)
        with pytest.raises(ScorerLost, match="cannot be started"):
            scorer.describe()


async def test_a_child_that_ignores_sigterm_is_killed() -> None:
    """Closing takes as long as its patience, not longer."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(0).read()"
    async with supervised([sys.executable, "-c", deaf], SupervisorOptions(patience=0.05)) as scorer:
        await asyncio.sleep(0.2)
        child = scorer.pid
    assert child is not None
    assert not _is_running(child)


def test_a_child_dies_with_its_parent() -> None:
    """The parent is killed and cleans nothing up; its pipe's end is the child's end."""
    program = f"""
import asyncio
from sidecar.scoring.worker import SupervisedScorer

async def main():
    scorer = SupervisedScorer({[*CHILD, "test:identity"]!r})
    await scorer.loaded()
    print(scorer.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _is_running(child)
        parent.kill()
    give_up = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < give_up:
        os.sched_yield()
    assert not _is_running(child)


async def _failure(scorer: SupervisedScorer) -> RerankUnavailable | None:
    try:
        await scorer.score("q", ["a"])
    except RerankUnavailable as error:
        return error
    return None


def _is_running(pid: int | None) -> bool:
    """Whether there is such a process; one that nobody has waited for is none."""
    assert pid is not None
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
