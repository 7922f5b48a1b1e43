"""Every fault of a scorer x `_search` and `_msearch` x a kept and a new connection of the caller.

Whatever a scorer does, its caller gets the engine's own page with status 200 and the reason in the marker; and as soon
as it is well again, searches are reranked again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from sidecar.proxy.endpoints import EndpointResponse
from sidecar.scoring.wire import ERRORS, status_of, write_error
from tests.faults.caller import Reply
from tests.faults.faulty_tcp import Ending, Fault, FaultProxy, Point
from tests.faults.operations import OPERATIONS
from tests.faults.scorer_server import ScorerServer, Spoil, remote_scorer
from tests.faults.stack import running
from tests.faults.test_engine_side import CONNECTIONS

RERANKED = [kind for kind, operation in OPERATIONS.items() if operation.is_reranked]
OTHERS = [kind for kind, operation in OPERATIONS.items() if not operation.is_reranked]

SOON = "X-Rerank-Deadline-Ms: 100"
"""A deadline that passes before anything else happens."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a scorer does, on its wire or in its answers, and the reason in the marker; None: the search is reranked."""

    reason: str | None
    wire: Fault | None = None
    spoil: Spoil | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        """What the caller says."""
        return (SOON,) if self.reason == "deadline" else ()

    def begin(self, wire: FaultProxy, server: ScorerServer) -> None:
        """Let it happen."""
        server.spoil = self.spoil
        if self.wire is not None:
            wire.go_wrong(self.wire)


def lost(**fault: object) -> Case:
    """Return a case in which the connection ends without scores."""
    return Case(reason="scorer_lost", wire=Fault(**fault))  # type: ignore[arg-type]


def saying(body: bytes, *, reason: str = "model", status: int = 200) -> Case:
    """Return a case in which the scorer answers just so."""
    return Case(reason=reason, spoil=lambda _: EndpointResponse(status=status, body=body))


def giving(change: str) -> Case:
    """Return a case in which the first score is replaced by this JSON, none, one or several values."""

    def spoil(scores: list[float]) -> EndpointResponse:
        values = [value for value in (change, *map(json.dumps, scores[1:])) if value]
        return EndpointResponse(body=f'{{"scores":[{",".join(values)}]}}'.encode())

    return Case(reason="model", spoil=spoil)


def refusing(reason: str) -> Case:
    """Return a case in which the scorer says so itself."""
    error = ERRORS[reason]("by order")
    return saying(write_error(error), reason=reason, status=status_of(error))


CASES: Mapping[str, Case] = {
    "a little latency": Case(reason=None, wire=Fault(latency=0.02)),
    "jitter": Case(reason=None, wire=Fault(latency=0.001, jitter=0.02, piece_bytes=64)),
    "latency beyond the deadline": Case(reason="deadline", wire=Fault(latency=1.0)),
    "a line too narrow": Case(reason="deadline", wire=Fault(latency=0.1, piece_bytes=16)),
    "half-open": Case(reason="deadline", wire=Fault(at=Point.ANSWER, how=Ending.SILENCE)),
    "half-open in the scores": Case(reason="deadline", wire=Fault(at=Point.IN_BODY, how=Ending.SILENCE)),
    "reset before the head": lost(at=Point.ANSWER),
    "reset in the head": lost(at=Point.IN_HEAD),
    "reset in the scores": lost(at=Point.IN_BODY),
    "closed in the scores": lost(at=Point.IN_BODY, how=Ending.CLOSE),
    "reset in the request": lost(at=Point.IN_REQUEST),
    "closed before the request": lost(at=Point.REQUEST, how=Ending.CLOSE),
    "no HTTP": lost(instead=b"220 mail.example.org ESMTP\r\n"),
    "a score too few": giving(""),
    "a score too many": giving("0.5,0.5"),
    "NaN": giving("NaN"),
    "infinity": giving("-Infinity"),
    "an infinite number": giving("1e999"),
    "null": giving("null"),
    "a word": giving('"good"'),
    "no JSON": saying(b"0.5, 0.4"),
    "nothing": saying(b""),
    "a page": saying(b"<html><body>It works!</body></html>"),
    "scores by another name": saying(b'{"results":[]}'),
    "a broken proxy": saying(b"<html><body>Bad Gateway</body></html>", status=502, reason="scorer_lost"),
    "another model's error": saying(b'{"detail":"no such route"}', status=404, reason="scorer_lost"),
    "full": refusing("scheduler_full"),
    "late, it says": refusing("deadline"),
    "its model failed": refusing("model"),
    "starting": refusing("starting"),
}


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", RERANKED)
@pytest.mark.parametrize("name", CASES)
async def test_whatever_a_scorer_does_its_caller_has_the_engines_page(name: str, kind: str, connection: str) -> None:
    """And the reason; afterwards searches are reranked as before."""
    case, operation = CASES[name], OPERATIONS[kind]
    async with remote_scorer() as (scorer, server, wire), running(scorer) as stack:
        own = await stack.direct(operation)
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        assert_applied(whole, own)
        case.begin(wire, server)
        key, reply = await stack.ask(operation, *case.headers, by=kept)
        if case.reason is None:
            assert whole.said == reply.said
        else:
            assert_degraded(reply, own, case.reason)
        assert 1 == stack.engine.times(key)
        server.spoil = None
        wire.recover()
        await scorer.loaded()
        assert whole.said == (await stack.answer(operation, by=kept)).said


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", RERANKED)
async def test_a_scorer_that_is_away_is_not_waited_for(kind: str, connection: str) -> None:
    """Its port refuses; searches have no deadline here, and come back all the same."""
    operation = OPERATIONS[kind]
    async with remote_scorer() as (scorer, _, wire), running(scorer, deadline=0.0) as stack:
        own = await stack.direct(operation)
        kept = await stack.caller() if connection == "kept" else None
        whole = await stack.answer(operation, by=kept)
        await wire.die()
        for _ in range(3):
            assert_degraded(await stack.answer(operation, by=kept), own, "scorer_lost")
        await wire.start()
        await scorer.loaded()
        assert whole.said == (await stack.answer(operation, by=kept)).said


@pytest.mark.parametrize("how", ["away", "silent"])
@pytest.mark.parametrize("kind", OTHERS)
async def test_what_needs_no_scorer_does_not_notice(kind: str, how: str) -> None:
    """Whatever is not reranked goes on."""
    operation = OPERATIONS[kind]
    async with remote_scorer() as (scorer, server, wire), running(scorer) as stack:
        whole = await stack.answer(operation)
        if how == "away":
            await wire.die()
        else:
            wire.go_wrong(Fault(at=Point.ANSWER, how=Ending.SILENCE))
        key, reply = await stack.ask(operation)
        assert whole.said == reply.said
        assert (200, 1, 0) == (reply.status, stack.engine.times(key), server.calls)


async def test_a_silent_scorer_is_soon_not_asked_any_more() -> None:
    """Three searches wait for their deadline; until the breaker lets one try again, no other is sent to it."""
    operation = OPERATIONS["search"]
    async with remote_scorer() as (scorer, _, wire), running(scorer) as stack:
        own = await stack.direct(operation)
        wire.go_wrong(Fault(at=Point.REQUEST, how=Ending.SILENCE))
        for _ in range(3):
            assert_degraded(await stack.answer(operation, SOON), own, "deadline")
        opened = wire.exchanges
        for _ in range(20):
            assert_degraded(await stack.answer(operation), own, "scorer_lost")  # with a deadline that does not pass
        assert opened == wire.exchanges


async def test_a_redirect_is_not_followed() -> None:
    """Texts go to the scorer that was configured, and nowhere else."""
    operation = OPERATIONS["search"]
    async with (
        remote_scorer() as (_, elsewhere, other),
        remote_scorer() as (scorer, server, _),
        running(scorer) as stack,
    ):
        own = await stack.direct(operation)
        location = (("Location", f"{other.url}/_rerank/score"),)
        server.spoil = lambda _: EndpointResponse(status=307, headers=location)
        assert_degraded(await stack.answer(operation), own, "scorer_lost")
        assert 0 == elsewhere.calls


def assert_applied(reply: Reply, own: Reply) -> None:
    """Assert that each search of a request was reranked, and that this shows."""
    assert (200, True) == (reply.status, reply.is_complete)
    assert {"applied"} == {entry.partition(";")[0] for entry in reply.marker.split(", ")}
    assert own.body != reply.body


def assert_degraded(reply: Reply, own: Reply, reason: str | None) -> None:
    """Assert that the caller has what the engine says, and why; None: whatever the reason."""
    assert (200, True) == (reply.status, reply.is_complete)
    assert own.body == reply.body
    entries = set(reply.marker.split(", "))
    if reason is None:
        assert {"degraded"} == {entry.partition(";")[0] for entry in entries}, entries
    else:
        assert {f"degraded; reason={reason}"} == entries
