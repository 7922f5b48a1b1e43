"""What became of the searches of the last minutes, for the live view.

Law: bounded memory at any rate of searches, and nothing about a search but its outcome and its times: no query, no
index, no caller.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.types import SearchRecord

SLOT_SECONDS: Final = 2
SLOTS: Final = 150
"""Five minutes."""

STEP: Final = 1.05
"""Ratio of neighbouring bounds of the histograms: percentiles are right to 5 %."""

_SHORTEST_MS: Final = 0.05


@dataclass(slots=True)
class _Slot:
    """The searches of two seconds; durations as counts by bucket, bucket n standing for STEP**n milliseconds."""

    number: int
    outcomes: Counter[str] = field(default_factory=Counter)
    times: dict[str, Counter[int]] = field(
        default_factory=lambda: {"total": Counter(), "first_stage": Counter(), "second_stage": Counter()}
    )


class Traffic:
    """Counts searches by the time when they ended."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start with none. `now` gives seconds."""
        self._now = now
        self._began = now()
        self._slots: deque[_Slot] = deque(maxlen=SLOTS)

    def observe(self, record: SearchRecord) -> None:
        """Count one search."""
        slot = self._slot()
        slot.outcomes[record.outcome.value + (f":{record.reason}" if record.reason else "")] += 1
        first, second = record.first_stage_seconds, record.second_stage_seconds
        if first is not None:
            slot.times["first_stage"][bucket(first)] += 1
            slot.times["total"][bucket(first + (second or 0.0))] += 1
        if second is not None:
            slot.times["second_stage"][bucket(second)] += 1

    def snapshot(self) -> dict[str, Any]:
        """Return the slots as JSON values, oldest first. `age` counts slots back from the one that is being filled."""
        current = self._number()
        return {
            "slot_seconds": SLOT_SECONDS,
            "slots": SLOTS,
            "bucket_ratio": STEP,
            "uptime_seconds": round(self._now() - self._began, 1),
            "seconds_in_slot": round(self._now() - self._began - current * SLOT_SECONDS, 2),
            "searches": [
                {"age": current - slot.number, "outcomes": slot.outcomes, **slot.times}
                for slot in self._slots
                if current - slot.number < SLOTS
            ],
        }

    def _slot(self) -> _Slot:
        number = self._number()
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]

    def _number(self) -> int:
        return int((self._now() - self._began) // SLOT_SECONDS)


def bucket(seconds: float) -> int:
    """Return the bucket of a duration."""
    return round(math.log(max(seconds * 1000, _SHORTEST_MS), STEP))
