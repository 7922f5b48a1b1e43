"""Batches on their way through the device: the one that runs and, where the model prepares batches, the next one.

Laws: batches end in the order in which they were launched. While a batch runs, a thread of the host's puts the next one
together, and the device goes on without waiting for anybody. A batch that has not begun can be taken back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sidecar.scoring.base import PairModel, PreparesBatches, TokenPair
from sidecar.scoring.calls import Call, Piece
from sidecar.scoring.device_thread import DeviceThread, Job
from sidecar.scoring.measuring import checked, forward
from sidecar.scoring.pace import Pace


@dataclass(frozen=True, slots=True)
class Scored:
    """What came out of a batch. `seconds` is the device's time alone."""

    scores: list[float]
    seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """A batch that was given to the device. `ends` is when it should be done, by the speed so far."""

    pieces: Sequence[Piece]
    pairs: int
    tokens: int
    seconds: float
    ends: float
    slot: int
    job: Job[Scored]

    def holds(self, call: Call) -> bool:
        """Whether pairs of `call` are in the batch."""
        return any(piece.call is call for piece in self.pieces)


class Flights:
    """The batches that a device has been given. Belongs to the event loop in which it is made."""

    def __init__(self, model: PairModel, device: DeviceThread, landed: Callable[[], None]) -> None:
        """Run `model` in the thread `device`; `landed` is called in the event loop whenever something changes."""
        self._model = model
        self._device = device
        self._landed = landed
        self._flights: deque[Flight] = deque()
        self._host = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._flights)

    @property
    def has_room(self) -> bool:
        """Whether a batch can be launched: on an idle device, or ahead of time where the model prepares batches."""
        return len(self._flights) < (2 if isinstance(self._model, PreparesBatches) else 1)

    @property
    def pairs(self) -> int:
        """Pairs of all batches."""
        return sum(flight.pairs for flight in self._flights)

    @property
    def tokens(self) -> int:
        """Tokens of all batches."""
        return sum(flight.tokens for flight in self._flights)

    def seconds_left(self, now: float) -> float:
        """Return when the device should be done with all of them, from now."""
        return max(0.0, self._flights[-1].ends - now) if self._flights else 0.0

    def launch(self, pieces: Sequence[Piece], *, now: float, pace: Pace) -> None:
        """Give a batch to the device."""
        pairs = [pair for piece in pieces for pair in piece.pairs]
        tokens = sum(piece.tokens for piece in pieces)
        seconds = pace.seconds(tokens)
        slot = 1 if any(flight.slot == 0 for flight in self._flights) else 0
        job = self._device.submit(self._work(pairs, slot))
        job.future.add_done_callback(lambda _: self._landed())
        self._flights.append(
            Flight(
                pieces=pieces,
                pairs=len(pairs),
                tokens=tokens,
                seconds=seconds,
                ends=now + self.seconds_left(now) + seconds,
                slot=slot,
                job=job,
            )
        )

    def ended(self, now: float) -> Iterator[Flight]:
        """Yield the batches that have ended, in order, and forget them."""
        while self._flights and self._flights[0].job.future.done():
            yield self._flights.popleft()
            for flight in self._flights:  # it begins only now, whenever it should have
                flight.ends = now + flight.seconds

    def take_back(self, call: Call) -> Sequence[Piece]:
        """Return what the batch that holds `call` is made of, if it has not begun; then it never will."""
        last = self._flights[-1] if self._flights else None
        if last is None or not last.holds(call) or not last.job.take_back():
            return ()
        self._flights.pop()
        return last.pieces

    def close(self) -> None:
        """Forget all of them; one that runs is not waited for."""
        for flight in self._flights:
            flight.job.take_back()
            flight.job.future.cancel()
        self._flights.clear()
        self._host.shutdown(wait=False, cancel_futures=True)

    def _work(self, pairs: Sequence[TokenPair], slot: int) -> Callable[[], Scored]:
        """Return what the device's thread does with a batch; where the model prepares it, that begins now."""
        model = self._model
        if not isinstance(model, PreparesBatches):
            return lambda: _timed(lambda: forward(model, pairs))
        batch = self._host.submit(model.prepare, pairs, slot=slot)

        def run() -> Scored:
            prepared = batch.result()
            return _timed(lambda: checked(model.run(prepared), len(pairs)))

        return run


def _timed(score: Callable[[], list[float]]) -> Scored:
    began = time.perf_counter()
    scores = score()
    return Scored(scores, max(time.perf_counter() - began, 1e-6))
