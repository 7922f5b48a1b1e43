"""Values of documents and of queries under each type."""

from typing import Any

import pytest

from connectors.embedded import field_types

DAY = 24 * 60 * 60 * 1000


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("1970-01-02", DAY),
        ("1970", 0),
        (1970, 0),
        ("1970-02", 31 * DAY),
        ("1970-01-01T01", 3_600_000),
        ("1970-01-01T01:02", 3_720_000),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01T00:00:01,123456Z", 1_123),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00+0130", -1_800_000),
        ("12345", 12_345),
        ("20", 20),
        (12345, 12_345),
        ("-5", -5),
        (1.5e3, 1_500),
        ("0001-01-01", -62_135_596_800_000),
    ],
)
def test_dates(value: Any, milliseconds: int) -> None:
    """ISO 8601, or milliseconds; four digits are a year."""
    assert milliseconds == field_types.to_date(value)


@pytest.mark.parametrize(
    "value", ["", "tea", "2020-6-7", "2020-06-31", "2020-01-01 10:00", "2020-01-01T24:00", True, 1e30]
)
def test_what_is_no_date(value: Any) -> None:
    """Loose formats, days that are not there, and moments no calendar has."""
    with pytest.raises(ValueError, match="date"):
        field_types.to_date(value)


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("1970", 0, DAY - 1),
        ("1970-01-01", 0, DAY - 1),
        ("1970-01-01T01", 3_600_000, 7_199_999),
        ("1970-01-01T00:00:01", 1_000, 1_999),
        ("1970-01-01T00:00:01.5", 1_500, 1_500),
        (1970, 1_970, 1_970),
    ],
)
def test_dates_of_queries_are_rounded(value: Any, first: int, last: int) -> None:
    """What is left out of the time of day is the earliest or the latest; a number is milliseconds."""
    assert first == field_types.date_bound(value, rounds_up=False)
    assert last == field_types.date_bound(value, rounds_up=True)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+10000-01-01T00:00:00.000Z"),
        (268_186_752_000_000, "+10468-07-01T08:00:00.000Z"),
        (-62_135_596_800_001, "0000-12-31T23:59:59.999Z"),
        (-62_167_219_200_001, "-0001-12-31T23:59:59.999Z"),
    ],
)
def test_dates_are_written(milliseconds: int, text: str) -> None:
    """With milliseconds and in UTC, beyond the calendar, too."""
    assert text == field_types.format_date(milliseconds)


@pytest.mark.parametrize(
    ("text", "expected"), [("2020-01-01", True), ("2020-01", True), ("2020", False), ("1-2", False)]
)
def test_strings_that_look_like_dates(text: str, expected: bool) -> None:
    """Dynamic mapping takes only what has a hyphen and is a date."""
    assert expected == field_types.is_date(text)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("long", "12", 12),
        ("long", 3.9, 3),
        ("long", -3.9, -3),
        ("float", 0.1, 0.10000000149011612),
        ("half_float", 0.1, 0.0999755859375),
        ("double", "1e3", 1000.0),
        ("keyword", 1.0, "1.0"),
        ("text", False, "false"),
        ("boolean", "true", 1),
        ("boolean", "", 0),
    ],
)
def test_values_of_documents(kind: str, value: Any, expected: Any) -> None:
    """Numbers are cut to their type, scalars become text."""
    assert expected == field_types.parser(kind)(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("long", "tea"), ("long", True), ("long", None), ("long", 2**63), ("byte", -129), ("long", float("inf"))),
        *(("float", 1e39), ("double", float("inf")), ("half_float", 1e5)),
        *(("boolean", "yes"), ("boolean", 1), ("text", [])),
    ],
)
def test_values_that_no_type_takes(kind: str, value: Any) -> None:
    """`ValueError`, always."""
    with pytest.raises(ValueError, match=r"."):
        field_types.parser(kind)(value)


def test_numbers_of_queries_may_lie_between() -> None:
    """A bound need not be a value of the field."""
    assert 2.5 == field_types.numeric_bound("2.5", "integer")
    assert 2**70 == field_types.numeric_bound(2**70, "byte")
    for value in ("", "yes", 1):
        with pytest.raises(ValueError, match="boolean"):
            field_types.boolean_bound(value)
