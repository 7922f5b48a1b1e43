"""All that an evaluation has found, as values: terminal, JSON and HTML show the same.

Law: nothing is computed in a view that another view does not have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from sidecar.evaluation import measures
from sidecar.evaluation.comparison import Comparison, compare
from sidecar.evaluation.measures import PerQuery
from sidecar.evaluation.searching import SHOWN, Answers, RankedHit, Rankings, System
from sidecar.evaluation.sources import Source
from sidecar.experiments import overlap
from sidecar.scoring.base import ModelFacts

OVERLAP_DEPTH: Final = 10
SHOWN_QUERIES: Final = 10
_LEADERS: Final = 3
"""Hits that are shown of a hurt query for being first now, beside the relevant ones that were near the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A system's rankings and what they are worth. Without judgments `values` and `means` are empty."""

    rankings: Rankings
    values: PerQuery
    means: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked(Measured):
    """A reranked system beside the first stage."""

    label: str
    facts: ModelFacts
    window: int
    fusion: str
    #: the model that pruned the window, and how much of it was kept; "" and 0 without a cascade
    pruner: str
    keep: int
    #: of the first measure; None without judgments
    comparison: Comparison | None
    #: agreement with the first stage by query
    jaccard: Mapping[str, float]
    rbo: Mapping[str, float]

    @property
    def scored_per_query(self) -> float:
        """Candidates that the model scored for a query, in the mean."""
        return fmean(self.rankings.scored.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHit:
    """A hit of a query that is looked at; the grade is None where nobody judged it."""

    hit: RankedHit
    grade: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuery:
    """A query that is looked at, with the hits that tell why it is where it is."""

    id: str
    text: str
    before: float | None
    after: float | None
    rbo: float
    hits: Sequence[ShownHit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything."""

    source: Source
    measures: tuple[str, ...]
    relevant_from: int
    first_stage: Measured
    systems: Sequence[Reranked]
    excerpts: Mapping[str, Mapping[str, str]]

    @property
    def primary(self) -> str | None:
        """The measure that is compared query by query."""
        return self.measures[0] if self.measures else None

    @property
    def best(self) -> Reranked:
        """The system with the highest mean of the first measure; the first one without judgments."""
        primary = self.primary
        return self.systems[0] if primary is None else max(self.systems, key=lambda each: each.means[primary])

    def to_look_at(self, system: Reranked, count: int = SHOWN_QUERIES) -> list[ShownQuery]:
        """Return the queries that a system hurt most; without judgments those whose ranking it changed most."""
        if system.comparison is not None:
            worst = system.comparison.worst(count)
        else:
            worst = sorted(system.rbo, key=lambda query: system.rbo[query])[:count]
        return [self._shown(system, query) for query in worst]

    def _shown(self, system: Reranked, query: str) -> ShownQuery:
        grades = (self.source.dataset.qrels or {}).get(query, {})
        texts = self.excerpts[query]
        hits = [
            ShownHit(hit=hit, grade=grades.get(hit.id), text=texts.get(hit.id, ""))
            for hit in system.rankings.hits[query]
            if hit.rank <= _LEADERS or (hit.first_stage_rank <= SHOWN and grades.get(hit.id, 0) >= self.relevant_from)
        ]
        before = self.first_stage.values[self.primary][query] if self.primary else None
        after = system.values[self.primary][query] if self.primary else None
        return ShownQuery(
            id=query,
            text=self.source.dataset.queries[query],
            before=before,
            after=after,
            rbo=system.rbo[query],
            hits=hits,
        )


def gather(
    source: Source, systems: Mapping[str, System], answers: Answers, measured: Mapping[str, Any], relevant_from: int
) -> Results:
    """Return the results of what was answered; `measured` are the measures, none without judgments."""
    first = _measured(source, answers.first_stage, measured)
    return Results(
        source=source,
        measures=tuple(measured),
        relevant_from=relevant_from,
        first_stage=first,
        systems=[
            _reranked(source, label, system, answers.by_system[label], first, measured)
            for label, system in systems.items()
        ],
        excerpts=answers.excerpts,
    )


def _measured(source: Source, rankings: Rankings, measured: Mapping[str, Any]) -> Measured:
    qrels = source.dataset.qrels
    values: PerQuery = {}
    if qrels is not None:
        values = measures.per_query(measured, qrels, {query: rankings.ids(query) for query in rankings.hits})
    return Measured(rankings=rankings, values=values, means=measures.means(values))


def _reranked(
    source: Source, label: str, system: System, rankings: Rankings, first: Measured, measured: Mapping[str, Any]
) -> Reranked:
    own = _measured(source, rankings, measured)
    primary = next(iter(own.values), None)
    pairs = {query: (first.rankings.ids(query), rankings.ids(query)) for query in rankings.hits}
    return Reranked(
        rankings=rankings,
        values=own.values,
        means=own.means,
        label=label,
        facts=system.facts,
        window=system.window,
        fusion=system.fusion,
        pruner=system.pruner.describe().name if system.pruner else "",
        keep=system.keep,
        comparison=None if primary is None else compare(first.values[primary], own.values[primary]),
        jaccard={query: overlap.jaccard(*pair, OVERLAP_DEPTH) for query, pair in pairs.items()},
        rbo={query: overlap.rbo(*pair) for query, pair in pairs.items()},
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that `percent` of all are not above (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
