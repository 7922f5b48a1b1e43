"""The byte-exact HTTP session: raw targets, headers and bodies to an engine, and its answer back, streamed.

Law: what was sent is what arrives. Targets are never decoded, bodies never decompressed, statuses never raised,
headers never dropped but for the hop-by-hop ones (RFC 9110, 7.6.1), and nothing is sent twice by the HTTP library.
The official clients cannot carry this: they encode targets anew, decode bodies to text and raise on 4xx.

`RelayConnector` is the Connector over such a session; what differs between engines is in `elasticsearch.py` and
`opensearch.py`.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from connectors.base import (
    Headers,
    RelayRequest,
    RelayResponse,
    SearchRequest,
    SearchResponse,
    header,
    without_headers,
)
from connectors.errors import AnswerTooLarge, EngineError, EngineTimeout, EngineUnavailable, RequestTooLarge
from connectors.header_bytes import keep_header_bytes
from connectors.tls import client_context

if TYPE_CHECKING:
    from elastic_transport import NodeConfig, NodePool

HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
"""Headers that concern one connection only. `Expect` is answered by whoever reads the body."""

_NEVER_NAMED_BY_CONNECTION = frozenset({"authorization", "host", "cookie"})
"""A Connection header may name further hop-by-hop headers, but not these, nor any Content-…."""

MAX_LINE_BYTES: Final = 64 * 1024
"""Longest start line and header field that are read, above the engines' own limits so that they answer."""

CHUNK_BYTES: Final = 64 * 1024

MAX_SIGNED_BYTES: Final = 100 * 1024 * 1024
"""Longest body that is signed: what Amazon OpenSearch Service takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How to reach the nodes of one engine. The names are those of the official clients."""

    #: base64 "id:key", or the pair (id, key); used where the caller sends no Authorization
    api_key: str | tuple[str, str] | None = field(default=None, repr=False)
    #: (user, password); used where the caller sends no Authorization
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    #: file or folder of certificates that the engine's certificate is checked against
    ca_certs: str | None = None
    #: False accepts any certificate of the engine
    verify_certs: bool = True
    #: our own certificate and key, for engines that ask for one
    client_cert: str | None = None
    client_key: str | None = None
    #: signs requests in place of a credential; bodies are then held in memory
    signer: Signer | None = None
    #: connections to each node at most, for searches and for everything else apart
    connections_per_node: int = 256
    #: seconds for a connection to be made
    connect_timeout: float = 2.0
    #: seconds without a byte after which an answer is given up; None waits as long as the caller does
    read_timeout: float | None = None

    def authorization(self) -> str | None:
        """Return the value of our own Authorization header, or None when no credential is configured."""
        if self.api_key is not None and self.basic_auth is not None:
            raise ValueError("api_key and basic_auth exclude each other: give one of them")
        if self.api_key is not None:
            key = self.api_key
            return f"ApiKey {key if isinstance(key, str) else b64encode(':'.join(key).encode()).decode()}"
        if self.basic_auth is not None:
            return f"Basic {b64encode(':'.join(self.basic_auth).encode()).decode()}"
        return None

    def tls(self) -> ssl.SSLContext | bool:
        """Return what aiohttp takes as `ssl`. Raises OSError when a file is not what it should be."""
        return client_context(
            self.ca_certs,
            verify_certs=self.verify_certs,
            client_cert=self.client_cert,
            client_key=self.client_key,
        )


class Signer(Protocol):
    """What signs requests to an engine, such as `connectors.aws.AwsSigner`."""

    async def sign(self, method: str, url: str, target: str, headers: Headers, body: bytes) -> Headers:
        """Return the headers of `method target` to the node at `url`, signed. Raises EngineError."""
        ...


class Transport(Protocol):
    """What carries requests to an engine: `Relay`, or somebody's own client."""

    async def fetch(self, request: SearchRequest, *, max_bytes: int | None = None) -> SearchResponse:
        """Return the complete answer. Raises EngineError; AnswerTooLarge beyond `max_bytes`."""
        ...

    def stream(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Return the answer as it comes in."""
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...


def end_to_end(headers: Headers, *also: str) -> Headers:
    """Return `headers` less the hop-by-hop ones, those that Connection names, and those called `also`."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == "connection"
        for name in value.split(",")
        if name.strip()
    }
    named = {name for name in named - _NEVER_NAMED_BY_CONNECTION if not name.startswith("content-")}
    return without_headers(headers, *HOP_BY_HOP, *named, *also)


def one_spelling(headers: Headers) -> Headers:
    """Return `headers` with names that differ only in case spelled like the first of them.

    aiohttp keeps repeated names, but of `x-a` and `X-A` only one.
    """
    spelling: dict[str, str] = {}
    return tuple((spelling.setdefault(key.lower(), key), value) for key, value in headers)


class Relay:
    """A byte-exact HTTP session to the nodes of one engine. Sessions are opened by the first request.

    A node's name is resolved every half minute, and at once when nobody listens at the address that is known.
    """

    def __init__(self, urls: Sequence[str], options: EngineOptions | None = None) -> None:
        """Take the base URL of every node: scheme, host, port and perhaps a path prefix.

        A `user:password@` in a URL is taken as `basic_auth`.

        Raises:
            ValueError: a URL or a combination of options makes no sense.
            OSError: a file of the TLS options is not what it should be.
        """
        if not urls:
            raise ValueError("no engine URL: give at least one, such as http://localhost:9200")
        options = options or EngineOptions()
        plain, userinfo = zip(*(split_userinfo(url) for url in urls), strict=True)
        given = next((pair for pair in userinfo if pair), None)
        if given is not None and options.authorization() is None:
            options = replace(options, basic_auth=given)
        self._options = options
        self._authorization = options.authorization()
        self._tls = options.tls()
        self._nodes = _Nodes(plain)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.urls: tuple[str, ...] = plain

    async def fetch(self, request: SearchRequest, *, max_bytes: int | None = None) -> SearchResponse:
        """Send a search and return its complete answer.

        A read-only search is sent a second time when a reused connection died before a byte of the answer, and to
        the other nodes, where there are some, when any connection did.

        Raises:
            EngineError: no answer, or it broke off.
            AnswerTooLarge: the body is longer than `max_bytes`; the rest was not read.
        """
        relayed = RelayRequest(
            method=request.method,
            target=request.target,
            headers=request.headers,
            body=request.body if request.body or header(request.headers, "Content-Length") else None,
        )
        async with self._open(relayed, is_search=True) as answer:
            body = bytearray()
            async for chunk in answer.chunks:
                body += chunk
                if max_bytes is not None and len(body) > max_bytes:
                    raise AnswerTooLarge(f"the engine's answer is longer than {max_bytes} bytes")
        return SearchResponse(status=answer.status, reason=answer.reason, headers=answer.headers, body=bytes(body))

    @asynccontextmanager
    async def stream(self, request: RelayRequest) -> AsyncIterator[RelayResponse]:
        """Send any request; the answer's chunks come as the engine sends them."""
        async with self._open(request, is_search=request.is_search) as answer:
            yield answer

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    @asynccontextmanager
    async def _open(self, request: RelayRequest, *, is_search: bool) -> AsyncIterator[RelayResponse]:
        response = await self._send(request, is_search=is_search)
        try:
            yield RelayResponse(
                status=response.status,
                reason=response.reason or "",
                headers=end_to_end(_decoded(response.raw_headers)),
                chunks=_chunks(response),
            )
        finally:
            if response.content.at_eof():
                response.release()
            else:  # nobody wants the rest: closing lets the engine cancel its search
                response.close()

    async def _send(self, request: RelayRequest, *, is_search: bool) -> aiohttp.ClientResponse:
        if self._options.signer is not None:
            request = replace(request, body=await _signable(request.body))
        failed: set[str] = set()
        may_repeat, may_resolve = is_search, True
        while True:
            node = self._nodes.next(failed)
            trace = SimpleNamespace(connected=False, reused=False, knew_address=False)
            try:
                with engine_errors(node):
                    response = await self._attempt(node, request, trace, is_search=is_search)
            except EngineError as error:
                is_lost = trace.connected and _is_lost_connection(error)
                if not trace.connected and self._forget_address(trace) and may_resolve and not _is_late(error):
                    may_resolve = False
                    continue
                if is_lost or not trace.connected:
                    self._nodes.mark_dead(node)
                if is_lost and trace.reused and may_repeat:
                    may_repeat = False
                    continue
                if not trace.connected or (is_lost and is_search):
                    failed.add(node)
                    if len(failed) < len(self._nodes):
                        continue
                raise
            self._nodes.mark_live(node)
            return response

    async def _attempt(
        self, node: str, request: RelayRequest, trace: SimpleNamespace, *, is_search: bool
    ) -> aiohttp.ClientResponse:
        return await self._session(is_search).request(
            request.method,
            _url(node, request.target),
            headers=await self._outgoing(node, request),
            data=request.body,
            allow_redirects=False,
            trace_request_ctx=trace,
        )

    async def _outgoing(self, node: str, request: RelayRequest) -> list[tuple[str, str]]:
        outgoing = one_spelling(end_to_end(request.headers, "Host"))
        if self._authorization is not None and header(outgoing, "Authorization") is None:
            outgoing += (("Authorization", self._authorization),)
        if self._options.signer is not None:
            body = request.body if isinstance(request.body, bytes) else b""
            outgoing = await self._options.signer.sign(request.method, node, request.target, outgoing, body)
        return list(outgoing)

    def _forget_address(self, trace: SimpleNamespace) -> bool:
        """Have names resolved anew when an address that was remembered is dead; tell whether it was remembered."""
        if trace.knew_address:
            for session in self._sessions.values():
                if isinstance(session.connector, aiohttp.TCPConnector):
                    session.connector.clear_dns_cache()
        return bool(trace.knew_address)

    def _session(self, is_search: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(is_search)
        if session is None:
            session = self._sessions[is_search] = _open_session(self._options, self._tls)
        return session


async def _signable(body: AsyncIterator[bytes] | bytes | None) -> bytes | None:
    """Return a body whole: its digest stands in front of it. Raises RequestTooLarge."""
    if body is None or isinstance(body, bytes):
        return body
    whole = bytearray()
    async for piece in body:
        whole += piece
        if len(whole) > MAX_SIGNED_BYTES:
            raise RequestTooLarge(f"a request that is signed may have at most {MAX_SIGNED_BYTES} bytes")
    return bytes(whole)


def _open_session(options: EngineOptions, tls: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    keep_header_bytes()
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_note_connected)
    trace.on_connection_reuseconn.append(_note_reused)
    trace.on_dns_cache_hit.append(_note_address)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=options.connections_per_node, ssl=tls, ttl_dns_cache=30),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        read_bufsize=CHUNK_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout, sock_read=options.read_timeout),
        trace_configs=[trace],
    )
    # aiohttp 3.14 sends GET, PUT and DELETE again when a kept connection was lost, even if the engine had
    # read the request; a private switch is the only way to stop it (tests/integration proves that it does).
    session._retry_connection = False
    return session


def _url(node: str, target: str) -> URL:
    url = URL(node + target, encoded=True)
    # yarl 1.25 drops the "?" of an empty query; this cached property is what aiohttp writes to the wire
    url._cache["raw_path_qs"] = urlsplit(node).path + target
    return url


def _is_lost_connection(error: EngineError) -> bool:
    """Return whether the connection was dead; an engine that is slow or speaks no HTTP would be so again."""
    is_lost = isinstance(error.__cause__, aiohttp.ServerDisconnectedError | OSError)
    return is_lost and isinstance(error, EngineUnavailable)


def _is_late(error: EngineError) -> bool:
    return isinstance(error, EngineTimeout)


async def _note_connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.connected = True


async def _note_reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.connected = True
    context.trace_request_ctx.reused = True


async def _note_address(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.knew_address = True


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with engine_errors(str(response.url.origin())):
        async for chunk in response.content.iter_any():
            yield chunk


def _decoded(raw_headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    return tuple(
        (key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")) for key, value in raw_headers
    )


@contextmanager
def engine_errors(node: str) -> Iterator[None]:
    """Turn what the HTTP library raises into EngineError, most specific first."""
    try:
        yield
    except TimeoutError as error:  # aiohttp's timeouts are TimeoutErrors, too
        raise EngineTimeout(f"{node} did not answer in time: {str(error) or type(error).__name__}") from error
    except aiohttp.ClientSSLError as error:
        raise EngineUnavailable(f"{node}: TLS failed: {error}") from error
    except aiohttp.ClientConnectorError as error:
        raise EngineUnavailable(f"{node} cannot be reached: {error.os_error}") from error
    except aiohttp.ServerDisconnectedError as error:
        raise EngineUnavailable(f"{node} closed the connection without an answer") from error
    except aiohttp.ClientPayloadError as error:
        raise EngineUnavailable(f"{node}: the answer broke off") from error
    except aiohttp.ClientResponseError as error:
        raise EngineUnavailable(f"{node} answered something that is no HTTP: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable(f"{node}: {str(error) or type(error).__name__}") from error


def for_compressing_client(request: SearchRequest) -> SearchRequest:
    """Return a request for a client that compresses bodies itself: one that is compressed would be so twice."""
    if header(request.headers, "Content-Encoding") is None:
        return request
    try:
        content = request.content
    except ValueError:  # not what it says it is; the engine judges it
        return request
    return replace(request, headers=without_headers(request.headers, "Content-Encoding"), body=content)


@asynccontextmanager
async def stream_buffered(
    fetch: Callable[[SearchRequest], Awaitable[SearchResponse]], request: RelayRequest
) -> AsyncIterator[RelayResponse]:
    """Be the `stream` of a transport that can only `fetch`: bodies are held in memory."""
    body = b"" if request.body is None else request.body
    if not isinstance(body, bytes):
        body = b"".join([chunk async for chunk in body])
    answer = await fetch(
        SearchRequest(method=request.method, target=request.target, headers=request.headers, body=body)
    )
    yield RelayResponse(
        status=answer.status, reason=answer.reason, headers=answer.headers, chunks=one_chunk(answer.body)
    )


async def one_chunk(body: bytes) -> AsyncIterator[bytes]:
    """Yield `body` as a stream."""
    if body:
        yield body


class _Nodes:
    """The nodes of an engine and whose turn it is: one, or several under the official clients' node pool."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(dict.fromkeys(urls))
        self._pool: NodePool | None = None
        if len(self._urls) > 1:
            from elastic_transport import BaseNode

            from connectors.node_pool import SteadyNodePool

            configs = {url: _node_config(url) for url in self._urls}
            self._pool = SteadyNodePool(list(configs.values()), node_class=BaseNode, randomize_nodes=False)
            self._url_of = {config: url for url, config in configs.items()}
            self._node_of = {self._url_of[node.config]: node for node in self._pool.all()}
        #: nodes that are left out: what else fails there was sent before, and says nothing new
        self._dead: set[str] = set()

    def __len__(self) -> int:
        return len(self._urls)

    def next(self, failed: Set[str] = frozenset()) -> str:
        """Return whose turn it is, and none of `failed` as long as there are others: the pool offers them again."""
        url = self._urls[0] if self._pool is None else self._url_of[self._pool.get().config]
        if url in failed:
            url = next((other for other in self._urls if other not in failed), url)
        self._dead.discard(url)
        return url

    def mark_dead(self, url: str) -> None:
        if self._pool is not None and url not in self._dead:
            self._dead.add(url)
            self._pool.mark_dead(self._node_of[url])

    def mark_live(self, url: str) -> None:
        if self._pool is not None:
            self._pool.mark_live(self._node_of[url])


def _node_config(url: str) -> NodeConfig:
    from elastic_transport import NodeConfig

    parts = urlsplit(url)
    assert parts.hostname is not None  # split_userinfo refused such URLs
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return NodeConfig(parts.scheme, parts.hostname, port, path_prefix=parts.path)


def split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an engine's base URL without credentials and trailing slash, and the (user, password) it had.

    Raises:
        ValueError: not an http or https URL with a host, or it has a query or fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        shown = url.rpartition("@")[2]  # what stands before may be a password
        raise ValueError(f"engine URL {shown!r} is not like http://localhost:9200 or https://host:9200/prefix")
    pair = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", "")), pair


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """Who an engine says it is. `product` is "elasticsearch", "opensearch" or "unknown"."""

    product: str
    version: str = ""

    @property
    def name(self) -> str:
        """Product and version for people."""
        return f"{self.product} {self.version}".strip()


class RelayConnector:
    """A Connector over a `Transport`: every request goes to the engine as it came."""

    def __init__(self, transport: Transport, facts: EngineFacts, *, max_answer_bytes: int | None = None) -> None:
        """Take over `transport`, closed by `aclose()`. `max_answer_bytes` bounds what `search()` buffers."""
        self.facts = facts
        self._transport = transport
        self._max_answer_bytes = max_answer_bytes

    @property
    def name(self) -> str:
        """Product and version, such as "elasticsearch 9.5.3"."""
        return self.facts.name

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search` request. Raises EngineError when there is no answer."""
        return await self._transport.fetch(request, max_bytes=self._max_answer_bytes)

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch` request. Raises EngineError when there is no answer."""
        return await self._transport.fetch(request, max_bytes=self._max_answer_bytes)

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request, streamed."""
        return self._transport.stream(request)

    async def ping(self) -> None:
        """Return when the engine answers `GET /`, whatever its status; raise EngineError when it does not."""
        await self._transport.fetch(SearchRequest(method="GET", target="/"), max_bytes=CHUNK_BYTES)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        """Return self; leaving the context closes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()
