"""One search, top to bottom. READ THIS FIRST.

A `RerankingConnector` takes an engine and a scorer and is an engine itself: whoever talks to it can tell only by the
order of the hits and the header `X-Rerank`. Its steps are the modules beside this one:

    1 query_text    which words did the user type?
    2 plan          rerank or not, and with what first-stage request?     (both by `reading`)
    3 first_stage   ask the engine
    4 candidates    the text of every hit
    5 scoring       texts (`passages` of long ones) -> model scores, until the deadline
    6 fusion        one final score per candidate             (`rules`: who comes first whatever it is)
    7 response      the caller's page, cut by splicing                    (heavy hits: after `two_steps`)

Law: a failing second stage never costs the caller the first stage's results. `RerankUnavailable` is caught here and
nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from connectors.base import Connector, RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.errors import EngineError
from sidecar import (
    answer,
    cascade,
    error_answers,
    first_stage,
    fusion,
    languages,
    marker,
    passages,
    response,
    rules,
    two_steps,
)
from sidecar.admission import Admission
from sidecar.answer import Reply
from sidecar.candidates import extract
from sidecar.errors import ModelFailed, RerankUnavailable, ScoringTimeout, SidecarError
from sidecar.experiments import observing
from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.interleaved_page import interleaved, with_token
from sidecar.experiments.observing import MOST_OBSERVED, Observer
from sidecar.explaining import with_alignments
from sidecar.first_stage import Exchange, FirstStage, Unusable, WholeAnswer
from sidecar.marker import Marker
from sidecar.passages import Document
from sidecar.plan import Plan
from sidecar.policy import Policy
from sidecar.reading import Reader
from sidecar.relaying import Relaying
from sidecar.response import Placed, Ranked
from sidecar.scorers import Scorers
from sidecar.scoring import provenance, timing
from sidecar.scoring.base import Scorer
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.score_cache import CachedScorer, ScoreCache
from sidecar.scoring.splitting import split
from sidecar.searches import Search
from sidecar.telemetry import reports, tracing
from sidecar.telemetry.clock import Clock
from sidecar.telemetry.reports import Reports
from sidecar.text_fields import TextFields
from sidecar.two_steps import HitWeights
from sidecar.types import Candidate, Observation, Operation, Outcome, RerankOptions, SearchRecord, SkipReason

logger = logging.getLogger(__name__)

Finished = tuple[Reply, Marker]


class RerankingConnector:
    """An engine whose searches come back reranked. Everything else is the engine's."""

    def __init__(
        self,
        engine: Connector,
        scorer: Scorer,
        policy: Policy | None = None,
        *,
        models: Mapping[str, Scorer] | None = None,
        score_cache: ScoreCache | None = None,
        tenant_headers: Sequence[str] = (),
        max_searches: int | None = None,
        observe: Callable[[SearchRecord], None] = reports.nobody,
        compare: Callable[[Observation], None] = observing.nobody,
        max_observed: int = MOST_OBSERVED,
        is_patient: bool = False,
        tokens: ClickTokens | None = None,
    ) -> None:
        """Put `scorer` behind `engine`; both stay the caller's to close.

        `models` are further scorers, by the name that a policy's `model`, `language_models` or `prune_model` gives;
        they are looked up in each search, so that there can be others later. `observe` gets one record per search.
        `score_cache` is the memory of policies with `score_cache`; callers share what is in it when
        their headers of the names `tenant_headers` are equal. `max_searches` requests are reranked at the same time,
        others are passed on as they are; None = all are reranked. `compare` gets what would have become of searches
        under a policy that only observes, of which `max_observed` are looked at at the same time. `is_patient`: what is
        reranked is scored to the end, over the window that its deadline allows, for who compares rankings. `tokens`
        signs what interleaved pages say of their teams; without one with a key of this connector's own.

        Raises:
            ValueError: a policy names a model that is not in `models`.
        """
        policy = policy or Policy()
        _prepare(policy)
        self._engine = engine
        self._scorers = Scorers(scorer, models, policy, score_cache, tenant_headers)
        self._admission = Admission(max_searches)
        self._reader = Reader(engine, policy, self._scorers, self._admission)
        self._reports = Reports(observe)
        self._is_patient = is_patient
        self._tokens = tokens or ClickTokens()
        self._text_fields = TextFields(engine)
        self._weights = HitWeights()
        self._observer = Observer(
            self._ranked, self._scorers.failure, self._text_fields, self._weights, compare, most=max_observed
        )
        self._relaying = Relaying(engine, self._reader, self._reports, self._observer, self._answer)

    @property
    def name(self) -> str:
        """The engine's name, and that it is reranked."""
        return f"reranked {self._engine.name}"

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search`, reranked where it can be. Raises EngineError when the engine gives no answer."""
        return await self._asked(self._reader.read(Operation.SEARCH, request))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch`, each item as `search` would. Raises EngineError like it."""
        return await self._asked(self._reader.read(Operation.MSEARCH, request))

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request: searches as `search` and `msearch` do, everything else as the engine does."""
        return self._relaying.relay(request)

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self._engine.ping()

    def use(self, policy: Policy) -> None:
        """Decide by another policy from the next request on.

        Raises:
            ValueError: it names a model that is not in `models`; the policy stays.
        """
        self._scorers.check(policy)
        _prepare(policy)
        self._reader.use(policy)

    async def passed(self) -> None:
        """Wait until the searches have been answered that are in hand now, such as those of an earlier policy."""
        await self._admission.passed()

    async def aclose(self) -> None:
        """Give up what is being observed; engine and scorer belong to whoever made them."""
        await self._observer.aclose()

    async def _asked(self, search: Search) -> SearchResponse:
        """Answer a request, and observe afterwards what is only observed."""
        answered = await self._answer(search)
        self._observer.begin(search)
        return answered

    async def _answer(self, search: Search) -> SearchResponse:
        """Answer a request, whose searches count as in hand meanwhile."""
        if not search.plans:
            return await self._answered(search)
        with self._admission.held():
            return await self._answered(search)

    async def _answered(self, search: Search) -> SearchResponse:
        """Do steps 3 to 7 for every search of a request."""
        if search.refusal is not None:
            return self._reports.on(search, error_answers.error_answer(*error_answers.describe(search.refusal.error)))
        if search.is_left_alone or search.exchange is None:
            return await self._left(search)
        clock = Clock()
        try:
            with tracing.span("first_stage"):
                stages = await first_stage.run(
                    search.plans, search.others, search.exchange, self._text_fields, self._weights
                )
        except WholeAnswer:
            return await self._left(search)
        clock.first_stage_is_complete()
        if search.natives and (ours := self._reader.learn(search, search.exchange.answer({}))) is not None:
            return await self._answered(ours)
        finished = await self._finish_all(stages)
        if finished is None or (search.is_template and _is_refused(search, search.exchange, finished)):
            return await self._left(search)
        replies = {index: _error_reply(refused.error) for index, refused in search.refused.items()}
        replies |= {index: _shown(search.plans[index], reply, mark) for index, (reply, mark) in finished.items()}
        marks = {index: mark for index, (_, mark) in finished.items()}
        return self._reports.on(search, search.exchange.answer(replies), marks, clock)

    async def _left(self, search: Search) -> SearchResponse:
        """Return the engine's answer to the request as its caller wrote it, unless it refuses a reranker of its own."""
        whole = await self._ask_as_written(search)
        ours = self._reader.learn(search, whole)
        if ours is not None:
            return await self._answered(ours)
        kind = SkipReason.TEMPLATE if search.is_template else SkipReason.NOT_JSON
        return self._reports.on(search.left_for(kind if whole.status == 200 else SkipReason.ENGINE_ERROR), whole)

    async def _finish_all(self, stages: Mapping[int, FirstStage | Unusable]) -> dict[int, Finished] | None:
        """Finish every search; None where the engine refuses as a whole what a slim search had left out."""
        finished: dict[int, Finished] = {}

        async def finish(index: int, stage: FirstStage | Unusable) -> None:
            finished[index] = await self._finish(stage)

        try:
            async with asyncio.TaskGroup() as group:
                for index, stage in stages.items():
                    group.create_task(finish(index, stage), name="search")
        except* WholeAnswer:
            finished.clear()
        return finished if finished or not stages else None

    async def _finish(self, stage: FirstStage | Unusable) -> Finished:
        """Return what the caller gets for one search, whatever becomes of the second stage."""
        if isinstance(stage, Unusable):
            return stage.reply, marker.skipped(stage.reason)
        if stage.plan.is_beyond_window:
            mark = Marker(outcome=Outcome.APPLIED, candidates=0, window=stage.plan.options.window)
            return Reply(200, response.tail_page(stage.answer, stage.plan)), mark
        try:
            return await self._with_second_stage(stage)
        except EngineError as error:  # the ranking is there, but its page could not be fetched
            return _error_reply(error), marker.skipped(SkipReason.ENGINE_ERROR)

    async def _with_second_stage(self, stage: FirstStage) -> Finished:
        try:
            return await self._rerank(stage)
        except (EngineError, WholeAnswer):
            raise
        except RerankUnavailable as error:
            failure = error
        except Exception as error:  # a mistake of ours, or of a scorer of somebody's own
            logger.exception("rerank_failed")
            failure = ModelFailed(f"{type(error).__name__}: {error}")
        if stage.plan.options.on_failure == "error":
            return _error_reply(failure), marker.degraded(failure)
        return await self._unranked(stage, marker.degraded(failure))

    async def _rerank(self, stage: FirstStage) -> Finished:
        """Do steps 4 to 7."""
        ranked = await self._ranked(stage, None if self._is_patient else _deadline(stage.plan.options))
        if ranked.kept is None:
            return await self._unranked(stage, ranked.mark)
        with tracing.span("merge"):
            if stage.is_slim:
                return await self._fetched(stage, ranked.kept, ranked.mark, is_cut=ranked.is_cut)
            page = response.reranked_page(stage.answer, stage.plan, ranked.kept, stage.extra_fields)
            return Reply(200, page), ranked.mark

    async def _ranked(self, stage: FirstStage, deadline: float | None) -> Ranked:
        """Do steps 4 to 6, until the deadline."""
        candidates = extract(stage.hits, stage.fields, stage.plan.options, now=time.time() * 1000)
        options = languages.text_options((candidate.text for candidate in candidates), stage.plan.options)
        if options is None:
            return Ranked(mark=marker.skipped(SkipReason.LANGUAGE))
        plan = replace(stage.plan, options=options)
        scorer = self._scorers.of(options)
        facts = scorer.describe()
        pruner = self._scorers.pruner(plan)
        pins = rules.pins(stage.hits, options)
        window = cascade.window(plan, rules.unread(candidates, pins), facts, pruner)
        reason = window.reason_not_to_score(options)
        if reason is not None:
            return Ranked(mark=marker.skipped(reason))
        asked = self._scorers.remembering(scorer, plan)
        with tracing.span("score", candidates=len(window.candidates)), timing.listening() as heard:
            documents = await _documents(scorer, window.candidates, options, deadline)
            selection = await cascade.select(pruner, plan, documents, facts, deadline)
            with provenance.listening() as told:
                raw = await score_prefix(asked, plan.query, passages.texts(selection.kept), deadline=deadline)
        facts = provenance.the_one(told) or facts  # of a pool, in which another replica may have described itself
        scored = passages.join(selection.kept, raw, options)
        if not scored:
            raise ScoringTimeout("not one document was scored before the deadline")
        ranking = selection.ranking(scored, fusion.choose(options, facts), explains=options.explain)
        placed = response.lay_out(len(stage.hits), selection.considered(window, len(scored)), ranking)
        placed = rules.pinned_first(placed, pins)
        kept = rules.diversified(response.above(placed, options.min_score, facts.kind), stage.hits, options)
        mark = window.marker([document.score for document in scored], facts, dropped=len(placed) - len(kept))
        mark = replace(selection.marked(mark, len(scored)), cached=_hits(asked), timing=timing.in_turn(heard))
        kept, mark = interleaved(plan, stage.hits, kept, mark, facts, self._tokens)
        if options.explain:
            kept, seconds = await with_alignments(scorer, plan, kept)
            mark = replace(mark, explaining=seconds)
        return Ranked(mark=mark, kept=kept, is_cut=len(kept) < len(placed))

    async def _fetched(self, stage: FirstStage, kept: Sequence[Placed], mark: Marker, *, is_cut: bool) -> Finished:
        """Return the page of a slim first stage, with the hits that the caller's own search gives.

        `is_cut`: hits were dropped, so that an empty page is not one behind the last hit, which is the engine's.
        """
        plan = stage.plan
        hits = [stage.hits[place.rank - 1] for place in response.on_page(plan, kept)]
        if not hits:
            return await (self._emptied(stage, kept, mark) if is_cut else self._unranked(stage, mark))
        full = two_steps.read_page(await stage.ask(two_steps.page(plan, hits)), hits)
        if full is None:  # a document went away, or is too heavy for this search
            return await self._unranked(stage, marker.skipped(SkipReason.WIDENING_REFUSED))
        self._weights.learn(plan, [each.hit for each in full.values()])
        return Reply(200, response.reranked_page(stage.answer, plan, kept, (), full)), mark

    async def _emptied(self, stage: FirstStage, kept: Sequence[Placed], mark: Marker) -> Finished:
        """Return a page that `min_score` has emptied: the caller's own, without its hits; the engine may refuse it."""
        own = await stage.ask(stage.plan.call)
        try:
            return Reply(200, response.reranked_page(answer.parse(own.text), stage.plan, kept, ())), mark
        except ValueError:
            return own, marker.skipped(SkipReason.ENGINE_ERROR)

    async def _unranked(self, stage: FirstStage, mark: Marker) -> Finished:
        """Return the caller's page in the engine's order, as the engine gives it."""
        if stage.is_slim or stage.is_reprinted:
            own = await stage.ask(stage.plan.call)
            return own, mark if own.status == 200 else marker.skipped(SkipReason.ENGINE_ERROR)
        return Reply(200, response.first_stage_page(stage.answer, stage.plan, stage.extra_fields)), mark

    async def _ask_as_written(self, search: Search) -> SearchResponse:
        ask = self._engine.search if search.operation is Operation.SEARCH else self._engine.msearch
        with tracing.span("first_stage"):
            return await ask(search.request)


def _prepare(policy: Policy) -> None:
    """Read now what else the first search would wait for."""
    if policy.has_languages:
        languages.prepare()


async def _documents(
    scorer: Scorer, candidates: Sequence[Candidate], options: RerankOptions, deadline: float | None
) -> list[Document]:
    """Return the candidates with the passages that the model is to read. Raises ScoringTimeout at the deadline."""
    long = passages.to_split(candidates, options)
    try:
        async with asyncio.timeout_at(deadline):
            spans = await split(scorer, long, tokens=options.passage_tokens, overlap=options.passage_overlap)
    except TimeoutError as error:
        raise ScoringTimeout("the texts were not split into passages before the deadline") from error
    return passages.documents(candidates, spans, options)


def _shown(plan: Plan, reply: Reply, mark: Marker) -> Reply:
    """Return a page as its caller's `filter_path` shows it, with its token where that was asked for."""
    if plan.filter_path is not None:
        reply = replace(reply, text=plan.filter_path.restored(reply.text))
    if mark.token is None or not plan.options.return_token:
        return reply
    return replace(reply, text=with_token(reply.text, mark.token))


def _is_refused(search: Search, exchange: Exchange, finished: Mapping[int, Finished]) -> bool:
    """Return whether the engine refused a search that it may take as a template, or refuse in other words."""
    left = [] if search.refused else [exchange.first_status(index) for index in search.others]
    done = [reply.status for reply, mark in finished.values() if mark.reason == SkipReason.ENGINE_ERROR]
    return any(400 <= status <= 500 and status != 429 for status in (*left, *done))


def _hits(asked: Scorer) -> int | None:
    return asked.hits if isinstance(asked, CachedScorer) else None


def _deadline(options: RerankOptions) -> float | None:
    return asyncio.get_running_loop().time() + options.deadline if options.deadline > 0 else None


def _error_reply(error: SidecarError | EngineError) -> Reply:
    status, kind, reason = error_answers.describe(error)
    return Reply(status, error_answers.error_text(status, kind, reason))
