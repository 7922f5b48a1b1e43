"""Raw scores as probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.base import ScoreKind, TokenPair, probability, sigmoid

KINDS: tuple[ScoreKind, ...] = ("cross-encoder", "cosine", "late-interaction")


@pytest.mark.parametrize(
    ("score", "kind", "expected"),
    [
        (0.0, "cross-encoder", 0.5),
        (2.0, "cross-encoder", 0.8807970779778823),
        (-1.0, "cosine", 0.0),
        (0.5, "cosine", 0.75),
        (1.0000001, "cosine", 1.0),
        (1.5, "late-interaction", 1.0),
        (0.75, "late-interaction", 0.5),
        (-0.3, "late-interaction", 0.0),
    ],
)
def test_each_kind_has_its_scale(score: float, kind: ScoreKind, expected: float) -> None:
    """A logit through the sigmoid, a cosine from its interval, late interaction from its own; clipped."""
    assert probability(score, kind) == pytest.approx(expected)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_the_order_of_scores_is_the_order_of_probabilities(one: float, other: float) -> None:
    """Never reversed, always within 0 and 1."""
    for kind in KINDS:
        low, high = sorted((probability(one, kind), probability(other, kind)))
        assert 0.0 <= low <= high <= 1.0
        assert (probability(one, kind) <= probability(other, kind)) or one > other


@pytest.mark.parametrize("x", [-1e308, -745.0, 0.0, 745.0, 1e308])
def test_the_sigmoid_never_overflows(x: float) -> None:
    """Not even for absurd logits."""
    assert math.isfinite(sigmoid(x))


def test_a_pairs_tokens_include_the_special_ones() -> None:
    """[CLS], [SEP], [SEP]."""
    assert TokenPair((1, 2), (3,)).tokens == 6
