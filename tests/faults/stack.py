"""The program between two faulty wires, in this process: callers, proxy, wire, engine; and a scorer beside it.

The engine notes what reaches it, so that nothing can be sent twice unseen.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from connectors.base import RelayRequest, RelayResponse, header, without_headers
from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions
from tests.faults.caller import Caller, Reply, asked_alone
from tests.faults.faulty_tcp import FaultProxy
from tests.faults.operations import KEY, Operation
from tests.unit.doubles import ScriptedEngine, ScriptedScorer, in_chunks

ANYWHERE = Address(host="127.0.0.1", port=0)
LATER = 30.0
"""A deadline in seconds that does not pass, however busy the machine is."""

TEXTS = [f"{'blue sky ' * (12 - number)}number {number}" for number in range(12)]
"""In the engine's order the longest is the first; the scorer's order is the reverse."""

BOOKS: Sequence[str] = TEXTS


class LedgerEngine(ScriptedEngine):
    """A scripted engine that can say how often a request has reached it."""

    def __init__(self, *, is_chunked: bool = False) -> None:
        """Have the books; with `is_chunked` answers have no Content-Length."""
        super().__init__(*BOOKS)
        self._is_chunked = is_chunked
        #: set when a request has begun to arrive
        self.begun = asyncio.Event()

    def times(self, key: str) -> int:
        """Return how often a request known by `key` has arrived as a whole."""
        return sum(header(request.headers, KEY) == key for request in self.relayed)

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer, without a body where HTTP has none, and forget the request's."""
        self.begun.set()
        async with super().relay(request) as answer:
            self.relayed_bodies.clear()
            headers = without_headers(answer.headers, "content-length") if self._is_chunked else answer.headers
            chunks = answer.chunks if request.method != "HEAD" else in_chunks(b"")
            yield replace(answer, headers=headers, chunks=chunks)


@dataclass
class Stack:
    """What runs, and the callers that have a connection."""

    engine: LedgerEngine
    engine_app: ProxyApp
    engine_port: int
    wires: Sequence[FaultProxy]
    port: int
    _asked: int = 0
    _callers: list[Caller] = field(default_factory=list)

    @property
    def wire(self) -> FaultProxy:
        """The wire to the engine's first node."""
        return self.wires[0]

    async def caller(self) -> Caller:
        """Return a caller with a connection of its own."""
        caller = Caller()
        await caller.reconnect(self.port)
        self._callers.append(caller)
        return caller

    async def ask(self, operation: Operation, *headers: str, by: Caller | None = None) -> tuple[str, Reply]:
        """Send a request and return its key and its answer.

        Who is `by` keeps its connection, and gets a new one where it was closed; else the connection is for this alone.
        """
        key = f"request-{self._asked:06}"
        self._asked += 1
        if by is None:
            return key, await asked_alone(self.port, operation.request(key, *headers, keeps=False))
        if not by.is_open:
            await by.reconnect(self.port)
        return key, await by.ask(operation.request(key, *headers))

    async def answer(self, operation: Operation, *headers: str, by: Caller | None = None) -> Reply:
        """Return the answer alone."""
        return (await self.ask(operation, *headers, by=by))[1]

    async def direct(self, operation: Operation) -> Reply:
        """Return the engine's own answer."""
        return await asked_alone(self.engine_port, operation.request("direct", keeps=False))

    async def hang_up(self) -> None:
        """Close all callers' connections."""
        for caller in self._callers:
            await caller.close()


@asynccontextmanager
async def running(
    scorer: Scorer | None = None,
    *,
    nodes: int = 1,
    read_timeout: float | None = None,
    is_chunked: bool = False,
    **options: object,
) -> AsyncIterator[Stack]:
    """Give a proxy in front of so many nodes of one engine. `options` are those of RerankOptions."""
    engine = LedgerEngine(is_chunked=is_chunked)
    engine_app = ProxyApp(engine, {})
    policy = Policy(defaults=RerankOptions(**{"fetch": "once", "deadline": LATER, **options}))  # type: ignore[arg-type]
    async with listening(engine_app, ANYWHERE) as behind:
        wires = [FaultProxy(behind.port) for _ in range(nodes)]
        try:
            for wire in wires:
                await wire.start()
            relay = Relay([wire.url for wire in wires], EngineOptions(read_timeout=read_timeout))
            async with RelayConnector(relay, EngineFacts(product="unknown")) as connector:
                reranking = RerankingConnector(connector, scorer or ScriptedScorer(), policy)
                async with listening(ProxyApp(reranking, {}), ANYWHERE) as address:
                    stack = Stack(engine, engine_app, behind.port, wires, address.port)
                    try:
                        yield stack
                    finally:
                        await stack.hang_up()
        finally:
            for wire in wires:
                await wire.die()
