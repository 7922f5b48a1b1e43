"""`POST /_rerank/events`: who may, what is answered, and what is kept."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.base import Headers
from sidecar.experiments.event_endpoints import EVENTS_PATH, MOST_REFUSALS_SHOWN, EventsEndpoint
from sidecar.experiments.event_store import EventsNotKept
from sidecar.experiments.events import Click
from sidecar.experiments.preference import Preference
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.rerank_api.api_key import ApiKey
from sidecar.telemetry.seldom import Seldom
from tests.unit.sidecar.experiments.clicks import NOW, a_token, tokens

GOOD = {"token": a_token(), "object_id": "three"}
BAD = {"token": "rs1.a.b", "object_id": "three"}


class Memory:
    """A store in memory, or one that takes nothing."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.kept: dict[str, Click] = {}
        self.failure: EventsNotKept | None = None

    async def append(self, clicks: Sequence[Click]) -> int:
        """Keep clicks."""
        if self.failure is not None:
            raise self.failure
        before = len(self.kept)
        self.kept |= {click.event_id: click for click in clicks}
        return len(self.kept) - before

    async def preferences(self, since: float = 0.0) -> list[Preference]:
        """Return nothing."""
        return []

    async def aclose(self) -> None:
        """Do nothing."""


class Program:
    """The endpoint over a store in memory."""

    def __init__(self, key: str | None = None) -> None:
        """Ask for `key`."""
        self.store = Memory()
        self.counts: Counter[str] = Counter()
        endpoint = EventsEndpoint(
            store=self.store,
            tokens=tokens(),
            key=ApiKey(key, setting="events.key"),
            actions=("click",),
            tell=lambda outcome, count: self.counts.update({outcome: count}),
            now=lambda: NOW,
            seldom=Seldom(),
        )
        self._endpoints = endpoint.endpoints()

    async def post(self, body: Any, *headers: tuple[str, str]) -> tuple[EndpointResponse, dict[str, Any]]:
        """Send a body; bytes go as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given: Headers = (("Content-Type", "application/json"), *headers)
        request = EndpointRequest(method="POST", path=EVENTS_PATH, headers=given, body=content)
        answer = await self._endpoints["POST", EVENTS_PATH](request)
        return answer, json.loads(answer.body)


@pytest.fixture
def program() -> Program:
    """A program that anybody may tell."""
    return Program()


async def test_a_click_is_kept(program: Program) -> None:
    """Once: what was sent before is a duplicate, and 200 all the same."""
    assert {"accepted": 1, "duplicate": 0, "ignored": 0} == (await program.post(GOOD))[1]
    answer, told = await program.post([GOOD, {"action_name": "view"}])
    assert (200, {"accepted": 0, "duplicate": 1, "ignored": 1}) == (answer.status, told)
    assert [(12, NOW)] == [(click.position, click.received) for click in program.store.kept.values()]
    assert {"accepted": 1, "duplicate": 1, "ignored": 1, "refused": 0} == program.counts


async def test_what_is_wrong_is_said_and_the_rest_is_kept(program: Program) -> None:
    """400, the engines' shape of an error, and each event's own reason."""
    answer, told = await program.post({"events": [GOOD, BAD, {"token": a_token(), "object_id": "nowhere"}]})
    assert 400 == answer.status == told["status"]
    assert "illegal_argument_exception" == told["error"]["type"]
    assert told["error"]["reason"].startswith("events.1: token: its signature is not ours: ")
    assert told["error"]["reason"].endswith(" (and 1 more events)")
    assert [1, 2] == [each["event"] for each in told["refused"]]
    assert 1 == told["accepted"] == len(program.store.kept)


async def test_only_so_many_reasons_are_shown(program: Program) -> None:
    """The first ones."""
    _, told = await program.post([BAD] * 100)
    assert MOST_REFUSALS_SHOWN == len(told["refused"])
    assert 100 == program.counts["refused"]


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]"])
async def test_a_body_without_events_is_refused(program: Program, body: bytes) -> None:
    """As a whole."""
    answer, told = await program.post(body)
    assert 400 == answer.status
    assert told["error"]["reason"]


async def test_a_body_that_is_too_long_is_refused(program: Program) -> None:
    """Unread."""
    assert 413 == (await program.post(b" " * (4 * 1024 * 1024 + 1)))[0].status


async def test_a_compressed_body_is_refused(program: Program) -> None:
    """With what is expected."""
    answer, told = await program.post(GOOD, ("Content-Encoding", "gzip"))
    assert 415 == answer.status
    assert "a body as it is" in told["error"]["reason"]


async def test_nothing_is_acknowledged_that_is_not_kept(program: Program) -> None:
    """503, and when to try again."""
    program.store.failure = EventsNotKept("the disk is full")
    answer, told = await program.post([GOOD, {"action_name": "view"}])
    assert (503, (("Retry-After", "5"),)) == (answer.status, answer.headers)
    assert "send them again: the disk is full" in told["error"]["reason"]
    assert {"not_kept": 1} == program.counts


async def test_what_is_nothing_to_us_needs_no_disk(program: Program) -> None:
    """An event that is passed over is answered while the disk is full."""
    program.store.failure = EventsNotKept("the disk is full")
    assert 200 == (await program.post({"action_name": "view"}))[0].status


async def test_a_key_is_asked_for_first() -> None:
    """Before the body is looked at."""
    program = Program("secret")
    answer, told = await program.post(b"no JSON")
    assert (401, (("WWW-Authenticate", "Bearer"),)) == (answer.status, answer.headers)
    assert "events.key" in json.dumps(told)
    assert 401 == (await program.post(GOOD, ("Authorization", "Bearer other")))[0].status
    assert 200 == (await program.post(GOOD, ("Authorization", "Bearer secret")))[0].status
