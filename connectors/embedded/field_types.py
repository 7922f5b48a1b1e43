"""Field types: what a value of a document, or of a query, is as a value of its field.

Law: one function per type from a JSON value to the value that is compared and sorted; what cannot be one is
`ValueError`. Dates are milliseconds since 1970, booleans are 0 and 1, so that every type orders with `<`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Value = str | int | float
"""A field's value: text and keyword as str, the numeric types, boolean and date as numbers."""

_INTEGER_BITS = {"long": 64, "integer": 32, "short": 16, "byte": 8}
FLOATS = ("double", "float", "half_float")
NUMBERS = frozenset({*_INTEGER_BITS, *FLOATS})
TYPES = frozenset({"text", "keyword", "boolean", "date", *NUMBERS})

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?)?"
)
_YEAR = re.compile(r"\d{4}")
_MILLISECONDS = re.compile(r"-?\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_CYCLE = 146_097 * 24 * 60 * 60 * 1000
"""The milliseconds of 400 years, after which the calendar begins again."""
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def to_text(value: Any) -> str:
    """Return a scalar as the text that is analyzed; numbers and booleans as JSON spells them."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            raise ValueError(f"Expected text but found {value!r:.40}")


def to_integer(value: Any, bits: int) -> int:
    """Return a number, or a string that is one, cut to an integer of `bits` bits."""
    number = _number(value)
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ValueError(f'For input string: "{value}"')
        number = int(number)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f"Value [{value}] is out of range")
    return number


def to_float(value: Any, kind: str) -> float:
    """Return a number, or a string that is one, in the precision of its type."""
    number = float(_number(value))
    if not math.isfinite(number):
        raise ValueError(f"[{kind}] supports only finite values, but got [{value}]")
    code = {"double": "<d", "float": "<f", "half_float": "<e"}[kind]  # only with "<" an overflow is an error
    try:
        (rounded,) = struct.unpack(code, struct.pack(code, number))
    except OverflowError:
        raise ValueError(f"[{kind}] supports only finite values, but got [{value}]") from None
    return float(rounded)


def to_boolean(value: Any) -> int:
    """Return 1 for true and 0 for false, as values or strings; the empty string is false."""
    if value is True or value == "true":
        return 1
    if value is False or value in ("false", ""):
        return 0
    raise ValueError(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")


def to_date(value: Any) -> int:
    """Return milliseconds since 1970 of an ISO 8601 date or date and time, or of milliseconds.

    Four digits are a year, as a string and as a number.
    *Source:* Elasticsearch's default format `strict_date_optional_time||epoch_millis`.
    """
    if isinstance(value, float):
        return _in_calendar(value)
    return _date(value if isinstance(value, str) else to_text(value))


def date_bound(value: Any, *, rounds_up: bool) -> int:
    """Return a date of a query in milliseconds; `rounds_up`: what it leaves out of the time of day is the latest.

    A number is milliseconds, whatever its size. *Source:* Elasticsearch's JavaDateMathParser.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(_no_date(to_text(value), "epoch_millis"))
    return _date(value, rounds_up=rounds_up)


def numeric_bound(value: Any, kind: str) -> int | float:
    """Return a number of a query: between two integers, or beyond a type's range, it is still a bound."""
    return _number(value) if kind in _INTEGER_BITS else to_float(value, kind)


def is_date(text: str) -> bool:
    """Return whether dynamic mapping takes this string for a date."""
    return "-" in text and _iso(text) is not None


def as_string(value: Value, kind: str) -> str | None:
    """Return the text that stands beside a number in answers, None for types that need none."""
    match kind:
        case "date":
            return format_date(int(value))
        case "boolean":
            return "true" if value else "false"
        case _:
            return None


def format_date(milliseconds: int) -> str:
    """Return a date as answers write it: `2024-01-01T00:00:00.000Z`. Sums of dates may lie far beyond any calendar."""
    cycles = (milliseconds - _FIRST) // _CYCLE if not _FIRST <= milliseconds <= _LAST else 0
    moment = _EPOCH + timedelta(milliseconds=milliseconds - cycles * _CYCLE)
    year = moment.year + 400 * cycles
    sign = "+" if year > 9999 else "-" if year < 0 else ""
    return f"{sign}{abs(year):04d}" + moment.strftime("-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def boolean_bound(value: Any) -> int:
    """Return 1 or 0 for a truth value of a query; unlike in a document, the empty string is none."""
    if value not in (True, False, "true", "false") or (isinstance(value, int | float) and not isinstance(value, bool)):
        raise ValueError(f"Can't parse boolean value [{value}], expected [true] or [false]")
    return to_boolean(value)


def parser(kind: str) -> Callable[[Any], Value]:
    """Return the function that makes a JSON scalar a value of the type `kind`."""
    return _PARSERS[kind]


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"Expected a number but found {value!r:.40}")
    if isinstance(value, str):
        return _number_of(value.strip())
    return value


def _number_of(text: str) -> int | float:
    try:
        return int(text) if re.fullmatch(r"[+-]?\d{1,30}", text) else float(text)
    except ValueError:
        raise ValueError(f'For input string: "{text}"') from None


def _date(text: str, *, rounds_up: bool = False) -> int:
    if _MILLISECONDS.fullmatch(text) and not _YEAR.fullmatch(text):
        return _in_calendar(int(text))
    moment = _iso(text, rounds_up=rounds_up)
    if moment is None:
        raise ValueError(_no_date(text, "strict_date_optional_time||epoch_millis"))
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _in_calendar(milliseconds: float) -> int:
    if not _FIRST <= milliseconds <= _LAST:
        raise ValueError(f"the date [{milliseconds}] is not in the years 1 to 9999")
    return int(milliseconds)


def _no_date(text: str, expected: str) -> str:
    return f"failed to parse date field [{text}] with format [{expected}]"


def _iso(text: str, *, rounds_up: bool = False) -> datetime | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    numbers = [int(parts[name] or (latest if rounds_up else first)) for name, first, latest in _DATE_PARTS]
    fraction = parts["fraction"] or ("999999" if rounds_up else "0")
    microsecond = int(fraction.ljust(6, "0")[:6])
    try:
        return datetime(*numbers, microsecond, tzinfo=UTC) - _offset(parts["zone"])  # type: ignore[arg-type,misc]
    except (ValueError, OverflowError):
        return None


_DATE_PARTS = (
    ("year", 1, 1),
    ("month", 1, 1),
    ("day", 1, 1),
    ("hour", 0, 23),
    ("minute", 0, 59),
    ("second", 0, 59),
)
"""The parts of a date, and what stands for each where it is left out: at the first moment, at the latest."""


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone == "Z":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return size if zone[0] == "+" else -size


_PARSERS: Mapping[str, Callable[[Any], Value]] = {
    "text": to_text,
    "keyword": to_text,
    "boolean": to_boolean,
    "date": to_date,
    **{kind: lambda value, bits=bits: to_integer(value, bits) for kind, bits in _INTEGER_BITS.items()},  # type: ignore[misc]
    **{kind: lambda value, kind=kind: to_float(value, kind) for kind in FLOATS},  # type: ignore[misc]
}
