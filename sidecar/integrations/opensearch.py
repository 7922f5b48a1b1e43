"""opensearch-py: a client of the same class whose searches are reranked, and its connections as they speak.

Law: the client is never changed; the other one shares its transport's state.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import urlencode

from connectors.base import SearchRequest, SearchResponse, header
from connectors.opensearch import OpenSearchConnector
from sidecar.integrations.nodes import Door, Node, NodeOfTheCall, Reranked, with_doors
from sidecar.integrations.settings import with_rerank

Sent: TypeAlias = tuple[int, dict[str, str], str]
"""Status, headers and text."""


def connector() -> OpenSearchConnector:
    """Return the connector of whichever node a search is sent to."""
    return OpenSearchConnector.from_client(cast(Any, NodeOfTheCall()))


def reranked(client: Any, searches: Reranked) -> Any:
    """Return a client like `client` whose searches are answered by `searches`."""

    def door(node: Any) -> Door[Sent]:
        def perform(
            method: str,
            url: str,
            params: Mapping[str, Any] | None = None,
            body: bytes | None = None,
            timeout: float | None = None,
            ignore: Collection[int] = (),
            headers: Mapping[str, str] | None = None,
        ) -> Coroutine[Any, Any, Sent] | None:
            found = searches.route(method, url)
            if found is None:
                return None
            request = SearchRequest(
                method=method,
                target=f"{url}?{urlencode(params)}" if params else url,
                headers=tuple({**node.headers, **(headers or {})}.items()),
                body=body or b"",
            )
            behind = _Node(node, is_async=searches.is_async, timeout=timeout)
            return _sent(searches.answer(found, request, behind), node, ignore)

        return Door(node, perform, is_async=searches.is_async)

    other = copy.copy(client)
    other.transport = with_doors(client.transport, "connection_pool", door)
    for name, namespace in vars(client).items():  # `http` searches, too
        if getattr(namespace, "client", None) is client:
            setattr(other, name, copy.copy(namespace))
            getattr(other, name).client = other
    return other


class _Node(Node):
    """A connection, whose own headers are lower-case, and which sends one name in two spellings twice."""

    async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        headers = {name.lower(): value for name, value in kwargs.pop("headers").items()}
        return await super().perform_request(*args, headers=headers, **kwargs)


async def _sent(answer: Coroutine[Any, Any, SearchResponse], node: Any, ignore: Collection[int]) -> Sent:
    """Return an answer as a connection does, or raise what it raises."""
    given = await answer
    text = given.content.decode("utf-8", "surrogatepass")
    if not 200 <= given.status < 300 and given.status not in ignore:
        node._raise_error(given.status, text, header(given.headers, "Content-Type"))
    return given.status, dict(given.headers), text


def with_ext(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a search with settings under `ext.rerank` of its body."""
    return {**arguments, "body": with_rerank(arguments.get("body"), settings)}
