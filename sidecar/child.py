"""A process of ours that is kept alive: started again a moment after it ends, whatever ended it, until it is closed.

Law: its standard input is a pipe that we hold open and whose end means that we are gone, however that came about.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sidecar import tasks

log = logging.getLogger(__name__)

_STDERR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """When to start the child again and how long to wait for its end, in seconds."""

    #: before the first new start; doubles while the child keeps ending soon
    back_off: float = 0.1
    #: at most
    longest_back_off: float = 10.0
    #: a child that lived this long ended for a new reason: the back-off begins anew
    long_life: float = 30.0
    #: between SIGTERM and SIGKILL when the child is closed
    patience: float = 5.0


async def _nothing(_: Process) -> None:
    """Let a child be."""


class Child:
    """A supervised process. Belongs to the event loop in which it is made; it starts at once."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        options: SupervisorOptions | None = None,
        *,
        before: Callable[[], None] = lambda: None,
        attend: Callable[[Process], Coroutine[Any, Any, None]] | None = None,
        ended: Callable[[str], None] = lambda how: None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start `argv`; what it writes to standard error goes to ours.

        `before` is called before every start and `ended` after every end, with how it came. `attend` is run beside
        each process and may write to its standard input and read its standard output, which without it goes to our
        standard error. `pass_fds` are file descriptors that it inherits.
        """
        self._name = name
        self._argv = list(argv)
        self._options = options or SupervisorOptions()
        self._before = before
        self._attend = attend
        self._ended = ended
        self._pass_fds = tuple(pass_fds)
        self._process: Process | None = None
        self._starts = 0
        self._supervisor = tasks.start(self._supervise(), name=f"supervise {name}")

    @property
    def pid(self) -> int | None:
        """The process id, None while there is no process."""
        return None if self._process is None else self._process.pid

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._starts

    async def aclose(self) -> None:
        """End the process: SIGTERM, and SIGKILL when it takes longer than our patience."""
        self._supervisor.cancel()
        await asyncio.wait({self._supervisor})

    async def _supervise(self) -> None:
        """Start the process, wait for its end, and again."""
        back_off = self._options.back_off
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            ended = await self._run()
            if loop.time() - began >= self._options.long_life:
                back_off = self._options.back_off
            log.error("%s ended %s restart_in=%.1f", self._name, ended, back_off)
            self._ended(ended)
            await asyncio.sleep(back_off)
            back_off = min(2 * back_off, self._options.longest_back_off)

    async def _run(self) -> str:
        """Return how the process ended."""
        self._before()
        stdout = _STDERR if self._attend is None else PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=PIPE, stdout=stdout, pass_fds=self._pass_fds
            )
        except OSError as error:
            return f"cannot be started: {error}"
        self._process = process
        self._starts += 1
        attending = tasks.start((self._attend or _nothing)(process), name=f"attend {self._name}")
        try:
            return _ending(await process.wait())
        finally:
            await asyncio.shield(tasks.start(self._end(process), name=f"end {self._name}"))
            attending.cancel()
            self._process = None

    async def _end(self, process: Process) -> None:
        """Make sure that the process is gone, and release its pipe."""
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self._options.patience):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _ending(code: int) -> str:
    return f"signal={signal.Signals(-code).name}" if code < 0 else f"exit_code={code}"
