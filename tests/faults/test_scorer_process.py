"""A scorer's process that is killed or stopped in the middle of a search, and what a device can do to it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from sidecar import tasks
from sidecar.errors import ModelFailed
from sidecar.scoring.worker import SupervisedScorer
from tests.faults.frail_scorer import ABSENT, BROKEN, CROWDED, POISONED, frail_scorer
from tests.faults.operations import OPERATIONS, Operation
from tests.faults.stack import running
from tests.faults.test_engine_side import CONNECTIONS
from tests.faults.test_scorer_side import RERANKED, SOON, assert_applied, assert_degraded
from tests.integration.held_scorer import Gate, held_scorer

Child = tuple[SupervisedScorer, Gate]


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one child for all of them: starting it takes longest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def child(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """Give a child and the gate at which it waits before every answer."""
    async with held_scorer(tmp_path_factory.mktemp("gate")) as both:
        yield both


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", RERANKED)
async def test_kill_9_in_the_middle_of_a_search(child: Child, kind: str, connection: str) -> None:
    """The search ends at once, without a deadline; the next child reranks again."""
    scorer, gate = child
    operation = OPERATIONS[kind]
    async with running(scorer, deadline=0.0) as stack:
        own = await stack.direct(operation)
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        assert_applied(whole, own)
        gate.close()
        asking = tasks.start(stack.ask(operation, by=kept), name="ask")
        await gate.asked.wait()
        killed = pid_of(scorer)
        os.kill(killed, signal.SIGKILL)
        key, reply = await asking
        assert_degraded(reply, own, "scorer_lost")
        assert 1 == stack.engine.times(key)
        gate.open()
        await scorer.loaded()
        assert whole.said == (await stack.answer(operation, by=kept)).said
        assert killed != pid_of(scorer)


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", RERANKED)
async def test_sigstop_in_the_middle_of_a_search(child: Child, kind: str, connection: str) -> None:
    """The search ends at its deadline; once the process goes on, searches are reranked again."""
    scorer, gate = child
    operation = OPERATIONS[kind]
    async with running(scorer) as stack:
        own = await stack.direct(operation)
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        assert_applied(whole, own)
        gate.close()
        asking = tasks.start(stack.ask(operation, SOON, by=kept), name="ask")
        await gate.asked.wait()
        stopped = pid_of(scorer)
        os.kill(stopped, signal.SIGSTOP)
        try:
            key, reply = await asking
            assert_degraded(reply, own, "deadline")
            assert 1 == stack.engine.times(key)
        finally:
            os.kill(stopped, signal.SIGCONT)
        gate.open()
        assert whole.said == (await stack.answer(operation, by=kept)).said
        assert stopped == pid_of(scorer)


async def test_a_device_that_fails_costs_its_searches_and_comes_back() -> None:
    """Too little memory: halves, until it fits. A forward that fails: its search. A lost device: a new process."""
    async with frail_scorer() as scorer, running(scorer, deadline=0.0) as stack:
        await scorer.loaded()
        search = asking("blue")
        own = await stack.direct(search)
        whole = await stack.answer(search)
        assert_applied(whole, own)
        crowded = await stack.answer(asking(CROWDED))
        assert whole.said == crowded.said
        assert_degraded(await stack.answer(asking(BROKEN)), own, "model")
        assert whole.said == (await stack.answer(search)).said
        first = pid_of(scorer)
        both = await asyncio.gather(stack.answer(asking(POISONED)), stack.answer(asking(POISONED)))
        for reply in both:
            assert_degraded(reply, own, None)
        while scorer.starts == 1:
            assert_degraded(await stack.answer(asking(POISONED)), own, None)
        await scorer.loaded()
        assert first != pid_of(scorer)
        assert whole.said == (await stack.answer(search)).said


async def test_a_model_that_cannot_be_loaded_is_told_by_every_search() -> None:
    """The child lives on and is not started again and again."""
    async with frail_scorer(ABSENT) as scorer, running(scorer, deadline=0.0) as stack:
        with pytest.raises(ModelFailed, match="no such model"):
            await scorer.loaded()
        for kind in RERANKED:
            operation = OPERATIONS[kind]
            assert_degraded(await stack.answer(operation), await stack.direct(operation), "model")
        assert 1 == scorer.starts


def asking(words: str) -> Operation:
    """Return a search for other words than the usual."""
    search = OPERATIONS["search"]
    return replace(search, body=lambda key: search.body(key).replace(b"blue sky", words.encode()))


def pid_of(scorer: SupervisedScorer) -> int:
    """Return the id of the child's process."""
    assert scorer.pid is not None
    return scorer.pid
