"""Connections: how much a client may say, and how long, before it has said what it wants.

Law: whoever has begun a head completes it in `HEAD_SECONDS`, however it drips, and within `MAX_HEAD_BYTES`. aiohttp has
one timer for connections that are idle and for heads that are half sent, and bounds each line of a head, not all. What
is no HTTP is neither logged nor sent back: it may hold a credential.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sidecar import error_answers
from sidecar.telemetry.seldom import Seldom

logger = logging.getLogger(__name__)

HEAD_SECONDS: Final = 10.0
MAX_HEAD_BYTES: Final = 256 * 1024
"""More than both engines take (some 20 KB), so that it is they who answer."""

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection(web.RequestHandler):
    """A connection that ends when a head takes too long, or is too long."""

    def __init__(self, seldom: Seldom, *args: Any, **kwargs: Any) -> None:
        """Log as `seldom` lets; for the rest see aiohttp."""
        super().__init__(*args, **kwargs)
        self._seldom = seldom
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and watch what has come of a head that is not complete."""
        self._feed(data)
        if not self._is_waiting():
            self._stop_watching()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and self.transport is not None:
            self.transport.write(_TOO_LARGE)
            self.force_close()
        elif self._head_timer is None and data:
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._give_up)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Refuse what is no HTTP in the engine's shape, and say what kind of mistake it is."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        kind = type(exc).__name__
        if (more := self._seldom.turn(kind)) is not None:
            logger.info("request_refused reason=%s left_out=%d", kind, more)
        refused = error_answers.error_answer(status, "illegal_argument_exception", f"the request is no HTTP: {kind}")
        response = web.Response(status=status, body=refused.body, content_type="application/json")
        response.force_close()
        return response

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the timer."""
        self._stop_watching()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        """Feed the parser, also after the listener has closed: aiohttp 3.14 drops the rest of a body in flight then."""
        was_closing, was_forced = self._close, self._force_close
        if self._request_in_progress or self._messages:
            self._close = self._force_close = False
        try:
            super().data_received(data)
        finally:
            self._close |= was_closing
            self._force_close |= was_forced

    def _is_waiting(self) -> bool:
        """Whether no request is being answered, and none is complete."""
        return self._waiter is not None and not self._waiter.done()

    def _give_up(self) -> None:
        self._head_timer = None
        if self._is_waiting():
            self.force_close()

    def _stop_watching(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class ConnectionServer(web.Server):
    """aiohttp's server with connections of that kind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See aiohttp."""
        super().__init__(*args, **kwargs)
        self._seldom = Seldom()

    def __call__(self) -> Connection:
        """Return what handles a new connection."""
        return Connection(self._seldom, self, loop=self._loop, **self._kwargs)
