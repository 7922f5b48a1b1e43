"""How long scores waited and took: told by those who can tell, heard by those who listen."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from multidict import CIMultiDict

from sidecar import tasks
from sidecar.errors import ModelFailed
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring import timing
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.timing import Timing
from tests.scoring_server import serving
from tests.unit.doubles import ScriptedScorer
from tests.unit.sidecar.scoring.doubles import FakeModel


class TellingScorer(ScriptedScorer):
    """A scorer that says of each call what the test wants."""

    def __init__(self, *timings: Timing) -> None:
        """Say these, one per call."""
        super().__init__()
        self._timings = list(timings)

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Score, and tell."""
        timing.tell(self._timings.pop(0))
        return await super().score(query, texts, deadline=deadline)


def test_where_nobody_listens_nothing_is_kept() -> None:
    """And what was told before is not heard."""
    timing.tell(Timing(1, 1))
    with timing.listening() as heard:
        pass
    assert [] == heard


async def test_what_a_task_tells_is_heard_by_who_listened_when_it_began() -> None:
    """And not by who listens elsewhere."""

    async def tell(value: float) -> None:
        timing.tell(Timing(value, value))

    async def listen(value: float) -> list[Timing]:
        with timing.listening() as heard:
            await tasks.start(tell(value), name="tell")
        return heard

    assert [[Timing(1, 1)], [Timing(2, 2)]] == await asyncio.gather(listen(1), listen(2))


def test_calls_that_began_together() -> None:
    """They wait until the first is taken, and are computed until the last is done."""
    assert Timing(1, 5) == timing.together([Timing(1, 2), Timing(4, 2), Timing(2, 1)])
    assert timing.together([]) is None


def test_calls_that_followed_each_other() -> None:
    """They add up."""
    assert Timing(3, 5) == timing.in_turn([Timing(1, 2), Timing(2, 3)])
    assert timing.in_turn([]) is None


async def test_the_calls_of_a_window_count_as_one() -> None:
    """However many there are."""
    scorer = TellingScorer(Timing(0.5, 1.0), Timing(1.0, 2.0))
    with timing.listening() as heard:
        await score_prefix(scorer, "q", ["a", "b", "c"], deadline=None, chunk=2)
    assert [Timing(0.5, 2.5)] == heard


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"server-timing": "queue;dur=1.5, model;dur=20"}, Timing(0.0015, 0.02)),
        ({"Server-Timing": 'cache;desc="queue;dur=7", model; dur=20,queue ;dur=1'}, Timing(0.001, 0.02)),
        ({"x-queue-time": "2", "X-Inference-Time": "30", "x-total-time": "40"}, Timing(0.002, 0.03)),
        ({"x-queue-time": "2"}, None),
        ({"x-queue-time": "2", "x-inference-time": "soon"}, None),
        ({"x-queue-time": "2", "x-inference-time": "-1"}, None),
        ({"x-queue-time": "nan", "x-inference-time": "inf"}, None),
        ({"server-timing": "model;dur=20"}, None),
        ({}, None),
    ],
)
def test_what_servers_tell(headers: dict[str, str], expected: Timing | None) -> None:
    """Ours, and Text Embeddings Inference; whatever else comes is no timing and no error."""
    assert expected == timing.read(CIMultiDict(headers))


def test_what_is_written_is_read() -> None:
    """In milliseconds with three places."""
    assert Timing(0.001234, 0.5) == timing.read(CIMultiDict(timing.write([Timing(0.0012341, 0.5)])))
    assert () == timing.write([])


async def test_a_scheduler_tells_how_long_a_call_waited() -> None:
    """Behind another one that runs; the sum is never more than the call has taken."""
    model = FakeModel(is_gated=True)
    scorer = LocalScorer.loading(lambda: model)
    loop = asyncio.get_running_loop()
    try:
        await scorer.loaded()
        running = tasks.start(scorer.score("q", ["a"]), name="first")
        await asyncio.to_thread(model.launched.acquire)
        with timing.listening() as heard:
            began = loop.time()
            waiting = tasks.start(scorer.score("q", ["b"]), name="second")
            await asyncio.sleep(0.02)
            model.let_go(2)
            await asyncio.gather(running, waiting)
            taken = loop.time() - began
    finally:
        await scorer.aclose()
    (told,) = heard
    assert 0.015 <= told.queue
    assert 0 <= told.model
    assert told.queue + told.model <= taken


async def test_a_call_that_fails_tells_nothing() -> None:
    """There are no scores that it could stand beside."""
    model = FakeModel()
    scorer = LocalScorer.loading(lambda: model)
    try:
        await scorer.loaded()
        model.tokenize_error = ValueError("no")
        with timing.listening() as heard, pytest.raises(ModelFailed):
            await scorer.score("q", ["a"])
    finally:
        await scorer.aclose()
    assert [] == heard


async def test_it_travels_from_one_process_to_another(tmp_path: Path) -> None:
    """Beside the scores, in the header of the answer."""
    told = Timing(0.25, 0.5)
    async with serving(TellingScorer(told), tmp_path / "scorer") as url:
        remote = RemoteScorer(url)
        try:
            await remote.loaded()
            with timing.listening() as heard:
                await remote.score("q", ["a"])
        finally:
            await remote.aclose()
    assert [told] == heard


async def test_a_scorer_that_cannot_tell_adds_no_header() -> None:
    """An answer without it is complete."""
    reply = await ScoringProtocol(ScriptedScorer()).score(b'{"query": "q", "texts": ["a"]}')
    assert 200 == reply.status
    assert "Server-Timing" not in dict(reply.headers)
