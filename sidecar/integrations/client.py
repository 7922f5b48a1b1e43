"""`AsyncReranker` and `Reranker`: somebody's own client of Elasticsearch or OpenSearch, whose searches are reranked.

Law: the client does what it always does, with its own keywords, answers, errors, retries and timeouts. A reranker adds
nothing but the second stage, and owns nothing but the scorer that it has opened.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from sidecar.errors import ScorerLost, ScorerStarting
from sidecar.integrations import background, elasticsearch, opensearch
from sidecar.integrations.nodes import Reranked
from sidecar.integrations.scorers import AnyModel, SharedScorer, scorer_of
from sidecar.integrations.settings import Rerank, RerankSettings, options_of, plain, with_rerank
from sidecar.pipeline import RerankingConnector
from sidecar.policy import IndexPolicy, Policy
from sidecar.program.config import DEFAULT_MODEL
from sidecar.scoring.base import Scorer
from sidecar.telemetry.reports import nobody
from sidecar.types import SearchRecord

if TYPE_CHECKING:
    from elastic_transport import ObjectApiResponse
    from elasticsearch import AsyncElasticsearch, Elasticsearch
    from opensearchpy import AsyncOpenSearch, OpenSearch

Client = TypeVar("Client")


class _Reranker(Generic[Client]):
    """What both kinds have."""

    _is_async: bool
    _other_kind: str

    #: a client of the given one's class whose searches are reranked, for whoever wants a client
    client: Client

    def __init__(
        self,
        client: Client,
        model: AnyModel = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        api_key: str | None = None,
        remote_model: str | None = None,
        policies: Sequence[IndexPolicy] = (),
        models: Mapping[str, Scorer] | None = None,
        observe: Callable[[SearchRecord], None] = nobody,
        close_client: bool = False,
        **settings: Unpack[RerankSettings],
    ) -> None:
        """Put a scorer behind `client`, which stays its maker's to close unless `close_client`.

        `model` is a hub id, a folder, "offline", the URL of a scorer or of somebody's rerank API (`api_key` is sent to
        it, `remote_model` asked for), or a Scorer, which stays its maker's. It is opened when the block is entered,
        or by the first search. `settings` hold for every search, in the words of `ext.rerank`; `policies`, `models`
        and `observe` are those of `RerankingConnector`.

        Raises:
            TypeError: `client` is none of the official ones, or of the other kind.
            ValueError: a setting that is not known, or a value that it cannot have.
        """
        kind = self._kind(client)
        loading = {"device": device, "dtype": dtype, "max_length": max_length}
        scorer = scorer_of(model, **loading, api_key=api_key, remote_model=remote_model)
        policy = Policy(defaults=options_of(settings), policies=tuple(policies))
        connector = RerankingConnector(kind.connector(), scorer, policy, models=models, observe=observe)
        self._module = kind
        self.client = kind.reranked(client, Reranked(connector, scorer, is_async=self._is_async))
        self.scorer = scorer
        self._owned = scorer if isinstance(scorer, SharedScorer) and scorer is not model else None
        self._given_client = client if close_client else None
        self._rerank: dict[str, Any] = {}

    def options(self, *, rerank: Rerank | None = None, **options: Any) -> Self:
        """Return another reranker over the same scorer, with options of the client's own (`.options()`) and settings.

        Raises:
            AttributeError: `options` for a client that has none, as those of OpenSearch.
        """
        other = object.__new__(type(self))
        other.__dict__ = {**vars(self), "_rerank": {**self._rerank, **plain(rerank)}}
        if options:
            client: Any = self.client
            other.client = client.options(**options)
        return other

    def __getattr__(self, name: str) -> Any:
        """Be the client in everything else."""
        if name == "client":  # not made yet: a copy, or a failed one
            raise AttributeError(name)
        return getattr(self.client, name)

    def __repr__(self) -> str:
        """Show the client; its own repr hides credentials."""
        return f"{type(self).__name__}({self.client!r})"

    def _kind(self, client: Any) -> ModuleType:
        transport: Any = getattr(client, "transport", None)
        if not (hasattr(transport, "node_pool") or hasattr(transport, "connection_pool")):
            raise TypeError(f"{type(client).__name__} is no client of elasticsearch-py or opensearch-py")
        if inspect.iscoroutinefunction(transport.perform_request) is not self._is_async:
            raise TypeError(f"{type(client).__name__} goes with {self._other_kind}")
        return elasticsearch if hasattr(transport, "node_pool") else opensearch

    def _search(self, rerank: Rerank | None, arguments: dict[str, Any]) -> Any:
        client: Any = self.client
        settings = {**self._rerank, **plain(rerank)}
        return client.search(**(self._module.with_ext(arguments, settings) if settings else arguments))

    def _msearch(self, rerank: Rerank | None, arguments: dict[str, Any]) -> Any:
        client: Any = self.client
        settings = {**self._rerank, **plain(rerank)}
        for name in ("searches", "body"):  # the first is elasticsearch-py's
            if settings and arguments.get(name) is not None:
                arguments = {**arguments, name: list(_each_with_rerank(arguments[name], settings))}
        return client.msearch(**arguments)


class AsyncReranker(_Reranker[Client]):
    """An `AsyncElasticsearch` or `AsyncOpenSearch` whose searches come back reranked. In everything else the client.

        async with AsyncReranker(es, "offline", fields=["title", "body"], window=50) as reranker:
            answer = await reranker.search(index="books", query={"match": {"body": "tea"}}, rerank={"explain": True})

    `search_template`, `msearch_template` and searches by `perform_request` are reranked, too. How a search fared says
    the header `X-Rerank` of `answer.meta`, or `observe`. A second stage that fails costs no search its first-stage
    answer.
    """

    _is_async = True
    _other_kind = "Reranker"

    @overload
    async def search(
        self: AsyncReranker[AsyncElasticsearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> ObjectApiResponse[Any]: ...
    @overload
    async def search(
        self: AsyncReranker[AsyncOpenSearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> dict[str, Any]: ...
    async def search(self, *, rerank: Rerank | None = None, **arguments: Any) -> Any:
        """Search with the client's own keywords; `rerank` holds for this search. Raises what the client raises."""
        return await self._search(rerank, arguments)

    @overload
    async def msearch(
        self: AsyncReranker[AsyncElasticsearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> ObjectApiResponse[Any]: ...
    @overload
    async def msearch(
        self: AsyncReranker[AsyncOpenSearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> dict[str, Any]: ...
    async def msearch(self, *, rerank: Rerank | None = None, **arguments: Any) -> Any:
        """Search many times; `rerank` holds for each search that does not say otherwise in its `ext.rerank`."""
        return await self._msearch(rerank, arguments)

    async def open(self) -> None:
        """Load the model, or find the scorer; one that is away now is used once it is back.

        Raises:
            RerankUnavailable: the model cannot be had.
        """
        if isinstance(self.scorer, SharedScorer):
            with suppress(ScorerLost, ScorerStarting):
                await self.scorer.loaded()

    async def close(self) -> None:
        """Close the scorer, where it was opened here; the client only where `close_client` was given."""
        if self._owned is not None:
            await self._owned.aclose()
        if self._given_client is not None:
            client: Any = self._given_client
            await client.close()

    aclose = close

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()


class Reranker(_Reranker[Client]):
    """An `Elasticsearch` or `OpenSearch` whose searches come back reranked. In everything else the client.

    The synchronous twin of `AsyncReranker`; it may be used from several threads.
    """

    _is_async = False
    _other_kind = "AsyncReranker"

    @overload
    def search(
        self: Reranker[Elasticsearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> ObjectApiResponse[Any]: ...
    @overload
    def search(self: Reranker[OpenSearch], *, rerank: Rerank | None = None, **arguments: Any) -> dict[str, Any]: ...
    def search(self, *, rerank: Rerank | None = None, **arguments: Any) -> Any:
        """Search with the client's own keywords; `rerank` holds for this search. Raises what the client raises."""
        return self._search(rerank, arguments)

    @overload
    def msearch(
        self: Reranker[Elasticsearch], *, rerank: Rerank | None = None, **arguments: Any
    ) -> ObjectApiResponse[Any]: ...
    @overload
    def msearch(self: Reranker[OpenSearch], *, rerank: Rerank | None = None, **arguments: Any) -> dict[str, Any]: ...
    def msearch(self, *, rerank: Rerank | None = None, **arguments: Any) -> Any:
        """Search many times; `rerank` holds for each search that does not say otherwise in its `ext.rerank`."""
        return self._msearch(rerank, arguments)

    def open(self) -> None:
        """Load the model, or find the scorer; see `AsyncReranker.open`."""
        if isinstance(self.scorer, SharedScorer):
            with suppress(ScorerLost, ScorerStarting):
                background.run(self.scorer.loaded())

    def close(self) -> None:
        """Close the scorer, where it was opened here; the client only where `close_client` was given."""
        if self._owned is not None:
            self._owned.close()
        if self._given_client is not None:
            client: Any = self._given_client
            client.close()

    def __enter__(self) -> Self:
        """Open."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _each_with_rerank(lines: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield the lines of a multi search, header and body in turn, with settings in every body."""
    if isinstance(lines, str | bytes):
        raise TypeError(
            "the lines of a multi search are text already: give them as a list, or say it in their ext.rerank"
        )
    for number, line in enumerate(lines):
        yield with_rerank(line, settings) if number % 2 else line
