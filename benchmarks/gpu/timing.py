"""How long work takes, on the device and on the wall.

Law: everything runs before it is timed, and a figure is the median of several with the least and the greatest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import torch

from benchmarks.rounds import Spread

WARM_UPS: Final = 3


def device_seconds(work: Callable[[], object], *, device: str, rounds: int = 30) -> Spread:
    """Return how long the device is busy with `work`, by its own events; on a CPU, by the clock.

    Several runs are launched one after the other before anything is waited for, so that the device never waits for the
    host where the host is faster.
    """
    for _ in range(WARM_UPS):
        work()
    if device == "cpu":
        return Spread.of(_clocked(work) for _ in range(min(3, rounds)))
    torch.cuda.synchronize()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]  # type: ignore[no-untyped-call]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return Spread.of(events[n].elapsed_time(events[n + 1]) / 1000.0 for n in range(rounds))


def wall_seconds(work: Callable[[], object], *, seconds: float, least: int = 3) -> Spread:
    """Return how long `work`, which waits for its results, takes: over `seconds`, at least `least` times."""
    work()
    end = time.perf_counter() + seconds
    times: list[float] = []
    while len(times) < least or time.perf_counter() < end:
        times.append(_clocked(work))
    return Spread.of(times)


def _clocked(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
