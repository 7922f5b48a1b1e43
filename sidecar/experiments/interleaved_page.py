"""Between steps 6 and 7, where a policy interleaves: the ranking of the page, and the token that tells its teams.

Laws: the whole window is interleaved and the page cut from it, with coins that neither `from` nor `size` bear on, so
that pages fit together. Pinned hits come first in both rankings, and what one drops the other drops. `_score` falls
with the place, as on every page, so that nobody who sorts by it undoes the draft.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from connectors import json_bytes
from connectors.base import Hit
from connectors.json_bytes import Edit, find_member, splice
from sidecar.experiments import interleaving
from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.interleaving import Slot
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.response import Placed
from sidecar.scoring.base import ModelFacts
from sidecar.types import RerankOptions

_VERSION_BYTES: Final = 4
_NOT_RANKING: Final = {
    name: getattr(RerankOptions(), name)
    for name in (
        *("enabled", "insist", "mode", "percent", "observe_percent", "interleave", "policy", "drawn_with"),
        *("query_text", "pin_ids", "deadline", "on_failure", "fetch", "score_cache"),
        *("explain", "passage_return", "return_token"),
    )
}
"""Options that say who gets a ranking, how, or of which search, and not which ranking."""


def interleaved(
    plan: Plan, hits: Sequence[Hit], kept: Sequence[Placed], mark: Marker, facts: ModelFacts, tokens: ClickTokens
) -> tuple[list[Placed], Marker]:
    """Return the reranked order `kept` interleaved with that of the engine, and the marker with the page's token.

    `hits` are the first stage's, in its order. A search whose policy does not interleave comes back as it is.
    """
    options = plan.options
    if plan.draw is None or options.interleave == "off":
        return list(kept), mark
    pinned = [place for place in kept if place.is_pinned]
    others = [place.rank for place in kept if not place.is_pinned]
    slots = [Slot(place.rank) for place in pinned]
    slots += interleaving.interleave(sorted(others), others, options.interleave, plan.draw)
    by_rank = {place.rank: place for place in kept}
    scores = sorted((place.score for place in kept), reverse=True)
    placed = [
        replace(by_rank[slot.hit], score=score, team=slot.team) for slot, score in zip(slots, scores, strict=True)
    ]
    page = slots[plan.offset : plan.offset + plan.size]
    token = None
    if any(slot.team for slot in page):
        token = tokens.make(
            page,
            [hits[slot.hit - 1].id or "" for slot in page],
            draw=plan.draw,
            first_position=plan.offset + 1,
            policy=options.policy,
            version=_version(options, facts),
            method=options.interleave,
            arm=plan.arm,
        )
    return placed, replace(mark, interleaved=options.interleave, policy=options.policy, token=token)


def with_token(text: str, token: str) -> str:
    """Return an answer that says its token, under `ext.rerank`; other members of `ext` stay."""
    literal = f'"rerank":{json.dumps({"token": token})}'
    brace = json_bytes.skip_whitespace(text, 0)
    members = json_bytes.scan_object(text, brace)
    own = find_member(members, "ext")
    if own is not None and isinstance(own.value, dict):
        comma = "," if own.value else ""
        return splice(text, [Edit(own.value_start + 1, own.value_start + 1, literal + comma)])
    end = members[-1].end if members else brace + 1
    return splice(text, [Edit(end, end, f'{"," if members else ""}"ext":{{{literal}}}')])


def _version(options: RerankOptions, facts: ModelFacts) -> str:
    """Return what tells apart rankings that should not be counted together."""
    ranking = replace(options, **_NOT_RANKING)
    said = repr((ranking, facts.name, facts.revision))
    return hashlib.blake2b(said.encode(), digest_size=_VERSION_BYTES).hexdigest()
