"""Requests through somebody's own client: its nodes, TLS, credentials and timeouts.

Law: one level below the client's serializers and error classes, so that an answer is what the engine gave. On a
connection error the client's next node is tried, as the client itself does. The client stays its maker's to close.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any

from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.errors import AnswerTooLarge, EngineUnavailable
from connectors.relay import stream_buffered


class ClientTransport(ABC):
    """Carries requests through a client's nodes."""

    async def fetch(self, request: SearchRequest, *, max_bytes: int | None = None) -> SearchResponse:
        """Send a search through one node of the client's pool; on connection errors through the next."""
        for last in range(await self._count_nodes(), 0, -1):
            node = self._next_node()
            try:
                answer = await self._perform(node, request)
            except EngineUnavailable:
                self._mark(node, is_alive=False)
                if last == 1:
                    raise
                continue
            self._mark(node, is_alive=True)
            if max_bytes is not None and len(answer.body) > max_bytes:
                raise AnswerTooLarge(f"the engine's answer is longer than {max_bytes} bytes")
            return answer
        raise EngineUnavailable("the client has no nodes")

    def stream(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Send any request; bodies are held in memory, as the client does."""
        return stream_buffered(self.fetch, request)

    async def aclose(self) -> None:  # noqa: B027  # nothing to release
        """Do nothing: the client belongs to whoever made it."""

    @abstractmethod
    async def _count_nodes(self) -> int: ...

    @abstractmethod
    def _next_node(self) -> Any: ...

    @abstractmethod
    def _mark(self, node: Any, *, is_alive: bool) -> None: ...

    @abstractmethod
    async def _perform(self, node: Any, request: SearchRequest) -> SearchResponse:
        """Send a request to one node. Raises EngineError when there is no answer."""
