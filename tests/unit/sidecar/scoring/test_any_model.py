"""Any architecture through transformers; that scores are right is shown in tests/model and tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.scoring import any_model, models
from tests import tiny_models


def test_small_batches_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is padded together does not matter."""
    model = models.load(str(tiny_models.xlm_roberta(tmp_path)), device="cpu", dtype="fp32")
    assert isinstance(model, any_model.AnyModel)
    pairs = model.tokenize("a", [" ".join(tiny_models.WORDS[:count]) for count in range(20)])
    whole = model.forward(pairs)
    monkeypatch.setattr(any_model, "BATCH_TOKENS", {"cpu": 30})
    assert model.forward(pairs) == pytest.approx(whole, abs=1e-4)
    assert model.queries_cut == 0
