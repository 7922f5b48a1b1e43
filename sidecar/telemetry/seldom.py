"""How often the log repeats itself: one line in ten seconds for each cause, with the number of those left out.

Law: the first of its kind is told at once; of the others only their number is told, with the next line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 10.0


class Seldom:
    """Says which of many equal lines are written. Causes are few: words of ours, never a caller's."""

    def __init__(self, *, seconds: float = SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        """Let one line about each cause pass in `seconds`, by the clock `now`."""
        self._seconds = seconds
        self._now = now
        self._written: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def turn(self, cause: str) -> int | None:
        """Return how many lines about `cause` were left out since the last one; None: leave this one out, too."""
        now = self._now()
        if now < self._written.get(cause, float("-inf")) + self._seconds:
            self._left_out[cause] = self._left_out.get(cause, 0) + 1
            return None
        self._written[cause] = now
        return self._left_out.pop(cause, 0)
