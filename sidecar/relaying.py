"""Relayed requests: which of them are searches, how they come in, and how their answers leave.

Law: what is no search is streamed both ways, byte for byte. A search that is left alone is streamed, too, and bears its
marker; only a search that is reranked is held in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from connectors.base import Connector, RelayRequest, RelayResponse, SearchResponse
from connectors.errors import AnswerTooLarge
from sidecar import marker, routes, streams, templates
from sidecar.clock import Clock
from sidecar.controls import strip_headers
from sidecar.marker import Marker
from sidecar.reading import Reader
from sidecar.reports import Reports
from sidecar.routes import Route
from sidecar.searches import Search
from sidecar.types import SkipReason


class Relaying:
    """Takes requests of any kind for one connector."""

    def __init__(
        self, engine: Connector, reader: Reader, reports: Reports, answer: Callable[[Search], Awaitable[SearchResponse]]
    ) -> None:
        """Give searches to `answer`, everything else to `engine`."""
        self._engine = engine
        self._reader = reader
        self._reports = reports
        self._answer = answer

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer any request: searches as the connector does, everything else as the engine does."""
        route = routes.route(request.method, request.target)
        if route is None or route.is_async:
            async with self._engine.relay(_bare(request)) as answer:
                yield answer if route is None else _marked(answer, marker.skipped(SkipReason.ASYNC_SEARCH))
            return
        body = await streams.read_body(request.body)
        if not isinstance(body, bytes):
            async with self._engine.relay(replace(_bare(request), body=body)) as answer:
                yield _marked(answer, marker.skipped(SkipReason.TOO_LARGE))
            return
        search = await self._read(route, request, body)
        try:
            whole = await self._answer(search) if search.needs_answer else None
        except AnswerTooLarge:
            search, whole = search.left_for(SkipReason.TOO_LARGE), None
        if whole is not None:
            yield streams.as_stream(
                templates.as_template_answer(route.operation, whole) if route.is_template else whole
            )
            return
        markers = search.markers({})
        self._reports.record(search, markers, Clock())
        async with self._engine.relay(streams.as_relay(search.request, request)) as answer:
            yield _marked(answer, *markers)

    async def _read(self, route: Route, request: RelayRequest, body: bytes) -> Search:
        complete = streams.as_search(request, body)
        if route.is_template:
            return await self._reader.read_template(route.operation, complete)
        return self._reader.read(route.operation, complete)


def _bare(request: RelayRequest) -> RelayRequest:
    return replace(request, headers=strip_headers(request.headers))


def _marked(answer: RelayResponse, *markers: Marker) -> RelayResponse:
    return streams.with_header(answer, marker.HEADER, marker.header_value(markers))
