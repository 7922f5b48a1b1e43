"""Padded batches: everybody once, little padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.padded_models import load_whole, padded, sub_batches, takes_token_types
from tests import tiny_models


@given(st.lists(st.integers(1, 600), max_size=50), st.integers(1, 3000))
def test_batches_hold_every_text_once_within_budget(lengths: list[int], budget: int) -> None:
    """Counted with its padding; only a single text may exceed it."""
    found = list(sub_batches(lengths, budget=budget))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) * max(lengths[place] for place in batch) <= budget or len(batch) == 1


def test_rows_are_filled_up_and_masked() -> None:
    """The mask says which values are real."""
    values, mask = padded([[5, 6], [7]], 1, "cpu")
    assert values.tolist() == [[5, 6], [7, 1]]
    assert mask.tolist() == [[1, 1], [1, 0]]


def test_token_types_are_given_to_models_that_know_them() -> None:
    """BERT has two, XLM-R one and the same, DistilBERT none."""
    sizes = {"vocab_size": 9, "hidden_size": 4, "num_attention_heads": 1, "num_hidden_layers": 1}
    bert = transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=4))
    roberta = transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(**sizes, intermediate_size=4, type_vocab_size=1)
    )
    distil = transformers.DistilBertModel(
        transformers.DistilBertConfig(vocab_size=9, dim=4, n_heads=1, n_layers=1, hidden_dim=4)
    )
    assert [takes_token_types(model) for model in (bert, roberta, distil)] == [True, False, False]


def test_what_transformers_cannot_load_is_refused_in_words(tmp_path: Path) -> None:
    """An architecture that it does not know, damaged weights."""
    folder = ModelFolder(name="tiny", path=tiny_models.distil_bert(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelFailed, match="tiny cannot be loaded"):
        load_whole("AutoModelForSequenceClassification", folder, Placement("cpu", "fp32"))
    tiny_models.edit_json(tmp_path / "config.json", model_type="unheard-of")
    with pytest.raises(ModelFailed, match="tiny cannot be loaded"):
        load_whole("AutoModelForSequenceClassification", folder, Placement("cpu", "fp32"))
