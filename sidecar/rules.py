"""Between steps 6 and 7: rules about places that no score overrules.

    pins        hits that an editor has put first: by the engine's own `pinned` query, by their ids, or by a field
    diversity   no more than so many hits of one kind near each other

Laws: both look at the window alone and at neither `from` nor `size`, so that pages fit together; what the search did
not find is not there. Pinned hits keep the engine's order, or that of their ids; the model does not read them, so that
they bear on nobody's score; no score drops them and diversity does not move them. No I/O.

*Source:* `PinnedQueryBuilder` of Elasticsearch 9.5: organic hits score up to `MAX_ORGANIC_SCORE`, pinned ones above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from connectors.base import Hit
from sidecar import hit_values
from sidecar.response import Placed
from sidecar.types import Candidate, RerankOptions

PINNED_BY_ENGINE: Final = 1.7e38
"""Scores from here on are those of a `pinned` query: half of what a float can be, and more."""

_HIGHEST_PIN: Final = 3.0
_PIN_STEP: Final = 1e-6
"""Between the `_score`s of two pinned hits, which a float can still tell apart."""


def pins(hits: Sequence[Hit], options: RerankOptions) -> list[int]:
    """Return the first-stage ranks of the window's pinned hits, in the order in which they come first.

    First those of the engine's own, then those by their ids, then those by a field.
    """
    window = hits[: options.window]
    named = _by_id(window, options.pin_ids)
    by_engine = [hit.rank for hit in window if hit.score is not None and hit.score >= PINNED_BY_ENGINE]
    field = options.pin_field
    marked = [] if field is None else [hit.rank for hit in window if any(map(_is_true, hit_values.values(hit, field)))]
    return list(dict.fromkeys((*by_engine, *named, *marked)))


def _by_id(hits: Sequence[Hit], ids: Sequence[str]) -> list[int]:
    if not ids:
        return []
    ranks: dict[str | None, list[int]] = {}
    for hit in hits:
        ranks.setdefault(hit.id, []).append(hit.rank)
    return [rank for id in ids for rank in ranks.get(id, ())]


def unread(candidates: Sequence[Candidate], pinned: Collection[int]) -> list[Candidate]:
    """Return the candidates, pinned ones without their text, so that they are not scored."""
    if not pinned:
        return list(candidates)
    return [replace(each, text="", passages=()) if each.rank in pinned else each for each in candidates]


def pinned_first(placed: Sequence[Placed], pinned: Sequence[int]) -> list[Placed]:
    """Return a ranking with the pinned hits before all others, whose order stays."""
    by_rank = {place.rank: place for place in placed}
    first = [
        replace(by_rank[rank], score=_HIGHEST_PIN - position * _PIN_STEP, scored=None, is_pinned=True)
        for position, rank in enumerate(pinned, start=1)
    ]
    return first + [place for place in placed if place.rank not in set(pinned)] if first else list(placed)


def diversified(placed: Sequence[Placed], hits: Sequence[Hit], options: RerankOptions) -> list[Placed]:
    """Return a ranking in which no `diversify_within` places have more than `diversify_most` hits of one kind.

    Each run of so many places is filled with the best hits that are left and fit; when too few fit, the others follow.
    """
    field = options.diversify_by
    if field is None:
        return list(placed)
    kinds = _kinds(hits[: options.window], field)
    left = [place for place in placed if place.rank <= options.window]
    spread: list[Placed] = []
    while left:
        run, left = _run(left, lambda place: kinds.get(place.rank), options)
        if len(run) < options.diversify_within:
            run, left = [*run, *left], []
        spread += run
    return _falling([*spread, *(place for place in placed if place.rank > options.window)])


def _run(
    places: Sequence[Placed], kind: Callable[[Placed], str | None], options: RerankOptions
) -> tuple[list[Placed], list[Placed]]:
    """Return the next run of places, and what is left."""
    counts: Counter[str] = Counter()
    run: list[Placed] = []
    left: list[Placed] = []
    for place in places:
        own = kind(place)
        is_one_more = own is not None and counts[own] >= options.diversify_most and not place.is_pinned
        if len(run) == options.diversify_within or is_one_more:
            left.append(place)
            continue
        run.append(place)
        if own is not None:
            counts[own] += 1
    return run, left


def _kinds(hits: Sequence[Hit], field: str) -> Mapping[int, str]:
    found = {hit.rank: hit_values.values(hit, field) for hit in hits}
    return {rank: str(values[0]) for rank, values in found.items() if values}


def _falling(placed: Sequence[Placed]) -> list[Placed]:
    """Return the places with scores that never rise: who moved up keeps its place, and its neighbour's score."""
    falling: list[Placed] = []
    for place in placed:
        least = min(place.score, falling[-1].score) if falling else place.score
        falling.append(place if least == place.score else replace(place, score=least))
    return falling


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")
