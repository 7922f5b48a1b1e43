"""OpenSearch: how to know it, and how to talk through somebody's own `AsyncOpenSearch`.

Law: bytes pass as `relay.py` says; nothing here looks into a search. OpenSearch names itself in the answer to
`GET /` (`version.distribution`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from connectors.base import Headers, SearchRequest, SearchResponse
from connectors.client_transport import ClientTransport
from connectors.errors import EngineError, EngineTimeout, EngineUnavailable
from connectors.relay import EngineFacts, RelayConnector, end_to_end, for_compressing_client

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch


class OpenSearchConnector(RelayConnector):
    """Connector for OpenSearch 1 to 3."""

    @classmethod
    def from_client(cls, client: AsyncOpenSearch) -> OpenSearchConnector:
        """Return a connector that uses `client`: its nodes, TLS, credentials and timeouts.

        The client stays the caller's: `aclose()` does not close it.
        """
        return cls(OpenSearchTransport(client), EngineFacts(product="opensearch"))


def recognise(_: Headers, info: dict[str, Any]) -> EngineFacts | None:
    """Return the facts when the answer to `GET /` is OpenSearch's, else None."""
    version = info.get("version")
    if not isinstance(version, dict) or version.get("distribution") != "opensearch":
        return None
    return EngineFacts(product="opensearch", version=str(version.get("number", "")))


class OpenSearchTransport(ClientTransport):
    """Carries requests through an `AsyncOpenSearch`."""

    def __init__(self, client: AsyncOpenSearch) -> None:
        """Borrow `client`."""
        self._transport: Any = client.transport

    async def _count_nodes(self) -> int:
        await self._transport._async_call()  # the client opens its connections on first use
        return len(self._transport.connection_pool.connections)

    def _next_node(self) -> Any:
        return self._transport.get_connection()

    def _mark(self, node: Any, *, is_alive: bool) -> None:
        (self._transport.connection_pool.mark_live if is_alive else self._transport.mark_dead)(node)

    async def _perform(self, node: Any, request: SearchRequest) -> SearchResponse:
        from opensearchpy.exceptions import ConnectionError as ClientConnectionError
        from opensearchpy.exceptions import ConnectionTimeout

        if node.http_compress:
            request = for_compressing_client(request)
        path, _, query = request.target.partition("?")
        try:
            status, headers, data = await node.perform_request(
                request.method,
                path,
                params=parse_qsl(query, keep_blank_values=True) or None,  # pairs: a name may come twice
                body=request.body or None,
                # lower case: opensearch-py has a content-type of its own, and would send both
                headers={name.lower(): value for name, value in end_to_end(request.headers, "Host", "Content-Length")},
                ignore=range(300, 600),  # every answer of the engine is a value
            )
        except ConnectionTimeout as error:
            raise EngineTimeout(f"{node.host} did not answer in time") from error
        except ClientConnectionError as error:
            if isinstance(error.info, UnicodeDecodeError):  # the node is well
                raise EngineError(
                    "opensearch-py reads text only, and the answer is none; connect(url) reads both"
                ) from error
            raise EngineUnavailable(f"{node.host}: {error.error}") from error
        # the client's HTTP layer has decompressed and decoded the body already
        return SearchResponse(
            status=status,
            headers=end_to_end(tuple(headers.items()), "Content-Encoding", "Content-Length"),
            body=data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"),
        )
