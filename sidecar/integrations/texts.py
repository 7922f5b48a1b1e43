"""Texts that did not come from a search: the pipeline's steps 4 and 5 over given documents.

Law: a document is known by its place among those given, so that equal ones keep apart; a document without text, or one
that the deadline left out, comes after the scored ones; where there are no scores, the given order stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Hit
from sidecar import passages
from sidecar.candidates import extract, template_fields
from sidecar.errors import ModelFailed, RerankUnavailable, ScoringTimeout
from sidecar.integrations.scorers import opened
from sidecar.passages import ScoredDocument
from sidecar.rerank_api.slices import score_pairs
from sidecar.scoring.base import Scorer, probability
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.splitting import split
from sidecar.types import Candidate, RerankOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedText:
    """A document in the new order, by its place among those given (from 0)."""

    index: int
    #: the model's score as a probability, 0 to 1; None where there is none
    score: float | None = None
    #: what of the text the model liked best
    passage: str | None = None


async def rank(
    scorer: Scorer,
    query: str,
    documents: Sequence[Mapping[str, Any]],
    options: RerankOptions,
    *,
    text_field: str,
    top_n: int | None = None,
) -> list[RankedText]:
    """Return the `top_n` best documents, best first, None for all.

    A document is its fields; what is scored of them say `options.template` or `options.fields`, else `text_field`.

    Raises:
        RerankUnavailable: there are no scores, and `options.on_failure` is "error".
        ConfigError: the scorer's URL makes no sense.
    """
    await opened(scorer)
    try:
        return (await _ranked(scorer, query, documents, options, text_field))[:top_n]
    except RerankUnavailable as error:
        failure = error
    except Exception as error:  # a mistake of ours, or of a scorer of somebody's own
        logger.exception("rerank_failed")
        failure = ModelFailed(f"{type(error).__name__}: {error}")
    if options.on_failure == "error":
        raise failure
    logger.warning("rerank_degraded reason=%s error=%s", failure.reason, failure)
    return [RankedText(index=index) for index in range(len(documents))][:top_n]


async def _ranked(
    scorer: Scorer, query: str, documents: Sequence[Mapping[str, Any]], options: RerankOptions, text_field: str
) -> list[RankedText]:
    hits = [Hit(rank=rank, value={"_source": _texts(document)}) for rank, document in enumerate(documents, start=1)]
    candidates = [candidate for candidate in extract(hits, _fields(options, text_field), options) if candidate.text]
    scored = await _scored(scorer, query, candidates, options) if candidates and query.strip() else []
    kind = scorer.describe().kind if scored else "cross-encoder"
    ranked = [
        RankedText(index=candidate.rank - 1, score=probability(each.score, kind), passage=each.best_passage)
        for candidate, each in sorted(zip(candidates, scored, strict=False), key=lambda pair: -pair[1].score)
    ]
    if options.min_score is not None and ranked:
        return [each for each in ranked if each.score is not None and each.score >= options.min_score]
    known = {each.index for each in ranked}
    return ranked + [RankedText(index=index) for index in range(len(documents)) if index not in known]


async def _scored(
    scorer: Scorer, query: str, candidates: Sequence[Candidate], options: RerankOptions
) -> list[ScoredDocument]:
    """Return the scores of as many of the first candidates as the deadline allows."""
    scorer.describe()
    deadline = asyncio.get_running_loop().time() + options.deadline if options.deadline > 0 else None
    try:
        async with asyncio.timeout_at(deadline):
            long = passages.to_split(candidates, options)
            spans = await split(scorer, long, tokens=options.passage_tokens, overlap=options.passage_overlap)
    except TimeoutError as error:
        raise ScoringTimeout("the texts were not split into passages before the deadline") from error
    found = passages.documents(candidates, spans, options)
    texts = passages.texts(found)
    if deadline is None:
        scores = await score_pairs(scorer, [query] * len(texts), texts)
    else:
        scores = await score_prefix(scorer, query, texts, deadline=deadline)
    return passages.join(found, scores, options)


def _fields(options: RerankOptions, text_field: str) -> tuple[str, ...]:
    if options.template is not None:
        return template_fields(options.template)
    return options.fields or (text_field,)


def _texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document whose numbers and dates are texts, too: a year is part of a title."""
    return {key: value if isinstance(value, str | list | dict) else _text(value) for key, value in document.items()}


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, bool) else str(value)
