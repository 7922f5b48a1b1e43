"""The bi-encoder: late interaction by kernels and graphs beside the same text by text, on the same device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu.report import Report, Stopped
from benchmarks.gpu.subject import Subject
from benchmarks.gpu.timing import wall_seconds
from benchmarks.workload import Source

ALLOWED = {"fp32": 1e-4, "fp16": 0.02, "bf16": 0.1}
"""How far two scores between -1.5 and 1.5 may be apart."""


def measure(
    report: Report, subject: Subject, source: Source, work: Path, *, texts: int, seconds: float
) -> dict[str, Any]:
    """Compare scores, then time both on one search.

    Raises:
        Stopped: the scores differ.
    """
    packed, by_text = subject.bi_encoders(work)
    search = source.search(texts, is_long=False)
    pairs = packed.tokenize(search.query, search.texts)
    error = max(abs(a - b) for a, b in zip(packed.forward(pairs), by_text.forward(pairs), strict=True))
    if not error <= ALLOWED[packed.facts.dtype]:
        raise Stopped(f"scores differ by {error:.3g}")
    rows, found = [], {"max_error": error, "kernels": packed.runner.operations.name}
    for name, model in (("packed, recorded", packed), ("text by text", by_text)):
        spread = wall_seconds(lambda model=model: model.forward(pairs), seconds=seconds / 2)  # type: ignore[misc]
        found[name] = {"ms": spread.median * 1e3, "pairs_per_second": texts / spread.median}
        rows.append([name, f"{spread.median * 1e3:.2f}", f"{texts / spread.median:,.0f}"])
    report.table([f"late interaction, k={texts}", "ms", "pairs/s"], rows)
    report.say(f"Scores differ by {error:.2g} at most.")
    return found
