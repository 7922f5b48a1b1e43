"""Keep a part of a JSON document: `_source` includes and excludes, and `filter_path`.

Law: what is kept keeps its bytes, down to the spacing inside every value that loses nothing.

*Source:* Elasticsearch's XContentMapValues.filter (a `*` of `_source` crosses dots) and FilterPath (a `*` of
`filter_path` stays inside one name, `**` crosses any number of them; arrays do not count as a level).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors import json_bytes
from connectors.embedded.patterns import matches

Path = tuple[str, ...]


class Selection(Protocol):
    """Says which members stay."""

    def is_excluded(self, path: Path) -> bool:
        """Return whether the member, with everything below it, goes."""
        ...

    def is_included(self, path: Path) -> bool:
        """Return whether the member, with everything below it that is not excluded, stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSelection:
    """`_source` includes and excludes; no includes means everything."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def is_excluded(self, path: Path) -> bool:
        """Return whether a pattern is the path or one above it."""
        return _selects(self.excludes, path)

    def is_included(self, path: Path) -> bool:
        """Return whether there are no patterns, or one is the path or one above it."""
        return not self.includes or _selects(self.includes, path)


@dataclass(frozen=True, slots=True)
class PathSelection:
    """The patterns of `filter_path`, comma-separated; those that begin with `-` exclude."""

    patterns: str

    def is_excluded(self, path: Path) -> bool:
        """Return whether an excluding pattern is the path or one above it."""
        return any(_matches_path(pattern[1:].split("."), path) for pattern in self._split() if pattern[:1] == "-")

    def is_included(self, path: Path) -> bool:
        """Return whether only excluding patterns are there, or one is the path or one above it."""
        included = [pattern for pattern in self._split() if pattern[:1] != "-"]
        return not included or any(_matches_path(pattern.split("."), path) for pattern in included)

    def _split(self) -> list[str]:
        return [pattern.strip() for pattern in self.patterns.split(",") if pattern.strip()]


def keep(text: str, selection: Selection) -> str:
    """Return the JSON object `text` with only those members that the selection keeps."""
    start = json_bytes.skip_whitespace(text, 0)
    return _object(text, start, len(text.rstrip()), (), selection) or "{}"


def _value(text: str, start: int, end: int, path: Path, selection: Selection) -> str | None:
    """Return what stays of a value, None for nothing."""
    match text[start]:
        case "{":
            return _object(text, start, end, path, selection)
        case "[":
            return _array(text, start, end, path, selection)
        case _:
            return text[start:end] if selection.is_included(path) else None


def _object(text: str, start: int, end: int, path: Path, selection: Selection) -> str | None:
    members = json_bytes.scan_object(text, start)
    kept: list[str] = []
    is_whole = True
    for member in members:
        below = (*path, member.key)
        excluded = selection.is_excluded(below)
        value = None if excluded else _value(text, member.value_start, member.end, below, selection)
        is_whole = is_whole and value == text[member.value_start : member.end]
        if value is not None:
            kept.append(text[member.start : member.value_start] + value)
    if not kept and not selection.is_included(path):
        return None
    return text[start:end] if is_whole else "{" + ",".join(kept) + "}"


def _array(text: str, start: int, end: int, path: Path, selection: Selection) -> str | None:
    spans = json_bytes.scan_elements(text, start)
    values = [_value(text, first, last, path, selection) for first, last in spans]
    kept = [value for value in values if value is not None]
    if not kept and not selection.is_included(path):
        return None
    is_whole = all(value == text[first:last] for value, (first, last) in zip(values, spans, strict=True))
    return text[start:end] if is_whole else "[" + ",".join(kept) + "]"


def _selects(patterns: Sequence[str], path: Path) -> bool:
    names = [".".join(path[:depth]) for depth in range(1, len(path) + 1)]
    return any(matches(pattern, name) for pattern in patterns for name in names)


def _matches_path(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Return whether the pattern is the path or one above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches_path(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and matches(pattern[0], path[0]) and _matches_path(pattern[1:], path[1:])
