"""A cheap model prunes the window, the scorer reads the rest: what comes where, with which scores, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from connectors.base import SearchResponse
from sidecar import cascade
from sidecar.errors import ModelFailed, ScorerStarting
from sidecar.fusion import Linear, ReciprocalRank, rank
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.response import tail_score
from sidecar.scoring.base import ModelFacts
from sidecar.types import Candidate, Outcome, RerankOptions, SearchRecord
from tests.unit.doubles import (
    FailingScorer,
    FirstCallOnly,
    ScriptedEngine,
    ScriptedScorer,
    a_plan,
    marker_of,
    match,
    search,
    texts,
)

WORDS = [f"text {number}" for number in range(1, 7)]
"""Of six hits, in first-stage order."""

PRUNER = ScriptedScorer({word: float(score) for word, score in zip(WORDS, (1, 5, 3, 6, 2, 4), strict=True)})
MODEL = ScriptedScorer({word: float(score) for word, score in zip(WORDS, (9, 1, 8, 2, 9, 3), strict=True)})


def reranking(
    pruner: ScriptedScorer, model: ScriptedScorer, documents: list[str] | None = None, **options: Any
) -> RerankingConnector:
    """Return a cascade in front of an engine with six documents."""
    chosen = {"fetch": "once", "prune_model": "cheap", "prune_keep": 3, "explain": True, **options}
    engine = ScriptedEngine(*(WORDS if documents is None else documents))
    return RerankingConnector(
        engine, model, Policy(defaults=RerankOptions(**chosen)), models={"cheap": pruner}, observe=RECORDS.append
    )


RECORDS: list[SearchRecord] = []


def fresh(scorer: ScriptedScorer, **facts: Any) -> ScriptedScorer:
    """Return a scorer with the same scores that nobody has asked yet."""
    return ScriptedScorer(scorer.scores, **facts)


def said(answer: SearchResponse, name: str) -> list[Any]:
    """Return what the explanations of all hits say under a name."""
    return [hit.value["_rerank"].get(name) for hit in answer.hits]


async def test_the_model_reads_what_the_pruner_kept() -> None:
    """The best three by the pruner, in the model's order; then the rest in the pruner's."""
    pruner, model = fresh(PRUNER), fresh(MODEL)
    answer = await reranking(pruner, model).search(search(match()))
    assert pruner.texts == WORDS
    assert ["text 4", "text 2", "text 6"] == model.texts
    assert ["text 6", "text 4", "text 2", "text 3", "text 5", "text 1"] == texts(answer)
    assert "applied; candidates=3; window=100; pruned=3; pruner=cheap; model=scripted" == marker_of(answer)


async def test_what_was_pruned_has_no_score_of_the_model() -> None:
    """Its `_score` is below 1, as after the window, and falls; the pruner's own scores stand beside."""
    answer = await reranking(fresh(PRUNER), fresh(MODEL)).search(search(match()))
    assert [3.0, 2.0, 1.0, None, None, None] == said(answer, "model_score")
    assert [4.0, 6.0, 5.0, 3.0, 2.0, 1.0] == said(answer, "pruner_score")
    assert [None] * 3 == said(answer, "fused_score")[3:]
    scores = [hit.score or 0.0 for hit in answer.hits]
    assert scores[3:] == [tail_score(4), tail_score(5), tail_score(6)]
    assert all(high > low for high, low in pairwise(scores))
    assert scores[2] > 1 > scores[3]


async def test_pages_agree() -> None:
    """Cut from one ranking, also across what was pruned and into the hits after the window."""
    whole = await reranking(fresh(PRUNER), fresh(MODEL), window=5).search(search(match()))
    pages = []
    for offset in (0, 2, 4):
        page = await reranking(fresh(PRUNER), fresh(MODEL), window=5).search(
            search(match(**{"from": offset, "size": 2}))
        )
        pages += [(hit.id, hit.score) for hit in page.hits]
    assert [(hit.id, hit.score) for hit in whole.hits] == pages
    assert texts(whole)[-1] == "text 6"


async def test_keeping_all_is_no_cascade() -> None:
    """But for the marker: the order and the scores are the model's."""
    with_pruner = await reranking(fresh(PRUNER), fresh(MODEL), prune_keep=6).search(search(match()))
    without = await reranking(fresh(PRUNER), fresh(MODEL), prune_model=None).search(search(match()))
    assert texts(without) == texts(with_pruner)
    assert [hit.score for hit in without.hits] == [hit.score for hit in with_pruner.hits]
    assert "pruned=0; pruner=cheap" in marker_of(with_pruner)
    assert "prune" not in marker_of(without)
    assert [None] * 6 == said(without, "pruner_score")


@pytest.mark.parametrize("fusion", ["linear", "rrf"])
async def test_fusion_sees_what_the_model_scored(fusion: Any) -> None:
    """In first-stage order, whatever the pruner thought, and nothing else."""
    answer = await reranking(fresh(PRUNER), fresh(MODEL), fusion=fusion).search(search(match()))
    kept = [Candidate(rank=rank, score=6.5 - rank + 1, text=f"text {rank}") for rank in (2, 4, 6)]
    rule = Linear(0.9) if fusion == "linear" else ReciprocalRank()
    expected = rank(kept, [1.0, 2.0, 3.0], rule)
    assert [each.candidate.text for each in expected] == texts(answer)[:3]
    assert [each.fused_score for each in expected] == said(answer, "fused_score")[:3]


async def test_min_score_judges_what_the_model_scored() -> None:
    """What was pruned is left out, as what lies after the window: nobody can say whether it passes."""
    scores: Mapping[str, float] = {**dict.fromkeys(WORDS, -9.0), "text 6": 9.0, "text 4": 8.0}
    answer = await reranking(fresh(PRUNER), ScriptedScorer(scores), min_score=0.5).search(search(match()))
    assert texts(answer) == ["text 6", "text 4"]
    assert "dropped=4" in marker_of(answer)


async def test_hits_without_text_keep_their_places() -> None:
    """Neither model reads them."""
    pruner, model = fresh(PRUNER), fresh(MODEL)
    answer = await reranking(pruner, model, ["text 1", "", *WORDS[1:]]).search(search(match()))
    assert ["text 6", "", "text 4", "text 2", "text 3", "text 5", "text 1"] == texts(answer)
    assert "" not in [*pruner.texts, *model.texts]


async def test_a_token_budget_bounds_each_of_the_two() -> None:
    """The pruner's window, and of what it kept the best that fit the model."""
    each = 2 + 3 + 2
    """Tokens of a pair here: query, special tokens, text, as they are estimated."""
    pruner, model = fresh(PRUNER), fresh(MODEL)
    answer = await reranking(pruner, model, query_text="q", token_budget=4 * (each - 1)).search(search(match()))
    assert WORDS[:4] == pruner.texts
    assert ["text 4", "text 2", "text 3"] == model.texts
    assert texts(answer)[:4] == ["text 3", "text 4", "text 2", "text 1"]
    pruner, model = fresh(PRUNER), fresh(MODEL)
    await reranking(pruner, model, query_text="q", token_budget=2 * (each - 1)).search(search(match()))
    assert (WORDS[:2], ["text 2", "text 1"]) == (pruner.texts, model.texts)


async def test_measured_speeds_are_shared_out_between_the_two() -> None:
    """A fast pruner reads a wide window, though a slow model would have time for one pair."""
    pruner, model = fresh(PRUNER, tokens_per_second=1e6), fresh(MODEL, tokens_per_second=1.0)
    answer = await reranking(pruner, model).search(search(match()))
    assert (WORDS, ["text 4"]) == (pruner.texts, model.texts)
    assert "candidates=1; window=100; pruned=5" in marker_of(answer)


# --- failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_known_before", [True, False])
async def test_where_the_pruner_fails_the_first_stage_prunes(
    is_known_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its head is kept; the model reads no more than it would have, and the marker says so."""
    RECORDS.clear()
    model = fresh(MODEL)
    pruner = FailingScorer(ScorerStarting("not yet"), is_known_before=is_known_before)
    answer = await reranking(pruner, model).search(search(match()))
    assert model.texts == WORDS[:3]
    assert ["text 1", "text 3", "text 2", *WORDS[3:]] == texts(answer)
    assert marker_of(answer).startswith("partial; reason=pruner; candidates=3; window=100; pruned=3; pruner=cheap")
    assert [(Outcome.PARTIAL, "pruner")] == [(record.outcome, record.reason) for record in RECORDS]
    assert "pruner_failed" in caplog.text
    assert [None] * 6 == said(answer, "pruner_score")


async def test_a_model_that_fails_degrades() -> None:
    """A pruner's scores are no ranking that anybody asked for: the engine's order stands."""
    answer = await reranking(fresh(PRUNER), FailingScorer(ModelFailed("broken"))).search(search(match()))
    assert texts(answer) == WORDS
    assert "degraded; reason=model" == marker_of(answer)


class Slow(ScriptedScorer):
    """A scorer of which every call takes for ever."""

    async def score(self, *_: Any, **__: Any) -> list[float]:
        """Wait until cancelled."""
        await asyncio.Event().wait()
        return []


async def test_a_slow_pruner_leaves_half_of_the_time_to_the_model() -> None:
    """Then the first stage prunes."""
    model = fresh(MODEL)
    answer = await reranking(Slow(), model, deadline=0.05).search(search(match()))
    assert model.texts == WORDS[:3]
    assert "partial; reason=pruner; candidates=3" in marker_of(answer)


async def test_without_a_deadline_both_take_their_time() -> None:
    """As `evaluate` and `explain` let them."""
    answer = await reranking(fresh(PRUNER), fresh(MODEL), deadline=0).search(search(match()))
    assert "applied; candidates=3; window=100; pruned=3" in marker_of(answer)


async def test_what_the_pruner_did_not_reach_stays_behind() -> None:
    """It judged the first call's eight; the others follow in first-stage order."""
    documents = [f"text {number:02}" for number in range(20)]
    scores = {text: float(number) for number, text in enumerate(documents)}
    pruner, model = FirstCallOnly(scores), ScriptedScorer(scores)
    answer = await reranking(pruner, model, documents, deadline=0.05).search(search(match(size=20)))
    assert documents[7:4:-1] == model.texts
    assert [*documents[7::-1], *documents[8:]] == texts(answer)
    assert marker_of(answer).startswith("partial; reason=deadline; candidates=3; window=100; pruned=5; pruner=cheap")
    judged = [hit.score or 0.0 for hit in answer.hits]
    assert all(high > low for high, low in pairwise(judged))


async def test_what_the_model_did_not_reach_comes_before_what_was_pruned() -> None:
    """The pruner's best are read first, so that the deadline costs the least promising."""
    documents = [f"text {number:02}" for number in range(20)]
    scores = {text: float(number) for number, text in enumerate(documents)}
    model = FirstCallOnly(scores)
    answer = await reranking(ScriptedScorer(scores), model, documents, prune_keep=12, deadline=0.05).search(
        search(match(size=20))
    )
    assert documents[:11:-1] == model.calls[0]
    assert documents[::-1] == texts(answer)
    assert marker_of(answer).startswith("partial; reason=deadline; candidates=8; window=100; pruned=12; pruner=cheap")
    assert [None] * 12 == said(answer, "model_score")[8:]


async def test_a_pruner_without_one_whole_document_is_no_pruner() -> None:
    """Of a document of nine passages the first call scores eight."""
    long = " ".join(f"word{number}" for number in range(40))
    pruner, model = FirstCallOnly(), ScriptedScorer()
    answer = await reranking(
        pruner, model, [long, "short"], deadline=0.05, passage_tokens=6, prune_keep=1, window=10
    ).search(search(match()))
    assert texts(answer) == [long, "short"]
    assert "partial; reason=deadline; candidates=1" in marker_of(answer)


def test_without_a_pruner_the_window_is_the_models() -> None:
    """No share is kept back."""
    facts = ModelFacts(name="m", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only")
    candidates = [Candidate(rank=rank, score=None, text=word) for rank, word in enumerate(WORDS, start=1)]
    window = cascade.window(a_plan(), candidates, facts, None)
    assert window.length == 6


def test_a_policy_cannot_prune_with_a_model_without_a_scorer() -> None:
    """It is found at start."""
    with pytest.raises(ValueError, match="cheap"):
        RerankingConnector(ScriptedEngine(), MODEL, Policy(defaults=RerankOptions(prune_model="cheap")))
