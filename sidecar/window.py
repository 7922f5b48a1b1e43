"""Between steps 4 and 5: which candidates are scored.

Law: the effective window is a first-stage prefix, at most `window` candidates whose tokens fit the budget; the
budget is fixed when the model is loaded and never follows the load, so that pages agree. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.candidates import affordable
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.scoring.base import ModelFacts
from sidecar.types import Candidate, Outcome, RerankOptions, SkipReason

BUDGET_SHARE = 0.5
"""Share of the deadline that scoring may take on the idle device; the rest is for waiting behind other searches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The effective window of one search: a prefix of the first-stage hits."""

    #: hits that the first stage returned
    fetched: int
    #: hits of the prefix, those without text included
    length: int
    #: those with text, which are scored
    candidates: tuple[Candidate, ...]
    #: hits that the first stage was asked for
    asked: int
    #: candidates scored at most, as configured
    limit: int
    #: the budget, where it cut the window
    token_budget: int | None

    @property
    def texts(self) -> list[str]:
        """The texts to score, in first-stage order."""
        return [candidate.text for candidate in self.candidates]

    def reason_not_to_score(self, options: RerankOptions) -> SkipReason | None:
        """Return why scoring would change nothing, or None."""
        if self.fetched == 0 or (self.fetched == 1 < self.asked and options.min_score is None):
            return SkipReason.FEW_HITS
        return None if self.candidates else SkipReason.NO_TEXT_FIELD

    def considered(self, scored: int) -> int:
        """Return the length of the prefix that `scored` scores cover; all of it when every candidate has one."""
        return self.length if scored == len(self.candidates) else self.candidates[scored - 1].rank

    def marker(self, scores: Sequence[float], facts: ModelFacts, *, dropped: int) -> Marker:
        """Return the marker of a search with these scores."""
        is_whole = len(scores) == len(self.candidates)
        return Marker(
            outcome=Outcome.APPLIED if is_whole else Outcome.PARTIAL,
            reason=None if is_whole else "deadline",
            candidates=len(scores),
            window=self.limit,
            token_budget=self.token_budget,
            dropped=dropped or None,
            model=facts.name,
        )


def effective_window(plan: Plan, candidates: Sequence[Candidate], facts: ModelFacts, *, share: float = 1.0) -> Window:
    """Return the window of `candidates` that a model with these facts scores for this plan; `share` as below."""
    limit = plan.options.window
    budget = token_budget(plan.options, facts, share=share)
    prefix = candidates[:limit]
    length = affordable(prefix, plan.query, token_budget=budget, max_length=facts.max_length, options=plan.options)
    return Window(
        fetched=len(candidates),
        asked=plan.fetched,
        length=length,
        candidates=tuple(candidate for candidate in prefix[:length] if candidate.text),
        limit=limit,
        token_budget=budget if length < len(prefix) else None,
    )


def token_budget(options: RerankOptions, facts: ModelFacts, *, share: float = 1.0) -> int | None:
    """Return the tokens that one search may score, None for no bound.

    Without a configured budget: what the idle device does in half the deadline, as measured when the model was
    loaded, of which the model has a `share`; no bound where nobody measured, or without a deadline.
    """
    if options.token_budget is not None:
        return options.token_budget or None
    if facts.tokens_per_second is None or options.deadline <= 0:
        return None
    return max(1, int(facts.tokens_per_second * options.deadline * BUDGET_SHARE * share))
