"""Plots from numbers: their marks are where the values are."""

import re
from xml.etree import ElementTree

import pytest

from sidecar.evaluation import plots


def marks(figure: str, name: str) -> list[ElementTree.Element]:
    """Return the elements of a plot by name; the plot is well-formed."""
    return list(ElementTree.fromstring(figure).iter(name))


def size(mark: ElementTree.Element, name: str) -> float:
    """Return a number of a mark."""
    return float(mark.attrib[name])


def test_bars_are_as_long_as_their_values() -> None:
    """From 0; the dotted line is at the end of the first stage's."""
    figure = plots.bars("nDCG", {"first": 0.4, "a <b>": 0.8, "none": 0.0}, baseline="first")
    first, other, none = marks(figure, "rect")
    assert pytest.approx(2 * size(first, "width"), abs=0.02) == size(other, "width")
    assert 0.0 == size(none, "width")
    (line,) = marks(figure, "line")
    assert pytest.approx(size(first, "x") + size(first, "width"), abs=0.1) == size(line, "x1")
    assert "a <b>: 0.8" in [title.text for title in marks(figure, "title")]


def test_deltas_go_up_and_down_in_order() -> None:
    """The winner first, the loser last, both from the same line."""
    figure = plots.deltas("delta", {"lost": -0.25, "won": 0.5}, {"won": "a query"})
    won, lost = marks(figure, "rect")
    assert ["won", "lost"] == [won.attrib["class"], lost.attrib["class"]]
    assert pytest.approx(size(won, "y") + size(won, "height"), abs=0.1) == size(lost, "y")
    assert pytest.approx(2 * size(lost, "height"), abs=0.02) == size(won, "height")
    assert ["a query (won): +0.5000", "lost (lost): -0.2500"] == [title.text for title in marks(figure, "title")]


def test_curves_rise_with_their_values() -> None:
    """Higher values are higher up, larger windows further right; labels do not lie on one another."""
    figure = plots.curves(
        "by window", {"a": [(50, 0.6), (20, 0.5)], "b": [(20, 0.5), (50, 0.6)]}, baseline=0.4, x_name="w"
    )
    line = marks(figure, "polyline")[0].attrib["points"]
    (left, low), (right, high) = ([float(number) for number in point.split(",")] for point in line.split())
    assert left < right
    assert low > high
    places = [size(text, "y") for text in marks(figure, "text") if re.match(r"[ab]  ", text.text or "")]
    assert 2 == len(places)
    assert 16 <= abs(places[0] - places[1])


def test_ranges_end_at_the_highest_percentile() -> None:
    """With a tick for each."""
    figure = plots.ranges("ms", {"a": {"p50": 1.0, "p99": 4.0}, "b": {"p50": 1.0, "p99": 2.0}}, " ms")
    slow, fast = marks(figure, "rect")
    assert pytest.approx(2 * size(fast, "width"), abs=0.02) == size(slow, "width")
    assert 4 == len(marks(figure, "line"))


@pytest.mark.parametrize("values", [{}, {"a": 0.0}])
def test_nothing_is_drawn_of_nothing(values: dict[str, float]) -> None:
    """And nothing fails."""
    for figure in (plots.bars("t", values), plots.deltas("t", values, {})):
        ElementTree.fromstring(figure)
        assert "nan" not in figure
