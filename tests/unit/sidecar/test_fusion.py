"""Step 6: one final score per candidate, from two."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fusion import Fusion, Linear, ModelOnly, ReciprocalRank, choose, rank, z_scores
from sidecar.types import Candidate, RerankOptions, Signal, SignalValue
from tests.unit.doubles import facts

FUSIONS: list[Fusion] = [ModelOnly(), Linear(0.9), Linear(0.0), Linear(1.0), ReciprocalRank()]
scores = st.floats(-50, 50)


def candidates(*first: float | None) -> list[Candidate]:
    """Return candidates with these first-stage scores."""
    return [Candidate(rank=position, score=score, text="x") for position, score in enumerate(first, start=1)]


def order(fusion: Fusion, first: list[float | None], model: list[float]) -> list[int]:
    """Return the first-stage ranks in their final order."""
    return [scored.candidate.rank for scored in rank(candidates(*first), model, fusion)]


# --- the formulas -------------------------------------------------------------------------------------------


def test_model_only_is_the_model_score() -> None:
    """On the scale 0 to 1 it is the sigmoid."""
    found = rank(candidates(3, 2), [-1.0, 1.0], ModelOnly())
    assert [2, 1] == [scored.candidate.rank for scored in found]
    assert [1.0, -1.0] == [scored.model_score for scored in found]
    assert [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))] == pytest.approx([scored.fused_score for scored in found])


def test_linear_is_a_convex_sum_of_z_scores() -> None:
    """z over the scored candidates: here -1 and 1 on both sides."""
    assert pytest.approx([0.9 * -1 + 0.1 * 1, 0.9 * 1 + 0.1 * -1]) == Linear(0.9).fuse(candidates(10, 8), [0.0, 4.0])


def test_linear_without_scores_takes_ranks() -> None:
    """One missing first-stage score is enough: then -log(rank) stands in for all."""
    expected = Linear(0.5).fuse(candidates(-math.log(1), -math.log(2), -math.log(3)), [1.0, 2.0, 3.0])
    assert pytest.approx(expected) == Linear(0.5).fuse(candidates(9, None, 7), [1.0, 2.0, 3.0])


def test_reciprocal_rank_adds_reciprocal_ranks() -> None:
    """k = 60, ranks from 1."""
    assert pytest.approx([1 / 61 + 1 / 62, 1 / 62 + 1 / 61]) == ReciprocalRank().fuse(candidates(5, 4), [0.0, 1.0])
    assert pytest.approx([1 / 61 + 1 / 61, 1 / 62 + 1 / 62]) == ReciprocalRank().fuse(candidates(5, 4), [1.0, 0.0])


def test_reciprocal_rank_counts_among_the_scored() -> None:
    """A candidate's rank is its place among those with text, so that gaps cost nothing."""
    with_gap = [Candidate(rank=1, score=None, text="a"), Candidate(rank=7, score=None, text="b")]
    assert ReciprocalRank().fuse(candidates(None, None), [0.0, 1.0]) == ReciprocalRank().fuse(with_gap, [0.0, 1.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([5.0], [0.0]), ([2.0, 2.0], [0.0, 0.0]), ([1.0, 3.0], [-1.0, 1.0])],
)
def test_z_scores(values: list[float], expected: list[float]) -> None:
    """Equal values have no deviation, and are zeros."""
    assert expected == z_scores(values)


# --- choosing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "model", "expected"),
    [
        (RerankOptions(), {}, ModelOnly()),
        (RerankOptions(), {"recommended_fusion": "linear", "recommended_weight": 0.7}, Linear(0.7)),
        (RerankOptions(), {"recommended_fusion": "rrf"}, ReciprocalRank()),
        (RerankOptions(fusion="linear"), {}, Linear(0.9)),
        (RerankOptions(fusion="linear", weight=0.2), {}, Linear(0.2)),
        (RerankOptions(fusion="linear", weight=0.0), {}, Linear(0.0)),
        (RerankOptions(fusion="rrf"), {"recommended_fusion": "linear"}, ReciprocalRank()),
        (RerankOptions(fusion="model_only"), {"recommended_fusion": "linear"}, ModelOnly()),
    ],
)
def test_auto_is_what_the_model_recommends(options: RerankOptions, model: dict[str, Any], expected: Fusion) -> None:
    """What the options name wins over it."""
    assert expected == choose(options, facts(**model))


# --- properties ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS, ids=repr)
@given(pairs=st.lists(st.tuples(st.one_of(st.none(), scores), scores), max_size=12))
def test_a_ranking_is_a_permutation_best_first(fusion: Fusion, pairs: list[tuple[float | None, float]]) -> None:
    """No candidate is lost or doubled, scores fall, and all lie between 0 and 1."""
    found = rank(candidates(*(first for first, _ in pairs)), [model for _, model in pairs], fusion)
    assert list(range(1, len(pairs) + 1)) == sorted(scored.candidate.rank for scored in found)
    fused = [scored.fused_score for scored in found]
    assert sorted(fused, reverse=True) == fused
    assert all(0 <= score <= 1 for score in fused)
    assert [pairs[scored.candidate.rank - 1][1] for scored in found] == [scored.model_score for scored in found]


@pytest.mark.parametrize("fusion", [ModelOnly(), ReciprocalRank(), Linear(0.9)], ids=repr)
@given(first=st.lists(scores, max_size=12), model=scores)
def test_constant_model_scores_keep_the_order(fusion: Fusion, first: list[float], model: float) -> None:
    """A model that cannot tell candidates apart changes nothing."""
    first = sorted(first, reverse=True)
    assert list(range(1, len(first) + 1)) == order(fusion, list(first), [model] * len(first))


@given(pairs=st.lists(st.tuples(scores, scores), max_size=12))
def test_rrf_depends_on_ranks_only(pairs: list[tuple[float, float]]) -> None:
    """First-stage scores and any growing transform of the model's change nothing."""
    first: list[float | None] = [score for score, _ in pairs]
    model = [score for _, score in pairs]
    expected = rank(candidates(*first), model, ReciprocalRank())
    by_rank = {score: float(place) for place, score in enumerate(sorted(set(model)))}
    changed = rank(candidates(*[None] * len(pairs)), [by_rank[score] for score in model], ReciprocalRank())
    assert [(s.candidate.rank, s.fused_score) for s in expected] == [(s.candidate.rank, s.fused_score) for s in changed]


@given(pairs=st.lists(st.tuples(scores, scores), min_size=1, max_size=12), weight=st.floats(0, 1))
def test_linear_does_not_see_scale_or_offset(pairs: list[tuple[float, float]], weight: float) -> None:
    """BM25 scores of another query length, or a model with other logits, give the same final scores."""
    first: list[float | None] = [round(score, 2) for score, _ in pairs]
    model = [round(score, 2) for _, score in pairs]
    scaled = Linear(weight).fuse(
        candidates(*(4 * float(score or 0) + 8 for score in first)), [2 * m - 1 for m in model]
    )
    assert pytest.approx(Linear(weight).fuse(candidates(*first), model), abs=1e-6) == scaled


@given(pairs=st.lists(st.tuples(scores, scores), max_size=12))
def test_full_weight_is_the_model_s_order(pairs: list[tuple[float, float]]) -> None:
    """linear with weight 1 orders as model_only does, ties by first-stage rank; values rounded so that z can tell."""
    first: list[float | None] = [score for score, _ in pairs]
    model = [round(score, 1) for _, score in pairs]
    assert order(ModelOnly(), first, model) == order(Linear(1.0), first, model)


# --- signals ------------------------------------------------------------------------------------------------

LIKES = Signal(field="likes", function="saturation", weight=2.0)
FRESH = Signal(field="day", function="exp", weight=-0.5)


def with_signals(*values: tuple[float, float]) -> list[Candidate]:
    """Return candidates of which the two signals have these values."""
    return [
        Candidate(
            rank=rank, score=10.0 - rank, text="x", signals=(SignalValue(likes * 7, likes), SignalValue(None, fresh))
        )
        for rank, (likes, fresh) in enumerate(values, start=1)
    ]


def test_signals_are_added_as_they_are() -> None:
    """Weight times value, whatever the other candidates have: they have no z."""
    plain, signalled = Linear(0.9), Linear(0.9, (LIKES, FRESH))
    found = with_signals((0.5, 1.0), (0.25, 0.0), (0.0, 0.5))
    model = [1.0, 2.0, 4.0]
    differences = [
        after - before for before, after in zip(plain.fuse(found, model), signalled.fuse(found, model), strict=True)
    ]
    assert pytest.approx([1.0 - 0.5, 0.5, -0.25]) == differences


@pytest.mark.parametrize("fusion", [ModelOnly(), Linear(0.7, (LIKES, FRESH)), ReciprocalRank()])
def test_the_terms_are_what_the_final_score_is_the_sum_of(fusion: Fusion) -> None:
    """Every fusion says which they are."""
    found, model = with_signals((0.5, 1.0), (0.25, 0.0), (0.0, 0.5)), [3.0, 2.0, 4.0]
    sums = [sum(term.contribution for term in terms) for terms in fusion.terms(found, model)]
    assert pytest.approx(fusion.fuse(found, model)) == sums


def test_terms_say_where_they_come_from() -> None:
    """Raw, through which function, with which weight."""
    first = Linear(0.75, (LIKES, FRESH)).terms(with_signals((0.5, 1.0), (0.5, 1.0)), [1.0, 3.0])[0]
    assert [
        ("model", "z", 1.0, -1.0, 0.75),
        ("first_stage", "z", 9.0, 1.0, 0.25),
        ("likes", "saturation", 3.5, 0.5, 2.0),
        ("day", "exp", None, 1.0, -0.5),
    ] == list(first)


def test_candidates_have_their_terms_where_that_is_asked_for() -> None:
    """Each its own, also when the order changes."""
    found = rank(with_signals((0.5, 1.0), (0.25, 0.0)), [1.0, 2.0], Linear(1.0, (LIKES, FRESH)), explains=True)
    assert [[2.0, 1.0][scored.candidate.rank % 2] for scored in found] == [scored.terms[0].raw for scored in found]
    assert () == rank(candidates(1), [1.0], Linear(1.0))[0].terms


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (RerankOptions(signals=(LIKES,)), Linear(0.9, (LIKES,))),
        (RerankOptions(signals=(LIKES,), weight=0.4), Linear(0.4, (LIKES,))),
        (RerankOptions(signals=(LIKES,), fusion="linear"), Linear(0.9, (LIKES,))),
        (RerankOptions(signals=(LIKES,), fusion="model_only"), ModelOnly()),
        (RerankOptions(signals=(LIKES,), fusion="rrf"), ReciprocalRank()),
    ],
)
def test_signals_make_auto_linear(options: RerankOptions, expected: Fusion) -> None:
    """A fusion that a request names is that one, without them where it has no room for them."""
    assert expected == choose(options, facts())
