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

from connectors.json_bytes import (
    Edit,
    Element,
    Member,
    array_scanner,
    find_member,
    object_scanner,
    remove_parts,
    scan_object,
    splice,
)
from sidecar.answer import Answer, HitText
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.scoring import alignments
from sidecar.scoring.alignments import Alignment
from sidecar.scoring.base import ScoreKind, probability
from sidecar.two_steps import FullHit
from sidecar.types import ScoredCandidate, Team

_TAIL_STEP: Final = 1e-7

PASSAGE_NAME: Final = "rerank_passage"
"""The highlight under which a hit's best passage is given back."""

_FIELDS_MEMBERS: Final = ("fields", "ignored_field_values")
"""Members that a hit has because somebody asked for `fields`."""

_NESTED: Final = array_scanner(object_scanner())

HIGHEST_SCORE: Final = 2.0
"""Bound of the `_score` of what is not pinned; `max_score` of a page for which no model was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A hit's place in the whole ranking: its first-stage rank, the new `_score`, and how it was scored."""

    rank: int
    score: float
    scored: ScoredCandidate | None = None
    #: how the model read it, where an explanation was asked for
    alignment: Alignment | None = None
    #: whether it comes first whatever its scores are
    is_pinned: bool = False
    #: whose pick it is on an interleaved page, None where both rankings agree
    team: Team | None = None

    @property
    def model_score(self) -> float | None:
        """The model's raw score, None where it did not score the hit."""
        return self.scored.model_score if self.scored else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The whole ranking of one search, before a page is cut from it, and its marker."""

    mark: Marker
    #: best first; None where nothing was scored
    kept: Sequence[Placed] | None = None
    #: whether hits were dropped for their scores
    is_cut: bool = False


def window_score(unit: float) -> float:
    """Return the `_score` of a scored hit: 1 + its final score on the scale 0 to 1."""
    return 1.0 + unit


def tail_score(rank: int) -> float:
    """Return the `_score` of a hit after the scored ones: below 1, falling with the first-stage rank."""
    return max(0.0, 1.0 - rank * _TAIL_STEP)


def lay_out(fetched: int, considered: int, ranking: Sequence[ScoredCandidate]) -> list[Placed]:
    """Return the whole ranking of the first `fetched` hits, best first.

    `considered` is the effective window: within it scored hits share out the places of scored hits, and a hit
    without text keeps its place with its neighbour's `_score`. After it comes the first stage's order. What a cascade
    has pruned was not scored by the model and has a `_score` as after the window: below 1, falling.
    """
    scored_ranks = {scored.candidate.rank for scored in ranking}
    best_first = iter(ranking)
    placed: list[Placed] = []
    score = _score(ranking[0], 1) if ranking else tail_score(1)
    for position in range(1, min(considered, fetched) + 1):
        if position in scored_ranks:
            scored = next(best_first)
            score = _score(scored, position)
            placed.append(Placed(rank=scored.candidate.rank, score=score, scored=scored))
        else:
            placed.append(Placed(rank=position, score=score))
    placed += [Placed(rank=rank, score=tail_score(rank)) for rank in range(considered + 1, fetched + 1)]
    return placed


def _score(scored: ScoredCandidate, position: int) -> float:
    return tail_score(position) if scored.fused_score is None else window_score(scored.fused_score)


def above(placed: Sequence[Placed], min_score: float | None, kind: ScoreKind) -> list[Placed]:
    """Return what passes `min_score`, a probability: scored hits that reach it, and hits without text among them.

    What was not scored for want of window or time cannot be judged and is left out, so that a threshold means
    the same on every page.
    """
    if min_score is None:
        return list(placed)
    last = max((index for index, place in enumerate(placed) if place.model_score is not None), default=-1)
    return [
        place
        for place in placed[: last + 1]
        if place.model_score is None or probability(place.model_score, kind) >= min_score
    ]


def first_stage_page(answer: Answer, plan: Plan, extra_fields: Sequence[str]) -> str:
    """Return the answer that the engine would have given to the caller's own request."""
    page = answer.hits[plan.offset : plan.offset + plan.size]
    return _render(answer, [_hit_text(answer.text, hit, plan, extra_fields) for hit in page], max_score=None)


def on_page(plan: Plan, placed: Sequence[Placed]) -> Sequence[Placed]:
    """Return the caller's page of the ranking."""
    return placed[plan.offset : plan.offset + plan.size]


def reranked_page(
    answer: Answer,
    plan: Plan,
    placed: Sequence[Placed],
    extra_fields: Sequence[str],
    full: Mapping[int, FullHit] | None = None,
) -> str:
    """Return the answer with the caller's page of the ranking; `max_score` is the best of the whole ranking.

    `full` are the page's hits by first-stage rank where the answer has only slim ones.
    """
    page = [
        _hit_text(
            answer.text if full is None else full[place.rank].text,
            answer.hits[place.rank - 1] if full is None else full[place.rank].hit,
            plan,
            extra_fields if full is None else (),
            score=place.score,
            explanation=explanation(place, position) if plan.options.explain else None,
            passage=place.scored.best_passage if place.scored and plan.options.passage_return else None,
        )
        for position, place in enumerate(on_page(plan, placed), start=plan.offset + 1)
    ]
    best = placed[0].score if placed else None
    return _render(answer, page, max_score="null" if best is None else repr(best))


def tail_page(answer: Answer, plan: Plan, extra_fields: Sequence[str] = ()) -> str:
    """Return a page that begins after the window: the engine's own hits of that page, with tail scores.

    `answer` holds that page alone. With `min_score` the page is empty: nothing on it was scored.
    """
    hits = () if plan.options.min_score is not None else answer.hits
    places = [Placed(rank=plan.offset + hit.rank, score=tail_score(plan.offset + hit.rank)) for hit in hits]
    page = [
        _hit_text(
            answer.text,
            hit,
            plan,
            extra_fields,
            score=place.score,
            explanation=explanation(place, place.rank) if plan.options.explain else None,
        )
        for hit, place in zip(hits, places, strict=True)
    ]
    has_scores = answer.max_score is not None and answer.max_score.value is not None
    return _render(answer, page, max_score=repr(HIGHEST_SCORE) if has_scores else None)


def explanation(place: Placed, position: int) -> Mapping[str, object]:
    """Return what `_rerank` says about a hit: ranks from 1, scores, the text that the model saw, and how it read it."""
    scored = place.scored
    said: dict[str, object] = {
        "rank": position,
        "first_stage_rank": place.rank,
        "first_stage_score": scored.candidate.score if scored else None,
        "model_score": place.model_score,
        "fused_score": scored.fused_score if scored else None,
        "text": text_read(place) if scored else None,
    }
    if scored is not None and scored.pruner_score is not None:
        said["pruner_score"] = scored.pruner_score
    if scored is not None and scored.terms:
        said["terms"] = [{**each._asdict(), "contribution": each.contribution} for each in scored.terms]
    if place.is_pinned:
        said["pinned"] = True
    if place.team is not None:
        said["team"] = place.team.value
    return said if place.alignment is None else {**said, **alignments.explained(text_read(place), place.alignment)}


def text_read(place: Placed) -> str:
    """Return the text of a hit that the model scored, "" where it scored none."""
    return (place.scored.best_passage or place.scored.candidate.text) if place.scored else ""


def _hit_text(
    text: str,
    hit: HitText,
    plan: Plan,
    extra_fields: Sequence[str],
    *,
    score: float | None = None,
    explanation: Mapping[str, object] | None = None,
    passage: str | None = None,
) -> str:
    edits: list[Edit] = []
    member = find_member(hit.members, "_score")
    if score is not None and member is not None:
        edits.append(Edit(member.value_start, member.end, repr(score)))
    if extra_fields:
        edits += _without_fields(text, hit, extra_fields, is_ours_alone=not plan.own_fields)
    if passage is not None:
        edits.append(_with_passage(hit, passage))
    if explanation is not None:
        edits.append(Edit(hit.end - 1, hit.end - 1, f',"_rerank":{json.dumps(explanation)}'))
    return splice(text, edits, hit.start, hit.end)


def _with_passage(hit: HitText, passage: str) -> Edit:
    """Return the edit that gives a hit its best passage, beside highlights of the caller's own."""
    literal = f'"{PASSAGE_NAME}":[{json.dumps(passage)}]'
    own = find_member(hit.members, "highlight")
    if own is None:
        return Edit(hit.end - 1, hit.end - 1, f',"highlight":{{{literal}}}')
    comma = "," if own.value else ""
    return Edit(own.value_start + 1, own.value_start + 1, literal + comma)


def _without_fields(text: str, hit: HitText, names: Sequence[str], *, is_ours_alone: bool) -> list[Edit]:
    """Return the edits that take out of a hit what it has only because we asked for the fields `names`."""
    edits: list[Edit] = []
    emptied: list[Member] = []
    for member in hit.members:
        if member.key in _FIELDS_MEMBERS:
            inner = None if is_ours_alone else _without_names(text, scan_object(text, member.value_start), names)
            if inner is None:
                emptied.append(member)
            else:
                edits += inner
    return edits + remove_parts(hit.members, emptied)


def _without_names(text: str, members: list[Member], names: Sequence[str]) -> list[Edit] | None:
    """Return the edits that take fields out of an object of fields, None when nothing would be left."""
    edits: list[Edit] = []
    emptied: list[Member] = []
    for member in members:
        below = [name.removeprefix(f"{member.key}.") for name in names if name.startswith(f"{member.key}.")]
        inner = None if member.key in names else _without_nested(text, member, below)
        if inner is None:
            emptied.append(member)
        else:
            edits += inner
    return None if len(emptied) == len(members) else edits + remove_parts(members, emptied)


def _without_nested(text: str, member: Member, names: Sequence[str]) -> list[Edit] | None:
    """Do the same for a nested path: an array of objects with fields of their own under its name."""
    is_nested = isinstance(member.value, list) and any(isinstance(value, dict) for value in member.value)
    if not names or not is_nested:
        return []
    edits: list[Edit] = []
    emptied: list[Element] = []
    array, _ = _NESTED(text, member.value_start)
    for element in array.elements:
        inner = _without_names(text, element.value, names)
        if inner is None:
            emptied.append(element)
        else:
            edits += inner
    return None if len(emptied) == len(array.elements) else edits + remove_parts(array.elements, emptied)


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
