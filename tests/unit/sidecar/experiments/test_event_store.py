"""What all clicks say, counted now and then."""

import asyncio
from collections.abc import Sequence

import pytest

from sidecar.experiments.event_store import EventsNotKept, Standing
from sidecar.experiments.events import Click
from sidecar.experiments.preference import Preference


class Counting:
    """A store that counts how often it counts, which takes some seconds of its clock."""

    def __init__(self, seconds: float = 0.0, failure: EventsNotKept | None = None) -> None:
        """Take so long, or fail."""
        self.now = 0.0
        self.asked = 0
        self.failure = failure
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._seconds = seconds

    async def append(self, clicks: Sequence[Click]) -> int:
        """Keep nothing."""
        return len(clicks)

    async def preferences(self, since: float = 0.0) -> list[Preference]:
        """Return as many wins as it was asked."""
        self.asked += 1
        self.now += self._seconds
        asked = self.asked
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [Preference(policy="p", version="", method="team_draft", wins=asked, losses=0, ties=0)]

    async def aclose(self) -> None:
        """Do nothing."""


async def wins(standing: Standing) -> int:
    """Return the wins that are told."""
    return (await standing.preferences())[0].wins


async def test_it_is_counted_again_after_a_while() -> None:
    """Two seconds where counting takes no time."""
    store = Counting()
    standing = Standing(store, lambda: store.now)
    assert [1, 1] == [await wins(standing) for _ in range(2)]
    store.now += 1.9
    assert 1 == await wins(standing)
    store.now += 0.2
    assert 2 == await wins(standing)


async def test_a_long_count_is_followed_by_a_long_rest() -> None:
    """Twenty times as long, so that it takes a twentieth of a core at most."""
    store = Counting(seconds=3.0)
    standing = Standing(store, lambda: store.now)
    await standing.preferences()
    store.now += 59.0
    assert 1 == await wins(standing)
    store.now += 2.0
    assert 2 == await wins(standing)


async def test_who_asks_meanwhile_waits_for_the_same_count() -> None:
    """And does not count, too."""
    store = Counting()
    standing = Standing(store, lambda: store.now)
    await asyncio.gather(*(standing.preferences() for _ in range(10)))
    assert 1 == store.asked


async def test_nobody_waits_for_a_long_count() -> None:
    """Who asks meanwhile gets what was counted before, and later what has been counted since."""
    store = Counting()
    standing = Standing(store, lambda: store.now, patience=0.05)
    store.go_on.clear()
    assert [] == await standing.preferences()
    store.go_on.set()
    assert 1 == await wins(standing)
    store.go_on.clear()
    store.now += 3.0
    assert [1, 1] == [await wins(standing) for _ in range(2)]
    store.go_on.set()
    assert 2 == await wins(standing)
    assert 2 == store.asked


async def test_a_failure_is_told_and_tried_again() -> None:
    """By the next one who asks."""
    store = Counting(failure=EventsNotKept("no disk"))
    standing = Standing(store, lambda: store.now)
    with pytest.raises(EventsNotKept):
        await standing.preferences()
    store.failure = None
    assert 2 == await wins(standing)
