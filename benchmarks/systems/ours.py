"""Our own scoring, as `rerank-sidecar` runs it: the scheduler over the model, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.workload import Search
from sidecar.scoring.loading import load_scorer


class Ours:
    """`load_scorer(folder).score(query, texts)`; searches at the same time are calls at the same time."""

    batch_sizes: Sequence[int] = ()
    batch_size = 0

    def __init__(self, folder: Path, *, threads: int, max_length: int, dtype: str) -> None:
        """Load the model. It takes all cores that there are; `threads` says the same to those who ask."""
        del threads
        self._runner = asyncio.Runner()
        self._scorer = self._runner.run(load_scorer(str(folder), device="cpu", dtype=dtype, max_length=max_length))
        used = self._scorer.describe().dtype
        self.note = "" if used == dtype else f"ran in {used}"

    def score(self, searches: Sequence[Search]) -> list[list[float]]:
        """Return the logits of every search; see the package."""
        return self._runner.run(self._score_together(searches))

    async def _score_together(self, searches: Sequence[Search]) -> list[list[float]]:
        return await asyncio.gather(*(self._scorer.score(search.query, search.texts) for search in searches))
