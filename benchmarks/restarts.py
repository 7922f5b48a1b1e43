"""Rolling restarts under load: two sidecars behind HAProxy, as shipped, are restarted one after the other.

    python -m benchmarks.restarts --restarts 20 --requests 100000

Searches come in an open loop all the while, half of them over kept connections, half each over a new one. Right is a
search that is answered with 200 and all hits; wrong is any other answer, none, and a sidecar that does not end with 0.
Searches that the engine answered in a sidecar's place are counted apart: there should be none, since one is always up.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp

from benchmarks.calls import TIMEOUT_SECONDS, Answer, Call, Client
from benchmarks.machine import REPOSITORY, Machine
from benchmarks.open_loop import Report, Sent, send_when_due
from benchmarks.programs import sink
from benchmarks.table import table
from sidecar import tasks

HITS: Final = 5
START_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05
END_SECONDS: Final = 90.0
STATUS_COLUMN: Final = 17  # of HAProxy's `show stat`
CONFIGURATION: Final = REPOSITORY / "docker/balancer/haproxy.cfg"
SIDECAR_LINE: Final = '    server sidecar-1 "${SIDECAR}"\n'


@dataclass(kw_only=True)
class Outcome:
    """What became of the searches and of the sidecars."""

    kept: Report
    new: Report
    #: searches that the engine answered in a sidecar's place
    unranked: int
    #: searches that a sidecar answered in the engine's order, for a reason of its own, such as a busy machine
    degraded: int
    #: exit codes of the sidecars that were ended
    exit_codes: list[int] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.kept.requests + self.new.requests

    @property
    def failed(self) -> dict[str, int]:
        """What was wrong with answers, and how often."""
        return dict(Counter(self.kept.faults) + Counter(self.new.faults))


class Judge:
    """Says what is wrong with the answer to a search of the sink, and counts those that nobody ranked."""

    def __init__(self) -> None:
        """Have seen none."""
        self.unranked = 0
        self.degraded = 0

    def check(self, answer: Answer) -> str:
        """Return what is wrong, "" for nothing."""
        if answer.status != 200:
            return f"status {answer.status}"
        if len(answer.json["hits"]["hits"]) != HITS:
            return "other hits"
        marker = answer.headers.get("X-Rerank")
        self.unranked += marker is None
        self.degraded += marker is not None and not marker.startswith("applied")
        return ""


class NewConnections(Client):
    """Sends each call over a connection of its own."""

    async def __aenter__(self) -> Self:
        """Open it."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout
        )
        return self


class Restartable:
    """A program of ours that can be ended and started anew at its address."""

    def __init__(
        self, *arguments: str, drain_seconds: float, environment: Mapping[str, str] | None = None, **settings: str
    ) -> None:
        """Have `python -m sidecar` with these arguments, settings and other variables; nothing is started yet."""
        self._argv = [sys.executable, "-m", "sidecar", *arguments, "--log-level", "error"]
        settings = {"DRAIN_SECONDS": str(drain_seconds), "ADMIN__LISTEN": "127.0.0.1:0", **settings}
        named = {f"RERANK_SIDECAR_{name}": value for name, value in settings.items()}
        self._environment = {**os.environ, **named, **(environment or {})}
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and return when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, cwd=REPOSITORY, env=self._environment, stdin=DEVNULL, stdout=PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while not (await self._process.stdout.readline()).startswith(b"listening on"):
                if self._process.stdout.at_eof():
                    raise RuntimeError("it does not start; its log says why")
        self._reading = tasks.start(_read_on(self._process), name="read on")

    async def kill(self) -> None:
        """Send SIGKILL and wait until it is gone."""
        assert self._process is not None
        assert self._reading is not None
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        await self._reading
        return code


def sidecar(engine: str, port: int, drain_seconds: float, workers: int) -> Restartable:
    """Return a sidecar at `port`."""
    return Restartable(
        *("serve", "--engine", engine, "--listen", f"127.0.0.1:{port}", "--workers", str(workers)),
        *("--scorer", "test:identity", "--allow-test-scorers"),
        drain_seconds=drain_seconds,
        RERANK__WINDOW="10",
        RERANK__DEADLINE_MS="0",  # a busy machine is not what is looked at
    )


class Balancer:
    """HAProxy, asked over its socket."""

    def __init__(self, url: str, control: Path, backend: str) -> None:
        """Ask at `control` about the servers of a backend."""
        self.url = url
        self._control = str(control)
        self._backend = backend

    async def until_up(self, server: str) -> None:
        """Wait until HAProxy sends searches to a server."""
        async with asyncio.timeout(START_SECONDS):
            while await self._status(server) != "UP":  # noqa: ASYNC110  # HAProxy announces nothing
                await asyncio.sleep(LOOK_SECONDS)

    async def _status(self, server: str) -> str:
        try:
            reader, writer = await asyncio.open_unix_connection(self._control)
        except OSError:
            return "not there yet"
        writer.write(b"show stat\n")
        lines = (await reader.read()).decode().splitlines()
        writer.close()
        rows = (line.split(",") for line in lines)
        return next((row[STATUS_COLUMN] for row in rows if row[:2] == [self._backend, server]), "unknown")


@asynccontextmanager
async def haproxy(engine: str, ports: Sequence[int], folder: Path, check: str) -> AsyncIterator[Balancer]:
    """Give HAProxy with the shipped configuration, one more sidecar in it, and a socket to ask it at."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert SIDECAR_LINE in text
    text = text.replace(SIDECAR_LINE, SIDECAR_LINE + SIDECAR_LINE.replace("sidecar-1", "sidecar-2").replace("}", "_2}"))
    # the time that a check may take, which else is its interval, too
    text = text.replace("check inter 1s", f"check inter {check}").replace(
        "defaults\n", "defaults\n    timeout check 5s\n"
    )
    addresses = {
        "SIDECAR": f"127.0.0.1:{ports[0]}",
        "SIDECAR_2": f"127.0.0.1:{ports[1]}",
        "ENGINE": engine.removeprefix("http://"),
    }
    async with balancing(text, addresses, folder, backend="reranked") as balancer:
        yield balancer


@asynccontextmanager
async def balancing(text: str, addresses: dict[str, str], folder: Path, *, backend: str) -> AsyncIterator[Balancer]:
    """Give HAProxy with the configuration `text`, whose addresses are in the environment, and a socket to ask it at."""
    control = folder / "haproxy.sock"
    configuration = folder / "haproxy.cfg"
    configuration.write_text(text.replace("global\n", f"global\n    stats socket {control}\n"), encoding="utf-8")
    listen = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *(found_haproxy() or "haproxy", "-db", "-f", str(configuration)),
        env={"LISTEN": listen, **addresses},
        stderr=DEVNULL,
    )
    try:
        yield Balancer(f"http://{listen}", control, backend)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def found_haproxy() -> str | None:
    """Return where HAProxy is, None where it is not installed."""
    return shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def measure(given: argparse.Namespace, say: Callable[[str], None]) -> Outcome:
    """Start everything, search, and restart one sidecar after the other meanwhile."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(sink())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [free_port(), free_port()]
        sidecars = {
            f"sidecar-{number}": sidecar(engine.url, port, given.drain_seconds, workers)
            for number, (port, workers) in enumerate(zip(ports, given.workers, strict=True), 1)
        }
        for each in sidecars.values():
            await each.start()
            stack.push_async_callback(each.end)
        balancer = await stack.enter_async_context(haproxy(engine.url, ports, folder, given.check))
        for name in sidecars:
            await balancer.until_up(name)
        return await loaded(given, balancer, sidecars, say)


async def loaded(
    given: argparse.Namespace, balancer: Balancer, sidecars: dict[str, Restartable], say: Callable[[str], None]
) -> Outcome:
    """Search until all restarts and all requests are done."""
    judge, done, codes = Judge(), asyncio.Event(), list[int]()
    body = json.dumps({"query": {"match": {"text": "people search"}}, "size": HITS}).encode()
    call = Call(
        method="POST",
        path="/sink/_search",
        headers={"Content-Type": "application/json"},
        body=body,
        check=judge.check,
    )

    async def restart() -> None:
        names = itertools.cycle(sidecars)
        for number in range(given.restarts):
            name = next(names)
            codes.append(await sidecars[name].end())
            await sidecars[name].start()
            await balancer.until_up(name)
            say(f"restart {number + 1}: {name}, exit code {codes[-1]}")
        done.set()

    schedule = [due(given.rate / 2, given.requests / 2, done) for _ in range(2)]
    async with Client(balancer.url) as kept, NewConnections(balancer.url) as new, asyncio.TaskGroup() as group:
        group.create_task(restart())
        sent: list[asyncio.Task[list[Sent]]] = [
            group.create_task(send_when_due(client, [call], times))
            for client, times in zip((kept, new), schedule, strict=True)
        ]
    reports = [Report.of(task.result()) for task in sent]
    return Outcome(kept=reports[0], new=reports[1], unranked=judge.unranked, degraded=judge.degraded, exit_codes=codes)


def due(rate: float, at_least: float, done: asyncio.Event) -> Iterator[float]:
    """Yield when requests are due, until there are enough and all is done."""
    for number in itertools.count():
        if number >= at_least and done.is_set():
            return
        yield number / rate


async def _read_on(process: Process) -> None:
    """Read what it prints, so that it never waits for its reader."""
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass


def rows(outcome: Outcome) -> list[list[str]]:
    """Return an outcome as a table's rows."""
    return [
        [
            name,
            f"{report.requests:,}",
            f"{report.offered:,.0f}/s",
            *(f"{1000 * seconds:,.1f} ms" for seconds in (report.p50, report.p99, report.longest)),
            str(sum(report.faults.values())),
        ]
        for name, report in (("kept connections", outcome.kept), ("new connections", outcome.new))
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.restarts", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100_000, help="at least")
    parser.add_argument("--rate", type=float, default=400.0, help="searches per second")
    parser.add_argument("--workers", type=int, nargs=2, default=(1, 2), help="front processes of either sidecar")
    parser.add_argument("--drain-seconds", type=float, default=3.0, help="longer than HAProxy needs to see it")
    parser.add_argument("--check", default="1s", help="HAProxy's check interval; 1s as shipped")
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    if found_haproxy() is None:
        sys.exit("HAProxy is not installed: apt install haproxy")
    machine = Machine.here()
    outcome = asyncio.run(measure(given, lambda line: print(line, file=sys.stderr, flush=True)))
    print(f"{machine.line()}\n")
    print(table(("what", "requests", "offered", "p50", "p99", "longest", "failed"), rows(outcome)))
    codes = ", ".join(f"{count} x {code}" for code, count in sorted(Counter(outcome.exit_codes).items()))
    print(
        f"\n{len(outcome.exit_codes)} restarts, exit codes {codes}; {outcome.unranked} searches answered by the engine"
    )
    print(f"{outcome.degraded} searches degraded by a sidecar")
    for fault, count in outcome.failed.items():
        print(f"fault: {count} x {fault}")
    if given.json is not None:
        facts = {"machine": machine.facts(), "given": {**vars(given), "json": None}, "outcome": asdict(outcome)}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if outcome.failed or any(outcome.exit_codes):
        sys.exit(1)


if __name__ == "__main__":
    main()
