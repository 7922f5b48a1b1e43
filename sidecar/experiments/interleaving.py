"""Two rankings of the same hits as one, so that clicks tell which of them people prefer.

Laws: both rankings hold the same hits, and so does the interleaved one, each once. A hit that both have at the same
place keeps it and is nobody's, so is one that both would pick next: what both agree on says nothing of their
difference. The coins decide everything else, and nothing but the coins: swapping the rankings and turning every coin
swaps the teams. No I/O.

*Sources:* balanced: Joachims, "Evaluating Retrieval Performance using Clickthrough Data", 2003. Team draft: Radlinski,
Kurup, Joachims, "How Does Clickthrough Data Reflect Retrieval Quality?", CIKM 2008. Both, with their credit: Chapelle,
Joachims, Radlinski, Yue, "Large-Scale Validation and Analysis of Interleaved Search Evaluation", ACM TOIS 2012.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.types import InterleaveMethod, Team

_COIN_BYTES: Final = 128
"""A coin for each round of the widest window, and as many again."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of the interleaved ranking."""

    #: the first-stage rank of its hit
    hit: int
    #: whose pick it was, None where both rankings agree
    team: Team | None = None
    #: its ranks, from 1, among the hits on which the first stage and the reranked order differ; balanced only
    ranks: tuple[int, int] | None = None


def coins(seed: bytes) -> Iterator[bool]:
    """Yield coins that are always the same for a seed."""
    for byte in hashlib.shake_128(seed).digest(_COIN_BYTES):
        for bit in range(8):
            yield bool(byte >> bit & 1)


def interleave(
    first_stage: Sequence[int], reranked: Sequence[int], method: InterleaveMethod, seed: bytes
) -> list[Slot]:
    """Return both rankings of the same hits, given by their first-stage ranks, as one.

    Raises:
        ValueError: the rankings hold different hits, or one of them twice.
    """
    if len(set(first_stage)) != len(first_stage) or sorted(first_stage) != sorted(reranked):
        raise ValueError("only rankings of the same hits can be interleaved")
    differing = [place for place, hit in enumerate(first_stage) if reranked[place] != hit]
    slots = [Slot(hit) for hit in first_stage]
    mixed = (_team_draft if method == "team_draft" else _balanced)(
        [first_stage[place] for place in differing], [reranked[place] for place in differing], coins(seed)
    )
    for place, slot in zip(differing, mixed, strict=True):
        slots[place] = slot
    return slots


def _team_draft(first_stage: Sequence[int], reranked: Sequence[int], coins: Iterator[bool]) -> list[Slot]:
    """Draft in rounds: a coin says who picks first, and each picks the best hit of its ranking that is left."""
    slots: list[Slot] = []
    taken: set[int] = set()
    picks = {Team.FIRST_STAGE: _left(first_stage, taken), Team.RERANK: _left(reranked, taken)}
    while len(slots) < len(first_stage):
        best = {team: next(left) for team, left in picks.items()}
        if best[Team.FIRST_STAGE] == best[Team.RERANK]:
            round_ = [Slot(best[Team.RERANK])]
        else:
            teams = (Team.RERANK, Team.FIRST_STAGE) if next(coins) else (Team.FIRST_STAGE, Team.RERANK)
            round_ = [Slot(best[team], team) for team in teams]
        taken.update(slot.hit for slot in round_)
        slots += round_
    return slots


def _left(ranking: Sequence[int], taken: set[int]) -> Iterator[int]:
    """Yield the best hit that is not taken, each time anew."""
    place = 0
    while place < len(ranking):
        if ranking[place] in taken:
            place += 1
        else:
            yield ranking[place]


def _balanced(first_stage: Sequence[int], reranked: Sequence[int], coins: Iterator[bool]) -> list[Slot]:
    """Merge so that every prefix holds as many of the first of either ranking, but for one: a coin says of which."""
    is_first_stage_first = not next(coins)
    rank_in_first = {hit: rank for rank, hit in enumerate(first_stage, start=1)}
    rank_in_reranked = {hit: rank for rank, hit in enumerate(reranked, start=1)}
    slots: dict[int, Slot] = {}
    of_first = of_reranked = 0
    while len(slots) < len(first_stage):
        if of_first < of_reranked or (of_first == of_reranked and is_first_stage_first):
            hit, team = first_stage[of_first], Team.FIRST_STAGE
            of_first += 1
        else:
            hit, team = reranked[of_reranked], Team.RERANK
            of_reranked += 1
        if hit not in slots:
            slots[hit] = Slot(hit, team, (rank_in_first[hit], rank_in_reranked[hit]))
    return list(slots.values())
