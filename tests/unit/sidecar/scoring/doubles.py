"""A model that does what the test says, when it says so; and a clock that stands still until it does."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec

from sidecar.errors import ModelFailed
from sidecar.scoring.base import ModelFacts, TokenPair

FACTS = ModelFacts(name="fake", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only")

WARM_UP_TEXT_LETTERS = 100
"""Texts of the speed measurement are longer; a gated model lets their forwards through."""


class FakeModel:
    """A PairModel whose tokens are letters and whose score is the text's first letter's code.

    With `is_gated`, forwards of real work wait until the test lets them go, one by one.
    """

    def __init__(self, *, is_gated: bool = False) -> None:
        """Remember what is asked."""
        self.facts = FACTS
        self.queries_cut = 0
        self.is_gated = is_gated
        self.batches: list[list[str]] = []
        self.launched = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)
        self.result: Callable[[Sequence[TokenPair]], list[float]] = scores_of
        self.tokenize_error: Exception | None = None

    def tokenize(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Turn letters into their codes."""
        if self.tokenize_error is not None:
            raise self.tokenize_error
        query_ids = tuple(map(ord, query))
        return [TokenPair(query_ids, tuple(map(ord, text))) for text in texts]

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Note the batch, wait for the gate, answer."""
        if len(pairs[0].text_ids) >= WARM_UP_TEXT_LETTERS:
            return scores_of(pairs)
        self.batches.append(["".join(map(chr, pair.text_ids)) for pair in pairs])
        self.launched.release()
        if self.is_gated and not self._gate.acquire(timeout=10):
            raise ModelFailed("the test never let this forward go")
        return self.result(pairs)

    def let_go(self, forwards: int = 1) -> None:
        """Let that many forwards end, now or later."""
        self._gate.release(forwards)


class PreparingModel(FakeModel):
    """The same with batches that the host prepares; `prepared` notes the slot and the texts of each."""

    def __init__(self, *, is_gated: bool = False) -> None:
        """Remember what is asked."""
        super().__init__(is_gated=is_gated)
        self.prepared: list[tuple[int, list[str]]] = []
        self.has_prepared = threading.Semaphore(0)
        self.prepare_error: Exception | None = None

    def prepare(self, pairs: Sequence[TokenPair], *, slot: int) -> tuple[TokenPair, ...]:
        """Note the batch."""
        self.prepared.append((slot, ["".join(map(chr, pair.text_ids)) for pair in pairs]))
        self.has_prepared.release()
        if self.prepare_error is not None:
            raise self.prepare_error
        return tuple(pairs)

    def run(self, batch: tuple[TokenPair, ...]) -> list[float]:
        """Do as `forward` does with a batch of ours, and with nothing else."""
        assert isinstance(batch, tuple)
        return self.forward(batch)


def scores_of(pairs: Sequence[TokenPair]) -> list[float]:
    """Return the code of every text's first letter."""
    return [float(pair.text_ids[0]) if pair.text_ids else 0.0 for pair in pairs]


P = ParamSpec("P")


class FakeClock(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until the test moves it on."""

    now = 1000.0

    def time(self) -> float:
        """Return the time that the test says it is."""
        return self.now


def on_fake_clock(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a loop with a fake clock."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=FakeClock) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def advance(seconds: float) -> None:
    """Move the fake clock on, and let everything happen that is due then."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeClock)
    loop.now += seconds
    for _ in range(5):
        await asyncio.sleep(0)


async def a_moment() -> None:
    """Wait a millisecond of real time, whatever the clock says."""
    await asyncio.to_thread(threading.Event().wait, 0.001)
