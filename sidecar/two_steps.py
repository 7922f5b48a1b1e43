"""Heavy hits in two steps: first a slim search for the ranking, then the caller's page of it.

A window is wider than a page. Where hits are heavy (vectors in `_source`, highlighting, inner hits, scripts), asking
for the whole window as the caller wrote it costs the engine and the network many times what the caller's own search
does. So the first request asks for ids and text alone, and a second one, the caller's own with a filter on the ids, for
the hits of the page. How heavy an index's hits are is learned from its pages; unknown ones count as heavy.

Law: every hit that the caller gets is from the caller's own search. No decisions about reranking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cachetools import TTLCache

from connectors import json_bytes
from connectors.base import Hit
from connectors.json_bytes import Edit, find_member
from sidecar import answer
from sidecar.answer import HitText, Reply
from sidecar.plan import Plan, entries
from sidecar.requests.filter_path import FOR_TEXT
from sidecar.requests.search_call import SearchCall

ONE_STEP_BYTES: Final = 256 * 1024
"""What the hits beyond the page may weigh for one request to be the cheaper way."""

FORGET_AFTER: Final = 600.0
"""Seconds that the weight of an index's hits is believed."""

_REMEMBERED: Final = 10_000
_COSTLY: Final = ("highlight", "script_fields", "explain")
"""What costs the engine work for every hit, whatever it weighs."""

_VIEW: Final = ("docvalue_fields", "fields", "stored_fields", "_source", "version", "seq_no_primary_term")
_NEEDED_ONCE: Final = ("aggs", "aggregations", "suggest", "profile")
_NEVER: Final = ("rescore", "terminate_after", "pit", "collapse")
"""What a filter on the ids would change, or must not be asked twice."""

_VIEW_PARAMS: Final = (
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
    "_source_exclude_vectors",
    "stored_fields",
    "docvalue_fields",
    "explain",
    "version",
    "seq_no_primary_term",
    "terminate_after",
    "filter_path",
)
_INNER_HITS: Final = "inner_hits"


@dataclass(frozen=True, slots=True)
class FullHit:
    """A hit of the caller's own search: its place in the answer with this text."""

    text: str
    hit: HitText


class HitWeights:
    """How many bytes the hits of an index have, in the view that a caller asks for."""

    def __init__(self) -> None:
        """Know nothing."""
        self._bytes: TTLCache[tuple[str, ...], float] = TTLCache(_REMEMBERED, FORGET_AFTER)

    def wants_two_steps(self, plan: Plan) -> bool:
        """Return whether a plan's hits should come in two steps."""
        extra = plan.fetched - plan.size
        if plan.is_own_page or plan.is_beyond_window or extra <= 0 or plan.options.fetch == "once":
            return False
        if not _is_possible(plan.call) or not plan.takes_fields or plan.options.text_from != "fields":
            return False
        if not _can_be_slim(plan.call):
            return False
        if plan.options.fetch == "twice" or plan.call.has_body(*_COSTLY) or _INNER_HITS in plan.call.text:
            return True
        weight = self._bytes.get(_view(plan.call))
        return weight is None or weight * extra > ONE_STEP_BYTES

    def learn(self, plan: Plan, hits: Sequence[HitText]) -> None:
        """Remember the mean weight of hits that came as the caller wrote the search."""
        if hits and plan.filter_path is None:
            self._bytes[_view(plan.call)] = sum(hit.end - hit.start for hit in hits) / len(hits)


def slim(plan: Plan, fields: Sequence[str]) -> SearchCall:
    """Return the first request: every hit that the ranking needs, with nothing but what is in `fields`."""
    call = _without(plan.call, (*_COSTLY, *_VIEW))
    if _INNER_HITS in call.text and _can_be_slim(call):
        call = call.with_text(without_inner_hits(call.text))
    asked = entries(plan, dict.fromkeys(fields))
    return call.with_settings({"from": 0, "size": plan.fetched, "_source": False, "fields": asked})


def text_only(plan: Plan, fields: Sequence[str]) -> SearchCall:
    """Return a request for the text in `fields` of these hits, beside an answer that has everything else."""
    call = _without(slim(plan, fields), _NEEDED_ONCE)
    return call if plan.filter_path is None else call.with_settings({"filter_path": FOR_TEXT})


def page(plan: Plan, hits: Sequence[Hit]) -> SearchCall:
    """Return the second request: the caller's own search for exactly these hits."""
    call = _without(plan.call, _NEEDED_ONCE)
    own = find_member(call.members, "post_filter")
    only = _only(hits)
    filters = [only] if own is None else [call.text[own.value_start : own.end], only]
    literal = f'{{"bool":{{"filter":[{",".join(filters)}]}}}}'
    text = call.text if call.text.strip() else "{}"
    brace = json_bytes.skip_whitespace(text, 0)
    edits = json_bytes.set_members(brace, list(call.members), {"post_filter": literal})
    return call.with_text(json_bytes.splice(text, edits)).with_settings({"from": 0, "size": len(hits)})


def read_page(reply: Reply, hits: Sequence[Hit]) -> dict[int, FullHit] | None:
    """Return the hits of the second answer by their first-stage rank, or None when one of them is not there."""
    if reply.status != 200:
        return None
    try:
        found = answer.parse(reply.text)
    except ValueError:
        return None
    text = reply.text
    by_identity = {(full.hit.index, full.hit.id): FullHit(text, full) for full in found.hits}
    full = {hit.rank: by_identity.get((hit.index, hit.id)) for hit in hits}
    if found.has_failures or len({(hit.index, hit.id) for hit in hits}) < len(hits):
        return None
    present = {rank: each for rank, each in full.items() if each is not None}
    return present if len(present) == len(full) else None


def without_inner_hits(text: str) -> str:
    """Return a body whose clauses ask for no inner hits."""
    return json_bytes.splice(text, _inner_hits(text, json_bytes.skip_whitespace(text, 0)))


def _inner_hits(text: str, position: int) -> list[Edit]:
    edits: list[Edit] = []
    if text[position] == "[":
        for start, _ in json_bytes.scan_elements(text, position):
            if text[start] in "[{":
                edits += _inner_hits(text, start)
        return edits
    members = json_bytes.scan_object(text, position)
    for member in members:
        if member.key == _INNER_HITS:
            edits.append(json_bytes.remove_member(text, members, member))
        elif text[member.value_start] in "[{":
            edits += _inner_hits(text, member.value_start)
    return edits


def _can_be_slim(call: SearchCall) -> bool:
    """Return whether inner hits can be taken out: a body with a key twice is the engine's to refuse."""
    if _INNER_HITS not in call.text:
        return True
    try:
        without_inner_hits(call.text)
    except ValueError:
        return False
    return True


def _is_possible(call: SearchCall) -> bool:
    """Return whether the second request can be written and its hits be told apart."""
    return not call.has_param(*_VIEW_PARAMS) and not call.has_body(*_NEVER)


def _view(call: SearchCall) -> tuple[str, ...]:
    """Return what decides the weight of a hit: the indices and the caller's view of them."""
    return (call.index, *(json.dumps(call.body(name), sort_keys=True) for name in _VIEW))


def _without(call: SearchCall, names: Sequence[str]) -> SearchCall:
    for name in names:
        member = find_member(call.members, name)
        if member is not None:
            edit = json_bytes.remove_member(call.text, list(call.members), member)
            call = call.with_text(json_bytes.splice(call.text, [edit]))
    return call


def _only(hits: Sequence[Hit]) -> str:
    """Return a filter that these hits pass and no others."""
    ids: dict[str | None, list[str | None]] = {}
    for hit in hits:
        ids.setdefault(hit.index, []).append(hit.id)
    if len(ids) == 1:
        return json.dumps(_ids(*ids.values()))
    each = [{"bool": {"filter": [{"term": {"_index": index}}, _ids(values)]}} for index, values in ids.items()]
    return json.dumps({"bool": {"should": each}})


def _ids(values: Sequence[str | None]) -> Mapping[str, Any]:
    return {"ids": {"values": list(values)}}
