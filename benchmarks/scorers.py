"""A pool of scorers as one runs it: `score` processes behind HAProxy with the shipped configuration."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.calls import Call, Client
from benchmarks.machine import REPOSITORY
from benchmarks.restarts import LOOK_SECONDS, Balancer, Restartable, balancing, free_port

CONFIGURATION: Final = REPOSITORY / "docker/balancer/scorers.cfg"
SERVER: Final = '    server scorer-{0} "${{SCORER_{0}}}"\n'
SHIPPED_SERVERS: Final = 2
DRAIN_SECONDS: Final = 4.0
"""Longer than HAProxy, as shipped, needs to see it."""
LOAD_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Scorers behind one address."""

    #: what `--scorer` names
    url: str
    #: by the name that HAProxy has for it
    scorers: dict[str, Restartable]
    #: where each listens
    addresses: Sequence[str]
    balancer: Balancer

    async def until_up(self, name: str) -> None:
        """Wait until HAProxy sends requests to a scorer."""
        await self.balancer.until_up(name)


def scorer(model: str, port: int, *, drain_seconds: float = DRAIN_SECONDS) -> Restartable:
    """Return a scorer at `port`, of one thread: several models on few cores would wait for each other, spinning."""
    return Restartable(
        *("score", "--model", model, "--allow-test-scorers", "--listen", f"127.0.0.1:{port}"),
        drain_seconds=drain_seconds,
        environment={"OMP_NUM_THREADS": "1"},
    )


@asynccontextmanager
async def pool(
    model: str, replicas: int, *, drain_seconds: float = DRAIN_SECONDS, check: str = "1s"
) -> AsyncIterator[Pool]:
    """Give so many scorers of a model behind HAProxy, all up; `check` is the interval of its checks."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [free_port() for _ in range(replicas)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        scorers = {
            f"scorer-{number}": scorer(model, port, drain_seconds=drain_seconds) for number, port in enumerate(ports, 1)
        }
        for each in scorers.values():
            await each.start()
            stack.push_async_callback(each.end)
        named = {f"SCORER_{number}": address for number, address in enumerate(addresses, 1)}
        balancer = await stack.enter_async_context(
            balancing(configuration(replicas, check), named, folder, backend="pool")
        )
        found = Pool(url=balancer.url, scorers=scorers, addresses=addresses, balancer=balancer)
        for address in addresses:
            await until_ready(address)  # HAProxy begins by taking everybody for up
        for name in scorers:
            await found.until_up(name)
        yield found


async def until_ready(address: str) -> None:
    """Wait until a scorer has its model."""
    ready = Call(method="GET", path="/_rerank/ready", check=lambda answer: "")
    async with Client(f"http://{address}") as client, asyncio.timeout(LOAD_SECONDS):
        while True:
            answer = await client.send(ready)
            if not isinstance(answer, str) and answer.status == 200:
                return
            await asyncio.sleep(LOOK_SECONDS)


def configuration(replicas: int, check: str) -> str:
    """Return the shipped configuration with so many servers."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    shipped = "".join(SERVER.format(number) for number in range(1, SHIPPED_SERVERS + 1))
    assert shipped in text
    text = text.replace(shipped, "".join(SERVER.format(number) for number in range(1, replicas + 1)))
    assert "check inter 1s" in text
    return text.replace("check inter 1s", f"check inter {check}")
