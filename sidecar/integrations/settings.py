"""The caller's controls as Python keywords: the words of `ext.rerank`, with their types.

Law: what a value may be is said once, in `requests/controls.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypedDict

from sidecar.errors import BadRerankRequest
from sidecar.requests.controls import apply_body
from sidecar.types import RerankOptions


class RerankSettings(TypedDict, total=False):
    """What can be said of the reranking of a search. What each means: docs/configuration.md and docs/fidelity.md."""

    enabled: bool
    window: int
    fields: Sequence[str]
    template: str
    query_text: str
    fusion: Literal["auto", "model_only", "linear", "rrf"]
    text_from: Literal["fields", "highlight", "inner_hits"]
    strip_html: bool
    passage_tokens: int
    passage_overlap: int
    passage_top: int
    passage_title: bool
    passage_return: bool
    weight: float
    min_score: float
    deadline_ms: float
    on_failure: Literal["first_stage", "error"]
    explain: bool
    pin_ids: Sequence[str]
    token: bool


Rerank: TypeAlias = bool | RerankSettings
"""Of one search: settings, or True and False for `enabled`."""


def options_of(settings: Mapping[str, Any], options: RerankOptions | None = None) -> RerankOptions:
    """Return `options` with settings applied.

    Raises:
        ValueError: a setting that is not known, or a value that it cannot have.
    """
    try:
        applied = apply_body(options or RerankOptions(), plain(settings))
    except BadRerankRequest as error:
        raise ValueError(str(error).removeprefix("ext.rerank.")) from error
    return replace(applied, insist=False)  # a default is no word on one search


def plain(rerank: Rerank | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings as `ext.rerank` has them."""
    if rerank is None or isinstance(rerank, bool):
        return {} if rerank is None else {"enabled": rerank}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in rerank.items()}


def with_rerank(body: Mapping[str, Any] | None, settings: Mapping[str, Any], key: str = "ext") -> dict[str, Any]:
    """Return the body of a search with settings in it; those that the body has itself win."""
    body = body or {}
    ext = body.get(key) or {}
    return {**body, key: {**ext, "rerank": {**settings, **(ext.get("rerank") or {})}}}
