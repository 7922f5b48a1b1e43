"""The scorer as a process of its own, kept alive: whatever a model does to its process, no search dies with it.

Law: the child holds nothing that matters. It listens on a socket in a private folder, is started again a moment after
it ends, whatever ended it, and ends when its parent does: its standard input is a pipe that nobody ever writes to,
and whose end means that the parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sidecar.child import Child, SupervisorOptions
from sidecar.scoring.alignments import Alignment
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.figures import Figures
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.splitting import Spans

__all__ = ["SupervisedScorer", "SupervisorOptions", "exit_with_parent"]

_PR_SET_PDEATHSIG: Final = 1


class SupervisedScorer:
    """A Scorer in a child process. Belongs to the event loop in which it is made; the child starts at once."""

    def __init__(self, argv: Sequence[str], options: SupervisorOptions | None = None) -> None:
        """Start `argv` with `--listen unix:SOCKET` added; what it writes goes to our standard error."""
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-sidecar-")  # mode 0700
        socket = Path(self._folder.name, "scorer.sock")
        #: where it can be asked by other processes of the same user
        self.url = f"unix:{socket}"
        self._remote = RemoteScorer(self.url)
        self._child = Child(
            "scorer",
            [*argv, "--listen", self.url],
            options,
            before=lambda: socket.unlink(missing_ok=True),
            ended=lambda how: self._remote.lost(f"the scorer process ended: {how}"),
        )

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is no child."""
        return self._child.pid

    @property
    def starts(self) -> int:
        """How often a child was started."""
        return self._child.starts

    @property
    def whole_window(self) -> bool:
        """Whether the child's model wants a window in one call."""
        return self._remote.whole_window

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
        await self._child.aclose()
        await self._remote.aclose()
        self._folder.cleanup()


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
