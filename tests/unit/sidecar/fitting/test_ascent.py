"""The best weights, and how sure they are."""

import numpy as np
import pytest

from sidecar.fitting.ascent import fit, weights
from sidecar.fitting.lists import Listed, Lists, as_arrays
from sidecar.types import Candidate

QUERIES = 60
CANDIDATES = 12


def lists(truth: tuple[float, ...], noise: float = 0.1, seed: int = 7) -> Lists:
    """Return lists whose grades follow a sum of random terms with these weights, more or less."""
    random = np.random.default_rng(seed)
    listing: dict[str, list[Listed]] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number in range(QUERIES):
        terms = random.normal(size=(CANDIDATES, len(truth)))
        worth = terms @ np.array(truth) + random.normal(scale=noise, size=CANDIDATES)
        best = set(np.argsort(-worth)[:3].tolist())
        listing[f"q{number}"] = [
            Listed(
                id=str(place),
                candidate=Candidate(rank=place + 1, score=0.0, text=""),
                model_score=0.0,
                terms=tuple(terms[place].tolist()),
            )
            for place in range(CANDIDATES)
        ]
        qrels[f"q{number}"] = {str(place): 1 for place in best}
    return as_arrays(listing, qrels, len(truth))


@pytest.mark.parametrize("truth", [(0.8, 0.2), (0.5, 0.5), (0.6, 0.4, 1.0), (0.9, 0.1, -0.5, 0.0)])
def test_weights_that_grades_follow_are_found(truth: tuple[float, ...]) -> None:
    """Those of signals, too, also where less is better; and one that tells nothing has next to none."""
    found = fit(lists(truth), (0.9, *(0.0 for _ in truth[2:])), resamples=30)
    assert truth == pytest.approx(weights(found.point), abs=0.25)
    assert all(low <= number <= high for number, (low, high) in zip(found.point, found.intervals, strict=True))


def test_what_is_in_force_stays_where_nothing_is_better() -> None:
    """A weight that is right already is not changed for the sake of it."""
    right = lists((0.7, 0.3), noise=0.0)
    assert 1.0 == pytest.approx(right.ndcg((0.7, 0.3)).mean())
    assert (0.7,) == fit(right, (0.7,), resamples=5).point


def test_more_noise_is_a_wider_interval() -> None:
    """Of the same weight."""
    clear, blurred = (fit(lists((0.6, 0.4), noise), (0.9,), resamples=60).intervals[0] for noise in (0.05, 2.0))
    assert clear[1] - clear[0] < blurred[1] - blurred[0]


def test_the_same_seed_gives_the_same() -> None:
    """So that a figure can be made again."""
    found = [fit(lists((0.6, 0.4, 0.5)), (0.9, 0.0), resamples=10, seed=3) for _ in range(2)]
    assert found[0] == found[1]
