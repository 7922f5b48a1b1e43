"""`filter_path`: what else is asked for where an answer is filtered, and how that is taken out again.

Only the engine can filter: it prints what is left of `_source` anew (`1E+2` becomes `100.0`). So the caller's patterns
go to it as they are, with a few of ours beside them, and our page loses what only ours let through.

Law: a filter is understood as a whole, or the search is left alone. No I/O.

*Source:* response filtering of Elasticsearch 9.5 and OpenSearch 3.8: a pattern shows, or with `-` hides, what it names
and all below it; `*` stands for a part of a name; arrays have no level of their own; objects, arrays and elements of
arrays of which nothing is shown are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.json_bytes import Edit, Member, Part, remove_parts, scan_object, skip_whitespace, splice
from sidecar import answer
from sidecar.answer import Answer

HITS: Final = "hits.hits"
SOURCE: Final = "hits.hits._source"
FOR_TEXT: Final = f"timed_out,_shards,{HITS}"
"""The filter of a request for text alone."""

_FIELDS: Final = "hits.hits.fields"
_NEEDED: Final = ("timed_out", "_shards.failed", "hits.hits._score", _FIELDS)
"""Whether the answer is whole; a member of every hit, so that none is left out; the text that we ask for."""

_USEFUL: Final = ("hits.hits._id", "hits.hits._index")
"""By which hits are found again whose text has to be asked for apart."""

_WITHOUT_SHARDS: Final = "-_shards"
_WITHOUT_A_PART_OF_THEM: Final = "-_shards.successful"
"""What we make of it to see failures: a filter must stay, since the engine prints `_source` anew for any."""


@dataclass(frozen=True)
class FilterPath:
    """The patterns of one `filter_path`."""

    patterns: tuple[str, ...]

    @classmethod
    def parse(cls, value: str | None) -> FilterPath | None:
        """Return the filter of a URL parameter, None where it filters nothing."""
        patterns = tuple(pattern.strip() for pattern in (value or "").split(",") if pattern.strip())
        return cls(patterns) if patterns else None

    @property
    def can_be_widened(self) -> bool:
        """Whether hits are shown, and what we need beside them can be told apart from what the caller sees."""
        names = [name for pattern in self.patterns for name in _names(pattern)]
        if any(not name or "\\" in name or "**" in name for name in names):
            return False
        if self._is_hidden(HITS) or not (self.shows(HITS) or _is_inside(self._shown, HITS)):
            return False
        if _is_inside(self._shown, _FIELDS) and not self.shows(_FIELDS):
            return False
        hidden = [pattern for pattern in self._hidden if pattern != _WITHOUT_SHARDS]
        return not any(_covers(hidden, path) or _is_inside(hidden, path) for path in _NEEDED)

    def shows(self, path: str) -> bool:
        """Return whether what is at a path is shown, but for what is hidden below it."""
        return (not self._shown or _covers(self._shown, path)) and not self._is_hidden(path)

    def shows_whole(self, path: str) -> bool:
        """Return whether all of what is at a path is shown."""
        return self.shows(path) and not _is_inside(self._hidden, path)

    def widened(self) -> str:
        """Return the filter that shows what we need, too."""
        patterns = (_WITHOUT_A_PART_OF_THEM if each == _WITHOUT_SHARDS else each for each in self.patterns)
        return ",".join((*patterns, *(_NEEDED + _USEFUL if self._shown else ())))

    def restored(self, text: str) -> str:
        """Return an answer to the widened filter as this one shows it; any other text stays as it is."""
        try:
            found = answer.parse(text)
        except ValueError:
            return text
        edits: list[Edit] = []
        unwanted: list[Member] = []
        for member in found.members:
            inner = self._inside(found, member)
            if inner is None:
                unwanted.append(member)
            else:
                edits += inner
        outer = _without(found.members, unwanted)
        return _emptied(text) if outer is None else splice(text, edits + outer)

    @property
    def _shown(self) -> list[str]:
        return [pattern for pattern in self.patterns if not pattern.startswith("-")]

    @property
    def _hidden(self) -> list[str]:
        return [pattern for pattern in self.patterns if pattern.startswith("-")]

    def _is_hidden(self, path: str) -> bool:
        return _covers(self._hidden, path)

    def _inside(self, found: Answer, member: Member) -> list[Edit] | None:
        """Return the edits inside a member of the answer, None when nothing of it is shown."""
        match member.key:
            case "hits":
                return self._of_hits(found)
            case "timed_out":
                return [] if self.shows("timed_out") else None
            case "_shards" if self._is_hidden("_shards"):
                return None
            case "_shards" if not self.shows("_shards.failed"):
                inner = scan_object(found.text, member.value_start)
                return _without(inner, [each for each in inner if each.key == "failed"])
            case _:
                return []

    def _of_hits(self, found: Answer) -> list[Edit] | None:
        ours = (path for path in _NEEDED + _USEFUL if path.startswith(f"{HITS}.") and not self.shows(path))
        hidden = {path.removeprefix(f"{HITS}.") for path in ours}
        edits: list[Edit] = []
        empty = []
        for element, hit in zip(found.array.elements, found.hits, strict=True):
            inner = _without(hit.members, [member for member in hit.members if member.key in hidden])
            if inner is None:
                empty.append(element)
            else:
                edits += inner
        if len(empty) == len(found.hits) and not self.shows(HITS):
            return _without(found.hits_members, [each for each in found.hits_members if each.key == "hits"])
        return edits + (_without(found.array.elements, empty) or [])


def _names(pattern: str) -> list[str]:
    return pattern.removeprefix("-").split(".")


def _covers(patterns: Sequence[str], path: str) -> bool:
    """Return whether one of the patterns names what is at a path, or what that is in."""
    names = path.split(".")
    return any(len(_names(each)) <= len(names) and _agree(_names(each), names) for each in patterns)


def _is_inside(patterns: Sequence[str], path: str) -> bool:
    """Return whether one of the patterns names something below a path."""
    names = path.split(".")
    return any(len(_names(each)) > len(names) and _agree(_names(each), names) for each in patterns)


def _agree(patterns: Sequence[str], names: Sequence[str]) -> bool:
    # several stars are one: matched apart, they would be tried in every combination
    return all(
        re.fullmatch(re.sub(r"(?:\\\*)+", ".*", re.escape(pattern)), name)
        for pattern, name in zip(patterns, names, strict=False)
    )


def _without(parts: Sequence[Part], unwanted: Sequence[Part]) -> list[Edit] | None:
    """Return the edits that take parts out of an object or an array, None when nothing would be left."""
    if not unwanted:
        return []
    return None if len(unwanted) == len(parts) else remove_parts(parts, unwanted)


def _emptied(text: str) -> str:
    """Return an answer of which nothing is shown, in the engine's layout."""
    start, end = skip_whitespace(text, 0) + 1, text.rindex("}")
    return f"{text[:start]}{' ' if chr(10) in text[start:end] else ''}{text[end:]}"
