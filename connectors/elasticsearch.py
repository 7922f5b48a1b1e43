"""Elasticsearch: how to know it, and how to talk through somebody's own `AsyncElasticsearch`.

Law: bytes pass as `relay.py` says; nothing here looks into a search. Elasticsearch names itself by the header
`X-Elastic-Product`, which the official clients demand on every 2xx answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from connectors.base import Headers, SearchRequest, SearchResponse, header
from connectors.client_transport import ClientTransport
from connectors.errors import EngineTimeout, EngineUnavailable
from connectors.relay import EngineFacts, RelayConnector, end_to_end, for_compressing_client

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

PRODUCT_HEADER: Final = "X-Elastic-Product"


class ElasticsearchConnector(RelayConnector):
    """Connector for Elasticsearch 8.14 or later."""

    @classmethod
    def from_client(cls, client: AsyncElasticsearch) -> ElasticsearchConnector:
        """Return a connector that uses `client`: its nodes, TLS, credentials and timeouts.

        The client stays the caller's: `aclose()` does not close it.
        """
        return cls(ElasticsearchTransport(client), EngineFacts(product="elasticsearch"))


def recognise(headers: Headers, info: dict[str, Any]) -> EngineFacts | None:
    """Return the facts when the answer to `GET /` is Elasticsearch's, else None."""
    product = header(headers, PRODUCT_HEADER)
    version = info.get("version")
    number = str(version.get("number", "")) if isinstance(version, dict) else ""
    is_elasticsearch = product == "Elasticsearch" or info.get("tagline") == "You Know, for Search"
    return EngineFacts(product="elasticsearch", version=number) if is_elasticsearch else None


class ElasticsearchTransport(ClientTransport):
    """Carries requests through an `AsyncElasticsearch`."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        """Borrow `client`."""
        self._client = client
        self._pool = client.transport.node_pool

    async def _count_nodes(self) -> int:
        return len(self._pool)

    def _next_node(self) -> Any:
        return self._pool.get()

    def _mark(self, node: Any, *, is_alive: bool) -> None:
        (self._pool.mark_live if is_alive else self._pool.mark_dead)(node)

    async def _perform(self, node: Any, request: SearchRequest) -> SearchResponse:
        from elastic_transport import ConnectionTimeout, HttpHeaders, TransportError

        if node.config.http_compress:
            request = for_compressing_client(request)
        headers = HttpHeaders(self._client._headers)
        headers.update(dict(end_to_end(request.headers, "Host", "Content-Length")))
        try:
            answer = await node.perform_request(
                request.method,
                request.target,
                body=request.body or None,
                headers=headers,
                request_timeout=self._client._request_timeout,
            )
        except ConnectionTimeout as error:
            raise EngineTimeout(f"{node.base_url} did not answer in time") from error
        except TransportError as error:
            raise EngineUnavailable(f"{node.base_url}: {error.message}") from error
        received = tuple(answer.meta.headers.items())
        # the client's HTTP layer has decompressed the body already
        return SearchResponse(
            status=answer.meta.status,
            headers=end_to_end(received, "Content-Encoding", "Content-Length"),
            body=answer.body,
        )
