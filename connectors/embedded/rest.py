"""From an HTTP request to an action, and from what the action says to an HTTP answer.

Law: every request gets an answer in Elasticsearch's shape, refusals included; what no route knows is refused, and so
is every parameter that nothing reads.

*Source:* Elasticsearch 9.5's REST layer: media types, `pretty`, `filter_path`, HEAD, its words for what it refuses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from connectors.base import Headers, SearchRequest, SearchResponse, header
from connectors.embedded.administration import Administration
from connectors.embedded.calls import JSON, Call, Reply
from connectors.embedded.catalog import Catalog
from connectors.embedded.documents import Documents
from connectors.embedded.errors import ENGINE, ApiError, PlainError, illegal_argument
from connectors.embedded.json_filter import PathSelection, keep
from connectors.embedded.json_text import pretty, to_json
from connectors.embedded.parameters import Parameters
from connectors.embedded.searching import Searching

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 100 * 1024 * 1024
"""Elasticsearch's default of `http.max_content_length`."""

Action = Callable[[Call], Awaitable[Reply]]

_VENDOR = re.compile(r"application/vnd\.elasticsearch\+(?P<kind>json|x-ndjson)(?:; ?compatible-with=[89])?")
_BODY_TYPES = frozenset({"application/json", "application/x-ndjson", "application/vnd.api+json"})
_VENDOR_NAME = "application/vnd.elasticsearch+"
_OTHER_FORMATS = ("yaml", "cbor", "smile")
"""What Elasticsearch can write besides JSON. It gives JSON to whoever accepts none of them, browsers among others."""

_NAME = re.compile(r"\{(\w+)\}")
_GET = ("GET", "HEAD")
_READ = ("GET", "POST")
_PUT = ("PUT", "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """One way to an action. A variable part of the path is a name in braces; no index name begins with `_`."""

    methods: tuple[str, ...]
    path: re.Pattern[str]
    action: Action
    #: parameters that are read; None = the action refuses the others itself, before it changes anything
    reads: frozenset[str] | None

    def matches(self, path: str) -> dict[str, str] | None:
        """Return the variable parts of a path, decoded, or None for another path."""
        found = self.path.fullmatch(path)
        return None if found is None else {name: unquote(part) for name, part in found.groupdict().items() if part}


class RestEngine:
    """The engine behind its HTTP face. One event loop calls it."""

    def __init__(self) -> None:
        """Start without indices."""
        self.catalog = Catalog()
        self._routes = _routes(Administration(self.catalog), Documents(self.catalog), Searching(self.catalog))

    async def answer(self, request: SearchRequest) -> SearchResponse:
        """Answer any request."""
        is_pretty = False
        try:
            call, action = self._call(request)
            is_pretty = call.parameters.flag("pretty")
            reply = await action(call)
            call.parameters.refuse_unread()
            reply = _filtered(reply, call.parameters.text("filter_path"))
        except ApiError as error:
            reply = Reply(status=error.status, text=to_json(error.body()))
        except Exception:
            logger.exception("embedded_engine_failed request=%s", request)
            failure = ApiError(500, "exception", f"{ENGINE} failed; its log says why")
            reply = Reply(status=500, text=to_json(failure.body()))
        return _response(request, reply, is_pretty=is_pretty)

    def _call(self, request: SearchRequest) -> tuple[Call, Action]:
        route, names = self._route(request.method, request.raw_path)
        if len(request.body) > MAX_BODY_BYTES:
            raise PlainError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
        parameters = Parameters(request.raw_path, request.params)
        if route.reads is not None:
            parameters.ignore(route.reads)
            parameters.refuse_unread()
        _check_media_types(request, parameters)
        try:
            content = request.content
        except ValueError as error:
            raise illegal_argument(str(error)) from None
        accepts = header(request.headers, "Accept") or ""
        wants_json = parameters.text("format") == "json" or "json" in accepts
        return Call(names=names, parameters=parameters, content=content, wants_json=wants_json), route.action

    def _route(self, method: str, path: str) -> tuple[_Route, dict[str, str]]:
        path = path.rstrip("/") or "/"
        allowed: list[str] = []
        for route in self._routes:
            names = route.matches(path)
            if names is None or ("new_index" in names and method != "PUT"):
                continue
            if method in route.methods or (method == "HEAD" and "GET" in route.methods):
                return route, names
            allowed += route.methods
        if allowed:
            listed = ", ".join(sorted(set(allowed)))
            reason = f"Incorrect HTTP method for uri [{path}] and method [{method}], allowed: [{listed}]"
            raise PlainError(405, reason)
        reason = f"no handler found for uri [{path}] and method [{method}] in {ENGINE}"
        raise PlainError(400, reason, says_status=False)


def _routes(administration: Administration, documents: Documents, searching: Searching) -> list[_Route]:
    """Return the routes; of two that match a path the first one counts."""
    indices = ("ignore_unavailable", "allow_no_indices", "flat_settings", "include_defaults", "features")
    cat = ("h", "v", "s", "bytes", "help", "ignore_unavailable", "allow_no_indices")
    source = ("_source", "_source_includes", "_source_excludes", "version", "version_type")
    table: list[tuple[Sequence[str], str, Action, Sequence[str] | None]] = [
        (_GET, "/", administration.info, ()),
        (_GET, "/_cluster/health", administration.health, ("wait_for_status", "wait_for_nodes", "level")),
        (_GET, "/_cat/indices", administration.cat_indices, cat),
        (_GET, "/_cat/indices/{index}", administration.cat_indices, cat),
        (_GET, "/_cat/count", administration.cat_count, cat),
        (_GET, "/_cat/count/{index}", administration.cat_count, cat),
        (_READ, "/_search", searching.search, None),
        (_READ, "/{index}/_search", searching.search, None),
        (_READ, "/_msearch", searching.msearch, None),
        (_READ, "/{index}/_msearch", searching.msearch, None),
        (_READ, "/_count", searching.count, None),
        (_READ, "/{index}/_count", searching.count, None),
        (_READ, "/_field_caps", administration.field_caps, ("fields", *indices)),
        (_READ, "/{index}/_field_caps", administration.field_caps, ("fields", *indices)),
        (_PUT, "/_bulk", documents.bulk, ()),
        (_PUT, "/{index}/_bulk", documents.bulk, ()),
        (_READ, "/_mget", documents.mget, source),
        (_READ, "/{index}/_mget", documents.mget, source),
        (("POST",), "/{index}/_doc", documents.put, ("op_type",)),
        (_PUT, "/{index}/_doc/{id}", documents.put, ("op_type",)),
        (_GET, "/{index}/_doc/{id}", documents.get, source),
        (("DELETE",), "/{index}/_doc/{id}", documents.delete, ()),
        (_PUT, "/{index}/_create/{id}", documents.create, ()),
        (_GET, "/{index}/_source/{id}", documents.source, source),
        (_GET, "/_mapping", administration.mappings, indices),
        (_GET, "/{index}/_mapping", administration.mappings, indices),
        (_PUT, "/{index}/_mapping", administration.put_mapping, indices),
        (_GET, "/_settings", administration.settings, indices),
        (_GET, "/{index}/_settings", administration.settings, indices),
        *(
            (_READ, path, administration.refresh, indices)
            for name in ("_refresh", "_flush", "_forcemerge")
            for path in (f"/{name}", f"/{{index}}/{name}")
        ),
        (("PUT",), "/{new_index}", administration.create, ()),
        (("DELETE",), "/{index}", administration.delete, indices),
        (_GET, "/{index}", administration.get, indices),
    ]
    return [
        _Route(
            methods=tuple(methods),
            path=_compile(path),
            action=action,
            reads=None if reads is None else frozenset(reads),
        )
        for methods, path, action, reads in table
    ]


def _compile(path: str) -> re.Pattern[str]:
    first = {"index": r"(?P<index>_all|[^/_][^/]*)"}
    return re.compile(_NAME.sub(lambda name: first.get(name[1], rf"(?P<{name[1]}>[^/]+)"), path))


def _check_media_types(request: SearchRequest, parameters: Parameters) -> None:
    kind = header(request.headers, "Content-Type")
    if request.body and not _is_json(kind or ""):
        if kind is not None and (_VENDOR_NAME in kind.lower() or "/" not in kind):
            reason = "Invalid media-type value on headers [Content-Type]"
            raise ApiError(400, "media_type_header_exception", reason)
        problem = "header is missing" if kind is None else f"header [{kind}] is not supported"
        raise PlainError(406, f"Content-Type {problem}")
    output = parameters.text("format")
    if output not in (None, "json", "text"):
        raise illegal_argument(f"the format [{output}] is not supported by {ENGINE}")
    accepts = (header(request.headers, "Accept") or "").lower()
    if any(other in accepts for other in _OTHER_FORMATS) and "json" not in accepts and "*/*" not in accepts:
        raise PlainError(406, f"Accept header [{accepts}] is not supported by {ENGINE}")


def _is_json(media_type: str) -> bool:
    name = media_type.partition(";")[0].strip().lower()
    return name in _BODY_TYPES or _VENDOR.fullmatch(media_type.strip().lower()) is not None


def _filtered(reply: Reply, filter_path: str | None) -> Reply:
    if filter_path is None or reply.media_type != JSON or not reply.text.startswith("{"):
        return reply
    return Reply(status=reply.status, text=keep(reply.text, PathSelection(filter_path)))


def _response(request: SearchRequest, reply: Reply, *, is_pretty: bool) -> SearchResponse:
    text = pretty(reply.text) if is_pretty and reply.media_type == JSON else reply.text
    body = text.encode()
    headers: Headers = (
        ("X-elastic-product", "Elasticsearch"),
        ("Content-Type", _answer_type(request.headers, reply)),
        ("Content-Length", str(len(body))),
    )
    reason = HTTPStatus(reply.status).phrase
    return SearchResponse(
        status=reply.status, reason=reason, headers=headers, body=b"" if request.method == "HEAD" else body
    )


def _answer_type(headers: Headers, reply: Reply) -> str:
    """Return the media type of an answer: the vendor's where the caller asks for it, as clients check."""
    vendor = _VENDOR.search((header(headers, "Accept") or "").lower())
    if reply.media_type == JSON and vendor is not None and vendor["kind"] == "json":
        return vendor[0].replace("; ", ";")
    return reply.media_type
