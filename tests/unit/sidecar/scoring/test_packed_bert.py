"""BERT over packed texts: equal to transformers' BertModel, token by token."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
import transformers

from sidecar.errors import ModelFailed
from sidecar.scoring import linear
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape, PackedBert, is_supported
from sidecar.scoring.packing import pack, split
from sidecar.scoring.weights import read_weights
from tests import tiny_models

CPU = Placement("cpu", "fp32")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Give a tiny BERT without a head."""
    return ModelFolder(name="tiny", path=tiny_models.bi_encoder(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    """Give texts of 2 to 64 tokens, some of equal length."""
    rng = random.Random(tiny_models.SEED)
    return [[rng.randrange(5, 200) for _ in range(length)] for length in (2, 64, 7, 7, 7, 30, 31, 2, 3)]


def types_of(texts: list[list[int]]) -> list[list[int]]:
    """Return token types: the second half of every text is of type 1."""
    return [[int(place >= len(text) // 2) for place in range(len(text))] for text in texts]


def expected_states(folder: Path, texts: list[list[int]]) -> list[torch.Tensor]:
    """Return transformers' last hidden states, text by text."""
    model = transformers.BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [
            model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types])).last_hidden_state[0]
            for ids, types in zip(texts, types_of(texts), strict=True)
        ]


def trunk(folder: ModelFolder, *, first_only: bool = False) -> PackedBert:
    """Load the trunk."""
    weights = read_weights(folder.weights())
    return PackedBert(weights, BertShape.read(folder.config), CPU, first_only=first_only)


def test_states_equal_transformers(folder: ModelFolder, texts: list[list[int]]) -> None:
    """Every token of every text, packed in one matrix."""
    packed = pack(texts, types_of(texts))
    with torch.inference_mode():
        states = split(trunk(folder).states(packed), packed)
    for ours, theirs in zip(states, expected_states(folder.path, texts), strict=True):
        assert torch.allclose(ours, theirs, atol=TOLERANCE)


def test_first_states_equal_transformers(folder: ModelFolder, texts: list[list[int]]) -> None:
    """[CLS] alone in the last layer is exact."""
    packed = pack(texts, types_of(texts))
    with torch.inference_mode():
        first = trunk(folder, first_only=True).states(packed)
    theirs = torch.stack([states[0] for states in expected_states(folder.path, texts)])
    assert torch.allclose(first, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("is_prepacked", [True, False])
def test_both_kinds_of_products_give_the_same(
    folder: ModelFolder, texts: list[list[int]], monkeypatch: pytest.MonkeyPatch, is_prepacked: bool
) -> None:
    """oneDNN's prepacked products where this torch has them, and torch's own."""
    if is_prepacked:
        try:
            linear.Prepacked(torch.zeros(8, 8), torch.zeros(8))(torch.zeros(1, 8))
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            pytest.skip(f"not in this torch on this CPU: {error}")
    monkeypatch.setattr(linear, "_is_prepacked_better", lambda shape, dtype, gelu: is_prepacked)
    packed = pack(texts, types_of(texts))
    with torch.inference_mode():
        states = split(trunk(folder).states(packed), packed)
    for ours, theirs in zip(states, expected_states(folder.path, texts), strict=True):
        assert torch.allclose(ours, theirs, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"hidden_act": "relu"}, False),
        ({"position_embedding_type": "relative_key"}, False),
        ({"model_type": "roberta"}, False),
        ({"is_decoder": True}, False),
    ],
)
def test_what_is_computed_otherwise_is_not_supported(change: dict[str, object], expected: bool) -> None:
    """Another family, activation or kind of positions goes to transformers."""
    assert is_supported({"model_type": "bert", "hidden_act": "gelu"} | change) == expected


def test_missing_weights_are_named(folder: ModelFolder) -> None:
    """A checkpoint without a layer is refused, not filled up."""
    weights = read_weights(folder.weights())
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelFailed, match=r"the weights lack encoder\.layer\.1\.output\.dense\.bias"):
        PackedBert(weights, BertShape.read(folder.config), CPU)
