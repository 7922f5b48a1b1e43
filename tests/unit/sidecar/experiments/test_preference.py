"""Wins, losses and ties, and how sure they are; expected values are SciPy's and statsmodels'."""

import math
import random
from typing import Any

import pytest

from sidecar.experiments.preference import LEVEL, Preference, any_time, sign_test, wilson


def preference(wins: int, losses: int, ties: int = 0) -> Preference:
    """Return a preference."""
    return Preference(policy="shop", version="1", method="team_draft", wins=wins, losses=losses, ties=ties)


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (9, 1, 0.021484375),
        (1, 9, 0.021484375),
        (60, 40, 0.05688793364098078),
        (530, 470, 0.0620231951),
    ],
)
def test_the_sign_test_is_the_binomial_one(wins: int, losses: int, expected: float) -> None:
    """Two-sided and exact, by counting."""
    total = wins + losses
    tail = sum(math.comb(total, more) for more in range(max(wins, losses), total + 1)) / 2**total
    assert sign_test(wins, losses) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-3)


def test_a_million_searches_are_counted_at_once() -> None:
    """Without underflow or overflow."""
    assert 0 < sign_test(502_000, 498_000) < 1e-4
    assert 1 == pytest.approx(sign_test(500_000, 500_000), abs=1e-3)
    assert 0 <= sign_test(10**6, 0) < 1e-300


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(60, 100, (0.5020025868, 0.6905987136)), (0, 10, (0.0, 0.2775327999)), (10, 10, (0.7224672001, 1.0))],
)
def test_the_interval_is_wilsons(successes: int, trials: int, expected: tuple[float, float]) -> None:
    """At 95 %, within 0 and 1."""
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-6)


def test_whoever_looks_after_every_search_is_seldom_misled() -> None:
    """Where there is nothing to find, one look of 500 misleads in less than 5 of 100 experiments."""
    draw = random.Random(7)
    misled = planned = 0
    for _ in range(400):
        wins, ever, ever_planned = 0, False, False
        for searches in range(1, 501):
            wins += draw.random() < 0.5
            ever = ever or any_time(wins, searches - wins) < LEVEL
            ever_planned = ever_planned or (searches % 10 == 0 and sign_test(wins, searches - wins) < LEVEL)
        misled += ever
        planned += ever_planned
    assert misled <= 0.05 * 400
    assert planned > 0.15 * 400  # which is why there are two


def test_the_preference_counts_ties_half() -> None:
    """As Chapelle et al. define it: 40 + 15 of 100 less a half."""
    found = preference(40, 30, 30)
    assert 0.05 == pytest.approx(found.delta)
    assert 40 / 70 == found.share
    assert 100 == found.searches


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (preference(90, 30), "rerank"),
        (preference(30, 90), "first_stage"),
        (preference(60, 40), None),
        (preference(0, 0), None),
    ],
)
def test_a_side_is_preferred_when_looking_again_changes_nothing(found: Preference, expected: str | None) -> None:
    """So that nobody stops at a lucky moment."""
    assert expected == found.preferred


def test_nothing_is_told_of_no_searches() -> None:
    """Neither a share nor an interval."""
    told: dict[str, Any] = preference(0, 0).told()
    assert [None] * 4 == [told[name] for name in ("win_share", "interval", "preference", "preferred")]
    assert 1.0 == told["p_value"] == told["p_any_time"]
