"""A model as people name it, as a scorer that may be asked from any thread and any event loop.

Law: what is opened here lives in the background loop and is closed by whoever asked for it, or when nobody holds it any
more; a scorer that was given as an object is called in the caller's own loop, and stays its maker's to close.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sidecar.errors import RerankUnavailable, ScorerLost, ScorerStarting
from sidecar.integrations import background
from sidecar.program.config import DEFAULT_MODEL
from sidecar.scoring import splitting
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.loading import begin_loading
from sidecar.scoring.pool import Pool
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.splitting import Spans

AnyModel: TypeAlias = str | os.PathLike[str] | Scorer
"""A model by hub id or folder, "offline", the URL of a scorer or of somebody's rerank API, or a scorer itself."""

PATIENCE_SECONDS: Final = 3.0
"""Whoever asks first waits so long for a scorer elsewhere; a model of our own is waited for until it is loaded."""

CLOSING_SECONDS: Final = 5.0
"""The end of a program waits so long for each scorer that nobody has closed."""

_opened: weakref.WeakSet[SharedScorer] = weakref.WeakSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model, and how it is loaded or asked; the words are those of `[model]` and `[scorer]` in the configuration."""

    model: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: str = "auto"
    max_length: int | None = None
    #: sent to a URL as a bearer token
    api_key: str | None = field(default=None, repr=False)
    #: the name to ask somebody's server for; ours has one model
    remote_model: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the model is a URL."""
        return "://" in self.model or self.model.startswith("unix:")


def scorer_of(model: AnyModel, **settings: Any) -> Scorer:
    """Return the scorer that `model` names, not opened yet, or `model` where it is one. `settings` as in `Source`."""
    if isinstance(model, str | os.PathLike):
        return SharedScorer(Source(model=os.fspath(model), **settings))
    return model


async def opened(scorer: Scorer) -> None:
    """Open a scorer that is not, and wait until it has loaded or failed: what it is asked next says which."""
    if isinstance(scorer, SharedScorer):
        with suppress(RerankUnavailable):
            await scorer.loaded()


class SharedScorer:
    """A scorer for callers in any loop. The first one who asks opens it."""

    def __init__(self, source: Source) -> None:
        """Know where the model is; nothing is loaded yet."""
        self.source = source
        self._inner: LocalScorer | RemoteScorer | None = None
        self._is_settled = False
        self._is_closed = False
        self._patient_until: float | None = None
        self._abandon: weakref.finalize[Any, SharedScorer] | None = None

    def __reduce__(self) -> tuple[type[SharedScorer], tuple[Source]]:
        """Be copied and pickled as what was asked for, not opened."""
        return SharedScorer, (self.source,)

    def describe(self) -> ModelFacts:
        """Return the model's facts; see `Scorer.describe`."""
        return self._asked().describe()

    async def loaded(self) -> ModelFacts:
        """Open the scorer, wait for its model, and return its facts. Only the first calls wait.

        Raises:
            RerankUnavailable: the model cannot be had, a scorer elsewhere does not answer, or this one is closed.
            ConfigError: the model is a URL that makes no sense.
        """
        if not self._is_settled:
            await background.wait(self._load())
        return self.describe()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text; see `Scorer.score`. The event loops of a process share their clock."""
        return await background.wait(self._asked().score(query, texts, deadline=deadline))

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`."""
        return await background.wait(splitting.split(self._asked(), texts, tokens=tokens, overlap=overlap))

    async def aclose(self) -> None:
        """Close what was opened: waiting calls end with ScorerLost."""
        await background.wait(self._close())

    def close(self) -> None:
        """Do that, and wait."""
        background.run(self._close())

    def _asked(self) -> LocalScorer | RemoteScorer:
        if self._is_closed:
            raise ScorerLost("the scorer is closed")
        if self._inner is None:
            raise ScorerStarting("the scorer has not been opened")
        return self._inner

    async def _load(self) -> None:
        """Open the scorer and wait for it; in the background loop, so that it is opened once."""
        if self._inner is None and not self._is_closed:
            Context().run(self._open)  # what outlives the first caller has nothing of that caller's context
        inner = self._asked()
        try:
            async with asyncio.timeout_at(self._patient_until):
                await inner.loaded()
        except (RerankUnavailable, TimeoutError):  # what `describe` says from now on
            pass
        self._is_settled = True

    def _open(self) -> None:
        source = self.source
        if source.is_remote:
            self._inner = RemoteScorer(source.model, api_key=source.api_key, model=source.remote_model, pool=Pool())
            self._patient_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        else:
            self._inner = begin_loading(
                source.model, device=source.device, dtype=source.dtype, max_length=source.max_length
            )
        _opened.add(self)
        self._abandon = weakref.finalize(self, _abandon, self._inner)
        self._abandon.atexit = False

    async def _close(self) -> None:
        self._is_closed = True
        _opened.discard(self)
        if self._abandon is not None:
            self._abandon.detach()
        if self._inner is not None:
            await self._inner.aclose()

    def _begin_anew(self) -> None:
        """Be as never opened: what was, lives in the process that this one was forked from."""
        self._inner, self._is_settled = None, False


def _abandon(scorer: LocalScorer | RemoteScorer) -> None:
    """Close a scorer that nobody holds any more; whichever thread finds that out does not wait."""
    background.submit(scorer.aclose())


@atexit.register
def _close_all() -> None:
    """Leave no connection open at the end of the program."""
    for scorer in list(_opened):
        with suppress(Exception):
            background.submit(scorer.aclose()).result(CLOSING_SECONDS)


def _forked() -> None:
    for scorer in list(_opened):
        scorer._begin_anew()
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
