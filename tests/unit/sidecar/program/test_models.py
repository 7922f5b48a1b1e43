"""The scorers of models that policies name: loaded before a change, let go after it, and none lost."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.errors import ConfigError, ModelFailed, ScorerStarting
from sidecar.program import models as module
from sidecar.program.config import Settings
from sidecar.program.models import Models
from sidecar.program.parts import Options
from sidecar.scoring.base import ModelFacts, Scorer
from tests.unit.doubles import ScriptedScorer, facts


class Loading(ScriptedScorer):
    """A scorer that loads until it is told, and remembers that it was closed."""

    def __init__(self) -> None:
        """Begin to load."""
        super().__init__()
        self.failure: Exception | None = ScorerStarting("loading")
        self.closed = asyncio.Event()

    def describe(self) -> ModelFacts:
        """Return facts once it has loaded."""
        if self.failure is not None:
            raise self.failure
        return facts()

    async def aclose(self) -> None:
        """Close it."""
        self.closed.set()


class Shelf:
    """Models whose scorers do as the test says, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Open what is asked for."""
        self.opened: dict[str, Loading] = {}
        self.began: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.count = 0
        self.watched: list[str] = []
        monkeypatch.setattr(module, "open_scorer", self._open)
        self.models = Models(Options(settings=Settings()), lambda name, _: self.watched.append(name))

    @asynccontextmanager
    async def _open(self, options: Options, name: str) -> AsyncIterator[Scorer]:
        del options
        self.count += 1
        scorer = self.opened[name] = Loading()
        self.began[name].set()
        try:
            yield scorer
        finally:
            await scorer.aclose()

    async def load(self, name: str) -> None:
        """Load a model to its end."""
        loading = asyncio.ensure_future(self.models.load([name]))
        await self.began[name].wait()
        self.opened[name].failure = None
        await loading


@pytest.fixture
async def shelf(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shelf]:
    """No models yet."""
    shelf = Shelf(monkeypatch)
    yield shelf
    await shelf.models.aclose()


async def at_once() -> None:
    """Nobody uses it."""


async def test_at_start_nobody_waits(shelf: Shelf) -> None:
    """Searches say meanwhile that the model is starting."""
    await shelf.models.open(["a", "b"])
    assert {"a", "b"} == shelf.models.scorers.keys()
    await shelf.models.aclose()
    assert all(each.closed.is_set() for each in shelf.opened.values())


async def test_later_a_model_is_there_when_it_has_loaded(shelf: Shelf) -> None:
    """One that is there already is waited for no more, and none is loaded twice."""
    await shelf.models.open(["old"])
    await shelf.load("new")
    await shelf.models.load(["old", "new"])
    assert (2, ["new"]) == (shelf.count, shelf.watched)


async def test_a_model_that_cannot_be_had_changes_nothing(shelf: Shelf) -> None:
    """Whoever asked is told why, and nothing of it stays."""
    await shelf.models.open(["old"])
    loading = asyncio.ensure_future(shelf.models.load(["old", "new"]))
    await shelf.began["new"].wait()
    shelf.opened["new"].failure = ModelFailed("no such folder")
    with pytest.raises(ConfigError, match="policies: model new cannot be had: no such folder"):
        await loading
    assert ["old"] == list(shelf.models.scorers)
    assert shelf.opened["new"].closed.is_set()


async def test_a_model_that_takes_too_long_cannot_be_had(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """After minutes: a hub that hangs is not waited for for ever."""
    monkeypatch.setattr(module, "LOAD_SECONDS", 0.01)
    with pytest.raises(ConfigError, match="policies: model new cannot be had: not loaded after 0 seconds"):
        await shelf.models.load(["new"])


async def test_what_is_named_no_more_goes_when_nobody_uses_it(shelf: Shelf) -> None:
    """It can be asked until then."""
    await shelf.load("old")
    await shelf.load("new")
    free = asyncio.Event()

    async def unused() -> None:
        await free.wait()

    shelf.models.keep(["new"], unused)
    await asyncio.sleep(0)
    assert {"old", "new"} == shelf.models.scorers.keys()
    free.set()
    await shelf.opened["old"].closed.wait()
    assert (["new"], False) == (list(shelf.models.scorers), shelf.opened["new"].closed.is_set())


async def test_what_is_named_again_meanwhile_stays(shelf: Shelf) -> None:
    """Back and forth loads nothing twice."""
    await shelf.load("model")
    free = asyncio.Event()

    async def unused() -> None:
        await free.wait()

    shelf.models.keep([], unused)
    await shelf.models.load(["model"])
    shelf.models.keep(["model"], at_once)
    free.set()
    await asyncio.gather(*shelf.models._going)
    assert (1, False) == (shelf.count, shelf.opened["model"].closed.is_set())


async def test_what_is_being_loaded_is_not_let_go(shelf: Shelf) -> None:
    """By a change that comes meanwhile and knows nothing of it."""
    loading = asyncio.ensure_future(shelf.models.load(["new"]))
    await shelf.began["new"].wait()
    shelf.models.keep([], at_once)
    shelf.opened["new"].failure = None
    await loading
    assert not shelf.opened["new"].closed.is_set()


async def test_two_who_ask_for_one_model_wait_for_the_same(shelf: Shelf) -> None:
    """And both are told when it cannot be had."""
    both = [asyncio.ensure_future(shelf.models.load(["new"])) for _ in range(2)]
    await shelf.began["new"].wait()
    shelf.opened["new"].failure = ModelFailed("no such folder")
    found = await asyncio.gather(*both, return_exceptions=True)
    assert (1, [ConfigError, ConfigError]) == (shelf.count, [type(each) for each in found])
