"""Recorded searches replayed on real engines: what was observed is found again, and nothing is left behind."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from connectors.detect import connect
from sidecar.experiments.observe_log import line
from sidecar.policy import Policy
from sidecar.replay import formats
from sidecar.replay.playing import Pace, Player, play_all
from sidecar.replay.recorded import Recording
from sidecar.replay.request import ReplayRequest
from sidecar.replay.results import Results, gather
from sidecar.types import Observation, RerankOptions
from tests.integration.books import BOOKS
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import send
from tests.unit.sidecar.experiments.test_observe_log import WHEN

DEEP = max(100, BOOKS)
"""Hits that are fetched for the default window, and compared where a search is observed."""


async def replayed(url: str, recording: Recording, depth: int | None = None) -> Results:
    """Return the results of a replay by the scorer that likes short texts."""
    policy = Policy(defaults=RerankOptions(mode="observe", deadline=0.0))
    request = ReplayRequest(files=())
    async with await connect(url) as engine:
        player = Player(engine, ShortestFirst(), policy, {}, depth)
        played, ended = await play_all(player, recording.searches, Pace(0), concurrency=2, stop=asyncio.Event())
        return gather(request, recording, played, ended, engine=engine.name, models=[])


async def test_observations_are_what_a_replay_finds(tmp_path: Path, engine_url: str, library: str) -> None:
    """The observe log replayed offline on the same real engine: Jaccard, RBO and first hit of every search."""
    found: asyncio.Queue[Observation] = asyncio.Queue()
    words = ("tea", "green tea", "black leaves", "word3 word7", "water about tea", "leaves")
    log = tmp_path / "observe.log"
    async with proxied(engine_url, ShortestFirst(), compare=found.put_nowait, mode="observe", deadline=0.0) as url:
        seen = []
        for place, text in enumerate(words):
            body = {"query": {"match": {"body": text}}, "size": 3 + place, "from": place}
            await send(url, "POST", f"/{library}/_search", body=body)
            async with asyncio.timeout(20):
                seen.append(await found.get())
    log.write_text("".join(f"{json.dumps(line(each, WHEN, has_queries=True))}\n" for each in seen), encoding="utf-8")
    offline = await replayed(engine_url, formats.read([log]), DEEP)
    assert len(words) == len(offline.reranked)
    for observed, each in zip(seen, offline.reranked, strict=True):
        assert observed.query == each.replayed.query
        assert (observed.jaccard, observed.rbo, observed.has_other_top) == (each.jaccard, each.rbo, each.has_other_top)


async def test_nothing_is_left_behind(tmp_path: Path, engine_url: str, library: str) -> None:
    """No index, no document, no scroll, whatever the file says."""
    body = {"query": {"match": {"body": "tea"}}}
    file = tmp_path / "requests.jsonl"
    requests = [
        {"index": library, "body": body},
        {"path": f"/{library}/_search?scroll=1m", "body": body},
        {"path": f"/{library}/_delete_by_query", "body": body},
        {"method": "PUT", "path": f"/{library}/_doc/1", "body": {"body": "tea"}},
        {"path": "/no-such-index/_search", "body": body},
    ]
    file.write_text("".join(f"{json.dumps(each)}\n" for each in requests), encoding="utf-8")
    before = await asyncio.to_thread(state, engine_url)
    found = await replayed(engine_url, formats.read([file]))
    assert before == await asyncio.to_thread(state, engine_url)
    assert (3, 1) == (found.sent, found.sent_reranked)
    reasons = {each.reason: each.has_failed for each in found.reasons}
    assert {"scroll": False, "engine: 404 index_not_found_exception": True} == reasons


def state(url: str) -> tuple[Any, ...]:
    """Return an engine's documents by index, and how often it was written to and has contexts open."""
    counts = json.load(urllib.request.urlopen(f"{url}/_stats/search,indexing"))["_all"]["total"]
    indices = json.load(urllib.request.urlopen(f"{url}/_cat/indices?format=json&h=index,docs.count"))
    documents = sorted((each["index"], each["docs.count"]) for each in indices)
    return documents, counts["indexing"]["index_total"], counts["search"]["open_contexts"]
