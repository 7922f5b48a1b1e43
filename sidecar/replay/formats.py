"""Files of searches, in whatever format: each line says itself what it is.

| a line is | of |
|---|---|
| of a slow log or a query log | Elasticsearch, OpenSearch: `slow_logs` |
| `{"policy": …, "outcome": …, "index": …, "body": …}` | our own observe log, with `observe.queries` |
| `{"method": "POST", "path": "/books/_search", "body": …}` or `{"index": "books", "body": …}` | a file of requests |
| `{"query": …}` | search bodies, with `--index` |
| `{"index": "books"}`, and a search body in the next | an `_msearch` |
| `… "GET /books/_search?q=tea HTTP/1.1" …` | an access log of nginx or HAProxy: what stands in URLs |

A name that ends in `.har` is a recording of a browser; `.gz` may follow any name.

Law: a line that cannot be replayed is counted with the reason and never guessed at.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from connectors.json_bytes import JsonObject
from sidecar.errors import ConfigError
from sidecar.evaluation.files import lines
from sidecar.replay import slow_logs
from sidecar.replay.recorded import (
    NO_SEARCH,
    NOT_JSON,
    Collector,
    Found,
    Recording,
    Unreplayable,
    item,
    search,
    searches,
    seconds_of,
)

NO_QUERIES: Final = "the observation has no search: set observe.queries = true"
NO_BODY: Final = "an access log has no bodies, and the URL has no search"
UNKNOWN: Final = "a line of no format that is known"

_ACCESS: Final = re.compile(r'"(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH) (\S+) HTTP/[\d.]+"')
_BODY: Final = frozenset({"query", "knn", "retriever", "sub_searches"})
"""What a search body has that searches."""


def read(paths: Sequence[Path], *, index: str | None = None) -> Recording:
    """Return the searches of some files; `index` is searched in place of the recorded ones.

    Raises:
        ConfigError: a file cannot be read, or nothing in them can be replayed; the message says why.
    """
    collector = Collector()
    for path in paths:
        is_har = ".har" in path.suffixes
        for where, found in _har(path, collector, index) if is_har else _lines(path, collector, index):
            if isinstance(found, str):
                collector.refuse(found, where)
            else:
                collector.add(found)
    recording = collector.recording(", ".join(path.name for path in paths))
    if not recording.searches:
        raise ConfigError(f"{recording.name}: {_nothing(recording)}")
    return recording


def _nothing(recording: Recording) -> str:
    if not recording.refused:
        return "has no lines"
    reasons = "; ".join(f"{each.count} ({each.example}): {reason}" for reason, each in recording.refused.items())
    return f"has nothing that can be replayed. Lines that cannot: {reasons}"


_Read = Iterator[tuple[str, Found | str]]
"""Where something was, and the search, or why it is none."""


def _lines(path: Path, collector: Collector, index: str | None) -> _Read:
    header: str | None = None
    for number, line in lines(path):
        collector.line()
        where = f"{path.name}, line {number}"
        try:
            if header is not None:
                first, header = header, None
                yield where, Found(request=item(first, line, instead=index))
                continue
            value = _object(line)
            if value is None:
                yield where, _text(line, index)
            elif _is_header(value):
                header = line
            else:
                for found in _value(value, index):
                    yield where, found
        except Unreplayable as reason:
            yield where, str(reason)
    if header is not None:
        yield f"{path.name}, the last line", NOT_JSON


def _object(line: str) -> JsonObject | None:
    """Return a line's JSON object, None for a line of text. Raises Unreplayable where it looks like one and is none."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError as error:
        raise Unreplayable(NOT_JSON) from error
    return value if isinstance(value, dict) else None


def _is_header(value: JsonObject) -> bool:
    """Return whether an object is the first line of a search of an `_msearch`."""
    return set(value) <= {
        *("index", "indices", "preference", "routing", "search_type", "request_cache", "ignore_unavailable"),
        *("allow_no_indices", "allow_partial_search_results", "ccs_minimize_roundtrips", "expand_wildcards"),
    }


def _value(value: JsonObject, index: str | None) -> Iterator[Found]:
    """Yield the searches of a line of JSON. Raises Unreplayable."""
    if slow_logs.is_object(value):
        yield slow_logs.of_object(value, index)
    elif "outcome" in value and "policy" in value:
        yield _observation(value, index)
    elif "path" in value or "body" in value:
        yield from _request(value, index)
    elif _BODY & set(value):
        if index is None:
            raise Unreplayable("a search body alone: say its index with --index")
        yield Found(request=search(index, value))
    else:
        raise Unreplayable(UNKNOWN)


def _observation(value: JsonObject, index: str | None) -> Found:
    if "body" not in value:
        raise Unreplayable(NO_QUERIES)
    params = value.get("params") or {}
    request = search(str(value.get("index", "")), value["body"], _pairs(params), instead=index)
    return Found(request=request, time=slow_logs.time_of(value.get("time")))


def _request(value: JsonObject, index: str | None) -> Iterator[Found]:
    body = value.get("body")
    if "path" in value:
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
        requests = searches(str(value.get("method", "POST")), str(value["path"]), text, instead=index)
    else:
        requests = iter([search(str(value.get("index", "")), body, _pairs(value.get("params") or {}), instead=index)])
    for request in requests:
        yield Found(
            request=request,
            id=None if value.get("id") is None else str(value["id"]),
            seconds=seconds_of(value.get("took_ms")),
            time=slow_logs.time_of(value.get("time")),
        )


def _text(line: str, index: str | None) -> Found:
    if slow_logs.is_text(line):
        return slow_logs.of_text(line, index)
    match = _ACCESS.search(line)
    if match is None:
        raise Unreplayable(UNKNOWN)
    method, target = match.groups()
    found = next(searches(method, target, "", instead=index), None)
    if found is None or not {"q", "source"} & {name for name, _ in found.params}:
        raise Unreplayable(NO_BODY)
    return Found(request=found)


def _har(path: Path, collector: Collector, index: str | None) -> _Read:
    try:
        entries = json.loads("\n".join(line for _, line in lines(path)))["log"]["entries"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: is no HAR file: {type(error).__name__}: {error}") from error
    for number, entry in enumerate(entries, start=1):
        collector.line()
        where = f"{path.name}, entry {number}"
        try:
            for found in _entry(entry, index):
                yield where, found
        except Unreplayable as reason:
            yield where, str(reason)


def _entry(entry: Any, index: str | None) -> Iterator[Found]:
    try:
        asked = entry["request"]
        parts = urllib.parse.urlsplit(asked["url"])
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        method, text = asked["method"], (asked.get("postData") or {}).get("text") or ""
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreplayable(NO_SEARCH) from error
    for request in searches(method, target, text, instead=index):
        yield Found(
            request=request,
            seconds=seconds_of(entry.get("time")),
            time=slow_logs.time_of(entry.get("startedDateTime")),
        )


def _pairs(params: Any) -> list[tuple[str, str]]:
    """Return URL parameters, of an object or of pairs."""
    items = params.items() if isinstance(params, dict) else params
    return [(str(name), value if isinstance(value, str) else json.dumps(value)) for name, value in items]
