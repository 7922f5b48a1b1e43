"""`serve --workers N`: several front processes on one listening socket, and the scorers that they share.

    rerank-sidecar serve
      ├── scorer     supervised as ever, and one more for each model that a policy names
      ├── front 0    the whole proxy, but for its scorers: `fronts.py`
      └── front 1    …

Laws: the parent binds the socket and takes no connection, so that nothing it does delays a search. A front that ends
is started again; connections that wait meanwhile are taken by the others. What a front has to know comes by a pipe,
secrets included; the pipe's end tells it that its parent is gone, and it ends as after SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from sidecar.child import Child, SupervisorOptions
from sidecar.errors import ConfigError
from sidecar.program.clicks import with_signing_key
from sidecar.program.config import Settings
from sidecar.program.live import LivePolicies
from sidecar.program.models import Models
from sidecar.program.parts import EMBEDDED, Options, open_scorer
from sidecar.program.spreading import Spreading
from sidecar.program.wiring import health_of, open_admin, until_stopped
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import FINISH_SECONDS, Address, bound, listening
from sidecar.scoring.base import Scorer
from sidecar.scoring.worker import SupervisedScorer
from sidecar.telemetry.metrics import ScorerFigures
from sidecar.telemetry.worker_metrics import WorkerMetrics

ARGV: Final = (sys.executable, "-m", "sidecar", "front")
LISTENING: Final = "listening on "
CANNOT_START: Final = "exit_code=2"
METRICS_URL: Final = "http://front/_rerank/metrics"

LET_GO_SECONDS: Final = 60.0
"""After all fronts have other policies, until a scorer ends that these do not name: what a search may still take."""

GRACE_SECONDS: Final = 5.0
"""What a front may take beyond draining and the longest request before it is killed."""


class Front:
    """One front process, kept alive."""

    def __init__(
        self,
        number: int,
        order: Callable[[], bytes],
        sockets: Sequence[int],
        options: SupervisorOptions,
        *,
        announce: Callable[[str], None],
        began: Callable[[], None],
        cannot_start: Callable[[], None],
    ) -> None:
        """Start it with its order of that moment (a line of `fronts.Order`) and the sockets that it inherits.

        `announce` is called with every line that it prints; `began` when it listens; `cannot_start` when it ends for
        its configuration before it has ever listened.
        """
        self.is_listening = False
        self._has_listened = False
        self._order = order
        self._announce = announce
        self._began = began
        self._cannot_start = cannot_start
        self._child = Child(f"front-{number}", ARGV, options, attend=self._attend, ended=self._ended, pass_fds=sockets)

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._child.starts

    async def aclose(self) -> None:
        """Let it finish what it has begun, and end it."""
        await self._child.aclose()

    async def _attend(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # it has ended
            process.stdin.write(self._order())
            await process.stdin.drain()
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            if text.startswith(LISTENING):
                self.is_listening = self._has_listened = True
                self._began()
            self._announce(text)

    def _ended(self, how: str) -> None:
        self.is_listening = False
        if how == CANNOT_START and not self._has_listened:
            self._cannot_start()


async def serve(options: Options) -> None:
    """Run the fronts and their scorers until SIGTERM or SIGINT. Raises ConfigError when they cannot start."""
    settings = options.settings
    if any(url.partition(":")[0] == EMBEDDED for url in settings.engine.urls):
        raise ConfigError(f"workers: got {settings.workers}, expected 1: the embedded engine lives in one process")
    stop, has_failed = asyncio.Event(), False
    fronts: dict[str, Front] = {}

    def cannot_start() -> None:
        nonlocal has_failed
        has_failed = True
        stop.set()

    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rerank-sidecar-")))  # mode 0700
        scorer = await stack.enter_async_context(open_scorer(options))
        figures = ScorerFigures()
        models = Models(options, figures.watch)
        stack.push_async_callback(models.aclose)
        await models.open(settings.model_names())
        for name, each in {"main": scorer, **models.scorers}.items():
            if isinstance(each, SupervisedScorer):
                figures.watch(name, each)
        addresses = partial(_addresses, scorer, models)
        sockets = await bound(Address.parse(settings.listen))
        stack.callback(_close, sockets)
        health = health_of(scorer, settings)
        has_model = health.is_started
        health.is_started = lambda: has_model() and any(front.is_listening for front in fronts.values())
        own = {**health.endpoints(), **_metrics(settings.workers, folder, fronts, figures).endpoints()}
        await stack.enter_async_context(listening(ProxyApp(None, own), Address(unix=f"{folder}/parent")))
        spreading = Spreading(
            {str(number): _own_socket(folder, number) for number in range(settings.workers)},
            is_listening=lambda number: number in fronts and fronts[number].is_listening,
            scorers=addresses,
        )

        async def prepare(changed: Settings) -> None:
            await models.load(changed.model_names())

        async def use(changed: Settings) -> None:
            await spreading.use(changed)
            models.keep(changed.model_names(), _until_fronts_have_finished)

        live = LivePolicies(settings, use, options.read, prepare=prepare)
        for_fronts = replace(options, settings=with_signing_key(settings))  # what one has signed the others believe
        await open_admin(stack, options, own, live)
        try:
            for number in range(settings.workers):
                fronts[str(number)] = Front(
                    number,
                    partial(_order, number, live, for_fronts, folder, sockets, addresses),
                    [each.fileno() for each in sockets],
                    SupervisorOptions(patience=settings.drain_seconds + FINISH_SECONDS + GRACE_SECONDS),
                    announce=_Announcer(options.announce if number == 0 else None),
                    began=partial(spreading.began, str(number)),
                    cannot_start=cannot_start,
                )
            with live.listening_to_sighup():
                await until_stopped(stop)
        finally:
            health.is_draining = True
            _close(sockets)  # nobody is to wait in a queue that none serves: the fronts' own close in time
            await asyncio.gather(*(front.aclose() for front in fronts.values()))
    if has_failed:
        raise ConfigError("the front processes cannot start; the lines above say why")


def _order(
    number: int,
    live: LivePolicies,
    options: Options,
    folder: Path,
    sockets: Sequence[socket.socket],
    addresses: Callable[[], Mapping[str, str]],
) -> bytes:
    """Return what a front is told, as `fronts.Order` reads it."""
    order = {
        "settings": options.settings.dumped(),
        "live": live.settings.live(),
        "allow_test_scorers": options.allow_test_scorers,
        "sockets": [each.fileno() for each in sockets],
        "scorers": dict(addresses()),
        "admin": f"unix:{_own_socket(folder, number)}",
        "parent": f"unix:{folder}/parent",
    }
    return json.dumps(order).encode() + b"\n"


def _addresses(scorer: Scorer, models: Models) -> dict[str, str]:
    """Return where the scorers are that the parent supervises; the others are opened by every front itself."""
    scorers = {"": scorer, **models.scorers}
    return {name: each.url for name, each in scorers.items() if isinstance(each, SupervisedScorer)}


async def _until_fronts_have_finished() -> None:
    await asyncio.sleep(LET_GO_SECONDS)


def _own_socket(folder: Path, number: int) -> Path:
    return folder / f"front-{number}"


def _metrics(workers: int, folder: Path, fronts: Mapping[str, Front], figures: ScorerFigures) -> WorkerMetrics:
    return WorkerMetrics(
        {str(number): _asker(_own_socket(folder, number)) for number in range(workers)},
        is_listening=lambda number: number in fronts and fronts[number].is_listening,
        starts=lambda number: fronts[number].starts if number in fronts else 0,
        scorers=figures,
    )


def _asker(path: Path) -> Callable[[], Awaitable[bytes]]:
    """Return what asks a front for its metrics over its own socket."""

    async def ask() -> bytes:
        connector = aiohttp.UnixConnector(str(path))
        try:
            async with aiohttp.ClientSession(connector=connector) as session, session.get(METRICS_URL) as answer:
                return await answer.read()
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error) or type(error).__name__) from error

    return ask


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


class _Announcer:
    """Says what a front says when it starts, once: what it says again is known."""

    def __init__(self, announce: Callable[[str], None] | None) -> None:
        self._announce = announce
        self._said: set[str] = set()

    def __call__(self, line: str) -> None:
        if self._announce is not None and line not in self._said:
            self._said.add(line)
            self._announce(line)
