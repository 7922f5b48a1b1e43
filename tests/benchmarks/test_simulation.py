"""The simulation against what queueing theory knows, and its use for planning."""

import pytest

simpy = pytest.importorskip("simpy", reason="simpy (dependency group `scaling`) is not installed")

from benchmarks.open_loop import constant, poisson  # noqa: E402
from benchmarks.planning import plan, routed  # noqa: E402
from benchmarks.simulation import Costs, Site, simulate  # noqa: E402


def test_a_lone_search_meets_nobody() -> None:
    """It takes what it costs and no more; two requests of a window are scored beside each other."""
    costs = Costs(front=0.004, window=0.02, request=0.001, way=0.002)
    one = simulate([0.0], costs, Site(fronts=1, scorers=2))
    two = simulate([0.0], costs, Site(fronts=1, scorers=2, requests=2))
    assert pytest.approx(0.004 + 0.021 + 0.002) == one.p50
    assert pytest.approx(0.004 + 0.011 + 0.002) == two.p50


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_a_single_scorer_is_the_queue_of_the_books(busy: float) -> None:
    """M/D/1: the mean wait is rho / (2 (1 - rho)) services; of a discrete median the books say less."""
    service = 0.01
    due = poisson(busy / service, 100.0, seed=3)
    found = simulate(due, Costs(front=1e-9, window=service), Site(fronts=1, scorers=1))
    assert busy == pytest.approx(found.scorers_busy, rel=0.03)
    waits = _waits(due, service)
    assert busy / (2 * (1 - busy)) * service == pytest.approx(sum(waits) / len(waits), rel=0.2)
    assert sorted(waits)[len(waits) // 2] + service == pytest.approx(found.p50, rel=0.01)


def _waits(due: list[float], service: float) -> list[float]:
    """Return how long each arrival waits, by Lindley's recursion."""
    waits, free = [], 0.0
    for time in due:
        waits.append(max(0.0, free - time))
        free = max(free, time) + service
    return waits


def test_more_scorers_wait_less() -> None:
    """And a search goes to the one with the least to do: evenly spaced ones never wait."""
    costs = Costs(front=0.0001, window=0.02)
    assert 0.0201 == pytest.approx(simulate(constant(90.0, 5.0), costs, Site(fronts=1, scorers=2)).p99)
    crowded, roomy = (simulate(poisson(90.0, 30.0), costs, Site(fronts=1, scorers=scorers)).p99 for scorers in (2, 4))
    assert roomy < crowded


def test_times_may_vary() -> None:
    """Around the same mean."""
    costs = Costs(front=0.0001, window=0.02, spread=0.5)
    found = simulate(constant(1.0, 2000.0), costs, Site(fronts=1, scorers=1))
    assert 0.02 == pytest.approx(found.scorers_busy, rel=0.05)
    assert found.p99 > 1.5 * found.p50


def test_the_smallest_site_is_found() -> None:
    """One scorer less misses the target, or does not keep up."""
    costs = Costs(front=0.004, window=0.01, way=0.001)
    found = plan(1000, costs, target=0.03, requests=1, searches=2000)
    assert found.met.p99 <= 0.03
    assert found.without_one is None or found.without_one.p99 > 0.03
    assert 11 <= found.site.scorers <= 14
    with pytest.raises(ValueError, match="cannot be kept"):
        plan(1000, costs, target=0.001, requests=1, searches=200)


def test_fronts_remember_more_when_queries_have_a_home() -> None:
    """Each front then keeps others' windows in place of the same; the busiest has more to do."""
    found = routed(10, exponent=1.0, distinct=20_000, searches=40_000)
    assert found.by_query > found.least_loaded + 0.1
    assert found.busiest_by_query > 1.1
