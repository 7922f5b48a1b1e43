"""Connections that are kept: the engine may close one at the very moment at which it is used again, or slowly."""

import asyncio

import pytest

from sidecar import tasks
from tests.faults.faulty_tcp import Ending, Fault, Point
from tests.faults.operations import OPERATIONS
from tests.faults.stack import running
from tests.faults.test_engine_side import CONNECTIONS, assert_error


@pytest.mark.parametrize("how", [Ending.CLOSE, Ending.RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_a_connection_that_ends_as_it_is_used_again_costs_no_search(kind: str, how: Ending) -> None:
    """Searches are sent again, on a new connection; what is no search is not, and its caller is told."""
    operation = OPERATIONS[kind]
    async with running() as stack:
        kept = await stack.caller()
        whole = await stack.answer(operation, by=kept)
        stack.wire.go_wrong(Fault(at=Point.REQUEST, how=how, is_once=True))
        key, reply = await stack.ask(operation, by=kept)
        if operation.is_search:
            assert whole.said == reply.said
            assert 1 == stack.engine.times(key)
        else:
            assert_error(reply, 502, operation)
            assert 0 == stack.engine.times(key)
        again, after = await stack.ask(operation, by=kept)
        assert whole.said == after.said
        assert 1 == stack.engine.times(again)


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_an_engine_that_closes_slowly_is_not_waited_for(kind: str, connection: str) -> None:
    """It has said `Connection: close` and all else, but its FIN does not come."""
    operation = OPERATIONS[kind]
    async with running() as stack:
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        stack.engine_app.is_draining = True
        stack.wire.go_wrong(Fault(holds_close=True))
        for _ in range(3):
            key, reply = await stack.ask(operation, by=kept)
            assert whole.said == reply.said
            assert 1 == stack.engine.times(key)
        stack.wire.recover()


@pytest.mark.parametrize("at", [Point.ANSWER, Point.IN_BODY], ids=["before the head", "in the body"])
@pytest.mark.parametrize("kind", [kind for kind, operation in OPERATIONS.items() if operation.has_body])
async def test_a_caller_who_goes_away_takes_the_engines_work_along(kind: str, at: Point) -> None:
    """Without a limit the program waits as long as its caller, and not a moment longer."""
    operation = OPERATIONS[kind]
    async with running() as stack:
        stack.wire.go_wrong(Fault(at=at, how=Ending.SILENCE))
        caller = await stack.caller()
        asking = tasks.start(stack.ask(operation, by=caller), name="ask")
        await stack.wire.silent.wait()
        await caller.close()
        async with asyncio.timeout(10):
            await stack.wire.left.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        stack.wire.recover()
        assert 200 == (await stack.answer(operation)).status
