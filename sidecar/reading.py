"""Steps 1 and 2 for a request: from its bytes to decisions, with what this connector knows.

Law: a search is widened only for a scorer that can be asked; and a reranker of the engine's own is taken over only when
it names us or the engine has refused it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from connectors.base import Connector, SearchRequest, SearchResponse
from sidecar import marker, searches, templates
from sidecar.admission import Admission
from sidecar.experiments import experiment
from sidecar.plan import Plan
from sidecar.policy import Policy
from sidecar.requests import native, signatures
from sidecar.requests.native import Native
from sidecar.scorers import Scorers
from sidecar.searches import Decision, Left, Refused, Search
from sidecar.types import Operation, SkipReason

BELIEVE_REFUSAL_FOR: Final = 3600.0
"""Seconds after which an engine is asked again for a reranker that it refused: it may have been upgraded."""


class Reader:
    """Reads the requests of one connector."""

    def __init__(self, engine: Connector, policy: Policy, scorers: Scorers, admission: Admission) -> None:
        """Decide by `policy`; exchanges will ask `engine`."""
        self._engine = engine
        self._policy = policy
        self._scorers = scorers
        self._admission = admission
        self._refused: TTLCache[str, None] = TTLCache(1000, BELIEVE_REFUSAL_FOR)

    def use(self, policy: Policy) -> None:
        """Decide by another policy from the next request on."""
        self._policy = policy

    def read(self, operation: Operation, request: SearchRequest) -> Search:
        """Return the searches of a request with their decisions."""
        search = searches.read(operation, request, self._policy, self._engine, self._is_ours)
        return replace(
            search, decisions={index: self._scorable(decision) for index, decision in search.decisions.items()}
        )

    async def read_template(self, operation: Operation, request: SearchRequest) -> Search:
        """Return the searches that a templated request stands for.

        Raises:
            EngineError: the engine does not answer.
        """
        request = searches.as_signed(request, self._policy)
        if signatures.covers_body(request.headers, request.params):  # the engine would refuse to render it
            return searches.all_left(operation, request, SkipReason.SIGNED)
        rendered = await templates.render(self._engine, operation, request)
        if rendered is None:
            return searches.all_left(operation, request, SkipReason.TEMPLATE)
        return _as_template(self.read(operation, rendered), searches.without_our_headers(request))

    def learn(self, search: Search, answer: SearchResponse) -> Search | None:
        """Return the request read anew when the engine has refused a reranker of its own; else None."""
        refused = native.refused(search.natives, answer)
        if not refused:
            return None
        self._refused.update(dict.fromkeys(each.key for each in refused))
        anew = self.read(search.operation, search.original)
        return _as_template(anew, search.request) if search.is_template else anew

    def _is_ours(self, asked: Native) -> bool:
        return asked.is_ours or asked.key in self._refused

    def _scorable(self, decision: Decision) -> Decision:
        if not isinstance(decision, Plan) or decision.is_beyond_window:
            return decision
        failure = self._scorers.failure(decision.options) or self._admission.failure()
        if failure is None:
            return decision
        if decision.options.on_failure == "error":
            return Refused(call=decision.call, error=failure, arm=decision.arm)
        return Left(call=decision.call, marker=experiment.marked(marker.degraded(failure), decision.arm))


def _as_template(search: Search, template: SearchRequest) -> Search:
    """Return a search that goes to the engine as its template, where nothing in that was said to us."""
    if search.request.content != search.original.content:
        return search
    return replace(search, request=template, is_template=True)
