"""The gate before every speed."""

import math

import numpy as np
import pytest

from benchmarks.accuracy import BARS, Accuracy, compare, kendall_tau, overlap

REFERENCE = [float(score) for score in range(20)]


def test_equal_scores_reach_every_bar() -> None:
    """What equals the reference is right in every precision."""
    accuracy = compare([REFERENCE], [REFERENCE])
    assert Accuracy(max_error=0.0, tau=1.0, top10=1.0) == accuracy
    assert [""] * len(BARS) == [accuracy.failure(precision) for precision in BARS]


@pytest.mark.parametrize(
    ("mine", "tau"),
    [([1.0, 2.0, 3.0], 1.0), ([3.0, 2.0, 1.0], -1.0), ([1.0, 3.0, 2.0], 1 / 3), ([2.0, 2.0, 2.0], 0.0), ([5.0], 1.0)],
)
def test_kendalls_tau(mine: list[float], tau: float) -> None:
    """Concordant less discordant pairs over all pairs."""
    assert pytest.approx(tau) == kendall_tau(np.array(mine), np.arange(1.0, len(mine) + 1))


def test_overlap_counts_the_ten_best() -> None:
    """Nine of ten in common are 0.9; of three texts the three are the best."""
    mine = [*REFERENCE[:-1], -1.0]
    assert 0.9 == overlap(np.array(mine), np.array(REFERENCE))
    assert 1.0 == overlap(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))


def test_the_worst_logit_and_the_mean_of_the_rest_count() -> None:
    """One search in two reversed: tau 0, overlap the mean, the largest error."""
    accuracy = compare([REFERENCE, REFERENCE[::-1]], [REFERENCE, REFERENCE])
    assert 19.0 == accuracy.max_error
    assert 0.0 == accuracy.tau
    assert 0.5 == accuracy.top10


def test_what_is_missed_is_said() -> None:
    """The words name each bar that is not reached, and no other."""
    accuracy = Accuracy(max_error=0.01, tau=0.98, top10=1.0)
    assert "max error 0.01 > 0.0001, tau 0.9800 < 0.999" == accuracy.failure("fp32")
    assert "tau 0.9800 < 0.99" == accuracy.failure("bf16")


@pytest.mark.parametrize("scores", [[1.0], [1.0, math.nan], [1.0, math.inf]])
def test_what_is_no_score_is_an_error(scores: list[float]) -> None:
    """Too few, NaN and infinity are not compared."""
    with pytest.raises(ValueError, match="no number"):
        compare([scores], [[1.0, 2.0]])
