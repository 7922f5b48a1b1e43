"""Before against after: who won, by how much, and how sure that is."""

from itertools import product

import pytest

from sidecar.evaluation.comparison import SAMPLES, Comparison, compare

BEFORE = {"a": 0.1, "b": 0.5, "c": 0.4, "d": 0.2, "e": 0.9, "f": 0.3, "g": 0.0, "h": 0.6}
AFTER = {"a": 0.4, "b": 0.5 + 1e-12, "c": 0.3, "d": 0.6, "e": 0.8, "f": 0.7, "g": 0.2, "h": 0.65}


def test_wins_losses_and_ties() -> None:
    """What floating-point sums make of an equal value is a tie."""
    found = compare(BEFORE, AFTER)
    assert (5, 2, 1) == (found.wins, found.losses, found.ties)
    assert pytest.approx(0.3) == found.deltas["a"]
    assert pytest.approx(sum(AFTER.values()) / 8 - sum(BEFORE.values()) / 8) == found.mean


def test_the_queries_that_lost_most_come_first() -> None:
    """Ties and winners are not among them."""
    found = compare({**BEFORE, "c": 0.9}, AFTER)
    assert ["c", "e"] == found.worst(10)
    assert ["c"] == found.worst(1)


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    """Sampled against counted: of the 256 ways to flip the signs of eight differences."""
    deltas = [AFTER[query] - BEFORE[query] for query in BEFORE]
    observed = abs(sum(deltas)) - 1e-9
    flips = [
        sum(sign * delta for sign, delta in zip(signs, deltas, strict=True)) for signs in product((1, -1), repeat=8)
    ]
    exact = sum(abs(total) >= observed for total in flips) / len(flips)
    assert pytest.approx(exact, abs=0.01) == compare(BEFORE, AFTER).p_value


def test_the_interval_is_about_what_the_normal_distribution_says() -> None:
    """For many queries: the mean and 1.96 standard errors to both sides."""
    before = {str(n): 0.0 for n in range(1000)}
    after = {str(n): (n % 10) / 10 for n in range(1000)}
    low, high = compare(before, after).interval
    error = 1.96 * (0.0825 / 1000) ** 0.5
    assert pytest.approx(0.45 - error, abs=0.002) == low
    assert pytest.approx(0.45 + error, abs=0.002) == high


def test_no_difference_is_no_evidence() -> None:
    """All tied: an interval of nothing, and a p-value of 1."""
    found = compare(BEFORE, BEFORE)
    assert (0.0, (0.0, 0.0), 1.0, 8) == (found.mean, found.interval, found.p_value, found.ties)


def test_the_same_values_give_the_same_figures() -> None:
    """Resampling is seeded; and no p-value is below what so many samples can show."""
    one, other = compare(BEFORE, AFTER), compare(BEFORE, AFTER)
    assert isinstance(one, Comparison)
    assert one == other
    sure = compare({str(n): 0.0 for n in range(50)}, {str(n): 1.0 for n in range(50)})
    assert 1 / (SAMPLES + 1) == sure.p_value
