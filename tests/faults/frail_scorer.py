"""A scorer in a child process whose device fails when a query says so: everything around the model is the program's.

As a program it is what `rerank-sidecar score` is to its parent, but for the model.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sidecar.errors import RerankUnavailable
from sidecar.program import wiring
from sidecar.program.config import Settings
from sidecar.program.parts import Options
from sidecar.scoring import loading
from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.worker import SupervisedScorer, SupervisorOptions

CROWDED, POISONED, BROKEN = "crowded", "poisoned", "broken"
"""Words of a query: no memory for more than ROOM pairs, a device that is lost, a forward that fails."""
ROOM = 3
ABSENT = "absent"
"""Name of a model that cannot be loaded."""

OPTIONS = SupervisorOptions(back_off=0.01, longest_back_off=0.05)


class FrailModel:
    """A PairModel that likes short texts."""

    facts = ModelFacts(
        name="frail", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
    )

    def tokenize(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Take letters as tokens."""
        query_ids = tuple(map(ord, query))
        return [TokenPair(query_ids, tuple(map(ord, text))) for text in texts]

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Score, or fail as the queries say."""
        words = {word for pair in pairs for word in "".join(map(chr, pair.query_ids)).split()}
        if CROWDED in words and len(pairs) > ROOM:
            raise MemoryError
        if POISONED in words:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if BROKEN in words:
            raise ValueError("by order")
        return [-len(pair.text_ids) / 100 for pair in pairs]


@asynccontextmanager
async def frail_scorer(model: str = "frail") -> AsyncIterator[SupervisedScorer]:
    """Give a supervised child."""
    scorer = SupervisedScorer([sys.executable, "-m", "tests.faults.frail_scorer", model], OPTIONS)
    try:
        yield scorer
    finally:
        await scorer.aclose()


def _begin_loading(model: str, **_: object) -> LocalScorer:
    def load() -> FrailModel:
        if model == ABSENT:
            raise OSError("no such model, by order")
        return FrailModel()

    return LocalScorer.loading(load)


if __name__ == "__main__":  # python -m tests.faults.frail_scorer MODEL --listen unix:/path
    loading.begin_loading = _begin_loading  # type: ignore[assignment]
    settings = Settings.model_validate({"model": {"name": sys.argv[1]}})
    try:
        asyncio.run(wiring.score(Options(settings=settings), sys.argv[3], is_child=True))
    except RerankUnavailable:  # the device is lost: whoever supervises us starts a new process
        sys.exit(1)
