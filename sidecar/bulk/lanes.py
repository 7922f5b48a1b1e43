"""Several queries at a time: while one's window is scored, the next ones are searched.

Laws: a query whose engine or scorer is away is asked again a few times, with growing pauses, before the job ends; what
was answered until then stays answered. All lanes get the same requests as `evaluate` sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from connectors.base import SearchResponse, header
from connectors.errors import EngineError, EngineStatusError
from sidecar.bulk.answers import Answer, answer_of
from sidecar.bulk.request import BulkRequest
from sidecar.bulk.windows import SCHEDULING, WholeWindows
from sidecar.evaluation.program import settings_of
from sidecar.evaluation.searching import SearchFailed, System
from sidecar.evaluation.sources import Source
from sidecar.program import parts
from sidecar.program.parts import Options
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.remote import RemoteScorer
from sidecar.types import Outcome, RerankOptions

logger = logging.getLogger(__name__)

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a query is asked again; then the job ends, to be gone on with when all is well."""

SERVED_HEADERS: Final = (("X-Rerank-Deadline-Ms", "0"), ("X-Rerank-On-Failure", "error"))
"""All of a window is scored, and its scores remembered, however long that takes."""

MARKER: Final = "X-Rerank"


@dataclass(frozen=True, slots=True)
class Query:
    """A query to be answered; `place` is its number in the dataset."""

    place: int
    id: str
    text: str


Ask = Callable[[Query], Awaitable[Answer]]


class Told(Protocol):
    """Hears of every answer."""

    def __call__(self, query: Query, answer: Answer) -> None:
        """Take the answer of a query."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Ways to ask, each for one query at a time; and what reranks in them, None where the engine does."""

    asks: Sequence[Ask]
    facts: ModelFacts | None
    #: the settings in force, as the answers depend on them
    settings: str

    async def answer_all(self, queries: Iterator[Query], told: Told) -> None:
        """Tell every query's answer, in any order.

        Raises:
            SearchFailed: a second stage gave no scores.
            EngineError: the engine gave no answer, or an error.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number, ask in enumerate(self.asks, start=1):
                    group.create_task(_work(ask, queries, told), name=f"lane {number}")
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None


@asynccontextmanager
async def open_lanes(options: Options, request: BulkRequest, source: Source) -> AsyncIterator[Lanes]:
    """Give as many lanes as were asked for, over one scorer that is loaded.

    Raises:
        ConfigError: a setting leaves a question open.
        RerankUnavailable: the model cannot be had, or the scorer cannot be reached.
    """
    if request.is_served:
        asks = [_served(request, source) for _ in range(request.lanes)]
        yield Lanes(asks=asks, facts=None, settings="served")
        return
    base = settings_of(options, request.as_evaluation(), source)
    async with AsyncExitStack() as stack:
        named = _with_model(options, base.model) if base.model else options
        scorer = await stack.enter_async_context(_open_scorer(named))
        pruner = await _open_pruner(stack, options, base)
        systems = [_system(source, scorer, pruner, base, request) for _ in range(request.lanes)]
        yield Lanes(
            asks=[_reranked(request, source, system) for system in systems],
            facts=scorer.describe(),
            settings=repr(systems[0].options) + (repr(pruner.describe().identity) if pruner else ""),
        )


@asynccontextmanager
async def _open_scorer(options: Options) -> AsyncIterator[Scorer]:
    is_here = options.settings.scorer.url is None
    opened = parts.open_local_scorer(options, SCHEDULING) if is_here else parts.open_scorer(options)
    async with opened as scorer:
        await parts.await_facts(scorer)
        # whoever has a pool divides a window between its replicas, as the pipeline sends it
        yield scorer if isinstance(scorer, RemoteScorer) else WholeWindows(scorer)


async def _open_pruner(stack: AsyncExitStack, options: Options, base: RerankOptions) -> Scorer | None:
    if base.prune_model is None:
        return None
    return await stack.enter_async_context(_open_scorer(_with_model(options, base.prune_model)))


def _with_model(options: Options, name: str) -> Options:
    settings = options.settings
    sections = {
        "model": settings.model.model_copy(update={"name": name}),
        "scorer": settings.scorer.model_copy(update={"url": None}),
    }
    return replace(options, settings=settings.model_copy(update=sections))


def _system(source: Source, scorer: Scorer, pruner: Scorer | None, base: RerankOptions, request: BulkRequest) -> System:
    keep = base.prune_keep if pruner is not None else 0
    return System(source.engine, scorer, base, request.window, request.fusion, pruner=pruner, keep=keep)


def _reranked(request: BulkRequest, source: Source, system: System) -> Ask:
    """Return what asks one query and reranks it."""

    async def ask(query: Query) -> Answer:
        response, record = await system.search(source.question.request(query.id, query.text))
        skipped = (record.reason or "unknown") if record.outcome is Outcome.SKIPPED else ""
        return answer_of(response, source.fields, skipped=skipped, has_texts=bool(request.tables))

    return ask


def _served(request: BulkRequest, source: Source) -> Ask:
    """Return what asks one query of an engine that reranks."""

    async def ask(query: Query) -> Answer:
        plain = source.question.request(query.id, query.text)
        asked = replace(plain, headers=(*plain.headers, *SERVED_HEADERS))
        response = (await source.engine.search(asked)).raise_for_status()
        return answer_of(response, source.fields, skipped=_not_applied(response), has_texts=bool(request.tables))

    return ask


def _not_applied(response: SearchResponse) -> str:
    """Return what a proxy of ours says that it has not done, "" where it has reranked all of the window."""
    marker = header(response.headers, MARKER)
    if marker is None:
        return "not a reranking proxy"
    outcome, _, rest = marker.partition(";")
    if outcome.strip() == Outcome.APPLIED.value:
        return ""
    reason = rest.strip().removeprefix("reason=").partition(";")[0]
    return f"{outcome.strip()}: {reason}" if reason else outcome.strip()


async def _work(ask: Ask, queries: Iterator[Query], told: Told) -> None:
    for query in queries:
        told(query, await _asked(ask, query))


async def _asked(ask: Ask, query: Query) -> Answer:
    for pause in PAUSES:
        try:
            return await ask(query)
        except (SearchFailed, EngineError) as error:
            if isinstance(error, EngineStatusError) and error.status < 500 and error.status != 429:
                raise
            logger.warning("asked_again query=%s pause=%s error=%s", query.id, pause, error)
            await asyncio.sleep(pause)
    try:
        return await ask(query)
    except SearchFailed as error:
        raise SearchFailed(f"query {query.id}: {error}") from error
