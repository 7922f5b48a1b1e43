"""Searches that are only observed: what their callers get, and what is found out afterwards."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from connectors.base import RelayRequest, SearchRequest, SearchResponse
from connectors.errors import EngineUnavailable
from sidecar import tasks
from sidecar.errors import ScorerLost
from sidecar.experiments import overlap
from sidecar.experiments.observing import MOST_PER_SECOND, Observer
from sidecar.pipeline import RerankingConnector
from sidecar.policy import IndexPolicy, Policy
from sidecar.response import Ranked
from sidecar.scoring import timing
from sidecar.searches import Search
from sidecar.types import Observation, Operation, Outcome, RerankOptions, SearchRecord
from tests.unit.doubles import (
    JSON,
    FailingScorer,
    ScriptedEngine,
    ScriptedScorer,
    error_with,
    marker_of,
    match,
    msearch,
    search,
    texts,
    whole,
)

LONG_TO_SHORT = ("dddd", "ccc", "bb", "a")


class Watched(RerankingConnector):
    """A connector whose observations can be waited for."""

    def __init__(self, engine: ScriptedEngine, scorer: ScriptedScorer | None = None, **given: Any) -> None:
        """Observe every search under the default options, unless a policy is given."""
        self.found: asyncio.Queue[Observation] = asyncio.Queue()
        options = given.pop("options", {})
        policy = given.pop("policy", None) or Policy(defaults=RerankOptions(mode="observe", fetch="once", **options))
        super().__init__(engine, scorer or ScriptedScorer(), policy, compare=self.found.put_nowait, **given)

    async def next(self) -> Observation:
        """Wait for the next observation."""
        async with asyncio.timeout(5):
            return await self.found.get()


async def direct(engine: ScriptedEngine, request: SearchRequest) -> SearchResponse:
    """Return what the bare engine says."""
    return await ScriptedEngine(*engine.documents, override=engine.override).search(request)


async def relayed(connector: RerankingConnector, request: SearchRequest) -> tuple[str, bytes]:
    """Return marker and body of an answer that is streamed."""
    sent = RelayRequest(method=request.method, target=request.target, headers=request.headers, body=request.body)
    async with connector.relay(sent) as answer:
        headers = dict(answer.headers)
        return headers.get("X-Rerank", ""), await whole(answer.chunks)


# --- what callers get ---------------------------------------------------------------------------------------


async def test_the_caller_gets_the_engine_s_answer_to_its_own_bytes() -> None:
    """Nothing is asked for that the caller did not ask for; the marker is the one thing that is added."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    asked = search(match("why blue", size=2))
    connector = Watched(engine)
    answer = await connector.search(asked)
    plain = await direct(engine, asked)
    assert (plain.status, plain.body, (*plain.headers, ("X-Rerank", "observed"))) == (
        answer.status,
        answer.body,
        answer.headers,
    )
    assert [asked] == engine.searches
    await connector.next()


async def test_a_streamed_answer_has_left_before_anything_else_is_asked() -> None:
    """The engine gets the caller's bytes; the wider search comes when the answer is gone."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = Watched(engine)
    asked = search(match(size=2))
    sent = RelayRequest(method="POST", target=asked.target, headers=asked.headers, body=asked.body)
    async with connector.relay(sent) as answer:
        body = await whole(answer.chunks)
        for _ in range(20):
            await asyncio.sleep(0)
        assert [asked.body] == engine.relayed_bodies
        assert 1 == len(engine.bodies)
    assert (await direct(engine, asked)).body == body
    await connector.next()
    assert [{**match(), "size": 2}, {**match(), "size": 100}] == engine.bodies


async def test_our_controls_are_taken_out() -> None:
    """As they are before any answer of the engine's; they count for what is observed."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = Watched(engine)
    asked = search(match(ext={"rerank": {"window": 3}}), headers=(("X-Rerank-Explain", "on"),))
    assert "observed" == (await relayed(connector, asked))[0]
    found = await connector.next()
    assert (3, 3) == (found.window, found.candidates)
    assert not any("rerank" in str(body) for body in engine.bodies)
    assert not [name for sent in engine.relayed for name, _ in sent.headers if name.startswith("X-Rerank")]


async def test_who_asks_to_be_reranked_is_reranked() -> None:
    """Explicitly, to try it out; other settings are no such word."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT))
    answer = await connector.search(search(match(), headers=(("X-Rerank", "on"),)))
    assert "applied; candidates=4; window=100; model=scripted" == marker_of(answer)
    answer = await connector.search(search(match(ext={"rerank": {"enabled": True}})))
    assert ["a", "bb", "ccc", "dddd"] == texts(answer)
    assert "skipped; reason=off" == marker_of(await connector.search(search(match(), headers=(("X-Rerank", "off"),))))
    assert connector.found.empty()


async def test_an_error_of_the_engine_s_is_the_caller_s() -> None:
    """As without us."""
    engine = ScriptedEngine(override=lambda request, body: error_with(400))
    connector = Watched(engine)
    answer = await connector.search(search(match()))
    assert (400, "observed") == (answer.status, marker_of(answer))
    found = await connector.next()
    assert (Outcome.SKIPPED, "engine_error") == (found.outcome, found.reason)


async def test_strict_mode_fails_nobody() -> None:
    """What nobody waits for is no error of anybody's."""
    scorer = FailingScorer(ScorerLost("gone"), is_known_before=True)
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), scorer, options={"on_failure": "error"})
    answer = await connector.search(search(match()))
    assert (200, "observed") == (answer.status, marker_of(answer))
    found = await connector.next()
    assert (Outcome.DEGRADED, "scorer_lost") == (found.outcome, found.reason)


async def test_records_count_it_as_observed() -> None:
    """One for each search, beside the observation."""
    records: list[SearchRecord] = []
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), observe=records.append)
    await relayed(connector, search(match()))
    await connector.next()
    assert [Outcome.OBSERVED] == [record.outcome for record in records]


# --- what is found out --------------------------------------------------------------------------------------


async def test_both_rankings_are_compared() -> None:
    """By the ranks of the engine's; figures as of the two lists, and the search for who may keep it."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT))
    await connector.search(search(match("why blue"), target="/books/_search?preference=_local"))
    found = await connector.next()
    assert ("default", Operation.SEARCH, Outcome.APPLIED, None) == (
        found.policy,
        found.operation,
        found.outcome,
        found.reason,
    )
    assert (4, 100, "scripted", 4) == (found.candidates, found.window, found.model, found.hits)
    assert ((4, 3, 2, 1), True, 2.0) == (found.top, found.has_other_top, found.moved)
    assert (1.0, overlap.rbo("1234", "4321")) == (found.jaccard, found.rbo)
    assert found.first_stage_seconds is not None
    assert found.second_stage_seconds is not None
    assert ("books", (("preference", "_local"),), "why blue") == (found.index, found.params, found.query)
    assert '{"query": {"match": {"text": "why blue"}}}' == found.body


async def test_a_hit_from_below_changes_the_first_ten() -> None:
    """Jaccard@10 counts those that came up."""
    engine = ScriptedEngine(*("d" * length for length in range(30, 18, -1)))
    connector = Watched(engine)
    await connector.search(search(match()))
    found = await connector.next()
    assert (12, 8 / 12) == (found.hits, found.jaccard)
    assert tuple(range(12, 2, -1)) == found.top


async def test_what_min_score_would_have_dropped_is_not_in_the_new_ranking() -> None:
    """As the caller would not have seen it."""
    scorer = ScriptedScorer({"dddd": -3.0, "ccc": -3.0, "bb": 3.0, "a": -3.0})
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), scorer, options={"min_score": 0.5})
    await connector.search(search(match()))
    found = await connector.next()
    assert ((3,), 0.25) == (found.top, found.jaccard)


async def test_scores_are_asked_for_without_a_deadline_but_for_its_window() -> None:
    """So that they wait behind everybody's; the budget is what the deadline would have allowed."""

    class Patient(ScriptedScorer):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            assert deadline is None
            return await super().score(query, texts, deadline=deadline)

    scorer = Patient(tokens_per_second=140.0)
    connector = Watched(ScriptedEngine("d" * 40, "c" * 39, "b" * 38, "a" * 37), scorer, options={"deadline": 0.5})
    await connector.search(search(match("abc")))
    assert 2 == (await connector.next()).candidates


async def test_work_that_the_deadline_would_have_cut_is_told() -> None:
    """Its wait for the device is not counted: who is waited for waits less."""

    class Slow(ScriptedScorer):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            await asyncio.sleep(0.02)
            if query == "waits":
                timing.tell(timing.Timing(10.0, 0.5))
            return await super().score(query, texts, deadline=deadline)

    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), Slow(), options={"deadline": 0.01})
    await connector.search(search(match("works")))
    found = await connector.next()
    assert (Outcome.PARTIAL, "deadline", 4) == (found.outcome, found.reason, found.candidates)
    await connector.search(search(match("waits")))
    found = await connector.next()
    assert (Outcome.APPLIED, 10.0, 0.5) == (found.outcome, found.queue_seconds, found.model_seconds)


async def test_of_heavy_hits_only_the_text_is_asked_for() -> None:
    """The page that nobody gets is not fetched."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = Watched(engine, policy=Policy(defaults=RerankOptions(mode="observe", fetch="twice")))
    await connector.search(search(match(size=2)))
    assert (4, 3, 2, 1) == (await connector.next()).top
    own, slim = engine.bodies
    assert (match(size=2), False, 100) == (own, slim["_source"], slim["size"])


async def test_a_failing_scorer_is_an_outcome() -> None:
    """Like any other, also one that raises what it should not."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), FailingScorer(ScorerLost("gone")))
    await connector.search(search(match()))
    found = await connector.next()
    assert (Outcome.DEGRADED, "scorer_lost", (), None) == (found.outcome, found.reason, found.top, found.jaccard)


async def test_an_engine_that_is_gone_afterwards_is_an_outcome() -> None:
    """The answer had left."""
    asked = count()

    def once(request: SearchRequest, body: Any) -> None:
        if next(asked):
            raise EngineUnavailable("gone")

    connector = Watched(ScriptedEngine(*LONG_TO_SHORT, override=once))
    assert 200 == (await connector.search(search(match()))).status
    found = await connector.next()
    assert (Outcome.SKIPPED, "engine_error") == (found.outcome, found.reason)


async def test_a_page_beyond_the_window_needs_no_model() -> None:
    """It would have been applied, to the engine's own order."""
    scorer = ScriptedScorer()
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT), scorer, options={"window": 2})
    await connector.search(search(match(**{"from": 2})))
    found = await connector.next()
    assert (Outcome.APPLIED, 0, None, []) == (found.outcome, found.candidates, found.jaccard, scorer.calls)


async def test_what_cannot_be_reranked_is_not_observed() -> None:
    """Its marker says why, as ever."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT))
    assert "skipped; reason=sort" == marker_of(await connector.search(search(match(sort="text"))))
    assert connector.found.empty()


async def test_items_of_an_msearch_are_observed_each_by_its_policy() -> None:
    """One item is reranked, one observed; the others are what they are."""
    policy = Policy(
        defaults=RerankOptions(fetch="once"),
        policies=(IndexPolicy(indices=("films",), name="film test", overrides={"mode": "observe"}),),
    )
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = Watched(engine, policy=policy)
    asked = msearch({"index": "books"}, match("one"), {"index": "films"}, match("two"), {"index": "films"}, {"size": 0})
    answer = await connector.msearch(asked)
    assert ["applied", "observed", "skipped"] == [entry.split(";")[0] for entry in marker_of(answer).split(", ")]
    found = await connector.next()
    assert ("film test", Operation.MSEARCH, "two", (4, 3, 2, 1)) == (
        found.policy,
        found.operation,
        found.query,
        found.top,
    )
    assert connector.found.empty()
    assert 2 == len(engine.msearches)
    assert 2 == engine.msearches[1].content.count(b"\n")


# --- how much is looked at ----------------------------------------------------------------------------------


class Held:
    """An observer whose second stage waits until it is let go."""

    def __init__(self, most: int, draws: Iterable[float] = ()) -> None:
        """Observe so many at a time, a sample by these draws; the test moves the clock."""
        self.go = asyncio.Event()
        self.now = 100.0
        self.told: asyncio.Queue[Observation] = asyncio.Queue()
        engine = ScriptedEngine(*LONG_TO_SHORT)
        self.connector = RerankingConnector(engine, ScriptedScorer())
        inner, drawn = self.connector._observer, iter(draws)
        self.observer = Observer(
            self._rank,
            inner._failure,
            inner._text_fields,
            inner._weights,
            self.told.put_nowait,
            most=most,
            draw=lambda: next(drawn),
            now=lambda: self.now,
        )

    async def _rank(self, *given: Any) -> Ranked:
        await self.go.wait()
        return await self.connector._ranked(*given)

    def read(self, **options: Any) -> Search:
        """Return a search that is to be observed."""
        self.connector.use(Policy(defaults=RerankOptions(mode="observe", fetch="once", **options)))
        return self.connector._reader.read(Operation.SEARCH, search(match()))


async def test_more_than_may_be_in_hand_are_dropped_and_counted() -> None:
    """At once, without asking anybody; when there is room again, the next is looked at."""
    held = Held(most=2)
    for _ in range(5):
        held.observer.begin(held.read())
    dropped = [held.told.get_nowait() for _ in range(3)]
    assert [("default", None)] * 3 == [(found.policy, found.outcome) for found in dropped]
    held.go.set()
    assert [Outcome.APPLIED] * 2 == [(await held.told.get()).outcome for _ in range(2)]
    await asyncio.sleep(0)
    held.observer.begin(held.read())
    assert Outcome.APPLIED is (await held.told.get()).outcome


async def test_more_than_may_begin_in_a_second_are_dropped_and_counted() -> None:
    """However quickly they are done; each search of an `_msearch` counts. A second later there is room again."""
    held = Held(most=1000)
    held.go.set()
    for _ in range(MOST_PER_SECOND - 1):
        held.observer.begin(held.read())
    many = held.connector._reader.read(Operation.MSEARCH, msearch({}, match(), {}, match(), {}, match()))
    held.observer.begin(many)
    found = [await held.told.get() for _ in range(MOST_PER_SECOND + 2)]
    assert 2 == sum(each.outcome is None for each in found)
    held.now += 0.99
    held.observer.begin(held.read())
    assert (await held.told.get()).outcome is None
    held.now += 0.02
    held.observer.begin(held.read())
    assert Outcome.APPLIED is (await held.told.get()).outcome


async def test_a_share_is_looked_at() -> None:
    """Those that are drawn; the others leave no trace."""
    held = Held(most=10, draws=(0.2, 0.249, 0.25, 0.9))
    held.go.set()
    for _ in range(4):
        held.observer.begin(held.read(observe_percent=25))
    assert 2 == len([await held.told.get() for _ in range(2)])
    assert held.told.empty()
    held.observer.begin(held.read(observe_percent=100))
    assert Outcome.APPLIED is (await held.told.get()).outcome


async def test_closing_gives_up_what_is_in_hand() -> None:
    """Nobody is told of it, and nothing runs on."""
    held = Held(most=2)
    held.observer.begin(held.read())
    await asyncio.sleep(0)
    await held.observer.aclose()
    assert held.told.empty()
    assert not [task for task in tasks._running if task.get_name() == "observe"]


# --- other policies while it runs ---------------------------------------------------------------------------


async def test_another_policy_holds_from_the_next_search_on() -> None:
    """From observing to a share of the users to all and back."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT))

    async def marks(**options: Any) -> set[str]:
        connector.use(Policy(defaults=RerankOptions(fetch="once", **options)))
        answers = [await connector.search(search(match(), headers=(("X-User-Id", f"{n}"),))) for n in range(20)]
        return {";".join(marker_of(answer).split(";")[:2]) for answer in answers}

    assert {"observed"} == await marks(mode="observe")
    assert {"applied; arm=rerank", "skipped; reason=control"} == await marks(percent=50)
    assert {"applied; candidates=4"} == await marks()
    assert {"skipped; reason=control"} == await marks(percent=0)
    assert {"skipped; reason=off"} == await marks(enabled=False)


async def test_the_control_arm_is_passed_on_untouched() -> None:
    """Streamed, with the caller's bytes; the other arm keeps its word when it is not reranked."""
    engine = ScriptedEngine(*LONG_TO_SHORT)
    connector = Watched(engine, policy=Policy(defaults=RerankOptions(percent=0)))
    asked = search(match(size=2), headers=JSON)
    mark, body = await relayed(connector, asked)
    assert "skipped; reason=control; arm=control" == mark
    assert ((await direct(engine, asked)).body, [asked.body]) == (body, engine.relayed_bodies)
    for on_failure in ("first_stage", "error"):
        policy = Policy(defaults=RerankOptions(percent=99.9, on_failure=on_failure))  # type: ignore[arg-type]
        failing = RerankingConnector(engine, FailingScorer(ScorerLost("gone"), is_known_before=True), policy)
        assert "degraded; reason=scorer_lost; arm=rerank" == marker_of(await failing.search(asked))


async def test_a_policy_with_a_model_that_is_not_there_changes_nothing() -> None:
    """And says so."""
    connector = Watched(ScriptedEngine(*LONG_TO_SHORT))
    with pytest.raises(ValueError, match="policies name models without a scorer: \\['other'\\]"):
        connector.use(Policy(policies=(IndexPolicy(indices=("*",), overrides={"model": "other"}),)))
    assert "observed" == marker_of(await connector.search(search(match())))
    await connector.next()
