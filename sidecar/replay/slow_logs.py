"""Lines of the engines' slow logs and of Elasticsearch's query log.

    [2026-…][WARN ][index.search.slowlog.query] [node] [books][0] took[4.5ms], …, source[{"query": …}], id[]
    [2026-…][WARN ][i.s.s.query] elasticsearch.slowlog.message="[books][0]" elasticsearch.slowlog.source="{…}" …
    {"type": "index_search_slowlog", "message": "[books][0]", "took_millis": "4", "source": "{…}", "id": …}
    {"elasticsearch.slowlog.message": "[books][0]", "elasticsearch.slowlog.source": "{…}", …}
    {"elasticsearch.querylog.type": "dsl", "elasticsearch.querylog.indices": ["books"], …}

Laws: a slow log has a line for each shard and each phase of a search, and names the index that a shard belongs to; the
query log, and OpenSearch's log of slow requests, have one line for a search, the latter without its index. What has no
type of search is none: slow writes are logged in the same words.

*Source:* SearchSlowLog of Elasticsearch 7 to 9.5 and of OpenSearch 3, SearchRequestSlowLog of OpenSearch 3, "Query
logging in Elasticsearch" (9.4), and the ECS names of the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from connectors.json_bytes import JsonObject
from sidecar.replay.recorded import NO_INDEX, NO_SEARCH, NOT_JSON, Found, Unreplayable, search, seconds_of

_PLAIN: Final = re.compile(
    r"^\[(?P<time>[^\]]*)\]\[[^\]]*\]\[(?P<logger>[^\]]*)\]\s*(?:\[[^\]]*\]\s*)??"
    r"(?:\[(?P<index>[^\]]+)\]\[(?P<shard>\d+)\]\s*)?took\[(?P<took>[^\]]*)\].*?\bsource\[(?P<rest>.*)$",
    re.DOTALL,
)
_ID: Final = re.compile(r"\bid\[(?P<id>.*?)\](?:, request_id\[[^\]]*\])?,?\s*$", re.DOTALL)
_HEAD: Final = re.compile(r"^\[(?P<time>[^\]]*)\]\[[^\]]*\]\[(?P<logger>[^\]]*)\]")
_PAIR: Final = re.compile(r'(elasticsearch\.slowlog\.\w+)="((?:[^"\\]|\\.)*)"')
_MILLIS: Final = re.compile(r"\btook_millis\[(\d+)\]")
_SHARD: Final = re.compile(r"\[(?P<index>[^\]]+)\]\[(?P<shard>\d+)\]")
_SLOW: Final = "elasticsearch.slowlog."
_QUERY: Final = "elasticsearch.querylog."


def is_text(line: str) -> bool:
    """Return whether a line of text is of a slow log."""
    return ("took[" in line and "source[" in line) or f'{_SLOW}source="' in line


def of_text(line: str, instead: str | None = None) -> Found:
    """Return the search of a line of text; `instead` is another index. Raises Unreplayable."""
    if _SLOW in line:
        return of_object(_pairs(line), instead)
    match = _PLAIN.match(line)
    if match is None or "search_type[" not in line:
        raise Unreplayable(NO_SEARCH)
    end = _end_of_object(match["rest"])
    id, millis = _ID.search(match["rest"], end), _MILLIS.search(line)
    return _found(
        index=match["index"],
        source=match["rest"][:end],
        part=f"{match['shard']} {match['logger']}" if match["index"] else "",
        id=id and id["id"],
        millis=millis[1] if millis else None,
        time=match["time"],
        instead=instead,
    )


def is_object(value: Mapping[str, Any]) -> bool:
    """Return whether a line of JSON is of a slow log or a query log."""
    kind = value.get("type") or value.get("event.dataset") or ""
    return "slowlog" in str(kind) or any(name.startswith((_SLOW, _QUERY)) for name in value) or _is_nested(value)


def of_object(value: JsonObject, instead: str | None = None) -> Found:
    """Return the search of a line of JSON; `instead` is another index. Raises Unreplayable."""
    if _is_nested(value):
        value = {**value, **{f"elasticsearch.{log}.{k}": v for log, said in _nested(value) for k, v in said.items()}}
    if any(name.startswith(_QUERY) for name in value):
        return _of_query_log(value, instead)
    said = {name.removeprefix(_SLOW): value[name] for name in sorted(value, key=lambda name: name.startswith(_SLOW))}
    logger = str(value.get("log.logger") or value.get("component") or "")
    if not {"source", "search_type"} <= said.keys():
        raise Unreplayable(NO_SEARCH)
    shard = _SHARD.search(str(said.get("message", "")))
    return _found(
        index=shard["index"] if shard else None,
        source=said["source"],
        part=f"{shard['shard']} {logger}" if shard else "",
        id=said.get("id"),
        millis=said.get("took_millis"),
        time=value.get("@timestamp") or value.get("timestamp"),
        instead=instead,
    )


def _pairs(line: str) -> JsonObject:
    """Return what a line says as `name="value"`, with its time and its logger."""
    head = _HEAD.match(line)
    told = {"@timestamp": head["time"], "log.logger": head["logger"]} if head else {}
    return told | dict(_PAIR.findall(line))


def time_of(text: Any) -> datetime | None:
    """Return a moment as logs write it, one without a zone as UTC; None where it cannot be read."""
    try:
        moment = datetime.fromisoformat(str(text).replace(",", "."))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _of_query_log(value: JsonObject, instead: str | None) -> Found:
    if value.get(f"{_QUERY}type") != "dsl":
        raise Unreplayable(NO_SEARCH)
    indices = value.get(f"{_QUERY}indices")
    return _found(
        index=",".join(map(str, indices)) if isinstance(indices, list) else str(indices or ""),
        source=value.get(f"{_QUERY}query", ""),
        part="",
        id=value.get("http.request.headers.x_opaque_id"),
        millis=value.get(f"{_QUERY}took_millis"),
        time=value.get("@timestamp"),
        instead=instead,
    )


def _found(*, index: str | None, source: Any, part: str, id: Any, millis: Any, time: Any, instead: str | None) -> Found:
    if index is None and instead is None:
        raise Unreplayable(NO_INDEX)
    return Found(
        request=search(index or "", _unescaped(source), instead=instead),
        id=str(id) if id else None,
        seconds=seconds_of(millis),
        time=time_of(time),
        part=part,
    )


def _unescaped(source: Any) -> Any:
    """Return a search that a log may have escaped once more than JSON asks for."""
    if not isinstance(source, str) or not source.lstrip().startswith('{\\"'):
        return source
    try:
        return json.loads(f'"{source}"')
    except ValueError as error:
        raise Unreplayable(NOT_JSON) from error


def _end_of_object(text: str) -> int:
    """Return where the JSON object that a text begins with ends. Raises Unreplayable where it begins with none."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except ValueError as error:
        raise Unreplayable(NOT_JSON) from error


def _is_nested(value: Mapping[str, Any]) -> bool:
    return any(_nested(value))


def _nested(value: Mapping[str, Any]) -> list[tuple[str, JsonObject]]:
    """Return the two logs' members where a shipper has made objects of their dotted names."""
    outer = value.get("elasticsearch")
    if not isinstance(outer, dict):
        return []
    return [(name, outer[name]) for name in ("slowlog", "querylog") if isinstance(outer.get(name), dict)]
