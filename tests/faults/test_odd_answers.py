"""Answers that an engine, or what stands before it, does give, but that are no search answers: the caller has them as
they are."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from connectors.relay import EngineFacts, Relay, RelayConnector
from sidecar.pipeline import RerankingConnector
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import listening
from tests.faults.caller import Caller
from tests.faults.operations import OPERATIONS
from tests.faults.stack import ANYWHERE
from tests.faults.test_engine_side import CONNECTIONS
from tests.unit.doubles import ScriptedScorer
from tests.unit.raw_http import Script, reply, upstream

JSON = "Content-Type: application/json"
BUSY = b'{"error":{"type":"es_rejected_execution_exception","reason":"queue full"},"status":429}'
DOWN = b'{"error":{"type":"cluster_block_exception","reason":"no master"},"status":503}'


@dataclass(frozen=True)
class Odd:
    """An answer of the engine's."""

    body: bytes
    status: str = "200 OK"
    headers: tuple[str, ...] = (JSON,)


ANSWERS: Mapping[str, Odd] = {
    "429": Odd(BUSY, "429 Too Many Requests", (JSON, "Retry-After: 7")),
    "503": Odd(DOWN, "503 Service Unavailable", (JSON, "Retry-After: 1")),
    "504 of a balancer": Odd(b"<html>504</html>", "504 Gateway Time-out", ("Content-Type: text/html",)),
    "401": Odd(b'{"status":401}', "401 Unauthorized", (JSON, 'WWW-Authenticate: Basic realm="x"')),
    "400": Odd(b'{"error":{"type":"parsing_exception"},"status":400}', "400 Bad Request"),
    "no JSON": Odd(b'{"took":1,"hits":{"hits":[{"_id":"1"'),
    "other JSON": Odd(b'{"acknowledged":true}'),
    "a page": Odd(b"<html><body>It works!</body></html>", headers=("Content-Type: text/html",)),
    "nothing": Odd(b""),
    "no text": Odd(b"\xff\xfe\x00"),
    "gzip that is none": Odd(b"\x1f\x8b\x08garbage", headers=(JSON, "Content-Encoding: gzip")),
    "an unknown encoding": Odd(b"\x28\xb5\x2f\xfd", headers=(JSON, "Content-Encoding: zstd")),
}


@asynccontextmanager
async def in_front_of(script: Script) -> AsyncIterator[int]:
    """Give the port of a proxy that reranks, in front of an engine that follows a script."""
    async with (
        upstream(script) as engine,
        RelayConnector(Relay([engine.url]), EngineFacts(product="unknown")) as relay,
        listening(ProxyApp(RerankingConnector(relay, ScriptedScorer()), {}), ANYWHERE) as address,
    ):
        yield address.port


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("kind", [kind for kind, operation in OPERATIONS.items() if operation.is_search])
@pytest.mark.parametrize("name", ANSWERS)
async def test_what_is_no_search_answer_comes_as_it_is(name: str, kind: str, connection: str) -> None:
    """Status, bytes, and what the headers say; the marker says that nothing was reranked."""
    odd, operation = ANSWERS[name], OPERATIONS[kind]
    async with in_front_of(reply(odd.body, status=odd.status, headers=odd.headers)) as port:
        caller = Caller()
        for number in range(2):
            if number == 0 or connection == "new":
                await caller.reconnect(port)
            got = await caller.ask(operation.request(f"request-{number}"))
            assert (int(odd.status[:3]), odd.body, True) == (got.status, got.body, got.is_complete)
            assert f"HTTP/1.1 {odd.status}" == got.answer.head.split("\r\n")[0]
            for line in odd.headers:
                header, _, value = line.partition(": ")
                assert [value] == got.answer.values(header)
            assert {"skipped"} == {entry.partition(";")[0] for entry in got.marker.split(", ")}
        await caller.close()
