"""Every judged query's candidates: the terms of their final scores, and how relevant they are.

Laws: a term is what the pipeline says that it is, in the explanation of a page; nothing is computed a second way here.
Pins, diversity and `min_score` are left out, since they are rules about places and no terms.

*Source:* nDCG@10 with linear gain, as trec_eval has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from connectors.base import SearchResponse
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.evaluation.request import FusionChoice
from sidecar.evaluation.searching import SearchFailed, System
from sidecar.evaluation.sources import Source
from sidecar.scoring.base import Scorer
from sidecar.types import Candidate, RerankOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPTH: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A candidate of one query."""

    id: str
    #: with the first-stage score and what signals say, and without the text
    candidate: Candidate
    model_score: float
    #: values of the terms of a linear fusion, in its order
    terms: tuple[float, ...]


Listing = Mapping[str, Sequence[Listed]]
"""Candidates by query id, in first-stage order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The candidates of some queries as arrays; a list that is shorter than others is filled up."""

    queries: tuple[str, ...]
    #: (queries, candidates, terms)
    terms: NDArray[np.float64]
    #: (queries, candidates)
    gains: NDArray[np.float64]
    is_there: NDArray[np.bool_]
    #: (queries,): the gain of the best ten documents there are, whether or not they are candidates
    best: NDArray[np.float64]

    def ndcg(self, weights: Sequence[float]) -> NDArray[np.float64]:
        """Return nDCG@10 of every query, candidates ranked by their weighted terms; equal ones keep their order."""
        import numpy as np

        return self.ndcg_of(self.terms @ np.asarray(weights, dtype=np.float64))

    def ndcg_of(self, finals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return nDCG@10 of every query under these final scores, (queries, candidates)."""
        import numpy as np

        order = np.argsort(np.where(self.is_there, -finals, np.inf), axis=1, kind="stable")[:, :DEPTH]
        gains = np.take_along_axis(self.gains, order, axis=1)  # (queries, depth)
        return (gains @ _discounts(gains.shape[1])) / self.best

    def spreads(self) -> NDArray[np.float64]:
        """Return how far each term's values lie apart within a query, (terms,): the mean of standard deviations."""
        import numpy as np

        several = self.is_there.sum(axis=1) > 1
        if not several.any():
            return np.zeros(self.terms.shape[2])
        values = np.where(self.is_there[several][:, :, None], self.terms[several], np.nan)
        return np.asarray(np.nanstd(values, axis=1).mean(axis=0))


def _discounts(depth: int) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(1 / np.log2(np.arange(2, depth + 2)))


async def gather(
    source: Source,
    scorer: Scorer,
    base: RerankOptions,
    window: int,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, list[Listed]]:
    """Return the candidates of all queries of a source.

    Raises:
        EngineError: the engine gave no answer, or an error.
        SearchFailed: a search has no result.
    """
    options = replace(base, pin_ids=(), pin_field=None, diversify_by=None, min_score=None)
    system = System(AskedOnce(source.engine), ScoredOnce(scorer), options, window, FusionChoice(name="linear"))
    question = replace(source.question, size=window)  # what comes after the window has no terms
    found: dict[str, list[Listed]] = {}
    for query, text in source.dataset.queries.items():
        try:
            answer, _ = await system.search(question.request(query, text))
        except SearchFailed as error:
            raise SearchFailed(f"query {query}: {error}") from error
        found[query] = listed(answer)
        advance()
    return found


def listed(answer: SearchResponse) -> list[Listed]:
    """Return the candidates of an explained answer, each document once, in first-stage order."""
    found: dict[str, Listed] = {}
    for hit in sorted(answer.hits, key=lambda hit: hit.value.get("_rerank", {}).get("first_stage_rank", hit.rank)):
        said = hit.value.get("_rerank", {})
        if not said.get("terms"):  # it has no text, or the search was left alone
            continue
        candidate = Candidate(rank=said["first_stage_rank"], score=said["first_stage_score"], text="")
        terms = tuple(term["value"] for term in said["terms"])
        each = Listed(id=str(hit.id), candidate=candidate, model_score=said["model_score"], terms=terms)
        found.setdefault(each.id, each)
    return list(found.values())


def as_arrays(listing: Listing, qrels: Mapping[str, Mapping[str, int]], terms: int) -> Lists:
    """Return candidates with their judgments as arrays; `terms` is how many terms each has."""
    import numpy as np

    queries = tuple(query for query in listing if any(grade > 0 for grade in qrels.get(query, {}).values()))
    width = max((len(listing[query]) for query in queries), default=0)
    shape = (len(queries), width)
    values, gains, is_there = np.zeros((*shape, terms)), np.zeros(shape), np.zeros(shape, dtype=bool)
    best = np.zeros(len(queries))
    for row, query in enumerate(queries):
        grades = {id: float(max(0, grade)) for id, grade in qrels[query].items()}
        top = sorted(grades.values(), reverse=True)[:DEPTH]
        best[row] = np.asarray(top) @ _discounts(len(top))
        for column, each in enumerate(listing[query]):
            values[row, column] = each.terms
            gains[row, column] = grades.get(each.id, 0.0)
            is_there[row, column] = True
    return Lists(queries=queries, terms=values, gains=gains, is_there=is_there, best=best)
