"""A model by name, as a scorer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import ModelFailed
from sidecar.scoring.loading import load_scorer
from tests import tiny_models


async def test_a_model_is_loaded_measured_and_scores(tmp_path: Path) -> None:
    """From a folder to scores in two calls."""
    scorer = await load_scorer(str(tiny_models.bert(tmp_path)), device="cpu", max_length=32)
    try:
        facts = scorer.describe()
        assert facts.max_length == 32
        assert facts.tokens_per_second is not None
        assert len(await scorer.score("a", ["b", "c"])) == 2
    finally:
        await scorer.aclose()


async def test_a_model_that_cannot_be_had_leaves_nothing_open(tmp_path: Path) -> None:
    """The failure is the caller's to handle; the scorer is closed."""
    with pytest.raises(ModelFailed, match="is not a model"):
        await load_scorer(str(tmp_path))
