"""Stand-ins for what the second stage has on both sides: an engine that follows a script, scorers anybody can check.

`ScriptedEngine` is a Connector, not a mock: it reads `from`, `size`, `_source` and `fields` as an engine does and
writes answers with whatever bytes a document's `_source` has. It remembers every request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.base import (
    Headers,
    RelayRequest,
    RelayResponse,
    SearchRequest,
    SearchResponse,
    header,
)
from sidecar.errors import RerankUnavailable
from sidecar.plan import Plan
from sidecar.requests.search_call import SearchCall
from sidecar.requests.search_call import parse as parse_call
from sidecar.scoring.base import ModelFacts
from sidecar.types import RerankOptions

JSON: Headers = (("Content-Type", "application/json"),)
NDJSON: Headers = (("Content-Type", "application/x-ndjson"),)
ENGINE_HEADERS: Headers = (("X-Elastic-Product", "Elasticsearch"), ("content-type", "application/json"))

Json = dict[str, Any]


# --- requests -----------------------------------------------------------------------------------------------


def search(
    body: Mapping[str, Any] | str | None = None,
    target: str = "/books/_search",
    headers: Headers = (),
    method: str = "POST",
) -> SearchRequest:
    """Return a `_search` request; a string is sent as it is."""
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    kind = JSON if content else ()
    return SearchRequest(method=method, target=target, headers=(*kind, *headers), body=content)


def msearch(*lines: Mapping[str, Any], target: str = "/_msearch", headers: Headers = ()) -> SearchRequest:
    """Return an `_msearch` request of header lines and body lines."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return SearchRequest(method="POST", target=target, headers=(*NDJSON, *headers), body=body)


def match(text: str = "blue sky", field_name: str = "text", /, **settings: Any) -> Json:
    """Return a search body with one match clause."""
    return {"query": {"match": {field_name: text}}, **settings}


def call(body: Mapping[str, Any] | str | None = None, **request: Any) -> SearchCall:
    """Return the parsed call of such a request."""
    return parse_call(search(body, **request))


def a_plan(query: str = "blue sky", /, **settings: Any) -> Plan:
    """Return the plan of a search with these body settings under the default options; `options` replaces them."""
    options = settings.pop("options", RerankOptions())
    offset, size = settings.get("from", 0), settings.get("size", 10)
    return Plan(
        call=call(match(query, **settings)), query=query, fields=("text",), options=options, offset=offset, size=size
    )


def marker_of(answer: SearchResponse) -> str:
    """Return the marker of an answer, "" where it has none."""
    return header(answer.headers, "X-Rerank") or ""


def texts(answer: SearchResponse) -> list[str]:
    """Return the `text` of every hit, in order."""
    return [hit.source["text"] for hit in answer.hits if hit.source is not None]


# --- the engine ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Document:
    """What the engine has stored: the bytes of `_source`, and fields that are not in it (`copy_to` targets)."""

    source: str
    outside: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def document(text: str, **more: Any) -> Document:
    """Return a document with this `text`."""
    return Document(source=json.dumps({"text": text, **more}))


Override = Callable[[SearchRequest, Json], SearchResponse | None]
"""Looks at a search and its body and answers in the engine's place, or does not."""


ABOUT_FIELDS = ("_field_caps", "_mapping")


class ScriptedEngine:
    """A Connector over a ranked list of documents, which matches every query with all of them."""

    def __init__(self, *documents: Document | str, override: Override | None = None, is_pretty: bool = False) -> None:
        """Rank `documents` in this order; a string is a document with that `text`."""
        self.documents = [document(given) if isinstance(given, str) else given for given in documents]
        self.override = override
        self.is_pretty = is_pretty
        self.searches: list[SearchRequest] = []
        self.msearches: list[SearchRequest] = []
        self.relayed: list[RelayRequest] = []
        self.relayed_bodies: list[bytes] = []
        self.field_caps: Json = {"text": {"text": {}}, "_id": {"_id": {}}}
        self.mapping: Json = {}
        self.is_closed = False

    name = "scripted engine"

    @property
    def bodies(self) -> list[Json]:
        """The parsed bodies of the searches, in the order they came; questions about fields left out."""
        asked = (request for request in self.searches if not any(api in request.target for api in ABOUT_FIELDS))
        return [json.loads(request.content or b"{}") for request in asked]

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer `_search`, and questions about fields."""
        self.searches.append(request)
        if "_field_caps" in request.target:
            return answer_with(json.dumps({"fields": self.field_caps}))
        if "_mapping" in request.target:
            return answer_with(json.dumps({"books": {"mappings": self.mapping}}))
        text = request.content.decode() or request.param("source") or "{}"
        body = json.loads(text) if text.strip() else {}
        for name in ("from", "size"):
            if request.param(name) is not None:
                body[name] = int(str(request.param(name)))
        overridden = self.override(request, body) if self.override is not None else None
        return overridden or answer_with(self.render(body))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer `_msearch`; what the override says of an item becomes that item's answer."""
        self.msearches.append(request)
        lines = request.content.decode().split("\n")
        items = [self._item(lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)]
        return answer_with(f'{{"took":1,"responses":[{",".join(items)}]}}')

    def _item(self, header_line: str, body_line: str) -> str:
        body = json.loads(body_line)
        answer = self.override(search(body_line), body) if self.override is not None else None
        if answer is not None:
            return answer.body.decode()
        return self.render(body)[:-1] + ',"status":200}'

    def render(self, body: Json) -> str:
        """Return the answer to a search body as text."""
        offset, size = int(body.get("from", 0)), int(body.get("size", 10))
        wanted = _ids(body.get("post_filter"))
        matching = [pair for pair in enumerate(self.documents, start=1) if wanted is None or str(pair[0]) in wanted]
        ranked = matching[offset : offset + size]
        best = f"{len(self.documents)}.5" if self.documents else "null"
        hits = [self._hit(rank, stored, body) for rank, stored in ranked]
        total = f'{{"value":{len(self.documents)},"relation":"eq"}}'
        if self.is_pretty:
            array = "[\n      " + ",\n      ".join(hits) + "\n    ]" if hits else "[ ]"
            return (
                f'{{\n  "took" : 3,\n  "hits" : {{\n    "total" : {total},\n    "max_score" : {best},\n'
                f'    "hits" : {array}\n  }}\n}}\n'
            )
        return f'{{"took":3,"timed_out":false,"hits":{{"total":{total},"max_score":{best},"hits":[{",".join(hits)}]}}}}'

    def _hit(self, rank: int, stored: Document, body: Json) -> str:
        score = f"{len(self.documents) - rank + 1}.5"
        members = [("_index", '"books"'), ("_id", f'"{rank}"'), ("_score", score)]
        if body.get("_source", True) is not False:
            members.append(("_source", stored.source))
        fields = {**self._fields(stored, body.get("fields") or [])}
        if fields:
            members.append(("fields", json.dumps(fields, separators=(",", ":"))))
        colon, comma = (" : ", ",\n        ") if self.is_pretty else (":", ",")
        inside = comma.join(f'"{key}"{colon}{value}' for key, value in members)
        return f"{{\n        {inside}\n      }}" if self.is_pretty else f"{{{inside}}}"

    def _fields(self, stored: Document, asked: Sequence[Any]) -> Json:
        values = {key: [value] for key, value in json.loads(stored.source).items()} | dict(stored.outside)
        names = [entry["field"] if isinstance(entry, dict) else entry for entry in asked]
        return {name: values[name] for name in dict.fromkeys(names) if name in values}

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer searches as `search` does, and echo everything else."""
        body = await whole(request.body)
        self.relayed.append(request)
        self.relayed_bodies.append(body)
        path = request.target.partition("?")[0]
        if path.endswith(("_search", "_msearch")):
            asked = SearchRequest(method=request.method, target=request.target, headers=request.headers, body=body)
            answer = await (self.search(asked) if path.endswith("_search") else self.msearch(asked))
        else:
            answer = answer_with(f"{request.method} {request.target} {len(body)}")
        yield RelayResponse(status=answer.status, reason="OK", headers=answer.headers, chunks=in_chunks(answer.body))

    async def ping(self) -> None:
        """Answer."""

    async def aclose(self) -> None:
        """Remember it."""
        self.is_closed = True


def _ids(post_filter: Any) -> set[str] | None:
    """Return the ids that a post filter lets through, None for all."""
    found = [value for key, value in _members(post_filter) if key == "ids"]
    return set(found[0]["values"]) if found else None


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)


def answer_with(text: str | bytes, status: int = 200, headers: Headers = ENGINE_HEADERS) -> SearchResponse:
    """Return an engine's answer."""
    body = text if isinstance(text, bytes) else text.encode()
    return SearchResponse(
        status=status,
        reason="OK" if status == 200 else "",
        headers=(*headers, ("content-length", str(len(body)))),
        body=body,
    )


def error_with(status: int) -> SearchResponse:
    """Return an error answer in the engine's shape."""
    return answer_with(f'{{"error":{{"type":"scripted","reason":"by order"}},"status":{status}}}', status)


async def whole(body: AsyncIterator[bytes] | bytes | None) -> bytes:
    """Return a body read to its end."""
    if body is None or isinstance(body, bytes):
        return body or b""
    return b"".join([chunk async for chunk in body])


async def in_chunks(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    """Yield a body in small pieces."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


# --- scorers ------------------------------------------------------------------------------------------------


def facts(**changes: Any) -> ModelFacts:
    """Return the facts of a cross-encoder, with `changes`."""
    defaults: Json = {
        "name": "scripted",
        "revision": "1",
        "kind": "cross-encoder",
        "max_length": 512,
        "recommended_fusion": "model_only",
    }
    return ModelFacts(**{**defaults, **changes})


class ScriptedScorer:
    """A Scorer that looks texts up, or gives a hundredth of their length, the shortest first."""

    def __init__(self, scores: Mapping[str, float] | None = None, **changes: Any) -> None:
        """Give `scores` by text; `changes` are other facts than the usual."""
        self.scores = scores
        self.facts = facts(**changes)
        self.queries: list[str] = []
        self.calls: list[list[str]] = []

    @property
    def texts(self) -> list[str]:
        """Every text that it was asked to score."""
        return [text for call in self.calls for text in call]

    def describe(self) -> ModelFacts:
        """Return the facts."""
        return self.facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return a score per text."""
        self.queries.append(query)
        self.calls.append(list(texts))
        return [-len(text) / 100 if self.scores is None else self.scores[text] for text in texts]

    async def aclose(self) -> None:
        """Do nothing."""


class FirstCallOnly(ScriptedScorer):
    """A scorer that answers the first call and none after it."""

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return scores once, then wait until cancelled."""
        if self.calls:
            await asyncio.Event().wait()
        return await super().score(query, texts, deadline=deadline)


class FailingScorer(ScriptedScorer):
    """A scorer whose every answer is an error."""

    def __init__(self, error: RerankUnavailable, *, is_known_before: bool = False) -> None:
        """Raise `error` from `score`, and from `describe` when it `is_known_before`."""
        super().__init__()
        self.error = error
        self.is_known_before = is_known_before

    def describe(self) -> ModelFacts:
        """Return the facts, or raise."""
        if self.is_known_before:
            raise self.error
        return self.facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Raise the error."""
        raise self.error
