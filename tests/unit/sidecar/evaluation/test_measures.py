"""Measures: the names, the values by hand, and what counts as what."""

import math
import sys

import pytest

from sidecar.errors import ConfigError
from sidecar.evaluation.measures import DEFAULT_MEASURES, means, parse, per_query

QRELS = {"q": {"a": 3, "b": 1, "c": 0, "d": -1}, "lost": {"z": 1}}
RANKING = ["c", "b", "x", "a"]


def test_values_by_hand() -> None:
    """Linear gain, ties by rank, and 0 for a query without hits."""
    values = per_query(parse(("nDCG@10", "RR@10", "AP", "P@10", "R@10", "Judged@10")), QRELS, {"q": RANKING})
    ideal = 3 + 1 / math.log2(3)
    expected = {
        "nDCG@10": (1 / math.log2(3) + 3 / math.log2(5)) / ideal,
        "RR@10": 1 / 2,
        "AP": (1 / 2 + 2 / 4) / 2,
        "P@10": 2 / 10,
        "R@10": 1.0,
        "Judged@10": 3 / 4,
    }
    assert pytest.approx(expected) == {name: by_query["q"] for name, by_query in values.items()}
    assert [0.0] * 6 == [by_query["lost"] for by_query in values.values()]
    assert pytest.approx(0.25) == means(values)["RR@10"]


def test_the_rank_counts_and_not_the_id() -> None:
    """Nothing is left to the order of ids that tools fall back on."""
    for first, second in (("a", "z"), ("z", "a")):
        values = per_query(parse(("RR@10",)), {"q": {second: 1}}, {"q": [first, second]})
        assert {"q": 0.5} == values["RR@10"]


def test_the_lowest_relevant_grade_changes_what_knows_but_two() -> None:
    """Not nDCG, and not a measure that says its own."""
    names = list(parse(("nDCG@10", "RR@10", "AP(rel=3)", "Judged@10"), relevant_from=2))
    assert ["nDCG@10", "RR(rel=2)@10", "AP(rel=3)", "Judged@10"] == names
    values = per_query(parse(("RR@10",), relevant_from=2), QRELS, {"q": RANKING})
    assert 1 / 4 == values["RR(rel=2)@10"]["q"]


def test_the_usual_measures_can_all_be_computed() -> None:
    """With what the extra installs."""
    assert list(DEFAULT_MEASURES) == list(parse(()))


@pytest.mark.parametrize("name", ["nonsense@10", "nDCG@", "alpha_nDCG@10"])
def test_an_unknown_measure_is_refused_at_once(name: str) -> None:
    """Also one that needs what is not installed."""
    with pytest.raises(ConfigError, match="--measure: "):
        parse((name,))


def test_without_ir_measures_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name."""
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ConfigError, match=r"pip install 'rerank-sidecar\[evaluate\]'"):
        parse(())
