"""Patterns with `*`, as index expressions, field lists and source filters have them."""

from __future__ import annotations

import re
from functools import lru_cache


def matches(pattern: str, name: str) -> bool:
    """Return whether `name` is what `pattern` says; `*` stands for any characters, everything else for itself."""
    return pattern == name if "*" not in pattern else _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
