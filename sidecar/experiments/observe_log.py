"""Observations as lines of JSON in a file of the operator's.

Laws: no query, no index and no document, unless the operator asks for queries. A line is written whole, in one write at
the end of the file, so that several processes may share it; the file is opened for each, so that whoever rotates it
need tell nobody. Nobody waits for the disk: what a file does not take is dropped, and the program's log says so; of a
line that it has taken in part, the rest is dropped, too, and the next one stands alone.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sidecar.telemetry.seldom import Seldom
from sidecar.types import Observation

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Lines that may wait for the disk."""

_DIGITS: Final = 6
_MODE: Final = 0o600
"""Nobody else reads what users search for."""


class ObserveLog:
    """Writes observations in a thread of its own."""

    def __init__(
        self, path: Path, *, has_queries: bool = False, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Append to `path`, with what was searched where it `has_queries`.

        Raises:
            OSError: the file cannot be written.
        """
        self._path = path
        self._has_queries = has_queries
        self._now = now
        self._seldom = Seldom()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="observe log")
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._is_torn = False
        self._append(b"")

    def observe(self, observation: Observation) -> None:
        """Write one observation, soon. Those that were dropped are not written."""
        if observation.outcome is None:
            return
        if not self._room.acquire(blocking=False):
            self._say_not_written(f"{MOST_WAITING} lines wait")
            return
        told = line(observation, self._now(), has_queries=self._has_queries)
        self._writer.submit(self._try_to_append, json.dumps(told).encode() + b"\n")

    def close(self) -> None:
        """Write what is still to be written, and end."""
        self._writer.shutdown()

    def _try_to_append(self, data: bytes) -> None:
        try:
            self._append(data)
        except OSError as error:
            self._say_not_written(error.strerror or type(error).__name__)
        finally:
            self._room.release()

    def _say_not_written(self, why: str) -> None:
        if (more := self._seldom.turn("not written")) is not None:
            logger.warning("observe_log_not_written error=%s left_out=%d", why, more)

    def _append(self, data: bytes) -> None:
        data = b"\n" + data if self._is_torn else data
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            written = os.write(file, data)
        finally:
            os.close(file)
        if written:
            self._is_torn = not data[:written].endswith(b"\n")
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def line(observation: Observation, time: datetime, *, has_queries: bool) -> dict[str, Any]:
    """Return an observation as JSON values; durations in milliseconds, ranks from 1."""
    told: dict[str, Any] = {
        "time": time.isoformat(timespec="milliseconds"),
        "policy": observation.policy,
        "operation": observation.operation,
        "outcome": observation.outcome,
        "reason": observation.reason,
        "candidates": observation.candidates,
        "window": observation.window,
        "model": observation.model,
        "first_stage_ms": _milliseconds(observation.first_stage_seconds),
        "rerank_ms": _milliseconds(observation.second_stage_seconds),
        "queue_ms": _milliseconds(observation.queue_seconds),
        "model_ms": _milliseconds(observation.model_seconds),
        "hits": observation.hits,
        "top": observation.top,
        "top_changed": observation.has_other_top,
        "moved": _rounded(observation.moved),
        "jaccard@10": _rounded(observation.jaccard),
        "rbo": _rounded(observation.rbo),
    }
    if has_queries:
        told |= {"query": observation.query, "index": observation.index, "params": dict(observation.params)}
        told["body"] = json.loads(observation.body) if observation.body.strip() else None
    return told


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
