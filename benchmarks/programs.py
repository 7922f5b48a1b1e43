"""Servers under load: started as people start them, each a process of its own, ended by its id."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Call, Client
from benchmarks.machine import REPOSITORY
from sidecar import tasks

START_SECONDS = 180.0
END_SECONDS = 20.0

PROBE = Call(method="GET", path="/_rerank/startup", check=lambda answer: "")
PROBE_SECONDS, MAX_PROBES = 0.2, 900

SETTINGS = {"RERANK_SIDECAR_ADMIN__LISTEN": "127.0.0.1:0", "RERANK_SIDECAR_DRAIN_SECONDS": "0"}
"""No fixed port, and no wait at the end."""


class ProgramFailed(Exception):
    """A server did not start; the words are its own."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    pid: int

    @property
    def resident_bytes(self) -> int:
        """Memory of the process, without its children's."""
        return _memory(self.pid, "VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most that it has held since `forget_peak`."""
        return _memory(self.pid, "VmHWM")

    @property
    def children(self) -> list[Server]:
        """The processes that it has started, such as the one that scores; they have no URL here."""
        started = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [Server("", int(pid)) for pid in started.split()]

    @property
    def open_files(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def processor_seconds(self) -> float:
        """Processor time that the process has used, without its children's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Measure the peak from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")


@asynccontextmanager
async def sink() -> AsyncIterator[Server]:
    """Give the sink."""
    async with running("-m", "benchmarks.sink") as server:
        yield server


@asynccontextmanager
async def sidecar(*arguments: str, ready: str = "listening on", **settings: str) -> AsyncIterator[Server]:
    """Give `rerank-sidecar` with these arguments and environment variables, once it has said `ready`, too."""
    async with running("-m", "sidecar", *arguments, ready=ready, settings={**SETTINGS, **settings}) as server:
        yield server


async def until_started(server: Server) -> None:
    """Ask the start-up probe, which answers 503 while the model loads, until it says yes.

    Raises:
        ProgramFailed: it never does.
    """
    async with Client(server.url) as client:
        for _ in range(MAX_PROBES):
            answer = await client.send(PROBE)
            if not isinstance(answer, str) and answer.status == 200:
                return
            await asyncio.sleep(PROBE_SECONDS)
    raise ProgramFailed("the model does not load")


@asynccontextmanager
async def running(
    *arguments: str, ready: str = "listening on", settings: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Give a Python program that prints "listening on URL", once it has printed a line with `ready`.

    Raises:
        ProgramFailed: it ended or said nothing of the kind.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=REPOSITORY,
        env={**os.environ, **(settings or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        url = await _address(process.stdout, ready)
        draining = tasks.start(_drain(process.stdout), name="read on")
        try:
            yield Server(url, process.pid)
        finally:
            draining.cancel()
    finally:
        await _end(process)


async def _address(output: asyncio.StreamReader, ready: str) -> str:
    """Return the URL that a program has printed once it has said `ready`, too."""
    said: list[str] = []
    url = ""
    try:
        async with asyncio.timeout(START_SECONDS):
            while line := (await output.readline()).decode(errors="replace").rstrip():
                said.append(line)
                if match := re.search(r"^listening on (http://\S+)$", line):
                    url = match[1]
                if url and any(ready in each for each in said):
                    return url
    except TimeoutError:
        said.append("and then nothing")
    raise ProgramFailed("it did not start:\n" + "\n".join(said))


async def _drain(output: asyncio.StreamReader) -> None:
    """Read on, so that the program never waits for its reader."""
    while await output.read(65536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _memory(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"the system does not tell {name}"
    return int(found[1]) * 1024
