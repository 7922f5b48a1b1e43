"""The actions that search: `_search`, `_msearch`, `_count`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connectors.embedded import search as searches
from connectors.embedded.calls import Call, Reply
from connectors.embedded.catalog import Catalog
from connectors.embedded.errors import ApiError, ShardError, illegal_argument, parsing_error
from connectors.embedded.index import Reader
from connectors.embedded.json_text import parse_object, to_json, to_object
from connectors.embedded.parameters import Parameters, refuse_without_body
from connectors.embedded.query import MatchAll
from connectors.embedded.query_dsl import parse_query
from connectors.embedded.search import Search
from connectors.embedded.search_body import read_query_parameters, read_search
from connectors.json_bytes import JsonObject

_FOR_INDICES = frozenset({"ignore_unavailable", "allow_no_indices", "ignore_throttled"})
_MSEARCH_HEADER = frozenset(
    {"index", "indices", "search_type", *_FOR_INDICES}
    | {"preference", "routing", "request_cache", "expand_wildcards", "allow_partial_search_results"}
    | {"ccs_minimize_roundtrips", "max_concurrent_shard_requests"}
)


class Searching:
    """The actions on everything that an index expression names."""

    def __init__(self, catalog: Catalog) -> None:
        """Search the indices of `catalog`."""
        self._catalog = catalog

    async def search(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_search`."""
        started = time.monotonic()
        call.parameters.ignore(_FOR_INDICES)
        search = read_search(parse_object(_content(call)), call.parameters)
        call.parameters.refuse_unread()
        return Reply(text=await self._answer(search, call.index, call.parameters, started))

    async def msearch(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_msearch`."""
        started = time.monotonic()
        refuse_without_body(not call.content, "request body or source parameter")
        if not call.content.endswith(b"\n"):
            raise illegal_argument("The msearch request must be terminated by a newline [\n]")
        lines = call.content.rstrip().split(b"\n")
        if len(lines) < 2:
            raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: no requests added;")
        if len(lines) % 2:
            raise illegal_argument(f"an _msearch has a header line and a body line per search; {len(lines)} lines came")
        shared = {
            name: value
            for name in ("typed_keys", "rest_total_hits_as_int")
            if (value := call.parameters.text(name)) is not None
        }
        call.parameters.refuse_unread()
        wanted = [
            _item(_header(header), body, call.index, shared)
            for header, body in zip(lines[::2], lines[1::2], strict=True)
        ]
        items = [await self._one_of_many(item) for item in wanted]
        return Reply(text=to_object([("took", _since(started)), ("responses", f"[{','.join(items)}]")]))

    async def count(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_count`."""
        body = parse_object(_content(call))
        unknown = set(body) - {"query"}
        if unknown:
            raise parsing_error(f"request does not support [{min(unknown)}]")
        query = read_query_parameters(call.parameters) or (
            parse_query(body["query"]) if "query" in body else MatchAll()
        )
        readers = [await index.reader() for index in self._catalog.resolve(call.index, call.parameters)]
        call.parameters.refuse_unread()
        matching = await asyncio.to_thread(lambda: [len(query.match(reader)) for reader in readers])
        return Reply(text=to_json({"count": sum(matching), "_shards": _shards(readers)}))

    async def _one_of_many(self, item: _Item) -> str:
        started = time.monotonic()
        try:
            text = await self._answer(item.search, item.expression, item.parameters, started)
        except ApiError as error:
            return to_json(error.body())
        return f'{text[:-1]},"status":200}}'

    async def _answer(self, search: Search, expression: str, parameters: Parameters, started: float) -> str:
        readers = [await index.reader() for index in self._catalog.resolve(expression, parameters)]
        searches.check(search, readers)
        return await asyncio.to_thread(_run, search, readers, started)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One search of an `_msearch`."""

    search: Search
    expression: str
    parameters: Parameters


def _item(header: JsonObject, body: bytes, default_index: str, shared: dict[str, str]) -> _Item:
    named = header.get("index", default_index)
    expression = ",".join(map(str, named)) if isinstance(named, list) else str(named)
    given = {name: _text(header[name]) for name in (*_FOR_INDICES, "search_type") if name in header}
    parameters = Parameters("/_msearch", tuple({**given, **shared}.items()))
    if not body.strip():
        raise parsing_error("Expected [START_OBJECT] but found [null]")
    return _Item(search=read_search(parse_object(body), parameters), expression=expression, parameters=parameters)


def _run(search: Search, readers: Sequence[Reader], started: float) -> str:
    result = searches.run(search, readers)
    page = result.found[search.offset : search.offset + search.size]
    hits = searches.hits_json(search, page, result)
    members = [
        ("took", _since(started)),
        ("timed_out", "false"),
        ("_shards", to_json(_shards(readers, result.failures))),
        ("hits", hits),
    ]
    if result.aggregations is not None:
        members.append(("aggregations", to_json(result.aggregations)))
    return to_object(members)


def _content(call: Call) -> bytes:
    """Return the body, or what the parameter `source` gives in its place."""
    source = call.parameters.text("source")
    media_type = call.parameters.text("source_content_type")
    if source is None or call.content.strip():
        return call.content
    if media_type is None:
        reason = "Validation Failed: 1: source and source_content_type parameters are required;"
        raise ApiError(400, "validation_exception", reason)
    return source.encode()


def _header(line: bytes) -> JsonObject:
    header = parse_object(line.strip())
    for key in header:
        if key not in _MSEARCH_HEADER:
            raise illegal_argument(f"key [{key}] is not supported in the metadata section")
    return header


def _shards(readers: Sequence[Reader], failures: Sequence[ShardError] = ()) -> JsonObject:
    counts = {"total": len(readers), "successful": len(readers) - len(failures), "skipped": 0, "failed": len(failures)}
    return {**counts, **({"failures": [failure.failure() for failure in failures]} if failures else {})}


def _since(started: float) -> str:
    return str(round(1000 * (time.monotonic() - started)))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
