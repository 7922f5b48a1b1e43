"""The shipped configurations of HAProxy and nginx in the real programs: a sidecar that dies takes no search with it."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.integration.wire import JSON, send
from tests.program.processes import (
    QUICK_END,
    REPOSITORY,
    Program,
    asynchronous,
    eventually,
    free_port,
    running,
)

FOLDER = REPOSITORY / "docker/balancer"
CLIENTS = 4
SEARCH = {"query": {"match": {"text": "bees"}}}


@dataclass
class Outcomes:
    """What happened to the searches of a while."""

    ranked: int = 0
    unranked: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def all(self) -> int:
        """How many there were."""
        return self.ranked + self.unranked + len(self.failed)


def haproxy(addresses: dict[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command of HAProxy, and its environment."""
    del folder
    return ["haproxy", "-db", "-f", str(FOLDER / "haproxy.cfg")], addresses


def nginx(addresses: dict[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command of nginx: the template filled in, inside what the official image has around it."""
    site = (FOLDER / "nginx.conf.template").read_text(encoding="utf-8")
    for name, value in addresses.items():
        site = site.replace(f"${{{name}}}", value)
    (folder / "site.conf").write_text(site, encoding="utf-8")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;"
        f"events {{ worker_connections 512; }} http {{ access_log off; {temporary} include {folder}/site.conf; }}",
        encoding="utf-8",
    )
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")], {}


BALANCERS = {"haproxy": haproxy, "nginx": nginx}


@contextmanager
def sidecar(engine: str, port: int) -> Iterator[Program]:
    """Run a sidecar without a model in front of an engine."""
    listen = ("--listen", f"127.0.0.1:{port}")
    scorer = ("--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", "--engine", engine, *listen, *scorer, **QUICK_END) as program:
        assert program.url
        yield program


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Address of an engine: the embedded one, without reranking."""
    arguments = ("--engine", "embedded", "--listen", "127.0.0.1:0", "--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_RERANK__ENABLED="false") as program:
        yield program.url


@pytest.fixture(params=BALANCERS)
def balanced(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Address of a balancer, and the port on which it looks for a sidecar."""
    if shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"{request.param} is not installed")
    port, listen = free_port(), free_port()
    addresses = {
        "LISTEN": f"127.0.0.1:{listen}",
        "SIDECAR": f"127.0.0.1:{port}",
        "ENGINE": engine.removeprefix("http://"),
    }
    command, settings = BALANCERS[request.param](addresses, tmp_path)
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin", **settings}
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("wb"))
        process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        stack.callback(process.terminate)
        yield f"http://127.0.0.1:{listen}", port


async def is_listening(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        return 0 < (await send(url, "GET", "/")).status
    except OSError:
        return False


async def load(session: aiohttp.ClientSession, outcomes: Callable[[], Outcomes], stop: asyncio.Event) -> None:
    """Search, one after the other, until told to stop."""
    while not stop.is_set():
        try:
            async with session.post("/articles/_search", json=SEARCH) as answer:
                body = await answer.json(content_type=None)
                found = outcomes()
                if answer.status == 200 and body["hits"]["hits"]:
                    is_ranked = any(marker.startswith("applied") for marker in answer.headers.getall("X-Rerank", ()))
                    found.ranked, found.unranked = found.ranked + is_ranked, found.unranked + (not is_ranked)
                else:
                    found.failed.append(f"{answer.status}: {body}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            outcomes().failed.append(repr(error))


class Load:
    """Searches that go on while things happen, counted by what happens."""

    def __init__(self) -> None:
        """Have counted nothing."""
        self._now = Outcomes()

    def outcomes(self) -> Outcomes:
        """Where to count now."""
        return self._now

    async def during(self, searches: int) -> Outcomes:
        """Count afresh until there are so many."""
        self._now = counted = Outcomes()
        await eventually(asynchronous(lambda: counted.all >= searches), bool)
        return counted

    async def ranked(self) -> None:
        """Wait until a search is ranked."""
        self._now = counted = Outcomes()
        await eventually(asynchronous(lambda: counted.ranked > 0), bool)


@asynccontextmanager
async def loaded(url: str) -> AsyncIterator[Load]:
    """Keep some clients searching, with keep-alive."""
    counting, stop = Load(), asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(url, timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(load(session, counting.outcomes, stop))
        try:
            yield counting
        finally:
            stop.set()


@pytest.fixture
def programs() -> Iterator[ExitStack]:
    """What is started in a test ends with it."""
    with ExitStack() as stack:
        yield stack


async def test_a_killed_sidecar_costs_no_search(balanced: tuple[str, int], engine: str, programs: ExitStack) -> None:
    """kill -9 under load: at most what is in flight fails, the rest is unranked until a sidecar is back."""
    url, port = balanced

    async def start() -> Program:
        return await asyncio.to_thread(programs.enter_context, sidecar(engine, port))

    first = await start()
    async with loaded(url) as counting:
        await counting.ranked()
        before = await counting.during(100)
        first.send(signal.SIGKILL)
        dying = await counting.during(100)
        after = await counting.during(100)
        await start()
        await counting.ranked()
        back = await counting.during(100)
    assert ([], 0) == (before.failed, before.unranked)
    assert len(dying.failed) <= CLIENTS, dying.failed
    assert ([], 0) == (after.failed, after.ranked)
    assert ([], 0) == (back.failed, back.unranked)


async def test_writes_need_no_sidecar(balanced: tuple[str, int], engine: str) -> None:
    """They go straight to the engine, once, with their bytes as they are; an odd path reaches the engine as it is."""
    url, port = balanced
    await eventually(lambda: is_listening(url), bool)
    index = f"balanced-{port}"
    for n, name in enumerate((index, f"{index}%2Done", index), 1):
        answer = await send(url, "POST", f"/{name}/_doc?refresh=true", body=b'{ "n" : 1E+2 }', headers=JSON)
        assert 201 == answer.status, answer.body
        counted = await send(engine, "GET", f"/{index}*/_count")
        assert n == counted.json["count"]
    found = await send(url, "GET", f"/{index}*/_search?filter_path=hits.hits._source")
    assert b'{ "n" : 1E+2 }' in found.body
    refused = await send(url, "POST", f"/{index}/_search", body=b'{"query": {"nope": {}}}', headers=JSON)
    direct = await send(engine, "POST", f"/{index}/_search", body=b'{"query": {"nope": {}}}', headers=JSON)
    assert (direct.status, direct.body) == (refused.status, refused.body)
