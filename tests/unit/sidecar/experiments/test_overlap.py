"""How far two rankings agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.experiments.overlap import jaccard, rbo

RANKING = st.permutations(list("abcdefgh"))


def test_jaccard_counts_the_first_documents_alone() -> None:
    """Two of four in common."""
    assert 0.5 == jaccard(["a", "b", "c", "x"], ["c", "b", "d", "a"], depth=3)
    assert 1.0 == jaccard([], [])
    assert 0.0 == jaccard(["a"], [])


def test_rbo_of_a_small_example() -> None:
    """By hand: the agreements at ranks 1, 2, 3 are 1, 1/2, 1; 0.1/0.9 * (0.9 + 0.405 + 0.729) + 0.729."""
    assert pytest.approx(0.955) == rbo(["a", "b", "c"], ["a", "c", "b"], p=0.9)


def test_rbo_weighs_the_top_most() -> None:
    """A change at rank 1 costs more than the same at rank 7."""
    ids = list("abcdefgh")
    assert rbo(ids, list("bacdefgh")) < rbo(ids, list("abcdefhg")) < 1


@given(RANKING, RANKING)
def test_rbo_is_symmetric_and_a_share(left: list[str], right: list[str]) -> None:
    """1 for a ranking and itself, 0 for one that has nothing of the other."""
    assert pytest.approx(rbo(left, right)) == rbo(right, left)
    assert 0 <= rbo(left, right) <= 1 + 1e-12
    assert pytest.approx(1) == rbo(left, left)
    assert 0 == rbo(left, [id.upper() for id in right])


def test_rbo_of_empty_rankings() -> None:
    """Two agree; one and another do not."""
    assert 1.0 == rbo([], [])
    assert 0.0 == rbo([], ["a"])
