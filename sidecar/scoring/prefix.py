"""Score as much of a list as the deadline allows, from its head.

Law: what is returned belongs to a prefix of the texts, one finite score each. They travel in first-stage order as
several calls, so that a scheduler can interleave searches, a pool can spread them, and a deadline costs the tail only.
All are of one model: where a pool's replicas have different ones, one of them is asked for the whole list.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar import tasks
from sidecar.errors import ModelFailed, ModelsDisagree, RerankUnavailable, ScoringTimeout
from sidecar.scoring import provenance, timing
from sidecar.scoring.base import ModelFacts, Scorer

logger = logging.getLogger(__name__)

CHUNK_PAIRS = 8
"""Texts per call at least. A deadline costs whole calls: few enough to keep a prefix, enough not to be all overhead."""

MAX_CHUNK_PAIRS = 128
"""Texts per call at most."""

POOL_CHUNK_PAIRS = 24
"""The same of a pool, where a call is a request of its own through a balancer: a millisecond of the caller's time."""

MAX_POOL_CHUNK_PAIRS = 64
"""The same of a pool at most: a window of usual length is the work of two replicas, where it is work for any."""

CHUNK_SECONDS = 0.02
"""What a call may cost a deadline: a device that does more in this time gets larger calls."""

TYPICAL_PAIR_TOKENS = 100
"""A short query and a passage."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of some texts, and the models that gave them, as far as they told."""

    scores: list[float]
    models: list[ModelFacts]


Outcome = Scored | RerankUnavailable


async def score_prefix(
    scorer: Scorer, query: str, texts: Sequence[str], *, deadline: float | None, chunk: int | None = None
) -> list[float]:
    """Return the raw scores of the longest prefix of `texts` that is finished at `deadline`.

    `deadline` is an absolute time of the running loop's clock, None for none. `texts` are sent as concurrent
    calls of `chunk` texts (None: by the scorer's speed), and whole calls are kept: fewer scores than texts mean that
    the rest has none. What is unfinished is cancelled. A scorer with a true attribute `whole_window` gets one call;
    one with a true attribute `has_replicas` gets calls that are worth a request. Who listens is told the model.

    Raises:
        RerankUnavailable: not even the first call was answered; what it ended with.
    """
    size = max(1, len(texts) if getattr(scorer, "whole_window", False) else chunk or _chunk(scorer, len(texts)))
    found = await _prefix(scorer, query, texts, deadline, size)
    if provenance.are_several(found.models):
        logger.warning("scorer_has_two_models texts=%d", len(texts))
        try:
            found = await _prefix(scorer, query, texts, deadline, len(texts))
        except ScoringTimeout as error:
            raise ModelsDisagree("replicas have different models, and there was no time to ask one for all") from error
    provenance.tell(provenance.the_one(found.models))
    return found.scores


async def _prefix(scorer: Scorer, query: str, texts: Sequence[str], deadline: float | None, size: int) -> Scored:
    with timing.as_one():
        calls = [
            tasks.start(_attempt(scorer, query, texts[first : first + size], deadline), name=f"score from {first}")
            for first in range(0, len(texts), size)
        ]
        try:
            return await _finished_prefix(calls, deadline)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


def _chunk(scorer: Scorer, texts: int) -> int:
    """Return how many texts of usual length the idle device scores in CHUNK_SECONDS, within bounds.

    Calls of a pool are all of one size, so that no replica is done long before the others.
    """
    try:
        speed = scorer.describe().tokens_per_second or 0.0
    except RerankUnavailable:  # the calls will say so
        speed = 0.0
    pairs = CHUNK_SECONDS * speed / TYPICAL_PAIR_TOKENS
    if not getattr(scorer, "has_replicas", False):
        return int(min(MAX_CHUNK_PAIRS, max(CHUNK_PAIRS, pairs)))
    calls = math.ceil(texts / min(MAX_POOL_CHUNK_PAIRS, max(POOL_CHUNK_PAIRS, pairs)))
    return math.ceil(texts / max(1, calls))


async def _finished_prefix(calls: Sequence[asyncio.Task[Outcome]], deadline: float | None) -> Scored:
    """Return the scores of the calls before the first that is not done; of no more where models differ already."""
    found = Scored([], [])
    for call in calls:
        outcome = await _outcome(call, deadline)
        if isinstance(outcome, RerankUnavailable):
            if call is calls[0]:
                raise outcome
            break
        found.scores.extend(outcome.scores)
        found.models.extend(outcome.models)
        if provenance.are_several(found.models):
            break
    return found


async def _outcome(call: asyncio.Task[Outcome], deadline: float | None) -> Outcome:
    """Wait for one call; asyncio.wait leaves it running when the time is up."""
    left = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
    done, _ = await asyncio.wait({call}, timeout=left)
    return call.result() if done else ScoringTimeout("no score before the deadline")


async def _attempt(scorer: Scorer, query: str, texts: Sequence[str], deadline: float | None) -> Outcome:
    """Being unavailable is an outcome here, not a failed task, and so is whatever a scorer of somebody's own raises."""
    try:
        with provenance.listening() as told:
            scores = await scorer.score(query, texts, deadline=deadline)
        if len(scores) != len(texts):
            return ModelFailed(f"the scorer gave {len(scores)} scores for {len(texts)} texts")
        if not all(map(math.isfinite, scores)):
            return ModelFailed("the scorer gave scores that are no finite numbers")
    except RerankUnavailable as error:
        return error
    except Exception as error:
        logger.exception("scorer_raised")
        return ModelFailed(f"the scorer raised {type(error).__name__}: {error}")
    return Scored(list(scores), told)
