"""One search, top to bottom. READ THIS FIRST.

A `RerankingConnector` takes an engine and a scorer and is an engine itself: whoever talks to it can tell only by the
order of the hits and the header `X-Rerank`. Its steps are the modules beside this one:

    1 query_text    which words did the user type?
    2 plan          rerank or not, and with what first-stage request?     (both in `searches.read`)
    3 first_stage   ask the engine
    4 candidates    the text of every hit
    5 scoring       texts -> model scores, until the deadline
    6 fusion        one final score per candidate
    7 response      the caller's page, cut by splicing

Law: a failing second stage never costs the caller the first stage's results. `RerankUnavailable` is caught here and
nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from connectors.base import Connector, RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.errors import AnswerTooLarge
from sidecar import error_answers, first_stage, fusion, marker, response, routes, searches, streams
from sidecar.candidates import extract
from sidecar.clock import Clock
from sidecar.controls import strip_headers
from sidecar.errors import BadRerankRequest, ModelFailed, RerankUnavailable
from sidecar.first_stage import FirstStage, Reply, Unusable, WholeAnswer
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.policy import Policy
from sidecar.scoring.base import Scorer
from sidecar.scoring.prefix import score_prefix
from sidecar.searches import Decision, Left, Refused, Search
from sidecar.text_fields import TextFields
from sidecar.types import Operation, Outcome, RerankOptions, SearchRecord, SkipReason
from sidecar.window import effective_window

logger = logging.getLogger(__name__)


def _ignore(_: SearchRecord) -> None:
    """Observe nothing."""


class RerankingConnector:
    """An engine whose searches come back reranked. Everything else is the engine's."""

    def __init__(
        self,
        engine: Connector,
        scorer: Scorer,
        policy: Policy | None = None,
        *,
        models: Mapping[str, Scorer] | None = None,
        observe: Callable[[SearchRecord], None] = _ignore,
    ) -> None:
        """Put `scorer` behind `engine`; both stay the caller's to close.

        `models` are further scorers, by the name that a policy's `model` gives. `observe` gets one record per search.

        Raises:
            ValueError: a policy names a model that is not in `models`.
        """
        self._engine = engine
        self._scorer = scorer
        self._models = dict(models or {})
        self._policy = policy or Policy()
        unknown = self._policy.model_names() - set(self._models)
        if unknown:
            raise ValueError(f"policies name models without a scorer: {sorted(unknown)}; give them as `models`")
        self._observe = observe
        self._text_fields = TextFields(engine)

    @property
    def name(self) -> str:
        """The engine's name, and that it is reranked."""
        return f"reranked {self._engine.name}"

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search`, reranked where it can be. Raises EngineError when the engine gives no answer."""
        return await self._run(self._read(Operation.SEARCH, request))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch`, each item as `search` would. Raises EngineError like it."""
        return await self._run(self._read(Operation.MSEARCH, request))

    def _read(self, operation: Operation, request: SearchRequest) -> Search:
        """Do steps 1 and 2; without a scorer there is nothing to widen a search for."""
        search = searches.read(operation, request, self._policy, self._engine)
        return replace(
            search, decisions={index: self._scorable(decision) for index, decision in search.decisions.items()}
        )

    async def _run(self, search: Search) -> SearchResponse:
        """Do the rest, for every search of a request."""
        if search.refusal is not None:
            return self._marked(search, error_answers.error_answer(*error_answers.describe(search.refusal.error)))
        if search.is_left_alone or search.exchange is None:
            return self._marked(search, await self._ask_as_written(search))
        clock = Clock()
        try:
            stages = await first_stage.run(search.plans, search.others, search.exchange, self._text_fields)
        except WholeAnswer:
            whole = await self._ask_as_written(search)
            reason = SkipReason.NOT_JSON if whole.status == 200 else SkipReason.ENGINE_ERROR
            return self._marked(search.left_for(reason), whole)
        clock.first_stage_is_complete()
        async with asyncio.TaskGroup() as group:
            tasks = {index: group.create_task(self._finish(stage), name="search") for index, stage in stages.items()}
        finished = {index: task.result() for index, task in tasks.items()}
        replies = {index: reply for index, (reply, _) in finished.items()}
        replies |= {index: _error_reply(refused.error) for index, refused in search.refused.items()}
        return self._marked(
            search, search.exchange.answer(replies), {index: mark for index, (_, mark) in finished.items()}, clock
        )

    async def _finish(self, stage: FirstStage | Unusable) -> tuple[Reply, Marker]:
        """Return what the caller gets for one search, whatever becomes of the second stage."""
        if isinstance(stage, Unusable):
            return stage.reply, marker.skipped(stage.reason)
        if stage.plan.is_beyond_window:
            mark = Marker(outcome=Outcome.APPLIED, candidates=0, window=stage.plan.options.window)
            return Reply(200, response.tail_page(stage.answer, stage.plan)), mark
        try:
            return await self._rerank(stage)
        except RerankUnavailable as failure:
            return self._without_second_stage(stage, failure)
        except Exception as error:  # a mistake of ours, or of a scorer of somebody's own
            logger.exception("rerank_failed query_fields=%s", stage.fields)
            return self._without_second_stage(stage, ModelFailed(f"{type(error).__name__}: {error}"))

    def _without_second_stage(self, stage: FirstStage, failure: RerankUnavailable) -> tuple[Reply, Marker]:
        if stage.plan.options.on_failure == "error":
            return _error_reply(failure), marker.degraded(failure)
        page = response.first_stage_page(stage.answer, stage.plan, stage.extra_fields)
        return Reply(200, page), marker.degraded(failure)

    async def _rerank(self, stage: FirstStage) -> tuple[Reply, Marker]:
        """Do steps 4 to 7."""
        plan, options = stage.plan, stage.plan.options
        scorer = self._scorer_for(options)
        facts = scorer.describe()
        window = effective_window(plan, extract(stage.hits, stage.fields, options.template), facts)
        reason = window.reason_not_to_score(options)
        if reason is not None:
            page = response.first_stage_page(stage.answer, plan, stage.extra_fields)
            return Reply(200, page), marker.skipped(reason)
        scores = await score_prefix(scorer, plan.query, window.texts, deadline=_deadline(options))
        ranking = fusion.rank(window.candidates[: len(scores)], scores, fusion.choose(options, facts))
        placed = response.lay_out(len(stage.hits), window.considered(len(scores)), ranking)
        kept = response.above(placed, options.min_score, facts.kind)
        page = response.reranked_page(stage.answer, plan, kept, stage.extra_fields)
        return Reply(200, page), window.marker(scores, facts, dropped=len(placed) - len(kept))

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer any request: searches as `search` and `msearch` do, everything else as the engine does."""
        operation = routes.operation(request.method, request.target)
        body = None if operation is None else await streams.read_body(request.body)
        if operation is None or not isinstance(body, bytes):
            passed = replace(request, headers=strip_headers(request.headers), body=body or request.body)
            async with self._engine.relay(passed) as answer:
                yield answer if operation is None else _with_markers(answer, [marker.skipped(SkipReason.TOO_LARGE)])
            return
        search = self._read(operation, streams.as_search(request, body))
        try:
            whole = None if search.is_left_alone else await self._run(search)
        except AnswerTooLarge:
            search, whole = search.left_for(SkipReason.TOO_LARGE), None
        if whole is not None:
            yield streams.as_stream(whole)
            return
        self._record(search, search.markers({}), Clock())
        async with self._engine.relay(streams.as_relay(search.request, request)) as answer:
            yield _with_markers(answer, search.markers({}))

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self._engine.ping()

    async def aclose(self) -> None:
        """Close neither engine nor scorer: they belong to whoever made them."""

    def _scorable(self, decision: Decision) -> Decision:
        if not isinstance(decision, Plan) or decision.is_beyond_window:
            return decision
        try:
            self._scorer_for(decision.options).describe()
        except Exception as error:  # noqa: BLE001  # a scorer of somebody's own may raise anything
            failure = error if isinstance(error, RerankUnavailable) else ModelFailed(f"{type(error).__name__}: {error}")
            if decision.options.on_failure == "error":
                return Refused(call=decision.call, error=failure)
            return Left(call=decision.call, marker=marker.degraded(failure))
        return decision

    def _scorer_for(self, options: RerankOptions) -> Scorer:
        return self._scorer if options.model is None else self._models[options.model]

    async def _ask_as_written(self, search: Search) -> SearchResponse:
        ask = self._engine.search if search.operation is Operation.SEARCH else self._engine.msearch
        return await ask(search.request)

    def _marked(
        self,
        search: Search,
        answer: SearchResponse,
        found: Mapping[int, Marker] | None = None,
        clock: Clock | None = None,
    ) -> SearchResponse:
        markers = search.markers(found or {})
        clock = clock or Clock()
        self._record(search, markers, clock)
        headers = [(marker.HEADER, marker.header_value(markers))]
        if clock.first_stage is not None:
            headers.append(
                ("Server-Timing", marker.server_timing(first_stage=clock.first_stage, rerank=clock.second_stage))
            )
        return answer.with_headers(*headers)

    def _record(self, search: Search, markers: Sequence[Marker], clock: Clock) -> None:
        for mark in markers:
            if mark.outcome is Outcome.DEGRADED:
                logger.warning("search_degraded reason=%s operation=%s", mark.reason, search.operation.value)
            self._observe(
                SearchRecord(
                    operation=search.operation,
                    outcome=mark.outcome,
                    reason=mark.reason,
                    candidates=mark.candidates or 0,
                    window=mark.window or 0,
                    model=mark.model,
                    first_stage_seconds=clock.first_stage,
                    second_stage_seconds=clock.second_stage,
                )
            )


def _deadline(options: RerankOptions) -> float | None:
    return asyncio.get_running_loop().time() + options.deadline if options.deadline > 0 else None


def _error_reply(error: BadRerankRequest | RerankUnavailable) -> Reply:
    status, kind, reason = error_answers.describe(error)
    return Reply(status, error_answers.error_text(status, kind, reason))


def _with_markers(answer: RelayResponse, markers: Sequence[Marker]) -> RelayResponse:
    return streams.with_header(answer, marker.HEADER, marker.header_value(markers))
