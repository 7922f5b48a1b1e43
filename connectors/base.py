"""The vocabulary of an engine: request, response, hit, and what a Connector is.

Law: a request is carried as it came (method, raw target, headers, body), an answer as it was given. The parsed
views beside them are read-only and computed when asked. Nothing here knows an HTTP library, a model, or which
engine it is.
"""

from __future__ import annotations

import json
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self, runtime_checkable

from connectors import json_bytes
from connectors.errors import EngineStatusError
from connectors.json_bytes import JsonObject

Headers = tuple[tuple[str, str], ...]
"""Header names and values in the order and spelling in which they came, duplicates kept."""

_SECRET_WORDS = ("authorization", "cookie", "api-key", "token", "secret", "password", "signature", "es-client-auth")
"""A header whose name holds one of these is a credential."""

MAX_CONTENT_BYTES = 32 * 1024 * 1024
"""A compressed body is decoded up to this size; beyond, `content` raises `ValueError`."""


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header `name` (any case), or None."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def without_headers(headers: Headers, *names: str) -> Headers:
    """Return `headers` less those called `names` (any case)."""
    unwanted = {name.lower() for name in names}
    return tuple((key, value) for key, value in headers if key.lower() not in unwanted)


def printable(headers: Headers) -> str:
    """Return headers for a repr or a log line; credentials are hidden."""
    return repr(tuple((key, "<hidden>" if _is_secret(key) else value) for key, value in headers))


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


@dataclass(frozen=True, kw_only=True, repr=False)
class SearchRequest:
    """One HTTP request of the search API (`_search`, `_msearch`, …), as it came.

    `target` is the raw request target (path and query string, percent-encoding untouched), `body` the raw
    body, compressed if the Content-Encoding header says so.
    """

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""

    @classmethod
    def build(
        cls,
        *,
        index: str | Sequence[str] = "",
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a `_search` request from Python values, as `POST /{index}/_search`.

        `index`: a name, a pattern, several of them, or "" for all indices.
        """
        names = [index] if isinstance(index, str) else list(index)
        path = "/".join(
            ("", urllib.parse.quote(",".join(names), safe=",*<>"), "_search") if any(names) else ("", "_search")
        )
        query = f"?{urllib.parse.urlencode(dict(params))}" if params else ""
        json_headers = {"Content-Type": "application/json", **(headers or {})}
        content = json.dumps(dict(body), ensure_ascii=False).encode() if body is not None else b""
        return cls(method="POST", target=path + query, headers=tuple(json_headers.items()), body=content)

    @property
    def raw_path(self) -> str:
        """The target without its query string, still percent-encoded."""
        return self.target.partition("?")[0]

    @cached_property
    def params(self) -> tuple[tuple[str, str], ...]:
        """The query string's names and values, decoded, in order, duplicates kept."""
        return tuple(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def param(self, name: str) -> str | None:
        """Return the last value of the query parameter `name`, or None."""
        return next((value for key, value in reversed(self.params) if key == name), None)

    @cached_property
    def index(self) -> str:
        """The index expression of the path, decoded; "" for all indices."""
        first, _, rest = self.raw_path.lstrip("/").partition("/")
        return urllib.parse.unquote(first) if rest and not first.startswith("_") else ""

    @cached_property
    def content(self) -> bytes:
        """The body, decompressed. Raises `ValueError` when it is not what Content-Encoding says."""
        return decompress(self.body, header(self.headers, "Content-Encoding"))

    def __repr__(self) -> str:
        """Show method, path and headers, and the size of the body: no credentials, no words."""
        query = "?…" if "?" in self.target else ""
        return (
            f"{type(self).__name__}({self.method} {self.raw_path}{query}, "
            f"headers={printable(self.headers)}, body={len(self.body)} bytes)"
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Hit:
    """A read-only view of one element of `hits.hits`. `rank` counts from 1 over the answer that holds it."""

    rank: int
    value: JsonObject

    @property
    def id(self) -> str | None:
        """`_id`, or None where `stored_fields: "_none_"` removed it."""
        return self.value.get("_id")

    @property
    def index(self) -> str | None:
        """`_index`: a concrete index, never an alias."""
        return self.value.get("_index")

    @property
    def score(self) -> float | None:
        """`_score`, or None where the engine computed none."""
        score = self.value.get("_score")
        return float(score) if isinstance(score, int | float) else None

    @property
    def source(self) -> JsonObject | None:
        """`_source`, or None where the caller switched it off."""
        return self.value.get("_source")

    @property
    def fields(self) -> JsonObject:
        """`fields`: values as arrays by field name; empty where none were asked for."""
        return self.value.get("fields") or {}

    @property
    def highlight(self) -> JsonObject:
        """`highlight`: fragments by field name."""
        return self.value.get("highlight") or {}

    @property
    def inner_hits(self) -> JsonObject:
        """`inner_hits` by name."""
        return self.value.get("inner_hits") or {}

    def __repr__(self) -> str:
        """Show identity and score, never the document."""
        return f"Hit(rank={self.rank}, index={self.index!r}, id={self.id!r}, score={self.score})"


@dataclass(frozen=True, kw_only=True, repr=False)
class SearchResponse:
    """One HTTP answer of the engine, as it was given: any status is a value."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    reason: str = ""

    @cached_property
    def content(self) -> bytes:
        """The body, decompressed. Raises `ValueError` when it is not what Content-Encoding says."""
        return decompress(self.body, header(self.headers, "Content-Encoding"))

    @cached_property
    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` when it is none."""
        return json.loads(self.content)

    @cached_property
    def hits(self) -> tuple[Hit, ...]:
        """The elements of `hits.hits`; empty when the answer has none."""
        document = self.json
        found = document.get("hits") if isinstance(document, dict) else None
        hits = found.get("hits") if isinstance(found, dict) else None
        return tuple(Hit(rank=rank, value=value) for rank, value in enumerate(hits or (), start=1))

    def with_content(self, content: bytes) -> SearchResponse:
        """Return this answer with other content, compressed as this one was."""
        encoding = header(self.headers, "Content-Encoding")
        body = compress(content, encoding)
        headers = tuple(
            (key, str(len(body))) if key.lower() == "content-length" else (key, value)
            for key, value in without_headers(self.headers, "Transfer-Encoding", "ETag")
        )
        return replace(self, headers=headers, body=body)

    def with_headers(self, *added: tuple[str, str]) -> SearchResponse:
        """Return this answer with headers added."""
        return replace(self, headers=(*self.headers, *added))

    def raise_for_status(self) -> Self:
        """Return self when the status is below 400.

        Raises:
            EngineStatusError: with the engine's own words.
        """
        if self.status < 400:
            return self
        raise EngineStatusError(
            f"the engine answered {self.status}: {self.body[:500].decode('utf-8', 'replace')}",
            status=self.status,
            body=self.body,
        )

    def __repr__(self) -> str:
        """Show status and headers, and only the size of the body."""
        return f"SearchResponse({self.status}, headers={printable(self.headers)}, body={len(self.body)} bytes)"


@dataclass(frozen=True, kw_only=True)
class RelayRequest:
    """Any request for the engine, streamed: `body` is None when the request has none.

    Framing is the relay's business: Content-Length in `headers` is kept when the body has that length.
    """

    method: str
    target: str = field(repr=False)
    headers: Headers = field(default=(), repr=False)
    body: AsyncIterator[bytes] | bytes | None = field(default=None, repr=False)
    #: it only reads, and its body is complete: `Relay` treats it as it does what it fetches
    is_search: bool = False


@dataclass(frozen=True, kw_only=True)
class RelayResponse:
    """The engine's answer, streamed. `chunks` raises EngineError when the answer breaks off."""

    status: int
    reason: str
    headers: Headers = field(repr=False)
    chunks: AsyncIterator[bytes] = field(repr=False)


@runtime_checkable
class Connector(Protocol):
    """Something that answers the Elasticsearch HTTP API."""

    @property
    def name(self) -> str:
        """What this is, for people: "elasticsearch 9.5.3", "embedded engine", …."""
        ...

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search` request. Raises EngineError only when there is no answer."""
        ...

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch` request (NDJSON body). Raises EngineError only when there is no answer."""
        ...

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request, streamed; leaving the context releases the connection."""
        ...

    async def ping(self) -> None:
        """Return when the engine answers; raise EngineError when it does not."""
        ...

    async def aclose(self) -> None:
        """Release connections. The connector cannot be used afterwards."""
        ...


def decompress(body: bytes, encoding: str | None) -> bytes:
    """Return `body` without its content encoding.

    Raises:
        ValueError: the encoding is not gzip, deflate or identity, the bytes are damaged, something follows
            them (of several gzip members engines may read one or all), or they decode to more than
            MAX_CONTENT_BYTES.
    """
    match (encoding or "identity").strip().lower():
        case "identity" | "":
            return body
        case "gzip" | "x-gzip":
            window_bits = 31
        case "deflate":
            window_bits = 15
        case other:
            raise ValueError(f"content encoding {other!r} is not gzip, deflate or identity")
    decoder = zlib.decompressobj(window_bits)
    try:
        content = decoder.decompress(body, MAX_CONTENT_BYTES)
    except zlib.error as error:
        raise ValueError(f"body is not {encoding}: {error}") from error
    if decoder.unconsumed_tail:
        raise ValueError(f"body decodes to more than {MAX_CONTENT_BYTES} bytes")
    if not decoder.eof:
        raise ValueError(f"{encoding} body breaks off")
    if decoder.unused_data:
        raise ValueError(f"something follows the {encoding} body")
    return content


def compress(content: bytes, encoding: str | None) -> bytes:
    """Return `content` under the content encoding `encoding`; the inverse of `decompress`."""
    match (encoding or "identity").strip().lower():
        case "gzip" | "x-gzip":
            encoder = zlib.compressobj(wbits=31)
        case "deflate":
            encoder = zlib.compressobj(wbits=15)
        case _:
            return content
    return encoder.compress(content) + encoder.flush()


__all__ = [
    "Connector",
    "Headers",
    "Hit",
    "JsonObject",
    "RelayRequest",
    "RelayResponse",
    "SearchRequest",
    "SearchResponse",
    "compress",
    "decompress",
    "header",
    "json_bytes",
    "printable",
    "without_headers",
]
