"""What a scorer counts of its work, for those who watch it.

Law: numbers by name, and no words: no query, no text, no caller. Names are those of the dataclasses that count
(`SchedulerStatistics` and what a model adds); whoever shows them picks the ones it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol, TypeAlias, runtime_checkable

Figures: TypeAlias = Mapping[str, float]


@runtime_checkable
class CountsWork(Protocol):
    """A scorer that counts."""

    async def figures(self) -> Figures:
        """Return what it has counted so far.

        Raises:
            RerankUnavailable: the scorer cannot be asked.
        """
        ...


@runtime_checkable
class CountsFurther(Protocol):
    """A PairModel with figures of its own, such as those of a cache."""

    def figures(self) -> Figures:
        """Return what it has counted so far. Thread-safe."""
        ...


def of(statistics: Any) -> dict[str, float]:
    """Return the numbers of a dataclass; what is None is left out."""
    return {name: float(value) for name, value in asdict(statistics).items() if value is not None}
