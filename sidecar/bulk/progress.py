"""How far a job is, and when it will end: a bar where standard error is a terminal, else a line now and then.

Law: the estimate is of this process alone: what was done before it was started says nothing of its speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console

from sidecar.evaluation.progress import bar

Announce = Callable[[str], None]


class Estimate:
    """The speed of a job, from its first answer on."""

    def __init__(self, total: int, done: int, now: Callable[[], float] = time.monotonic) -> None:
        """`done` of `total` queries have been answered before."""
        self._total = total
        self._before = done
        self._now = now
        self._began: float | None = None
        self.done = done

    def advance(self) -> None:
        """Count an answer."""
        self.done += 1
        if self._began is None:
            self._began = self._now()

    @property
    def per_second(self) -> float | None:
        """Queries a second; None until there are two answers."""
        answers = self.done - self._before - 1
        if self._began is None or answers < 1:
            return None
        return answers / max(1e-9, self._now() - self._began)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last answer at this speed; None while nobody knows."""
        speed = self.per_second
        return None if speed is None else (self._total - self.done) / speed

    def __str__(self) -> str:
        """Return it in a line."""
        line = f"{self.done:,} of {self._total:,} queries"
        left = self.seconds_left
        if left is None or self.per_second is None:
            return line
        return f"{line}, {self.per_second:,.1f} a second, {timedelta(seconds=round(left))} left"


@contextmanager
def shown(total: int, done: int, *, report_seconds: float, announce: Announce) -> Iterator[Callable[[], None]]:
    """Show the progress until the end of the context; what is given is called for every answer."""
    if Console(stderr=True).is_terminal:
        with bar("queries", total) as advance:
            advance(done)
            yield lambda: advance(1)
        return
    estimate = Estimate(total, done)
    reported = time.monotonic()

    def advance_and_report() -> None:
        nonlocal reported
        estimate.advance()
        if time.monotonic() - reported >= report_seconds:
            reported = time.monotonic()
            announce(str(estimate))

    yield advance_and_report
