"""What the device itself needs: by its own events, without the host.

One pass over a batch in its room is timed recorded and not, in rooms of every size, then with single kernels switched
on and off, then kernel by kernel; and the matrix products alone, which are what cannot be saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch.nn import functional

from benchmarks.gpu.report import Report
from benchmarks.gpu.subject import REHEARSED, Make, Subject
from benchmarks.gpu.timing import device_seconds
from benchmarks.rounds import Spread
from benchmarks.workload import Source
from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.models import CudaCrossEncoder
from sidecar.scoring.cuda.operations import (
    DENSE_TILES,
    PLAIN,
    Operations,
    Tiles,
    triton_operations,
    with_varlen,
)
from sidecar.scoring.cuda.rooms import Room, standard_rooms
from sidecar.scoring.cuda.staging import Part

REPEATED: Final = 8
"""How often a matrix product is run for one measurement."""

WORST: Final = 0.05
"""A variant whose scores are further off than this, where logits spread by 2, gets no time."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """One pass's work."""

    name: str
    part: Part

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return len(self.part.ids)


def loads(subject: Subject, model: CudaCrossEncoder, source: Source, *, is_quick: bool) -> list[Load]:
    """Return one search of 100 usual texts, as many of these as fill a pass, and long ones that do."""
    usual = source.search(10 if is_quick else 100, is_long=False)
    many = source.search(30 if is_quick else 450, is_long=False)
    long = source.search(3 if is_quick else 70, is_long=True)

    def load(name: str, pairs: Sequence[TokenPair]) -> Load:
        return Load(name, next(iter(subject.packer.parts(pairs, model.runner.largest))))

    return [
        load(f"k={len(usual.texts)}", model.tokenize(usual.query, usual.texts)),
        load("a full pass", model.tokenize(many.query, many.texts)),
        load("a full pass, 512 tokens each", model.tokenize(long.query, long.texts)),
    ]


def passes(report: Report, subject: Subject, model: CudaCrossEncoder, work: Sequence[Load]) -> dict[str, Any]:
    """Time a pass by what the program has chosen, recorded and one by one."""
    report.say(f"Chosen here: {model.runner.operations.name}; {len(model.runner.recorded)} rooms are recorded.\n")
    eager = subject.runner(model.runner.operations, model.runner.largest)
    rows, found = [], {}
    for load in work:
        for name, runner in (("recorded", model.runner), ("one by one", eager)):
            (staged,) = runner.stage([load.part])
            spread = device_seconds(partial(runner.launch, staged), device=subject.device)
            figures = _figures(subject, load, spread)
            found[f"{load.name}, {name}"] = figures | {"room": staged.room.tokens}
            rows.append([f"{load.name}, {name}", f"{load.part.scores}", f"{load.tokens:,}", f"{staged.room.tokens:,}"])
            rows[-1] += _cells(figures)
    report.table(["one pass on the device", "pairs", "tokens", "room", "ms", "pairs/s", "TFLOP/s"], rows)
    return found


def rooms(report: Report, subject: Subject, model: CudaCrossEncoder, source: Source) -> dict[str, Any]:
    """Time full passes of every size: how large a batch must be."""
    search = source.search(450, is_long=False)
    pairs = model.tokenize(search.query, search.texts)
    rows, found = [], {}
    for room in reversed(list(model.runner.recorded)):
        load = Load(f"{room.tokens:,}", next(iter(subject.packer.parts(pairs, room))))
        (staged,) = model.runner.stage([load.part], room=room)
        spread = device_seconds(partial(model.runner.launch, staged), device=subject.device, rounds=15)
        found[load.name] = _figures(subject, load, spread)
        rows.append([load.name, f"{load.part.scores}", *_cells(found[load.name])])
    report.table(["tokens of the room", "pairs", "ms", "pairs/s", "TFLOP/s"], rows)
    return found


def variants(report: Report, subject: Subject, largest: Room, work: Sequence[Load]) -> dict[str, Any]:
    """Time passes with single kernels switched off, or cut otherwise: what each of them gains."""
    plain = subject.runner(PLAIN, largest)
    expected = [plain.run(plain.stage([load.part])) for load in work]
    rows: list[list[str]] = []
    found: dict[str, dict[str, Any]] = {}
    base: dict[str, float] = {}
    for name, make in _variants(is_rehearsal=subject.is_rehearsal):
        cells: list[str] = []
        found[name] = {}
        for load, scores in zip(work, expected, strict=True):
            try:
                spread, error = _variant(subject, make(), load, scores, largest)
            except Exception as failure:  # noqa: BLE001  # a kernel that does not compile here is a result
                found[name][load.name] = {"failure": f"{type(failure).__name__}: {failure}"[:400]}
                cells += ["fails", ""]
                continue
            found[name][load.name] = _figures(subject, load, spread) | {"max_error": error}
            base.setdefault(load.name, spread.median)
            is_right = error <= WORST
            cells += (
                [f"{spread.median * 1e3:.3f}", f"{spread.median / base[load.name]:.3f}"] if is_right else ["wrong", ""]
            )
        rows.append([name, *cells])
        if report.seconds_left < 20:
            break
    heads = [cell for load in work for cell in (f"{load.name}, ms", "ratio")]
    report.table(["one pass, recorded", *heads], rows)
    return found


def kernels(report: Report, subject: Subject, model: CudaCrossEncoder, load: Load) -> dict[str, Any]:
    """List the kernels of one pass by the time that they take, as torch's profiler sees them."""
    from torch.profiler import ProfilerActivity, profile

    runner = subject.runner(model.runner.operations, model.runner.largest)
    (staged,) = runner.stage([load.part])
    runner.launch(staged)
    kind = ProfilerActivity.CPU if subject.is_rehearsal else ProfilerActivity.CUDA
    with profile(activities=[kind]) as profiler:
        runner.launch(staged)
        if not subject.is_rehearsal:
            torch.cuda.synchronize()
    times: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in profiler.events() or ():
        times[event.name] += event.self_cpu_time_total if subject.is_rehearsal else event.self_device_time_total
        calls[event.name] += 1
    total = sum(times.values()) or 1.0
    found = {name: {"us": round(time, 1), "calls": calls[name]} for name, time in times.most_common(20) if time > 0}
    rows = [
        [name[:60], f"{each['calls']}", f"{each['us']:.1f}", f"{each['us'] / total:.1%}"]
        for name, each in found.items()
    ]
    report.table([f"kernels of {load.name}", "calls", "us", "share"], rows)
    return found


def ceilings(report: Report, subject: Subject) -> dict[str, Any]:
    """Time the four matrix products of a layer alone, and a copy: no pass can be faster than these."""
    shapes = {"query, key, value": (384, 1152), "attention out": (384, 384), "up": (384, 1536), "down": (1536, 384)}
    dtype = subject.placement.torch_dtype
    rows, found = [], {}
    for tokens in (512,) if subject.is_rehearsal else (2048, 8192, 32_768):
        for name, (inputs, outputs) in shapes.items():
            x = torch.randn(tokens, inputs, device=subject.device).to(dtype)
            weight = torch.randn(outputs, inputs, device=subject.device).to(dtype)
            bias = torch.randn(outputs, device=subject.device).to(dtype)
            # Recorded, and several in a row: launched one by one, small ones would be waited for.
            replay, _ = subject.recorder().record(partial(_repeated, partial(functional.linear, x, weight, bias)))
            seconds = device_seconds(replay, device=subject.device).median / REPEATED
            tflops = 2 * tokens * inputs * outputs / seconds / 1e12
            found[f"{name}, {tokens}"] = {"us": seconds * 1e6, "tflops": tflops}
            rows.append([name, f"{tokens:,}", f"{seconds * 1e6:.1f}", f"{tflops:.1f}"])
    report.table(["matrix product with bias", "tokens", "us", "TFLOP/s"], rows)
    numbers = torch.zeros(1 << (20 if subject.is_rehearsal else 30), dtype=torch.uint8, device=subject.device)
    spread = device_seconds(numbers.clone, device=subject.device, rounds=5)
    found["copy"] = {"gb_per_second": 2 * len(numbers) / spread.median / 1e9}
    report.say(f"A copy on the device moves {found['copy']['gb_per_second']:,.0f} GB/s, reads and writes together.")
    return found


def _repeated(work: Callable[[], torch.Tensor]) -> torch.Tensor:
    results = [work() for _ in range(REPEATED)]
    return results[-1]


def _variants(*, is_rehearsal: bool) -> Iterator[tuple[str, Make]]:
    """Yield ways to run a pass: the usual one, and each with one thing changed."""
    if is_rehearsal:
        yield "plain torch", lambda: REHEARSED
        yield "plain torch again", lambda: REHEARSED
        return
    yield "all kernels", triton_operations
    yield "without embedding", lambda: replace(triton_operations(), embed=PLAIN.embed)
    yield "without residual + norm", lambda: replace(triton_operations(), add_norm=PLAIN.add_norm)
    yield "without bias + GELU", lambda: replace(triton_operations(), dense_gelu=PLAIN.dense_gelu)
    yield "keys and values in the last layer", lambda: replace(triton_operations(), read_once=None)
    yield "FlashAttention for attention", lambda: with_varlen(triton_operations())
    yield "plain torch, FlashAttention", lambda: with_varlen(PLAIN)
    yield "product with GELU", partial(triton_operations, dense=DENSE_TILES)
    for rows in (1, 8):
        yield f"residual + norm, {rows} rows each", partial(triton_operations, dense=DENSE_TILES, norm_rows=rows)
    for tiles in (
        replace(DENSE_TILES, rows=128, warps=8),
        replace(DENSE_TILES, rows=128, columns=256, warps=8),
        replace(DENSE_TILES, rows=128),
        replace(DENSE_TILES, stages=4),
    ):
        yield f"product with GELU {_cut(tiles)}", partial(triton_operations, dense=tiles)
    for rows, step, warps, stages in ((64, 64, 4, 2), (128, 64, 8, 3), (64, 32, 4, 3), (32, 32, 2, 2)):
        tiles = Tiles(rows=rows, step=step, warps=warps, stages=stages)
        yield f"attention {_cut(tiles)}", partial(triton_operations, tiles, dense=DENSE_TILES)


def _variant(
    subject: Subject, operations: Operations, load: Load, expected: Sequence[float], largest: Room
) -> tuple[Spread, float]:
    """Return the time of a recorded pass, and how far its scores are from the expected ones."""
    room = standard_rooms(largest.longest, has_matches=False, by_length=operations.is_bound_by_longest).smallest(
        load.part.room
    )
    assert room is not None
    runner = subject.runner(operations, largest)
    runner.record([room], subject.recorder())
    staged = runner.stage([load.part])
    scores = runner.run(staged)
    error = max(abs(score - right) for score, right in zip(scores, expected, strict=True))
    return device_seconds(partial(runner.launch, staged[0]), device=subject.device), error


def _figures(subject: Subject, load: Load, spread: Spread) -> dict[str, float]:
    tokens = load.tokens
    gflop = sum(float(length) * subject.gflop_per_token(float(length)) for length in load.part.lengths)
    return {
        "ms": spread.median * 1e3,
        "least_ms": spread.least * 1e3,
        "greatest_ms": spread.greatest * 1e3,
        "pairs_per_second": load.part.scores / spread.median,
        "tokens_per_second": tokens / spread.median,
        "tflops": gflop / spread.median / 1e3,
    }


def _cells(figures: dict[str, float]) -> list[str]:
    return [f"{figures['ms']:.3f}", f"{figures['pairs_per_second']:,.0f}", f"{figures['tflops']:.1f}"]


def _cut(tiles: Tiles) -> str:
    return f"{tiles.rows}x{tiles.step}, {tiles.warps} warps, {tiles.stages} stages"
