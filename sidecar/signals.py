"""What else speaks for a hit than its words: named fields of it, each through one of the engines' own functions.

Law: a signal's value depends on its own hit and the present moment alone, never on other hits, so that its share in the
final score is what its formula says. What cannot be read as a number or a date counts as missing. No I/O.

*Source:* the functions of `rank_feature` (log, saturation, sigmoid) and the decay functions of `function_score` (gauss,
exp, linear) of Elasticsearch 9.5 and OpenSearch 3.8, with their parameters' names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from connectors.base import Hit
from sidecar import hit_values
from sidecar.types import RerankOptions, Signal, SignalValue

_DATE_FORMAT: Final = "epoch_millis"

NOTHING: Final = 0.0
"""The value of a signal where a hit has no such field: it says nothing, for or against."""


def values(hit: Hit, signals: tuple[Signal, ...], now: float) -> tuple[SignalValue, ...]:
    """Return what each signal says of a hit at a moment, in milliseconds since 1970."""
    return tuple(_value(hit, signal, now) for signal in signals)


def fields(options: RerankOptions) -> tuple[str, ...]:
    """Return the fields of hits that the ranking needs beside their text, each once."""
    named = (*(signal.field for signal in options.signals), options.pin_field, options.diversify_by)
    return tuple(dict.fromkeys(name for name in named if name))


def entry(options: RerankOptions, name: str) -> str | dict[str, str]:
    """Return how a search asks for a field under `fields`: dates in a form that does not depend on the mapping."""
    is_date = any(signal.is_date and signal.field == name for signal in options.signals)
    return {"field": name, "format": _DATE_FORMAT} if is_date else name


def function(signal: Signal, number: float, now: float) -> float:
    """Return a signal's function of a field's number; of a date that is milliseconds since 1970, as `now` is."""
    match signal.function:
        case "log":
            return math.log(signal.scaling_factor + max(0.0, number))
        case "saturation":
            return number / (number + signal.pivot) if number > 0 else 0.0
        case "sigmoid":
            return 1.0 / (1.0 + math.pow(signal.pivot / number, signal.exponent)) if number > 0 else 0.0
        case "gauss":
            return math.exp(_distance(signal, number, now) ** 2 * math.log(signal.decay) / signal.scale**2)
        case "exp":
            return math.exp(_distance(signal, number, now) * math.log(signal.decay) / signal.scale)
        case "linear":
            zero = signal.scale / (1.0 - signal.decay)
            return max(0.0, (zero - _distance(signal, number, now)) / zero)
        case _:
            assert_never(signal.function)


def _value(hit: Hit, signal: Signal, now: float) -> SignalValue:
    numbers = list(_numbers(hit_values.values(hit, signal.field), signal))
    if numbers:  # of several values the engines take the nearest one, and in other functions the smallest
        number = min(numbers, key=lambda each: _distance(signal, each, now) if signal.is_decay else each)
        return SignalValue(raw=number, value=function(signal, number, now))
    if signal.missing is None:
        return SignalValue(raw=None, value=NOTHING)
    return SignalValue(raw=None, value=function(signal, now if signal.missing == "now" else signal.missing, now))


def _distance(signal: Signal, number: float, now: float) -> float:
    origin = now if signal.origin == "now" else signal.origin
    return max(0.0, abs(number - origin) - signal.offset)


def _numbers(found: list[Any], signal: Signal) -> Iterator[float]:
    for each in found:
        number = milliseconds(each) if signal.is_date else _number(each)
        if number is not None and math.isfinite(number):
            yield number


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def milliseconds(value: Any) -> float | None:
    """Return a date as milliseconds since 1970, None where it is none: a number of them, or ISO 8601, as UTC."""
    number = _number(value)
    if number is not None:
        return number
    try:
        date = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000
