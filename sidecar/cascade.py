"""Between steps 4 and 5, where an operator asks for it: a cheap model prunes the window, the scorer reads what is left.

Laws: the pruner reads every candidate of the effective window, and the best `prune_keep` by its scores, as far as the
scorer's tokens go, are kept. What was pruned comes after all that the scorer has scored, in the pruner's order, and
has no model score: nobody claims to know how it compares. Fusion and `min_score` see what the scorer has scored and
nothing else. A pruner that fails costs nothing but its help: the head of the first stage is kept in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from sidecar import fusion, passages
from sidecar.candidates import affordable
from sidecar.errors import RerankUnavailable
from sidecar.fusion import Fusion
from sidecar.marker import Marker
from sidecar.passages import Document, ScoredDocument
from sidecar.plan import Plan
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.prefix import score_prefix
from sidecar.types import Candidate, Outcome, ScoredCandidate
from sidecar.window import Window, effective_window, token_budget

logger = logging.getLogger(__name__)

SHARE: Final = 0.5
"""The pruner's part of a search's time and tokens; the scorer has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a window the scorer reads. Without a cascade that is all of it, in first-stage order."""

    #: read by the scorer, in this order
    kept: Sequence[Document]
    #: not read by it, best first by the pruner
    pruned: Sequence[Document] = ()
    #: the pruner's scores by first-stage rank
    scores: Mapping[int, float] = field(default_factory=dict)
    #: who pruned; None without a cascade
    pruner: str | None = None
    #: why the pruner did not judge all of the window, None where it did
    failure: str | None = None

    @property
    def is_pruned(self) -> bool:
        """Whether this is a cascade."""
        return self.pruner is not None

    def ranking(
        self, scored: Sequence[ScoredDocument], rule: Fusion, *, explains: bool = False
    ) -> list[ScoredCandidate]:
        """Return the ranking, best first; `scored` belong to the first of `kept`; `explains` as for `fusion.rank`."""
        order = sorted(range(len(scored)), key=lambda place: self.kept[place].candidate.rank)
        ranked = fusion.rank(
            [self.kept[place].candidate for place in order],
            [scored[place].score for place in order],
            rule,
            [scored[place].best_passage for place in order],
            explains=explains,
        )
        if not self.is_pruned:
            return ranked
        above = [replace(each, pruner_score=self.scores.get(each.candidate.rank)) for each in ranked]
        return above + [self._behind(document.candidate) for document in (*self.kept[len(scored) :], *self.pruned)]

    def considered(self, window: Window, scored: int) -> int:
        """Return the length of the first-stage prefix that has been judged."""
        return window.considered(len(self.kept) + len(self.pruned) if self.is_pruned else scored)

    def marked(self, mark: Marker, scored: int) -> Marker:
        """Return the marker of a search of which so many documents were scored."""
        if not self.is_pruned:
            return mark
        reason = self.failure or ("deadline" if scored < len(self.kept) else None)
        return replace(
            mark,
            outcome=Outcome.PARTIAL if reason else Outcome.APPLIED,
            reason=reason,
            pruned=len(self.kept) + len(self.pruned) - scored,
            pruner=self.pruner,
        )

    def _behind(self, candidate: Candidate) -> ScoredCandidate:
        score = self.scores.get(candidate.rank)
        return ScoredCandidate(candidate=candidate, model_score=None, fused_score=None, pruner_score=score)


def window(plan: Plan, candidates: Sequence[Candidate], facts: ModelFacts, pruner: Scorer | None) -> Window:
    """Return the effective window: what the pruner can read, or without one the scorer, whose `facts` these are."""
    if pruner is None:
        return effective_window(plan, candidates, facts)
    with suppress(RerankUnavailable):  # it will be found out
        facts = pruner.describe()
    return effective_window(plan, candidates, facts, share=SHARE)


async def select(
    pruner: Scorer | None, plan: Plan, documents: Sequence[Document], facts: ModelFacts, deadline: float | None
) -> Selection:
    """Return what the scorer, whose `facts` these are, reads of a window's documents."""
    if pruner is None:
        return Selection(kept=documents)
    options = plan.options
    try:
        raw = await score_prefix(pruner, plan.query, passages.texts(documents), deadline=_half(deadline))
    except RerankUnavailable as error:
        logger.warning("pruner_failed reason=%s model=%s", error.reason, options.prune_model)
        return _split(documents, {}, plan, facts, failure="pruner")
    judged = passages.join(documents, raw, options)
    if not judged:
        return _split(documents, {}, plan, facts, failure="deadline")
    scores = {document.candidate.rank: each.score for document, each in zip(documents, judged, strict=False)}
    best_first = sorted(documents[: len(judged)], key=lambda document: -scores[document.candidate.rank])
    return _split(best_first, scores, plan, facts, failure=None if len(judged) == len(documents) else "deadline")


def _split(
    best_first: Sequence[Document], scores: Mapping[int, float], plan: Plan, facts: ModelFacts, *, failure: str | None
) -> Selection:
    options = plan.options
    best = [document.candidate for document in best_first[: options.prune_keep]]
    budget = token_budget(options, facts, share=SHARE)
    keep = affordable(best, plan.query, token_budget=budget, max_length=facts.max_length, options=options)
    return Selection(
        kept=best_first[:keep],
        pruned=best_first[keep:],
        scores=scores,
        pruner=options.prune_model,
        failure=failure,
    )


def _half(deadline: float | None) -> float | None:
    """Return the moment at which half of the time that is left is over."""
    if deadline is None:
        return None
    now = asyncio.get_running_loop().time()
    return now + SHARE * max(0.0, deadline - now)
