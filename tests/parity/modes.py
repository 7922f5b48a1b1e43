"""The modes of the proxy that are compared with the bare engine, each a program of its own in front of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

START_SECONDS = 60
STOP_SECONDS = 20
_PREFIX = "RERANK_SIDECAR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to run the proxy."""

    letter: str
    words: str
    scorer: str
    environment: Mapping[str, str] = field(default_factory=dict)
    #: what the caller adds to every request; the engine never sees it
    headers: tuple[tuple[str, str], ...] = ()
    #: what the marker of a search may begin with
    outcomes: tuple[str, ...]


FORCED: Final = (("X-Rerank", "on"), ("X-Rerank-Query", "parity"))
"""Every search that can be reranked is, also one without words and one in the caller's own order."""

MODES: Final = {
    mode.letter: mode
    for mode in (
        Mode(
            letter="A",
            words="reranking off",
            scorer="test:identity",
            environment={"RERANK__ENABLED": "false"},
            outcomes=("skipped",),
        ),
        Mode(
            letter="B",
            words="identity scorer, forced, no deadline",
            scorer="test:identity",
            environment={"RERANK__DEADLINE_MS": "0", "RERANK__TOKEN_BUDGET": "0"},
            headers=FORCED,
            outcomes=("applied", "skipped"),
        ),
        Mode(
            letter="C",
            words="failing scorer, forced",
            scorer="test:failing",
            headers=FORCED,
            outcomes=("degraded", "skipped", "applied; candidates=0"),  # a page beyond the window needs no scorer
        ),
        Mode(
            letter="D",
            words="stalled scorer, forced, deadline of 30 ms",
            scorer="test:stalled",
            environment={"RERANK__DEADLINE_MS": "30"},
            headers=FORCED,
            outcomes=("degraded", "skipped", "applied; candidates=0"),
        ),
        Mode(
            letter="E",
            words="identity scorer, forced, no deadline, every page in two steps",
            scorer="test:identity",
            environment={"RERANK__DEADLINE_MS": "0", "RERANK__TOKEN_BUDGET": "0", "RERANK__FETCH": "twice"},
            headers=FORCED,
            outcomes=("applied", "skipped"),
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A running proxy: where it answers and what it logs."""

    mode: Mode
    url: str
    log: Path

    def errors(self) -> list[str]:
        """Return the lines of its log that no proxy should write."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if " ERROR " in line or line.startswith(("Traceback", "Task "))]


@asynccontextmanager
async def serving(mode: Mode, engine_url: str) -> AsyncIterator[Proxy]:
    """Run `serve` in front of an engine until the context is left."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    chosen = {f"{_PREFIX}{name}": value for name, value in mode.environment.items()}
    flags = ["--engine", engine_url, "--scorer", mode.scorer, "--allow-test-scorers"]
    flags += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    with TemporaryDirectory(prefix=f"parity-{mode.letter}-") as folder, _opened(Path(folder, "log")) as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "serve", *flags),
            env={**inherited, **chosen},
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            yield Proxy(mode=mode, url=await _address(process, log), log=Path(folder, "log"))
        finally:
            await _stop(process)


def _opened(path: Path) -> IO[bytes]:
    return path.open("w+b")


async def _address(process: asyncio.subprocess.Process, log: IO[bytes]) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        async for line in process.stdout:
            words, _, address = line.decode().strip().rpartition(" ")
            if words == "listening on":
                return address
    log.seek(0)
    raise RuntimeError(f"the proxy did not start:\n{log.read().decode(errors='replace')}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
