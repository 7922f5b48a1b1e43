"""Every fault on the way to the engine x every kind of request x a kept and a new connection.

What a caller may get is the engine's whole answer, an error in the engine's shape, or an answer that is plainly cut
short. What may reach the engine is a read once more than asked, and a write never so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pytest

from tests.faults.caller import Reply
from tests.faults.faulty_tcp import Ending, Fault, Point
from tests.faults.operations import OPERATIONS, Operation
from tests.faults.stack import Stack, running

PATIENCE = 0.2
"""Seconds after which the program gives a silent engine up, where that is tested."""


class Outcome(Enum):
    """What the caller gets."""

    WHOLE = "the engine's answer, reranked where it always is"
    UNAVAILABLE = 502
    TIMEOUT = 504
    CUT = "the beginning of the engine's answer, and a closed connection"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault and what comes of it."""

    fault: Fault
    #: for searches that are reranked, whose answers are held until they are complete
    held: Outcome
    #: for everything else, streamed
    streamed: Outcome
    #: for requests and answers without a body
    bodiless: Outcome
    #: whether the engine has had the whole request
    reaches: bool = True
    is_chunked: bool = False
    read_timeout: float | None = None

    def outcome(self, operation: Operation) -> Outcome:
        """Return what a caller of `operation` gets."""
        if not operation.has_body:
            return self.bodiless
        return self.held if operation.is_reranked else self.streamed


def slow(**fault: float) -> Case:
    """Return a case in which everything comes in the end."""
    return Case(fault=Fault(**fault), held=Outcome.WHOLE, streamed=Outcome.WHOLE, bodiless=Outcome.WHOLE)  # type: ignore[arg-type]


def lost(fault: Fault, *, reaches: bool = True) -> Case:
    """Return a case in which no answer begins."""
    gone = Outcome.UNAVAILABLE
    return Case(fault=fault, held=gone, streamed=gone, bodiless=gone, reaches=reaches)


def silent(at: Point, *, streamed: Outcome, bodiless: Outcome) -> Case:
    """Return a case in which nothing more comes, and no end."""
    fault = Fault(at=at, how=Ending.SILENCE)
    return Case(fault=fault, held=Outcome.TIMEOUT, streamed=streamed, bodiless=bodiless, read_timeout=PATIENCE)


def cut(how: Ending, *, is_chunked: bool = False) -> Case:
    """Return a case in which an answer ends in its body."""
    return Case(
        fault=Fault(at=Point.IN_BODY, how=how),
        held=Outcome.UNAVAILABLE,
        streamed=Outcome.CUT,
        bodiless=Outcome.WHOLE,
        is_chunked=is_chunked,
    )


CASES: Mapping[str, Case] = {
    "latency": slow(latency=0.05),
    "jitter": slow(latency=0.001, jitter=0.02, piece_bytes=512),
    "a narrow line": slow(latency=0.001, piece_bytes=64),
    "reset before the head": lost(Fault(at=Point.ANSWER)),
    "closed before the head": lost(Fault(at=Point.ANSWER, how=Ending.CLOSE)),
    "reset in the head": lost(Fault(at=Point.IN_HEAD)),
    "closed in the head": lost(Fault(at=Point.IN_HEAD, how=Ending.CLOSE)),
    "reset in the body": cut(Ending.RESET),
    "closed in the body": cut(Ending.CLOSE),
    "reset in a chunked body": cut(Ending.RESET, is_chunked=True),
    "closed in a chunked body": cut(Ending.CLOSE, is_chunked=True),
    "half-open before the head": silent(Point.ANSWER, streamed=Outcome.TIMEOUT, bodiless=Outcome.TIMEOUT),
    "half-open in the body": silent(Point.IN_BODY, streamed=Outcome.CUT, bodiless=Outcome.WHOLE),
    "no HTTP": lost(Fault(instead=b"220 mail.example.org ESMTP\r\n")),
    "two heads": lost(Fault(instead=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}")),
    "reset in the request": Case(
        fault=Fault(at=Point.IN_REQUEST),
        held=Outcome.UNAVAILABLE,
        streamed=Outcome.UNAVAILABLE,
        bodiless=Outcome.WHOLE,
        reaches=False,
    ),
    "closed before the request": lost(Fault(at=Point.REQUEST, how=Ending.CLOSE), reaches=False),
}
CONNECTIONS = ("kept", "new")


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("name", CASES)
async def test_no_answer_is_wrong_and_no_write_is_repeated(name: str, kind: str, connection: str) -> None:
    """The answer before the fault and the one after it are equal: what broke is forgotten."""
    case, operation = CASES[name], OPERATIONS[kind]
    async with running(is_chunked=case.is_chunked, read_timeout=case.read_timeout) as stack:
        kept = await stack.caller() if connection == "kept" else None
        whole = await healthy(stack, operation) if kept is None else await stack.answer(operation, by=kept)
        stack.wire.go_wrong(case.fault)
        key, reply = await stack.ask(operation, by=kept)
        if case.fault.how is Ending.SILENCE and case.outcome(operation) is not Outcome.WHOLE:
            await stack.wire.left.wait()
        stack.wire.recover()
        assert_outcome(case.outcome(operation), reply, whole, operation)
        assert_reached(stack.engine.times(key), case, operation)
        for caller in (kept, None):
            again, after = await stack.ask(operation, by=caller)
            assert whole.said == after.said
            assert 1 == stack.engine.times(again)


async def healthy(stack: Stack, operation: Operation) -> Reply:
    """Return the answer where nothing goes wrong, and leave no connection to the engine behind."""
    whole = await stack.answer(operation)
    await stack.wire.die()
    await stack.wire.start()
    return whole


def assert_outcome(outcome: Outcome, reply: Reply, whole: Reply, operation: Operation) -> None:
    """Assert that the caller got this."""
    match outcome:
        case Outcome.WHOLE:
            assert reply.is_complete
            assert whole.said == reply.said
            assert 200 == reply.status
        case Outcome.CUT:
            assert not reply.is_complete
            assert 200 == reply.status
            assert whole.body.startswith(reply.body)
        case Outcome.UNAVAILABLE | Outcome.TIMEOUT:
            assert reply.is_complete
            assert_error(reply, outcome.value, operation)


def assert_error(reply: Reply, status: int, operation: Operation) -> None:
    """Assert that it is an error as engines write theirs; a search that was given up says so in its marker, too."""
    assert status == reply.status
    if operation.has_body:
        error = reply.json["error"]
        kind = "engine_timeout" if status == 504 else "engine_unavailable"
        assert (kind, status) == (error["root_cause"][0]["type"], reply.json["status"])
    if operation.is_search:
        assert "skipped; reason=engine_error" == reply.marker


def assert_reached(times: int, case: Case, operation: Operation) -> None:
    """Assert how often the engine has had the request."""
    if operation.is_write or case.outcome(operation) is Outcome.WHOLE:
        assert int(case.reaches or case.outcome(operation) is Outcome.WHOLE) == times
    else:  # a read may have been sent a second time, on a new connection
        assert times <= 2 * case.reaches
