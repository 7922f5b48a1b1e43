"""The embedded engine as its tests ask it: one request, one answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.base import SearchRequest, SearchResponse
from connectors.embedded import EmbeddedConnector


@dataclass(frozen=True)
class Asker:
    """Sends requests to an engine."""

    connector: EmbeddedConnector = field(default_factory=EmbeddedConnector)

    async def answer(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> SearchResponse:
        """Return the answer to a request; a body that is no bytes is sent as JSON, lines of it where it is a list."""
        given = {} if body is None else {"Content-Type": "application/json"}
        request = SearchRequest(
            method=method, target=target, headers=tuple((given | dict(headers or {})).items()), body=content(body)
        )
        return await self.connector.search(request)

    async def json(self, method: str, target: str, body: Any = None) -> Any:
        """Return the JSON of an answer that must be no error."""
        answer = await self.answer(method, target, body)
        assert answer.status < 300, answer.body
        return answer.json

    async def error(self, method: str, target: str, body: Any = None) -> tuple[int, str, str]:
        """Return status, type and reason of an answer that must be an error; the type is "" for a bare sentence."""
        answer = await self.answer(method, target, body)
        assert answer.status >= 400, answer.body
        error = answer.json["error"]
        if isinstance(error, str):
            return answer.status, "", error
        cause = error["root_cause"][0]
        assert answer.status == answer.json["status"]
        return answer.status, cause["type"], cause["reason"]

    async def ids(self, query: Mapping[str, Any], index: str = "books") -> list[str]:
        """Return the ids that a query finds, in order."""
        found = await self.json("POST", f"/{index}/_search", {"query": dict(query), "size": 1000})
        return [hit["_id"] for hit in found["hits"]["hits"]]

    async def scores(self, query: Mapping[str, Any], index: str = "books") -> dict[str, float]:
        """Return the scores that a query gives, by id."""
        found = await self.json("POST", f"/{index}/_search", {"query": dict(query), "size": 1000})
        return {hit["_id"]: hit["_score"] for hit in found["hits"]["hits"]}

    async def put(self, documents: Mapping[str, Any] | Sequence[Any], index: str = "books") -> None:
        """Store documents, by id, or numbered from 1."""
        named = documents if isinstance(documents, Mapping) else {str(n): one for n, one in enumerate(documents, 1)}
        for document_id, source in named.items():
            await self.json("PUT", f"/{index}/_doc/{document_id}", source)


def content(body: Any) -> bytes:
    """Return the bytes of a body."""
    match body:
        case None:
            return b""
        case bytes():
            return body
        case list():
            return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in body)
        case _:
            return json.dumps(body).encode()
