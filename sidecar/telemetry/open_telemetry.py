"""Spans of searches for OpenTelemetry (the extra `otel`). Imported only where tracing is on.

    search (or msearch)     from the request to the last byte of its answer; its parent is the caller's span
      first_stage           asking the engine
      score                 texts to scores
      merge                 scores to the caller's page; the hits of heavy ones are fetched here

The engine and a scorer elsewhere are told which span they work for. A request whose signature covers its headers
reaches the engine as it is.

Law: attributes and statuses hold no text of a caller's, no index and no credential; an error is its type.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final, TypeVar

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from connectors.base import (
    Connector,
    Headers,
    RelayRequest,
    RelayResponse,
    SearchRequest,
    SearchResponse,
    header,
    without_headers,
)
from sidecar import marker
from sidecar.proxy.endpoints import Endpoint, EndpointRequest, EndpointResponse, Guarded
from sidecar.requests import routes, signatures
from sidecar.telemetry import tracing
from sidecar.telemetry.tracing import Attributes

NAME: Final = "rerank-sidecar"

Answer = TypeVar("Answer", SearchResponse, RelayResponse)


def exporting(version: str) -> TracerProvider:
    """Return a provider that sends spans by OTLP over HTTP, as the variables `OTEL_…` say where and how."""
    resource = Resource.create({"service.name": NAME, "service.version": version})
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OpenTelemetry:
    """The `Trace` of requests. Shut down by whoever made the provider."""

    def __init__(self, provider: TracerProvider) -> None:
        """Give spans to `provider`."""
        self._tracer = provider.get_tracer(NAME)
        self._propagator = TraceContextTextMapPropagator()

    @property
    def trace_id(self) -> str:
        """The id of the current trace."""
        return f"{get_current_span().get_span_context().trace_id:032x}"

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[None]:
        """Let what happens in the context be a span; what is raised is noted by its type."""
        with self._span(name, SpanKind.INTERNAL, attributes):
            yield

    def headers(self) -> dict[str, str]:
        """Return `traceparent` and `tracestate` of the current span."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    @contextmanager
    def request(self, name: str, method: str, headers: Headers) -> Iterator[Span]:
        """Let what happens in the context be a span of a request that came with these headers."""
        given = {key.lower(): value for key, value in headers if key.lower() in tracing.HEADERS}
        parent = self._propagator.extract(given)
        attributes = {"http.request.method": method}
        with (
            self._span(name, SpanKind.SERVER, attributes, parent=parent) as span,
            tracing.traced_by(self),
        ):
            yield span

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: Attributes, parent: object = None) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=dict(attributes),
            record_exception=False,  # its words may be somebody's text
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


class TracedSearches:
    """A Connector whose searches are spans. Everything else passes as it is."""

    def __init__(self, reranked: Connector, telemetry: OpenTelemetry) -> None:
        """Trace the searches of `reranked`, which stays its maker's to close."""
        self._reranked = reranked
        self._telemetry = telemetry

    @property
    def name(self) -> str:
        """The name of what is traced."""
        return self._reranked.name

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search`; see `Connector.search`."""
        with self._telemetry.request("search", request.method, request.headers) as span:
            return _noted(span, await self._reranked.search(request))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch`; see `Connector.msearch`."""
        with self._telemetry.request("msearch", request.method, request.headers) as span:
            return _noted(span, await self._reranked.msearch(request))

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer any request; a search is a span until its answer has gone."""
        route = routes.route(request.method, request.target)
        if route is None:
            async with self._reranked.relay(request) as answer:
                yield answer
            return
        with self._telemetry.request(route.operation.value, request.method, request.headers) as span:
            async with self._reranked.relay(request) as answer:
                yield _noted(span, answer)

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self._reranked.ping()

    async def aclose(self) -> None:
        """Close nothing."""


class ToldEngine:
    """An engine that is told, with every request of a traced search, which span it works for."""

    def __init__(self, engine: Connector) -> None:
        """Tell `engine`, which stays its maker's to close."""
        self._engine = engine

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine.name

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search`; see `Connector.search`."""
        return await self._engine.search(replace(request, headers=_with_trace(request.headers)))

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch`; see `Connector.msearch`."""
        return await self._engine.msearch(replace(request, headers=_with_trace(request.headers)))

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request; see `Connector.relay`."""
        return self._engine.relay(replace(request, headers=_with_trace(request.headers)))

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self._engine.ping()

    async def aclose(self) -> None:
        """Close nothing."""


def traced_endpoint(endpoint: Endpoint, name: str, telemetry: OpenTelemetry) -> Endpoint:
    """Return an endpoint whose calls are spans called `name`; who is refused by headers alone makes none."""
    if isinstance(endpoint, Guarded):
        return Guarded(endpoint.refusal, traced_endpoint(endpoint.answer, name, telemetry))

    async def traced(request: EndpointRequest) -> EndpointResponse:
        with telemetry.request(name, request.method, request.headers) as span:
            answer = await endpoint(request)
            span.set_attribute("http.response.status_code", answer.status)
            return answer

    return traced


def _with_trace(headers: Headers) -> Headers:
    """Return a request's headers with those of the current span in place of its caller's."""
    ours = tracing.headers()
    if not ours or signatures.covers_body(headers, ()):
        return headers
    return (*without_headers(headers, *tracing.HEADERS), *ours.items())


def _noted(span: Span, answer: Answer) -> Answer:
    """Return an answer whose status and marker are noted."""
    span.set_attribute("http.response.status_code", answer.status)
    mark = header(answer.headers, marker.HEADER)
    if mark:
        span.set_attribute("rerank.marker", marker.without_tokens(mark))
    return answer
