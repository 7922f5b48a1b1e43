"""A large request as several calls of the scorer.

Law: a call stays small enough for every way to a scorer (a body of the scoring protocol has 32 MiB at most); few of
them wait at a time, so that others get their turn and no request fills the scorer's queue by itself; the first one that
fails ends the others. All scores are of one model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence

from sidecar.errors import ModelFailed
from sidecar.scoring import provenance
from sidecar.scoring.base import Scorer

SLICE_TEXTS = 64
SLICE_CHARACTERS = 1_000_000
"""With a query as long, escaped in JSON, 24 MB in the worst script."""

SLICES_AT_ONCE = 4

Slice = tuple[str, list[int]]
"""A query and the positions of its texts."""


async def score_pairs(
    scorer: Scorer, queries: Sequence[str], texts: Sequence[str], *, deadline: float | None = None
) -> list[float]:
    """Return one raw score per pair of a query and a text, in their order; see `Scorer.score`.

    Where the replicas of a scorer have different models, one of them is asked for all texts of a query.

    Raises:
        RerankUnavailable: a call failed, or gave scores that are none, or queries had different models.
    """
    is_whole = getattr(scorer, "whole_window", False)
    with provenance.listening() as told:
        scores = await _scores(scorer, queries, texts, deadline, is_whole=is_whole)
    if provenance.are_several(told) and not is_whole:
        with provenance.listening() as told:
            scores = await _scores(scorer, queries, texts, deadline, is_whole=True)
    provenance.tell(provenance.the_one(told))
    return scores


async def _scores(
    scorer: Scorer, queries: Sequence[str], texts: Sequence[str], deadline: float | None, *, is_whole: bool
) -> list[float]:
    scores = [math.nan] * len(texts)
    free = asyncio.Semaphore(SLICES_AT_ONCE)

    async def score(query: str, positions: list[int]) -> None:
        async with free:
            found = await scorer.score(query, [texts[position] for position in positions], deadline=deadline)
        if len(found) != len(positions) or not all(map(math.isfinite, found)):
            raise ModelFailed(f"the scorer gave {len(found)} scores for {len(positions)} texts, or not finite ones")
        for position, each in zip(positions, found, strict=True):
            scores[position] = each

    try:
        async with asyncio.TaskGroup() as group:
            for query, positions in _slices(queries, texts, is_whole=is_whole):
                group.create_task(score(query, positions), name="slice of a request")
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return scores


def _slices(queries: Sequence[str], texts: Sequence[str], *, is_whole: bool) -> Iterator[Slice]:
    """Yield all pairs, those of one query together."""
    by_query: dict[str, list[int]] = {}
    for position, query in enumerate(queries):
        by_query.setdefault(query, []).append(position)
    for query, positions in by_query.items():
        if is_whole:
            yield query, positions
        else:
            yield from ((query, part) for part in parts(positions, texts))


def parts(positions: Sequence[int], texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the positions of texts that go together, in order."""
    part: list[int] = []
    characters = 0
    for position in positions:
        length = len(texts[position])
        if part and (len(part) == SLICE_TEXTS or characters + length > SLICE_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(position)
        characters += length
    yield part
