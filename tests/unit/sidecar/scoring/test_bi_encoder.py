"""Cosines of vectors, against a plain implementation over transformers' own states."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
import transformers

from sidecar.scoring import models
from sidecar.scoring.bi_encoder import BiEncoder
from tests import tiny_models

QUERY = " ".join(tiny_models.WORDS[:4])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_scores_are_cosines_of_pooled_states(tmp_path: Path, pooling: str) -> None:
    """As sentence-transformers pools them, one text at a time, and in one batch with padding."""
    rng = random.Random(tiny_models.SEED)
    texts = ["", *(tiny_models.random_text(rng, rng.randrange(1, 50)) for _ in range(20))]
    tokenizer = tiny_models.sentence_piece()
    tokenizer.enable_truncation(tiny_models.MAX_LENGTH // 2)
    model = models.load(str(tiny_models.xlm_roberta_bi_encoder(tmp_path, pooling=pooling)), device="cpu", dtype="fp32")
    theirs = transformers.XLMRobertaModel.from_pretrained(tmp_path).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.inference_mode():
            states: torch.Tensor = theirs(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
        return states.mean(0) if pooling == "mean" else states[0]

    expected = [float(torch.cosine_similarity(vector(QUERY), vector(text), dim=0)) for text in texts]
    assert isinstance(model, BiEncoder)
    assert model.forward(model.tokenize(QUERY, texts)) == pytest.approx(expected, abs=1e-4)
    assert (model.facts.kind, model.facts.recommended_fusion) == ("cosine", "linear")
