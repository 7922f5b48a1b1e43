"""On which device and in which precision a model runs.

Law: what was asked for is what runs, or loading fails with words; the one exception, bf16 on a CPU, is used only
where it is measured to be faster, since on many CPUs it is slower by a factor.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sidecar.errors import ModelFailed

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_SPINS: Final = "1000"
"""Turns of the loop in which OpenMP's threads wait before they sleep. By default they wait for 300,000, and when
anything else wants a core of theirs every step of a forward waits for that: measured on two cores with one neighbour, a
fifth of the speed of a single thread. With 1,000 turns nothing is lost on an idle machine."""

DTYPES: Final = ("auto", "fp32", "bf16", "fp16")
DEVICES: Final = "auto, cpu, cuda or cuda:N"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs. `device` is torch's word ("cpu", "cuda:0"), `dtype` ours ("fp32", "bf16", "fp16")."""

    device: str
    dtype: str

    @property
    def kind(self) -> str:
        """The kind of device alone: "cpu" or "cuda"."""
        return self.device.partition(":")[0]

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision in torch's words."""
        import torch

        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.dtype]


def place(device: str, dtype: str) -> Placement:
    """Return where a model runs: "auto" is CUDA in fp16 where there is one, else the CPU in fp32.

    Raises:
        ModelFailed: there is no such device or precision here.
    """
    where = _device(device)
    if dtype not in DTYPES:
        raise ModelFailed(f"dtype: got {dtype!r}, expected one of {', '.join(DTYPES)}")
    is_cuda = where != "cpu"
    if dtype == "auto":
        return Placement(where, "fp16" if is_cuda else "fp32")
    if not is_cuda and dtype == "fp16":
        raise ModelFailed("dtype: fp16 on a CPU is slower than fp32 and less exact; use fp32 or bf16")
    if not is_cuda and dtype == "bf16" and not _is_bf16_faster():
        log.warning("bf16 not used reason=slower than fp32 on this CPU")
        return Placement(where, "fp32")
    return Placement(where, dtype)


def let_waiting_threads_sleep() -> None:
    """Ask OpenMP not to spin for long; the user's own word stands. Has effect only before torch is first imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def is_faster(new: Callable[[], object], old: Callable[[], object], *, by: float = 1.0, rounds: int = 5) -> bool:
    """Whether the best run of `new` is more than `by` times as fast as that of `old`. Both run once before."""
    new(), old()
    times = [(_seconds(new), _seconds(old)) for _ in range(rounds)]
    return min(time for time, _ in times) * by < min(time for _, time in times)


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    name, _, number = device.partition(":")
    if device == "cpu":
        return device
    if name != "cuda" or (number and not number.isdecimal()):
        raise ModelFailed(f"device: got {device!r}, expected {DEVICES}")
    if not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count():
        raise ModelFailed(f"device: got {device!r}, but torch sees {torch.cuda.device_count()} CUDA devices here")
    return device


def _is_bf16_faster() -> bool:
    import torch

    x, weight = torch.ones(256, 384), torch.ones(1536, 384)
    half_x, half_weight = x.bfloat16(), weight.bfloat16()
    with torch.inference_mode():
        multiply = torch.nn.functional.linear
        return is_faster(lambda: multiply(half_x, half_weight), lambda: multiply(x, weight))


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
