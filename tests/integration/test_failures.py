"""A second stage that fails costs its caller nothing: HTTP 200, the engine's page, `X-Rerank: degraded`."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar import tasks
from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring.base import ModelFacts
from tests.integration.books import BOOKS
from tests.integration.held_scorer import held_scorer
from tests.integration.pages import RawPage, differences, shortest_first
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import Answer, same_but_time, send

Body = Mapping[str, Any]
Script = Callable[[Sequence[str]], Awaitable[Any]]

TEA: Body = {"query": {"match": {"body": "tea"}}}
SOON, LATER = 0.1, 20.0
"""Deadlines in seconds: one that passes, and one that does not, however busy the machine is."""

SEARCHES: Mapping[str, tuple[str, Body]] = {
    "first page": ("", TEA),
    "second page": ("", {**TEA, "from": 10, "size": 10}),
    "a page to the end": ("", {**TEA, "from": 25, "size": 100}),
    "URL size": ("?size=3&from=4", TEA),
    "pretty": ("?pretty", {**TEA, "size": 3}),
    "_source false": ("", {**TEA, "_source": False}),
    "_source false, fields": ("", {**TEA, "_source": False, "fields": ["n"]}),
    "stored_fields": ("", {**TEA, "stored_fields": ["note"]}),
    "docvalue_fields": ("", {**TEA, "docvalue_fields": ["n"], "_source": False}),
    "copy_to": ("", {"query": {"match": {"everything": "tea"}}}),
    "copy_to, _source false": ("", {"query": {"match": {"everything": "tea"}}, "_source": False}),
    "nested": (
        "",
        {
            "query": {
                "nested": {"path": "chapters", "query": {"match": {"chapters.heading": "tea"}}, "inner_hits": {}}
            },
            "_source": False,
        },
    ),
    "all fields": ("?q=tea+leaves", {"_source": False}),
    "highlight, aggregations, explanations": (
        "",
        {
            **TEA,
            "explain": True,
            "highlight": {"fields": {"body": {}}},
            "aggs": {"shelves": {"terms": {"field": "shelf"}}},
        },
    ),
}
"""Query string and body."""


class Broken(ShortestFirst):
    """A scorer whose answer follows a script."""

    def __init__(self, script: Script) -> None:
        """Answer with what `script` makes of the texts, or fail as it does."""
        super().__init__()
        self._script = script

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> Any:
        """Follow the script."""
        self.texts += texts
        return await self._script(texts)


class Unknown(ShortestFirst):
    """A scorer that cannot say what it is."""

    def __init__(self, error: Exception) -> None:
        """Raise `error` when asked."""
        super().__init__()
        self._error = error

    def describe(self) -> ModelFacts:
        """Raise the error."""
        raise self._error


def gives(make: Callable[[int], Any]) -> Script:
    """Return a script that answers n texts with `make(n)`."""

    async def script(texts: Sequence[str]) -> Any:
        return make(len(texts))

    return script


def raises(error: Exception) -> Script:
    """Return a script that raises."""

    async def script(_: Sequence[str]) -> Any:
        raise error

    return script


async def stalls(_: Sequence[str]) -> Any:
    """Never answer."""
    await asyncio.Event().wait()


FAILURES: Mapping[str, tuple[Script, str]] = {
    "the model fails": (raises(ModelFailed("by order")), "model"),
    "the scheduler is full": (raises(SchedulerFull("by order")), "scheduler_full"),
    "the scorer is lost": (raises(ScorerLost("by order")), "scorer_lost"),
    "too late, it says": (raises(ScoringTimeout("by order")), "deadline"),
    "unavailable": (raises(RerankUnavailable("by order")), "unavailable"),
    "stalls": (stalls, "deadline"),
    "NaN": (gives(lambda n: [0.5] * (n - 1) + [float("nan")]), "model"),
    "infinity": (gives(lambda n: [float("-inf")] + [0.5] * (n - 1)), "model"),
    "one score too many": (gives(lambda n: [0.1 * i for i in range(n + 1)]), "model"),
    "one score too few": (gives(lambda n: [0.1 * i for i in range(n - 1)]), "model"),
    "no scores": (gives(lambda n: []), "model"),
    "None": (gives(lambda n: None), "model"),
    "words": (gives(lambda n: ["good"] * n), "model"),
    "None for a score": (gives(lambda n: [None] * n), "model"),
    "RuntimeError": (raises(RuntimeError("CUDA error: an illegal memory access was encountered")), "model"),
    "MemoryError": (raises(MemoryError()), "model"),
    "TimeoutError": (raises(TimeoutError("a socket's")), "model"),
    "KeyError": (raises(KeyError("input_ids")), "model"),
    "ConnectionResetError": (raises(ConnectionResetError(104, "by peer")), "model"),
}
"""What a scorer does, and the reason in the marker."""


async def both(proxy: str, engine_url: str, index: str, parameters: str, body: Body, **request: Any) -> list[Answer]:
    """Return the proxy's answer and the engine's."""
    target = f"/{index}/_search{parameters}"
    return [await send(proxy, "POST", target, body=body, **request), await send(engine_url, "POST", target, body=body)]


def assert_degraded(got: Answer, own: Answer, reason: str | None) -> None:
    """Assert that the caller has what the engine says, and is told why it was not reranked."""
    assert (200, 200) == (own.status, got.status), got.body[:500]
    assert same_but_time(own) == same_but_time(got)
    assert "degraded" == got.outcome, got.marker
    assert got.reason is not None
    assert reason in (None, got.reason), got.marker


@pytest.mark.parametrize("name", FAILURES)
async def test_whatever_a_scorer_does_the_page_is_the_engine_s(engine_url: str, library: str, name: str) -> None:
    """Failures of every kind, answers that are none, and exceptions that are not ours."""
    script, reason = FAILURES[name]
    scorer = Broken(script)
    async with proxied(engine_url, scorer, deadline=SOON if script is stalls else LATER) as proxy:
        for parameters, body in (SEARCHES["first page"], SEARCHES["_source false"]):
            got, own = await both(proxy, engine_url, library, parameters, body)
            assert_degraded(got, own, reason)
            assert "first_stage;dur=" in (got.header("server-timing") or "")
    assert scorer.texts


@pytest.mark.parametrize(
    ("scorer", "deadline", "reason"), [("test:failing", LATER, "model"), ("test:stalled", SOON, "deadline")]
)
async def test_every_view_of_the_page_is_the_engine_s(
    engine_url: str, library: str, scorer: str, deadline: float, reason: str
) -> None:
    """What was asked for beside the caller's request is taken out again."""
    wrong: list[str] = []
    async with proxied(engine_url, scorer, deadline=deadline) as proxy:
        for name, (parameters, body) in SEARCHES.items():
            got, own = await both(proxy, engine_url, library, parameters, body)
            if (own.status, got.marker) != (200, f"degraded; reason={reason}"):
                wrong.append(f"{name}: {got.status} {got.marker}")
            if same_but_time(own) != same_but_time(got):
                wrong.append(f"{name}: expected {own.body[:1500]!r}\n got {got.body[:1500]!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ScorerStarting("still loading"), "starting", id="starting"),
        pytest.param(ScorerLost("away"), "scorer_lost", id="lost"),
        pytest.param(ModelFailed("no such model"), "model", id="no model"),
        pytest.param(RuntimeError("a foreign one"), "model", id="RuntimeError"),
    ],
)
async def test_a_scorer_that_is_not_there_is_not_waited_for(
    engine_url: str, library: str, error: Exception, reason: str
) -> None:
    """The search goes to the engine as it is."""
    async with proxied(engine_url, Unknown(error)) as proxy:
        for parameters, body in SEARCHES.values():
            got, own = await both(proxy, engine_url, library, parameters, body)
            assert_degraded(got, own, reason)


@pytest.mark.parametrize("scorer", ["test:failing", "test:stalled", Unknown(ScorerStarting("still loading"))])
async def test_strict_callers_get_an_error(engine_url: str, library: str, scorer: Any) -> None:
    """`on_failure: error`: a status that no client sends again, in the engine's dialect; the marker is the same."""
    strict = {**TEA, "ext": {"rerank": {"on_failure": "error"}}}
    async with proxied(engine_url, scorer, deadline=SOON) as proxy:
        by_ext = await send(proxy, "POST", f"/{library}/_search", body=strict)
        by_header = await send(proxy, "POST", f"/{library}/_search", body=TEA, headers={"X-Rerank-On-Failure": "error"})
    async with proxied(engine_url, scorer, deadline=SOON, on_failure="error") as proxy:
        by_policy = await send(proxy, "POST", f"/{library}/_search", body=TEA)
        lenient = await send(
            proxy, "POST", f"/{library}/_search", body=TEA, headers={"X-Rerank-On-Failure": "first_stage"}
        )
        left_alone = await send(proxy, "POST", f"/{library}/_search", body={"query": {"match_all": {}}})
    for got in (by_ext, by_header, by_policy):
        assert (500, "degraded") == (got.status, got.outcome)
        assert "rerank_unavailable" == got.json["error"]["root_cause"][0]["type"]
        assert got.json["error"]["reason"].startswith(f"{got.reason}: ")
        assert 500 == got.json["status"]
    assert (200, "degraded") == (lenient.status, lenient.outcome)
    assert (200, "skipped") == (left_alone.status, left_alone.outcome)


async def test_what_is_scored_before_the_deadline_counts(engine_url: str, library: str) -> None:
    """A prefix of the window is reranked, the rest keeps the engine's order; the marker says so."""

    async def first_call_only(texts: Sequence[str]) -> list[float]:
        if scorer.texts != list(texts):
            await stalls(texts)
        return [-len(text) / 100 for text in texts]

    scorer = Broken(first_call_only)
    own = await send(engine_url, "POST", f"/{library}/_search", body=TEA)
    everything = await send(engine_url, "POST", f"/{library}/_search", body={**TEA, "size": BOOKS})
    texts = {hit["_id"]: hit["_source"]["body"] for hit in everything.hits}
    async with proxied(engine_url, scorer, deadline=0.5) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body={**TEA, "size": BOOKS})
    scored = int(got.marker.split("candidates=")[1].split(";")[0])
    assert f"partial; reason=deadline; candidates={scored}; window=100; model=shortest-first" == got.marker
    assert 1 <= scored < BOOKS
    order = shortest_first(RawPage(everything.body), texts, window=scored)
    assert [] == differences(got.body, everything.body, everything.body, order)
    assert own.ids != got.ids[:10]


async def test_a_caller_may_shorten_or_lift_the_deadline(engine_url: str, library: str) -> None:
    """The same slow scorer is late under one and in time under the other."""
    async with proxied(engine_url, "test:slow=80", deadline=60) as proxy:
        late = await send(proxy, "POST", f"/{library}/_search", body=TEA, headers={"X-Rerank-Deadline-Ms": "1"})
        in_time = await send(proxy, "POST", f"/{library}/_search", body=TEA)
    async with proxied(engine_url, "test:slow=80", deadline=0.001) as proxy:
        lifted = await send(proxy, "POST", f"/{library}/_search", body={**TEA, "ext": {"rerank": {"deadline_ms": 0}}})
    assert ("degraded", "deadline") == (late.outcome, late.reason)
    assert ["applied", "applied"] == [in_time.outcome, lifted.outcome]


async def test_searches_fail_alone(engine_url: str, library: str) -> None:
    """Of many at once, those whose scoring fails or stalls are degraded, and no other."""

    class Moody(ShortestFirst):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            if "leaves" in query:
                raise ModelFailed("by order")
            if "water" in query:
                await asyncio.Event().wait()
            return await super().score(query, texts, deadline=deadline)

    words = ["tea", "tea leaves", "tea water"] * 6
    bodies = [{"query": {"match": {"body": word}}} for word in words]
    async with proxied(engine_url, Moody(), deadline=1.0) as proxy:
        answers = await asyncio.gather(*(send(proxy, "POST", f"/{library}/_search", body=body) for body in bodies))
    direct = {
        word: await send(engine_url, "POST", f"/{library}/_search", body=body)
        for word, body in zip(words, bodies, strict=True)
    }
    for word, got in zip(words, answers, strict=True):
        if word == "tea":
            assert "applied" == got.outcome
            assert direct[word].ids != got.ids
        else:
            assert_degraded(got, direct[word], "model" if "leaves" in word else "deadline")


# --- the scorer as a child process --------------------------------------------------------------------------


async def test_a_child_killed_in_mid_search_costs_nothing_and_comes_back(
    engine_url: str, library: str, tmp_path: Path
) -> None:
    """kill -9 while it scores: the page is the engine's at once, and so are those until the next child is there."""
    target = f"/{library}/_search"
    own = await send(engine_url, "POST", target, body=TEA)
    async with held_scorer(tmp_path) as (scorer, gate), proxied(engine_url, scorer, deadline=0) as proxy:
        before = await send(proxy, "POST", target, body=TEA)
        gate.close()
        search = tasks.start(send(proxy, "POST", target, body=TEA), name="search")
        await gate.asked.wait()
        killed = scorer.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert_degraded(await search, own, "scorer_lost")
        impatient = {"X-Rerank-Deadline-Ms": "200"}  # in case the next child is already there, behind the closed gate
        assert_degraded(await send(proxy, "POST", target, body=TEA, headers=impatient), own, None)
        gate.open()
        async with asyncio.timeout(30):
            await scorer.loaded()
        after = await send(proxy, "POST", target, body=TEA)
        assert scorer.pid != killed
        assert 2 == scorer.starts
    assert "applied; candidates=30; window=100; model=shortest-first" == before.marker == after.marker
    assert RawPage(before.body).around == RawPage(after.body).around
    assert own.ids != before.ids == after.ids


async def test_a_child_stopped_in_mid_search_costs_the_deadline_and_goes_on(
    engine_url: str, library: str, tmp_path: Path
) -> None:
    """SIGSTOP while it scores: no connection breaks, nobody answers; after SIGCONT searches are reranked again."""
    target = f"/{library}/_search"
    own = await send(engine_url, "POST", target, body=TEA)
    async with held_scorer(tmp_path) as (scorer, gate), proxied(engine_url, scorer, deadline=0.2) as proxy:
        before = await send(proxy, "POST", target, body=TEA, headers={"X-Rerank-Deadline-Ms": "60000"})
        gate.close()
        search = tasks.start(send(proxy, "POST", target, body=TEA), name="search")
        await gate.asked.wait()
        stopped = scorer.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert_degraded(await search, own, "deadline")
            for _ in range(5):
                assert_degraded(await send(proxy, "POST", target, body=TEA), own, None)
        finally:
            os.kill(stopped, signal.SIGCONT)
        gate.open()
        after = before
        async with asyncio.timeout(15):
            after = await send(proxy, "POST", target, body=TEA)
            while after.outcome == "degraded":
                assert_degraded(after, own, None)
                after = await send(proxy, "POST", target, body=TEA)
        assert (stopped, 1) == (scorer.pid, scorer.starts)
    assert "applied" == before.outcome
    assert after.outcome in {"applied", "partial"}
    assert own.ids != before.ids
    assert before.ids == after.ids or "partial" == after.outcome
