"""How long the stages of one request took."""

from __future__ import annotations

import time


class Clock:
    """Seconds since it was made, on the monotonic clock."""

    def __init__(self) -> None:
        """Start."""
        self._start = time.monotonic()
        self.first_stage: float | None = None
        self.explaining = 0.0
        """Seconds that an explanation took, which are not the second stage's."""

    def first_stage_is_complete(self) -> None:
        """Note the duration of the first stage; from now on it is the second's."""
        self.first_stage = time.monotonic() - self._start

    @property
    def second_stage(self) -> float | None:
        """Seconds since the first stage was complete, None while it is not."""
        if self.first_stage is None:
            return None
        return time.monotonic() - self._start - self.first_stage - self.explaining
