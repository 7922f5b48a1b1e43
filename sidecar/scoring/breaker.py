"""When to stop asking a scorer that does not answer.

Pure: time comes in as a number. Law: what counts is silence. An answer of any kind, a refusal included, proves that
somebody is there and closes the breaker; calls that were in flight together and died together count once, so that
one search, which travels as several calls, cannot open it.
"""

from __future__ import annotations

import math

FAILURES_TO_OPEN = 3
OPEN_SECONDS = 1.0


class Breaker:
    """Counts silences in a row. Open = do not ask. After its time a single further silence opens it again."""

    def __init__(self, *, failures: int = FAILURES_TO_OPEN, open_seconds: float = OPEN_SECONDS) -> None:
        """Open after `failures` silences in a row, for `open_seconds`."""
        self._limit = failures
        self._open_seconds = open_seconds
        self._failures = 0
        self._open_until = -math.inf
        self._last_answer = -math.inf
        self._last_failure = -math.inf

    def is_open(self, now: float) -> bool:
        """Whether to fail at once instead of asking."""
        return now < self._open_until

    def answered(self, now: float) -> None:
        """Somebody is there."""
        self._failures = 0
        self._open_until = -math.inf
        self._last_answer = now

    def silent(self, *, began: float, now: float) -> None:
        """A call that began at `began` was given up without an answer."""
        if began <= max(self._last_answer, self._last_failure):
            return
        self._last_failure = now
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = now + self._open_seconds
