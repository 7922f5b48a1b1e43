"""A scorer in a child process that waits for its test before every answer, so that a test can kill it in mid-search.

The child asks at a gate, a unix socket that the test listens on. Also a program: what the supervisor starts.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sidecar.scoring.worker import SupervisedScorer, SupervisorOptions, exit_with_parent
from tests.integration.proxies import ShortestFirst
from tests.scoring_server import serving

OPTIONS = SupervisorOptions(back_off=0.01, longest_back_off=0.05, patience=0.5)


class Gate:
    """Where the child asks. Open at first."""

    def __init__(self) -> None:
        """Be open, and have been asked nothing."""
        self.asked = asyncio.Event()
        self._is_open = asyncio.Event()
        self._is_open.set()

    def close(self) -> None:
        """Hold every answer from now on."""
        self._is_open.clear()
        self.asked.clear()

    def open(self) -> None:
        """Let the answers go."""
        self._is_open.set()

    async def answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let one answer go when the gate is open; whoever asked may be dead by then."""
        self.asked.set()
        await self._is_open.wait()
        with suppress(ConnectionError):
            writer.write(b"go\n")
            writer.close()
            await writer.wait_closed()


class HeldScorer(ShortestFirst):
    """ShortestFirst behind a gate."""

    def __init__(self, gate: str) -> None:
        """Ask at this unix socket."""
        super().__init__()
        self._gate = gate

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Wait for the gate, then score."""
        reader, writer = await asyncio.open_unix_connection(self._gate)
        try:
            await reader.readline()
        finally:
            writer.close()
        return await super().score(query, texts, deadline=deadline)


@asynccontextmanager
async def held_scorer(folder: Path) -> AsyncIterator[tuple[SupervisedScorer, Gate]]:
    """Give a supervised child, its model loaded, and its gate."""
    gate, path = Gate(), folder / "gate"
    server = await asyncio.start_unix_server(gate.answer, path)
    scorer = SupervisedScorer([sys.executable, "-m", "tests.integration.held_scorer", str(path)], OPTIONS)
    try:
        async with asyncio.timeout(30):
            await scorer.loaded()
        yield scorer, gate
    finally:
        await scorer.aclose()
        gate.open()
        server.close()
        await server.wait_closed()


async def _main(gate: str, listen: str) -> None:
    async with serving(HeldScorer(gate), Path(listen.removeprefix("unix:"))):
        await asyncio.Event().wait()


if __name__ == "__main__":  # python -m tests.integration.held_scorer GATE --listen unix:/path
    exit_with_parent()
    asyncio.run(_main(sys.argv[1], sys.argv[3]))
