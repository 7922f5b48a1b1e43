"""Results as values: what was measured, compared, and is to be looked at."""

import pytest

from sidecar.evaluation.results import percentile
from tests.unit.sidecar.evaluation.evaluated import DOCUMENTS, results


def test_the_example_is_what_it_says() -> None:
    """Each document has its own text."""
    assert {"a": "text a", "b": "text b", "c": "text <c>", "d": "text d"} == {
        id: document["text"] for id, document in DOCUMENTS.items()
    }


async def test_means_before_and_after() -> None:
    """One query from rank 3 to 1, one from rank 1 to 4, one whose document nobody finds."""
    found = await results()
    assert "RR@10" == found.primary
    assert pytest.approx((1 / 3 + 1 + 0) / 3) == found.first_stage.means["RR@10"]
    two, four = found.systems
    assert pytest.approx((1 / 3 + 1 / 2 + 0) / 3) == two.means["RR@10"]
    assert pytest.approx((1 + 1 / 4 + 0) / 3) == four.means["RR@10"]


async def test_the_comparison_is_of_the_first_measure() -> None:
    """By query."""
    _, four = (await results()).systems
    assert four.comparison is not None
    assert pytest.approx({"up": 2 / 3, "down": -3 / 4, "same": 0}) == four.comparison.deltas
    assert (1, 1, 1) == (four.comparison.wins, four.comparison.losses, four.comparison.ties)


async def test_agreement_and_cost() -> None:
    """The same ten documents in another order; two or four candidates for each query."""
    found = await results()
    assert [2.0, 4.0] == [system.scored_per_query for system in found.systems]
    assert {1.0} == {value for system in found.systems for value in system.jaccard.values()}
    two, four = ({*system.rbo.values()} for system in found.systems)
    assert 1 > min(two) > min(four) > 0


async def test_the_best_system_is_that_with_the_highest_mean() -> None:
    """Of the first measure; without judgments the first."""
    assert 4 == (await results()).best.window
    assert 2 == (await results(qrels={"up": {"d": 1}, "down": {"a": 1}, "same": {"b": 1}})).best.window
    assert 2 == (await results(qrels=None)).best.window


async def test_a_hurt_query_says_what_happened() -> None:
    """What is first now, and what was near the top and relevant, with ranks, grades and texts."""
    found = await results()
    (query,) = found.to_look_at(found.systems[1])
    assert ("down", "deep <sea>", 1.0, 0.25) == (query.id, query.text, query.before, query.after)
    assert [("c", 1, 3, None), ("d", 2, 4, 0), ("b", 3, 2, None), ("a", 4, 1, 1)] == [
        (shown.hit.id, shown.hit.rank, shown.hit.first_stage_rank, shown.grade) for shown in query.hits
    ]
    assert ["text <c>", "text d", "text b", "text a"] == [shown.text for shown in query.hits]


async def test_without_judgments_the_most_changed_queries_are_looked_at() -> None:
    """And nothing is measured."""
    found = await results(qrels=None)
    assert (None, {}, None) == (found.primary, found.first_stage.means, found.systems[0].comparison)
    shown = found.to_look_at(found.systems[1], 2)
    assert 2 == len(shown)
    assert [None, None] == [query.after for query in shown]


@pytest.mark.parametrize(("percent", "expected"), [(50, 5.0), (95, 10.0), (99, 10.0), (10, 1.0), (0, 1.0)])
def test_percentiles_are_values_that_were_measured(percent: float, expected: float) -> None:
    """The nearest rank."""
    assert expected == percentile([10.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], percent)
