"""Every query to every system: the engine alone, and the engine reranked in each of the ways that are compared.

Law: all systems are connectors and get the same request; a search that was not reranked counts with the order that its
caller would have got, and is counted; a second stage that fails ends the evaluation.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.base import Connector, Hit, SearchRequest, SearchResponse
from sidecar import fusion
from sidecar.candidates import extract
from sidecar.errors import SidecarError
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.evaluation.request import FusionChoice, Question
from sidecar.fusion import Linear
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.types import Outcome, RerankOptions, SearchRecord

SHOWN: Final = 10
"""Hits of a ranking whose texts are kept, to be shown."""

EXCERPT: Final = 300
"""Characters of a text that are kept."""


class SearchFailed(SidecarError):
    """A query has no result to be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedHit:
    """A hit of a ranking. Ranks count from 1."""

    id: str
    rank: int
    score: float
    first_stage_rank: int
    model_score: float | None = None


@dataclass(slots=True, kw_only=True)
class Rankings:
    """What one system has answered, by query id."""

    hits: dict[str, tuple[RankedHit, ...]] = field(default_factory=dict)
    #: seconds of the system's own stage
    seconds: dict[str, float] = field(default_factory=dict)
    #: candidates that were scored
    scored: dict[str, int] = field(default_factory=dict)
    #: how many searches were not reranked, by reason
    skipped: Counter[str] = field(default_factory=Counter)

    def ids(self, query: str) -> list[str]:
        """Return the ids of a query's ranking, best first."""
        return [hit.id for hit in self.hits[query]]


@dataclass(slots=True, kw_only=True)
class Answers:
    """What all systems have answered."""

    first_stage: Rankings = field(default_factory=Rankings)
    by_system: dict[str, Rankings] = field(default_factory=dict)
    #: beginnings of the texts of hits near the top, by query and document id
    excerpts: dict[str, dict[str, str]] = field(default_factory=dict)


class System:
    """One way of reranking: a model, a window and a fusion behind the engine."""

    def __init__(
        self,
        engine: Connector,
        scorer: Scorer,
        options: RerankOptions,
        window: int,
        choice: FusionChoice,
        *,
        pruner: Scorer | None = None,
        keep: int = 0,
    ) -> None:
        """Rerank `engine` by the settings of `options`, freed of deadline and budget.

        `pruner` leaves `keep` candidates of the window for `scorer`, None all.
        """
        self.scorer = scorer
        self.pruner = pruner
        self.window = window
        self.keep = keep
        self.facts: ModelFacts = scorer.describe()
        self.options = replace(
            options,
            enabled=True,
            mode="apply",
            percent=100.0,
            interleave="off",
            insist=True,
            explain=True,
            model=None,
            prune_model=None if pruner is None else pruner.describe().name,
            prune_keep=keep or options.prune_keep,
            deadline=0.0,
            token_budget=0,
            on_failure="error",
            window=window,
            fusion=choice.name,
            weight=options.weight if choice.weight is None else choice.weight,
        )
        self._records: list[SearchRecord] = []
        self._connector = RerankingConnector(
            engine,
            scorer,
            Policy(defaults=self.options),
            models={} if pruner is None else {pruner.describe().name: pruner},
            observe=self._records.append,
        )

    @property
    def fusion(self) -> str:
        """The fusion in words, `auto` as what it stands for."""
        chosen = fusion.choose(self.options, self.facts)
        if isinstance(chosen, Linear):
            return f"linear={chosen.weight:g}{'+signals' if chosen.signals else ''}"
        return "model_only" if isinstance(chosen, fusion.ModelOnly) else "rrf"

    @property
    def cascade(self) -> str:
        """The cascade in words, "" where there is none."""
        return "" if self.pruner is None else f"keep={self.keep}"

    @property
    def seconds_before(self) -> float:
        """Seconds that the scores took which the latest search had from memory."""
        return sum(each.seconds_before for each in (self.scorer, self.pruner) if isinstance(each, ScoredOnce))

    async def search(self, request: SearchRequest) -> tuple[SearchResponse, SearchRecord]:
        """Return the answer to a search and what happened.

        Raises:
            SearchFailed: the second stage gave no scores, or not all.
            EngineError: the engine gave no answer.
        """
        self._records.clear()
        answer = await self._connector.search(request)
        record = self._records[-1]
        if record.outcome in (Outcome.DEGRADED, Outcome.PARTIAL):
            raise SearchFailed(f"not reranked, {record.reason}: {_reason(answer)}")
        return answer.raise_for_status(), record


async def search_all(
    engine: AskedOnce,
    systems: Mapping[str, System],
    queries: Mapping[str, str],
    question: Question,
    fields: Sequence[str],
    advance: Callable[[], None] = lambda: None,
) -> Answers:
    """Ask every system every query, and return the rankings; systems of one model in the order of their windows.

    Raises:
        SearchFailed: as `System.search`; the message names the query.
        EngineError: the engine gave no answer, or an error.
    """
    answers = Answers(by_system={label: Rankings() for label in systems})
    for query, text in queries.items():
        request = question.request(query, text)
        texts = answers.excerpts.setdefault(query, {})
        start = time.monotonic()
        first = (await engine.search(request)).raise_for_status()
        answers.first_stage.seconds[query] = time.monotonic() - start
        ranked = _keep(answers.first_stage, query, first, fields, texts)
        for label, system in systems.items():
            try:
                answer, record = await system.search(request)
            except SearchFailed as error:
                raise SearchFailed(f"query {query}, {label}: {error}") from error
            rankings = answers.by_system[label]
            _keep(rankings, query, answer, fields, texts, ranked)
            rankings.scored[query] = record.candidates
            rankings.seconds[query] = (record.second_stage_seconds or 0.0) + system.seconds_before
            if record.outcome is Outcome.SKIPPED:
                rankings.seconds[query] = 0.0
                rankings.skipped[record.reason or ""] += 1
        engine.forget()
        advance()
    return answers


def _keep(
    rankings: Rankings,
    query: str,
    answer: SearchResponse,
    fields: Sequence[str],
    texts: dict[str, str],
    first_stage_ranks: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Note the hits of an answer, each document once, and return the ranks by id."""
    known = first_stage_ranks or {}
    ranks: dict[str, int] = {}
    hits: list[RankedHit] = []
    for hit in answer.hits:
        id = str(hit.id)
        if id in ranks:  # the same id in another index
            continue
        rank = ranks[id] = len(ranks) + 1
        score = -float(rank) if hit.score is None else hit.score
        model_score = hit.value.get("_rerank", {}).get("model_score")
        hits.append(
            RankedHit(id=id, rank=rank, score=score, first_stage_rank=known.get(id, rank), model_score=model_score)
        )
        if rank <= SHOWN and id not in texts:
            texts[id] = _excerpt(text_of(hit, fields))
    rankings.hits[query] = tuple(hits)
    return ranks


def text_of(hit: Hit, fields: Sequence[str]) -> str:
    """Return the text that the model saw, else that of the fields, else of all."""
    seen: str | None = hit.value.get("_rerank", {}).get("text")
    return seen or extract([hit], fields or tuple(hit.source or {}))[0].text


def _excerpt(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= EXCERPT else f"{words[: EXCERPT - 1]}…"


def _reason(answer: SearchResponse) -> str:
    try:
        error: Any = answer.json["error"]
        return str(error["reason"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"
