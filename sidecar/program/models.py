"""The scorers of the models that policies name, beside the main one: there as long as a policy in force names them.

    load    before a change of policies: what is new is started beside what there is, and waited for
    keep    after it: what is named no more is let go, once nobody uses it

Law: a model that cannot be had changes nothing, and a search keeps the scorer that it was begun with.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from typing import Final

from sidecar import tasks
from sidecar.errors import ConfigError, RerankUnavailable
from sidecar.program.parts import Options, await_facts, model_line, open_scorer
from sidecar.scoring.base import Scorer

logger = logging.getLogger(__name__)

LOAD_SECONDS: Final = 600.0
"""After which a model that policies name while the program runs cannot be had: also over a slow network it is longer
than most take, and who asked for it waits."""


class Models:
    """Scorers by name. Belongs to one event loop."""

    def __init__(self, options: Options, watch: Callable[[str, Scorer], None] = lambda name, scorer: None) -> None:
        """Open scorers by these options; `watch` is called with each that is opened later than at start."""
        self._options = options
        self._watch = watch
        self._stacks: dict[str, AsyncExitStack] = {}
        #: named by the policies in force, and how often by those that are to be
        self._wanted: set[str] = set()
        self._asked_for: Counter[str] = Counter()
        self._loading: dict[str, asyncio.Task[ConfigError | None]] = {}
        self._going: set[asyncio.Task[None]] = set()
        #: those that can be asked; changes in place
        self.scorers: dict[str, Scorer] = {}

    async def open(self, names: Collection[str]) -> None:
        """Open scorers at start, without waiting until they have loaded.

        Raises:
            ConfigError: one that cannot be opened.
        """
        self._wanted = set(names)
        for name in names:
            await self._open(name)

    async def load(self, names: Collection[str]) -> None:
        """Open the scorers that are not there, and return when they have loaded.

        Raises:
            ConfigError: a model cannot be had; its scorer is closed again.
        """
        self._asked_for.update(names)  # also those that are there, and may be about to go
        try:
            for name in names:
                if name not in self.scorers and name not in self._loading:
                    self._loading[name] = tasks.start(self._load(name), name=f"load {name}")
                if name in self._loading and (failure := await asyncio.shield(self._loading[name])) is not None:
                    raise failure
        finally:
            self._asked_for.subtract(names)

    async def _load(self, name: str) -> ConfigError | None:
        try:
            scorer = await self._open(name)
            self._watch(name, scorer)
            async with asyncio.timeout(LOAD_SECONDS):
                facts = await await_facts(scorer)
        except ConfigError as error:
            return error
        except (RerankUnavailable, TimeoutError) as error:
            await self._close(name)
            why = str(error) or f"not loaded after {LOAD_SECONDS:.0f} seconds"
            return ConfigError(f"policies: model {name} cannot be had: {why}")
        finally:
            del self._loading[name]
        logger.info("model_loaded name=%s facts=%s", name, model_line(facts))
        return None

    def keep(self, names: Collection[str], unused: Callable[[], Awaitable[None]]) -> None:
        """Let go of scorers other than these in the background, each when `unused` returns."""
        self._wanted = set(names)
        gone = [name for name in self.scorers if not self._is_wanted(name)]
        if not gone:
            return
        task = tasks.start(self._let_go(gone, unused), name="let models go")
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def aclose(self) -> None:
        """Close all."""
        running = (*self._going, *self._loading.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for name in list(self._stacks):
            await self._close(name)

    async def _let_go(self, names: Collection[str], unused: Callable[[], Awaitable[None]]) -> None:
        leaving = {name: self._stacks[name] for name in names}
        await unused()
        for name, stack in leaving.items():
            if self._stacks.get(name) is stack and not self._is_wanted(name):
                await self._close(name)
                logger.info("model_let_go name=%s", name)

    def _is_wanted(self, name: str) -> bool:
        return name in self._wanted or self._asked_for[name] > 0 or name in self._loading

    async def _open(self, name: str) -> Scorer:
        stack = AsyncExitStack()
        self.scorers[name] = await stack.enter_async_context(open_scorer(self._options, name))
        self._stacks[name] = stack
        return self.scorers[name]

    async def _close(self, name: str) -> None:
        self.scorers.pop(name, None)
        stack = self._stacks.pop(name, None)
        if stack is not None:
            await stack.aclose()
