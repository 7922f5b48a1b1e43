"""A window goes to the model alone and whole, however many lanes there are."""

import asyncio
from collections.abc import Sequence

from sidecar.bulk.windows import SCHEDULING, WholeWindows
from sidecar.scoring.pace import Pace
from sidecar.scoring.prefix import score_prefix
from tests.unit.doubles import ScriptedScorer


class OneAtATime(ScriptedScorer):
    """A scorer that notes its calls, and fails two of them beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []
        self.is_busy = False

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return a score for each text, after others had their chance to come in between."""
        assert not self.is_busy
        self.is_busy = True
        await asyncio.sleep(0)
        self.calls.append((query, len(texts)))
        self.is_busy = False
        return [0.0] * len(texts)


async def test_one_window_at_a_time() -> None:
    """Each in one call, also where the pipeline would divide it."""
    scorer = OneAtATime()
    whole = WholeWindows(scorer)
    queries = [f"q{number}" for number in range(5)]
    await asyncio.gather(*(score_prefix(whole, query, ["text"] * 100, deadline=None) for query in queries))
    assert [(query, 100) for query in queries] == scorer.calls


def test_the_size_of_a_batch_is_no_matter_of_speed() -> None:
    """However fast the device was measured to be."""
    pace = Pace(SCHEDULING.batch_tokens)
    sizes = set()
    for speed in (1_000.0, 1_000_000.0):
        pace.measured(speed)
        sizes.add(pace.batch_tokens(0.0))
    assert {SCHEDULING.batch_tokens} == sizes
