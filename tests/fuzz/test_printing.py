"""Odd JSON is JSON: it says what it was made of, whatever it looks like."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.bodies import search_bodies
from tests.fuzz.printing import PLAIN, QUIRKS, Literal, Style, written

HARMLESS = sorted({*QUIRKS} - {"strings", "numbers", "duplicates"})
"""Quirks that change how a value looks to nobody who parses it."""

harmless_styles = st.builds(Style, st.frozensets(st.sampled_from(HARMLESS), min_size=1), st.integers(0, 99))


def parsed(value: Any) -> Any:
    """Return a value as a parser gives it back."""
    return json.loads(written(value))


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(search_bodies, harmless_styles)
def test_a_value_is_read_back(value: Any, style: Style) -> None:
    """White space, escapes and the order of members change nothing."""
    assert repr(parsed(value)) == repr(json.loads(written(value, PLAIN)))
    assert _sorted(parsed(value)) == _sorted(json.loads(written(value, style)))


def test_each_quirk_shows() -> None:
    """A quirk that never shows tests nothing."""
    value = {"size": 3, "query": {"match": {"body": "te\u00e4/a"}}, "again": [1.5, None, Literal("1E+2")]}
    plain = written(value)
    assert '{"size":3,"query":{"match":{"body":"te\\u00e4/a"}},"again":[1.5,null,1E+2]}' == plain
    for quirk in QUIRKS:
        shown = [written(value, Style(frozenset({quirk}), seed)) for seed in range(20)]
        assert any(text != plain for text in shown), quirk
        assert shown == [written(value, Style(frozenset({quirk}), seed)) for seed in range(20)], quirk


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
