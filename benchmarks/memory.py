"""What the proxy holds: a bulk of 100 MB on its way to the engine, and a thousand connections that do nothing.

    python -m benchmarks.memory

The upstream is a sink, which reads and forgets. A bulk goes direct and through the proxy in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from benchmarks.machine import Machine
from benchmarks.programs import Server, sidecar, sink
from benchmarks.rounds import Spread
from benchmarks.table import table

MEGABYTE = 1_000_000
CHUNK_BYTES = 256 * 1024
LINE = b'{"index":{"_index":"books"}}\n{"title":"A bulk","text":"' + b"words " * 160 + b'"}\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Bulks and idle connections, round by round."""

    bulk_megabytes: int
    #: megabytes per second
    direct: list[float]
    proxied: list[float]
    #: by how much the proxy's memory grew at most while a bulk went through, in bytes
    growth: list[int]
    idle_connections: int
    #: by how much it grew with them, in bytes
    idle_growth: int


async def bulk(url: str, megabytes: int) -> float:
    """Send a bulk and return the megabytes per second. Raises ValueError when not all of it arrived."""
    lines = LINE * (CHUNK_BYTES // len(LINE))
    count = megabytes * MEGABYTE // len(lines)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield lines

    size = count * len(lines)
    headers = {"Content-Type": "application/x-ndjson", "Content-Length": str(size)}
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        began = loop.time()
        async with session.post(f"{url}/_bulk", data=body(), headers=headers) as answer:
            told = await answer.json()
        seconds = loop.time() - began
    if told["bytes"] != size:
        raise ValueError(f"{size} bytes were sent and {told['bytes']} arrived")
    return size / MEGABYTE / seconds


async def idle(server: Server, connections: int) -> int:
    """Open connections that have had one answer, and return by how much the server's memory has grown with them."""
    before = server.resident_bytes
    place = urlsplit(server.url)
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            stack.callback(writer.close)
            writer.write(b"GET / HTTP/1.1\r\nHost: sink\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ValueError(f"an answer began with {head[:40]!r}")
        return server.resident_bytes - before


async def measure(*, megabytes: int, rounds: int, connections: int) -> Outcome:
    """Start sink and proxy and measure both."""
    async with (
        sink() as direct,
        sidecar(
            "serve", "--engine", direct.url, "--scorer", "test:identity", "--allow-test-scorers",
            "--listen", "127.0.0.1:0", "--log-level", "warning",
        ) as proxy,
    ):  # fmt: skip
        for server in (direct, proxy):
            await bulk(server.url, 1)
        straight, through, growth = [], [], []
        for _ in range(rounds):
            straight.append(await bulk(direct.url, megabytes))
            before = proxy.resident_bytes
            proxy.forget_peak()
            through.append(await bulk(proxy.url, megabytes))
            growth.append(proxy.peak_bytes - before)
        return Outcome(
            bulk_megabytes=megabytes,
            direct=straight,
            proxied=through,
            growth=growth,
            idle_connections=connections,
            idle_growth=await idle(proxy, connections),
        )


def rows(outcome: Outcome) -> list[list[str]]:
    """Return the figures of bulk and idle connections."""
    return [
        [f"bulk of {outcome.bulk_megabytes} MB, direct", f"{Spread.of(outcome.direct).text(0)} MB/s"],
        [f"bulk of {outcome.bulk_megabytes} MB, through the proxy", f"{Spread.of(outcome.proxied).text(0)} MB/s"],
        ["memory of the proxy meanwhile", f"+ {max(outcome.growth) / MEGABYTE:.1f} MB at most"],
        [
            f"memory of the proxy, {outcome.idle_connections} idle connections",
            f"+ {outcome.idle_growth / MEGABYTE:.1f} MB",
        ],
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="two bulks of 5 MB, 50 connections")
    given = parser.parse_args(argv)
    if given.quick:
        given.megabytes, given.rounds, given.connections = 5, 2, 50
    return given


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    outcome = asyncio.run(measure(megabytes=given.megabytes, rounds=given.rounds, connections=given.connections))
    print(f"{machine.line()}\n{given.rounds} rounds in turns, medians (least - greatest)\n")
    print(table(("what", "figure"), rows(outcome)))
    if given.json is not None:
        facts = {"machine": machine.facts(), "outcome": asdict(outcome)}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
