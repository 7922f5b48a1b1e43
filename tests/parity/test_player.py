"""Tests of playing a test, against answers that are made up."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.parity.calls import BadCall, Request
from tests.parity.connection import Answer, Lost
from tests.parity.player import Kind, Play, Player, is_in
from tests.parity.yaml_tests import Case, Step

VERSION = "3.8.0"


class Plain:
    """A Writer that puts the API's name into the path."""

    def write(self, api: str, arguments: Any, headers: Any) -> Request:
        """Return a request that says what was called."""
        if api == "refused":
            raise BadCall("refused: a part is missing")
        method = "HEAD" if api == "exists" else "GET"
        body = json.dumps(arguments["body"]).encode() if "body" in arguments else None
        return Request(method=method, target=f"/{api}", headers=tuple(headers.items()), body=body)


def answering(status: int = 200, body: Any = None, *headers: tuple[str, str]) -> Callable[[Request], Answer]:
    """Return an engine that always says the same."""
    said = Answer(status, (("content-type", "application/json"), *headers), json.dumps(body or {"ok": True}).encode())
    return lambda _: said


def case(*steps: Step, setup: tuple[Step, ...] = (), teardown: tuple[Step, ...] = ()) -> Case:
    """Return a test."""
    return Case(file="some.yml", name="some", setup=setup, steps=steps, teardown=teardown)


async def played(case: Case, engine: Callable[[Request], Answer]) -> Play:
    """Return what came of it."""

    async def ask(request: Request) -> Answer:
        return engine(request)

    return await Player(ask, Plain(), VERSION).play(case)


DO: Step = ("do", {"info": {}})


async def test_a_test_passes_when_every_step_holds() -> None:
    """And keeps what was said."""
    play = await played(case(DO, ("match", {"ok": True}), setup=(DO,), teardown=(DO,)), answering())
    assert play.kind is Kind.PASSED
    assert [exchange.step for exchange in play.exchanges] == ["setup 1", "step 1", "teardown 1"]


@pytest.mark.parametrize(
    ("steps", "step"),
    [
        ((DO, ("match", {"ok": False})), "step 2"),
        ((("do", {"refused": {}}),), "step 1"),
        ((DO, ("match { ok", True)), "step 2"),
        ((DO, ("set", {"missing": "kept"})), "step 2"),
        ((("do", {"catch": "missing", "info": {}}),), "step 1"),
        ((("do", {"info": {"body": {"a": "${nothing}"}}}),), "step 1"),
        ((("do", {"warnings": ["old"], "info": {}}),), "step 1"),
    ],
)
async def test_a_test_fails_at_the_step_that_does_not_hold(steps: tuple[Step, ...], step: str) -> None:
    """Assertions, unwritable calls, unknown steps, values that are not there, errors and warnings that do not come."""
    play = await played(case(*steps), answering())
    assert (play.kind, [failure.step for failure in play.failures]) == (Kind.FAILED, [step])


async def test_a_failed_step_ends_nothing() -> None:
    """What follows is compared as well, and the teardown runs."""
    play = await played(case(DO, ("is_false", "ok"), DO, teardown=(DO,)), answering())
    assert len(play.exchanges) == 3


async def test_a_lost_connection_fails_its_step() -> None:
    """It is no answer."""

    def lose(_: Request) -> Answer:
        raise Lost("gone")

    assert [failure.reason for failure in (await played(case(DO), lose)).failures] == ["gone"]


@pytest.mark.parametrize(
    ("catch", "status", "holds"),
    [
        (None, 400, False),
        (None, 200, True),
        ("bad_request", 400, True),
        ("bad_request", 404, False),
        ("missing", 404, True),
        ("conflict", 409, True),
        ("request", 500, True),
        ("/no \\[such\\] thing/", 400, True),
        ("/reason=no/", 400, True),
        ("/another thing/", 400, False),
        ("/no/", 200, False),
        ("unheard_of", 400, False),
    ],
)
async def test_errors_are_caught_by_status_or_text(catch: str | None, status: int, holds: bool) -> None:
    """An error that nobody expects fails, and so does an expected one that does not come."""
    said = {"info": {}} if catch is None else {"catch": catch, "info": {}}
    play = await played(case(("do", said)), answering(status, {"error": {"reason": "no [such] thing"}}))
    assert (play.kind is Kind.PASSED) is holds


async def test_what_is_missing_may_be_so() -> None:
    """Statuses that a test ignores, and whatever does not exist."""
    assert (await played(case(("do", {"info": {"ignore": 404}})), answering(404))).kind is Kind.PASSED
    assert (await played(case(("do", {"exists": {}}), ("is_false", "")), answering(404))).kind is Kind.PASSED
    assert (await played(case(("do", {"catch": "param", "refused": {}})), answering())).kind is Kind.PASSED


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ({}, False),
        ({"warnings": ["[x] is old"]}, True),
        ({"allowed_warnings": ["[x] is old", "another"]}, True),
        ({"warnings": ["another"]}, False),
    ],
)
async def test_a_warning_is_expected_or_allowed_or_a_failure(said: dict[str, Any], holds: bool) -> None:
    """The texts are compared without code, agent and date."""
    engine = answering(200, None, ("Warning", '299 OpenSearch-3.8.0-abc "[x] is old" "Mon, 01 Jan"'))
    assert ((await played(case(("do", {**said, "info": {}})), engine)).kind is Kind.PASSED) is holds


async def test_values_are_set_aside_and_used() -> None:
    """In the next call and in assertions."""
    steps: tuple[Step, ...] = (DO, ("set", {"id": "kept"}), ("do", {"info": {"body": {"id": "$kept"}}}))
    play = await played(case(*steps, ("match", {"id": "$kept"})), answering(200, {"id": "abc"}))
    assert play.kind is Kind.PASSED
    assert play.exchanges[1].request.body == b'{"id": "abc"}'


@pytest.mark.parametrize(
    ("skip", "is_skipped"),
    [
        ({"version": "all"}, True),
        ({"version": " - 2.99.99"}, False),
        ({"version": "3.0.0 - "}, True),
        ({"version": " - 2.0.99, 3.5.0 - "}, True),
        ({"features": "headers"}, False),
        ({"features": ["headers", "telepathy"]}, True),
        ({"features": "headers, telepathy"}, True),
    ],
)
async def test_a_test_is_skipped_only_for_what_it_says(skip: dict[str, Any], is_skipped: bool) -> None:
    """A version of the engine, or a feature that this runner lacks; also when the setup says so."""
    for chosen in (case(("skip", skip), DO), case(DO, setup=(("skip", skip),))):
        assert ((await played(chosen, answering())).kind is Kind.SKIPPED) is is_skipped


@pytest.mark.parametrize(
    ("version", "spans", "is_inside"),
    [
        ("3.8.0", " - 7.10.99", False),
        ("3.8.0", "2.0.0 - 3.8.0", True),
        ("3.8.0", "3.8.1 -", False),
        ("2.4.0", "- 2.3.99 , 2.12.0 - ", False),
        ("9.5.3", "9.0.0 - ", True),
    ],
)
def test_spans_of_versions(version: str, spans: str, is_inside: bool) -> None:
    """Versions 5 to 7 are older than every OpenSearch."""
    assert is_in(version, spans) is is_inside
