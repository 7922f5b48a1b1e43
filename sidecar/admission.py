"""How many requests with searches one front process reranks at the same time; an `_msearch` is one.

Reranking a page costs a front some milliseconds, passing one on a fraction of one. When more searches come than it can
rerank, those beyond the bound are passed on as they are, at once, so that neither they nor anybody else waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sidecar.errors import Overloaded, RerankUnavailable

DEFAULT_MOST: Final = 128
"""A front's, by itself: with a scorer that takes a second, 128 a second; with one that takes a tenth, more than one
process can do."""


class Admission:
    """Counts what is in hand. Belongs to one event loop."""

    def __init__(self, most: int | None) -> None:
        """Let in `most` at a time, None for all."""
        self._most = most
        self._held = 0
        self._begun = 0
        self._in_hand: dict[int, asyncio.Event] = {}

    def failure(self) -> RerankUnavailable | None:
        """Return why no more can be reranked now, None when it can."""
        if self._most is None or self._held < self._most:
            return None
        return Overloaded(f"{self._held} requests are being reranked already")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count one more while the block runs."""
        self._held += 1
        self._begun += 1
        number, ended = self._begun, asyncio.Event()
        self._in_hand[number] = ended
        try:
            yield
        finally:
            self._held -= 1
            del self._in_hand[number]
            ended.set()

    async def passed(self) -> None:
        """Wait until everything has ended that is in hand now; what begins meanwhile is not waited for."""
        for ended in list(self._in_hand.values()):
            await ended.wait()
