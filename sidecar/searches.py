"""Steps 1 and 2 for a whole request: a decision about each of its searches.

Law: a request about which nothing is decided but "leave it alone" is forwarded with the caller's own bytes, less
what was said to us (`X-Rerank-…`, `ext.rerank`). No I/O.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final, assert_never

from connectors.base import Connector, SearchRequest
from sidecar import languages, marker
from sidecar.errors import BadRerankRequest, RerankUnavailable
from sidecar.experiments import experiment
from sidecar.first_stage import Exchange, ManySearches, OneSearch
from sidecar.marker import Marker
from sidecar.plan import Plan, Skip, plan
from sidecar.policy import Policy
from sidecar.requests import multi_search, search_call, signatures
from sidecar.requests.controls import strip_headers
from sidecar.requests.multi_search import TooMany
from sidecar.requests.native import Native
from sidecar.requests.search_call import NotJson, SearchCall
from sidecar.types import Arm, Operation, SkipReason

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A search that goes to the engine as it is; the marker says why."""

    call: SearchCall | None
    marker: Marker
    #: the engine's own reranker that the search asks for
    native: Native | None = None
    #: what would have been done, where that is to be found out afterwards
    observed: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A search whose caller gets an error: settings that make no sense, or strict mode without a scorer."""

    call: SearchCall | None
    error: BadRerankRequest | RerankUnavailable
    arm: Arm | None = None


Decision = Plan | Left | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A request and the decision about each of its searches, by index: one of `_search`, many of `_msearch`."""

    operation: Operation
    #: the request as its caller wrote it
    original: SearchRequest
    #: what the engine gets when nothing is reranked
    request: SearchRequest
    decisions: Mapping[int, Decision]
    exchange: Exchange | None = None
    #: whether `request` is a template, and `original` what it stands for
    is_template: bool = False

    @property
    def is_left_alone(self) -> bool:
        """Whether the engine's answer to `request` is the caller's answer."""
        return all(isinstance(decision, Left) for decision in self.decisions.values())

    @property
    def needs_answer(self) -> bool:
        """Whether the engine's answer has to be read: to rerank it, or to see whether the engine reranks itself."""
        return not self.is_left_alone or bool(self.natives)

    @property
    def natives(self) -> dict[int, Native]:
        """The engine's own rerankers that searches ask for, by the index of the search."""
        left = {index: decision for index, decision in self.decisions.items() if isinstance(decision, Left)}
        return {index: decision.native for index, decision in left.items() if decision.native is not None}

    @property
    def refusal(self) -> Refused | None:
        """The refusal of a `_search`: there is nothing to ask the engine."""
        decision = self.decisions[0] if self.operation is Operation.SEARCH else None
        return decision if isinstance(decision, Refused) else None

    @property
    def refused(self) -> dict[int, Refused]:
        """The items of an `_msearch` whose callers get an error."""
        return {index: decision for index, decision in self.decisions.items() if isinstance(decision, Refused)}

    @property
    def plans(self) -> dict[int, Plan]:
        """The searches to rerank."""
        return {index: decision for index, decision in self.decisions.items() if isinstance(decision, Plan)}

    @property
    def others(self) -> dict[int, SearchCall | None]:
        """The searches to send along as they are."""
        return {index: decision.call for index, decision in self.decisions.items() if not isinstance(decision, Plan)}

    @property
    def observed(self) -> dict[int, Plan]:
        """The searches that are left alone for now, and what would have been done with them."""
        left = {index: decision for index, decision in self.decisions.items() if isinstance(decision, Left)}
        return {index: decision.observed for index, decision in left.items() if decision.observed is not None}

    def left_for(self, reason: SkipReason) -> Search:
        """Return this request with every search left alone, those to be reranked for `reason`."""
        return replace(
            self,
            decisions={
                index: decision
                if isinstance(decision, Left)
                else Left(call=decision.call, marker=experiment.marked(marker.skipped(reason), _arm(decision)))
                for index, decision in self.decisions.items()
            },
        )

    def markers(self, found: Mapping[int, Marker]) -> list[Marker]:
        """Return one marker per search, in order: `found` where there is one, else its decision's."""
        return [
            experiment.marked(found.get(index) or _marker(decision), _arm(decision))
            for index, decision in sorted(self.decisions.items())
        ]


def _arm(decision: Decision) -> Arm | None:
    return decision.arm if isinstance(decision, Plan | Refused) else None


def _marker(decision: Decision) -> Marker:
    match decision:
        case Left():
            return decision.marker
        case Refused(error=RerankUnavailable() as error):
            return marker.degraded(error)
        case Refused():
            return marker.refused()
        case Plan():
            return marker.skipped(SkipReason.ENGINE_ERROR)
        case _:
            assert_never(decision)


IsOurs = Callable[[Native], bool]
"""Says whether a reranker of the engine's own is executed by us."""

_NAMES_US: Final[IsOurs] = attrgetter("is_ours")


def read(
    operation: Operation,
    request: SearchRequest,
    policy: Policy,
    engine: Connector,
    is_ours: IsOurs = _NAMES_US,
) -> Search:
    """Return the request's searches with their decisions; `engine` is whom their exchange will ask."""
    request = as_signed(request, policy)
    try:
        if operation is Operation.SEARCH:
            return _read_search(request, policy, engine, is_ours)
        return _read_msearch(request, policy, engine, is_ours)
    except NotJson:
        return all_left(operation, _without_settings(operation, request), SkipReason.NOT_JSON)
    except TooMany:
        return all_left(operation, request, SkipReason.TOO_LARGE)
    except ValueError:
        return all_left(operation, request, SkipReason.UNPARSABLE)
    except Exception:  # a mistake of ours is no reason not to search
        logger.exception("search_not_read request=%s", request)
        return all_left(operation, request, SkipReason.UNPARSABLE)


def as_signed(request: SearchRequest, policy: Policy) -> SearchRequest:
    """Return a request without the caller's AWS signature, where the engine gets one of ours."""
    return replace(request, headers=signatures.without_aws(request.headers)) if policy.resigns else request


def all_left(operation: Operation, request: SearchRequest, reason: SkipReason) -> Search:
    """Return a request that is left alone as a whole."""
    return Search(
        operation=operation,
        original=request,
        request=without_our_headers(request),
        decisions={0: Left(call=None, marker=marker.skipped(reason))},
    )


def without_our_headers(request: SearchRequest) -> SearchRequest:
    """Return a request without `X-Rerank-…`; the same object where it has none."""
    headers = strip_headers(request.headers)
    return request if headers == request.headers else replace(request, headers=headers)


def _without_settings(operation: Operation, request: SearchRequest) -> SearchRequest:
    """Return a request whose answer is wanted in another format without `ext.rerank`, where its body can be read."""
    if signatures.covers_body(request.headers, request.params):
        return request
    try:
        if operation is Operation.SEARCH:
            call = search_call.parse(request, for_any_answer=True)
            return search_call.write(call.without_rerank_ext(), original=call, request=request)
        items = multi_search.parse(request, for_any_answer=True)
        calls = {index: item.call and item.call.without_rerank_ext() for index, item in enumerate(items)}
        return multi_search.write(request, items, calls)
    except ValueError:  # NotJson is one
        return request


def _read_search(request: SearchRequest, policy: Policy, engine: Connector, is_ours: IsOurs) -> Search:
    bare = without_our_headers(request)
    call = search_call.parse(request)
    decision = decide(call, policy, is_ours)
    forwarded = bare if decision.call is None else search_call.write(decision.call, original=call, request=bare)
    return Search(
        operation=Operation.SEARCH,
        original=request,
        request=forwarded,
        decisions={0: decision},
        exchange=OneSearch(engine, bare, call),
    )


def _read_msearch(request: SearchRequest, policy: Policy, engine: Connector, is_ours: IsOurs) -> Search:
    bare = without_our_headers(request)
    items = multi_search.parse(request)
    if not items:
        return all_left(Operation.MSEARCH, request, SkipReason.UNPARSABLE)
    decisions: dict[int, Decision] = {
        index: decide(item.call, policy, is_ours)
        if item.call is not None
        else Left(call=None, marker=marker.skipped(SkipReason.UNPARSABLE))
        for index, item in enumerate(items)
    }
    calls = {index: decision.call for index, decision in decisions.items()}
    return Search(
        operation=Operation.MSEARCH,
        original=request,
        request=multi_search.write(bare, items, calls),
        decisions=decisions,
        exchange=ManySearches(engine, bare, items),
    )


def decide(call: SearchCall, policy: Policy, is_ours: IsOurs = _NAMES_US) -> Decision:
    """Decide about one search."""
    try:
        decision = plan(call, policy.options(call.index), is_ours)
    except BadRerankRequest as error:
        bare = replace(call.without_rerank_ext(), headers=strip_headers(call.headers))
        return Refused(call=bare, error=error)
    if isinstance(decision, Skip):
        return Left(call=decision.call, marker=marker.skipped(decision.reason), native=decision.native)
    options = languages.query_options(decision.query, decision.options)
    if options is None:
        return Left(call=decision.call, marker=marker.skipped(SkipReason.LANGUAGE))
    return _tried(replace(decision, options=options), policy)


def _tried(plan: Plan, policy: Policy) -> Plan | Left:
    """Return what becomes of a search that can be reranked where that is tried, on a share of the users or on none."""
    if plan.options.mode == "observe":
        return Left(call=plan.call, marker=marker.observed(), observed=plan)
    arm = experiment.arm(plan, policy.experiment)
    if arm is Arm.CONTROL:
        return Left(call=plan.call, marker=experiment.control())
    return replace(plan, arm=arm, draw=experiment.draw(plan, policy.experiment))
