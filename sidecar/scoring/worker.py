"""The scorer as a process of its own, kept alive: whatever a model does to its process, no search dies with it.

Law: the child holds nothing that matters. It listens on a socket in a private folder, is started again a moment after
it ends, whatever ended it, and ends when its parent does: its standard input is a pipe that nobody ever writes to,
and whose end means that the parent is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import tempfile
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar import tasks
from sidecar.scoring.alignments import Alignment
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.figures import Figures
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.splitting import Spans

log = logging.getLogger(__name__)

_STDERR: Final = 2
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """When to start the child again and how long to wait for its end, in seconds."""

    #: before the first new start; doubles while the child keeps ending soon
    back_off: float = 0.1
    #: at most
    longest_back_off: float = 10.0
    #: a child that lived this long ended for a new reason: the back-off begins anew
    long_life: float = 30.0
    #: between SIGTERM and SIGKILL when the scorer is closed
    patience: float = 5.0


class SupervisedScorer:
    """A Scorer in a child process. Belongs to the event loop in which it is made; the child starts at once."""

    def __init__(self, argv: Sequence[str], options: SupervisorOptions | None = None) -> None:
        """Start `argv` with `--listen unix:SOCKET` added; what it writes goes to our standard error."""
        self._options = options or SupervisorOptions()
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-sidecar-")  # mode 0700
        self._socket = Path(self._folder.name, "scorer.sock")
        self._argv = [*argv, "--listen", f"unix:{self._socket}"]
        self._remote = RemoteScorer(f"unix:{self._socket}")
        self._process: Process | None = None
        self._starts = 0
        self._supervisor = tasks.start(self._supervise(), name="supervise scorer")

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is no child."""
        return None if self._process is None else self._process.pid

    @property
    def starts(self) -> int:
        """How often a child was started."""
        return self._starts

    def describe(self) -> ModelFacts:
        """Return the facts of the child's model; see `Scorer.describe`."""
        return self._remote.describe()

    async def loaded(self) -> ModelFacts:
        """Wait until a child has loaded its model, and return its facts; see `RemoteScorer.loaded`."""
        return await self._remote.loaded()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text; calls in flight end with ScorerLost when the child does."""
        return await self._remote.score(query, texts, deadline=deadline)

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`."""
        return await self._remote.split(texts, tokens=tokens, overlap=overlap)

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read; see `Aligner.alignments`."""
        return await self._remote.alignments(query, texts)

    async def figures(self) -> Figures:
        """Return what the child counts; see `CountsWork.figures`."""
        return await self._remote.figures()

    async def aclose(self) -> None:
        """End the child (SIGTERM, then SIGKILL) and waiting calls with it."""
        self._supervisor.cancel()
        await asyncio.wait({self._supervisor})
        await self._remote.aclose()
        self._folder.cleanup()

    async def _supervise(self) -> None:
        """Start the child, wait for its end, and again."""
        back_off = self._options.back_off
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            ended = await self._run_child()
            if loop.time() - began >= self._options.long_life:
                back_off = self._options.back_off
            log.error("scorer ended %s restart_in=%.1f", ended, back_off)
            self._remote.lost(f"the scorer process ended: {ended}")
            await asyncio.sleep(back_off)
            back_off = min(2 * back_off, self._options.longest_back_off)

    async def _run_child(self) -> str:
        """Return how the child ended."""
        self._socket.unlink(missing_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(*self._argv, stdin=PIPE, stdout=_STDERR)
        except OSError as error:
            return f"cannot be started: {error}"
        self._process = process
        self._starts += 1
        try:
            return _ending(await process.wait())
        finally:
            await asyncio.shield(tasks.start(self._end(process), name="end scorer"))
            self._process = None

    async def _end(self, process: Process) -> None:
        """Make sure that the child is gone, and release its pipe."""
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(self._options.patience):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def exit_with_parent() -> None:
    """End this process as soon as its parent is gone: called by a child that a SupervisedScorer started."""
    _die_with_parent()
    threading.Thread(target=_exit_at_end_of_input, name="watch parent", daemon=True).start()


def _die_with_parent() -> None:
    """Ask Linux for SIGKILL at the parent's death: the pipe alone would wait for a thread that is let run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def _ending(code: int) -> str:
    return f"signal={signal.Signals(-code).name}" if code < 0 else f"exit_code={code}"
