"""Who scores which search, and whose scores are remembered for whom."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.base import Headers
from sidecar.errors import ModelFailed, ScorerStarting
from sidecar.pipeline import RerankingConnector
from sidecar.policy import IndexPolicy, Policy
from sidecar.scorers import Scorers
from sidecar.scoring.score_cache import ScoreCache
from sidecar.types import RerankOptions
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, marker_of, match, msearch, search, texts

DOCUMENTS = ("dddd", "ccc", "bb", "a")


def remembering(
    scorer: ScriptedScorer, cache: ScoreCache | None, *tenant_headers: str, **options: Any
) -> RerankingConnector:
    """Return a scorer with a memory in front of an engine with four documents."""
    chosen = RerankOptions(**{"fetch": "once", "score_cache": True, **options})
    return RerankingConnector(
        ScriptedEngine(*DOCUMENTS),
        scorer,
        Policy(defaults=chosen),
        score_cache=cache,
        tenant_headers=tenant_headers,
    )


async def test_a_search_that_comes_again_needs_no_model() -> None:
    """Its answer is the same, and the marker says how many scores were remembered."""
    scorer = ScriptedScorer()
    connector = remembering(scorer, ScoreCache(10**6))
    first, second = [await connector.search(search(match())) for _ in range(2)]
    assert first.body == second.body
    assert len(scorer.texts) == 4
    assert "applied; candidates=4; window=100; cached=0; model=scripted" == marker_of(first)
    assert "applied; candidates=4; window=100; cached=4; model=scripted" == marker_of(second)


async def test_another_query_is_another_matter() -> None:
    """Only what is the same is remembered."""
    scorer = ScriptedScorer()
    connector = remembering(scorer, ScoreCache(10**6))
    await connector.search(search(match("blue")))
    answer = await connector.search(search(match("Blue")))
    assert "cached=0" in marker_of(answer)
    assert len(scorer.texts) == 8


async def test_nothing_is_remembered_unless_asked_for() -> None:
    """Neither without the policy's word nor without a memory."""
    scorer = ScriptedScorer()
    for connector in (remembering(scorer, ScoreCache(10**6), score_cache=False), remembering(scorer, None)):
        for _ in range(2):
            answer = await connector.search(search(match()))
            assert "cached" not in marker_of(answer)
    assert len(scorer.texts) == 16


ONE: Headers = (("Authorization", "Bearer one"), ("X-Team", "a"))
OTHER: Headers = (("authorization", "Bearer other"), ("X-Team", "a"))


@pytest.mark.parametrize(
    ("names", "cached"),
    [
        ((), [0, 4, 4]),
        (("AUTHORIZATION",), [0, 0, 0]),
        (("x-team",), [0, 4, 0]),
        (("X-Team", "Authorization"), [0, 0, 0]),
    ],
)
async def test_callers_share_scores_when_their_headers_are_equal(names: tuple[str, ...], cached: list[int]) -> None:
    """By the headers that the operator names; a caller without them is one of its own."""
    connector = remembering(ScriptedScorer(), ScoreCache(10**6), *names)
    answers = [await connector.search(search(match(), headers=headers)) for headers in (ONE, OTHER, ())]
    assert [f"cached={number}" in marker_of(answer) for answer, number in zip(answers, cached, strict=True)] == [
        True
    ] * 3
    again = await connector.search(search(match(), headers=ONE))
    assert "cached=4" in marker_of(again)


async def test_items_of_an_msearch_are_their_callers() -> None:
    """They carry the request's headers."""
    connector = remembering(ScriptedScorer(), ScoreCache(10**6), "Authorization")
    await connector.search(search(match(), headers=ONE))
    for headers, number in ((ONE, 4), (OTHER, 0)):
        answer = await connector.msearch(msearch({"index": "books"}, match(), headers=headers))
        assert f"cached={number}" in marker_of(answer)


async def test_a_pruner_remembers_too() -> None:
    """Each model its own scores."""
    pruner, model = ScriptedScorer(revision="p"), ScriptedScorer(revision="m")
    connector = RerankingConnector(
        ScriptedEngine(*DOCUMENTS),
        model,
        Policy(defaults=RerankOptions(fetch="once", score_cache=True, prune_model="cheap", prune_keep=2)),
        models={"cheap": pruner},
        score_cache=ScoreCache(10**6),
    )
    first, second = [await connector.search(search(match())) for _ in range(2)]
    assert ["a", "bb", "ccc", "dddd"] == texts(first) == texts(second)
    assert (4, 2) == (len(pruner.texts), len(model.texts))
    assert "pruned=2; pruner=cheap; cached=2" in marker_of(second)


def test_a_policy_names_its_scorer() -> None:
    """And nobody else's."""
    main, other = ScriptedScorer(), ScriptedScorer()
    policy = Policy(policies=(IndexPolicy(indices=("a*",), overrides={"model": "other"}),))
    scorers = Scorers(main, {"other": other}, policy)
    assert scorers.of(policy.options("a1")) is other
    assert scorers.of(policy.options("b1")) is main


@pytest.mark.parametrize("option", ["model", "prune_model"])
def test_every_model_that_is_named_needs_a_scorer(option: str) -> None:
    """By a policy or by default."""
    for policy in (
        Policy(defaults=RerankOptions(**{option: "missing"})),
        Policy(policies=(IndexPolicy(indices=("a*",), overrides={option: "missing"}),)),
    ):
        with pytest.raises(ValueError, match="missing"):
            Scorers(ScriptedScorer(), None, policy)


def test_why_a_scorer_cannot_be_asked() -> None:
    """In its own words, or in those of what it raised."""
    assert Scorers(ScriptedScorer(), None, Policy()).failure(RerankOptions()) is None
    starting = Scorers(FailingScorer(ScorerStarting("not yet"), is_known_before=True), None, Policy())
    assert isinstance(starting.failure(RerankOptions()), ScorerStarting)
    broken = ScriptedScorer()
    broken.describe = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    failure = Scorers(broken, None, Policy()).failure(RerankOptions())
    assert isinstance(failure, ModelFailed)
    assert "ZeroDivisionError" in str(failure)
