"""The actions that search: `_search`, `_msearch`, `_count`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from connectors.embedded import search as searches
from connectors.embedded.calls import Call, Reply
from connectors.embedded.catalog import Catalog
from connectors.embedded.errors import ApiError, illegal_argument, parsing_error, unsupported
from connectors.embedded.index import Reader
from connectors.embedded.json_text import parse, parse_object, to_json, to_object
from connectors.embedded.parameters import Parameters, refuse_without_body
from connectors.embedded.query import MatchAll
from connectors.embedded.query_dsl import parse_query
from connectors.embedded.search import Search
from connectors.json_bytes import JsonObject

_FOR_INDICES = frozenset({"ignore_unavailable", "allow_no_indices", "ignore_throttled"})
_MSEARCH_HEADER = frozenset({"index", "preference", "routing", "search_type", "request_cache", *_FOR_INDICES})


class Searching:
    """The actions on everything that an index expression names."""

    def __init__(self, catalog: Catalog) -> None:
        """Search the indices of `catalog`."""
        self._catalog = catalog

    async def search(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_search`."""
        started = time.monotonic()
        call.parameters.ignore(_FOR_INDICES)
        search = searches.read_search(parse_object(_content(call)), call.parameters)
        if call.parameters.text("scroll") is not None:
            raise unsupported("[scroll]")
        call.parameters.refuse_unread()
        return Reply(text=await self._answer(search, call.index, call.parameters, started))

    async def msearch(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_msearch`."""
        started = time.monotonic()
        refuse_without_body(not call.content.strip())
        if not call.content.endswith(b"\n"):
            raise illegal_argument("The msearch request must be terminated by a newline [\\n]")
        lines = call.content.split(b"\n")[:-1]
        if len(lines) % 2:
            raise illegal_argument(f"an _msearch has a header line and a body line per search; {len(lines)} lines came")
        shared = {
            name: value
            for name in ("typed_keys", "rest_total_hits_as_int")
            if (value := call.parameters.text(name)) is not None
        }
        call.parameters.refuse_unread()
        pairs = [(_header(header), body) for header, body in zip(lines[::2], lines[1::2], strict=True)]
        items = [await self._item(header, body, call.index, shared) for header, body in pairs]
        return Reply(text=to_object([("took", _since(started)), ("responses", f"[{','.join(items)}]")]))

    async def count(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_count`."""
        body = parse_object(_content(call))
        unknown = set(body) - {"query"}
        if unknown:
            raise parsing_error(f"request does not support [{min(unknown)}]")
        query = searches.read_query_parameters(call.parameters) or (
            parse_query(body["query"]) if "query" in body else MatchAll()
        )
        readers = [await index.reader() for index in self._catalog.resolve(call.index, call.parameters)]
        call.parameters.refuse_unread()
        matching = await asyncio.to_thread(lambda: [len(query.match(reader)) for reader in readers])
        return Reply(text=to_json({"count": sum(matching), "_shards": _shards(readers)}))

    async def _item(self, header: JsonObject, body: bytes, default_index: str, shared: dict[str, str]) -> str:
        started = time.monotonic()
        named = header.get("index", default_index)
        expression = ",".join(named) if isinstance(named, list) else str(named)
        given = {name: _text(header[name]) for name in (*_FOR_INDICES, "search_type") if name in header}
        parameters = Parameters("/_msearch", tuple({**given, **shared}.items()))
        try:
            search = searches.read_search(parse_object(body), parameters)
            text = await self._answer(search, expression, parameters, started)
        except ApiError as error:
            return to_json(error.body())
        return f'{text[:-1]},"status":200}}'

    async def _answer(self, search: Search, expression: str, parameters: Parameters, started: float) -> str:
        readers = [await index.reader() for index in self._catalog.resolve(expression, parameters)]
        searches.check(search, readers)
        return await asyncio.to_thread(_run, search, readers, started)


def _run(search: Search, readers: Sequence[Reader], started: float) -> str:
    result = searches.run(search, readers)
    page = result.found[search.offset : search.offset + search.size]
    hits = searches.hits_json(search, page, result)
    members = [
        ("took", _since(started)),
        ("timed_out", "false"),
        ("_shards", to_json(_shards(readers))),
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
        raise ApiError(400, "illegal_state_exception", "source and source_content_type parameters are required")
    return source.encode()


def _header(line: bytes) -> JsonObject:
    try:
        header = parse(line) if line.strip() else {}
    except ValueError as error:
        raise illegal_argument(f"the header line of a search is not JSON: {error}") from None
    if not isinstance(header, dict) or set(header) - _MSEARCH_HEADER:
        raise illegal_argument(f"key {line.decode('utf-8', 'replace'):.80} is not supported in the metadata section")
    return header


def _shards(readers: Sequence[Reader]) -> dict[str, int]:
    return {"total": len(readers), "successful": len(readers), "skipped": 0, "failed": 0}


def _since(started: float) -> str:
    return str(round(1000 * (time.monotonic() - started)))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
