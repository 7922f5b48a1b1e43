"""How far two rankings agree, which can be told without judgments."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

PERSISTENCE: Final = 0.9
"""RBO's p: the first ten ranks have 86 % of the weight."""


def jaccard(left: Sequence[Hashable], right: Sequence[Hashable], depth: int = 10) -> float:
    """Return the share of documents that both have among their first `depth`; 1 for two empty rankings."""
    first, second = set(left[:depth]), set(right[:depth])
    return len(first & second) / len(first | second) if first or second else 1.0


def rbo(left: Sequence[Hashable], right: Sequence[Hashable], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two rankings without repetitions, 0 to 1.

    *Source:* Webber, Moffat, Zobel, "A similarity measure for indefinite rankings", ACM TOIS 2010, equation 32; of
    rankings of unequal length the common depth counts.
    """
    depth = min(len(left), len(right))
    if depth == 0:
        return 1.0 if len(left) == len(right) else 0.0
    seen_left: set[Hashable] = set()
    seen_right: set[Hashable] = set()
    common = 0
    total = 0.0
    for rank, (one, other) in enumerate(zip(left, right, strict=False), start=1):
        common += (one == other) + (one in seen_right) + (other in seen_left)
        seen_left.add(one)
        seen_right.add(other)
        total += common / rank * p**rank
    return (1 - p) / p * total + common / depth * p**depth
