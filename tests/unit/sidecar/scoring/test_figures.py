"""What a scorer counts, as numbers by name."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.scoring import figures
from sidecar.scoring.figures import CountsFurther, CountsWork
from sidecar.scoring.scheduler import LocalScorer
from tests.unit.sidecar.scoring.doubles import FakeModel


@dataclass(frozen=True, slots=True)
class Counted:
    """What something has counted."""

    batches: int
    seconds: float
    speed: float | None


def test_numbers_by_name() -> None:
    """What nobody knows is left out."""
    assert figures.of(Counted(3, 0.5, None)) == {"batches": 3.0, "seconds": 0.5}


class CountingModel(FakeModel):
    """A model with a cache of its own."""

    def figures(self) -> dict[str, float]:
        """Return what the cache counts."""
        return {"token_cache_hits": 5.0}


async def test_a_local_scorer_tells_its_models_figures_too() -> None:
    """Beside the scheduler's; of a model that counts nothing, the scheduler's alone."""
    for model, expected in ((CountingModel(), 5.0), (FakeModel(), None)):
        scorer = LocalScorer.loading(lambda model=model: model)  # type: ignore[misc]
        try:
            assert isinstance(scorer, CountsWork)
            assert (await scorer.figures())["batches"] == 0  # before it is loaded, too
            await scorer.loaded()
            await scorer.score("q", ["a", "b"])
            found = await scorer.figures()
        finally:
            await scorer.aclose()
        assert isinstance(model, CountsFurther) == (expected is not None)
        assert (found["batches"], found["scored_pairs"], found.get("token_cache_hits")) == (1.0, 2.0, expected)
        assert found["tokens_per_second"] > 0
