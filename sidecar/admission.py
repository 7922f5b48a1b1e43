"""How many searches one front process reranks at the same time.

Reranking a page costs a front some milliseconds, passing one on a fraction of one. When more searches come than it can
rerank, those beyond the bound are passed on as they are, at once, so that neither they nor anybody else waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sidecar.errors import Overloaded, RerankUnavailable

DEFAULT_MOST: Final = 128
"""Searches in hand at the same time: with a scorer that takes a second, 128 a second; with one that takes a tenth,
more than one process can do."""

MOST_OBSERVED: Final = 4
"""Requests that are observed at the same time: each costs the engine a search, and this process its part of one."""


class Admission:
    """Counts the searches in hand. Belongs to one event loop."""

    def __init__(self, most: int = DEFAULT_MOST) -> None:
        """Let in `most` at a time."""
        self._most = most
        self._held = 0

    def failure(self) -> RerankUnavailable | None:
        """Return why another search cannot be reranked now, None when it can."""
        if self._held < self._most:
            return None
        return Overloaded(f"{self._held} searches are being reranked already")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count one more search while the block runs."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
