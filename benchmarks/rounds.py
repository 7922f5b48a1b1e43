"""Taking turns: A B C A B C, so that whatever else the machine does hits all alike.

Law: figures are medians over the rounds with the least and the greatest beside them; a ratio is the median of the
ratios within a round, which holds on a machine whose speed changes from round to round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> Spread:
        """Summarise figures, at least one."""
        found = list(figures)
        return cls(statistics.median(found), min(found), max(found))

    def text(self, digits: int = 1) -> str:
        """Return "median (least - greatest)"."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} - {self.greatest:,.{digits}f})"


def alternate(names: Sequence[str], rounds: int, run: Callable[[str, int], Value]) -> dict[str, list[Value]]:
    """Return what `run(name, round)` gives, in turns."""
    results: dict[str, list[Value]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            results[name].append(run(name, number))
    return results


def ratio(figures: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Return `figures` / `baseline` round by round."""
    return Spread.of(figure / base for figure, base in zip(figures, baseline, strict=True))
