"""Ten thousand searches later the program takes no more memory than before: the front, and the children that score.

The short form, part of every run, has 600 of them; `make soak` has all.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import pytest

from sidecar.scoring.token_cache import DEFAULT_CAPACITY_BYTES
from tests import tiny_models
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    START_SECONDS,
    Program,
    children,
    eventually,
    running,
    search,
)

REQUESTS = int(os.environ.get("RERANK_SOAK_REQUESTS", "600"))
AT_ONCE = 8
SAMPLES = 20
MEGABYTE = 1024 * 1024
ALLOWED = (8 if REQUESTS >= 10_000 else 24) * MEGABYTE
"""Between the medians of the first and the last five samples after the first half, which warms up. In the short form
the model still meets batches of new sizes then, for which oneDNN compiles kernels: some 70 MiB in the end."""

SETTINGS = {
    **QUICK_END,
    "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0",
    "RERANK_SIDECAR_RERANK__WINDOW": "10",
    "RERANK_SIDECAR_RERANK__PRUNE_KEEP": "5",
    "RERANK_SIDECAR_RERANK__SCORE_CACHE": "true",
    "RERANK_SIDECAR_SCORE_CACHE__MAX_BYTES": str(MEGABYTE),
    "RERANK_SIDECAR_LOG_LEVEL": "error",
}
"""With a memory for scores that is full before the half of the short form."""

WORDS = [
    "bees",
    "find",
    "food",
    "moon",
    "tide",
    "river",
    "stone",
    "light",
    "sky",
    "blue",
    "why",
    "how",
    "does",
    "sleep",
    "water",
    "salt",
    "bread",
    "heart",
    "rain",
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Program]:
    """Give `serve` with the embedded engine, a child with a tiny model, and one with another that prunes."""
    model, pruner = tiny_models.bert(tmp_path / "model"), tiny_models.bi_encoder(tmp_path / "pruner")
    command = ("serve", "--engine", "embedded", "--listen", ANYWHERE, "--model", str(model))
    with running(*command, RERANK_SIDECAR_RERANK__PRUNE_MODEL=str(pruner), **SETTINGS) as program:
        asyncio.run(
            eventually(lambda: _marker(program.url), lambda marker: marker.startswith("applied"), START_SECONDS)
        )
        yield program


@pytest.mark.timeout(START_SECONDS + REQUESTS / 10)
async def test_memory_is_flat_and_the_cache_under_its_bound(served: Program) -> None:
    """Searches of all kinds, new words every time, some of them given up by who asked."""
    rng = random.Random(1)
    sampled: dict[int, list[int]] = {pid: [] for pid in (served.pid, *children(served.pid))}
    assert len(sampled) == 3
    async with aiohttp.ClientSession(served.url, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        for _ in range(SAMPLES):
            await _ask(session, rng, REQUESTS // SAMPLES)
            for pid, sizes in sampled.items():
                sizes.append(resident(pid))
        figures = await _figures(session)
    for pid, sizes in sampled.items():
        settled = sizes[SAMPLES // 2 :]
        grown = statistics.median(settled[-5:]) - statistics.median(settled[:5])
        shown = [size // MEGABYTE for size in sizes]
        assert grown <= ALLOWED, f"{'the front' if pid == served.pid else 'a child'} took {shown} MiB"
    assert figures["score_cache_evictions_total"] > 0
    assert figures["score_cache_bytes"] <= MEGABYTE
    for name in ("scorer_waiting_calls", "scorer_waiting_tokens"):
        assert [0.0, 0.0] == _of_each_scorer(figures, name)
    assert all(value > 0 for value in _of_each_scorer(figures, "scorer_token_cache_hits_total"))
    assert all(value <= DEFAULT_CAPACITY_BYTES for value in _of_each_scorer(figures, "scorer_token_cache_bytes"))


def _of_each_scorer(figures: Mapping[str, float], name: str) -> list[float]:
    return [value for labelled, value in figures.items() if labelled.startswith(f"{name}{{")]


def resident(pid: int) -> int:
    """Return the memory in bytes that a process holds."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int((re.search(r"VmRSS:\s+(\d+) kB", text) or ["", "0"])[1]) * 1024


async def _ask(session: aiohttp.ClientSession, rng: random.Random, requests: int) -> None:
    """Send so many requests, a few at a time."""
    left = iter(range(requests))

    async def work() -> None:
        for _ in left:
            await _one(session, rng)

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(work(), name=f"caller {number}")


async def _one(session: aiohttp.ClientSession, rng: random.Random) -> None:
    words = " ".join([*rng.choices(WORDS, k=3), f"word{rng.randrange(10**6)}"])
    kind = rng.random()
    if kind < 0.1:
        await _post(session, "/v1/rerank", {"query": words, "documents": rng.choices(WORDS, k=20)})
    elif kind < 0.2:  # whoever asked goes away
        try:
            async with asyncio.timeout(rng.random() * 0.02):
                await _post(session, "/articles/_search", _body(words))
        except TimeoutError:
            pass
    else:
        await _post(session, "/articles/_search", _body(words))


async def _marker(url: str) -> str:
    """Return the marker of a search."""
    return (await search(url, "bees")).marker


def _body(words: str) -> dict[str, object]:
    return {"query": {"multi_match": {"query": words, "fields": ["title", "text"]}}, "size": 5}


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, object]) -> None:
    async with session.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _figures(session: aiohttp.ClientSession) -> dict[str, float]:
    """Return the program's metrics by name, less what all names begin with."""
    async with session.get("/_rerank/metrics") as answer:
        lines: Sequence[str] = (await answer.text()).splitlines()
    return {
        name.removeprefix("rerank_sidecar_"): float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }
