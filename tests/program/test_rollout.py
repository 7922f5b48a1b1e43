"""A new model is rolled out under load, scorer by scorer behind HAProxy: searches go on, no page has scores of both."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmarks.pool import UNHURRIED, WINDOW, front
from benchmarks.programs import Server, sink
from benchmarks.restarts import found_haproxy
from benchmarks.scorers import pool, scorer
from benchmarks.sink import text
from tests import tiny_models
from tests.integration.wire import send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found_haproxy() is None, reason="HAProxy is not installed"),
    pytest.mark.timeout(300),
]

CLIENTS = 4
QUERY = "people search"
SAME = 1e-3
"""Scores of one model differ less, whatever is in a batch with them."""


def model(folder: Path, bias: float) -> Path:
    """Return a small cross-encoder whose logits are higher by so much."""
    weights = tiny_models.bert(folder) / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"] += bias
    save_file(tensors, weights, metadata={"format": "pt"})
    return folder


async def scores(address: str) -> dict[str, float]:
    """Return what a scorer says of every text of the sink."""
    texts = [text(number) for number in range(WINDOW)]
    answer = await send(f"http://{address}", "POST", "/_rerank/score", body={"query": QUERY, "texts": texts})
    return dict(zip(texts, answer.json["scores"], strict=True))


def whose(page: Mapping[str, float], models: Mapping[str, Mapping[str, float]]) -> str:
    """Return the model that all scores of a page are from, "mixed" where there is none."""
    for name, known in models.items():
        if all(abs(known[each] - score) < SAME for each, score in page.items()):
            return name
    return "mixed"


async def test_no_page_is_of_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the old one everywhere, over both, to the new one everywhere."""
    monkeypatch.setenv("RERANK_SIDECAR_MODEL__DTYPE", "fp32")  # `auto` is measured at each start
    old, new = model(tmp_path / "old", 0.0), model(tmp_path / "new", 5.0)
    pages: list[dict[str, float]] = []
    outcomes: Counter[str] = Counter()
    stop = asyncio.Event()

    async def keep_searching(server: Server) -> None:
        body = {"query": {"match": {"text": QUERY}}, "size": WINDOW, "ext": {"rerank": {"explain": True}}}
        while not stop.is_set():
            answer = await send(server.url, "POST", "/sink/_search", body=body)
            assert 200 == answer.status
            outcomes[answer.marker.partition(";")[0]] += 1
            hits = [hit["_rerank"] for hit in answer.json["hits"]["hits"] if "_rerank" in hit]
            pages.append({hit["text"]: hit["model_score"] for hit in hits})

    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(sink())
        scorers = await stack.enter_async_context(pool(str(old), 2, check="100ms", drain_seconds=0.6))
        models = {"old": await scores(scorers.addresses[0])}
        server = await stack.enter_async_context(front(engine, "--scorer", scorers.url, window=WINDOW, **UNHURRIED))
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(keep_searching(server))
            for name, address in zip(scorers.scorers, scorers.addresses, strict=True):
                assert 0 == await scorers.scorers[name].end()
                replaced = scorer(str(new), int(address.rpartition(":")[2]), drain_seconds=0.6)
                await replaced.start()
                stack.push_async_callback(replaced.end)
                await scorers.until_up(name)
                models["new"] = await scores(address)
                before = len(pages)
                async with asyncio.timeout(60):
                    while len(pages) < before + 100:  # noqa: ASYNC110  # pages are counted, not announced
                        await asyncio.sleep(0.02)
            stop.set()
    found = Counter(whose(page, models) for page in pages)
    assert {"old", "new"} == set(found), json.dumps(found)
    assert {"applied"} == set(outcomes)
    assert "new" == whose(pages[-1], models)
    assert all(len(page) == WINDOW for page in pages)
