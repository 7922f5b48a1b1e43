"""Which operations a device runs a model with, and whether what comes out is right.

Law: nothing serves that has not given the reference's scores on this device, in this precision: first one by one, then
from every recorded room, full and nearly empty. Of the operations that do, the fastest here are taken; where recording
fails or gives other scores, everything runs one by one; where nothing is right, the model is refused.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.errors import ModelFailed
from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.graphs import Recorder
from sidecar.scoring.cuda.operations import (
    DENSE_TILES,
    PLAIN,
    Operations,
    triton_operations,
    with_varlen,
)
from sidecar.scoring.cuda.rooms import Room, Rooms
from sidecar.scoring.cuda.runner import Compute, Runner, Staged
from sidecar.scoring.cuda.staging import Part

log = logging.getLogger(__name__)

Parts = Callable[[Sequence[TokenPair], Room], Iterable[Part]]
"""How a model puts pairs into parts, each of which a room holds."""

Candidate = Callable[[], Operations]
"""Makes operations, or raises ImportError where their library is not installed."""

TOLERANCE: Final = {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.1}
"""How far a score may be from the reference, as a share of the largest reference score. A broken kernel is wrong by all
of it; what rounding costs is a small part of this."""

FLOOR: Final = 2e-3
"""And so far in any case: the scores of an untrained model are all near 0."""

TYPICAL_TOKENS: Final = 8192
TYPICAL_LENGTH: Final = 128
"""Tokens of the batch on which candidates are timed, and of its longest text."""

_ROUNDS: Final = 5
_CLEARLY: Final = 1.03
"""How many times faster a later candidate must be than an earlier one: less is noise."""


def cuda_candidates() -> list[Candidate]:
    """Return the operations for a GPU, in order of preference where they are equally fast."""
    return [
        triton_operations,
        lambda: triton_operations(dense=DENSE_TILES),
        lambda: with_varlen(triton_operations()),
        lambda: with_varlen(PLAIN),
        lambda: PLAIN,
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Pairs with known scores, short ones among them."""

    pairs: Sequence[TokenPair]
    scores: Sequence[float]
    dtype: str

    def check(self, scores: Sequence[float], places: Sequence[int]) -> None:
        """Compare `scores` with those of the probes at `places`.

        Raises:
            ModelFailed: one is too far off, or no number.
        """
        tolerance = FLOOR + TOLERANCE[self.dtype] * max(map(abs, self.scores))
        off = [abs(score - self.scores[place]) for score, place in zip(scores, places, strict=True)]
        worst = max((error if math.isfinite(error) else math.inf for error in off), default=0.0)
        if worst > tolerance:
            raise ModelFailed(f"a score is off by {worst:.3g}, at most {tolerance:.3g} may be")


class Fitting:
    """Tries candidates for one model on one device."""

    def __init__(self, compute: Compute, parts: Parts, probes: Probes, *, device: str) -> None:
        """Try ways to run `compute` on `device`."""
        self._compute = compute
        self._parts = parts
        self._probes = probes
        self._device = device

    def fit(
        self, candidates: Iterable[Candidate], rooms: Callable[[Operations], Rooms], recorder: Recorder | None
    ) -> Runner:
        """Return a tested runner with the fastest operations that are right; without `recorder`, none is recorded.

        Raises:
            ModelFailed: none of the candidates is right.
        """
        began = time.perf_counter()
        runner = self._fastest(candidates, rooms, recorder)
        if recorder is not None and runner.operations.is_recordable:
            self._record(runner, rooms(runner.operations), recorder)
        log.info(
            "device ready kernels=%s graphs=%d seconds=%.1f",
            runner.operations.name,
            len(runner.recorded),
            time.perf_counter() - began,
        )
        return runner

    def check(self, runner: Runner, room: Room | None = None) -> None:
        """Compare a runner's scores with the reference: all probes, or with `room` a full one and one of one pair.

        Raises:
            ModelFailed: a score is too far off, or no number.
        """
        if room is None:
            scores = runner.run(runner.stage(self._parts(self._probes.pairs, runner.largest)))
            self._probes.check(scores, range(len(scores)))
            return
        part, places = self.filling(room)
        self._probes.check(runner.run(runner.stage([part], room=room)), places)
        lone = places[0]
        (part,) = self._parts([self._probes.pairs[lone]], room)
        self._probes.check(runner.run(runner.stage([part], room=room)), [lone])

    def filling(self, room: Room) -> tuple[Part, list[int]]:
        """Return a part of as many probes, over and over, as fit into `room`, and their places."""
        fitting = [place for place, pair in enumerate(self._probes.pairs) if self._fits(pair, room)]
        places = list(itertools.islice(itertools.cycle(fitting), room.texts))
        part = next(iter(self._parts([self._probes.pairs[place] for place in places], room)))
        return part, places[: part.scores]

    def _fits(self, pair: TokenPair, room: Room) -> bool:
        return all(room.holds(part.room) for part in self._parts([pair], room))

    def _fastest(
        self, candidates: Iterable[Candidate], rooms: Callable[[Operations], Rooms], recorder: Recorder | None
    ) -> Runner:
        """Return the fastest candidate that is right. What cannot be recorded is tried only when nothing else is."""
        best: tuple[float, Runner] | None = None
        failures: list[str] = []
        for candidate in candidates:
            try:
                operations = candidate()
                if best is not None and not operations.is_recordable:
                    continue
                largest = max(rooms(operations))
                runner = Runner(self._compute, operations, largest=largest, device=self._device)
                self.check(runner)
                seconds = self._seconds(runner, rooms(operations), recorder)
            except Exception as error:  # noqa: BLE001  # a kernel that does not compile here raises anything
                log.warning("kernels not used reason=%s: %s", type(error).__name__, error)
                failures.append(f"{type(error).__name__}: {error}")
                continue
            log.debug("kernels timed name=%s seconds=%.6f", operations.name, seconds)
            if best is None or seconds * _CLEARLY < best[0]:
                best = (seconds, runner)
        if best is None:
            raise ModelFailed(f"no way to run it on {self._device} gives the right scores ({'; '.join(failures)})")
        return best[1]

    def _seconds(self, runner: Runner, rooms: Rooms, recorder: Recorder | None) -> float:
        """Return how long a typical full batch takes, the best of some."""
        limit = max((room for room in rooms if room.tokens <= TYPICAL_TOKENS), default=max(rooms))
        part, _ = self.filling(replace(limit, longest=min(TYPICAL_LENGTH, limit.longest)))
        room = rooms.smallest(part.room) or limit
        if recorder is not None and runner.operations.is_recordable:
            self._record(runner, [room], recorder)
        try:
            batch = runner.stage([part], room=room)
            return min(_timed(runner, batch) for _ in range(_ROUNDS))
        finally:
            runner.forget()

    def _record(self, runner: Runner, rooms: Rooms | Sequence[Room], recorder: Recorder) -> None:
        """Record the rooms and test each; where that fails, go on without."""
        try:
            runner.record(rooms, recorder)
            for room in rooms:
                self.check(runner, room)
        except Exception as error:  # noqa: BLE001  # whatever a device does that cannot record
            log.warning("cuda graphs not used reason=%s: %s", type(error).__name__, error)
            runner.forget()
            self.check(runner)


def _timed(runner: Runner, batch: Sequence[Staged]) -> float:
    began = time.perf_counter()
    runner.run(batch)
    return time.perf_counter() - began
