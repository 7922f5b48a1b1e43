"""Patterns with stars."""

import pytest

from connectors.embedded.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("", "", True),
        ("*", "", True),
        ("*", "a.b", True),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a.b.c", True),
        ("a*b*c", "acb", False),
        ("*b*", "abc", True),
        ("a*bc*c", "abc", False),
        ("a*bc*c", "abcc", True),
        ("a**b", "ab", True),
        ("a.c", "abc", False),
        ("a?", "ab", False),
        ("*a" * 50, "a" * 5_000 + "b", False),
    ],
)
def test_a_star_stands_for_anything(pattern: str, name: str, expected: bool) -> None:
    """Nothing else is special, and many stars take no longer than few."""
    assert expected == matches(pattern, name)
