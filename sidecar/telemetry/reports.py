"""What is told about a request: the header `X-Rerank`, `Server-Timing`, one record per search, and the log.

Law: every search leaves one marker and one record, whatever became of it; the marker of an engine that is a sidecar
itself is taken out. No query and no document is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from connectors.base import SearchResponse, header, without_headers
from sidecar import marker
from sidecar.marker import Marker
from sidecar.searches import Search
from sidecar.telemetry.clock import Clock
from sidecar.telemetry.seldom import Seldom
from sidecar.types import Outcome, SearchRecord

logger = logging.getLogger(__name__)

Observe = Callable[[SearchRecord], None]


def nobody(_: SearchRecord) -> None:
    """Observe nothing."""


class Reports:
    """Tells callers, metrics and logs."""

    def __init__(self, observe: Observe) -> None:
        """Give every record to `observe`."""
        self._observe = observe
        self._seldom = Seldom()

    def on(
        self,
        search: Search,
        answer: SearchResponse,
        found: Mapping[int, Marker] | None = None,
        clock: Clock | None = None,
    ) -> SearchResponse:
        """Return the answer with its headers; `found` are the markers of searches that were tried."""
        markers = search.markers(found or {})
        clock = clock or Clock()
        clock.explaining = max((mark.explaining for mark in markers), default=0.0)
        self.record(search, markers, clock)
        headers = [(marker.HEADER, marker.header_value(markers))]
        if clock.first_stage is not None:
            headers.append(("Server-Timing", marker.server_timing(**_durations(clock, markers))))
        if header(answer.headers, marker.HEADER) is not None:  # the engine is a sidecar itself
            answer = replace(answer, headers=without_headers(answer.headers, marker.HEADER))
        return answer.with_headers(*headers)

    def record(self, search: Search, markers: Sequence[Marker], clock: Clock) -> None:
        """Record what became of each search of a request."""
        for mark in markers:
            if mark.outcome is Outcome.DEGRADED and (more := self._seldom.turn(str(mark.reason))) is not None:
                operation = search.operation.value
                logger.warning("search_degraded reason=%s operation=%s left_out=%d", mark.reason, operation, more)
            self._observe(
                SearchRecord(
                    operation=search.operation,
                    outcome=mark.outcome,
                    reason=mark.reason,
                    candidates=mark.candidates or 0,
                    window=mark.window or 0,
                    model=mark.model,
                    first_stage_seconds=clock.first_stage,
                    second_stage_seconds=clock.second_stage,
                    queue_seconds=mark.timing.queue if mark.timing else None,
                    model_seconds=mark.timing.model if mark.timing else None,
                    interleaved=mark.interleaved,
                    policy=mark.policy,
                )
            )


def _durations(clock: Clock, markers: Sequence[Marker]) -> dict[str, float | None]:
    """Return what took how long; of an `_msearch`, whose items run side by side, the longest scoring of an item."""
    second = clock.second_stage or 0.0
    timings = [mark.timing for mark in markers if mark.timing is not None]
    longest = max(timings, key=lambda timing: timing.queue + timing.model, default=None)
    return {
        "first_stage": clock.first_stage,
        "rerank": second,
        "queue": longest.queue if longest else None,
        "model": longest.model if longest else None,
        "explain": clock.explaining or None,
        "total": (clock.first_stage or 0.0) + second + clock.explaining,
    }
