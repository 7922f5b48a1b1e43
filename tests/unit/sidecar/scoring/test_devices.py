"""Where a model runs: what is asked for, or a refusal in words."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring import devices
from sidecar.scoring.devices import (
    Placement,
    cpu_quota,
    is_faster,
    keep_to_quota,
    let_waiting_threads_sleep,
    place,
)

MEASURE = devices._is_bf16_faster


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


@pytest.fixture(autouse=True)
def bf16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine computes fastest changes no test."""
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: False)


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_it_is_the_cpu() -> None:
    """In fp32, unless bf16 is worth it."""
    assert place("auto", "auto") == Placement("cpu", "fp32")
    assert place("cpu", "fp32").torch_dtype is torch.float32


@pytest.mark.parametrize(("speed", "expected"), [(0.4, "fp32"), (1.2, "fp32"), (1.6, "bf16"), (5.0, "bf16")])
def test_bf16_is_chosen_unasked_only_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, speed: float, expected: str
) -> None:
    """What lies between is noise, and would change from one start to the next."""
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: speed > by)
    assert place("cpu", "auto").dtype == expected
    assert place("cpu", "auto", may_round=False).dtype == "fp32"
    assert place("cpu", "fp32").dtype == "fp32"


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
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: is_faster)
    assert place("cpu", "bf16").dtype == expected


def test_the_measurement_of_bf16_works() -> None:
    """Whatever this CPU is, there is an answer, and nothing is a million times as fast."""
    assert MEASURE() in (True, False)
    assert not MEASURE(by=1e6)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/pod/one", {"pod/one/cpu.max": "max 100000", "pod/cpu.max": "200000 100000"}, 2.0),
        ("0::/pod/one", {"pod/one/cpu.max": "50000 100000", "pod/cpu.max": "200000 100000"}, 0.5),
        ("4:cpu,cpuacct:/docker/x", {"cpu,cpuacct/cpu.cfs_quota_us": "300000"}, 3.0),
        ("4:cpu,cpuacct:/docker/x", {"cpu,cpuacct/docker/x/cpu.cfs_quota_us": "-1"}, None),
        ("3:memory:/x", {"memory/cpu.cfs_quota_us": "100000"}, None),
        ("0::/", {"cpu.max": "damaged"}, None),
    ],
)
def test_the_quota_of_a_container_is_read(
    tmp_path: Path, own: str, files: dict[str, str], expected: float | None
) -> None:
    """Control groups of both versions; the tightest bound on the way up holds."""
    (tmp_path / "own").write_text(f"{own}\n")
    for name, content in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
        (path.parent / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(tmp_path / "groups", tmp_path / "own") == expected


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    """As on other systems."""
    assert cpu_quota(tmp_path, tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("quota", "environment", "expected"),
    [(None, {}, 8), (2.0, {}, 2), (2.7, {}, 2), (0.5, {}, 1), (64.0, {}, 8), (2.0, {"OMP_NUM_THREADS": "8"}, 8)],
)
def test_threads_keep_to_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, environment: dict[str, str], expected: int
) -> None:
    """Rounded down, at least one, never more than torch would take, and the user's word stands."""
    threads = 8

    def change(count: int) -> None:
        nonlocal threads
        threads = count

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", change)
    monkeypatch.setattr(devices, "cpu_quota", lambda: quota)
    keep_to_quota()
    assert threads == expected


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
