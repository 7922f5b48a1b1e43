"""The same on real Elasticsearch and OpenSearch: connections that die under every kind of request; in the long form
nodes that are really stopped and started."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.detect import connect
from sidecar import tasks
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import listening
from sidecar.types import RerankOptions
from tests.engines.nodes import ENGINES, Engine, EngineUnavailable, run_node
from tests.faults.effort import IS_LONG
from tests.faults.faulty_tcp import Fault, FaultProxy, Point
from tests.faults.stack import ANYWHERE, LATER
from tests.integration.books import call, put_library
from tests.integration.proxies import ShortestFirst
from tests.integration.wire import NDJSON, Answer, ndjson, send, untimed

TEA: Mapping[str, Any] = {"query": {"match": {"body": "tea"}}}
INDEX = "books"


def port_of(url: str) -> int:
    """Return the port of a URL."""
    port = urlsplit(url).port
    assert port is not None
    return port


@asynccontextmanager
async def proxied(*engine_urls: str) -> AsyncIterator[str]:
    """Give the URL of a proxy in front of the nodes of one engine."""
    policy = Policy(defaults=RerankOptions(deadline=LATER))
    async with await connect(list(engine_urls)) as engine:
        app = ProxyApp(RerankingConnector(engine, ShortestFirst(), policy), {})
        async with listening(app, ANYWHERE) as address:
            yield str(address)


@pytest.fixture
def library(engine_url: str, index_name: str) -> Iterator[str]:
    """Name of an index with books."""
    put_library(engine_url, index_name)
    yield index_name
    call(engine_url, "DELETE", f"/{index_name}")


def scroll_id(engine_url: str, index: str) -> str:
    """Return the id of a scroll that has just begun."""
    found = call(engine_url, "POST", f"/{index}/_search?scroll=1m", {"size": 3, **TEA})
    return str(found["_scroll_id"])


async def test_connections_that_die(engine_url: str, library: str) -> None:
    """Whatever is asked: an answer or an error of ours, and no document twice."""
    async with FaultProxy(port_of(engine_url)) as wire, proxied(wire.url) as proxy:
        whole = await send(proxy, "POST", f"/{library}/_search", body=TEA)
        assert "applied" == whole.outcome
        for number, at in enumerate((Point.REQUEST, Point.ANSWER, Point.IN_HEAD)):
            wire.go_wrong(Fault(at=at))
            requests: list[tuple[str, str, Any]] = [
                ("POST", f"/{library}/_search", TEA),
                ("POST", "/_msearch", [{"index": library}, TEA]),
                ("POST", f"/{library}/_bulk", create(f"new-{number}")),
                ("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": scroll_id(engine_url, library)}),
                ("HEAD", f"/{library}/_doc/1", None),
            ]
            for method, target, body in requests:
                headers = NDJSON if isinstance(body, bytes) else {}
                assert (target, 502) == (target, (await send(proxy, method, target, body=body, headers=headers)).status)
            wire.recover()
            again = await send(proxy, "POST", f"/{library}/_search", body=TEA)
            assert untimed(whole.body) == untimed(again.body)
            assert whole.marker == again.marker
        await wire.die()
        assert 502 == (await send(proxy, "POST", f"/{library}/_bulk", body=create("down"), headers=NDJSON)).status
        await wire.start()
        assert untimed(whole.body) == untimed((await send(proxy, "POST", f"/{library}/_search", body=TEA)).body)
    call(engine_url, "POST", f"/{library}/_refresh")
    versions = {
        name: call(engine_url, "GET", f"/{library}/_doc/{name}?_source=false").get("_version")
        for name in ("new-1", "new-2")
    }
    assert {"new-1": 1, "new-2": 1} == versions  # arrived, and once: a second `index` would have made it 2
    for name in ("new-0", "down"):
        assert 404 == (await send(engine_url, "GET", f"/{library}/_doc/{name}")).status


def create(name: str) -> bytes:
    """Return a bulk request that writes one document of this name, and a second version where there is one already."""
    document = {"title": name, "body": "coffee", "note": "new", "shelf": "s", "n": 99}
    return ndjson({"index": {"_id": name}}, document)


# --- nodes that are really stopped and started, in the long form --------------------------------------------

NODE_ROUNDS = 2
ANSWERS_BETWEEN = 100
READS: Mapping[str, Callable[[str], Any]] = {
    "search": lambda url: send(url, "POST", f"/{INDEX}/_search", body=TEA),
    "msearch": lambda url: send(url, "POST", "/_msearch", body=[{"index": INDEX}, TEA]),
    "search left alone": lambda url: send(url, "POST", f"/{INDEX}/_search", body={"query": {"match_all": {}}}),
    "HEAD": lambda url: send(url, "HEAD", f"/{INDEX}/_doc/1"),
}


@dataclass
class Readers:
    """Who reads without a pause, and what they got."""

    url: str
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, int, bytes]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self, stop: asyncio.Event, kind: str) -> None:
        """Read until told to stop."""
        while not stop.is_set():
            answer: Answer = await READS[kind](self.url)
            async with self.changed:
                if answer.status == 200 and (kind == "HEAD" or b'"hits"' in answer.body):
                    self.answered[kind] += 1
                else:
                    self.failed.append((kind, answer.status, answer.body))
                self.changed.notify_all()

    async def more(self, answers: int = ANSWERS_BETWEEN) -> None:
        """Wait for so many more answers."""
        async with self.changed:
            target = self.answered.total() + answers
            await self.changed.wait_for(lambda: self.answered.total() >= target)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Read meanwhile."""
        stop = asyncio.Event()
        readers = [tasks.start(self.read(stop, kind), name=kind) for kind in READS]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*readers)


class RealNode:
    """A node behind an address that stays the same.

    Its data does not stay: a new node is filled before it can be reached.
    """

    def __init__(self, engine: Engine) -> None:
        """Start nothing yet."""
        self._engine = engine
        self._process = ExitStack()
        self._wire = FaultProxy(0)

    @property
    def url(self) -> str:
        """The address."""
        return self._wire.url

    async def start(self) -> None:
        """Start the node, fill it, and let it be reached."""
        await self._wire.start(await asyncio.to_thread(self._start))

    async def stop(self) -> None:
        """Stop it as its operator would: no new connections, then the end of those that there are."""
        await self._wire.refuse()
        await asyncio.to_thread(self._process.close)
        await self._wire.die()

    def _start(self) -> int:
        url = self._process.enter_context(run_node(self._engine)).url
        put_library(url, INDEX)
        return port_of(url)


@asynccontextmanager
async def real_nodes(engine: Engine, count: int) -> AsyncIterator[list[RealNode]]:
    """Give running nodes."""
    async with AsyncExitStack() as stack:
        nodes = [RealNode(engine) for _ in range(count)]
        for node in nodes:
            try:
                await node.start()
            except EngineUnavailable as unavailable:
                pytest.skip(str(unavailable))
            stack.push_async_callback(node.stop)
        yield nodes


long_form = pytest.mark.skipif(not IS_LONG, reason="the long form: make faults")


@long_form
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
async def test_a_node_that_is_restarted_is_missed_only_while_it_is_away(engine: Engine) -> None:
    """Its only node: errors of ours while it is down, and none before and after."""
    async with real_nodes(engine, 1) as (node,), proxied(node.url) as proxy:
        readers = Readers(proxy)
        async with readers.going_on():
            await readers.more()
            assert [] == readers.failed
            await node.stop()
            await node.start()
            await readers.more()
            down = len(readers.failed)
            await readers.more()
            assert down == len(readers.failed)
    assert down > 0
    print(f"{engine.name}: {dict(readers.answered)}, {down} while it was away")  # noqa: T201  # shown by `make faults`
    assert {502} == {status for _, status, _ in readers.failed}, Counter(readers.failed).most_common(3)
    assert all(json.loads(body)["status"] == 502 for kind, _, body in readers.failed if kind != "HEAD")


@long_form
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
async def test_a_rolling_restart_of_real_nodes_fails_no_search(engine: Engine) -> None:
    """Two nodes, stopped and started in turn."""
    async with real_nodes(engine, 2) as nodes, proxied(*(node.url for node in nodes)) as proxy:
        readers = Readers(proxy)
        async with readers.going_on():
            for node in nodes * NODE_ROUNDS:
                await readers.more()
                await node.stop()
                await readers.more()
                await node.start()
            await readers.more()
    print(f"{engine.name}: {dict(readers.answered)}, failed {Counter(readers.failed).most_common(3)}")  # noqa: T201  # the same
    assert [] == [failure for failure in readers.failed if failure[0] != "HEAD"]
    assert len(readers.failed) <= len(nodes) * NODE_ROUNDS
