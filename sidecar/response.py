"""Step 7: the page that the caller gets, cut from the first-stage answer by splicing.

Law: a hit keeps its bytes but for `_score`, the `fields` that we added, and an explanation that was asked for; the
answer keeps its bytes but for `hits.hits` and `hits.max_score`. The whole ranking is laid out first and the page
cut from it, so that pages fit together. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from connectors.json_bytes import Edit, find_member, remove_member, scan_object, splice
from sidecar.answer import Answer, HitText
from sidecar.plan import Plan
from sidecar.scoring.base import ScoreKind, probability
from sidecar.types import ScoredCandidate

_TAIL_STEP: Final = 1e-7

HIGHEST_SCORE: Final = 2.0
"""Bound of `_score` after reranking; `max_score` of a page for which no model was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A hit's place in the whole ranking: its first-stage rank, the new `_score`, and how it was scored."""

    rank: int
    score: float
    scored: ScoredCandidate | None = None


def window_score(unit: float) -> float:
    """Return the `_score` of a scored hit: 1 + its final score on the scale 0 to 1."""
    return 1.0 + unit


def tail_score(rank: int) -> float:
    """Return the `_score` of a hit after the scored ones: below 1, falling with the first-stage rank."""
    return max(0.0, 1.0 - rank * _TAIL_STEP)


def lay_out(fetched: int, considered: int, ranking: Sequence[ScoredCandidate]) -> list[Placed]:
    """Return the whole ranking of the first `fetched` hits, best first.

    `considered` is the effective window: within it scored hits share out the places of scored hits, and a hit
    without text keeps its place with its neighbour's `_score`. After it comes the first stage's order.
    """
    scored_ranks = {scored.candidate.rank for scored in ranking}
    best_first = iter(ranking)
    placed: list[Placed] = []
    score = window_score(ranking[0].fused_score) if ranking else tail_score(1)
    for position in range(1, min(considered, fetched) + 1):
        if position in scored_ranks:
            scored = next(best_first)
            score = window_score(scored.fused_score)
            placed.append(Placed(rank=scored.candidate.rank, score=score, scored=scored))
        else:
            placed.append(Placed(rank=position, score=score))
    placed += [Placed(rank=rank, score=tail_score(rank)) for rank in range(considered + 1, fetched + 1)]
    return placed


def above(placed: Sequence[Placed], min_score: float | None, kind: ScoreKind) -> list[Placed]:
    """Return what passes `min_score`, a probability: scored hits that reach it, and hits without text among them.

    What was not scored for want of window or time cannot be judged and is left out, so that a threshold means
    the same on every page.
    """
    if min_score is None:
        return list(placed)
    last = max((index for index, place in enumerate(placed) if place.scored is not None), default=-1)
    return [
        place
        for place in placed[: last + 1]
        if place.scored is None or probability(place.scored.model_score, kind) >= min_score
    ]


def first_stage_page(answer: Answer, plan: Plan, extra_fields: Sequence[str]) -> str:
    """Return the answer that the engine would have given to the caller's own request."""
    page = answer.hits[plan.offset : plan.offset + plan.size]
    return _render(answer, [_hit_text(answer, hit, plan, extra_fields) for hit in page], max_score=None)


def reranked_page(answer: Answer, plan: Plan, placed: Sequence[Placed], extra_fields: Sequence[str]) -> str:
    """Return the answer with the caller's page of the ranking; `max_score` is the best of the whole ranking."""
    page = [
        _hit_text(
            answer,
            answer.hits[place.rank - 1],
            plan,
            extra_fields,
            score=place.score,
            explanation=explanation(place, position) if plan.options.explain else None,
        )
        for position, place in enumerate(placed, start=1)
        if plan.offset < position <= plan.offset + plan.size
    ]
    best = placed[0].score if placed else None
    return _render(answer, page, max_score="null" if best is None else repr(best))


def tail_page(answer: Answer, plan: Plan, extra_fields: Sequence[str] = ()) -> str:
    """Return a page that begins after the window: the engine's own hits of that page, with tail scores.

    `answer` holds that page alone. With `min_score` the page is empty: nothing on it was scored.
    """
    hits = () if plan.options.min_score is not None else answer.hits
    page = [_hit_text(answer, hit, plan, extra_fields, score=tail_score(plan.offset + hit.rank)) for hit in hits]
    return _render(answer, page, max_score=repr(HIGHEST_SCORE))


def explanation(place: Placed, position: int) -> Mapping[str, object]:
    """Return what `_rerank` says about a hit: ranks from 1, scores, and the text that the model saw."""
    scored = place.scored
    return {
        "rank": position,
        "first_stage_rank": place.rank,
        "first_stage_score": scored.candidate.score if scored else None,
        "model_score": scored.model_score if scored else None,
        "fused_score": scored.fused_score if scored else None,
        "text": scored.candidate.text if scored else None,
    }


def _hit_text(
    answer: Answer,
    hit: HitText,
    plan: Plan,
    extra_fields: Sequence[str],
    *,
    score: float | None = None,
    explanation: Mapping[str, object] | None = None,
) -> str:
    edits: list[Edit] = []
    member = find_member(hit.members, "_score")
    if score is not None and member is not None:
        edits.append(Edit(member.value_start, member.end, repr(score)))
    if extra_fields:
        edits += _without_fields(answer.text, hit, extra_fields, is_ours_alone=not plan.asks_for_fields)
    if explanation is not None:
        edits.append(Edit(hit.end - 1, hit.end - 1, f',"_rerank":{json.dumps(explanation)}'))
    return splice(answer.text, edits, hit.start, hit.end)


def _without_fields(text: str, hit: HitText, names: Sequence[str], *, is_ours_alone: bool) -> list[Edit]:
    fields = find_member(hit.members, "fields")
    if fields is None:
        return []
    members = scan_object(text, fields.value_start)
    ours = [member for member in members if member.key in names]
    if is_ours_alone or len(ours) == len(members):
        return [remove_member(text, hit.members, fields)]
    kept = [text[member.start : member.end] for member in members if member not in ours]
    return [Edit(fields.value_start, fields.end, "{" + ",".join(kept) + "}")] if ours else []


def _render(answer: Answer, page: Sequence[str], *, max_score: str | None) -> str:
    edits = [Edit(answer.array.start, answer.array.end, _array_text(answer, page))]
    if max_score is not None and answer.max_score is not None:
        edits.append(Edit(answer.max_score.value_start, answer.max_score.end, max_score))
    return splice(answer.text, edits)


def _array_text(answer: Answer, page: Sequence[str]) -> str:
    """Return the array of hits with the white space that the engine put around and between its elements."""
    text, array = answer.text, answer.array
    if not array.elements:
        return text[array.start : array.end]
    opening = text[array.start : array.elements[0].start]
    closing = text[array.elements[-1].end : array.end]
    if not page:
        return "[]" if opening == "[" else "[ ]"
    between = [text[left.end : right.start] for left, right in pairwise(array.elements)]
    pieces = [opening, page[0]]
    for separator, hit in zip(between, page[1:], strict=False):
        pieces += (separator, hit)
    return "".join((*pieces, closing))
