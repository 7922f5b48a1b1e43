"""On which device, in which precision and with how many threads a model runs.

Law: what was asked for is what runs, or loading fails with words; the one exception, bf16 on a CPU, is used only
where it is measured to be faster, since on many CPUs it is slower by a factor.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.errors import ModelFailed

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_SPINS: Final = "1000"
"""Turns of the loop in which OpenMP's threads wait before they sleep. By default they wait for 300,000, and when
anything else wants a core of theirs every step of a forward waits for that: measured on two cores with one neighbour, a
fifth of the speed of a single thread. With 1,000 turns nothing is lost on an idle machine."""

_CLEARLY: Final = 1.5
"""How many times faster bf16 must be to be chosen unasked. CPUs that compute in bf16 reach 2 to 6 times the speed of
fp32, others a fraction of it: what lies between is noise, and would differ from one start to the next."""

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")

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


def place(device: str, dtype: str, *, may_round: bool = True) -> Placement:
    """Return where a model runs: "auto" is CUDA in fp16 where there is one, else the CPU.

    On a CPU, the precision "auto" is bf16 where that is clearly faster and the model `may_round`, else fp32.

    Raises:
        ModelFailed: there is no such device or precision here.
    """
    where = _device(device)
    if dtype not in DTYPES:
        raise ModelFailed(f"dtype: got {dtype!r}, expected one of {', '.join(DTYPES)}")
    is_cuda = where != "cpu"
    if dtype == "auto" and is_cuda:
        return Placement(where, "fp16")
    if dtype == "auto":
        return Placement(where, "bf16" if may_round and _is_bf16_faster(by=_CLEARLY) else "fp32")
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


def keep_to_quota() -> None:
    """Let torch compute with no more threads than this process has cores; the user's own word stands.

    Threads beyond the quota of a container stop each other: its time is used up early in every tenth of a second.
    """
    import torch

    if "OMP_NUM_THREADS" in os.environ:
        return
    quota = cpu_quota()
    if quota is not None and quota < torch.get_num_threads():
        torch.set_num_threads(max(1, int(quota)))


def cpu_quota(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> float | None:
    """Return how many cores' time the control groups of this process allow, None where there is no bound."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        folder = cgroups / controllers if controllers else cgroups
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = folder / path.lstrip("/")
        quotas += [_quota(place) for place in (group, *group.parents) if place.is_relative_to(folder)]
    return min((quota for quota in quotas if quota is not None), default=None)


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


def _quota(group: Path) -> float | None:
    """Return a control group's own bound: `cpu.max` of version 2, two files of version 1."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError):
        return None


def _is_bf16_faster(*, by: float = 1.0) -> bool:
    import torch

    x, weight = torch.ones(256, 384), torch.ones(1536, 384)
    half_x, half_weight = x.bfloat16(), weight.bfloat16()
    with torch.inference_mode():
        multiply = torch.nn.functional.linear
        return is_faster(lambda: multiply(half_x, half_weight), lambda: multiply(x, weight), by=by)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
