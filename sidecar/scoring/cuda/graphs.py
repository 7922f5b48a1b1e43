"""Recorded once, replayed for every batch: a CUDA graph launches a whole forward in one call.

Laws: a graph reads and writes the same memory at every replay; all graphs of a model share one pool of memory, since
they never run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import torch

Replay = Callable[[], None]

_WARM_UPS: Final = 2
"""Runs before recording: kernels are compiled and libraries take their workspaces in these, which a graph must not."""


class Recorder(Protocol):
    """Something that records work on a device."""

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        """Run `work` and return what replays it, and its result, which every replay overwrites.

        `work` reads nothing back to the host. Raises whatever the device does when it cannot be recorded.
        """
        ...


class CudaRecorder:
    """CUDA graphs of the current device. Used by one thread."""

    def __init__(self) -> None:
        """Begin a pool of memory."""
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no types for it

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        """Record `work`; see `Recorder`."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use CUDA meanwhile, e.g. another model's; only this one must not.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result


class Rerun:
    """What stands for graphs on a device that has none: a replay runs the work again, over the same memory.

    No faster than running it, but all that is around a graph can be tried.
    """

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        """Run `work` now and at every replay; see `Recorder`."""
        result = work()

        def replay() -> None:
            result.copy_(work())

        return replay, result
