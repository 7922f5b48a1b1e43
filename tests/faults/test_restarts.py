"""Engines that end and come back: one node is missed only while it is away, one of two is not missed at all."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar import tasks
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.types import RerankOptions
from tests.faults.caller import Caller, Reply
from tests.faults.effort import IS_LONG
from tests.faults.operations import OPERATIONS
from tests.faults.stack import ANYWHERE, LATER, LedgerEngine, running
from tests.faults.test_engine_side import CONNECTIONS, assert_error
from tests.unit.doubles import ScriptedScorer

ROUNDS = 10 if IS_LONG else 2
"""How often both nodes are restarted."""
ANSWERS_BETWEEN = 60
"""Answers that callers have to get before the next thing happens to a node."""


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_an_engine_is_missed_only_while_it_is_away(kind: str, connection: str) -> None:
    """502 in its error shape, at once; the first request after its return is answered."""
    operation = OPERATIONS[kind]
    async with running() as stack:
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        await stack.wire.die()
        for _ in range(2):
            key, reply = await stack.ask(operation, by=kept)
            assert_error(reply, 502, operation)
            assert 0 == stack.engine.times(key)
        await stack.wire.start()
        key, after = await stack.ask(operation, by=kept)
        assert whole.said == after.said
        assert 1 == stack.engine.times(key)


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_a_dead_node_of_two_is_passed_over(kind: str, connection: str) -> None:
    """Whichever of them it is, nobody notices, and nothing arrives twice."""
    operation = OPERATIONS[kind]
    async with running(nodes=2) as stack:
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        await stack.answer(operation, by=kept)  # a connection to the other one
        for wire in stack.wires:
            await wire.die()
            for _ in range(3):
                key, reply = await stack.ask(operation, by=kept)
                assert whole.said == reply.said
                assert 1 == stack.engine.times(key)
            await wire.start()


@dataclass
class Load:
    """Callers that ask without a pause, each on a kept connection or on one for each request, and what they got."""

    port: int
    engine: LedgerEngine
    whole: dict[str, Reply] = field(default_factory=dict)
    #: by kind of request
    answered: Counter[str] = field(default_factory=Counter)
    #: what was wrong: kind of request, status, and the end of what came
    failed: list[tuple[str, int, bytes]] = field(default_factory=list)
    #: the keys of writes that were answered, and of those that were not
    written: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    _keys: Callable[[], int] = field(default=itertools.count().__next__)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def learn(self) -> None:
        """Remember the answer to each kind."""
        for kind in OPERATIONS:
            caller = Caller()
            self.whole[kind] = await self._one(caller, kind)
            await caller.close()

    async def more(self, answers: int = ANSWERS_BETWEEN) -> None:
        """Wait until so many more requests have been answered."""
        async with asyncio.timeout(30), self._changed:
            target = self.answered.total() + answers
            await self._changed.wait_for(lambda: self.answered.total() >= target)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Ask meanwhile."""
        stop = asyncio.Event()
        callers = [
            tasks.start(self._ask(stop, kind, is_kept=is_kept), name=f"{kind} {is_kept}")
            for kind in OPERATIONS
            for is_kept in (True, False)
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*callers)

    async def _ask(self, stop: asyncio.Event, kind: str, *, is_kept: bool) -> None:
        caller = Caller()
        while not stop.is_set():
            await self._one(caller, kind)
            if not is_kept:
                await caller.close()
            async with self._changed:
                self._changed.notify_all()
        await caller.close()

    async def _one(self, caller: Caller, kind: str) -> Reply:
        key = f"request-{self._keys():06}"
        if not caller.is_open:
            await caller.reconnect(self.port)
        reply = await caller.ask(OPERATIONS[kind].request(key))
        is_right = reply.is_complete and reply.status == 200
        if is_right and kind in self.whole:
            is_right = reply.said == self.whole[kind].said
        if is_right:
            self.answered[kind] += 1
        else:
            self.failed.append((kind, reply.status, reply.answer.content[-300:]))
        if OPERATIONS[kind].is_write:
            (self.written if is_right else self.unsure).append(key)
        return reply


class EngineNode:
    """A node that is really started and stopped: a server on a port that stays the same."""

    def __init__(self, engine: LedgerEngine) -> None:
        """Serve `engine`, once started."""
        self._engine = engine
        self._running = AsyncExitStack()
        self._address = ANYWHERE

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self._address)

    async def start(self) -> None:
        """Listen."""
        self._address = await self._running.enter_async_context(listening(ProxyApp(self._engine, {}), self._address))

    async def stop(self) -> None:
        """Close the listener and idle connections, and finish what is in flight, as a node does that is told to end."""
        await self._running.aclose()


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[LedgerEngine, list[EngineNode], Address]]:
    """Give an engine of two nodes, and the address of the program in front."""
    engine = LedgerEngine()
    nodes = [EngineNode(engine), EngineNode(engine)]
    try:
        for node in nodes:
            await node.start()
        relay = Relay([node.url for node in nodes], EngineOptions())
        async with RelayConnector(relay, EngineFacts(product="unknown")) as connector:
            policy = Policy(defaults=RerankOptions(fetch="once", deadline=LATER))
            app = ProxyApp(RerankingConnector(connector, ScriptedScorer(), policy), {})
            async with listening(app, ANYWHERE) as address:
                yield engine, nodes, address
    finally:
        for node in nodes:
            await node.stop()


async def test_a_rolling_restart_of_two_nodes_fails_no_search() -> None:
    """One after the other, under load: every search is answered, and no write arrives twice."""
    async with two_nodes() as (engine, nodes, address):
        load = Load(address.port, engine)
        await load.learn()
        async with load.going_on():
            await load.more()
            for node in nodes * ROUNDS:
                await node.stop()
                await load.more()
                await node.start()
                await load.more()
        restarts = len(nodes) * ROUNDS
    assert [] == [failure for failure in load.failed if OPERATIONS[failure[0]].is_search]
    assert len(load.unsure) <= 2 * restarts, load.failed  # each of the two who write had one in flight
    assert all(status == 502 for _, status, _ in load.failed), load.failed
    assert all(engine.times(key) == 1 for key in load.written)
    assert all(engine.times(key) <= 1 for key in load.unsure)


async def test_a_node_that_is_killed_costs_what_was_in_flight_there() -> None:
    """Its connections are reset in the middle of whatever they carried; the other node has the rest."""
    async with running(nodes=2) as stack:
        load = Load(stack.port, stack.engine)
        await load.learn()
        async with load.going_on():
            for wire in [*stack.wires] * ROUNDS:
                await load.more()
                before = len(load.failed)
                await wire.die()
                await load.more()
                assert len(load.failed) - before <= 2 * len(OPERATIONS)  # as many as there are callers
                await wire.start()
        assert all(stack.engine.times(key) == 1 for key in load.written)
        assert all(stack.engine.times(key) <= 1 for key in load.unsure)
