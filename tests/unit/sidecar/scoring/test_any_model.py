"""Any architecture through transformers; that scores are right is shown in tests/model and tests/contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sidecar.scoring import any_model, devices, models
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


@pytest.mark.parametrize("make", [tiny_models.xlm_roberta, tiny_models.distil_bert, tiny_models.deberta])
def test_logits_are_not_rounded_to_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    """The last step is in fp32, or like texts would have the same score."""
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: True)
    model = models.load(str(make(tmp_path)), device="cpu", dtype="bf16")
    scores = torch.tensor(model.forward(model.tokenize("a", [" ".join(tiny_models.WORDS[:n]) for n in range(20)])))
    assert (scores != scores.bfloat16().float()).any()
