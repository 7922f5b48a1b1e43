"""Are a system's scores right? The gate that stands before every speed.

The reference is transformers in fp32, on the same texts in the same run. Law: who fails gets no speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a system must reach in its precision."""

    max_error: float
    tau: float
    top10: float


BARS = {
    "fp32": Bar(max_error=1e-4, tau=0.999, top10=0.99),
    "fp16": Bar(max_error=0.05, tau=0.99, top10=0.97),
    "bf16": Bar(max_error=0.2, tau=0.99, top10=0.97),
    "int8": Bar(max_error=float("inf"), tau=0.99, top10=0.97),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A system's scores beside the reference: the worst logit, and the mean over searches of the other two."""

    max_error: float
    #: Kendall's tau over the texts of a search: 1 = the same order
    tau: float
    #: share of the reference's ten best that are among the system's ten best
    top10: float

    def failure(self, precision: str) -> str:
        """Return in words what is missed of the bar for `precision`, "" when all is reached."""
        bar = BARS[precision]
        missed = [
            f"max error {self.max_error:.2g} > {bar.max_error:g}" if self.max_error > bar.max_error else "",
            f"tau {self.tau:.4f} < {bar.tau}" if self.tau < bar.tau else "",
            f"top-10 overlap {self.top10:.3f} < {bar.top10}" if self.top10 < bar.top10 else "",
        ]
        return ", ".join(filter(None, missed))


def compare(scores: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> Accuracy:
    """Return how near the `scores` of searches are to the `reference`; both have one list per search.

    Raises:
        ValueError: not as many scores as texts, or one that is no finite number.
    """
    pairs = [
        (np.asarray(mine, dtype=float), np.asarray(theirs, dtype=float))
        for mine, theirs in zip(scores, reference, strict=True)
    ]
    for mine, theirs in pairs:
        if mine.shape != theirs.shape or not np.isfinite(mine).all():
            raise ValueError(f"{mine.shape[0]} scores for {theirs.shape[0]} texts, or one that is no number")
    return Accuracy(
        max_error=max(float(np.abs(mine - theirs).max()) for mine, theirs in pairs),
        tau=float(np.mean([kendall_tau(mine, theirs) for mine, theirs in pairs])),
        top10=float(np.mean([overlap(mine, theirs) for mine, theirs in pairs])),
    )


def kendall_tau(mine: Scores, theirs: Scores) -> float:
    """Return (concordant - discordant) / all pairs of texts; 1.0 for a single text.

    *Source:* Kendall (1938), A New Measure of Rank Correlation (tau-a).
    """
    count = len(mine)
    if count < 2:
        return 1.0
    agreement = np.sign(mine[:, None] - mine[None, :]) * np.sign(theirs[:, None] - theirs[None, :])
    return float(agreement.sum() / (count * (count - 1)))


def overlap(mine: Scores, theirs: Scores, top: int = TOP) -> float:
    """Return the share of the `top` best of `theirs` that are among the `top` best of `mine`."""
    best = set(np.argsort(-theirs, kind="stable")[:top])
    return len(best.intersection(np.argsort(-mine, kind="stable")[:top])) / len(best)
