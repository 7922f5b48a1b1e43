"""HTTP in, a connector, HTTP out.

Law: whoever talks to the engine through us gets what the engine says, byte for byte, unless the connector behind us
says otherwise; this module does not know whether it reranks. Only exact paths are ours: `/_rerank/…` (no index name
begins with `_`) and POST on the paths of the rerank API.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import METH_CONNECT
from aiohttp.http import HttpVersion10, HttpVersion11

from connectors.base import Connector, Headers, RelayRequest, RelayResponse, SearchResponse
from connectors.errors import EngineError
from connectors.header_bytes import keep_header_bytes
from sidecar import error_answers
from sidecar.proxy.endpoints import Endpoint, EndpointRequest, EndpointResponse, Endpoints, refusal_by_headers
from sidecar.telemetry.seldom import Seldom

logger = logging.getLogger(__name__)

OWN_PREFIX = "/_rerank/"
MAX_ENDPOINT_BYTES = 32 * 1024 * 1024
"""Longest body that one of our own endpoints reads."""


MAX_LENGTH = 2**63 - 1
"""Greatest Content-Length that every parser reads as a number."""

STALLED_SECONDS = 30.0
"""A request body of which nothing comes for so long is given up."""


class StalledBody(Exception):
    """The client stopped in the middle of its request body."""


class Body:
    """A request body as it comes in."""

    def __init__(self, content: StreamReader, patience: float) -> None:
        """Wait `patience` seconds at most for each next byte."""
        self._content = content
        self._patience = patience
        self.is_stalled = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises StalledBody."""
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    piece = await self._content.readany()
            except TimeoutError:
                self.is_stalled = True
                raise StalledBody from None
            if not piece:
                return
            yield piece


class PlainResponse(web.StreamResponse):
    """A response that carries the headers it was given and no others; its head leaves with what follows at once."""

    _send_headers_immediately = False

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in ("Server", "Date", "Content-Type"):
            if name.lower() not in given:
                self.headers.popall(name, None)


class ProxyApp:
    """Answers every request of one listener."""

    def __init__(self, engine: Connector | None, endpoints: Endpoints) -> None:
        """Serve `engine` (None: nothing but our endpoints) and `endpoints`."""
        keep_header_bytes()
        self._engine = engine
        self._endpoints = endpoints
        self._seldom = Seldom()
        self.is_draining = False
        """Set when the program is to end: every answer then asks its client to close the connection."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        target = request.raw_path
        path = target.partition("?")[0]
        refusal = _refusal(request, target)
        if refusal is not None:
            return await self._respond(request, refusal, is_final=True)
        endpoint = self._endpoints.get((request.method, path))
        refused = refusal_by_headers(endpoint, _headers(request))
        if refused is not None:
            return await self._respond(request, refused, is_final=request.body_exists)
        await _continue_if_expected(request)
        if endpoint is None and (self._engine is None or path.startswith(OWN_PREFIX)):
            return await self._respond(request, unknown(request.method, path))
        body = Body(request.content, STALLED_SECONDS) if request.body_exists else None
        if endpoint is not None:
            try:
                asked = await _endpoint_request(request, path, body)
            except StalledBody:
                return await self._give_up(request)
            answer = too_long(path) if asked is None else await answer_endpoint(endpoint, asked)
            return await self._respond(request, answer, is_final=asked is None)
        assert self._engine is not None
        return await self._relay(request, self._engine, body)

    async def _relay(self, request: web.BaseRequest, engine: Connector, body: Body | None) -> web.StreamResponse:
        relayed = RelayRequest(
            method=request.method,
            target=request.raw_path,
            headers=_headers(request),
            body=None if body is None else body.pieces(),
        )
        has_begun = False
        try:
            async with engine.relay(relayed) as answer:
                has_begun = True
                return await self._stream(request, answer)
        except StalledBody:
            return await self._give_up(request)
        except EngineError as error:
            if body is not None and body.is_stalled:  # which the HTTP library reports as a lost connection
                return await self._give_up(request)
            if (more := self._seldom.turn(type(error).__name__)) is not None:
                logger.warning("engine_error error=%s left_out=%d", error, more)
            status, kind, reason = error_answers.describe(error)
            return await self._respond(request, _error(error_answers.error_answer(status, kind, reason)))
        except Exception:
            if has_begun or request.transport is None:
                raise
            logger.exception("request_failed method=%s", request.method)
            return await self._respond(request, _failed())

    async def _stream(self, request: web.BaseRequest, answer: RelayResponse) -> web.StreamResponse:
        response = self._response(request, answer.status, answer.reason, answer.headers)
        await response.prepare(request)
        send_head = partial(_send_head, request.writer)
        asyncio.get_running_loop().call_soon(send_head)  # so that it waits for nothing that is not here yet
        try:
            async for chunk in answer.chunks:
                await response.write(chunk)
        except EngineError as error:
            send_head()
            # an answer that breaks off must not look complete: no last chunk, a closed connection
            if (more := self._seldom.turn(f"broke off: {type(error).__name__}")) is not None:
                logger.warning("engine_answer_broke_off error=%s left_out=%d", error, more)
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write_eof()
        return response

    async def _give_up(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._respond(request, _stalled(), is_final=True)
        if request.transport is not None:  # there is no rest of the body to wait for
            request.transport.close()
        return response

    async def _respond(
        self, request: web.BaseRequest, answer: EndpointResponse, *, is_final: bool = False
    ) -> web.StreamResponse:
        body = answer.body
        headers = (("Content-Type", answer.content_type), ("Content-Length", str(len(body))), *answer.headers)
        response = self._response(request, answer.status, "", headers)
        if is_final:
            response.force_close()
        with suppress(ConnectionResetError):  # a caller who has gone, a health check with little patience for one
            await response.prepare(request)
            await response.write_eof(b"" if request.method == "HEAD" else body)
        return response

    def _response(self, request: web.BaseRequest, status: int, reason: str, headers: Headers) -> PlainResponse:
        response = PlainResponse(status=status, reason=reason or None)
        for name, value in headers:
            response.headers.add(name, value)
        # aiohttp 3.14 counts the last trailer of a chunked body among the headers of the connection's next request, and
        # reads no next request after one that would upgrade the connection
        if self.is_draining or "Transfer-Encoding" in request.headers or "Upgrade" in request.headers:
            response.force_close()
        return response


def _refusal(request: web.BaseRequest, target: str) -> EndpointResponse | None:
    """Return the answer to what no engine is to see: other versions of HTTP, no path, ambiguous framing, tunnels."""
    if request.version < HttpVersion10:
        version = f"HTTP/{request.version.major}.{request.version.minor}"
        return _refused(400, f"Unexpected http protocol version: {version}")
    if not target.startswith("/"):
        return _refused(400, f"the request target must be a path, not {target[:80]!r}")
    if request.version <= HttpVersion10 and "Transfer-Encoding" in request.headers:
        return _refused(400, "HTTP/1.0 has no Transfer-Encoding")
    if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        return _refused(400, "the only Transfer-Encoding that is taken is chunked")  # others would be lost on the way
    if int(request.headers.get("Content-Length", "0")) > MAX_LENGTH:
        return _refused(400, "the Content-Length is no length")
    if request.method == METH_CONNECT:
        return _refused(405, f"Incorrect HTTP method for uri [{target[:80]}] and method [CONNECT]")
    return None


def _send_head(writer: AbstractStreamWriter) -> None:
    """Send a head that is still held back; the caller's going is seen by what is written next."""
    with suppress(ConnectionResetError):
        writer.send_headers()


async def _continue_if_expected(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue`: we are the one who reads the body."""
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _headers(request: web.BaseRequest) -> Headers:
    return tuple(
        (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape").strip(" \t"))
        for name, value in request.raw_headers  # of which aiohttp before 3.14.5 keeps a tab at the end
    )


async def _endpoint_request(request: web.BaseRequest, path: str, body: Body | None) -> EndpointRequest | None:
    """Return the complete request, None when its body is too long. Raises StalledBody."""
    content = bytearray()
    if body is not None:
        async for chunk in body.pieces():
            content += chunk
            if len(content) > MAX_ENDPOINT_BYTES:
                return None
    return EndpointRequest(method=request.method, path=path, headers=_headers(request), body=bytes(content))


async def answer_endpoint(endpoint: Endpoint, request: EndpointRequest) -> EndpointResponse:
    """Return what an endpoint answers, 500 where it raises."""
    try:
        return await endpoint(request)
    except Exception:
        logger.exception("endpoint_failed path=%s", request.path)
        return _failed()


def _failed() -> EndpointResponse:
    return _error(error_answers.error_answer(500, "internal_error", "the sidecar failed; its log says why"))


def too_long(path: str) -> EndpointResponse:
    """Return the answer to a body of more than MAX_ENDPOINT_BYTES."""
    reason = f"{path} reads at most {MAX_ENDPOINT_BYTES} bytes"
    return _error(error_answers.error_answer(413, "content_too_long_exception", reason))


def _stalled() -> EndpointResponse:
    reason = f"the request body stopped: nothing came for {STALLED_SECONDS:.0f} s"
    return _error(error_answers.error_answer(408, "request_timeout", reason))


def unknown(method: str, path: str) -> EndpointResponse:
    """Return the answer where there is no endpoint."""
    reason = f"no endpoint for {method} {path}"
    return _error(error_answers.error_answer(404, "resource_not_found_exception", reason))


def _refused(status: int, reason: str) -> EndpointResponse:
    return _error(error_answers.error_answer(status, "illegal_argument_exception", reason))


def _error(answer: SearchResponse) -> EndpointResponse:
    return EndpointResponse(status=answer.status, body=answer.body)
