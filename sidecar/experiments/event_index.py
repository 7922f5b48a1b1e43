"""Clicks in an index of the operator's own engine.

Laws: a click is a document under the id of its event, created and never overwritten, so that sending it again changes
nothing; it is acknowledged when the engine has. The engine is asked with the credentials of the configuration: who
clicks has none.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from connectors.base import Connector, Headers, RelayRequest
from connectors.errors import EngineError
from sidecar.experiments import event_log
from sidecar.experiments.event_store import EventsNotKept
from sidecar.experiments.events import Click
from sidecar.experiments.preference import Preference
from sidecar.types import Arm, Team

PAGE: Final = 5000
"""Clicks that are read at a time."""

_CREATED: Final = 201
_IS_THERE: Final = 409
_KEYWORDS: Final = ("event_id", "policy", "version", "method", "arm", "search", "hit", "team")
_NUMBERS: Final = ("position", "first_rank", "rerank_rank")
_MAPPINGS: Final = {
    "dynamic": False,
    "properties": {
        "@timestamp": {"type": "date"},
        "received": {"type": "double"},
        **{name: {"type": "keyword"} for name in _KEYWORDS},
        **{name: {"type": "integer"} for name in _NUMBERS},
    },
}


class EventIndex:
    """The store in an index. Belongs to one event loop; the engine stays its owner's to close."""

    def __init__(self, engine: Connector, index: str) -> None:
        """Write to `index`, which is made with the first click where it is not there, and cannot be refused."""
        self._engine = engine
        self._path = "/" + urllib.parse.quote(index, safe="")
        self._is_made = False

    async def append(self, clicks: Sequence[Click]) -> int:
        """Return how many of the clicks are new, when the engine has taken them. Raises EventsNotKept."""
        if not clicks:
            return 0
        await self._make()
        lines: list[Any] = []
        for click in clicks:
            lines += ({"create": {"_id": _id(click)}}, _document(click))
        answer = await self._ask("POST", "/_bulk", "".join(json.dumps(line) + "\n" for line in lines), "x-ndjson")
        created = [item["create"] for item in answer["items"]]
        failed = [item for item in created if item["status"] not in (_CREATED, _IS_THERE)]
        if failed:
            raise EventsNotKept(f"the engine refused {len(failed)} clicks: {json.dumps(failed[0].get('error'))[:500]}")
        return sum(item["status"] == _CREATED for item in created)

    async def preferences(self, since: float = 0.0) -> list[Preference]:
        """Return what the clicks say, all of which are read. Raises EventsNotKept."""
        await self._make()
        await self._ask("POST", "/_refresh")
        with closing(event_log.connect(":memory:")) as database:
            async for clicks in self._clicks(since):
                event_log.insert(database, clicks)
            return event_log.preferences(database, since)

    async def aclose(self) -> None:
        """Do nothing: what was acknowledged is the engine's."""

    async def _clicks(self, since: float) -> AsyncIterator[list[Click]]:
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {
                "size": PAGE,
                "query": {"range": {"received": {"gte": since}}},
                "sort": [{"event_id": "asc"}],
                **({} if after is None else {"search_after": after}),
            }
            hits = (await self._ask("POST", "/_search", json.dumps(body)))["hits"]["hits"]
            if not hits:
                return
            yield [_click(hit["_source"]) for hit in hits]
            after = hits[-1]["sort"]

    async def _make(self) -> None:
        """Make the index where it is not there; whether it may be written is found out when it is."""
        if self._is_made:
            return
        try:
            await self._ask("PUT", "", json.dumps({"mappings": _MAPPINGS}))
        except _Refused as refused:
            if refused.status not in (400, 401, 403):  # it is there, or others make it
                raise
        self._is_made = True

    async def _ask(self, method: str, path: str, body: str = "", kind: str = "json") -> Any:
        content = body.encode()
        headers: Headers = (("Accept", "application/json"),)
        if content:
            headers += (("Content-Type", f"application/{kind}"), ("Content-Length", str(len(content))))
        request = RelayRequest(method=method, target=self._path + path, headers=headers, body=content or None)
        try:
            async with self._engine.relay(request) as answer:
                text = b"".join([chunk async for chunk in answer.chunks])
        except EngineError as error:
            raise EventsNotKept(str(error)) from error
        if answer.status >= 400:
            raise _Refused(answer.status, text)
        try:
            return json.loads(text)
        except ValueError as error:
            raise EventsNotKept(f"the engine answered {method} {self._path}{path} with something else") from error


class _Refused(EventsNotKept):  # the engine has answered
    """The engine answered with an error."""

    def __init__(self, status: int, text: bytes) -> None:
        super().__init__(f"the engine answered {status}: {text[:500].decode('utf-8', 'replace')}")
        self.status = status


def _id(click: Click) -> str:
    """Return the id of a click's document: engines bound the length of ids."""
    return hashlib.blake2b(click.event_id.encode(), digest_size=16).hexdigest()


def _document(click: Click) -> dict[str, Any]:
    when = datetime.fromtimestamp(click.received, UTC).isoformat(timespec="milliseconds")
    told = {name: value for name, value in asdict(click).items() if value is not None}
    return {"@timestamp": when, **told}


def _click(source: dict[str, Any]) -> Click:
    fields = {name: value for name, value in source.items() if name in Click.__slots__}
    team, arm = source.get("team"), source.get("arm")
    return Click(**{**fields, "team": Team(team) if team else None, "arm": Arm(arm) if arm else None})
