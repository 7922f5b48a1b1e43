"""A model by name, for callers in any thread."""

import asyncio
import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError, ModelFailed, RerankUnavailable, ScorerLost, ScorerStarting
from sidecar.integrations import background, scorers
from sidecar.integrations.scorers import SharedScorer, Source, opened, scorer_of
from sidecar.scoring.base import Scorer
from tests.scoring_server import serving
from tests.unit.doubles import FailingScorer, ScriptedScorer


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for."""
    monkeypatch.setattr(scorers, "PATIENCE_SECONDS", 0.01)


def test_what_a_model_may_be() -> None:
    """A scorer is itself; all else is looked for by the first who asks."""
    scorer = ScriptedScorer()
    assert scorer is scorer_of(scorer)
    shared = scorer_of(Path("folder"), device="cpu")
    assert isinstance(shared, SharedScorer)
    assert isinstance(shared, Scorer)
    assert Source(model="folder", device="cpu") == shared.source


@pytest.mark.parametrize(
    ("model", "is_remote"),
    [
        ("offline", False),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", False),
        ("/models/mine", False),
        ("http://scorer:9281", True),
        ("tei+https://scorer/v1", True),
        ("unix:/run/scorer.sock", True),
    ],
)
def test_which_models_are_elsewhere(model: str, is_remote: bool) -> None:
    """Those that are a URL."""
    assert is_remote is Source(model=model).is_remote


def test_a_key_is_not_shown() -> None:
    """In no repr."""
    assert "secret" not in repr(Source(model="http://x", api_key="secret"))


async def test_it_serves_callers_in_any_loop(tmp_path: Path) -> None:
    """One scorer, opened once: this loop's, that of a thread, and the background's."""
    scripted = ScriptedScorer()
    async with serving(scripted, tmp_path / "scorer") as url:
        scorer = scorer_of(url)
        assert isinstance(scorer, SharedScorer)
        assert "scripted" == (await scorer.loaded()).name
        here = await scorer.score("q", ["a", "bb"], deadline=asyncio.get_running_loop().time() + 60)
        there = await asyncio.to_thread(asyncio.run, scorer.score("q", ["a", "bb"]))
        behind = await asyncio.to_thread(background.run, scorer.score("q", ["a", "bb"]))
        assert here == there == behind == [-0.01, -0.02]
        assert [[(0, 1)]] == await scorer.split(["a"], tokens=5, overlap=0)
        await scorer.aclose()


async def test_before_it_is_opened_and_after_it_is_closed(tmp_path: Path) -> None:
    """It says so."""
    async with serving(ScriptedScorer(), tmp_path / "scorer") as url:
        scorer = scorer_of(url)
        with pytest.raises(ScorerStarting):
            scorer.describe()
        await scorer.loaded()
        await scorer.aclose()
        await scorer.aclose()
        for ask in (scorer.loaded(), scorer.score("q", ["a"])):
            with pytest.raises(ScorerLost, match="closed"):
                await ask
        with pytest.raises(ScorerLost, match="closed"):
            scorer.describe()


async def test_one_that_was_closed_unopened_stays_closed() -> None:
    """The first call does not open it."""
    scorer = scorer_of("http://127.0.0.1:9")
    await asyncio.to_thread(scorer.close)
    with pytest.raises(ScorerLost, match="closed"):
        await scorer.loaded()


@pytest.mark.usefixtures("hasty")
async def test_nobody_there(tmp_path: Path) -> None:
    """Is waited for once, and found when it comes."""
    scorer = scorer_of(f"unix:{tmp_path / 'scorer'}")
    await opened(scorer)
    with pytest.raises(RerankUnavailable):
        scorer.describe()
    async with serving(ScriptedScorer(), tmp_path / "scorer"):
        assert "scripted" == (await eventually(scorer)).name
    await scorer.aclose()


async def test_a_model_that_cannot_be_had(tmp_path: Path) -> None:
    """Every call says why."""
    scorer = scorer_of(str(tmp_path / "nothing"))
    await opened(scorer)
    for _ in range(2):
        with pytest.raises(ModelFailed, match="nothing"):
            await scorer.loaded()
    await scorer.aclose()


async def test_an_address_that_makes_no_sense() -> None:
    """Is the caller's error, whenever it is asked."""
    scorer = scorer_of("ftp://scorer")
    for _ in range(2):
        with pytest.raises(ConfigError, match="expected http://HOST:PORT"):
            await opened(scorer)


async def test_a_call_that_was_given_up_settles_nothing(tmp_path: Path) -> None:
    """The next one waits again."""
    scorer = scorer_of(f"unix:{tmp_path / 'scorer'}")
    first = asyncio.ensure_future(scorer.loaded())
    done, _ = await asyncio.wait({first}, timeout=0.01)
    assert not done
    first.cancel()
    await asyncio.wait({first})
    async with serving(ScriptedScorer(), tmp_path / "scorer"):
        assert "scripted" == (await scorer.loaded()).name
    await scorer.aclose()


async def test_opening_waits_for_no_scorer_that_is_given() -> None:
    """It is what it is."""
    await opened(FailingScorer(ModelFailed("x"), is_known_before=True))


async def test_what_nobody_holds_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection stays open."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serving(ScriptedScorer(), tmp_path / "scorer") as url:
        scorer: Any = scorer_of(url)
        await scorer.loaded()
        inner = scorer._inner
        close = inner.aclose

        async def remembered() -> None:
            await close()
            loop.call_soon_threadsafe(closed.set)

        monkeypatch.setattr(inner, "aclose", remembered)
        gone = weakref.ref(scorer)
        del scorer
        gc.collect()
        assert gone() is None
        await closed.wait()


def test_a_copy_is_what_was_asked_for() -> None:
    """Not opened; so are those that go to other processes."""
    scorer: Any = scorer_of("http://127.0.0.1:9", api_key="k")
    for other in (copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer))):
        assert other is not scorer
        assert scorer.source == other.source


UNTIDY = """
import asyncio, os, sys
from sidecar.integrations.scorers import scorer_of

scorer = scorer_of(sys.argv[1])

async def ask():
    await scorer.loaded()
    print(await scorer.score("q", ["a"]), flush=True)

asyncio.run(ask())
if os.fork() == 0:
    asyncio.run(ask())
else:
    print(os.wait()[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
async def test_a_program_that_closes_nothing(tmp_path: Path) -> None:
    """Ends without a complaint; and a process that it forks looks for the scorer itself."""
    silent = ("-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning")
    async with serving(ScriptedScorer(), tmp_path / "scorer") as url:
        command = [sys.executable, *silent, "-c", UNTIDY, url]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert ("[-0.01]\n[-0.01]\n0\n", "", 0) == (done.stdout, done.stderr, done.returncode)


async def eventually(scorer: Any) -> Any:
    """Return the facts of a scorer once it has been found by its own looking."""
    while True:
        try:
            return scorer.describe()
        except RerankUnavailable:
            await asyncio.sleep(0.005)
