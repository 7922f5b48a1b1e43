"""Step 6: one final score per candidate, from its first-stage score and the model's.

Law: a fusion sees the scored candidates of one search and nothing else; equal finals keep the first-stage order.
Scores of different searches are never compared. No I/O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Protocol, assert_never

from sidecar.scoring.base import ModelFacts, sigmoid
from sidecar.types import Candidate, RerankOptions, ScoredCandidate


class Fusion(Protocol):
    """A rule that gives one final score."""

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return one final score per candidate, aligned; higher is better."""
        ...

    def unit(self, final: float) -> float:
        """Return a final score on the scale 0 to 1, in the same order."""
        ...


@dataclass(frozen=True, slots=True)
class ModelOnly:
    """final = model score."""

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return the model scores."""
        return list(model_scores)

    def unit(self, final: float) -> float:
        """Return sigmoid(final)."""
        return sigmoid(final)


@dataclass(frozen=True, slots=True)
class Linear:
    """final = w * z(model score) + (1 - w) * z(first-stage score), z over the scored candidates.

    *Source:* z-score normalisation with a convex combination: Bruch, Gai, Ingber, "An Analysis of Fusion Functions
    for Hybrid Retrieval", ACM TOIS 2023.
    """

    weight: float

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return the weighted sums of z-scores; without first-stage scores their ranks stand in."""
        first = [candidate.score for candidate in candidates]
        known = [score for score in first if score is not None]
        ranked = known if len(known) == len(first) else [-math.log(candidate.rank) for candidate in candidates]
        return [
            self.weight * model + (1 - self.weight) * engine
            for model, engine in zip(z_scores(model_scores), z_scores(ranked), strict=True)
        ]

    def unit(self, final: float) -> float:
        """Return sigmoid(final)."""
        return sigmoid(final)


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """final = 1 / (k + first-stage rank) + 1 / (k + rank by model score), ranks among the scored candidates.

    *Source:* Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009 (k = 60).
    """

    k: float = 60.0

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return the sums of reciprocal ranks."""
        by_model = sorted(range(len(model_scores)), key=lambda i: (-model_scores[i], candidates[i].rank))
        model_rank = {index: rank for rank, index in enumerate(by_model, start=1)}
        return [1 / (self.k + first) + 1 / (self.k + model_rank[first - 1]) for first in range(1, len(candidates) + 1)]

    def unit(self, final: float) -> float:
        """Return the share of the highest final score there can be."""
        return final * (self.k + 1) / 2


def choose(options: RerankOptions, facts: ModelFacts) -> Fusion:
    """Return the fusion that the options name; "auto" is what the model recommends."""
    name = facts.recommended_fusion if options.fusion == "auto" else options.fusion
    match name:
        case "model_only":
            return ModelOnly()
        case "linear":
            return Linear(facts.recommended_weight if options.weight is None else options.weight)
        case "rrf":
            return ReciprocalRank()
        case _:
            assert_never(name)


def rank(
    candidates: Sequence[Candidate],
    model_scores: Sequence[float],
    fusion: Fusion,
    best_passages: Sequence[str] | None = None,
) -> list[ScoredCandidate]:
    """Return the candidates with their scores, best first; `fused_score` is on the scale 0 to 1."""
    finals = fusion.fuse(candidates, model_scores)
    passages: Sequence[str | None] = best_passages or [None] * len(candidates)
    scored = [
        ScoredCandidate(candidate=candidate, model_score=model, fused_score=fusion.unit(final), best_passage=passage)
        for candidate, model, final, passage in zip(candidates, model_scores, finals, passages, strict=True)
    ]
    order = sorted(range(len(scored)), key=lambda i: (-finals[i], candidates[i].rank))
    return [scored[i] for i in order]


def z_scores(values: Sequence[float]) -> list[float]:
    """Return (value - mean) / standard deviation; zeros when all are equal."""
    if not values:
        return []
    mean, deviation = fmean(values), pstdev(values)
    return [(value - mean) / deviation if deviation > 0 else 0.0 for value in values]
