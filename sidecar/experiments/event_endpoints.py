"""`POST /_rerank/events`: clicks on interleaved pages come in.

Law: 200 means that everything that was sent is kept, or is nothing that is counted. Where some events are refused the
answer is 400 and says which and why; the others are kept all the same. 503 means that none is, for now.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.base import Headers, header
from sidecar import error_answers
from sidecar.experiments import events
from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.event_store import EventsNotKept, EventStore
from sidecar.experiments.events import BadEvent, Click
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints, Guarded, json_response
from sidecar.rerank_api.api_key import ApiKey
from sidecar.telemetry.seldom import Seldom

logger = logging.getLogger(__name__)

EVENTS_PATH: Final = "/_rerank/events"
MOST_REFUSALS_SHOWN: Final = 20
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Reading a body keeps the process from everything else."""

Tell = Callable[[str, int], None]
"""Is told how many events had an outcome: accepted, duplicate, ignored, refused or not_kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsEndpoint:
    """Takes events."""

    store: EventStore
    tokens: ClickTokens
    key: ApiKey
    #: the actions that count
    actions: Collection[str]
    tell: Tell
    now: Callable[[], float] = time.time
    seldom: Seldom

    def endpoints(self) -> Endpoints:
        """Return the endpoint, for those who have the key."""
        return {("POST", EVENTS_PATH): Guarded(self._refusal, self._take)}

    def _refusal(self, headers: Headers) -> EndpointResponse | None:
        refused = self.key.refusal(headers)
        if refused is not None:
            return EndpointResponse(status=refused.status, body=refused.body, headers=refused.headers)
        encoding = header(headers, "content-encoding") or "identity"
        if encoding != "identity":
            return _error(415, f"Content-Encoding: got {encoding[:40]!r}, expected a body as it is")
        return None

    async def _take(self, request: EndpointRequest) -> EndpointResponse:
        if len(request.body) > MAX_BODY_BYTES:
            return _error(413, f"got {len(request.body)} bytes, expected at most {MAX_BODY_BYTES}")
        try:
            told = events.split(request.body)
        except BadEvent as error:
            return _error(400, str(error))
        clicks, refused, counts = self._read(told)
        try:
            counts["accepted"] = await self.store.append(clicks) if clicks else 0
        except EventsNotKept as error:
            self.tell("not_kept", len(clicks))
            if (more := self.seldom.turn("not kept")) is not None:
                logger.error("events_not_kept error=%s left_out=%d", error, more)
            return _error(503, f"the events were not kept, send them again: {error}", ("Retry-After", "5"))
        counts["duplicate"] = len(clicks) - counts["accepted"]
        for outcome, count in counts.items():
            self.tell(outcome, count)
        return _answer(counts, refused)

    def _read(self, told: Sequence[Any]) -> tuple[list[Click], dict[int, str], Counter[str]]:
        """Return the clicks, why which events are refused, and how many are ignored and refused."""
        clicks: list[Click] = []
        refused: dict[int, str] = {}
        received = self.now()
        for place, event in enumerate(told):
            try:
                click = events.read(event, self.tokens, self.actions, received)
            except BadEvent as error:
                refused[place] = str(error)
                continue
            if click is not None:
                clicks.append(click)
        ignored = len(told) - len(clicks) - len(refused)
        return clicks, refused, Counter(ignored=ignored, refused=len(refused))


def _answer(counts: Counter[str], refused: dict[int, str]) -> EndpointResponse:
    said: dict[str, Any] = {name: counts[name] for name in ("accepted", "duplicate", "ignored")}
    if not refused:
        return json_response(said)
    shown = list(refused.items())[:MOST_REFUSALS_SHOWN]
    first = f"events.{shown[0][0]}: {shown[0][1]}"
    reason = first if len(refused) == 1 else f"{first} (and {len(refused) - 1} more events)"
    error = json.loads(error_answers.error_text(400, "illegal_argument_exception", reason))
    return json_response({**said, "refused": [{"event": place, "reason": why} for place, why in shown], **error}, 400)


def _error(status: int, reason: str, *headers: tuple[str, str]) -> EndpointResponse:
    kind = "illegal_argument_exception" if status < 500 else "events_not_kept"
    body = error_answers.error_text(status, kind, reason).encode()
    return EndpointResponse(status=status, body=body, headers=headers)
