"""One search, end to end: the scripted engine in front of a scorer, and everything that can become of it."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Connector, Headers, RelayRequest, SearchRequest, SearchResponse, header
from connectors.errors import AnswerTooLarge, EngineTimeout, EngineUnavailable
from sidecar import errors, tasks
from sidecar.errors import RerankUnavailable
from sidecar.pipeline import RerankingConnector
from sidecar.policy import IndexPolicy, Policy
from sidecar.requests.streams import MAX_REQUEST_BYTES
from sidecar.response import tail_score
from sidecar.scoring import timing
from sidecar.types import Operation, Outcome, RerankOptions, SearchRecord
from tests.unit.doubles import (
    ENGINE_HEADERS,
    JSON,
    Document,
    FailingScorer,
    FirstCallOnly,
    ScriptedEngine,
    ScriptedScorer,
    answer_with,
    document,
    error_with,
    in_chunks,
    marker_of,
    match,
    msearch,
    search,
    texts,
    whole,
)

LONG_TO_SHORT = ("dddd", "ccc", "bb", "a")
"""Texts of four documents; the usual scorer reverses them."""

ODD = Document(
    source='{"n":12345678901234567890, "e" : 1E+2,"z":-0.0,"s":"\\ud800\\/","text" :"the longest text", "k":1,"k":2}'
)
UNAVAILABLE = [
    errors.RerankUnavailable,
    errors.ScorerStarting,
    errors.Overloaded,
    errors.SchedulerFull,
    errors.ScoringTimeout,
    errors.ScorerLost,
    errors.ModelFailed,
]


def reranking(
    engine: ScriptedEngine, scorer: ScriptedScorer | None = None, policy: Policy | None = None, **options: Any
) -> RerankingConnector:
    """Return a scorer in front of an engine; `options` replace the default options, and hits come in one request."""
    chosen = RerankOptions(**{"fetch": "once", **options})
    return RerankingConnector(engine, scorer or ScriptedScorer(), policy or Policy(defaults=chosen))


def four(**settings: Any) -> ScriptedEngine:
    """Return an engine with four documents."""
    return ScriptedEngine(*LONG_TO_SHORT, **settings)


async def direct(engine: ScriptedEngine, request: SearchRequest) -> SearchResponse:
    """Return what the bare engine says, without leaving a trace in its records."""
    return await ScriptedEngine(*engine.documents, override=engine.override, is_pretty=engine.is_pretty).search(request)


def without_ours(answer: SearchResponse) -> tuple[int, Headers, bytes]:
    """Return an answer without the two headers that we add."""
    kept = tuple(pair for pair in answer.headers if pair[0] not in {"X-Rerank", "Server-Timing"})
    return answer.status, kept, answer.body


# --- applied ------------------------------------------------------------------------------------------------


async def test_a_search_comes_back_reranked() -> None:
    """In the model's order, with its scores, and a marker that says so."""
    engine, scorer = four(), ScriptedScorer()
    answer = await reranking(engine, scorer).search(search(match("why blue")))
    assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    scores = [hit.score for hit in answer.hits]
    assert all(score is not None and 1 < score < 2 for score in scores)
    assert sorted(scores, key=lambda score: -(score or 0)) == scores
    assert answer.json["hits"]["max_score"] == scores[0]
    assert "applied; candidates=4; window=100; model=scripted" == marker_of(answer)
    assert (["why blue"], list(LONG_TO_SHORT)) == (scorer.queries, scorer.texts)
    assert [{**match("why blue"), "size": 100}] == engine.bodies


async def test_everything_else_of_the_answer_is_the_engines() -> None:
    """Status, headers, and every byte but scores and order; the two headers of ours come last."""
    engine = ScriptedEngine(ODD, "short")
    answer = await reranking(engine).search(search(match()))
    plain = await direct(engine, search(match()))
    assert (200, "OK") == (answer.status, answer.reason)
    assert ENGINE_HEADERS == answer.headers[:2]
    assert ["X-Rerank", "Server-Timing"] == [name for name, _ in answer.headers[-2:]]
    hits = [answer.body[answer.body.index(mark) :] for mark in (b'"_source":{"text": "short"}', ODD.source.encode())]
    assert len(hits[0]) > len(hits[1])
    assert plain.body.partition(b'"hits":[')[0].replace(b"2.5", b"x") == answer.body.partition(b'"hits":[')[0].replace(
        str(answer.json["hits"]["max_score"]).encode(), b"x"
    )


async def test_server_timing_tells_the_stages() -> None:
    """Both durations and their sum, in milliseconds; a scorer that cannot tell is not split."""
    answer = await reranking(four()).search(search(match()))
    timing = header(answer.headers, "Server-Timing") or ""
    assert ["first_stage", "rerank", "total"] == [entry.split(";dur=")[0] for entry in timing.split(", ")]


async def test_server_timing_splits_the_second_stage_where_the_scorer_tells() -> None:
    """The wait and the model's time, also in the record."""

    class TellingScorer(ScriptedScorer):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            timing.tell(timing.Timing(0.25, 0.5))
            return await super().score(query, texts, deadline=deadline)

    records: list[SearchRecord] = []
    connector = RerankingConnector(four(), TellingScorer(), observe=records.append)
    answer = await connector.search(search(match()))
    assert "queue;dur=250.0, model;dur=500.0, total;dur=" in (header(answer.headers, "Server-Timing") or "")
    assert [(0.25, 0.5)] == [(record.queue_seconds, record.model_seconds) for record in records]
    assert "queue" not in marker_of(answer)


@pytest.mark.parametrize("is_on", [True, False])
async def test_of_two_sidecars_the_nearest_one_speaks(is_on: bool) -> None:
    """One marker, whether it reranks what the other has reranked or passes that on; streamed, too."""
    inner = RerankingConnector(ScriptedEngine("ccc", "bb", "a"), ScriptedScorer())
    outer = RerankingConnector(inner, ScriptedScorer(), Policy(defaults=RerankOptions(enabled=is_on)))
    answer = await outer.search(search(match()))
    async with outer.relay(RelayRequest(method="POST", target="/books/_search", body=search(match()).body)) as streamed:
        await whole(streamed.chunks)
    for headers in (answer.headers, streamed.headers):
        (mark,) = [value for name, value in headers if name.lower() == "x-rerank"]
        assert mark.startswith("applied; candidates=3;" if is_on else "skipped; reason=off")


async def test_a_pretty_answer_stays_pretty() -> None:
    """The engine's white space stays where it is."""
    engine = four(is_pretty=True)
    answer = await reranking(engine).search(search(match(size=2)))
    plain = (await direct(engine, search(match(size=2)))).body.decode()
    assert len(plain.splitlines()) == len(answer.body.decode().splitlines())
    assert ["a", "bb"] == texts(answer)


async def test_compressed_answers_are_edited_and_compressed_again() -> None:
    """The caller asked for gzip and gets gzip."""

    def compressed(_: SearchRequest, body: Any) -> SearchResponse:
        content = gzip.compress(four().render(body).encode())
        return answer_with(content, headers=(*ENGINE_HEADERS, ("content-encoding", "gzip")))

    answer = await reranking(four(override=compressed)).search(search(match()))
    assert ["a", "bb", "ccc", "dddd"] == [hit["_source"]["text"] for hit in answer.json["hits"]["hits"]]
    assert str(len(answer.body)) == header(answer.headers, "content-length")
    assert answer.body[:2] == b"\x1f\x8b"


async def test_the_caller_s_headers_reach_the_engine_and_ours_do_not() -> None:
    """Credentials and ids belong to every call that we make for the caller, `_field_caps` included."""
    engine = four()
    theirs = (("Authorization", "Basic a"), ("X-Opaque-Id", "7"))
    await reranking(engine).search(
        search({"query": {"query_string": {"query": "blue"}}}, headers=(*theirs, ("X-Rerank-Explain", "on")))
    )
    caps, first = engine.searches
    assert "/books/_field_caps?fields=*" == caps.target
    assert theirs == caps.headers
    assert set(theirs) <= set(first.headers)
    assert not [name for request in engine.searches for name, _ in request.headers if name.startswith("X-Rerank")]


async def test_fusion_and_weight_are_the_caller_s() -> None:
    """rrf of two opposite orders is a tie, and ties keep the first stage's order."""
    body = match(ext={"rerank": {"fusion": "rrf"}})
    answer = await reranking(ScriptedEngine("bb", "a")).search(search(body))
    assert ["bb", "a"] == texts(answer)
    assert "applied" in marker_of(answer)


async def test_query_text_and_fields_are_the_caller_s() -> None:
    """Words and fields of the request win over what the query says."""
    engine, scorer = ScriptedEngine(document("xxx", other="one"), document("y", other="eleven")), ScriptedScorer()
    body = match(ext={"rerank": {"query_text": "other words", "fields": ["other"]}})
    answer = await reranking(engine, scorer).search(search(body))
    assert (["other words"], ["one", "eleven"]) == (scorer.queries, scorer.texts)
    assert ["xxx", "y"] == texts(answer)


async def test_a_template_makes_the_text() -> None:
    """As the policy has it."""
    scorer = ScriptedScorer()
    engine = ScriptedEngine(document("b", title="T"), document("c"))
    await reranking(engine, scorer, template="{title}. {text}").search(search(match()))
    assert ["T. b", ". c"] == scorer.texts


async def test_an_explanation_is_added_on_request() -> None:
    """Ranks and scores of every hit of the page."""
    answer = await reranking(four()).search(search(match(), headers=(("X-Rerank-Explain", "true"),)))
    first = answer.hits[0].value["_rerank"]
    assert {
        "rank": 1,
        "first_stage_rank": 4,
        "first_stage_score": 1.5,
        "model_score": -0.01,
        "text": "a",
    }.items() <= first.items()


async def test_min_score_drops_what_the_model_thinks_little_of() -> None:
    """The marker counts them, `total` stays."""
    scorer = ScriptedScorer({"dddd": 3.0, "ccc": -3.0, "bb": 0.1, "a": -0.1})
    answer = await reranking(four(), scorer, min_score=0.5).search(search(match()))
    assert ["dddd", "bb"] == texts(answer)
    assert "applied; candidates=4; window=100; dropped=2; model=scripted" == marker_of(answer)
    assert 4 == answer.json["hits"]["total"]["value"]


async def test_min_score_can_drop_everything() -> None:
    """An empty page has no best score."""
    answer = await reranking(four(), ScriptedScorer(), min_score=1.0).search(search(match()))
    assert ([], None) == (answer.json["hits"]["hits"], answer.json["hits"]["max_score"])


async def test_a_hit_without_text_keeps_its_place() -> None:
    """It is not scored, and nothing else is disturbed."""
    scorer = ScriptedScorer()
    engine = ScriptedEngine(document("ccc"), Document(source='{"other":1}'), document("a"))
    answer = await reranking(engine, scorer).search(search(match()))
    assert ["3", "2", "1"] == [hit.id for hit in answer.hits]
    assert ["ccc", "a"] == scorer.texts
    assert "applied; candidates=2" in marker_of(answer)


async def test_a_token_budget_cuts_the_window() -> None:
    """The marker says which budget; beyond it stays the first stage's order."""
    engine, scorer = ScriptedEngine("d" * 40, "c" * 39, "b" * 38, "a" * 37), ScriptedScorer()
    answer = await reranking(engine, scorer, token_budget=35).search(search(match("abc")))
    assert ["c" * 39, "d" * 40, "b" * 38, "a" * 37] == texts(answer)
    assert "applied; candidates=2; window=100; token_budget=35; model=scripted" == marker_of(answer)
    assert [tail_score(3), tail_score(4)] == [hit.score for hit in answer.hits[2:]]


async def test_a_measured_speed_is_a_budget() -> None:
    """Half the deadline on the idle device."""
    engine, scorer = ScriptedEngine("d" * 40, "c" * 39, "b" * 38), ScriptedScorer(tokens_per_second=140.0)
    answer = await reranking(engine, scorer, deadline=0.5).search(search(match("abc")))
    assert "applied; candidates=2; window=100; token_budget=35" in marker_of(answer)


# --- pages --------------------------------------------------------------------------------------------------


async def test_pages_are_cut_from_one_ranking() -> None:
    """The second page goes on where the first one ends."""
    engine = four()
    pages = [await reranking(engine).search(search(match(size=2, **{"from": offset}))) for offset in (0, 2)]
    assert [["a", "bb"], ["ccc", "dddd"]] == [texts(page) for page in pages]
    assert pages[0].json["hits"]["max_score"] == pages[1].json["hits"]["max_score"] == pages[0].hits[0].score


async def test_a_page_after_the_window_needs_no_scorer() -> None:
    """It is the engine's own page, asked for as it was written, with scores that go on falling."""
    engine, scorer = four(), ScriptedScorer()
    request = search(match(size=2, **{"from": 2}))
    answer = await reranking(engine, scorer, window=2).search(request)
    assert ["bb", "a"] == texts(answer)
    assert [tail_score(3), tail_score(4)] == [hit.score for hit in answer.hits]
    assert ([], "applied; candidates=0; window=2") == (scorer.calls, marker_of(answer))
    assert [request] == engine.searches


async def test_a_page_after_the_window_is_served_while_the_scorer_starts() -> None:
    """Because no model is needed for it."""
    scorer = FailingScorer(errors.ScorerStarting("loading"), is_known_before=True)
    answer = await reranking(four(), scorer, window=2).search(search(match(**{"from": 2})))
    assert "applied; candidates=0; window=2" == marker_of(answer)


async def test_a_page_across_the_edge_has_both() -> None:
    """What is in the window is reranked, what is after it follows."""
    scorer = ScriptedScorer()
    answer = await reranking(four(), scorer, window=2).search(search(match(size=3, **{"from": 1})))
    assert ["dddd", "bb", "a"] == texts(answer)
    assert ["dddd", "ccc"] == scorer.texts


all_texts = st.lists(st.text("xyz", max_size=6), max_size=9)


def searched(documents: list[str], scorer: ScriptedScorer | None = None, /, **settings: Any) -> SearchResponse:
    """Return the answer to a search over documents with these texts; `options` are those of RerankOptions."""
    options = settings.pop("options", {})
    scorer = scorer or ScriptedScorer({text: float(len(set(text))) - text.count("y") for text in documents})
    connector = reranking(ScriptedEngine(*documents), scorer, **options)
    return asyncio.run(connector.search(search(match(**settings))))


def ids(answer: SearchResponse) -> list[str | None]:
    """Return the `_id`s in their order."""
    return [hit.id for hit in answer.hits]


@given(all_texts, st.integers(0, 9), st.integers(1, 5), st.integers(1, 9), st.sampled_from(["model_only", "rrf"]))
def test_page_one_and_two_are_one_page_of_double_size(
    documents: list[str], offset: int, size: int, window: int, fusion: str
) -> None:
    """Hits, scores and best score, inside, across and beyond the window."""
    options = {"window": window, "fusion": fusion}
    first = searched(documents, options=options, size=size, **{"from": offset})
    second = searched(documents, options=options, size=size, **{"from": offset + size})
    both = searched(documents, options=options, size=2 * size, **{"from": offset})
    assert ids(both) == ids(first) + ids(second)
    if "applied" in marker_of(both) and "applied" in marker_of(first) and "applied" in marker_of(second):
        assert [hit.score for hit in both.hits] == [hit.score for hit in (*first.hits, *second.hits)]


@given(all_texts, st.integers(1, 9))
def test_a_page_is_a_permutation_with_scores_that_never_rise(documents: list[str], window: int) -> None:
    """No hit is lost or doubled, and the tail is in the engine's order."""
    found = searched(documents, options={"window": window}, size=20)
    assert sorted(ids(found), key=str) == [str(rank) for rank in range(1, len(documents) + 1)]
    assert ids(found)[window:] == [str(rank) for rank in range(window + 1, len(documents) + 1)]
    scores = [hit.score or 0.0 for hit in found.hits]
    assert sorted(scores, reverse=True) == scores


@given(all_texts, st.sampled_from(["model_only", "linear", "rrf"]))
def test_constant_scores_keep_the_order(documents: list[str], fusion: str) -> None:
    """A model that cannot tell candidates apart changes no order."""
    constant = ScriptedScorer(dict.fromkeys(documents, 0.5))
    found = searched(documents, constant, options={"fusion": fusion}, size=20)
    assert [str(rank) for rank in range(1, len(documents) + 1)] == ids(found)


@given(st.lists(st.text("xyz", min_size=1, max_size=6), min_size=2, max_size=9), st.text("xyz", max_size=6))
def test_a_hit_outside_the_window_changes_nothing_inside(documents: list[str], more: str) -> None:
    """Neither order nor scores: what is scored depends on the window alone."""
    scores = {text: float(text.count("x")) for text in [*documents, more]}
    options = {"window": len(documents), "fusion": "linear"}
    before = searched(documents, ScriptedScorer(scores), options=options, size=len(documents))
    after = searched([*documents, more], ScriptedScorer(scores), options=options, size=len(documents) + 1)
    assert [*ids(before), str(len(documents) + 1)] == ids(after)
    assert pytest.approx([hit.score for hit in before.hits]) == [hit.score for hit in after.hits[:-1]]


# --- partial ------------------------------------------------------------------------------------------------


async def test_what_is_scored_at_the_deadline_counts() -> None:
    """A prefix of the window is reranked, the rest follows in the engine's order."""
    engine = ScriptedEngine(*("x" * (40 - place) for place in range(20)))
    answer = await reranking(engine, FirstCallOnly(), deadline=0.03).search(search(match(size=20)))
    lengths = [len(text) for text in texts(answer)]
    assert [*range(33, 41), *range(32, 20, -1)] == lengths
    assert "partial; reason=deadline; candidates=8; window=100; model=scripted" == marker_of(answer)
    assert [tail_score(rank) for rank in range(9, 21)] == [hit.score for hit in answer.hits[8:]]


# --- degraded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", UNAVAILABLE, ids=lambda failure: failure.reason)
@pytest.mark.parametrize("is_known_before", [False, True], ids=["while scoring", "before the first stage"])
async def test_a_failing_second_stage_costs_nothing(
    failure: type[RerankUnavailable], is_known_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the engine's own answer to the byte, and the marker and one log line say why."""
    engine = ScriptedEngine(ODD, *LONG_TO_SHORT, is_pretty=True)
    request = search(match(size=2, _source=True, **{"from": 1}))
    scorer = FailingScorer(failure("by order"), is_known_before=is_known_before)
    with caplog.at_level(logging.WARNING):
        answer = await reranking(engine, scorer).search(request)
    assert without_ours(await direct(engine, request)) == without_ours(answer)
    assert f"degraded; reason={failure.reason}" == marker_of(answer)
    told = [f"search_degraded reason={failure.reason} operation=search left_out=0"]
    assert told == [record.getMessage() for record in caplog.records]
    assert 1 == len(engine.searches)


async def test_without_a_scorer_nothing_is_widened() -> None:
    """The engine is asked exactly what the caller asked."""
    engine, request = four(), search(match())
    await reranking(engine, FailingScorer(errors.ScorerLost("gone"), is_known_before=True)).search(request)
    assert [request] == engine.searches


class GatedScorer(ScriptedScorer):
    """Scores when it is let."""

    def __init__(self) -> None:
        """Begin to wait."""
        super().__init__()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Wait, then score."""
        self.asked.set()
        await self.gate.wait()
        return await super().score(query, texts, deadline=deadline)


@pytest.mark.parametrize("operation", [Operation.SEARCH, Operation.MSEARCH])
async def test_searches_beyond_those_in_hand_are_passed_on_as_they_are(operation: Operation) -> None:
    """At once, and only while the others are in hand."""
    engine, scorer = four(), GatedScorer()
    policy = Policy(defaults=RerankOptions(fetch="once"))
    reranked = RerankingConnector(engine, scorer, policy, max_searches=1)
    first = tasks.start(reranked.search(search(match("first"))), name="first")
    await scorer.asked.wait()
    if operation is Operation.SEARCH:
        second = await reranked.search(search(match("second")))
        assert engine.bodies[-1] == match("second")
    else:
        second = await reranked.msearch(msearch({}, match("second")))
        assert json.loads(engine.msearches[-1].content.splitlines()[1]) == match("second")
    assert "degraded; reason=overload" == marker_of(second)
    scorer.gate.set()
    assert "applied" in marker_of(await first)
    assert "applied" in marker_of(await reranked.search(search(match("third"))))


async def test_a_deadline_without_a_score_degrades() -> None:
    """Nobody waits longer than the deadline."""
    scorer = FirstCallOnly()
    scorer.calls.append([])
    answer = await reranking(four(), scorer, deadline=0.02).search(search(match()))
    assert "degraded; reason=deadline" == marker_of(answer)
    assert list(LONG_TO_SHORT) == texts(answer)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
async def test_scores_that_are_none_degrade(bad: float) -> None:
    """Nothing can be ordered by them."""
    scores = {**dict.fromkeys(LONG_TO_SHORT, 1.0), "a": bad}
    answer = await reranking(four(), ScriptedScorer(scores)).search(search(match()))
    assert "degraded; reason=model" == marker_of(answer)


async def test_whatever_a_scorer_raises_degrades(caplog: pytest.LogCaptureFixture) -> None:
    """A scorer of somebody's own may have bugs in both of its methods; the first stage is never lost."""

    class Broken(ScriptedScorer):
        async def score(self, query: str, texts: Any, *, deadline: float | None = None) -> list[float]:
            raise KeyError("no such layer")

    class Speechless(ScriptedScorer):
        def describe(self) -> Any:
            raise AttributeError("no model")

    for scorer in (Broken(), Speechless()):
        answer = await reranking(four(), scorer).search(search(match()))
        assert "degraded; reason=model" == marker_of(answer)
        assert list(LONG_TO_SHORT) == texts(answer)
    assert "no such layer" in caplog.text


async def test_too_many_scores_degrade() -> None:
    """Nobody knows which belong to whom."""

    class Generous(ScriptedScorer):
        async def score(self, query: str, texts: Any, *, deadline: float | None = None) -> list[float]:
            return [1.0] * (len(texts) + 1)

    answer = await reranking(four(), Generous()).search(search(match()))
    assert "degraded; reason=model" == marker_of(answer)


@pytest.mark.parametrize("failure", UNAVAILABLE, ids=lambda failure: failure.reason)
@pytest.mark.parametrize("is_known_before", [False, True], ids=["while scoring", "before the first stage"])
async def test_strict_callers_get_an_error(failure: type[RerankUnavailable], is_known_before: bool) -> None:
    """In the engine's shape, with a status that no client repeats; the marker is the same."""
    scorer = FailingScorer(failure("by order"), is_known_before=is_known_before)
    answer = await reranking(four(), scorer).search(search(match(), headers=(("X-Rerank-On-Failure", "error"),)))
    assert (500, "rerank_unavailable") == (answer.status, answer.json["error"]["type"])
    assert f"{failure.reason}: by order" == answer.json["error"]["reason"]
    assert answer.reason in ("", "Internal Server Error")
    assert f"degraded; reason={failure.reason}" == marker_of(answer)


# --- refused ------------------------------------------------------------------------------------------------


async def test_settings_that_make_no_sense_are_a_400() -> None:
    """Before the engine is asked anything."""
    engine = four()
    answer = await reranking(engine).search(search(match(ext={"rerank": {"window": 0}})))
    assert (400, "illegal_argument_exception") == (answer.status, answer.json["error"]["type"])
    assert "ext.rerank.window must be a whole number from 1 to 1000" in answer.json["error"]["reason"]
    assert ("skipped; reason=bad_request", []) == (marker_of(answer), engine.searches)


# --- skipped late -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("documents", [(), ("only",)], ids=["none", "one"])
async def test_few_hits_have_one_order(documents: tuple[str, ...]) -> None:
    """Nothing is scored, and the answer is the engine's own."""
    engine, scorer = ScriptedEngine(*documents), ScriptedScorer()
    answer = await reranking(engine, scorer).search(search(match()))
    assert without_ours(await direct(engine, search(match()))) == without_ours(answer)
    assert ("skipped; reason=few_hits", []) == (marker_of(answer), scorer.calls)


async def test_one_hit_is_scored_against_a_threshold() -> None:
    """It may have to go."""
    answer = await reranking(ScriptedEngine("only"), min_score=0.9).search(search(match()))
    assert ([], "applied; candidates=1; window=100; dropped=1; model=scripted") == (texts(answer), marker_of(answer))


async def test_hits_without_text_are_not_reranked() -> None:
    """None of the searched fields holds a string: never the longest string instead."""
    engine = ScriptedEngine(Document(source='{"other":"words"}'), Document(source='{"text":7}'))
    answer = await reranking(engine).search(search(match()))
    assert without_ours(await direct(engine, search(match()))) == without_ours(answer)
    assert "skipped; reason=no_text_field" == marker_of(answer)


def refusing(status: int = 400) -> Callable[[SearchRequest, Any], SearchResponse | None]:
    """Return an override that refuses widened searches."""
    return lambda _, body: error_with(status) if body.get("size") == 100 else None


@pytest.mark.parametrize("status", [400, 403, 404, 429])
async def test_a_refused_widening_is_asked_again_as_it_was_written(status: int) -> None:
    """The caller's own bytes, once, and that answer is the caller's."""
    engine, request = four(override=refusing(status)), search(' {"query": {"match":{"text":"blue"}}  }')
    answer = await reranking(engine).search(request)
    assert without_ours(await direct(engine, request)) == without_ours(answer)
    assert "skipped; reason=widening_refused" == marker_of(answer)
    assert [request] == engine.searches[1:]


@pytest.mark.parametrize(
    "answer",
    [
        '{"timed_out":true,"hits":{"hits":[]}}',
        '{"_shards":{"total":2,"failed":1},"hits":{"hits":[]}}',
    ],
    ids=["timed out", "failed shard"],
)
async def test_a_widening_that_fails_in_part_is_asked_again(answer: str) -> None:
    """What the caller's own search would have found stands."""
    engine = four(override=lambda _, body: answer_with(answer) if body.get("size") == 100 else None)
    found = await reranking(engine).search(search(match()))
    assert (list(LONG_TO_SHORT), "skipped; reason=widening_refused") == (texts(found), marker_of(found))
    assert 2 == len(engine.searches)


async def test_an_error_of_the_engine_is_the_engines() -> None:
    """4xx for the caller's own bytes, too: both were asked, and its body is relayed byte for byte."""
    engine, request = four(override=lambda _, body: error_with(404)), search(match())
    answer = await reranking(engine).search(request)
    assert without_ours(error_with(404)) == without_ours(answer)
    assert ("skipped; reason=engine_error", request) == (marker_of(answer), engine.searches[-1])


async def test_a_server_error_is_not_asked_again() -> None:
    """An engine in trouble does not get twice the load."""
    engine = four(override=lambda _, body: error_with(503))
    answer = await reranking(engine).search(search(match()))
    assert without_ours(error_with(503)) == without_ours(answer)
    assert ("skipped; reason=engine_error", 1) == (marker_of(answer), len(engine.searches))


async def test_an_error_for_a_page_after_the_window_was_no_widening() -> None:
    """It was sent as it was written, and once."""
    engine = four(override=lambda _, body: error_with(400))
    answer = await reranking(engine, window=5).search(search(match(**{"from": 5})))
    assert (400, "skipped; reason=engine_error", 1) == (answer.status, marker_of(answer), len(engine.searches))


@pytest.mark.parametrize(
    "answer",
    [
        answer_with("---\ntook: 1\n"),
        answer_with(b'{"hits":{"hits":[]},"x":"\xff"}'),
        answer_with('{"hits":{}}'),
        answer_with(b"not gzip", headers=(("Content-Encoding", "br"),)),
        answer_with("[" * 100_000),
    ],
    ids=["YAML", "damaged UTF-8", "no hits", "unknown encoding", "too deep"],
)
async def test_an_answer_that_cannot_be_read_is_passed_on(answer: SearchResponse) -> None:
    """The one to the caller's own bytes, as it is."""
    engine, request = four(override=lambda _, body: answer), search(match())
    found = await reranking(engine).search(request)
    assert without_ours(answer) == without_ours(found)
    assert ("skipped; reason=not_json", request) == (marker_of(found), engine.searches[-1])


async def test_a_skipped_search_is_the_engines_answer() -> None:
    """Byte for byte, to the caller's own bytes."""
    engine, request = four(), search(' {"query":{"match_all":{}} } ', target="/a%2Cb/_search?x=%zz")
    answer = await reranking(engine).search(request)
    assert without_ours(await direct(engine, request)) == without_ours(answer)
    assert (["skipped; reason=no_free_text"], [request]) == ([marker_of(answer)], engine.searches)


async def test_an_engine_without_an_answer_is_an_error() -> None:
    """Only then something is raised."""

    def down(_: SearchRequest, __: Any) -> SearchResponse:
        raise EngineUnavailable("down")

    with pytest.raises(EngineUnavailable):
        await reranking(four(override=down)).search(search(match()))


# --- the text ---------------------------------------------------------------------------------------------


async def test_text_that_the_caller_does_not_want_is_scored_and_not_returned() -> None:
    """`_source: false` reranks, and the answer still has neither `_source` nor `fields`."""
    engine, scorer = four(), ScriptedScorer()
    answer = await reranking(engine, scorer).search(search(match(_source=False)))
    assert ["4", "3", "2", "1"] == ids(answer)
    assert [{"_index", "_id", "_score"}] * 4 == [hit.value.keys() for hit in answer.hits]
    assert [{**match(_source=False), "size": 100, "fields": ["text"]}] == engine.bodies
    assert list(LONG_TO_SHORT) == scorer.texts


async def test_fields_that_the_caller_wants_stay() -> None:
    """Ours go, theirs stay, and theirs are enough when they hold the text."""
    engine = ScriptedEngine(document("bb", year=1), document("a", year=2))
    answer = await reranking(engine).search(search(match(_source=False, fields=["year"])))
    assert [{"year": [2]}, {"year": [1]}] == [hit.fields for hit in answer.hits]
    answer = await reranking(engine).search(search(match(_source=False, fields=[{"field": "text"}])))
    assert [{"text": ["a"]}, {"text": ["bb"]}] == [hit.fields for hit in answer.hits]


COPIED = [
    Document(source='{"title":"one"}', outside={"all": ["ccc"]}),
    Document(source='{"title":"two"}', outside={"all": ["a"]}),
]


async def test_a_copy_to_target_is_found_by_asking_again_and_remembered() -> None:
    """Once; from then on it is asked for at once, and never returned."""
    engine, scorer = ScriptedEngine(*COPIED), ScriptedScorer()
    connector = reranking(engine, scorer)
    answers = [await connector.search(search(match("blue", "all"))) for _ in range(2)]
    for answer in answers:
        assert (["2", "1"], [{}, {}]) == (ids(answer), [hit.fields for hit in answer.hits])
        assert "applied; candidates=2" in marker_of(answer)
    assert [None, ["all"], ["all"]] == [body.get("fields") for body in engine.bodies]
    assert ["ccc", "a"] * 2 == scorer.texts


async def test_a_field_that_is_nowhere_is_asked_for_once() -> None:
    """It is remembered as not there, and the search has still cost nothing but the text."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = reranking(engine)
    body = {"query": {"multi_match": {"query": "blue", "fields": ["gone", "text"]}}}
    for _ in range(3):
        answer = await connector.search(search(body))
        assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    asked = [json.loads(request.content or b"{}") for request in engine.searches if "_mapping" not in request.target]
    assert [None, ["gone"], None, None] == [body.get("fields") for body in asked]
    assert 1 == len([request for request in engine.searches if "_mapping" in request.target])


async def test_the_first_answer_stands_when_asking_for_more_text_fails() -> None:
    """An engine that is lost in between costs the text of one field, not the page."""

    def lost(_: SearchRequest, body: Any) -> SearchResponse | None:
        if "fields" in body:
            raise EngineTimeout("late")
        return None

    engine = ScriptedEngine(*LONG_TO_SHORT, override=lost)
    body = {"query": {"multi_match": {"query": "blue", "fields": ["gone", "text"]}}}
    answer = await reranking(engine).search(search(body))
    assert (["a", "bb", "ccc", "dddd"], True) == (texts(answer), marker_of(answer).startswith("applied"))


async def test_the_first_answer_stands_when_the_engine_refuses_to_give_more_text() -> None:
    """It is not asked again."""
    engine = ScriptedEngine(*COPIED, override=lambda _, body: error_with(400) if "fields" in body else None)
    connector, request = reranking(engine), search(match("blue", "all"))
    for asked in (2, 3):
        answer = await connector.search(request)
        assert (["1", "2"], "skipped; reason=no_text_field") == (ids(answer), marker_of(answer))
        assert without_ours(await direct(ScriptedEngine(*COPIED), request)) == without_ours(answer)
        assert asked == len(engine.bodies)


COSTLY = {
    "aggs": {"n": {"max": {"field": "n"}}},
    "suggest": {"s": {"text": "blu", "term": {"field": "all"}}},
    "profile": True,
    "highlight": {"fields": {"all": {}}},
    "docvalue_fields": ["n"],
}


@pytest.mark.parametrize(
    "request_", [search(match("blue", "all", **COSTLY)), msearch({}, match("blue", "all", **COSTLY))]
)
async def test_missing_text_costs_nothing_but_text(request_: SearchRequest) -> None:
    """Aggregations, suggestions and the caller's view are computed once; the page is cut from the first answer."""

    def answer_once(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        if "aggs" not in body:
            return None
        text = ScriptedEngine(*COPIED).render(body)[:-1] + ',"aggregations":{"n":{"value":7.0}}}'
        return answer_with(text, headers=(*ENGINE_HEADERS, ("Warning", "299 old")))

    engine, scorer = ScriptedEngine(*COPIED, override=answer_once), ScriptedScorer()
    is_many = "_msearch" in request_.target
    answer = await (reranking(engine, scorer).msearch if is_many else reranking(engine, scorer).search)(request_)
    first, second = [*engine.bodies, *(json.loads(each.body.split(b"\n")[1]) for each in engine.msearches)]
    assert {**match("blue", "all", **COSTLY), "size": 100} == first
    assert {**match("blue", "all"), "from": 0, "size": 100, "_source": False, "fields": ["all"]} == second
    found = answer.json["responses"][0] if is_many else answer.json
    assert ({"n": {"value": 7.0}}, ["2", "1"]) == (found["aggregations"], [hit["_id"] for hit in found["hits"]["hits"]])
    assert (["ccc", "a"], is_many) == (scorer.texts, header(answer.headers, "Warning") is None)


def filtering(request: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
    """Be an engine that understands three filters: ids, ids and what we need, and what text is asked for with."""
    found = json.loads(ScriptedEngine(*COPIED).render(body))["hits"]["hits"]
    shown = {
        "hits.hits._id": ("_id",),
        "hits.hits._id,timed_out,_shards.failed,hits.hits._score,hits.hits.fields,hits.hits._id,hits.hits._index": (
            "_index",
            "_id",
            "_score",
            "fields",
        ),
        "timed_out,_shards,hits.hits": ("_index", "_id", "_score", "fields"),
    }[request.param("filter_path") or ""]
    hits = [{name: hit[name] for name in shown if name in hit} for hit in found]
    whole = {"timed_out": False, "_shards": {"failed": 0}} if len(shown) > 1 else {}
    return answer_with(json.dumps({**whole, "hits": {"hits": hits}}, separators=(",", ":")))


@pytest.mark.parametrize("fetch", ["once", "twice"])
async def test_a_filtered_answer_is_reranked_and_filtered(fetch: str) -> None:
    """The text is asked for, and neither it nor what else we need is shown."""
    engine, scorer = ScriptedEngine(*COPIED, override=filtering), ScriptedScorer()
    request = search(match("blue", "all"), target="/books/_search?filter_path=hits.hits._id")
    answer = await reranking(engine, scorer, fetch=fetch).search(request)
    assert b'{"hits":{"hits":[{"_id":"2"},{"_id":"1"}]}}' == answer.body
    assert (["ccc", "a"], "applied; candidates=2; window=100; model=scripted") == (scorer.texts, marker_of(answer))
    assert [{**match("blue", "all"), "size": 100, "fields": ["all"]}] == engine.bodies


async def test_a_filtered_answer_of_a_failing_second_stage_is_the_engines() -> None:
    """Asked for as the caller wrote it."""
    engine, request = (
        ScriptedEngine(*COPIED, override=filtering),
        search(match(), target="/_search?filter_path=hits.hits._id"),
    )
    answer = await reranking(engine, FailingScorer(errors.ScorerLost("gone"))).search(request)
    assert b'{"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}}' == answer.body
    assert request == engine.searches[-1]


async def test_fields_that_the_engine_refuses_are_not_asked_for_again() -> None:
    """OpenSearch does so where `_source` is switched off in the mapping."""

    def refuse(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        reason = "Unable to retrieve the requested [fields] since _source is disabled in the mappings for index [books]"
        refused = json.dumps({"error": {"type": "illegal_argument_exception", "reason": reason}, "status": 400})
        return answer_with(refused, 400) if "fields" in body else None

    engine = ScriptedEngine("a", "bb", override=refuse)
    for fetch in ("once", "twice"):
        engine.searches.clear()
        connector = reranking(engine, fetch=fetch)
        request = search(match(_source=False))
        answers = [await connector.search(request) for _ in range(2)]
        assert ["skipped; reason=widening_refused", "skipped; reason=no_text_field"] == [marker_of(a) for a in answers]
        assert 1 == len({without_ours(answer) for answer in answers})
        assert [True, False, False] == ["fields" in body for body in engine.bodies]


async def test_all_text_fields_stand_in_for_a_star() -> None:
    """A query that names no field searches all text fields of the index."""
    engine, scorer = ScriptedEngine(document("bb", title="t"), document("a", title="u")), ScriptedScorer()
    engine.field_caps = {"text": {"text": {}}, "title": {"text": {}}, "year": {"long": {}}}
    answer = await reranking(engine, scorer).search(search(None, target="/books/_search?q=blue", method="GET"))
    assert ["t bb", "u a"] == scorer.texts
    assert ["a", "bb"] == texts(answer)


# --- policies and models ------------------------------------------------------------------------------------


async def test_each_index_has_its_policy_and_its_model() -> None:
    """Models are called by the names that policies give; the marker says which one it was."""
    main, other = ScriptedScorer(name="main"), ScriptedScorer({"bb": 2.0, "a": 1.0}, name="other")
    policy = Policy(
        policies=(
            IndexPolicy(indices=("films",), overrides={"model": "small", "window": 7}),
            IndexPolicy(indices=("logs-*",), overrides={"enabled": False}),
        )
    )
    connector = RerankingConnector(ScriptedEngine("bb", "a"), main, policy, models={"small": other})
    targets = ("/books/_search", "/films/_search", "/logs-1/_search")
    answers = [await connector.search(search(match(), target=target)) for target in targets]
    assert [["a", "bb"], ["bb", "a"], ["bb", "a"]] == [texts(answer) for answer in answers]
    assert [
        "applied; candidates=2; window=100; model=main",
        "applied; candidates=2; window=7; model=other",
        "skipped; reason=off",
    ] == [marker_of(answer) for answer in answers]


def test_a_policy_cannot_name_a_model_without_a_scorer() -> None:
    """It is said when the connector is made, not when a search comes."""
    policy = Policy(policies=(IndexPolicy(indices=("films",), overrides={"model": "small"}),))
    with pytest.raises(ValueError, match="small"):
        RerankingConnector(ScriptedEngine(), ScriptedScorer(), policy)


# --- records ------------------------------------------------------------------------------------------------


async def test_every_search_is_recorded() -> None:
    """With its outcome, and durations where there were any."""
    records: list[SearchRecord] = []
    connector = RerankingConnector(four(), ScriptedScorer(), observe=records.append)
    await connector.search(search(match()))
    await connector.search(search({"query": {"match_all": {}}}))
    await connector.msearch(msearch({}, match(), {}, {}))
    assert [
        (Operation.SEARCH, Outcome.APPLIED, None, 4, 100, "scripted"),
        (Operation.SEARCH, Outcome.SKIPPED, "no_free_text", 0, 0, None),
        (Operation.MSEARCH, Outcome.APPLIED, None, 4, 100, "scripted"),
        (Operation.MSEARCH, Outcome.SKIPPED, "no_free_text", 0, 0, None),
    ] == [(r.operation, r.outcome, r.reason, r.candidates, r.window, r.model) for r in records]
    assert [True, False, True, True] == [r.first_stage_seconds is not None for r in records]
    assert all((r.first_stage_seconds is None) == (r.second_stage_seconds is None) for r in records)


# --- several searches ---------------------------------------------------------------------------------------


def responses(answer: SearchResponse) -> list[Any]:
    """Return the items of an _msearch answer."""
    found: list[Any] = answer.json["responses"]
    return found


async def test_an_msearch_reranks_each_item() -> None:
    """In one request to the engine, with one entry of the marker per item."""
    engine, scorer = four(), ScriptedScorer()
    answer = await reranking(engine, scorer).msearch(
        msearch(
            {"index": "books"}, match(size=2), {}, {"query": {"match_all": {}}, "size": 1}, {}, match("sky", size=1)
        )
    )
    found = [[hit["_source"]["text"] for hit in item["hits"]["hits"]] for item in responses(answer)]
    assert [["a", "bb"], ["dddd"], ["a"]] == found
    entries = marker_of(answer).split(", ")
    assert ["applied", "skipped", "applied"] == [entry.split(";")[0] for entry in entries]
    assert ([], 1) == (engine.searches, len(engine.msearches))
    assert {"blue sky", "sky"} == set(scorer.queries)
    assert [100, 1, 100] == [json.loads(line)["size"] for line in engine.msearches[0].body.split(b"\n")[1::2]]


async def test_one_failing_item_does_not_touch_its_siblings() -> None:
    """Each item has its own error, refusal or page; the refused one alone is asked again."""

    def refuse_green(_: SearchRequest, body: Any) -> SearchResponse | None:
        is_green = "green" in json.dumps(body)
        return error_with(400) if is_green and body.get("size") == 100 else None

    engine = four(override=refuse_green)
    bad = {**match("sky"), "ext": {"rerank": {"windows": 1}}}
    answer = await reranking(engine).msearch(msearch({}, match("green"), {}, bad, {}, match("blue")))
    green, refused, blue = responses(answer)
    assert list(LONG_TO_SHORT) == [hit["_source"]["text"] for hit in green["hits"]["hits"]]
    assert (400, "illegal_argument_exception") == (refused["status"], refused["error"]["type"])
    assert ["a", "bb", "ccc", "dddd"] == [hit["_source"]["text"] for hit in blue["hits"]["hits"]]
    assert [
        "skipped; reason=widening_refused",
        "skipped; reason=bad_request",
        "applied; candidates=4; window=100; model=scripted",
    ] == marker_of(answer).split(", ")
    first, second = engine.msearches
    assert (6, 2) == (first.body.count(b"\n"), second.body.count(b"\n"))
    assert json.dumps(match("green")).encode() in second.body


async def test_an_item_with_a_strange_key_is_refused_in_text() -> None:
    """Even when its name is no text."""
    body = b'{}\n{"query":{"match":{"text":"blue"}},"ext":{"rerank":{"\\ud800":1}}}\n'
    answer = await reranking(four()).msearch(replace(msearch(), body=body))
    assert 400 == responses(answer)[0]["status"]


async def test_a_failing_scorer_degrades_every_item_alone() -> None:
    """Strict ones get an error inside a 200, the others their first stage, to the byte."""
    engine = four()
    lines: list[Any] = [{}, match(), {}, match(ext={"rerank": {"on_failure": "error"}})]
    answer = await reranking(engine, FailingScorer(errors.SchedulerFull("full"))).msearch(msearch(*lines))
    plain, strict = responses(answer)
    expected = await ScriptedEngine(*LONG_TO_SHORT).msearch(msearch({}, match()))
    assert responses(expected) == [plain]
    assert (200, 500, "rerank_unavailable") == (answer.status, strict["status"], strict["error"]["type"])
    assert "degraded; reason=scheduler_full, degraded; reason=scheduler_full" == marker_of(answer)


async def test_untouched_items_keep_their_bytes() -> None:
    """An answer is spliced, not printed."""
    engine = ScriptedEngine(ODD, "x")
    request = msearch({}, {"query": {"match_all": {}}}, {}, match())
    answer = await reranking(engine).msearch(request)
    expected = await ScriptedEngine(ODD, "x").msearch(msearch({}, {"query": {"match_all": {}}}))
    untouched = expected.body[expected.body.index(b"[") + 1 : expected.body.rindex(b"]")]
    assert answer.body.startswith(b'{"took":1,"responses":[' + untouched + b',{"took":3')


async def test_an_msearch_left_alone_is_the_engines() -> None:
    """With the caller's own bytes."""
    engine, request = four(), msearch({}, {"query": {"match_all": {}}}, {}, {"size": 0, **match()})
    answer = await reranking(engine).msearch(request)
    assert ([request], "skipped; reason=no_free_text, skipped; reason=size_zero") == (
        engine.msearches,
        marker_of(answer),
    )
    assert without_ours(await four().msearch(request)) == without_ours(answer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error_with(401), "engine_error"),
        (answer_with('{"took":1,"responses":[]}'), "not_json"),
        (answer_with("<html>"), "not_json"),
        (answer_with(b"\xff"), "not_json"),
    ],
    ids=["401", "too few items", "no JSON", "damaged"],
)
async def test_an_answer_to_the_msearch_as_a_whole_is_passed_on(answer: SearchResponse, reason: str) -> None:
    """That to the caller's own bytes, which are asked once more."""

    class Whole(ScriptedEngine):
        async def msearch(self, request: SearchRequest) -> SearchResponse:
            self.msearches.append(request)
            return answer

    engine, request = Whole(), msearch({}, match(), {}, {})
    found = await reranking(engine).msearch(request)
    assert without_ours(answer) == without_ours(found)
    assert request == engine.msearches[-1]
    assert f"skipped; reason={reason}, skipped; reason=no_free_text" == marker_of(found)


async def test_a_copy_to_target_of_an_item_is_asked_for_with_that_item_alone() -> None:
    """Siblings are not searched twice."""
    engine = ScriptedEngine(*COPIED)
    answer = await reranking(engine).msearch(msearch({}, match("blue", "title"), {}, match("blue", "all")))
    assert [["1", "2"], ["2", "1"]] == [[hit["_id"] for hit in item["hits"]["hits"]] for item in responses(answer)]
    assert [4, 2] == [request.body.count(b"\n") for request in engine.msearches]
    assert "fields" not in answer.body.decode()


# --- relayed ------------------------------------------------------------------------------------------------


async def relayed(
    connector: Connector,
    method: str,
    target: str,
    body: AsyncIterator[bytes] | bytes | None = None,
    headers: Headers = JSON,
) -> SearchResponse:
    """Return the complete answer to a relayed request."""
    request = RelayRequest(method=method, target=target, headers=headers, body=body)
    async with connector.relay(request) as answer:
        return SearchResponse(
            status=answer.status, reason=answer.reason, headers=answer.headers, body=await whole(answer.chunks)
        )


def content(body: Any) -> AsyncIterator[bytes]:
    """Return a JSON body as it comes from a client: in pieces."""
    return in_chunks(json.dumps(body).encode())


OURS = (("X-Rerank", "on"), ("x-rerank-window", "9"))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/_bulk"),
        ("GET", "/books/_doc/1"),
        ("PUT", "/books"),
        ("GET", "/"),
        ("DELETE", "/_search/scroll"),
        ("POST", "//books/_count"),
    ],
)
async def test_everything_else_is_streamed_without_our_headers(method: str, target: str) -> None:
    """Body and answer pass as they come, with no marker."""
    engine = four()
    answer = await relayed(reranking(engine), method, target, in_chunks(b"some body"), (*JSON, *OURS))
    (request,) = engine.relayed
    assert (target, JSON, [b"some body"]) == (request.target, request.headers, engine.relayed_bodies)
    assert without_ours(answer_with(f"{method} {target} 9")) == without_ours(answer)
    assert "" == marker_of(answer)


async def test_a_relayed_search_is_reranked() -> None:
    """The same as through `search`."""
    engine = four()
    answer = await relayed(reranking(engine), "POST", "/books/_search", content(match()))
    assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    assert marker_of(answer).startswith("applied")
    assert ([], 1) == (engine.relayed, len(engine.searches))


async def test_a_relayed_msearch_is_reranked() -> None:
    """The same as through `msearch`."""
    request = msearch({}, match())
    answer = await relayed(reranking(four()), "POST", "/_msearch", in_chunks(request.body), request.headers)
    assert ["4", "3", "2", "1"] == [hit["_id"] for hit in responses(answer)[0]["hits"]["hits"]]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_skipped_search_is_streamed(method: str) -> None:
    """With the caller's bytes, and a marker that says why."""
    engine = four()
    answer = await relayed(
        reranking(engine), method, "/books/_search?x=%zz", in_chunks(b' {"query":{"match_all":{}}} '), (*JSON, *OURS)
    )
    (request,) = engine.relayed
    assert ("/books/_search?x=%zz", JSON, [b' {"query":{"match_all":{}}} ']) == (
        request.target,
        request.headers,
        engine.relayed_bodies,
    )
    assert "skipped; reason=no_free_text" == marker_of(answer)
    assert list(LONG_TO_SHORT) == texts(answer)


async def test_a_search_without_a_body_has_none_when_streamed() -> None:
    """Nothing is made of nothing."""
    engine = four()
    await relayed(reranking(engine), "GET", "/books/_search", headers=())
    assert engine.relayed[0].body is None


async def test_a_request_that_is_too_large_is_streamed_unranked() -> None:
    """All of it, and with a marker."""
    engine = four()
    body = json.dumps({**match(), "pad": "x" * MAX_REQUEST_BYTES}).encode()
    answer = await relayed(reranking(engine), "POST", "/books/_search", in_chunks(body, 1 << 20), (*JSON, *OURS))
    assert ([body], JSON) == (engine.relayed_bodies, engine.relayed[0].headers)
    assert "skipped; reason=too_large" == marker_of(answer)


async def test_an_answer_that_is_too_large_is_streamed_unranked() -> None:
    """To the caller's own bytes, less what was said to us."""

    class Huge(ScriptedEngine):
        async def search(self, request: SearchRequest) -> SearchResponse:
            if json.loads(request.body).get("size") == 100:
                raise AnswerTooLarge("huge")
            return await super().search(request)

    engine = Huge(*LONG_TO_SHORT)
    body = {**match(), "ext": {"rerank": {"explain": True}}}
    answer = await relayed(reranking(engine), "POST", "/books/_search", content(body), (*JSON, *OURS[:1]))
    assert (list(LONG_TO_SHORT), "skipped; reason=too_large") == (texts(answer), marker_of(answer))
    assert [match()] == engine.bodies
    assert not [name for name, _ in engine.relayed[0].headers if name.startswith("X-Rerank")]


async def test_a_degraded_search_is_streamed_when_nothing_was_asked_yet() -> None:
    """Without a scorer a search is left alone, and says so."""
    engine = four()
    scorer = FailingScorer(errors.ScorerStarting("loading"), is_known_before=True)
    answer = await relayed(reranking(engine, scorer), "POST", "/books/_search", content(match()))
    assert (1, "degraded; reason=starting") == (len(engine.relayed), marker_of(answer))


async def test_relayed_searches_are_recorded_once() -> None:
    """Streamed or not."""
    records: list[SearchRecord] = []
    connector = RerankingConnector(four(), ScriptedScorer(), observe=records.append)
    await relayed(connector, "POST", "/books/_search", content(match()))
    await relayed(connector, "POST", "/books/_search", content({}))
    await relayed(connector, "GET", "/books/_count")
    assert [Outcome.APPLIED, Outcome.SKIPPED] == [record.outcome for record in records]


# --- the connector itself -----------------------------------------------------------------------------------


async def test_a_reranked_engine_is_an_engine() -> None:
    """It has the protocol, and can be reranked again; closing it closes nothing that it was given."""
    engine = four()
    connector = reranking(engine)
    assert isinstance(connector, Connector)
    assert "reranked scripted engine" == connector.name
    await connector.ping()
    twice = RerankingConnector(connector, ScriptedScorer({text: -float(len(text)) for text in LONG_TO_SHORT}))
    assert ["a", "bb", "ccc", "dddd"] == texts(await twice.search(search(match())))
    await connector.aclose()
    assert not engine.is_closed


# --- heavy hits ---------------------------------------------------------------------------------------------


async def test_heavy_hits_come_in_two_steps() -> None:
    """First ids and text of the whole window, then the caller's own page; the answer is the same as from one step."""
    request = search(match(size=2, **{"from": 1}))
    engine = four()
    twice = await reranking(engine, fetch="twice").search(request)
    once = await reranking(four(), fetch="once").search(request)
    assert without_ours(once) == without_ours(twice)
    assert marker_of(once) == marker_of(twice)
    first, second = engine.bodies
    assert {**match(), "from": 0, "size": 100, "_source": False, "fields": ["text"]} == first
    assert {"bool": {"filter": [{"ids": {"values": ["3", "2"]}}]}} == second["post_filter"]


async def test_light_hits_come_in_one_step_once_they_are_known() -> None:
    """The page of the first search tells."""
    engine = four()
    connector = reranking(engine, fetch="auto")
    for _ in range(2):
        answer = await connector.search(search(match()))
        assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    assert 3 == len(engine.bodies)


async def test_a_failing_second_stage_after_a_slim_search_costs_nothing() -> None:
    """The caller's own request gives the caller's own page."""
    engine, request = four(), search(match(size=2))
    answer = await reranking(engine, FailingScorer(errors.ScorerLost("gone")), fetch="twice").search(request)
    assert "degraded; reason=scorer_lost" == marker_of(answer)
    assert without_ours(await direct(engine, request)) == without_ours(answer)
    assert json.loads(request.body) == engine.bodies[-1]


@pytest.mark.parametrize("is_pretty", [False, True])
async def test_a_page_that_min_score_empties_is_the_callers_own_without_hits(is_pretty: bool) -> None:
    """As one step gives it, although the slim search asked for less."""
    request = search(match(size=2))
    engine = four(is_pretty=is_pretty)
    twice = await reranking(engine, fetch="twice", min_score=1.0).search(request)
    once = await reranking(four(is_pretty=is_pretty), fetch="once", min_score=1.0).search(request)
    assert (without_ours(once), marker_of(once)) == (without_ours(twice), marker_of(twice))
    assert ([], match(size=2)) == (texts(twice), engine.bodies[-1])


async def test_a_page_that_min_score_empties_hides_no_refusal() -> None:
    """What the slim search leaves out may be what the engine refuses."""

    def refuse(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        return error_with(400) if "highlight" in body else None

    answer = await reranking(four(override=refuse), fetch="twice", min_score=1.0).search(search(match(highlight={})))
    assert without_ours(error_with(400)) == without_ours(answer)
    assert "skipped; reason=engine_error" == marker_of(answer)


async def test_a_page_whose_hit_went_away_is_the_engines() -> None:
    """Somebody deleted a document between the two steps."""

    def lose(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        if "post_filter" not in body:
            return None
        body["post_filter"]["bool"]["filter"][0]["ids"]["values"].remove("4")
        return answer_with(four().render(body))

    engine = four(override=lose)
    answer = await reranking(engine, fetch="twice").search(search(match(size=2)))
    assert "skipped; reason=widening_refused" == marker_of(answer)
    assert ["dddd", "ccc"] == texts(answer)


async def test_an_engine_that_dies_between_the_steps_is_an_error() -> None:
    """In the engine's shape, with the status of a gateway."""

    def die(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        if "post_filter" in body:
            raise EngineUnavailable("gone")
        return None

    answer = await reranking(four(override=die), fetch="twice").search(search(match()))
    assert (502, "skipped; reason=engine_error") == (answer.status, marker_of(answer))


async def test_items_of_an_msearch_come_in_two_steps_each() -> None:
    """One request for all slim searches, then one for each page."""
    engine = four()
    answer = await reranking(engine, fetch="twice").msearch(msearch({}, match(), {}, match(size=1)))
    pages = [[hit["_source"]["text"] for hit in item["hits"]["hits"]] for item in answer.json["responses"]]
    assert [["a", "bb", "ccc", "dddd"], ["a"]] == pages
    assert 3 == len(engine.msearches)


# --- rankings that depend on size ---------------------------------------------------------------------------


async def test_a_ranking_that_depends_on_size_is_reranked_within_its_page() -> None:
    """The engine gets the caller's own search."""
    engine = four()
    knn = {"field": "v", "query_vector": [1], "k": 3}
    answer = await reranking(engine).search(search(match(knn=knn, size=3)))
    assert ["bb", "ccc", "dddd"] == texts(answer)
    assert [match(knn=knn, size=3)] == engine.bodies
    assert "applied; candidates=3; window=100; model=scripted" == marker_of(answer)


# --- rerankers of the engine's own --------------------------------------------------------------------------


def native_search(inference_id: str = "mine") -> SearchRequest:
    """Return a search with Elastic's reranker."""
    inner = {"standard": {"query": {"match": {"text": "blue sky"}}}}
    settings = {"retriever": inner, "field": "text", "inference_id": inference_id, "inference_text": "why blue"}
    return search({"retriever": {"text_similarity_reranker": settings}})


def without_rerankers(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
    """Be an engine without rerankers."""
    if "retriever" not in body and "ext" not in body:
        return None
    reason = "unknown retriever [text_similarity_reranker]" if "retriever" in body else "unknown field [rerank] in ext"
    return answer_with(json.dumps({"error": {"reason": reason}, "status": 400}), 400)


async def test_a_reranker_that_names_us_is_ours() -> None:
    """The engine gets what is inside it, and the model the words that it says."""
    engine, scorer = four(), ScriptedScorer()
    answer = await reranking(engine, scorer).search(native_search("rerank-sidecar"))
    assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    assert "applied; candidates=4; window=10; model=scripted" == marker_of(answer)
    assert ["why blue"] == scorer.queries
    assert [{"query": {"match": {"text": "blue sky"}}, "size": 10}] == engine.bodies


async def test_a_reranker_that_the_engine_runs_is_the_engines() -> None:
    """Its answer stands."""
    engine = four()
    answer = await reranking(engine).search(native_search())
    assert "skipped; reason=native_rerank" == marker_of(answer)
    assert ["dddd", "ccc", "bb", "a"] == texts(answer)


@pytest.mark.parametrize(
    "request_", [native_search(), search(match(ext={"rerank": {"query_context": {"query_text": "why blue"}}}))]
)
async def test_a_reranker_that_the_engine_refuses_is_ours(request_: SearchRequest) -> None:
    """Which is learned once."""
    engine, scorer = four(override=without_rerankers), ScriptedScorer()
    connector = reranking(engine, scorer)
    for _ in range(2):
        answer = await connector.search(request_)
        assert ["a", "bb", "ccc", "dddd"] == texts(answer)
        assert marker_of(answer).startswith("applied; candidates=4")
    assert ["why blue"] * 2 == scorer.queries
    assert 3 == len(engine.bodies)


async def test_a_relayed_reranker_that_the_engine_refuses_is_ours() -> None:
    """By the other door."""
    request = native_search()
    answer = await relayed(
        reranking(four(override=without_rerankers)), "POST", request.target, request.body, request.headers
    )
    assert ["a", "bb", "ccc", "dddd"] == texts(answer)


class RefusingAsAWhole(ScriptedEngine):
    """An engine that refuses an `_msearch` as a whole for a reranker in one of its searches."""

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Refuse, or answer."""
        found = without_rerankers(request, {"retriever": 1}) if b"text_similarity_reranker" in request.content else None
        return found or await super().msearch(request)


@pytest.mark.parametrize("kind", [ScriptedEngine, RefusingAsAWhole])
async def test_a_refused_reranker_beside_other_searches_is_ours(kind: type[ScriptedEngine]) -> None:
    """Whether the engine refuses the item or the whole; which is learned once."""
    engine, scorer = kind(*LONG_TO_SHORT, override=without_rerankers), ScriptedScorer()
    connector, native = reranking(engine, scorer), json.loads(native_search().body)
    request = msearch({}, match("sky"), {}, native, {}, {"query": {"match_all": {}}})
    for _ in range(2):
        answer = await connector.msearch(request)
        asked, engine.msearches[:] = len(engine.msearches), []
        shown = [[hit["_source"]["text"] for hit in item["hits"]["hits"]] for item in answer.json["responses"]]
        assert [list(LONG_TO_SHORT[::-1])] * 2 + [list(LONG_TO_SHORT)] == shown
        assert ["applied", "applied", "skipped"] == [each.split(";")[0] for each in marker_of(answer).split(", ")]
    assert 1 == asked
    assert {"sky", "why blue"} == set(scorer.queries)


async def test_a_reranker_that_the_engine_runs_stays_the_engines_beside_other_searches() -> None:
    """Only what is refused is taken over."""
    answer = await reranking(four()).msearch(msearch({}, match(), {}, json.loads(native_search().body)))
    assert ["applied", "skipped"] == [each.split(";")[0] for each in marker_of(answer).split(", ")]
    assert marker_of(answer).endswith("reason=native_rerank")


async def test_another_error_of_a_search_with_a_reranker_stands() -> None:
    """It is no refusal of the reranker."""
    engine = four(override=lambda request, body: error_with(404))
    answer = await reranking(engine).search(native_search())
    assert (404, 1) == (answer.status, len(engine.bodies))


async def test_a_reranker_of_ours_must_be_complete() -> None:
    """Who names us gets our error."""
    request = search({"retriever": {"text_similarity_reranker": {"inference_id": "rerank-sidecar"}}})
    answer = await reranking(four()).search(request)
    assert 400 == answer.status
    assert "inference_text" in answer.json["error"]["reason"]


# --- templates ----------------------------------------------------------------------------------------------


def rendering(request: SearchRequest, _: dict[str, Any]) -> SearchResponse | None:
    """Render every template to one search."""
    if "_render/template" not in request.target:
        return None
    return answer_with(json.dumps({"template_output": match("why blue", size=3)}))


async def test_a_templated_search_is_reranked() -> None:
    """As the search that it stands for."""
    engine, scorer = four(override=rendering), ScriptedScorer()
    answer = await relayed(reranking(engine, scorer), "POST", "/books/_search/template", b'{"id":"mine"}', JSON)
    assert ["a", "bb", "ccc"] == texts(answer)
    assert ["why blue"] == scorer.queries


async def test_a_templated_msearch_is_reranked() -> None:
    """Item by item."""
    body = b'{}\n{"id":"mine"}\n{}\n{"id":"mine"}\n'
    answer = await relayed(reranking(four(override=rendering)), "POST", "/_msearch/template", body, JSON)
    assert [3, 3] == [len(item["hits"]["hits"]) for item in answer.json["responses"]]
    assert 2 == len(marker_of(answer).split(", "))


@pytest.mark.parametrize("target", ["/books/_search/template", "/_msearch/template"])
async def test_a_template_that_cannot_be_rendered_is_the_engines(target: str) -> None:
    """With the caller's own bytes."""
    engine = four(override=lambda request, body: error_with(404))
    answer = await relayed(reranking(engine), "POST", target, b'{}\n{"id":"mine"}\n', (*JSON, *OURS))
    assert "skipped; reason=template" == marker_of(answer)
    assert [b'{}\n{"id":"mine"}\n'] == engine.relayed_bodies
    assert JSON == engine.relayed[0].headers


async def test_a_template_for_a_search_that_is_left_alone_is_the_engines() -> None:
    """It goes as its caller wrote it."""

    def sorted_one(request: SearchRequest, _: dict[str, Any]) -> SearchResponse | None:
        return answer_with(json.dumps({"template_output": match(sort=["n"])}))

    engine = four(override=sorted_one)
    answer = await relayed(reranking(engine), "POST", "/books/_search/template", b'{"id":"mine"}', JSON)
    assert "skipped; reason=sort" == marker_of(answer)
    assert ["/books/_search/template"] == [request.target for request in engine.relayed]


async def test_an_async_search_is_marked_and_left_alone() -> None:
    """Its answer comes later."""
    engine = four()
    answer = await relayed(reranking(engine), "POST", "/books/_async_search", b"{}", JSON)
    assert "skipped; reason=async_search" == marker_of(answer)


# --- passages -----------------------------------------------------------------------------------------------


async def test_long_documents_are_scored_by_their_best_passage() -> None:
    """Which is given back when asked for, beside the caller's own highlights."""
    engine = ScriptedEngine("one two three four five six", "seven eight nine ten eleven twelve")
    passages = ["one two three", "four five six", "seven eight nine", "ten eleven twelve"]
    scorer = ScriptedScorer({passage: float(place) for place, passage in enumerate(passages)})
    options = {"passage_tokens": 4, "passage_return": True, "explain": True}
    answer = await reranking(engine, scorer, **options).search(search(match()))
    assert passages == scorer.texts
    best = answer.hits[0]
    assert ["ten eleven twelve"] == best.highlight["rerank_passage"]
    assert "ten eleven twelve" == best.value["_rerank"]["text"]
    assert "applied; candidates=2; window=100; model=scripted" == marker_of(answer)


async def test_html_is_taken_out_before_scoring() -> None:
    """The caller gets it as it was."""
    engine, scorer = ScriptedEngine("<p>blue</p>", "<i>sky</i>"), ScriptedScorer()
    answer = await reranking(engine, scorer, strip_html=True).search(search(match()))
    assert ["blue", "sky"] == scorer.texts
    assert {"<p>blue</p>", "<i>sky</i>"} == set(texts(answer))


@pytest.mark.parametrize("source", ["highlight", "inner_hits"])
async def test_what_the_engine_found_is_scored(source: str) -> None:
    """Fragments without their marks, or the texts of inner hits."""
    highlight = {"highlight": {"text": ["a <em>blue</em> sky", "more"]}}
    inner = {
        "inner_hits": {"c": {"hits": {"hits": [{"_source": {"text": "a blue sky"}}, {"_source": {"text": "more"}}]}}}
    }
    found = highlight if source == "highlight" else inner
    hits = [{"_id": str(n), "_score": 1.0, "_source": {"text": f"whole {n}"}, **found} for n in range(2)]
    engine = four(override=lambda request, body: answer_with(json.dumps({"hits": {"max_score": 1.0, "hits": hits}})))
    scorer = ScriptedScorer()
    body = match(highlight={"fields": {"text": {}}})
    answer = await reranking(engine, scorer, text_from=source, passage_return=True).search(search(body))
    assert ["a blue sky", "more"] * 2 == scorer.texts
    assert "applied; candidates=2" in marker_of(answer)
    assert ["more"] == answer.hits[0].highlight["rerank_passage"]


# --- what only the caller's own search shows ----------------------------------------------------------------


async def test_a_page_behind_the_last_hit_is_the_engines() -> None:
    """The engine may refuse what the slim search left out."""

    def refuse(_: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        return error_with(400) if "highlight" in body else None

    request = search(match(highlight={"fields": 5}, **{"from": 10}))
    answer = await reranking(four(override=refuse), fetch="auto").search(request)
    assert 400 == answer.status


async def test_an_msearch_that_is_refused_as_a_whole_is_the_engines() -> None:
    """When the second requests show it."""

    class Refusing(ScriptedEngine):
        async def msearch(self, request: SearchRequest) -> SearchResponse:
            answer = await super().msearch(request)
            return error_with(400) if b"highlight" in request.content else answer

    answer = await reranking(Refusing(*LONG_TO_SHORT), fetch="auto").msearch(
        msearch({}, match(highlight={"fields": 5}), {}, match())
    )
    assert (400, "skipped; reason=engine_error, skipped; reason=engine_error") == (answer.status, marker_of(answer))


@pytest.mark.parametrize("accept", ["application/yaml", "application/cbor"])
async def test_settings_are_taken_out_of_a_search_for_another_format(accept: str) -> None:
    """The engine knows no `ext.rerank`."""
    engine = four()
    request = search(match(ext={"rerank": {"window": 5}}), headers=(("Accept", accept),))
    answer = await reranking(engine).search(request)
    assert "skipped; reason=not_json" == marker_of(answer)
    assert [match()] == engine.bodies
    many = SearchRequest(
        method="POST",
        target="/_msearch?format=yaml",
        headers=JSON,
        body=b'{}\n{"size":1,"ext":{"rerank":{"window":5}}}\n',
    )
    await reranking(engine).msearch(many)
    assert b'{}\n{"size":1}\n' == engine.msearches[-1].body


async def test_a_search_without_an_answer_bears_a_marker() -> None:
    """By relay, as an error in the engine's shape."""

    class Away(ScriptedEngine):
        async def search(self, request: SearchRequest) -> SearchResponse:
            raise EngineTimeout("late")

    answer = await relayed(reranking(Away()), "POST", "/books/_search", json.dumps(match()).encode(), JSON)
    assert (504, "skipped; reason=engine_error") == (answer.status, marker_of(answer))


async def test_splitting_texts_is_bound_by_the_deadline() -> None:
    """A scorer that does not answer costs the second stage, and no more than its time."""

    class Stalled(ScriptedScorer):
        async def split(self, texts: Any, *, tokens: int, overlap: int) -> Any:
            await asyncio.Event().wait()

    answer = await reranking(four(), Stalled(), passage_tokens=2, deadline=0.03).search(search(match()))
    assert "degraded; reason=deadline" == marker_of(answer)
    assert list(LONG_TO_SHORT) == texts(answer)


OWN_ERROR = b'{"error":{"reason":"of the template"},"status":400}'
OWN_ANSWER = b'{"took":1,"hits":{"hits":[]},"status":200}'


class RefusingWhatIsRendered(ScriptedEngine):
    """An engine that refuses searches for "bad", and answers their templates in its own way."""

    def __init__(self, own: bytes, source: dict[str, Any]) -> None:
        """Answer the template itself with `own`, and render it to `source`, or to a good search where it says so."""
        super().__init__(*LONG_TO_SHORT, override=self._judge)
        self.own, self.source = own, source

    def _judge(self, request: SearchRequest, body: dict[str, Any]) -> SearchResponse | None:
        if "_render/template" in request.target:
            return answer_with(json.dumps({"template_output": match() if body["id"] == "good" else self.source}))
        if request.target.endswith("/template"):
            return answer_with(self.own, status=json.loads(self.own)["status"])
        return error_with(400) if body["query"]["match"]["text"] == "bad" else None

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer the template itself, or what it stands for."""
        if not request.target.endswith("/template"):
            return await super().msearch(request)
        self.msearches.append(request)
        return answer_with(b'{"responses":[' + self.own + b"]}")


@pytest.mark.parametrize(
    ("own", "marker"), [(OWN_ERROR, "skipped; reason=engine_error"), (OWN_ANSWER, "skipped; reason=template")]
)
@pytest.mark.parametrize("options", [{}, {"window": 10}, {"fetch": "twice"}])
async def test_what_is_refused_of_a_template_is_asked_of_the_template_itself(
    own: bytes, marker: str, options: dict[str, Any]
) -> None:
    """The engine may refuse it in other words, or not at all."""
    engine = RefusingWhatIsRendered(own, match("bad"))
    answer = await relayed(
        reranking(engine, **options), "POST", "/books/_search/template", b'{"id":"bad"}', (*JSON, *OURS)
    )
    assert (own, json.loads(own)["status"], marker) == (answer.body, answer.status, marker_of(answer))
    assert ("/books/_search/template", b'{"id":"bad"}') == (engine.searches[-1].target, engine.searches[-1].body)
    assert JSON == engine.searches[-1].headers


@pytest.mark.parametrize("bad", [match("bad"), {**match("bad"), "sort": "n"}], ids=["to rerank", "left alone"])
async def test_one_refused_search_of_a_templated_msearch_leaves_all_of_them(bad: dict[str, Any]) -> None:
    """As the engine answers their templates."""
    engine = RefusingWhatIsRendered(OWN_ERROR, bad)
    body = b'{}\n{"id":"good"}\n{}\n{"id":"bad"}\n'
    answer = await relayed(reranking(engine), "POST", "/_msearch/template", body, JSON)
    assert b'{"responses":[' + OWN_ERROR + b"]}" == answer.body
    assert body == engine.msearches[-1].body
    assert "skipped; reason=template" == marker_of(answer).split(", ")[0]


async def test_a_template_with_settings_for_us_never_reaches_the_engine() -> None:
    """It would refuse them: what the template stands for is asked without them, refused or left alone."""
    for source, status in ((match("bad"), 400), ({"query": {"match": {"text": "x"}}, "sort": "n"}, 200)):
        engine = RefusingWhatIsRendered(OWN_ERROR, {**source, "ext": {"rerank": {"window": 5}}})
        answer = await relayed(reranking(engine), "POST", "/books/_search/template", b'{"id":"bad"}', JSON)
        assert status == answer.status
        targets = [asked.target for asked in (*engine.searches, *engine.relayed)]
        assert {"/_render/template", "/books/_search"} == set(targets)


async def test_strict_mode_of_a_template_is_ours() -> None:
    """The engine refused nothing."""
    engine = four(override=rendering)
    scorer = FailingScorer(errors.ScorerLost("gone"))
    answer = await relayed(
        reranking(engine, scorer, on_failure="error"), "POST", "/books/_search/template", b'{"id":"mine"}', JSON
    )
    assert (500, "degraded; reason=scorer_lost") == (answer.status, marker_of(answer))
