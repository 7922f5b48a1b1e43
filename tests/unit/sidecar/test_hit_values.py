"""What a hit holds at a dotted path."""

from typing import Any

import pytest

from connectors.base import Hit
from sidecar.hit_values import splits, values


@pytest.mark.parametrize(
    ("hit", "path", "expected"),
    [
        ({"fields": {"a.b": [1, 2]}}, "a.b", [1, 2]),
        ({"fields": {"a": [1]}, "_source": {"a": 2}}, "a", [1]),
        ({"fields": {"b": [1]}, "_source": {"a": 2}}, "a", [2]),
        ({"_source": {"a": {"b": [{"c": 1}, {"c": [2, 3]}]}}}, "a.b.c", [1, 2, 3]),
        ({"_source": {"a.b": {"c": "x"}}}, "a.b.c", ["x"]),
        ({"_source": {"a": {"b.c": False}}}, "a.b.c", [False]),
        ({"_source": {"a": 5}}, "a.raw", [5]),
        ({"_source": {"a": {"b": 1}}}, "a", []),
        ({"_source": {"a": None}}, "a", []),
        ({"_source": None}, "a", []),
        ({}, "a", []),
    ],
    ids=str,
)
def test_values(hit: dict[str, Any], path: str, expected: list[Any]) -> None:
    """`fields` before `_source`; objects, dotted keys and arrays; a sub-field means its parent."""
    assert expected == values(Hit(rank=1, value=hit), path)


def test_splits_begin_with_the_longest_head() -> None:
    """A key with a dot may stand where an object could."""
    assert [("a.b", "c"), ("a", "b.c")] == list(splits("a.b.c"))
    assert [] == list(splits("a"))
