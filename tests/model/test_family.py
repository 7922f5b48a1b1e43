"""The ms-marco family: each one's real architecture, with random weights, scores as transformers does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from sidecar.scoring import models
from sidecar.scoring.packed_cross_encoder import PackedCrossEncoder
from tests import tiny_models

QUERY = " ".join(tiny_models.WORDS[3:6])
TEXTS = ("", f"{tiny_models.WORDS[4]} 3,520,031", " ".join(tiny_models.WORDS))


@pytest.mark.parametrize(
    ("layers", "hidden", "heads"), [(2, 128, 2), (2, 384, 12), (4, 384, 12), (6, 384, 12), (12, 384, 12)]
)
def test_scores_are_transformers(layers: int, hidden: int, heads: int, tmp_path: Path) -> None:
    """Of the sizes in the models' own configurations, on the packed trunk."""
    tiny_models.bert(tmp_path)  # for its tokenizer
    torch.manual_seed(tiny_models.SEED)
    theirs = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=30522,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            num_labels=1,
            initializer_range=0.1,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    inputs = tokenizer(
        [QUERY] * len(TEXTS), list(TEXTS), truncation="only_second", max_length=64, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = theirs(**inputs).logits[:, 0].tolist()
    model = models.load(str(tmp_path), device="cpu", dtype="fp32")
    assert isinstance(model, PackedCrossEncoder)
    assert pytest.approx(expected, abs=1e-4) == model.forward(model.tokenize(QUERY, TEXTS))
