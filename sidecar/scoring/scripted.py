"""Test scorers: answers that follow a script, for parity tests and faults. No model.

Law: never the default and never silent. `--scorer test:NAME` is refused unless `--allow-test-scorers` stands
beside it, and the facts call the model "test:NAME".

    test:identity    scores fall with the position, so that the first stage's order stays
    test:slow=MS     the same after MS milliseconds
    test:slow=MSxN   the same, N calls at a time: a device, before which others wait
    test:failing     every call fails as a broken model does
    test:stalled     no call is ever answered
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

from sidecar.errors import ConfigError, ModelFailed, RerankUnavailable, ScorerLost, ScoringTimeout
from sidecar.scoring.base import ModelFacts

_SLOW = re.compile(r"(\d+)(?:x([1-9]\d*))?")

PREFIX: Final = "test:"

STEP = 0.01
"""Distance of neighbouring scores: through the sigmoid still distinct after a thousand candidates."""


def is_test_scorer(name: str) -> bool:
    """Whether a scorer, or a model, is called like one of these."""
    return name.startswith(PREFIX)


def parse(name: str) -> ScriptedScorer:
    """Return the test scorer called `name`, e.g. "test:identity" or "test:slow=50".

    Raises:
        ConfigError: there is no such test scorer.
    """
    match name.removeprefix(PREFIX).partition("="):
        case ("identity", "", ""):
            return ScriptedScorer(name, _at_once)
        case ("failing", "", ""):
            return ScriptedScorer(name, _fail)
        case ("stalled", "", ""):
            return ScriptedScorer(name, _stall)
        case ("slow", "=", given) if found := _SLOW.fullmatch(given):
            return ScriptedScorer(name, _slow(int(found[1]) / 1000, int(found[2]) if found[2] else None))
        case _:
            names = "test:identity, test:failing, test:stalled, test:slow=MILLISECONDS or test:slow=MILLISECONDSxCALLS"
            raise ConfigError(f"scorer: got {name!r}, expected {names}")


class ScriptedScorer:
    """A Scorer that waits for its script and then scores by position."""

    #: positions must count over the whole window: score_prefix sends it in one call
    whole_window: Literal[True] = True

    def __init__(self, name: str, script: Callable[[], Awaitable[None]]) -> None:
        """Run `script` before every answer; what it raises is the answer."""
        self._name = name
        self._script = script
        self._closed = asyncio.Event()

    def describe(self) -> ModelFacts:
        """Return facts under the test's name."""
        return ModelFacts(
            name=self._name,
            revision=self._name,
            kind="cross-encoder",
            max_length=512,
            recommended_fusion="model_only",
            whole_window=True,
        )

    async def loaded(self) -> ModelFacts:
        """Return the facts: there is nothing to load; see `LocalScorer.loaded`."""
        return self.describe()

    async def ended(self) -> RerankUnavailable:
        """Wait for the end, and return what calls get from then on; see `LocalScorer.ended`."""
        await self._closed.wait()
        return ScorerLost(f"{self._name} was closed")

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return scores that fall with the position, as the script says."""
        del query
        await self._follow_script(deadline)
        return [-STEP * position for position in range(len(texts))]

    async def _follow_script(self, deadline: float | None) -> None:
        """Run the script until it ends, the scorer is closed or the deadline passes."""
        script = asyncio.ensure_future(self._script())
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wait({script, closed}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise ScoringTimeout(f"{self._name} did not answer before the deadline") from error
        finally:
            closed.cancel()
            script.cancel()
        if self._closed.is_set():
            raise ScorerLost(f"{self._name} was closed")
        script.result()

    async def aclose(self) -> None:
        """End calls that wait."""
        self._closed.set()


def _slow(seconds: float, calls: int | None) -> Callable[[], Awaitable[None]]:
    """Return a script that takes its time; `calls` run it at a time, and others wait for their turn."""
    if calls is None:
        return lambda: asyncio.sleep(seconds)
    free = asyncio.Semaphore(calls)

    async def wait() -> None:
        async with free:
            await asyncio.sleep(seconds)

    return wait


async def _at_once() -> None:
    """Answer now."""


async def _fail() -> None:
    raise ModelFailed("test:failing fails by order")


async def _stall() -> None:
    await asyncio.Event().wait()
