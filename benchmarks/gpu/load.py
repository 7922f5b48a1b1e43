"""Many searches at once through the real scheduler, as the program runs it; the host's part is then in the figures.

Law: every caller waits for its scores before it asks again, and every answer is counted only when it has a score for
every text.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.gpu.report import Report
from benchmarks.workload import Search, Source
from sidecar.errors import RerankUnavailable
from sidecar.program.interpreter import settle
from sidecar.scoring.base import PairModel
from sidecar.scoring.scheduler import LocalScorer

POOL_TEXTS: Final = 20_000
COLD_PAIRS_PER_SECOND: Final = 40_000
"""New texts are made before the clock starts, so many for every second; when they are used up, the cell ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of load."""

    texts: int
    callers: int
    is_warm: bool

    @property
    def name(self) -> str:
        """Return it in words."""
        return f"k={self.texts}, {self.callers} at once, {'warm' if self.is_warm else 'cold'}"


CELLS: Final = tuple(
    Cell(texts=texts, callers=callers, is_warm=is_warm)
    for texts, callers in ((100, 1), (100, 16), (100, 64), (10, 1), (10, 16), (10, 64), (1000, 1), (1000, 16))
    for is_warm in (False, True)
)
QUICK_CELLS: Final = (Cell(texts=4, callers=1, is_warm=False), Cell(texts=4, callers=4, is_warm=True))


def measure(
    report: Report, model: PairModel, source: Source, cells: Sequence[Cell], *, seconds: float
) -> dict[str, Any]:
    """Run every cell for an equal share of `seconds`."""
    most = max(cell.texts for cell in cells)
    pool = [
        text
        for _ in range(max(1, min(POOL_TEXTS, 20 * most) // most))
        for text in source.search(most, is_long=False).texts
    ]
    return asyncio.run(
        _measure(report, model, pool, source.search(1, is_long=False).query, cells, seconds / len(cells))
    )


async def _measure(
    report: Report, model: PairModel, pool: Sequence[str], query: str, cells: Sequence[Cell], seconds: float
) -> dict[str, Any]:
    scorer = LocalScorer.loading(lambda: model)
    facts = await scorer.loaded()
    settle()
    found: dict[str, Any] = {"tokens_per_second_measured_at_start": facts.tokens_per_second}
    rows = []
    try:
        for cell in cells:
            if report.seconds_left < seconds:
                break
            try:
                found[cell.name] = await _run(scorer, pool, query, cell, seconds)
            except* RerankUnavailable as refused:
                found[cell.name] = {"failure": str(refused.exceptions[0])}
                rows.append([cell.name, f"failed: {refused.exceptions[0]}", "", "", "", ""])
            else:
                rows.append([cell.name, *_cells(found[cell.name])])
    finally:
        await scorer.aclose()
    report.table(["through the scheduler", "pairs/s", "p50 ms", "p95 ms", "p99 ms", "tokens a batch"], rows)
    return found


async def _run(scorer: LocalScorer, pool: Sequence[str], query: str, cell: Cell, seconds: float) -> dict[str, Any]:
    """Let `callers` ask for scores until `seconds` are over."""
    count = 2 + int(seconds * COLD_PAIRS_PER_SECOND) // cell.texts
    searches = (
        _warm(pool, query, cell) if cell.is_warm else iter(list(itertools.islice(_cold(pool, query, cell), count)))
    )
    times: list[float] = []
    for _ in range(2 * cell.callers if cell.is_warm else 1):  # every text of the warm ones has then been seen
        search = next(searches)
        await scorer.score(search.query, search.texts)
    before = scorer.statistics()
    began = time.perf_counter()

    async def ask() -> None:
        while time.perf_counter() < began + seconds and (search := next(searches, None)) is not None:
            asked = time.perf_counter()
            scores = await scorer.score(search.query, search.texts)
            times.append(time.perf_counter() - asked)
            assert len(scores) == cell.texts

    async with asyncio.TaskGroup() as callers:
        for _ in range(cell.callers):
            callers.create_task(ask())
    took = time.perf_counter() - began
    after = scorer.statistics()
    times.sort()
    return {
        "pairs_per_second": len(times) * cell.texts / took,
        "calls": len(times),
        **{f"p{share}_ms": times[min(len(times) - 1, len(times) * share // 100)] * 1e3 for share in (50, 95, 99)},
        "tokens_per_batch": (after.scored_tokens - before.scored_tokens) / max(1, after.batches - before.batches),
        "batches_ahead": after.batches_ahead - before.batches_ahead,
        "batches": after.batches - before.batches,
    }


def _cold(pool: Sequence[str], query: str, cell: Cell) -> Iterator[Search]:
    """Yield searches whose texts are new: those of the pool, each cut in two at another word and turned around."""
    places = itertools.count()
    while True:
        texts = []
        for place in itertools.islice(places, cell.texts):
            turn, which = divmod(place, len(pool))
            words = pool[which].split()
            cut = (turn * 7 + 3) % len(words)
            texts.append(" ".join(words[cut:] + words[:cut]))
        yield Search(query, tuple(texts))


def _warm(pool: Sequence[str], query: str, cell: Cell) -> Iterator[Search]:
    """Yield searches over and over that are as many as the callers, so that all of their texts have been seen."""
    starts = [(caller * cell.texts) % (len(pool) - cell.texts + 1) for caller in range(cell.callers)]
    return itertools.cycle([Search(query, tuple(pool[start : start + cell.texts])) for start in starts])


def _cells(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['pairs_per_second']:,.0f}",
        *(f"{found[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
        f"{found['tokens_per_batch']:,.0f}",
    ]
