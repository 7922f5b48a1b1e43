"""Strategies put together by weight: Hypothesis flattens `one_of`s, so that what has most kinds would dominate."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]


def mixed(*parts: tuple[int, Values]) -> Values:
    """Return a strategy that takes each of `parts` as often as its weight says; cases shrink towards the first."""
    which = st.sampled_from([strategy for weight, strategy in parts for _ in range(weight)])

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        return draw(draw(which))

    return build()


def table(required: Mapping[str, Values], most: int = 2, /, **optional: Values) -> Values:
    """Return a strategy for objects with these members, of the optional ones at most a few."""
    names = sorted(optional)
    chosen = st.lists(st.sampled_from(names), max_size=most, unique=True) if names else st.just([])

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        value = {name: draw(each) for name, each in required.items()}
        return value | {name: draw(optional[name]) for name in draw(chosen)}

    return build()


def of(kind: str, value: Values) -> Values:
    """Return a strategy for `{kind: value}`."""
    return value.map(lambda inner: {kind: inner})


def of_field(kind: str, names: Values, value: Values) -> Values:
    """Return a strategy for `{kind: {field: value}}`."""
    return st.tuples(names, value).map(lambda pair: {kind: {pair[0]: pair[1]}})


def rarely(one_in: int) -> st.SearchStrategy[bool]:
    """Return a strategy that is True once in so many draws. To be built once: building costs more than drawing."""
    return st.sampled_from([False] * (one_in - 1) + [True])
