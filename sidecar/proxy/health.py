"""Probes and metrics, on the main port under `/_rerank/` and on the admin listener.

Law: `live` and `ready` never depend on the engine, and `ready` on the scorer only in strict mode: a replica without
a scorer still answers searches, in the engine's order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints, json_response


@dataclass(slots=True, kw_only=True)
class Health:
    """What the probes are asked about."""

    #: whether the model is loaded, or loading was given up
    is_started: Callable[[], bool]
    #: whether the model is loaded and answers
    has_scorer: Callable[[], bool]
    #: whether ready wants the scorer, too
    is_strict: bool = False
    is_draining: bool = field(default=False)

    def endpoints(self) -> Endpoints:
        """Return the probes by method and path."""
        probes = {"live": self._live, "startup": self._startup, "ready": self._ready}
        return {(method, f"/_rerank/{name}"): probe for name, probe in probes.items() for method in ("GET", "HEAD")}

    async def _live(self, _: EndpointRequest) -> EndpointResponse:
        return json_response({"status": "live"})

    async def _startup(self, _: EndpointRequest) -> EndpointResponse:
        return _probe("started", "starting", is_ok=self.is_started())

    async def _ready(self, _: EndpointRequest) -> EndpointResponse:
        if self.is_draining:
            return _probe("ready", "draining", is_ok=False)
        if not self.is_started():
            return _probe("ready", "starting", is_ok=False)
        return _probe("ready", "no scorer", is_ok=self.has_scorer() or not self.is_strict)


def _probe(yes: str, no: str, *, is_ok: bool) -> EndpointResponse:
    return json_response({"status": yes if is_ok else no}, 200 if is_ok else 503)
