"""Where clicks are kept: what a store does, and what its clicks say, asked for as often as one likes.

Law: a store acknowledges what it has kept and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sidecar import tasks
from sidecar.experiments.events import Click
from sidecar.experiments.preference import Preference

REST: Final = 20.0
"""How many times as long as counting takes is waited before it is done again: a twentieth of a core at most."""

LEAST_REST_SECONDS: Final = 2.0

PATIENCE_SECONDS: Final = 0.3
"""Metrics of other things do not wait longer for these."""


class EventsNotKept(Exception):  # what it is about was not acknowledged
    """Clicks could not be written or read: whoever sent them is to send them again."""


class EventStore(Protocol):
    """Keeps clicks."""

    async def append(self, clicks: Sequence[Click]) -> int:
        """Keep clicks, and return how many of them are new. Raises EventsNotKept."""
        ...

    async def preferences(self, since: float = 0.0) -> list[Preference]:
        """Return what the clicks since a moment say, by policy and version. Raises EventsNotKept."""
        ...

    async def aclose(self) -> None:
        """Keep what is still to be kept, and end."""
        ...


class Standing:
    """What all clicks of a store say, counted now and then. Belongs to one event loop."""

    def __init__(
        self, store: EventStore, now: Callable[[], float] = time.monotonic, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Ask `store`. `now` gives seconds; `patience` is for whoever asks while it is being counted."""
        self._store = store
        self._now = now
        self._patience = patience
        self._found: list[Preference] = []
        self._failure: EventsNotKept | None = None
        self._again = -1.0
        self._counting: asyncio.Task[None] | None = None

    async def preferences(self) -> list[Preference]:
        """Return them, as they were a moment ago; where counting takes longer than patience, as when it was done last.

        Raises:
            EventsNotKept: they could not be counted then.
        """
        if self._counting is None and self._now() >= self._again:
            self._counting = tasks.start(self._count(), name="count clicks")
        if self._counting is not None:
            await asyncio.wait([self._counting], timeout=self._patience)
        if self._failure is not None:
            raise self._failure
        return self._found

    async def _count(self) -> None:
        began = self._now()
        try:
            self._found, self._failure = await self._store.preferences(), None
            ended = self._now()
            self._again = ended + max(LEAST_REST_SECONDS, REST * (ended - began))
        except EventsNotKept as error:
            self._failure = error
        finally:
            self._counting = None
