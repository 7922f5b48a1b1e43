"""A scorer in this process whose scores do not depend on how often the job was interrupted.

Law: a window goes to the model alone and whole, in batches whose size is no matter of this machine's speed. What is
rounded in one batch is so in all: with the scheduler's own batches, which hold pairs of several searches and as many as
the device was measured to score in a moment, the last bits of a bf16 score are another's from one run to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from sidecar.scoring import splitting
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.scheduler import SchedulerOptions
from sidecar.scoring.splitting import Spans

SCHEDULING: Final = SchedulerOptions(batch_tokens=32_768)
"""The most that a GPU gains from; on a CPU the models divide a batch themselves, always alike."""


class WholeWindows:
    """A Scorer that gives its model one window at a time, whole."""

    #: the pipeline sends a window in one call
    whole_window: Literal[True] = True

    def __init__(self, scorer: Scorer) -> None:
        """Ask `scorer`, which stays the caller's to close."""
        self._scorer = scorer
        self._lock = asyncio.Lock()

    def describe(self) -> ModelFacts:
        """Return the model's facts."""
        return self._scorer.describe()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text; see `Scorer.score`."""
        async with self._lock:
            return await self._scorer.score(query, texts, deadline=deadline)

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text by the scorer's tokens; see `Splitter.split`."""
        return await splitting.split(self._scorer, texts, tokens=tokens, overlap=overlap)

    async def aclose(self) -> None:
        """Do nothing: the scorer is not ours."""
