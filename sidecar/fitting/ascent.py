"""The weights with the highest mean nDCG@10, by coordinate ascent, and an interval for each by the bootstrap.

Laws: the weights of the model and of the first stage are shares of 1, so that all weights have the scale of a policy's;
weights are looked for on a grid, so that what is found can be written down and is not finer than judgments tell. The
weights in force are one of the starts, and stay unless others are better. Resampling is seeded.

*Sources:* Metzler, Croft, "Linear Feature-Based Models for Information Retrieval", Information Retrieval 10, 2007;
Breiman, "Bagging Predictors", Machine Learning 24, 1996.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.fitting.lists import Lists

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARES: Final = tuple(step / 50 for step in range(51))
"""Of the model."""

STEPS: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""A signal's weight, in such units that its values lie as far apart as a z-score's do."""

RESAMPLES: Final = 200
_BETTER_BY: Final = 1e-9

Point = tuple[float, ...]
"""The model's share, and the weight of each signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What was found: the best point, and the 95 % interval of each of its numbers."""

    point: Point
    intervals: tuple[tuple[float, float], ...]


def weights(point: Point) -> Point:
    """Return the weight of every term: model, first stage, signals."""
    share, *signals = point
    return (share, 1 - share, *signals)


def fit(lists: Lists, start: Point, *, resamples: int = RESAMPLES, seed: int = 0) -> Fit:
    """Return weights for some lists; `start` are those in force.

    What is returned is the middle of what is best on each resample, which depends less on single queries than what is
    best on all; `start` where that is no better on all.
    """
    import numpy as np

    values = _Values(lists)
    axes = (SHARES, *(_grid(spread) for spread in lists.spreads()[2:]))
    plain = tuple(0.0 for _ in start[1:])
    starts = [start, (0.9, *plain), (0.5, *plain)]
    best = max((_ascend(values.mean, point, axes) for point in starts), key=values.mean)
    random = np.random.default_rng(seed)
    count = len(lists.queries)
    found = []
    for _ in range(resamples):
        drawn = np.bincount(random.integers(count, size=count), minlength=count)
        found.append(_ascend(partial(values.mean, drawn=drawn), best, axes))
    low, middle, high = np.percentile(np.array(found), [2.5, 50, 97.5], axis=0, method="nearest")
    point = tuple(map(float, middle))
    return Fit(
        point=point if values.mean(point) > values.mean(start) + _BETTER_BY else start,
        intervals=tuple((float(least), float(most)) for least, most in zip(low, high, strict=True)),
    )


class _Values:
    """nDCG@10 of every query by point, each computed once."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._known: dict[Point, NDArray[np.float64]] = {}

    def mean(self, point: Point, drawn: NDArray[np.int64] | None = None) -> float:
        """Return the mean over the queries, each counted as often as it was drawn."""
        if point not in self._known:
            self._known[point] = self._lists.ndcg(weights(point))
        values = self._known[point]
        return float(values.mean() if drawn is None else drawn @ values / drawn.sum())


def _ascend(value: Callable[[Point], float], start: Point, axes: Sequence[Sequence[float]]) -> Point:
    """Return a point that no change of one of its numbers makes better."""
    best, height, has_moved = start, value(start), True
    while has_moved:
        has_moved = False
        for axis, numbers in enumerate(axes):
            for number in numbers:
                other = (*best[:axis], number, *best[axis + 1 :])
                found = value(other)
                if found > height + _BETTER_BY:
                    best, height, has_moved = other, found, True
    return best


def _grid(spread: float) -> tuple[float, ...]:
    """Return the weights that a signal may have, in two digits; but 0 none where its values are all the same."""
    if spread < _BETTER_BY:
        return (0.0,)
    positive = [float(f"{step / spread:.2g}") for step in STEPS]
    return tuple(sorted({0.0, *positive, *(-number for number in positive)}))
