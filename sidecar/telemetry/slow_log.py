"""One line for each search whose second stage took longer than an operator wants.

Law: no query, no document, no index: what a line says is how long what took, and of how many candidates.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from sidecar.types import Outcome, SearchRecord

logger = logging.getLogger(__name__)

MOST_PER_SECOND: Final = 10
"""Further lines of a second are counted, and the next line says how many there were."""


class SlowLog:
    """Logs slow searches."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """Log searches whose second stage took at least `seconds`. `now` gives seconds."""
        self._seconds = seconds
        self._now = now
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def observe(self, record: SearchRecord) -> None:
        """Log one search, if it was slow."""
        taken = record.second_stage_seconds
        if taken is None or taken < self._seconds or record.outcome is Outcome.SKIPPED:
            return
        if not self._has_room():
            self._left_out += 1
            return
        logger.warning(
            "slow_rerank operation=%s outcome=%s reason=%s candidates=%d window=%d model=%s "
            "first_stage_ms=%s rerank_ms=%s queue_ms=%s model_ms=%s left_out=%d",
            record.operation.value,
            record.outcome.value,
            record.reason,
            record.candidates,
            record.window,
            record.model,
            _milliseconds(record.first_stage_seconds),
            _milliseconds(taken),
            _milliseconds(record.queue_seconds),
            _milliseconds(record.model_seconds),
            self._left_out,
        )
        self._left_out = 0

    def _has_room(self) -> bool:
        second = int(self._now())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= MOST_PER_SECOND


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
