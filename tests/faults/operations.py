"""What callers do: the kinds of request that a fault may hit, one of each path through the program."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.effort import BULK_BYTES
from tests.unit import raw_http

JSON = "Content-Type: application/json"
NDJSON = "Content-Type: application/x-ndjson"
KEY = "X-Opaque-Id"
"""The header by which a request is known wherever it arrives."""

QUERY = {"query": {"match": {"text": "blue sky"}}}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A kind of request."""

    method: str
    target: str
    media_type: str | None = None
    body: Callable[[str], bytes] = lambda key: b""
    #: whether the engine's answer is held until it is complete, because it is reranked
    is_reranked: bool = False
    is_write: bool = False

    @property
    def is_search(self) -> bool:
        """Whether it is a search, reranked or not, which may be sent a second time."""
        return self.target.endswith(("/_search", "/_msearch"))

    @property
    def has_body(self) -> bool:
        """Whether its answers, and its requests, have a body."""
        return self.method != "HEAD"

    def request(self, key: str, *headers: str, keeps: bool = True) -> bytes:
        """Return the bytes of a request that is known by `key`; `keeps`: the connection stays."""
        kind = [self.media_type] if self.media_type else []
        return raw_http.request(
            self.method, self.target, f"{KEY}: {key}", *kind, *headers, body=self.body(key), is_last=not keeps
        )


def _search(_: str) -> bytes:
    return json.dumps(QUERY).encode()


def _left_alone(_: str) -> bytes:
    return json.dumps({"query": {"match_all": {}}}).encode()


def _msearch(_: str) -> bytes:
    return _lines({"index": "books"}, QUERY, {"index": "books"}, {**QUERY, "size": 3})


def _bulk(key: str) -> bytes:
    """Return one document that is known by `key` and others that make up the weight."""
    filler = json.dumps({"text": "x" * 1000})
    more = f'{{"index":{{}}}}\n{filler}\n' * (BULK_BYTES // (len(filler) + 15))
    return _lines({"create": {"_index": "books", "_id": key}}, {"text": "a new book"}) + more.encode()


def _scroll(_: str) -> bytes:
    return json.dumps({"scroll": "1m", "scroll_id": "DnF1ZXJ5VGhlbkZldGNo"}).encode()


def _lines(*lines: Mapping[str, object]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


OPERATIONS = {
    "search": Operation(method="POST", target="/books/_search", media_type=JSON, body=_search, is_reranked=True),
    "msearch": Operation(method="POST", target="/_msearch", media_type=NDJSON, body=_msearch, is_reranked=True),
    "search left alone": Operation(method="POST", target="/books/_search", media_type=JSON, body=_left_alone),
    "bulk": Operation(method="POST", target="/_bulk", media_type=NDJSON, body=_bulk, is_write=True),
    "scroll": Operation(method="POST", target="/_search/scroll", media_type=JSON, body=_scroll),
    "HEAD": Operation(method="HEAD", target="/books/_doc/1"),
}
"""By name. What differs is how the program takes them: held and reranked, or streamed both ways."""
