"""Tests of the comparison itself, with a small engine and proxies that do something to its answers.

A comparison that finds nothing is worth as much as what it would have found.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.parity.calls import Request
from tests.parity.connection import Answer, Lost
from tests.parity.modes import MODES
from tests.parity.player import Ask, Kind
from tests.parity.report import Difference, Report, Verdict
from tests.parity.table import as_json, lines
from tests.parity.test_player import VERSION
from tests.parity.twins import Lane
from tests.parity.yaml_tests import Case, Step

Meddle = Callable[[Request, Answer], Answer]


class Targets:
    """A Writer whose APIs are methods and whose argument is the target."""

    def write(self, api: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        """Return the request."""
        del headers
        body = json.dumps(arguments["body"]).encode() if "body" in arguments else None
        return Request(method=api, target=arguments["target"], body=body)


class SmallEngine:
    """One index with texts, a random id for each, and a count of what it was asked."""

    def __init__(self) -> None:
        """Be empty."""
        self._texts: list[str] = []
        self._ids = itertools.count()
        self._asked = itertools.count()

    async def ask(self, request: Request) -> Answer:
        """Answer as engines do."""
        path = request.target.partition("?")[0]
        match request.method, path:
            case "DELETE", _:
                self._texts.clear()
                said: object = {"acknowledged": True}
            case "POST", "/i/_doc":
                self._texts.append(json.loads(request.body or b"{}")["text"])
                said = {"_id": f"Yk2X1ZUBq0Y5c3mJ7{next(self._ids):03}", "result": "created"}
            case "GET" | "POST", "/i/_search":
                hits = [{"_score": 1.0, "_source": {"text": text}} for text in self._texts]
                said = {"took": next(self._asked), "hits": {"total": len(hits), "max_score": 1.0, "hits": hits}}
            case _:
                said = {"asked": next(self._asked), "name": "small"}
        return Answer(200, (("content-type", "application/json"),), json.dumps(said).encode())


CASE = Case(
    file="some.yml",
    name="some",
    setup=(("do", {"POST": {"target": "/i/_doc", "body": {"text": "one"}}}),),
    steps=(
        ("do", {"GET": {"target": "/i/_search"}}),
        ("length", {"hits.hits": 1}),
        ("match", {"hits.hits.0._score": 1.0}),
        ("match", {"hits.hits.0._source.text": "one"}),
        ("do", {"GET": {"target": "/_stats"}}),
        ("match", {"name": "small"}),
    ),
    teardown=(),
)


def marked(request: Request, answer: Answer) -> Answer:
    """Return the answer with the marker of a search that was left alone."""
    is_search = request.target.startswith("/i/_search")
    return replace(answer, headers=(*answer.headers, ("X-Rerank", "skipped; reason=off"))) if is_search else answer


def replacing(old: bytes, new: bytes) -> Meddle:
    """Return a proxy's way to change answers."""
    return lambda request, answer: marked(request, replace(answer, body=answer.body.replace(old, new)))


async def compared(meddle: Meddle, mode: str = "A", *steps: Step) -> Report:
    """Return the report on the test with a proxy that meddles."""
    engine = SmallEngine()

    async def proxy(request: Request) -> Answer:
        return meddle(request, await engine.ask(request))

    return await _report(engine.ask, proxy, mode, replace(CASE, steps=(*CASE.steps, *steps)))


async def _report(engine: Ask, proxy: Ask, mode: str, case: Case) -> Report:
    report = Report()
    await Lane(engine, [(MODES[mode], proxy)], Targets(), VERSION).compare(case, report)
    return report


def kinds(differences: list[Difference]) -> set[tuple[str, str]]:
    """Return what was found in which comparison."""
    return {(difference.comparison, path) for difference in differences for path in difference.found}


async def test_a_proxy_that_does_nothing_is_found_to_do_nothing() -> None:
    """Random ids and counters of the engine are no differences, and the marker is none."""
    report = await compared(marked)
    assert report.differences == report.flickering == []
    assert report.direct[Kind.PASSED] == report.tallies["A"].tests[Kind.PASSED] == 1
    assert report.tallies["A"].plays == {Verdict.IDENTICAL: 2, Verdict.UNSTEADY: 1}
    assert report.tallies["A"].same_state == {Verdict.IDENTICAL: 1, Verdict.UNSTEADY: 1}
    assert report.tallies["A"].markers == {"skipped; reason=off": 1}


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b'"one"', b'"two"', "body.hits.hits.0._source.text"),
        (b'"_score": 1.0', b'"_score": 1.00', "body.hits.hits.0._score"),
        (b'"hits": [', b'"hits":[', "bytes"),
        (b'"small"', b'"large"', "body.name"),
    ],
)
async def test_a_changed_answer_is_found(old: bytes, new: bytes, path: str) -> None:
    """Another value, a number written differently, one blank; also in an answer with a counter."""
    found = kinds((await compared(replacing(old, new))).differences)
    assert {("plays", path), ("same state", path)} <= found


async def test_a_changed_outcome_is_found() -> None:
    """With the step and why it fails there."""
    report = await compared(replacing(b'"one"', b'"two"'))
    [difference] = [each for each in report.differences if each.comparison == "outcome"]
    assert difference.where == "some.yml:some:step 4"
    assert "two" in difference.found["outcome"][1]
    assert report.tallies["A"].outcome_differences == 1
    assert report.tallies["A"].tests[Kind.FAILED] == 1


@pytest.mark.parametrize(
    "meddle",
    [
        lambda request, answer: marked(request, replace(answer, status=201)),
        lambda request, answer: marked(request, replace(answer, headers=(*answer.headers, ("X-New", "1")))),
        lambda request, answer: marked(request, replace(answer, headers=(("Content-Type", "application/json"),))),
    ],
)
async def test_status_and_headers_are_compared(meddle: Meddle) -> None:
    """Of every call, those that write included."""
    report = await compared(meddle)
    assert report.tallies["A"].plays[Verdict.UNEXPLAINED] == 3
    assert report.tallies["A"].same_state[Verdict.UNEXPLAINED] == 2


def rescoring(old: bytes = b"", new: bytes = b"") -> Meddle:
    """Return a reranking proxy's way to change answers, and one thing more."""

    def meddle(request: Request, answer: Answer) -> Answer:
        body = answer.body.replace(b'score": 1.0', b'score": 1.5').replace(old, new)
        headers = (*answer.headers, ("X-Rerank", "applied")) if request.target == "/i/_search" else answer.headers
        return replace(answer, headers=headers, body=body)

    return meddle


async def test_new_scores_are_explained_in_mode_b_alone() -> None:
    """And so is an assertion that names one."""
    report = await compared(rescoring(), "B")
    assert report.differences == []
    assert report.tallies["B"].same_state[Verdict.EXPLAINED] == 1
    assert report.tallies["B"].explained == {"_score": 2}
    found = kinds((await compared(rescoring(), "C")).differences)
    assert {("plays", "body.hits.hits.0._score"), ("same state", "body.hits.hits.0._score")} <= found


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [(b'"one"', b'"two"', "body.hits.hits.0._source.text"), (b'"text": "one"', b'"text":"one"', "bytes")],
)
async def test_new_scores_explain_nothing_else(old: bytes, new: bytes, path: str) -> None:
    """Another text, or one blank less, beside the new scores."""
    assert ("same state", path) in kinds((await compared(rescoring(old, new), "B")).differences)


async def test_a_missing_or_wrong_marker_is_found() -> None:
    """Every search has one, nothing else has, and it says what the mode is to do."""

    def marker_of(text: str, everywhere: bool = False) -> Meddle:
        def meddle(request: Request, answer: Answer) -> Answer:
            is_marked = everywhere or request.target.startswith("/i/_search")
            return replace(answer, headers=(*answer.headers, ("X-Rerank", text))) if is_marked else answer

        return meddle

    for meddle in (lambda _, answer: answer, marker_of("applied; candidates=1"), marker_of("skipped", everywhere=True)):
        assert ("marker", "X-Rerank") in kinds((await compared(meddle)).differences)
    assert kinds((await compared(marker_of("degraded; reason=model"), "C")).differences) == set()


async def test_a_lost_answer_is_found() -> None:
    """A proxy that closes the connection is not like an engine that answers."""
    engine = SmallEngine()

    async def proxy(request: Request) -> Answer:
        raise Lost(request.target)

    report = await _report(engine.ask, proxy, "A", CASE)
    assert report.tallies["A"].outcome_differences == 1
    assert ("same state", "status") in kinds(report.differences)


async def test_what_differs_once_is_kept_apart() -> None:
    """It is listed, so that somebody can look at it, and fails nothing."""
    asked = itertools.count()

    def once(request: Request, answer: Answer) -> Answer:
        is_first = request.target == "/_stats" and next(asked) == 0
        return replacing(b"small", b"large")(request, answer) if is_first else marked(request, answer)

    report = await compared(once)
    assert report.differences == []
    assert ("plays", "body.name") in kinds(report.flickering)


@pytest.mark.parametrize(
    ("old", "new", "path", "counts"),
    [
        (b'"one"', b'"uno"', "body.hits.hits.0._source.text", True),
        (b'"total": 1', b'"total": 0', "body.hits.total", False),
    ],
)
async def test_the_first_search_counts(old: bytes, new: bytes, path: str, counts: bool) -> None:
    """A proxy that knows an index after its first search may be right from the second on.

    But a search right after a write finds it or does not, as the engine's clock has it.
    """
    asked = itertools.count()

    def once(request: Request, answer: Answer) -> Answer:
        is_first = request.target == "/i/_search" and next(asked) == 0
        return replacing(old, new)(request, answer) if is_first else marked(request, answer)

    report = await compared(once)
    assert kinds(report.differences if counts else report.flickering) >= {("plays", path)}
    assert (report.differences == []) is not counts


async def test_a_test_that_fails_on_both_sides_is_no_difference() -> None:
    """Parity is asked for, not success."""
    report = await compared(marked, "A", ("is_true", "no.such.thing"))
    assert report.direct[Kind.FAILED] == report.tallies["A"].tests[Kind.FAILED] == 1
    assert report.tallies["A"].outcome_differences == 0
    assert report.failed_direct == ["some.yml:some: step 7: is_true: is_true: no.such.thing: found None"]


async def test_a_skipped_test_is_counted_and_not_played() -> None:
    """On neither side."""
    engine = SmallEngine()
    report = await _report(engine.ask, engine.ask, "A", replace(CASE, setup=(("skip", {"version": "all"}),)))
    assert report.direct[Kind.SKIPPED] == report.tallies["A"].tests[Kind.SKIPPED] == 1
    assert report.tallies["A"].plays.total() == 0


async def test_the_table_names_what_was_found() -> None:
    """With the test, the step and the call; the same goes into the JSON."""
    report = await compared(replacing(b'"one"', b'"two"'))
    table = "\n".join(lines(report, [MODES["A"]]))
    assert "outcome differences" in table
    assert "A [plays] some.yml:some:step 1" in table
    assert "GET /i/_search" in table
    assert "body.hits.hits.0._source.text: direct 'one', proxied 'two'" in table
    assert json.loads(json.dumps(as_json(report)))["modes"]["A"]["outcome_differences"] == 1
