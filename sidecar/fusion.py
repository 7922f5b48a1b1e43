"""Step 6: one final score per candidate, from its first-stage score, the model's, and what signals say of its hit.

Law: a fusion sees the scored candidates of one search and nothing else; equal finals keep the first-stage order.
Scores of different searches are never compared. No I/O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Final, Protocol, assert_never

from sidecar.scoring.base import ModelFacts, sigmoid
from sidecar.types import Candidate, RerankOptions, ScoredCandidate, Signal, Term

MODEL: Final = "model"
FIRST_STAGE: Final = "first_stage"
"""Names of terms; a signal's is that of its field."""


class Fusion(Protocol):
    """A rule that gives one final score."""

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return one final score per candidate, aligned; higher is better."""
        ...

    def unit(self, final: float) -> float:
        """Return a final score on the scale 0 to 1, in the same order."""
        ...

    def terms(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[tuple[Term, ...]]:
        """Return what each final score is the sum of, aligned."""
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

    def terms(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[tuple[Term, ...]]:
        """Return the model score alone."""
        del candidates
        return [(Term(MODEL, "raw", score, score, 1.0),) for score in model_scores]


@dataclass(frozen=True, slots=True)
class Linear:
    """final = w * z(model score) + (1 - w) * z(first-stage score) + each signal's weight * its value.

    z is over the scored candidates; a signal's value is its function's, as it is.

    *Source:* z-score normalisation with a convex combination: Bruch, Gai, Ingber, "An Analysis of Fusion Functions
    for Hybrid Retrieval", ACM TOIS 2023.
    """

    weight: float
    signals: tuple[Signal, ...] = ()

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return the weighted sums; without first-stage scores their ranks stand in."""
        relevance = (
            self.weight * model + (1 - self.weight) * engine
            for model, engine in zip(z_scores(model_scores), z_scores(_first_stage(candidates)), strict=True)
        )
        return [score + self._signalled(each) for score, each in zip(relevance, candidates, strict=True)]

    def _signalled(self, candidate: Candidate) -> float:
        pairs = zip(self.signals, candidate.signals, strict=True) if self.signals else ()
        return sum(signal.weight * found.value for signal, found in pairs)

    def unit(self, final: float) -> float:
        """Return sigmoid(final)."""
        return sigmoid(final)

    def terms(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[tuple[Term, ...]]:
        """Return both z-scores and the signals, with their weights."""
        first = _first_stage(candidates)
        columns = zip(candidates, model_scores, z_scores(model_scores), first, z_scores(first), strict=True)
        return [
            (
                Term(MODEL, "z", model, model_z, self.weight),
                Term(FIRST_STAGE, "z", engine, engine_z, 1 - self.weight),
                *(
                    Term(signal.field, signal.function, found.raw, found.value, signal.weight)
                    for signal, found in zip(self.signals, candidate.signals, strict=True)
                ),
            )
            for candidate, model, model_z, engine, engine_z in columns
        ]


def _first_stage(candidates: Sequence[Candidate]) -> list[float]:
    """Return the first-stage scores; where one is missing, what falls with the ranks."""
    known = [candidate.score for candidate in candidates if candidate.score is not None]
    return known if len(known) == len(candidates) else [-math.log(candidate.rank) for candidate in candidates]


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """final = 1 / (k + first-stage rank) + 1 / (k + rank by model score), ranks among the scored candidates.

    *Source:* Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009 (k = 60).
    """

    k: float = 60.0

    def fuse(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[float]:
        """Return the sums of reciprocal ranks."""
        by_model = _ranks(candidates, model_scores)
        return [1 / (self.k + first) + 1 / (self.k + by_model[first - 1]) for first in range(1, len(candidates) + 1)]

    def unit(self, final: float) -> float:
        """Return the share of the highest final score there can be."""
        return final * (self.k + 1) / 2

    def terms(self, candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[tuple[Term, ...]]:
        """Return both reciprocal ranks."""
        by_model = _ranks(candidates, model_scores)
        return [
            tuple(
                Term(name, "reciprocal_rank", rank, 1 / (self.k + rank), 1.0)
                for name, rank in ((MODEL, by_model[first - 1]), (FIRST_STAGE, first))
            )
            for first in range(1, len(candidates) + 1)
        ]


def _ranks(candidates: Sequence[Candidate], model_scores: Sequence[float]) -> list[int]:
    """Return the ranks by model score, from 1, aligned."""
    by_model = sorted(range(len(model_scores)), key=lambda i: (-model_scores[i], candidates[i].rank))
    ranks = [0] * len(by_model)
    for rank, index in enumerate(by_model, start=1):
        ranks[index] = rank
    return ranks


def choose(options: RerankOptions, facts: ModelFacts) -> Fusion:
    """Return the fusion that the options name; "auto" is what the model recommends, with signals "linear"."""
    recommended = "linear" if options.signals else facts.recommended_fusion
    name = recommended if options.fusion == "auto" else options.fusion
    match name:
        case "model_only":
            return ModelOnly()
        case "linear":
            weight = facts.recommended_weight if options.weight is None else options.weight
            return Linear(weight, options.signals)
        case "rrf":
            return ReciprocalRank()
        case _:
            assert_never(name)


def rank(
    candidates: Sequence[Candidate],
    model_scores: Sequence[float],
    fusion: Fusion,
    best_passages: Sequence[str] | None = None,
    *,
    explains: bool = False,
) -> list[ScoredCandidate]:
    """Return the candidates with their scores, best first; `fused_score` is on the scale 0 to 1.

    `explains`: they have the terms of their final scores, too.
    """
    finals = fusion.fuse(candidates, model_scores)
    passages: Sequence[str | None] = best_passages or [None] * len(candidates)
    terms = fusion.terms(candidates, model_scores) if explains else [()] * len(candidates)
    scored = [
        ScoredCandidate(
            candidate=candidate, model_score=model, fused_score=fusion.unit(final), best_passage=passage, terms=sum_of
        )
        for candidate, model, final, passage, sum_of in zip(
            candidates, model_scores, finals, passages, terms, strict=True
        )
    ]
    order = sorted(range(len(scored)), key=lambda i: (-finals[i], candidates[i].rank))
    return [scored[i] for i in order]


def z_scores(values: Sequence[float]) -> list[float]:
    """Return (value - mean) / standard deviation; zeros when all are equal."""
    if not values:
        return []
    mean, deviation = fmean(values), pstdev(values)
    return [(value - mean) / deviation if deviation > 0 else 0.0 for value in values]
