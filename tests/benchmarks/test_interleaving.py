"""The simulation behind docs/experiments.md, in small: it finds what is there, and seldom what is not."""

import numpy as np
import pytest

from benchmarks import interleaving as simulated
from benchmarks.interleaving import CLICK_MODELS, ClickModel, Interleaved
from sidecar.experiments.preference import Preference
from sidecar.types import InterleaveMethod

METHODS: tuple[InterleaveMethod, ...] = ("team_draft", "balanced")


def experiment(method: InterleaveMethod, model: ClickModel, count: int, weight: float, seed: int) -> Preference:
    """Return what so many simulated searches say."""
    random = np.random.default_rng(seed)
    found = simulated.searches(random, count, weight)
    pages = simulated.drawn(found, method, str(seed))
    return simulated.counted(simulated.clicks(random, found, pages, method, model, "u"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", CLICK_MODELS)
def test_the_better_ranking_is_found(method: InterleaveMethod, model: ClickModel) -> None:
    """By both methods and click models, in 3,000 searches."""
    assert "rerank" == experiment(method, model, 3000, 0.3, seed=1).preferred


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_found_where_there_is_nothing(method: InterleaveMethod) -> None:
    """In 40 experiments with rankings that are as good, and different: in five by chance at most."""
    found = [experiment(method, "cascade", 100, 1.0, seed) for seed in range(40)]
    assert sum(each.p_value < 0.05 for each in found) <= 5


def test_an_a_b_test_needs_more_searches() -> None:
    """Many times as many, for the same power."""
    random = np.random.default_rng(4)
    many = simulated.searches(random, 40_000, 0.3)
    test = simulated.split(random, many, "cascade")
    found = many.part(0, 2000)
    pages = simulated.drawn(found, "team_draft", "")
    preference = simulated.counted(simulated.clicks(random, found, pages, "team_draft", "cascade", "u"))
    seen = Interleaved(preference.wins / 2000, preference.losses / 2000)
    assert test.needed > 5 * seen.needed


def test_the_simulated_preference_is_known() -> None:
    """The reranked order is better by nDCG@10; an ideal ranking has 1."""
    found = simulated.searches(np.random.default_rng(2), 2000, 0.5)
    assert simulated.ndcg(found.treated) > simulated.ndcg(found.grades) + 0.05
    assert 1 == pytest.approx(simulated.ndcg(-np.sort(-found.grades, axis=1)))
