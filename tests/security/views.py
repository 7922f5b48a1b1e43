"""An engine that shows each user something else, as document- and field-level security do, and who its users are.

Documents of one id hold other words for each user, so that whatever is remembered by id is wrong for one of them; some
texts are the same for both, so that remembering by text is put to use.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse, header
from tests.unit.doubles import answer_with, whole

Json = dict[str, Any]

USERS: Final[Mapping[str, str]] = {"anna": "Basic YW5uYTp4", "bert": "Basic YmVydDp4"}
"""Authorization by user."""

WORDS: Final = ("tea", "river", "stone", "light", "moon", "bread", "salt", "rain", "sleep", "heart")
COMMON: Final = 12
OWN: Final = 12
ALL: Final = COMMON + OWN


def secret(user: str) -> str:
    """Return the word that stands in all that only `user` may see."""
    return f"secretof{user}"


def documents(user: str) -> list[tuple[str, Json]]:
    """Return what a user sees, by id, in the engine's order."""
    shared = [
        (f"s{n}", {"title": f"{WORDS[n % 10]} {n}", "text": f"{WORDS[(n * 3) % 10]} and {WORDS[(n * 7) % 10]} {n}"})
        for n in range(COMMON)
    ]
    order = 1 if user == "anna" else -1
    own = [
        (f"d{n}", {"title": f"{secret(user)} {n}", "text": f"{WORDS[(n * order) % 10]} {secret(user)} {n}"})
        for n in range(OWN)
    ]
    for _, source in shared[:4] if user == "anna" else ():
        source["note"] = f"{secret(user)} in a field"
    return [pair for both in zip(shared, own, strict=True) for pair in both]


class Views:
    """A Connector that answers by who asks."""

    name = "views"

    def __init__(self) -> None:
        """Make the views."""
        self._views = {USERS[user]: (user, documents(user)) for user in USERS}

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer a `_search`, or a question about fields."""
        view = self._views.get(header(request.headers, "Authorization") or "")
        if view is None:
            return answer_with('{"error":{"type":"security_exception","reason":"who are you"},"status":403}', 403)
        user, found = view
        if "_field_caps" in request.target:
            names = ("title", "text", "note") if user == "anna" else ("title", "text")
            return answer_with(json.dumps({"fields": {name: {"text": {}} for name in names}}))
        if "_mapping" in request.target:
            return answer_with('{"books":{"mappings":{}}}')
        body = _body(request)
        if body.get("fail"):
            reason = f"{secret(user)} was not found"
            return answer_with(json.dumps({"error": {"type": "scripted", "reason": reason}, "status": 400}), 400)
        return answer_with(json.dumps(_answer(found, body)))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer an `_msearch`."""
        lines = request.content.decode().split("\n")
        items = []
        for place in range(1, len(lines) - 1, 2):
            asked = SearchRequest(
                method="POST", target="/books/_search", headers=request.headers, body=lines[place].encode()
            )
            answer = await self.search(asked)
            items.append({**answer.json, "status": answer.status})
        return answer_with(json.dumps({"took": 1, "responses": items}))

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer searches as `search` does; of everything else say who asked."""
        body = await whole(request.body)
        path = request.target.partition("?")[0]
        asked = SearchRequest(method=request.method, target=request.target, headers=request.headers, body=body)
        if path.endswith("_search"):
            answer = await self.search(asked)
        elif path.endswith("_msearch"):
            answer = await self.msearch(asked)
        else:
            user, _ = self._views.get(header(request.headers, "Authorization") or "", ("nobody", []))
            answer = answer_with(json.dumps({"_source": {"text": secret(user)}}))
        yield RelayResponse(status=answer.status, reason="OK", headers=answer.headers, chunks=_once(answer.body))

    async def ping(self) -> None:
        """Answer."""

    async def aclose(self) -> None:
        """Do nothing."""


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _body(request: SearchRequest) -> Json:
    text = request.content.decode() or request.param("source") or "{}"
    body: Json = json.loads(text)
    for name in ("from", "size"):
        if (given := request.param(name)) is not None:
            body[name] = int(given)
    return body


def _answer(found: list[tuple[str, Json]], body: Json) -> Json:
    wanted = {identity for ids in _ids(body.get("post_filter")) for identity in ids}
    matching = [pair for pair in enumerate(found) if not wanted or pair[1][0] in wanted]
    first = int(body.get("from", 0))
    page = matching[first : first + int(body.get("size", 10))]
    hits = [_hit(len(found) - place, *pair, body) for place, pair in page]
    return {
        "took": 1,
        "timed_out": False,
        "hits": {"total": {"value": len(found), "relation": "eq"}, "max_score": float(len(found)), "hits": hits},
    }


def _hit(score: float, identity: str, source: Json, body: Json) -> Json:
    hit: Json = {"_index": "books", "_id": identity, "_score": float(score)}
    shown = body.get("_source", True)
    if shown is True:
        hit["_source"] = source
    elif isinstance(shown, list):
        hit["_source"] = {name: source[name] for name in shown if name in source}
    names = [entry["field"] if isinstance(entry, dict) else entry for entry in body.get("fields") or ()]
    if fields := {name: [source[name]] for name in names if name in source}:
        hit["fields"] = fields
    return hit


def _ids(post_filter: Any) -> Iterator[list[str]]:
    if isinstance(post_filter, dict):
        for key, value in post_filter.items():
            if key == "ids":
                yield value["values"]
            else:
                yield from _ids(value)
    elif isinstance(post_filter, list):
        for value in post_filter:
            yield from _ids(value)
