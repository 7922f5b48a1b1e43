"""An engine made of documented answers: it finds the same talks for every search, and has what its licence says.

It is no real engine and judges no query. It stands in for clusters that cannot be had here (inference endpoints, the
compound retrievers, neural search), so that what they answer passes through the program: the shape of their answers
and of their refusals is that of their documentation.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.integration.talks import TEXTS, talk

Body = dict[str, Any]

ELASTIC = {"X-Elastic-Product": "Elasticsearch"}
INFO = {
    "elasticsearch": {"version": {"number": "9.5.3", "build_flavor": "default"}, "tagline": "You Know, for Search"},
    "opensearch": {"version": {"number": "3.8.0", "distribution": "opensearch"}},
}

Refusal = Callable[[Body], tuple[int, Body] | None]
"""Looks at a search and says why the engine does not run it, or None."""


def nothing(body: Body) -> None:
    """Refuse nothing."""


def error(status: int, kind: str, reason: str) -> tuple[int, Body]:
    """Return an error as both engines write it."""
    cause = {"type": kind, "reason": reason}
    return status, {"error": {"root_cause": [cause], **cause}, "status": status}


@dataclass
class DocumentedEngine:
    """What it is, what it finds, what it refuses, and what it was asked."""

    product: str
    #: `_id`s of talks, in the engine's order
    found: Sequence[str]
    refusal: Refusal = nothing
    url: str = ""
    #: bodies of the searches
    bodies: list[Body] = field(default_factory=list)
    #: answers to the searches, as they went out
    answers: list[bytes] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer a search, a question about fields, or who this is."""
        content = await request.read()
        headers = ELASTIC if self.product == "elasticsearch" else {}
        if request.path == "/":
            status, answer = 200, INFO[self.product]
        elif request.path.endswith("/_field_caps"):
            kinds = {name: {"text": {"type": "text", "metadata_field": False}} for name in TEXTS}
            status, answer = 200, {"indices": ["talks"], "fields": kinds}
        elif request.path.endswith("/_mapping"):
            status, answer = 200, {"talks": {"mappings": {"properties": {name: {"type": "text"} for name in TEXTS}}}}
        else:
            body = json.loads(content)
            self.bodies.append(body)
            status, answer = self.refusal(body) or (200, self._answer(body))
            self.answers.append(json.dumps(answer).encode())
        return web.Response(
            status=status, body=json.dumps(answer).encode(), headers=headers, content_type="application/json"
        )

    def _answer(self, body: Body) -> Body:
        offset, size = body.get("from", 0), body.get("size", 10)
        hits = [self._hit(rank, identifier, body) for rank, identifier in enumerate(self.found)][offset : offset + size]
        answer: Body = {
            "took": 42,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": len(self.found), "relation": "eq"},
                "max_score": hits[0]["_score"] if hits else None,
                "hits": hits,
            },
        }
        if "aggs" in body:
            answer["aggregations"] = {name: {"buckets": []} for name in body["aggs"]}
        return answer if self.product == "elasticsearch" else {**answer, "profile": {"shards": []}}

    def _hit(self, rank: int, identifier: str, body: Body) -> Body:
        source = talk(int(identifier))
        hit: Body = {"_index": "talks", "_id": identifier, "_score": round(1 / (rank + 2), 7)}
        if body.get("_source") is not False:
            hit["_source"] = source
        fields = {name: [source[name]] for name in body.get("fields", ()) if name in source}
        if fields:
            hit["fields"] = fields
        if "highlight" in body:
            hit["highlight"] = {name: [f"<em>{source[name][:20]}</em>"] for name in body["highlight"]["fields"]}
        return hit


@asynccontextmanager
async def documented(product: str, found: Sequence[str], refusal: Refusal = nothing) -> AsyncIterator[DocumentedEngine]:
    """Serve such an engine on a free port."""
    engine = DocumentedEngine(product, found, refusal)
    runner = web.ServerRunner(web.Server(engine), shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield engine
    finally:
        await runner.cleanup()
