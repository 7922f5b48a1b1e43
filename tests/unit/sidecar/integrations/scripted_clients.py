"""The official clients over a scripted engine, without a socket: only their nodes are ours."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from elastic_transport import ApiResponseMeta, BaseAsyncNode, BaseNode, HttpHeaders
from elasticsearch import AsyncElasticsearch, Elasticsearch
from opensearchpy import AIOHttpConnection, AsyncOpenSearch, Connection, OpenSearch
from opensearchpy.exceptions import TransportError

from connectors.base import SearchRequest, SearchResponse
from sidecar.integrations.client import AsyncReranker, Reranker
from sidecar.requests.routes import route
from tests.unit.doubles import ScriptedEngine, answer_with

Fault = Callable[[SearchRequest], Exception | SearchResponse | None]
"""What a node answers or raises in the engine's place, or None."""


@dataclass
class Call:
    """What a node was asked."""

    node: str
    method: str
    target: str
    body: bytes
    headers: dict[str, str] = field(compare=False)
    timeout: float | None = None


@dataclass
class Cluster:
    """An engine, what its nodes were asked, and how they fail."""

    engine: ScriptedEngine
    fault: Fault | None = None
    calls: list[Call] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        """The bodies of what was asked, parsed."""
        return [json.loads(call.body) for call in self.calls if call.body]

    def answer(self, call: Call) -> SearchResponse:
        """Answer a call, or raise."""
        self.calls.append(call)
        assert len(call.headers) == len({name.lower() for name in call.headers}), f"sent twice: {call.headers}"
        headers = tuple(call.headers.items())
        request = SearchRequest(method=call.method, target=call.target, headers=headers, body=call.body)
        told = None if self.fault is None else self.fault(request)
        if isinstance(told, Exception):
            raise told
        if told is not None:
            return told
        if call.target.startswith("/_render"):
            return answer_with(json.dumps({"template_output": json.loads(call.body)["source"]}))
        if "_field_caps" in call.target or "_mapping" in call.target:
            return done(self.engine.search(request))
        found = route(call.method, call.target)
        if found is None:
            return answer_with(json.dumps({"count": len(self.engine.documents)}))
        return done((self.engine.search if "msearch" not in call.target else self.engine.msearch)(request))


def done(coroutine: Coroutine[Any, Any, SearchResponse]) -> SearchResponse:
    """Return what a coroutine that waits for nothing returns."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        found: SearchResponse = end.value
        return found
    raise AssertionError("the engine waits for something")


class Given(NamedTuple):
    """What elastic-transport takes from a node."""

    meta: ApiResponseMeta
    body: bytes


def elastic_node(cluster: Cluster, *, is_async: bool) -> type[Any]:
    """Return the class of the nodes of an Elasticsearch cluster."""

    def ask(node: Any, method: str, target: str, body: Any = None, headers: Any = None, **timeout: Any) -> Given:
        given = timeout.get("request_timeout")
        seconds = given if isinstance(given, int | float) else None
        answer = cluster.answer(Call(node.host, method, target, body or b"", dict(headers or {}), seconds))
        meta = ApiResponseMeta(answer.status, "1.1", HttpHeaders(answer.headers), 0.0, node.config)
        return Given(meta, answer.body)

    class Node(BaseNode):
        _CLIENT_META_HTTP_CLIENT = ("sc", "1")

        def perform_request(self, *args: Any, **kwargs: Any) -> Any:
            return ask(self, *args, **kwargs)

    class AsyncNode(BaseAsyncNode):
        _CLIENT_META_HTTP_CLIENT = ("sc", "1")

        async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
            return ask(self, *args, **kwargs)

        async def close(self) -> None:
            """Do nothing."""

    return AsyncNode if is_async else Node


def opensearch_connection(cluster: Cluster, *, is_async: bool) -> type[Any]:
    """Return the class of the connections to an OpenSearch cluster."""

    def ask(
        node: Any,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        ignore: Any = (),
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        target = f"{url}?{urlencode(params)}" if params else url
        sent = {**node.headers, **(headers or {})}
        answer = cluster.answer(Call(node.hostname, method, target, body or b"", sent, timeout))
        if not 200 <= answer.status < 300 and answer.status not in ignore:
            node._raise_error(answer.status, answer.body.decode(), "application/json")
        return answer.status, dict(answer.headers), answer.body.decode()

    class Node(Connection):
        def perform_request(self, *args: Any, **kwargs: Any) -> Any:
            return ask(self, *args, **kwargs)

        def close(self) -> None:
            """Do nothing."""

    class AsyncNode(AIOHttpConnection):
        async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
            return ask(self, *args, **kwargs)

    return AsyncNode if is_async else Node


@dataclass(frozen=True)
class Kind:
    """One of the four official clients, and the reranker that goes with it."""

    make: type[Any]
    around: type[Any]

    @property
    def is_async(self) -> bool:
        """Whether its calls are awaited."""
        return self.around is AsyncReranker

    @property
    def is_elasticsearch(self) -> bool:
        """Whether it is Elasticsearch's."""
        return self.make in (Elasticsearch, AsyncElasticsearch)

    def client(self, cluster: Cluster, *hosts: str, **settings: Any) -> Any:
        """Return a client of a scripted cluster."""
        names = hosts or ("one",)
        if self.is_elasticsearch:
            urls = [f"http://{name}:9200" for name in names]
            node = elastic_node(cluster, is_async=self.is_async)
            return self.make(urls, node_class=node, randomize_nodes_in_pool=False, **settings)
        connection = opensearch_connection(cluster, is_async=self.is_async)
        return self.make(
            hosts=[{"host": name, "port": 9200} for name in names],
            connection_class=connection,
            randomize_hosts=False,
            **settings,
        )

    def search(self, **body: Any) -> dict[str, Any]:
        """Return the keywords of a search of the index `books`."""
        return {"index": "books", "body": body}

    async def ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call and return its answer; of a synchronous client in a thread."""
        return await (call(*args, **kwargs) if self.is_async else asyncio.to_thread(call, *args, **kwargs))


KINDS = {
    "Elasticsearch": Kind(Elasticsearch, Reranker),
    "AsyncElasticsearch": Kind(AsyncElasticsearch, AsyncReranker),
    "OpenSearch": Kind(OpenSearch, Reranker),
    "AsyncOpenSearch": Kind(AsyncOpenSearch, AsyncReranker),
}


def texts(answer: Any) -> list[str]:
    """Return the `text` of every hit, in order."""
    return [hit["_source"]["text"] for hit in answer["hits"]["hits"]]


def status_of(error: Exception) -> Any:
    """Return the HTTP status that a client's exception tells."""
    return error.status_code if isinstance(error, TransportError) else getattr(error, "status_code", None)
