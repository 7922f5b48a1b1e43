"""Relayed requests: which of them are searches, how they come in, and how their answers leave.

Law: what is no search is streamed both ways, byte for byte. A search that is left alone is streamed, too, and bears its
marker; only a search that is reranked is held in memory.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from connectors.base import Connector, RelayRequest, RelayResponse, SearchResponse
from connectors.errors import AnswerTooLarge, EngineError
from sidecar import error_answers, marker, templates
from sidecar.experiments.observing import Observer
from sidecar.marker import Marker
from sidecar.reading import Reader
from sidecar.requests import routes, streams
from sidecar.requests.controls import strip_headers
from sidecar.requests.routes import Route
from sidecar.searches import Search
from sidecar.telemetry.clock import Clock
from sidecar.telemetry.reports import Reports
from sidecar.telemetry.seldom import Seldom
from sidecar.types import SkipReason

logger = logging.getLogger(__name__)


class Relaying:
    """Takes requests of any kind for one connector."""

    def __init__(
        self,
        engine: Connector,
        reader: Reader,
        reports: Reports,
        observer: Observer,
        answer: Callable[[Search], Awaitable[SearchResponse]],
    ) -> None:
        """Give searches to `answer`, everything else to `engine`, and what is observed to `observer`."""
        self._engine = engine
        self._reader = reader
        self._reports = reports
        self._observer = observer
        self._answer = answer
        self._seldom = Seldom()

    @asynccontextmanager
    async def relay(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Answer any request: searches as the connector does, everything else as the engine does."""
        route = routes.route(request.method, request.target)
        if route is None:
            async with self._engine.relay(_bare(request)) as answer:
                yield answer
            return
        async with AsyncExitStack() as stack:
            try:
                answer = await self._searched(route, request, stack)
            except EngineError as error:  # no answer at all, which is said of a search like anything else
                if (more := self._seldom.turn(type(error).__name__)) is not None:
                    logger.warning("engine_error error=%s left_out=%d", error, more)
                failed = error_answers.error_answer(*error_answers.describe(error))
                answer = _marked(streams.as_stream(failed), marker.skipped(SkipReason.ENGINE_ERROR))
            yield answer

    async def _searched(self, route: Route, request: RelayRequest, stack: AsyncExitStack) -> RelayResponse:
        """Return the answer to a search; the connection of a streamed one is released with `stack`."""
        if route.is_async:
            streamed = await stack.enter_async_context(self._engine.relay(_bare(request)))
            return _marked(streamed, marker.skipped(SkipReason.ASYNC_SEARCH))
        body = await streams.read_body(request.body)
        if not isinstance(body, bytes):
            streamed = await stack.enter_async_context(self._engine.relay(replace(_bare(request), body=body)))
            return _marked(streamed, marker.skipped(SkipReason.TOO_LARGE))
        search = await self._read(route, request, body)
        stack.callback(self._observer.begin, search)  # when the answer has left
        try:
            whole = await self._answer(search) if search.needs_answer else None
        except AnswerTooLarge:
            search, whole = search.left_for(SkipReason.TOO_LARGE), None
        if whole is not None:
            return streams.as_stream(
                templates.as_template_answer(route.operation, search.original, whole) if route.is_template else whole
            )
        markers = search.markers({})
        self._reports.record(search, markers, Clock())
        streamed = await stack.enter_async_context(self._engine.relay(streams.as_relay(search.request, request)))
        return _marked(streamed, *markers)

    async def _read(self, route: Route, request: RelayRequest, body: bytes) -> Search:
        complete = streams.as_search(request, body)
        if route.is_template:
            return await self._reader.read_template(route.operation, complete)
        return self._reader.read(route.operation, complete)


def _bare(request: RelayRequest) -> RelayRequest:
    return replace(request, headers=strip_headers(request.headers))


def _marked(answer: RelayResponse, *markers: Marker) -> RelayResponse:
    return streams.with_header(answer, marker.HEADER, marker.header_value(markers))
