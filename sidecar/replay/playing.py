"""Each recorded search to both arms: the engine, and the engine reranked as the policies would.

Laws: both arms are connectors and get the same search. A search that reranking leaves alone is not sent at all, since
both arms would get the same. Which arm is asked first takes turns, so that what the engine remembers favours neither.
What is reranked is scored to the end, over the window that its deadline allows: what would have come too late is
counted, as `observe` does. An engine in trouble is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.base import Connector, Hit, SearchRequest, SearchResponse
from connectors.errors import EngineError
from sidecar import searches
from sidecar.candidates import extract
from sidecar.pipeline import RerankingConnector
from sidecar.plan import Plan
from sidecar.policy import IndexPolicy, Policy
from sidecar.replay.recorded import Recorded
from sidecar.requests import search_call
from sidecar.scoring.base import Scorer
from sidecar.searches import Left as LeftAlone
from sidecar.searches import Refused
from sidecar.types import Operation, Outcome, SearchRecord, SkipReason

SHOWN: Final = 10
"""Hits of a page whose texts are kept, to be shown."""

EXCERPT: Final = 220
"""Characters of a text that are kept."""

WARM_UP: Final = 20
"""Searches of which one is sent before they are all."""

SAID: Final = 200
"""Characters of an engine's reason that are kept."""

TROUBLE: Final = 5
"""Searches in a row after which an engine that refuses them, or does not answer, is left alone."""

_EXPERIMENT: Final = frozenset({"mode", "percent", "observe_percent", "interleave", "on_failure", "explain"})
"""Options that say who gets a ranking, and not which."""

_OVERLOADED: Final = frozenset({429, 502, 503, 504})

Sleep = Callable[[float], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHit:
    """A hit of a page: its identity, and the beginning of its text."""

    index: str
    id: str
    score: float | None
    text: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """What tells documents apart."""
        return self.index, self.id


Page = tuple[PageHit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A search that both arms have answered. Durations in seconds, None where nobody tells them."""

    recorded: Recorded
    policy: str
    query: str
    before: Page
    after: Page
    #: each arm as its caller sees it
    seconds_before: float
    seconds_after: float
    #: the wider search of the second arm, and its second stage, of which so much was waited for and computed
    first_stage: float | None
    second_stage: float
    queue: float | None
    model: float | None
    #: what was scored
    candidates: int
    model_name: str
    #: whether its work would have taken longer than its deadline
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """A search that reranking leaves alone, or that has failed."""

    recorded: Recorded
    policy: str
    query: str
    reason: str
    #: the engine, or the scorer, gave no result
    has_failed: bool = False
    #: what the engine said then
    said: str = ""


Played = Replayed | Unchanged


class InTrouble(Exception):
    """The engine refuses searches, or does not answer; the message is what it said last."""


class Player:
    """Sends searches to both arms. Belongs to one event loop."""

    def __init__(
        self, engine: Connector, scorer: Scorer, policy: Policy, models: Mapping[str, Scorer], depth: int | None = None
    ) -> None:
        """Rerank `engine` as `policy` would for everybody; `depth` hits are asked for, None: the caller's page."""
        self._engine = engine
        self._policy = for_everybody(policy)
        self._depth = depth
        self._records: ContextVar[list[SearchRecord]] = ContextVar("records")
        self._trouble = 0
        self._reranking = RerankingConnector(
            engine, scorer, self._policy, models=models, observe=self._note, is_patient=True
        )

    async def play(self, recorded: Recorded, *, is_engine_first: bool) -> Played:
        """Return what becomes of a search in both arms.

        Raises:
            InTrouble: so many searches in a row have failed in the engine.
        """
        request = self._as_deep(recorded.request)
        read = self._read(request)
        decision = read.decisions[0]
        policy = self._policy.options(request.index).policy
        if isinstance(decision, Refused):
            return Unchanged(recorded=recorded, policy=policy, query="", reason="bad_request", has_failed=True)
        if isinstance(decision, LeftAlone):
            return Unchanged(recorded=recorded, policy=policy, query="", reason=decision.marker.reason or "")
        arms = [self._ask(self._engine, read.request), self._ask(self._reranking, request)]
        done: list[_Answered] = []
        try:
            for arm in arms if is_engine_first else reversed(arms):
                done.append(await arm)  # noqa: PERF401  # one after the other
        except EngineError as error:
            return self._failed(recorded, decision, "engine: no answer", str(error), is_trouble=True)
        finally:
            for arm in arms:
                arm.close()
        before, after = done if is_engine_first else reversed(done)
        for answer in (before.answer, after.answer):
            if answer.status != 200:
                kind, said = _said(answer)
                return self._failed(recorded, decision, kind, said, is_trouble=answer.status in _OVERLOADED)
        self._trouble = 0
        return _played(recorded, decision, before, after)

    async def warm_up(self, recorded: Sequence[Recorded]) -> None:
        """Send a search that does not count, the first that is reranked: it opens connections, and fills what is empty.

        Raises:
            InTrouble: as `play`.
        """
        for one in recorded[:WARM_UP]:
            if isinstance(await self.play(one, is_engine_first=True), Replayed):
                return

    async def aclose(self) -> None:
        """Give up what is in hand; engine and scorers belong to whoever made them."""
        await self._reranking.aclose()

    def _read(self, request: SearchRequest) -> searches.Search:
        return searches.read(Operation.SEARCH, request, self._policy, self._engine)

    def _as_deep(self, request: SearchRequest) -> SearchRequest:
        """Return a search for the first hits of its ranking, unless that ranking depends on how many are wanted."""
        decision = self._read(request).decisions[0]
        if self._depth is None or not isinstance(decision, Plan) or decision.is_own_page:
            return request
        call = search_call.parse(request)
        deeper = call.with_settings({"from": 0, "size": self._depth})
        return search_call.write(deeper, original=call, request=request)

    async def _ask(self, arm: Connector, request: SearchRequest) -> _Answered:
        records: list[SearchRecord] = []
        token = self._records.set(records)
        began = time.monotonic()
        try:
            answer = await arm.search(request)
        finally:
            seconds = time.monotonic() - began
            self._records.reset(token)
        return _Answered(answer, seconds, records[-1] if records else None)

    def _note(self, record: SearchRecord) -> None:
        self._records.get().append(record)

    def _failed(self, recorded: Recorded, plan: Plan, kind: str, said: str, *, is_trouble: bool) -> Unchanged:
        self._trouble = self._trouble + 1 if is_trouble else 0
        if self._trouble >= TROUBLE:
            raise InTrouble(f"{kind}: {said}")
        return Unchanged(
            recorded=recorded, policy=plan.options.policy, query=plan.query, reason=kind, has_failed=True, said=said
        )


@dataclass(frozen=True, slots=True)
class _Answered:
    answer: SearchResponse
    seconds: float
    record: SearchRecord | None


class Pace:
    """Lets searches through one by one, so many a second."""

    def __init__(self, rate: float, *, now: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        """Let `rate` through a second, 0 for all at once."""
        self._step = 1 / rate if rate > 0 else 0.0
        self._now = now
        self._sleep = sleep
        self._next = now()

    async def turn(self) -> None:
        """Wait until it is the caller's turn."""
        turn = max(self._now(), self._next)
        self._next = turn + self._step
        if (left := turn - self._now()) > 0:
            await self._sleep(left)


async def play_all(
    player: Player,
    recorded: Sequence[Recorded],
    pace: Pace,
    *,
    concurrency: int,
    stop: asyncio.Event,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Played], str | None]:
    """Return what became of the searches, in their order, and why the rest was not played, None where all were.

    `stop` ends it: what is in hand is finished.
    """
    played: dict[int, Played] = {}
    why: list[str] = []
    left = iter(enumerate(recorded))

    async def work(left: Iterator[tuple[int, Recorded]]) -> None:
        for place, one in left:
            await pace.turn()
            if stop.is_set():
                return
            try:
                played[place] = await player.play(one, is_engine_first=place % 2 == 0)
            except InTrouble as error:
                why.append(f"the engine failed {TROUBLE} times in a row: {error}")
                stop.set()
            advance()

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work(left), name="replay")
    if not why and len(played) < len(recorded):
        why.append("it was interrupted")
    return [played[place] for place in sorted(played)], why[0] if why else None


def for_everybody(policy: Policy) -> Policy:
    """Return a policy that gives everybody the ranking that it tries."""
    defaults = replace(
        policy.defaults, mode="apply", percent=100.0, interleave="off", on_failure="first_stage", explain=False
    )
    return replace(policy, defaults=defaults, policies=tuple(map(_without_experiment, policy.policies)))


def _without_experiment(policy: IndexPolicy) -> IndexPolicy:
    kept = {name: value for name, value in policy.overrides.items() if name not in _EXPERIMENT}
    return replace(policy, overrides=kept)


def _played(recorded: Recorded, plan: Plan, before: _Answered, after: _Answered) -> Played:
    record = after.record
    assert record is not None
    options = plan.options
    if record.outcome is Outcome.SKIPPED or record.outcome is Outcome.DEGRADED or not record.model:
        is_beyond = record.outcome is Outcome.APPLIED
        return Unchanged(
            recorded=recorded,
            policy=options.policy,
            query=plan.query,
            reason="beyond_window" if is_beyond else record.reason or "",
            has_failed=record.outcome is Outcome.DEGRADED or record.reason == SkipReason.ENGINE_ERROR,
        )
    second = record.second_stage_seconds or 0.0
    return Replayed(
        recorded=recorded,
        policy=options.policy,
        query=plan.query,
        before=_page(before.answer, plan),
        after=_page(after.answer, plan),
        seconds_before=before.seconds,
        seconds_after=after.seconds,
        first_stage=record.first_stage_seconds,
        second_stage=second,
        queue=record.queue_seconds,
        model=record.model_seconds,
        candidates=record.candidates,
        model_name=record.model,
        is_late=0 < options.deadline < second - (record.queue_seconds or 0.0),
    )


def _page(answer: SearchResponse, plan: Plan) -> Page:
    return tuple(
        PageHit(
            index=hit.index or "",
            id=str(hit.id),
            score=hit.score,
            text=_excerpt(hit, plan.fields) if hit.rank <= SHOWN else "",
        )
        for hit in answer.hits
    )


def _excerpt(hit: Hit, fields: Sequence[str]) -> str:
    """Return the beginning of a hit's text: of the fields that were searched, where they are there, else of all."""
    there = {**hit.fields, **(hit.source or {})}
    names = tuple(name for name in dict.fromkeys(fields) if name in there) or tuple(there)
    words = " ".join(extract([hit], names)[0].text.split())
    return words if len(words) <= EXCERPT else f"{words[: EXCERPT - 1]}…"


def _said(answer: SearchResponse) -> tuple[str, str]:
    """Return what kind of answer it is with which an engine refuses a search, and what it says."""
    try:
        error: Any = answer.json["error"]
        return f"engine: {answer.status} {error['type']}", str(error["reason"])[:SAID]
    except (ValueError, KeyError, TypeError):
        return f"engine: {answer.status}", ""
