"""Elastic's `retriever: {text_similarity_reranker: …}`, executed by us.

The same request then works on a cluster without that licence or feature: the inner retriever goes to the engine, and
what the reranker says (`inference_text`, `field`, `rank_window_size`, `min_score`) becomes options of ours.

Law: the inner retriever keeps its bytes. A `standard` one is lifted to the search's own `query`, so that engines
without retrievers can run it, too. No I/O.

*Source:* the text similarity re-ranker retriever of Elasticsearch 9.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors import json_bytes
from connectors.json_bytes import Edit, Member, find_member
from sidecar.errors import BadRerankRequest
from sidecar.search_call import SearchCall
from sidecar.types import RerankOptions

NAME: Final = "text_similarity_reranker"
OUR_INFERENCE_ID: Final = "rerank-sidecar"
DEFAULT_WINDOW: Final = 10
_LIFTED: Final = ("search_after", "terminate_after", "sort", "min_score", "collapse")


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeReranker:
    """What a request asks Elasticsearch's own reranker."""

    inference_id: str
    inference_text: str
    field: str
    window: int
    min_score: float | None

    def options(self, options: RerankOptions) -> RerankOptions:
        """Return `options` as this reranker has them."""
        return replace(
            options,
            insist=True,
            query_text=self.inference_text,
            fields=(self.field,),
            window=self.window,
            min_score=options.min_score if self.min_score is None else self.min_score,
        )


def find(call: SearchCall) -> NativeReranker | None:
    """Return the reranker that a search asks for at its top level, or None.

    Raises:
        BadRerankRequest: it lacks what it must have.
    """
    retriever = call.body("retriever")
    settings = retriever.get(NAME) if isinstance(retriever, dict) else None
    if not isinstance(settings, dict):
        return None
    text, field = settings.get("inference_text"), settings.get("field")
    if not isinstance(text, str) or not isinstance(field, str) or not isinstance(settings.get("retriever"), dict):
        raise BadRerankRequest(f"{NAME} must have retriever, field and inference_text")
    return NativeReranker(
        inference_id=str(settings.get("inference_id", "")),
        inference_text=text,
        field=field,
        window=int(_number(settings, "rank_window_size") or DEFAULT_WINDOW),
        min_score=_number(settings, "min_score"),
    )


def unwrap(call: SearchCall) -> SearchCall:
    """Return the search with its reranker replaced by the retriever inside it."""
    retriever = find_member(call.members, "retriever")
    assert retriever is not None
    settings = _inside(call.text, retriever, NAME)
    inner = find_member(settings, "retriever")
    assert inner is not None
    filters = _slices(call.text, settings, ("filter",))
    standard = _inside(call.text, inner, "standard")
    if standard:
        literal = _lifted(call.text, standard, filters)
    else:
        literal = f'"retriever":{call.text[inner.value_start : inner.end]}'
        if filters:
            literal += f',"post_filter":{_all_of(list(filters.values()))}'
    return call.with_text(json_bytes.splice(call.text, [Edit(retriever.start, retriever.end, literal)]))


def _lifted(text: str, standard: list[Member], outer: Mapping[str, str]) -> str:
    """Return the members of a search that does what a standard retriever does."""
    slices = _slices(text, standard, ("query", "filter", *_LIFTED))
    query = slices.pop("query", '{"match_all":{}}')
    filters = [*outer.values(), *([slices.pop("filter")] if "filter" in slices else [])]
    if filters:
        query = f'{{"bool":{{"must":{query},"filter":{_list(filters)}}}}}'
    return ",".join([f'"query":{query}', *(f'"{name}":{slice}' for name, slice in slices.items())])


def _all_of(filters: list[str]) -> str:
    return f'{{"bool":{{"filter":{_list(filters)}}}}}'


def _list(filters: list[str]) -> str:
    """Return one JSON list of filters, each a query or a list of them."""
    flat = [filter.strip()[1:-1] if filter.strip().startswith("[") else filter for filter in filters]
    return f"[{','.join(part for part in flat if part.strip())}]"


def _inside(text: str, member: Member, name: str) -> list[Member]:
    """Return the members of `{name: {…}}`, the value of `member`; none when it is something else."""
    if not isinstance(member.value, dict) or not isinstance(member.value.get(name), dict):
        return []
    found = find_member(json_bytes.scan_object(text, member.value_start), name)
    assert found is not None
    return json_bytes.scan_object(text, found.value_start)


def _slices(text: str, members: list[Member], names: tuple[str, ...]) -> dict[str, str]:
    return {member.key: text[member.value_start : member.end] for member in members if member.key in names}


def _number(settings: Mapping[str, Any], name: str) -> float | None:
    value = settings.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadRerankRequest(f"{NAME}.{name} must be a number from 0, not {str(value)[:80]!r}")
    return float(value)
