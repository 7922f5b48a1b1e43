"""Where a model runs: what is asked for, or a refusal in words."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

import pytest
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring import devices
from sidecar.scoring.devices import Placement, is_faster, let_waiting_threads_sleep, place


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there are two CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there is none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_it_is_the_cpu_in_fp32() -> None:
    """Exact by default."""
    assert place("auto", "auto") == Placement("cpu", "fp32")
    assert place("cpu", "fp32").torch_dtype is torch.float32


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("auto", "auto", Placement("cuda", "fp16")),
        ("cuda:1", "bf16", Placement("cuda:1", "bf16")),
        ("cuda", "fp32", Placement("cuda", "fp32")),
        ("cpu", "auto", Placement("cpu", "fp32")),
    ],
)
def test_with_cuda_it_is_fp16_unless_told_otherwise(device: str, dtype: str, expected: Placement) -> None:
    """What is asked for is what runs."""
    assert place(device, dtype) == expected
    assert expected.kind == expected.device.partition(":")[0]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("device", "dtype", "words"),
    [
        ("tpu", "auto", "device: got 'tpu', expected auto, cpu, cuda or cuda:N"),
        ("cuda:x", "auto", "device: got 'cuda:x'"),
        ("cuda:2", "auto", "torch sees 2 CUDA devices"),
        ("cpu", "int8", "dtype: got 'int8', expected one of auto, fp32, bf16, fp16"),
        ("cpu", "fp16", "fp16 on a CPU"),
    ],
)
def test_what_is_not_there_is_refused_in_words(device: str, dtype: str, words: str) -> None:
    """The message says what there is."""
    with pytest.raises(ModelFailed, match=words):
        place(device, dtype)


@pytest.mark.usefixtures("no_cuda")
def test_no_cuda_device_is_said_so() -> None:
    """An explicit wish never ends up on the CPU in silence."""
    with pytest.raises(ModelFailed, match="torch sees 0 CUDA devices"):
        place("cuda", "auto")


@pytest.mark.parametrize(("is_faster", "expected"), [(True, "bf16"), (False, "fp32")])
def test_bf16_on_a_cpu_is_used_only_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, is_faster: bool, expected: str
) -> None:
    """It is measured; the placement says what it is."""
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda: is_faster)
    assert place("cpu", "bf16").dtype == expected


def test_the_measurement_of_bf16_works() -> None:
    """Whatever this CPU is, there is an answer."""
    assert devices._is_bf16_faster() in (True, False)


def test_faster_is_judged_by_the_best_of_alternating_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow run does not count, and a small advantage is none where a clear one is asked for."""
    now = 0.0

    def takes(*seconds: float) -> Callable[[], None]:
        durations = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def run() -> None:
            nonlocal now
            now += next(durations)

        return run

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert is_faster(takes(9.0, 9.0, 1.0), takes(1.1))
    assert not is_faster(takes(1.0), takes(1.1), by=1.2)
    assert is_faster(takes(1.0), takes(2.0), by=1.2)
    assert not is_faster(takes(1.0), takes(1.0))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_openmp_is_asked_not_to_spin_unless_the_user_has_a_word(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    """A neighbour on our cores must not stop us."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    let_waiting_threads_sleep()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
