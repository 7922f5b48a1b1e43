"""Step 3: the first stage, for one search or for all items of an `_msearch` in one call.

Law: whatever comes of it, the caller can have what the engine says to the caller's own bytes. When a widened
search is refused, fails on a shard, or times out, the caller's own is sent once, and that answer stands.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from connectors import json_bytes
from connectors.base import Connector, Hit, SearchRequest, SearchResponse
from connectors.errors import EngineError
from connectors.json_bytes import Edit
from sidecar import answer, two_steps
from sidecar.answer import Answer, Reply
from sidecar.candidates import field_text
from sidecar.plan import Plan, widen
from sidecar.requests import multi_search, search_call
from sidecar.requests.multi_search import Item
from sidecar.requests.search_call import SearchCall
from sidecar.text_fields import TextFields
from sidecar.two_steps import HitWeights
from sidecar.types import SkipReason

logger = logging.getLogger(__name__)

Ask = Callable[[SearchCall], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """A usable first stage: the widened answer, the fields whose text counts, and those that were added."""

    plan: Plan
    answer: Answer
    fields: tuple[str, ...]
    extra_fields: tuple[str, ...]
    #: the hits have nothing but their text: the page is still to be fetched
    is_slim: bool = False
    #: the hits with text that was asked for apart, None where `answer` has it all
    hits_with_text: tuple[Hit, ...] | None = None
    #: sends one more search in this one's place
    ask: Ask

    @property
    def is_reprinted(self) -> bool:
        """Whether an engine may print members in another order than in the caller's own answer.

        Elasticsearch does so with a filtered `_source` and with `fields`, when more fields are asked for.
        """
        is_widened = bool(self.extra_fields) or self.plan.filter_path is not None
        return is_widened and (bool(self.plan.own_fields) or self.plan.has_filtered_source)

    @property
    def may_lack_text(self) -> bool:
        """Whether there are hits whose text counts."""
        return not self.plan.is_beyond_window and bool(self.answer.hits)

    @property
    def can_ask_for_text(self) -> bool:
        """Whether text that is missing was not asked for."""
        return not self.is_slim and self.may_lack_text

    @property
    def hits(self) -> Sequence[Hit]:
        """The hits with parsed values, in first-stage order."""
        return self.hits_with_text or [hit.hit for hit in self.answer.hits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A first stage that is not reranked: what the caller gets, and why."""

    reply: Reply
    reason: SkipReason
    #: whether the engine said so of a search that its caller did not write
    is_widened: bool = False


class Exchange(Protocol):
    """Sends searches, by their index in the request, and puts the answer for the caller together."""

    async def ask(self, calls: Mapping[int, SearchCall | None], *, is_aside: bool = False) -> dict[int, Reply]:
        """Send these searches; what `is_aside` leaves no trace in the caller's answer.

        Raises EngineError without an answer, WholeAnswer when it is not one of searches.
        """
        ...

    def answer(self, replies: Mapping[int, Reply]) -> SearchResponse:
        """Return the answer with these replies in place of the engine's."""
        ...

    def first_status(self, index: int) -> int:
        """Return the status that the engine gave a search when all were sent."""
        ...

    def again(self) -> Exchange:
        """Return an exchange of the same searches of which none was sent."""
        ...


class WholeAnswer(Exception):  # an answer, not a failure
    """The engine answered the request as a whole with something that holds no search answers."""

    def __init__(self, response: SearchResponse) -> None:
        """Keep the answer."""
        super().__init__(f"the engine answered {response.status}")
        self.response = response


class OneSearch:
    """The exchange of a `_search`."""

    def __init__(self, engine: Connector, request: SearchRequest, original: SearchCall) -> None:
        """Send to `engine` what differs from `original` by the bytes of `request`."""
        self._engine = engine
        self._request = request
        self._original = original
        self._response = SearchResponse(status=0)
        self._first_status = 0

    async def ask(self, calls: Mapping[int, SearchCall | None], *, is_aside: bool = False) -> dict[int, Reply]:
        """Send the one search; an answer that is not JSON is WholeAnswer."""
        call = calls[0]
        assert call is not None
        request = search_call.write(call, original=self._original, request=self._request)
        response = await self._engine.search(request)
        if not is_aside:
            self._response = response
            self._first_status = self._first_status or response.status
        return {0: Reply(response.status, _text(response))}

    def answer(self, replies: Mapping[int, Reply]) -> SearchResponse:
        """Return the latest answer that was not asked for aside, with another status and text."""
        reply = replies[0]
        reason = self._response.reason if reply.status == self._response.status else ""
        return replace(self._response.with_content(reply.text.encode()), status=reply.status, reason=reason)

    def first_status(self, index: int) -> int:
        """Return the status of the first answer."""
        assert index == 0
        return self._first_status

    def again(self) -> OneSearch:
        """Return an exchange of the same search, which was not sent."""
        return OneSearch(self._engine, self._request, self._original)


class ManySearches:
    """The exchange of an `_msearch`: the first call sends all items, later ones a few of them again."""

    def __init__(self, engine: Connector, request: SearchRequest, items: list[Item]) -> None:
        """Send to `engine` the items of `request`."""
        self._engine = engine
        self._request = request
        self._items = items
        self._response: SearchResponse | None = None
        self._spans: list[answer.Item] = []
        self._text = ""

    async def ask(self, calls: Mapping[int, SearchCall | None], *, is_aside: bool = False) -> dict[int, Reply]:
        """Send these items in one `_msearch`, in their order; the first answer is the caller's in any case."""
        del is_aside
        response = await self._engine.msearch(multi_search.write(self._request, self._items, calls))
        text = _text(response)
        try:
            spans = answer.parse_items(text)
        except ValueError:
            raise WholeAnswer(response) from None
        if response.status != 200 or len(spans) != len(calls):
            raise WholeAnswer(response)
        if self._response is None:
            self._response, self._spans, self._text = response, list(spans), text
        return {
            index: Reply(span.status, text[span.start : span.end]) for index, span in zip(calls, spans, strict=True)
        }

    def answer(self, replies: Mapping[int, Reply]) -> SearchResponse:
        """Return the first answer with other texts for some items; an item's status is part of its text."""
        assert self._response is not None
        edits = [Edit(self._spans[index].start, self._spans[index].end, reply.text) for index, reply in replies.items()]
        return self._response.with_content(json_bytes.splice(self._text, edits).encode()) if edits else self._response

    def first_status(self, index: int) -> int:
        """Return the status of an item of the first answer."""
        return self._spans[index].status

    def again(self) -> ManySearches:
        """Return an exchange of the same items, of which none was sent."""
        return ManySearches(self._engine, self._request, self._items)


async def run(
    plans: Mapping[int, Plan],
    others: Mapping[int, SearchCall | None],
    exchange: Exchange,
    text_fields: TextFields,
    weights: HitWeights,
) -> dict[int, FirstStage | Unusable]:
    """Send all searches, the planned ones widened, and return what came of the planned ones.

    `others` are sent along as they are. Raises EngineError and WholeAnswer as `Exchange.ask` does.
    """
    fields = {index: await text_fields.resolve(plan) for index, plan in plans.items()}
    extra = {
        index: tuple(
            dict.fromkeys((*text_fields.to_ask_for(plan, fields[index]), *text_fields.values_to_ask_for(plan)))
        )
        for index, plan in plans.items()
    }
    slim = {index for index, plan in plans.items() if text_fields.can_ask(plan) and weights.wants_two_steps(plan)}
    firsts = {
        index: two_steps.slim(plan, (*fields[index], *plan.value_fields))
        if index in slim
        else _first_call(plan, extra[index])
        for index, plan in plans.items()
    }
    replies = await exchange.ask(dict(sorted({**others, **firsts}.items())))
    stages: dict[int, FirstStage | Unusable] = {}
    for index, plan in plans.items():
        is_widened = _differs(firsts[index], plan.call)
        stage = _read(plan, replies[index], fields[index], extra[index], _asker(exchange, index), is_widened=is_widened)
        if isinstance(stage, FirstStage) and index in slim:
            stage = replace(stage, is_slim=True)
        elif isinstance(stage, FirstStage):
            weights.learn(plan, stage.answer.hits)
        stages[index] = stage
    stages |= await _with_missing_text(stages, exchange, text_fields)
    stages |= await _with_copied_text(stages, exchange, text_fields)
    return stages | await _ask_as_written(plans, stages, exchange, text_fields)


def _first_call(plan: Plan, extra_fields: tuple[str, ...]) -> SearchCall:
    return plan.call if plan.is_beyond_window else widen(plan, extra_fields)


def _differs(call: SearchCall | None, written: SearchCall) -> bool:
    return call is None or (call.text, call.params) != (written.text, written.params)


def _asker(exchange: Exchange, index: int) -> Ask:
    """Return what sends a search in the place of the one with this index, alone."""

    async def ask(call: SearchCall) -> Reply:
        return (await exchange.ask({index: call}))[index]

    return ask


def _read(
    plan: Plan, reply: Reply, fields: tuple[str, ...], extra: tuple[str, ...], ask: Ask, *, is_widened: bool
) -> FirstStage | Unusable:
    if reply.status > 500 or (reply.status != 200 and not is_widened):  # a 500 may be for what we added
        return Unusable(reply=reply, reason=SkipReason.ENGINE_ERROR)
    if reply.status != 200:
        return Unusable(reply=reply, reason=SkipReason.WIDENING_REFUSED, is_widened=True)
    try:
        found = answer.parse(reply.text)
    except ValueError:  # a filter leaves out an empty array
        reason = SkipReason.NOT_JSON if plan.filter_path is None else SkipReason.FEW_HITS
        return Unusable(reply=reply, reason=reason, is_widened=is_widened)
    if found.has_failures and is_widened:
        return Unusable(reply=reply, reason=SkipReason.WIDENING_REFUSED, is_widened=True)
    return FirstStage(plan=plan, answer=found, fields=fields, extra_fields=extra, ask=ask)


async def _with_missing_text(
    stages: Mapping[int, FirstStage | Unusable], exchange: Exchange, text_fields: TextFields
) -> dict[int, FirstStage]:
    """Ask, under `fields`, for fields that no hit's `_source` has: they may be `copy_to` targets."""
    lacking: dict[int, tuple[FirstStage, tuple[str, ...]]] = {}
    for index, stage in stages.items():
        if isinstance(stage, FirstStage) and stage.can_ask_for_text:
            missing = text_fields.missing(stage.plan, _empty_fields(stage))
            if missing:
                lacking[index] = (stage, missing)
    found: dict[int, FirstStage] = {}
    for index, reply in (await _ask_for_text(lacking, exchange)).items():
        stage, missing = lacking[index]
        found[index] = _with_text(stage, reply)
        if _is_conclusive(reply):
            still_empty = _empty_fields(found[index])
            for field in missing:
                text_fields.learn(stage.plan, field, is_outside_source=field not in still_empty)
    return found


async def _with_copied_text(
    stages: Mapping[int, FirstStage | Unusable], exchange: Exchange, text_fields: TextFields
) -> dict[int, FirstStage]:
    """Read the sources of fields that are still empty: what an engine copies to a field it may not give back."""
    found: dict[int, FirstStage] = {}
    lacking: dict[int, tuple[FirstStage, tuple[str, ...]]] = {}
    for index, stage in stages.items():
        if isinstance(stage, Unusable) or not stage.may_lack_text or not text_fields.can_ask(stage.plan):
            continue
        sources = await text_fields.copied_from(stage.plan, _empty_fields(stage))
        if sources:
            fields = tuple(dict.fromkeys(each for field in stage.fields for each in sources.get(field, (field,))))
            found[index] = replace(stage, fields=fields)
            if stage.is_slim or not stage.plan.has_whole_source:
                lacking[index] = (found[index], fields)
    replies = await _ask_for_text(lacking, exchange)
    return found | {index: _with_text(found[index], reply) for index, reply in replies.items()}


async def _ask_for_text(
    lacking: Mapping[int, tuple[FirstStage, tuple[str, ...]]], exchange: Exchange
) -> dict[int, Reply]:
    """Ask for the text of hits in these fields and for nothing else; where that fails the first answer stands."""
    if not lacking:
        return {}
    calls = {index: two_steps.text_only(stage.plan, fields) for index, (stage, fields) in lacking.items()}
    try:
        return await exchange.ask(calls, is_aside=True)
    except (EngineError, WholeAnswer) as error:
        logger.warning("missing_text_not_had error=%s", error)
        return {}


def _with_text(stage: FirstStage, reply: Reply) -> FirstStage:
    """Return a stage whose hits have the fields of the same hits in a reply, where there are any."""
    try:
        found = [hit.hit for hit in answer.parse(reply.text).hits]
    except ValueError:  # an error
        return stage
    fields = {(hit.index, hit.id): hit.fields for hit in found}
    if len(fields) < len(found):  # ids may repeat where documents were routed by hand
        return stage
    return replace(
        stage,
        hits_with_text=tuple(
            Hit(rank=hit.rank, value={**hit.value, "fields": {**hit.fields, **fields.get((hit.index, hit.id), {})}})
            for hit in stage.hits
        ),
    )


def _is_conclusive(reply: Reply) -> bool:
    """Return whether a reply says what a field has: a whole answer, or a refusal that has come to stay."""
    if reply.status != 200:
        return 400 <= reply.status < 500 and reply.status != 429
    try:
        return not answer.parse(reply.text).has_failures
    except ValueError:
        return False


def _empty_fields(stage: FirstStage) -> list[str]:
    return [field for field in stage.fields if not any(field_text(hit, field) for hit in stage.hits)]


async def _ask_as_written(
    plans: Mapping[int, Plan],
    stages: Mapping[int, FirstStage | Unusable],
    exchange: Exchange,
    text_fields: TextFields,
) -> dict[int, FirstStage | Unusable]:
    """Send searches whose widened form was refused again as their caller wrote them; that answer stands."""
    refused = {index: stage for index, stage in stages.items() if isinstance(stage, Unusable) and stage.is_widened}
    if not refused:
        return {}
    replies = await exchange.ask({index: plans[index].call for index in refused})
    for index, stage in refused.items():
        is_refusal = stage.reason is SkipReason.WIDENING_REFUSED and replies[index].status == 200
        if is_refusal and _is_about_fields(stage.reply):
            text_fields.refuse(plans[index])
    return {
        index: Unusable(
            reply=replies[index],
            reason=stage.reason if replies[index].status == 200 else SkipReason.ENGINE_ERROR,
        )
        for index, stage in refused.items()
    }


def _is_about_fields(reply: Reply) -> bool:
    """Return whether an engine refused `fields`, as OpenSearch does where `_source` is switched off in the mapping."""
    text = reply.text
    if reply.status == 200:  # some shards failed
        text = str(answer.parse(text).shards)
    return "[fields]" in text


def _text(response: SearchResponse) -> str:
    try:
        return json_bytes.decode(response.content)
    except ValueError:
        raise WholeAnswer(response) from None
