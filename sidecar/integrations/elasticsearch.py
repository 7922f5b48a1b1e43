"""elasticsearch-py: a client of the same class whose searches are reranked, and its connections as they speak.

Law: the client is never changed; the other one shares its transport's state.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, cast

from connectors.base import SearchRequest, SearchResponse
from connectors.elasticsearch import ElasticsearchConnector
from sidecar.integrations.nodes import Door, Node, NodeOfTheCall, Reranked, with_doors
from sidecar.integrations.settings import with_rerank


def connector() -> ElasticsearchConnector:
    """Return the connector of whichever node a search is sent to."""
    return ElasticsearchConnector.from_client(cast(Any, NodeOfTheCall()))


class Sent(NamedTuple):
    """What elastic-transport takes from a node."""

    meta: Any
    body: bytes


def reranked(client: Any, searches: Reranked) -> Any:
    """Return a client like `client` whose searches are answered by `searches`."""

    def door(node: Any) -> Door[Sent]:
        def perform(
            method: str,
            target: str,
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            **timeout: Any,
        ) -> Coroutine[Any, Any, Sent] | None:
            found = searches.route(method, target)
            if found is None:
                return None
            given = tuple((headers or {}).items())
            request = SearchRequest(method=method, target=target, headers=given, body=body or b"")
            return _sent(searches.answer(found, request, Node(node, is_async=searches.is_async, **timeout)), node)

        return Door(node, perform, is_async=searches.is_async)

    other = client.options()
    other._transport = with_doors(client.transport, "node_pool", door)
    return other


async def _sent(answer: Coroutine[Any, Any, SearchResponse], node: Any) -> Sent:
    from elastic_transport import ApiResponseMeta, HttpHeaders

    began = time.monotonic()
    given = await answer
    meta = ApiResponseMeta(
        status=given.status,
        http_version="1.1",
        headers=HttpHeaders(given.headers),
        duration=time.monotonic() - began,
        node=node.config,
    )
    return Sent(meta, given.content)


def with_ext(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a search with settings under `ext.rerank`: in the body, where one is given as a whole."""
    if arguments.get("body") is not None:
        return {**arguments, "body": with_rerank(arguments["body"], settings)}
    return with_rerank(arguments, settings)
