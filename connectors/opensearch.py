"""OpenSearch: how to know it, and how to talk through somebody's own `AsyncOpenSearch`.

Law: bytes pass as `relay.py` says; nothing here looks into a search. OpenSearch names itself in the answer to
`GET /` (`version.distribution`).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from connectors.base import Headers, RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.errors import AnswerTooLarge, EngineError, EngineTimeout, EngineUnavailable
from connectors.relay import EngineFacts, RelayConnector, end_to_end, for_compressing_client, stream_buffered

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch


class OpenSearchConnector(RelayConnector):
    """Connector for OpenSearch 1 to 3."""

    @classmethod
    def from_client(cls, client: AsyncOpenSearch) -> OpenSearchConnector:
        """Return a connector that uses `client`: its nodes, TLS, credentials and timeouts.

        The client stays the caller's: `aclose()` does not close it.
        """
        return cls(ClientTransport(client), EngineFacts(product="opensearch"))


def recognise(_: Headers, info: dict[str, Any]) -> EngineFacts | None:
    """Return the facts when the answer to `GET /` is OpenSearch's, else None."""
    version = info.get("version")
    if not isinstance(version, dict) or version.get("distribution") != "opensearch":
        return None
    return EngineFacts(product="opensearch", version=str(version.get("number", "")))


class ClientTransport:
    """Carries requests through an `AsyncOpenSearch`, one level below its serializers and error classes."""

    def __init__(self, client: AsyncOpenSearch) -> None:
        """Borrow `client`; it is never closed here."""
        self._client = client

    async def fetch(self, request: SearchRequest, *, max_bytes: int | None = None) -> SearchResponse:
        """Send a search through one node of the client's pool; on connection errors through the next."""
        transport: Any = self._client.transport
        await transport._async_call()  # the client opens its connections on first use
        for last in range(len(transport.connection_pool.connections), 0, -1):
            connection = transport.get_connection()
            try:
                answer = await self._perform(connection, request)
            except EngineUnavailable:
                transport.mark_dead(connection)
                if last == 1:
                    raise
                continue
            transport.connection_pool.mark_live(connection)
            if max_bytes is not None and len(answer.body) > max_bytes:
                raise AnswerTooLarge(f"the engine's answer is longer than {max_bytes} bytes")
            return answer
        raise EngineUnavailable("the client has no nodes")

    def stream(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Send any request; bodies are held in memory, as the client does."""
        return stream_buffered(self.fetch, request)

    async def aclose(self) -> None:
        """Do nothing: the client belongs to whoever made it."""

    async def _perform(self, connection: Any, request: SearchRequest) -> SearchResponse:
        from opensearchpy.exceptions import ConnectionError as ClientConnectionError
        from opensearchpy.exceptions import ConnectionTimeout

        if connection.http_compress:
            request = for_compressing_client(request)
        path, _, query = request.target.partition("?")
        try:
            status, headers, data = await connection.perform_request(
                request.method,
                path,
                params=parse_qsl(query, keep_blank_values=True) or None,  # pairs: a name may come twice
                body=request.body or None,
                headers=dict(end_to_end(request.headers, "Host", "Content-Length")),
                ignore=range(300, 600),  # every answer of the engine is a value
            )
        except ConnectionTimeout as error:
            raise EngineTimeout(f"{connection.host} did not answer in time") from error
        except ClientConnectionError as error:
            if isinstance(error.info, UnicodeDecodeError):  # the node is well
                raise EngineError(
                    "opensearch-py reads text only, and the answer is none; connect(url) reads both"
                ) from error
            raise EngineUnavailable(f"{connection.host}: {error.error}") from error
        # the client's HTTP layer has decompressed and decoded the body already
        return SearchResponse(
            status=status,
            headers=end_to_end(tuple(headers.items()), "Content-Encoding", "Content-Length"),
            body=data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"),
        )
