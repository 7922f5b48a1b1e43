"""What else speaks for a hit: the engines' formulas, and which value of a hit they are of."""

import math
from typing import Any

import pytest

from connectors.base import Hit
from sidecar import signals
from sidecar.types import RerankOptions, Signal, SignalFunction, SignalValue

DAY = 86_400_000.0
NOW = 20_000 * DAY


def value_of(signal: Signal, **hit: Any) -> SignalValue:
    """Return what one signal says of a hit."""
    return signals.values(Hit(rank=1, value=hit), (signal,), NOW)[0]


@pytest.mark.parametrize(
    ("signal", "number", "expected"),
    [
        (Signal(field="n", function="log", scaling_factor=4), 8, math.log(12)),
        (Signal(field="n", function="log"), -3, 0.0),
        (Signal(field="n", function="saturation", pivot=8), 8, 0.5),
        (Signal(field="n", function="saturation", pivot=8), 24, 0.75),
        (Signal(field="n", function="saturation", pivot=8), 0, 0.0),
        (Signal(field="n", function="saturation", pivot=8), -1, 0.0),
        (Signal(field="n", function="sigmoid", pivot=4, exponent=2), 8, 64 / (64 + 16)),
        (Signal(field="n", function="gauss", origin=10, scale=3, decay=0.2), 13, 0.2),
        (Signal(field="n", function="gauss", origin=10, scale=3, decay=0.2), 4, 0.2**4),
        (Signal(field="n", function="exp", origin=10, scale=3, decay=0.2), 16, 0.04),
        (Signal(field="n", function="exp", origin=10, scale=3, offset=2, decay=0.2), 15, 0.2),
        (Signal(field="n", function="linear", origin=10, scale=3, decay=0.25), 13, 0.25),
        (Signal(field="n", function="linear", origin=10, scale=3, decay=0.25), 14, 0.0),
        (Signal(field="n", function="linear", origin=10, scale=3, offset=1), 9.5, 1.0),
    ],
    ids=str,
)
def test_a_function_is_the_engines(signal: Signal, number: float, expected: float) -> None:
    """A decay is `decay` at a distance of `scale` beyond `offset`, and 1 up to there."""
    assert pytest.approx(expected) == signals.function(signal, number, NOW)


@pytest.mark.parametrize("function", ["gauss", "exp", "linear"])
def test_now_is_the_moment_of_the_search(function: SignalFunction) -> None:
    """A date a scale ago, or a scale ahead, is `decay`."""
    fresh = Signal(field="d", function=function, is_date=True, scale=10 * DAY, decay=0.4)
    for moment in (NOW - 10 * DAY, NOW + 10 * DAY):
        assert pytest.approx(0.4) == value_of(fresh, fields={"d": [str(int(moment))]}).value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1970-01-02", DAY),
        ("1970-01-02T00:00:00Z", DAY),
        ("1970-01-02T01:00:00.000+01:00", DAY),
        (DAY, DAY),
        ("86400000", DAY),
        ("86400000.25", DAY + 0.25),
        ("tomorrow", None),
        (None, None),
    ],
)
def test_a_date_is_a_number_of_milliseconds_or_iso_8601(value: Any, expected: float | None) -> None:
    """What is neither is none."""
    assert expected == signals.milliseconds(value)


LIKES = Signal(field="likes", function="saturation", pivot=8)


@pytest.mark.parametrize(
    ("hit", "raw"),
    [
        ({"fields": {"likes": [24]}, "_source": {"likes": 1}}, 24.0),
        ({"_source": {"likes": 24}}, 24.0),
        ({"_source": {"likes": "24"}}, 24.0),
        ({"_source": {"likes": [40, 24]}}, 24.0),
        ({"_source": {"likes": True}}, 1.0),
        ({"_source": {"likes": None}}, None),
        ({"_source": {"likes": "many"}}, None),
        ({"_source": {"likes": [math.nan, math.inf]}}, None),
        ({"_source": {"other": 1}}, None),
        ({}, None),
    ],
)
def test_the_value_is_what_the_engine_gives(hit: dict[str, Any], raw: float | None) -> None:
    """Of several the smallest; what is no number is nothing, which counts as 0."""
    found = value_of(LIKES, **hit)
    assert raw == found.raw
    assert pytest.approx(0.0 if raw is None else raw / (raw + 8)) == found.value


def test_of_several_dates_the_nearest_counts() -> None:
    """As the engines' decay functions have it by default."""
    near = Signal(field="n", function="linear", origin=10, scale=4)
    assert 9.0 == value_of(near, _source={"n": [1, 9, 30]}).raw


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (Signal(field="n", function="saturation", pivot=8, missing=24), 0.75),
        (Signal(field="n", function="gauss", is_date=True, scale=DAY, missing="now"), 1.0),
        (Signal(field="n", function="exp", is_date=True, scale=DAY, missing=NOW - DAY), 0.5),
    ],
)
def test_a_missing_value_can_be_said(signal: Signal, expected: float) -> None:
    """The value that the field is taken to have; what was read stays nothing."""
    assert SignalValue(None, pytest.approx(expected)) == value_of(signal)  # type: ignore[arg-type]


def test_the_fields_are_those_of_signals_pins_and_diversity() -> None:
    """Each once; a date is asked for in a form that does not depend on the mapping."""
    fresh = Signal(field="published", function="exp", is_date=True)
    options = RerankOptions(signals=(LIKES, fresh, LIKES), pin_field="promoted", diversify_by="likes")
    assert ("likes", "published", "promoted") == signals.fields(options)
    assert "likes" == signals.entry(options, "likes")
    assert {"field": "published", "format": "epoch_millis"} == signals.entry(options, "published")
    assert () == signals.fields(RerankOptions())
