"""A scorer on another machine, as the program sees it: our scoring protocol on TCP, whose answers a test can spoil."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.proxy.listener import listening
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring.pool import Pool
from sidecar.scoring.remote import RemoteOptions, RemoteScorer
from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH, read_call
from tests.faults.faulty_tcp import FaultProxy
from tests.faults.stack import ANYWHERE
from tests.unit.doubles import ScriptedScorer

Spoil = Callable[[list[float]], EndpointResponse]
"""Makes an answer of what would be the scores."""

WATCHFUL = RemoteOptions(impatient_poll=0.01, refused_poll=0.01, calm_poll=600.0)
"""Finds a scorer again at once, and asks nothing while all is well: a fault is met by searches alone."""


@dataclass
class ScorerServer:
    """Answers with the scores of ScriptedScorer, or with what `spoil` makes of them."""

    spoil: Spoil | None = None
    #: calls that have arrived
    calls: int = 0

    def __post_init__(self) -> None:
        """Have a scorer."""
        self._scorer = ScriptedScorer()
        self._protocol = ScoringProtocol(self._scorer)

    async def model(self, request: EndpointRequest) -> EndpointResponse:
        """Answer `GET /_rerank/model`."""
        reply = await self._protocol.model(request.body)
        return EndpointResponse(status=reply.status, body=reply.body)

    async def score(self, request: EndpointRequest) -> EndpointResponse:
        """Answer `POST /_rerank/score`."""
        self.calls += 1
        if self.spoil is not None:
            call = read_call(request.body)
            return self.spoil(await self._scorer.score(call.query, call.texts))
        reply = await self._protocol.score(request.body)
        return EndpointResponse(status=reply.status, body=reply.body)


@asynccontextmanager
async def remote_scorer() -> AsyncIterator[tuple[RemoteScorer, ScorerServer, FaultProxy]]:
    """Give a scorer over HTTP, found, and the server and the wire behind it."""
    server = ScorerServer()
    app = ProxyApp(None, {("GET", MODEL_PATH): server.model, ("POST", SCORE_PATH): server.score})
    async with listening(app, ANYWHERE) as address, FaultProxy(address.port) as wire:
        scorer = RemoteScorer(wire.url, WATCHFUL, pool=Pool())
        try:
            await scorer.loaded()
            yield scorer, server, wire
        finally:
            await scorer.aclose()
