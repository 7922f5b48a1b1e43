"""Are the scores right on this device? The gate before every speed.

The reference is transformers in fp32 with its own attention, on the same texts, on the same device without tf32.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import torch

from benchmarks.accuracy import BARS, Accuracy, compare
from benchmarks.gpu.peers import Transformers
from benchmarks.gpu.report import Report, Stopped
from benchmarks.gpu.subject import Subject
from benchmarks.workload import Search, Source
from sidecar.scoring.cuda.models import CudaCrossEncoder

Score = Callable[[Search], list[float]]

ODD_TEXTS: Final = ("", "a", "京都", "word " * 2000)
"""Nothing, one token, unknown ones, and more than the model reads. No two are alike to a model: ties have no order."""

REPEATABLE: Final = {"fp32": 1e-4, "fp16": 0.02, "bf16": 0.2}
"""How far a score alone may be from the same score within a batch, where logits spread by 2."""


def searches(source: Source, *, texts: int, count: int) -> list[Search]:
    """Return searches of usual and of long texts, with the odd ones among them."""
    found = [source.search(texts, is_long=False) for _ in range(count - 1)]
    long = source.search(max(2, texts // 5), is_long=True)
    odd = Search(found[0].query, (*ODD_TEXTS, *found[0].texts))
    return [odd, *found[1:], long]


def reference(subject: Subject, work: Sequence[Search]) -> list[list[float]]:
    """Return the scores that count as right."""
    torch.backends.cuda.matmul.allow_tf32 = False
    model = Transformers(
        subject.folder, device=subject.device, dtype="fp32", max_length=subject.max_length, attention="eager"
    )
    model.batch_size = 32
    return [model.score_one(search) for search in work]


def gate(
    report: Report,
    systems: dict[str, tuple[Score, str]],
    work: Sequence[Search],
    right: Sequence[Sequence[float]],
    *,
    dtype: str,
) -> dict[str, Any]:
    """Compare every system's scores with the right ones: by name, what they are off by, and in words what is missed.

    `systems` has the precision of each, `dtype` is ours.
    """
    rows = []
    found: dict[str, Any] = {}
    for name, (score, precision) in systems.items():
        try:
            accuracy = compare([score(search) for search in work], right)
        except Exception as error:  # noqa: BLE001  # a system that fails has no scores; the others have
            found[name] = {"failure": f"{type(error).__name__}: {error}"}
            rows.append([name, precision, "-", "-", "-", found[name]["failure"][:60]])
            continue
        failure = accuracy.failure(precision)
        found[name] = asdict(accuracy) | {"dtype": precision, "failure": failure}
        rows.append([name, precision, *_cells(accuracy), failure or "right"])
    report.table(["scores", "precision", "max error", "tau", "top-10", ""], rows)
    report.say(f"{sum(map(len, right))} pairs of {len(work)} queries; {dtype} must reach {BARS[dtype]}.")
    return found


def invariants(report: Report, model: CudaCrossEncoder, work: Sequence[Search]) -> dict[str, Any]:
    """Check that a score depends on its pair alone: not on its batch, its place, its room, or what ran before.

    Raises:
        Stopped: it does.
    """
    pairs = [pair for search in work for pair in model.tokenize(search.query, search.texts)]
    scores = model.forward(pairs)
    allowed = REPEATABLE[model.facts.dtype]
    rng = random.Random(1)
    order = rng.sample(range(len(pairs)), len(pairs))
    permuted = model.forward([pairs[place] for place in order])
    few = order[: min(40, len(order))]
    alone = [model.forward([pairs[place]])[0] for place in few]
    twice = [model.forward(pairs) == scores for _ in range(3)]
    half = len(pairs) // 2
    staged = [model.prepare(pairs[:half], slot=0), model.prepare(pairs[half:], slot=1)]
    slots = [score for batch in staged for score in model.run(batch)]
    off = {
        "permuted": _off(permuted, [scores[place] for place in order]),
        "alone": _off(alone, [scores[place] for place in few]),
        "in two slots": _off(slots, scores),
    }
    report.table(["a score and the same score", "differ by at most"], [[name, f"{x:.2g}"] for name, x in off.items()])
    report.say(f"Run again, {sum(twice)} of 3 times bit for bit the same.")
    if wrong := [name for name, error in off.items() if not error <= allowed]:
        raise Stopped(f"a score is not its pair's alone: {', '.join(wrong)}, at most {allowed} is rounding")
    return {"differences": off, "allowed": allowed, "identical_runs": sum(twice)}


def _off(mine: Sequence[float], theirs: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(mine, theirs, strict=True))


def _cells(accuracy: Accuracy) -> list[str]:
    return [f"{accuracy.max_error:.2g}", f"{accuracy.tau:.4f}", f"{accuracy.top10:.3f}"]
