"""Before against after, query by query.

Law: all differences are after minus before on the same queries. Resampling is seeded: the same values give the same
intervals.

*Source:* paired randomisation (sign-flip) test and bootstrap interval as Smucker, Allan, Carterette, "A Comparison of
Statistical Significance Tests for Information Retrieval Evaluation", CIKM 2007, describe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES: Final = 10_000
SEED: Final = 20_070
TIE: Final = 1e-9
"""A smaller difference is none: measures are sums of floating-point numbers."""

_BLOCK: Final = 1_000_000
"""Numbers that are drawn at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One measure of two systems on the same queries."""

    #: after minus before, by query
    deltas: Mapping[str, float]
    mean: float
    #: 95 % bootstrap interval of the mean difference
    interval: tuple[float, float]
    #: two-sided paired randomisation test of "no difference"
    p_value: float
    wins: int
    losses: int
    ties: int

    def worst(self, count: int) -> list[str]:
        """Return the queries that lost, those that lost most first, at most `count`."""
        lost = [query for query, delta in self.deltas.items() if delta < -TIE]
        return sorted(lost, key=lambda query: self.deltas[query])[:count]


def compare(before: Mapping[str, float], after: Mapping[str, float]) -> Comparison:
    """Return the comparison of two systems' values of one measure, by query."""
    import numpy as np

    deltas = {query: after[query] - value for query, value in before.items()}
    values = np.array(list(deltas.values()))
    wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
    return Comparison(
        deltas=deltas,
        mean=float(values.mean()),
        interval=_interval(values),
        p_value=_p_value(values),
        wins=wins,
        losses=losses,
        ties=len(values) - wins - losses,
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    import numpy as np

    random = np.random.default_rng(SEED)
    means = np.concatenate(
        [random.choice(values, size=(count, len(values))).mean(axis=1) for count in _blocks(len(values))]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _p_value(values: NDArray[np.float64]) -> float:
    """Return how often random signs give a mean as far from 0 as the true one, which counts as one of them."""
    import numpy as np

    random = np.random.default_rng(SEED)
    observed = abs(float(values.sum())) - TIE
    as_far = sum(
        int((np.abs(random.choice((-1.0, 1.0), size=(count, len(values))) @ values) >= observed).sum())
        for count in _blocks(len(values))
    )
    return (as_far + 1) / (SAMPLES + 1)


def _blocks(queries: int) -> list[int]:
    """Return how many samples to draw at a time."""
    size = max(1, min(SAMPLES, _BLOCK // max(1, queries)))
    return [min(size, SAMPLES - start) for start in range(0, SAMPLES, size)]
