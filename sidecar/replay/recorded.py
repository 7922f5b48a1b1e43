"""Searches that were sent before: what was recorded of them, and those that are the same.

Law: searches with the same index, URL parameters and body are one, and how often it was sent is its weight. What only
changes how an answer looks (`pretty`, `filter_path`, …) is left out, so that the hits of two answers can be compared.
"""

from __future__ import annotations

import json
import random
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from connectors.base import SearchRequest
from sidecar.requests.routes import route
from sidecar.types import Operation

NO_SEARCH: Final = "it is no search"
TEMPLATE: Final = "a search template: the slow log has the search that it stands for"
ASYNC: Final = "an asynchronous search, whose answer comes in parts"
NOT_JSON: Final = "the search is no JSON object: it may have been cut off"
NO_INDEX: Final = "the line names no index: give --index"

SEED: Final = 20_071

_LOOKS: Final = frozenset({"pretty", "human", "error_trace", "format", "filter_path", "typed_keys"})
"""URL parameters that change how an answer looks."""

_HEADERS: Final = (("Content-Type", "application/json"),)
_LINE_PARAMS: Final = frozenset({"preference", "routing", "search_type", "request_cache", "ignore_unavailable"})
"""Settings of a header line of `_msearch` that are URL parameters of a `_search`."""


class Unreplayable(ValueError):
    """What was recorded cannot be sent again; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A search in a file."""

    request: SearchRequest
    #: its caller's own name for it, `X-Opaque-Id`
    id: str | None = None
    #: seconds that the engine took then
    seconds: float | None = None
    time: datetime | None = None
    #: which of its parts the line is about, where a search leaves several: a shard and a phase
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A search, and how often it was sent."""

    request: SearchRequest
    count: int = 1
    id: str | None = None
    #: seconds that the engine took then, at most
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why lines cannot be replayed: how many, and where the first of them is."""

    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What some files have."""

    name: str
    #: lines, or entries, that were read
    lines: int
    searches: tuple[Recorded, ...]
    #: lines that cannot be replayed, by reason
    refused: Mapping[str, Refused] = field(default_factory=dict)
    #: seconds from the first search to the last; None where the lines have no time
    span: float | None = None

    @property
    def sent(self) -> int:
        """How many searches were sent, the same ones counted each time."""
        return sum(recorded.count for recorded in self.searches)

    @property
    def per_second(self) -> float | None:
        """Searches of a second then, None where that is not known."""
        return self.sent / self.span if self.span and self.sent > 1 else None

    def sample(self, count: int | None) -> Recording:
        """Return a random sample of so many sent searches, the same for the same files; all of them for None."""
        if count is None or count >= self.sent:
            return self
        weights = [recorded.count for recorded in self.searches]
        drawn = Counter(random.Random(SEED).sample(range(len(weights)), counts=weights, k=count))  # noqa: S311
        kept = tuple(replace(self.searches[place], count=drawn[place]) for place in sorted(drawn))
        return replace(self, searches=kept, span=self.span and self.span * count / self.sent)

    def one_by_one(self) -> Recording:
        """Return the recording with every search as often as it was sent, in rounds."""
        rounds = range(max((recorded.count for recorded in self.searches), default=0))
        each = (replace(one, count=1) for place in rounds for one in self.searches if one.count > place)
        return replace(self, searches=tuple(each))


class Collector:
    """Puts what is found in files together. A search leaves as many lines as it has parts: they count once."""

    def __init__(self) -> None:
        """Have found nothing."""
        self._lines = 0
        self._first: dict[tuple[str, str], Found] = {}
        self._parts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._seconds: dict[tuple[str, str], float] = {}
        self._times: list[datetime] = []
        self._refused: dict[str, Refused] = {}

    def add(self, found: Found) -> None:
        """Take a search."""
        key = found.request.target, _normal(found.request.body)
        self._first.setdefault(key, found)
        self._parts[key][found.part] += 1
        if found.seconds is not None:
            self._seconds[key] = max(found.seconds, self._seconds.get(key, 0.0))
        if found.time is not None:
            bounds = [*self._times, found.time]
            self._times = [min(bounds), max(bounds)]

    def line(self) -> None:
        """Count a line."""
        self._lines += 1

    def refuse(self, reason: str, where: str) -> None:
        """Count a line that cannot be replayed."""
        before = self._refused.get(reason)
        self._refused[reason] = replace(before, count=before.count + 1) if before else Refused(count=1, example=where)

    def recording(self, name: str) -> Recording:
        """Return what was found."""
        searches = tuple(
            Recorded(
                request=found.request, count=max(self._parts[key].values()), id=found.id, seconds=self._seconds.get(key)
            )
            for key, found in self._first.items()
        )
        span = (self._times[1] - self._times[0]).total_seconds() if self._times else None
        return Recording(name=name, lines=self._lines, searches=searches, refused=self._refused, span=span or None)


def search(
    index: str, body: Any, params: Iterable[tuple[str, str]] = (), *, instead: str | None = None
) -> SearchRequest:
    """Return a `_search` over an index expression; `body` is JSON text or a value; `instead` is another index.

    Raises:
        Unreplayable: the body is no JSON object, or there is no index.
    """
    kept = [(name, value) for name, value in params if name not in _LOOKS]
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
    if text.strip() and not _is_object(text):
        raise Unreplayable(NOT_JSON)
    name = index if instead is None else instead
    path = f"/{urllib.parse.quote(name, safe=',*<>')}/_search" if name else "/_search"
    query = f"?{urllib.parse.urlencode(kept)}" if kept else ""
    return SearchRequest(method="POST", target=path + query, headers=_HEADERS, body=text.encode())


def searches(method: str, target: str, text: str, *, instead: str | None = None) -> Iterator[SearchRequest]:
    """Yield the searches of an HTTP request: one of `_search`, many of `_msearch`.

    Raises:
        Unreplayable: it is none of them.
    """
    asked = route(method.upper(), target)
    if asked is None:
        raise Unreplayable(NO_SEARCH)
    if asked.is_template:
        raise Unreplayable(TEMPLATE)
    if asked.is_async:
        raise Unreplayable(ASYNC)
    whole = SearchRequest(method=method, target=target)
    if asked.operation is Operation.SEARCH:
        yield search(whole.index, text, whole.params, instead=instead)
        return
    lines = [line for line in text.splitlines() if line.strip()]
    for header, body in zip(lines[::2], lines[1::2], strict=False):
        yield item(header, body, whole.index, instead=instead)


def item(header: str, body: str, index: str = "", *, instead: str | None = None) -> SearchRequest:
    """Return the search of two lines of an `_msearch`; `index` is that of its URL. Raises Unreplayable."""
    try:
        said = json.loads(header)
    except ValueError as error:
        raise Unreplayable(NOT_JSON) from error
    if not isinstance(said, dict):
        raise Unreplayable(NOT_JSON)
    named = said.get("index", said.get("indices", index))
    names = named if isinstance(named, list) else [named or ""]
    params = [(name, _param(value)) for name, value in said.items() if name in _LINE_PARAMS]
    return search(",".join(map(str, names)), body, params, instead=instead)


def seconds_of(milliseconds: Any) -> float | None:
    """Return a duration in seconds, None where it is no number."""
    try:
        return float(milliseconds) / 1000
    except (TypeError, ValueError):
        return None


def in_order(recorded: Sequence[Recorded]) -> list[Recorded]:
    """Return searches with those first that were sent most often."""
    return sorted(recorded, key=lambda one: -one.count)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _normal(body: bytes) -> str:
    """Return a body without the white space that tells two writings of one search apart."""
    return json.dumps(json.loads(body), separators=(",", ":")) if body.strip() else ""


def _param(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
