"""BERT cross-encoders on our trunk; that their scores are right is shown in tests/model and tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from sidecar.errors import ModelFailed
from sidecar.scoring import models, packed_cross_encoder
from tests import tiny_models


def test_long_queries_are_counted(tmp_path: Path) -> None:
    """A query over a quarter of the length is cut."""
    model = models.load(str(tiny_models.bert(tmp_path)), device="cpu", dtype="fp32")
    model.tokenize(" ".join(tiny_models.WORDS), ["a"])
    assert model.queries_cut == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", ["bert.pooler.dense.weight", "classifier.bias"])
def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path, part: str) -> None:
    """The missing weight is named."""
    folder = tiny_models.bert(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in weights.items() if key != part}, folder / "model.safetensors")
    with pytest.raises(ModelFailed, match="the weights lack"):
        models.load(str(folder), device="cpu", dtype="fp32")


def test_small_passes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many tokens go through the layers at once does not matter."""
    model = models.load(str(tiny_models.bert(tmp_path)), device="cpu", dtype="fp32")
    pairs = model.tokenize("a", [" ".join(tiny_models.WORDS[:count]) for count in range(20)])
    whole = model.forward(pairs)
    monkeypatch.setattr(packed_cross_encoder, "BATCH_TOKENS", {"cpu": 30})
    assert model.forward(pairs) == pytest.approx(whole, abs=1e-4)
