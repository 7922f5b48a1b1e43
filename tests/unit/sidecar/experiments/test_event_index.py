"""Clicks in an index: what is sent to the engine, and what its answers mean."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.base import RelayRequest, RelayResponse
from connectors.errors import EngineUnavailable
from sidecar.experiments import event_index
from sidecar.experiments.event_index import EventIndex
from sidecar.experiments.event_store import EventsNotKept
from sidecar.types import Arm, Team
from tests.unit.doubles import ScriptedEngine
from tests.unit.sidecar.experiments.clicks import a_click


class Index(ScriptedEngine):
    """An engine with one index, which understands what is asked of it here and nothing else."""

    def __init__(self) -> None:
        """Have no index yet."""
        super().__init__()
        self.documents_by_id: dict[str, dict[str, Any]] = {}
        self.mappings: dict[str, Any] | None = None
        self.asked: list[str] = []
        self.refuse: dict[str, tuple[int, Any]] = {}
        self.is_away = False

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer."""
        if self.is_away:
            raise EngineUnavailable("nobody is there")
        assert request.body is None or isinstance(request.body, bytes)
        asked = f"{request.method} {request.target}"
        self.asked.append(asked)
        status, told = self.refuse.get(asked) or self._answer(asked, (request.body or b"").decode())

        async def chunks() -> AsyncIterator[bytes]:
            yield told if isinstance(told, bytes) else json.dumps(told).encode()

        yield RelayResponse(status=status, reason="", headers=(), chunks=chunks())

    def _answer(self, asked: str, body: str) -> tuple[int, Any]:
        match asked:
            case "PUT /rerank%20clicks":
                if self.mappings is not None:
                    return 400, {"error": {"type": "resource_already_exists_exception"}}
                self.mappings = json.loads(body)["mappings"]
                return 200, {"acknowledged": True}
            case "POST /rerank%20clicks/_bulk":
                lines = [json.loads(line) for line in body.splitlines()]
                return 200, {"items": [self._create(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]}
            case "POST /rerank%20clicks/_refresh":
                return 200, {}
            case "POST /rerank%20clicks/_search":
                return 200, {"hits": {"hits": self._found(json.loads(body))}}
        return 404, {"error": "no such thing"}

    def _create(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        key = action["create"]["_id"]
        if key in self.documents_by_id:
            return {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        self.documents_by_id[key] = document
        return {"create": {"status": 201}}

    def _found(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        since = body["query"]["range"]["received"]["gte"]
        after = body.get("search_after", [""])[0]
        found = sorted(self.documents_by_id.values(), key=lambda each: each["event_id"])
        wanted = [each for each in found if each["received"] >= since and each["event_id"] > after]
        return [{"_source": each, "sort": [each["event_id"]]} for each in wanted[: body["size"]]]


@pytest.fixture
def engine() -> Index:
    """An engine without that index."""
    return Index()


def store(engine: Index) -> EventIndex:
    """Return a store in it."""
    return EventIndex(engine, "rerank clicks")


async def test_a_click_is_a_document(engine: Index) -> None:
    """With its moment as engines have moments, and nothing where there is nothing."""
    assert 1 == await store(engine).append([a_click(arm=Arm.RERANK)])
    [document] = engine.documents_by_id.values()
    assert {
        "@timestamp": "2027-01-15T08:00:00.000+00:00",
        "event_id": "e1",
        "received": 1_800_000_000.0,
        "policy": "shop",
        "version": "a1",
        "method": "team_draft",
        "arm": "rerank",
        "search": "s1",
        "position": 1,
        "hit": "00000001",
        "team": "rerank",
    } == document
    assert engine.mappings is not None
    assert set(document) <= set(engine.mappings["properties"])


async def test_an_event_is_created_once(engine: Index) -> None:
    """What is there already is acknowledged, and stays as it is."""
    kept = store(engine)
    assert 2 == await kept.append([a_click(), a_click(event_id="e2")])
    assert 1 == await kept.append([a_click(team=Team.FIRST_STAGE), a_click(event_id="e3")])
    assert 0 == await kept.append([])
    assert {"rerank"} == {each["team"] for each in engine.documents_by_id.values()}


async def test_the_index_is_made_once_and_one_that_is_there_is_taken(engine: Index) -> None:
    """Also where others make it, since our credentials may not."""
    for _ in range(2):
        await store(engine).append([a_click()])
    engine.refuse["PUT /rerank%20clicks"] = (403, {"error": "may not"})
    assert 1 == await store(engine).append([a_click(event_id="e2")])
    kept = store(engine)
    await kept.append([a_click()])
    await kept.append([a_click()])
    assert 4 == engine.asked.count("PUT /rerank%20clicks")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, {"error": "may not"}),
        (200, {"items": [{"create": {"status": 429, "error": {"type": "circuit_breaking_exception"}}}]}),
        (200, b"<html>"),
    ],
)
async def test_what_the_engine_does_not_take_is_not_acknowledged(engine: Index, status: int, told: Any) -> None:
    """A refusal of all, of one, or an answer that is none."""
    engine.refuse["POST /rerank%20clicks/_bulk"] = (status, told)
    with pytest.raises(EventsNotKept):
        await store(engine).append([a_click()])


async def test_an_engine_that_is_away_is_said(engine: Index) -> None:
    """Also when the index could not be made for that, which is tried again."""
    kept = store(engine)
    engine.is_away = True
    with pytest.raises(EventsNotKept, match="nobody is there"):
        await kept.append([a_click()])
    engine.is_away = False
    assert 1 == await kept.append([a_click()])
    assert engine.mappings is not None


async def test_what_clicks_say_is_counted_as_in_the_log(engine: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all pages of the index, from a moment on."""
    monkeypatch.setattr(event_index, "PAGE", 3)
    kept = store(engine)
    await kept.append(
        [
            a_click(
                event_id=f"{n:02}",
                search=str(n),
                received=float(n),
                method="balanced",
                team=None,
                first_rank=2 if n % 3 else None,
                rerank_rank=1 if n % 3 else None,
            )
            for n in range(10)
        ]
    )
    assert [(6, 0, 4)] == [(found.wins, found.losses, found.ties) for found in await kept.preferences()]
    assert [(3, 0, 2)] == [(found.wins, found.losses, found.ties) for found in await kept.preferences(5.0)]
    await kept.aclose()
