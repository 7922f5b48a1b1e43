"""The playground's endpoints: the page, what it is told about this program, and the traffic of the last minutes.

Law: none of them asks the engine for documents, and of the scorer and of clicks they ask figures only. Searches,
mappings and explanations reach the page through the proxy, with the credentials of whoever sits in front of it, so that
it can show nothing that its user may not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from connectors.base import Headers
from sidecar.errors import RerankUnavailable
from sidecar.experiments.event_store import EventsNotKept, Standing
from sidecar.playground.page_files import FILES_PATH, page_files
from sidecar.playground.traffic import Traffic
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints, json_response
from sidecar.scoring.base import Scorer
from sidecar.scoring.figures import CountsWork
from sidecar.types import RerankOptions

ABOUT_PATH: Final = f"{FILES_PATH}about.json"
TRAFFIC_PATH: Final = f"{FILES_PATH}traffic.json"

SCORER_FIGURES: Final = ("waiting_calls", "waiting_tokens", "running_tokens", "launched_calls", "waited_seconds")
SCORER_PATIENCE_SECONDS: Final = 0.5

_HEADERS: Final[Headers] = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A search to begin with."""

    query: str
    index: str
    fields: tuple[str, ...]
    #: grades by document id
    judgments: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground:
    """What the page is about."""

    version: str
    engine: Callable[[], str]
    scorer: Scorer
    options: RerankOptions
    examples: Sequence[Example] = ()
    is_enabled: bool = True
    traffic: Traffic = field(default_factory=Traffic)
    #: what clicks on interleaved pages say, None where none are kept
    standing: Standing | None = None

    def endpoints(self) -> Endpoints:
        """Return the page's endpoints; none where it is switched off."""
        if not self.is_enabled:
            return {}
        return {**page_files(), ("GET", ABOUT_PATH): self._about, ("GET", TRAFFIC_PATH): self._traffic}

    async def _about(self, _: EndpointRequest) -> EndpointResponse:
        return json_response(
            {
                "version": self.version,
                "engine": self.engine(),
                "model": self._model(),
                "defaults": self._defaults(),
                "examples": [asdict(example) for example in self.examples],
            },
            headers=_HEADERS,
        )

    async def _traffic(self, _: EndpointRequest) -> EndpointResponse:
        told = {"scorer": await self._work(), "interleaving": await self._interleaving()}
        return json_response({**self.traffic.snapshot(), **told}, headers=_HEADERS)

    async def _interleaving(self) -> list[dict[str, Any]] | None:
        """Return what clicks say, None where none are kept, or they cannot be read."""
        if self.standing is None:
            return None
        try:
            return [found.told() for found in await self.standing.preferences()]
        except EventsNotKept:
            return None

    async def _work(self) -> dict[str, float] | None:
        """Return what the scorer counts of its queue, None where it does not say."""
        if not isinstance(self.scorer, CountsWork):
            return None
        try:
            async with asyncio.timeout(SCORER_PATIENCE_SECONDS):
                figures = await self.scorer.figures()
        except (RerankUnavailable, TimeoutError):
            return None
        return {name: figures[name] for name in SCORER_FIGURES if name in figures}

    def _model(self) -> dict[str, Any]:
        try:
            return asdict(self.scorer.describe())
        except RerankUnavailable as error:
            return {"unavailable": error.reason}

    def _defaults(self) -> dict[str, Any]:
        options = self.options
        return {
            "enabled": options.enabled,
            "window": options.window,
            "fusion": options.fusion,
            "weight": options.weight,
            "deadline_ms": round(options.deadline * 1000),
        }
