"""Batches through a forward on the device: staged in pinned memory, launched without waiting, read back once.

What a batch costs the host is then one copy, one launch and one wait, whatever the model. Laws: a batch that has a
recorded room replays that, every other one runs the same operations one by one; and the memory of a slot is used again
only after the batch in it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch

from sidecar.scoring.cuda.bert import Inputs
from sidecar.scoring.cuda.graphs import Recorder, Replay
from sidecar.scoring.cuda.operations import Operations
from sidecar.scoring.cuda.rooms import Room, Rooms
from sidecar.scoring.cuda.staging import Part, Staging, inputs

Compute = Callable[[Inputs, Operations], torch.Tensor]
"""A model's forward: one score per text or match, fp32."""

SLOTS: Final = 2
"""Batches that are staged at the same time: one runs while the host puts the next one together."""


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """A part in pinned memory, in the shape of a room."""

    staging: Staging
    memory: torch.Tensor
    room: Room
    scores: int


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    memory: torch.Tensor
    replay: Replay
    scores: torch.Tensor


class Runner:
    """Runs a forward over one device's batches. `run` and `record` belong to one thread, `stage` to any."""

    def __init__(self, compute: Compute, operations: Operations, *, largest: Room, device: str) -> None:
        """Run `compute` by way of `operations` on batches up to `largest`."""
        self._compute = compute
        self._operations = operations
        self._largest = largest
        self._device = torch.device(device)
        self._is_cuda = self._device.type == "cuda"
        self._stagings: list[list[Staging]] = [[] for _ in range(SLOTS)]
        self._rooms = Rooms(())
        self._recorded: dict[Room, _Recorded] = {}

    @property
    def operations(self) -> Operations:
        """The way that was chosen for each part."""
        return self._operations

    @property
    def largest(self) -> Room:
        """What one pass holds at most."""
        return self._largest

    @property
    def recorded(self) -> Rooms:
        """The rooms that are recorded."""
        return self._rooms

    def record(self, rooms: Iterable[Room], recorder: Recorder) -> None:
        """Record the forward for each of `rooms`, largest first. Raises whatever the device does when it cannot."""
        recorded = {}
        with self._on_device():
            for room in rooms:
                empty = Staging(room, is_pinned=False).fill(_nothing(room), room)
                memory = empty.to(self._device)
                batch = inputs(memory, room)
                replay, scores = recorder.record(partial(self._compute, batch, self._operations))
                recorded[room] = _Recorded(memory, replay, scores)
        self._recorded = recorded
        self._rooms = Rooms(recorded)

    def forget(self) -> None:
        """Run everything one by one from now on."""
        self._recorded, self._rooms = {}, Rooms(())

    def stage(self, parts: Iterable[Part], *, slot: int = 0, room: Room | None = None) -> list[Staged]:
        """Return the parts in the pinned memory of a slot; `room` None = the smallest recorded one that holds each."""
        return list(self._staged(parts, slot, room))

    def run(self, batch: Iterable[Staged]) -> list[float]:
        """Return the scores of all parts, in order. Waits for the device, and lets other threads run meanwhile."""
        running = []
        with self._on_device():
            for part in batch:
                scores = self._launch(part)
                part.staging.scores[: part.scores].copy_(scores[: part.scores], non_blocking=True)
                running.append(part)
            self._wait()
        return [score for part in running for score in part.staging.scores[: part.scores].tolist()]

    def stage_and_run(self, parts: Iterable[Part]) -> list[float]:
        """Do both: the device runs every part as soon as it is staged, while the next one is put together."""
        return self.run(self._staged(parts, 0, None))

    def launch(self, part: Staged) -> torch.Tensor:
        """Start one part and return its scores on the device, which the next part of its room overwrites."""
        with self._on_device():
            return self._launch(part)

    def _staged(self, parts: Iterable[Part], slot: int, room: Room | None) -> Iterator[Staged]:
        for number, part in enumerate(parts):
            chosen = room or self._rooms.smallest(part.room) or part.room
            staging = self._staging(slot, number, chosen)
            yield Staged(staging, staging.fill(part, chosen), chosen, part.scores)

    def _launch(self, part: Staged) -> torch.Tensor:
        recorded = self._recorded.get(part.room)
        if recorded is None:
            memory = part.memory.to(self._device, non_blocking=True)
            return self._compute(inputs(memory, part.room), self._operations)
        recorded.memory.copy_(part.memory, non_blocking=True)
        recorded.replay()
        return recorded.scores

    def _wait(self) -> None:
        """Sleep until the device is done; a thread that spins would take a core from those that tokenise."""
        if self._is_cuda:
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch has no types for it
            done.record()
            done.synchronize()

    def _staging(self, slot: int, number: int, room: Room) -> Staging:
        """Return the memory for the part `number` of a slot, a new one where it is too small."""
        stagings = self._stagings[slot]
        if number == len(stagings):
            stagings.append(Staging(self._largest, is_pinned=self._is_cuda))
        return stagings[number] if self._largest.holds(room) else Staging(room, is_pinned=self._is_cuda)

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        with torch.inference_mode(), torch.cuda.device(self._device) if self._is_cuda else nullcontext():
            yield


def _nothing(room: Room) -> Part:
    """Return a part that leaves a room empty but for one token."""
    one, zero = np.ones(1, dtype=np.int32), np.zeros(1, dtype=np.int32)
    return Part(
        ids=zero,
        lengths=one,
        second_starts=one,
        queries=zero if room.matches else None,
        answers=zero if room.matches else None,
    )
