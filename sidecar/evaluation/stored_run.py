"""A run file and the texts of its documents, as an engine.

Law: it has one answer to each query id, the run's ranking with the run's scores as `_score`, whatever the search body
says but for `from` and `size`. The query id comes in the header `X-Opaque-Id`, under which the engines log a caller's
own name for a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from urllib.parse import quote, unquote

from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse, header
from connectors.json_bytes import JsonObject
from connectors.relay import stream_buffered
from sidecar.evaluation.runs import Run, ScoredId

QUERY_ID: Final = "X-Opaque-Id"
INDEX: Final = "run"


def query_id_header(query_id: str) -> dict[str, str]:
    """Return the header that names a query; what headers cannot hold is percent-encoded."""
    return {QUERY_ID: quote(query_id, safe="")}


class StoredRun:
    """A Connector over a stored run."""

    def __init__(self, name: str, run: Run, documents: Mapping[str, JsonObject]) -> None:
        """Answer with the rankings of `run`; a document that is not in `documents` has no text."""
        self._name = name
        self._run = run
        self._documents = documents

    @property
    def name(self) -> str:
        """What it is, with the name of the file."""
        return f"stored run {self._name}"

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search`; anything else is not found."""
        if not request.raw_path.endswith("/_search"):
            return _answer(404, {"error": {"type": "not_found", "reason": f"{self.name} answers _search alone"}})
        body = json.loads(request.content or b"{}")
        offset, size = int(body.get("from", 0)), int(body.get("size", 10))
        ranking = self._run.get(unquote(header(request.headers, QUERY_ID) or ""), ())
        return _answer(200, self._hits(ranking, offset, size))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer that there is none."""
        return await self.search(request)

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request as `search` does."""
        return stream_buffered(self.search, request)

    async def ping(self) -> None:
        """Return: a file that was read is there."""

    async def aclose(self) -> None:
        """Do nothing."""

    def _hits(self, ranking: Sequence[ScoredId], offset: int, size: int) -> JsonObject:
        hits = [
            {"_index": INDEX, "_id": scored.id, "_score": scored.score, "_source": self._documents.get(scored.id, {})}
            for scored in ranking[offset : offset + size]
        ]
        return {
            "took": 0,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": len(ranking), "relation": "eq"},
                "max_score": ranking[0].score if ranking else None,
                "hits": hits,
            },
        }


def _answer(status: int, body: Any) -> SearchResponse:
    content = json.dumps(body).encode()
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(content))))
    return SearchResponse(status=status, headers=headers, body=content)
