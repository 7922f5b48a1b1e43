"""How long scores waited and how long they took, as far as their scorer can tell.

Law: told beside the scores and never in their place. A scorer that cannot tell says nothing, and where nobody listens
nothing is kept. What is told by tasks that were started while somebody listens is heard, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

HEADER: Final = "Server-Timing"
"""How our own servers tell it over HTTP."""

_ENTRY: Final = re.compile(r"(?:^|,)\s*(queue|model)\s*;\s*dur=(\d+(?:\.\d+)?)")
_TEI: Final = ("x-queue-time", "x-inference-time")
"""How Text Embeddings Inference tells it, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call, or of several: first it waits, then it is computed."""

    #: from its arrival at the scorer until the device took the first of it; tokenization is part of it
    queue: float
    #: from then until its last score
    model: float


_heard: ContextVar[list[Timing] | None] = ContextVar("heard", default=None)


def tell(timing: Timing | None) -> None:
    """Say how long a call took to whoever listens; None says nothing."""
    heard = _heard.get()
    if heard is not None and timing is not None:
        heard.append(timing)


@contextmanager
def listening() -> Iterator[list[Timing]]:
    """Give what is told while the context lasts."""
    heard: list[Timing] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


@contextmanager
def as_one() -> Iterator[None]:
    """Tell of all calls that are made while the context lasts as of one; they begin together."""
    with listening() as heard:
        yield
    tell(together(heard))


def together(timings: Sequence[Timing]) -> Timing | None:
    """Return the timing of calls that began together: until the first was taken, and until the last was done."""
    if not timings:
        return None
    queue = min(timing.queue for timing in timings)
    return Timing(queue, max(timing.queue + timing.model for timing in timings) - queue)


def in_turn(timings: Sequence[Timing]) -> Timing | None:
    """Return the timing of calls that followed each other."""
    if not timings:
        return None
    return Timing(sum(timing.queue for timing in timings), sum(timing.model for timing in timings))


def write(timings: Sequence[Timing]) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer that took so long, none where nothing was told."""
    timing = together(timings)
    if timing is None:
        return ()
    return ((HEADER, f"queue;dur={timing.queue * 1000:.3f}, model;dur={timing.model * 1000:.3f}"),)


def read(headers: Mapping[str, str]) -> Timing | None:
    """Return what a server's answer tells, None where it does not. `headers` do not care for case."""
    found = dict(_ENTRY.findall(headers.get(HEADER, "")))
    values = [found.get("queue"), found.get("model")]
    if None in values:
        values = [headers.get(name) for name in _TEI]
    try:
        queue, model = (float(value) / 1000 for value in values if value is not None)
    except ValueError:  # fewer than two, or no numbers
        return None
    return Timing(queue, model) if 0 <= queue < float("inf") and 0 <= model < float("inf") else None
