"""Between a client and its nodes: where searches are reranked, and everything else passes.

A client's transport keeps what it is for: serializers, retries, timeouts, sniffing, dead nodes, error classes. Only the
node that it picks for a search is asked through a `RerankingConnector`, whose engine is that node.

Law: what is no search reaches the node by the very call that the transport made. An engine that gives no answer is told
of by the client's own exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from connectors.base import Connector, RelayRequest, SearchRequest, SearchResponse
from connectors.errors import EngineError
from sidecar.integrations import background
from sidecar.integrations.scorers import opened
from sidecar.pipeline import RerankingConnector
from sidecar.requests.routes import Route, route
from sidecar.scoring.base import Scorer
from sidecar.types import Operation

Sent = TypeVar("Sent")
"""What a client's connection gives for a request."""

_node: ContextVar[Any] = ContextVar("node")


class Reranked:
    """One client's searches, as they come from its nodes."""

    def __init__(self, connector: RerankingConnector, scorer: Scorer, *, is_async: bool) -> None:
        """Answer with `connector`, whose engine is over a `NodeOfTheCall`, once `scorer` has been opened."""
        self._connector = connector
        self._scorer = scorer
        self.is_async = is_async

    def route(self, method: str, target: str) -> Route | None:
        """Return what search a request is, None for what passes: searches in parts are the engine's, too."""
        found = route(method, target)
        return None if found is None or found.is_async else found

    async def answer(self, found: Route, request: SearchRequest, node: Node) -> SearchResponse:
        """Answer a search at a node. Raises what the client raises when the node gives no answer."""
        await opened(self._scorer)
        token = _node.set(node)
        try:
            return await self._answer(found, request)
        except EngineError as error:
            failure = error
        finally:
            _node.reset(token)
        raise failure.__cause__ or failure

    async def _answer(self, found: Route, request: SearchRequest) -> SearchResponse:
        if found.is_template:
            return await whole(self._connector, request)
        is_single = found.operation is Operation.SEARCH
        return await (self._connector.search if is_single else self._connector.msearch)(request)


async def whole(connector: Connector, request: SearchRequest) -> SearchResponse:
    """Return the complete answer to a request of any kind."""
    relayed = RelayRequest(method=request.method, target=request.target, headers=request.headers, body=request.body)
    async with connector.relay(relayed) as answer:
        body = b"".join([chunk async for chunk in answer.chunks])
        return SearchResponse(status=answer.status, reason=answer.reason, headers=answer.headers, body=body)


class NodeOfTheCall:
    """What a connector needs of a client, reduced to one node: that of the search at hand."""

    def __init__(self) -> None:
        """Be transport and pool, too, under the names of both clients."""
        self.transport = self.node_pool = self.connection_pool = self
        self.connections = (self,)
        self._headers: dict[str, str] = {}
        self._request_timeout = None

    def __len__(self) -> int:
        return 1

    async def _async_call(self) -> None:
        """Do nothing: the transport has connected."""

    def get(self) -> Any:
        """Return the node."""
        return _node.get()

    get_connection = get

    def mark_live(self, node: Any) -> None:
        """Leave it to the transport, which marks its own node."""

    mark_dead = mark_live


class Node:
    """The transport's node for one search, with that search's timeout; of a synchronous client, in a thread."""

    def __init__(self, node: Any, *, is_async: bool, **timeout: Any) -> None:
        """Send with `timeout`, in the client's word for it."""
        self._node = node
        self._is_async = is_async
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        send = self._node.perform_request
        kwargs |= self._timeout
        return await (send(*args, **kwargs) if self._is_async else asyncio.to_thread(send, *args, **kwargs))


class Door(Generic[Sent]):
    """A node as the transport sees it; `node` is the client's own."""

    def __init__(self, node: Any, perform: Callable[..., Coroutine[Any, Any, Sent] | None], *, is_async: bool) -> None:
        """Send searches by `perform`, which gives None for what is no search."""
        self.node = node
        self._perform = perform
        self._is_async = is_async

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; what is awaited of an asynchronous client's node is awaited of this one."""
        search = self._perform(*args, **kwargs)
        if search is None:
            return self.node.perform_request(*args, **kwargs)
        return search if self._is_async else background.run(search)


class Pool:
    """A client's pool, whose nodes are behind doors."""

    def __init__(self, pool: Any, door: Callable[[Any], Door[Any]]) -> None:
        """Give the nodes of `pool`."""
        self._pool = pool
        self._door = door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def __len__(self) -> int:
        return len(self._pool)

    def get(self) -> Any:
        """Return the next node of elastic-transport."""
        return self._door(self._pool.get())

    def get_connection(self) -> Any:
        """Return the next one of opensearch-py."""
        return self._door(self._pool.get_connection())

    def mark_live(self, door: Any) -> Any:
        """Mark the node behind the door."""
        return self._pool.mark_live(door.node)

    def mark_dead(self, door: Any) -> Any:
        """Mark the node behind the door."""
        return self._pool.mark_dead(door.node)


def with_doors(transport: Any, pool: str, door: Callable[[Any], Door[Any]]) -> Any:
    """Return a transport with the state of `transport`, shared, whose attribute `pool` gives nodes behind doors.

    Sharing the state, not copying it, keeps all that a transport does later, such as sniffing, one transport's doing.
    """

    def get(self: Any) -> Pool:
        return Pool(vars(self)[pool], door)

    def put(self: Any, new: Any) -> None:
        vars(self)[pool] = new

    kind = type(transport)
    other: Any = object.__new__(type(kind.__name__, (kind,), {pool: property(get, put)}))
    other.__dict__ = transport.__dict__
    return other
