"""Patterns with `*`, as index expressions, field lists and source filters have them."""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Return whether `name` is what `pattern` says; `*` stands for any characters, everything else for itself.

    The time grows with the length of the name, however many stars there are.
    """
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == name
    last = middle.pop()
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
