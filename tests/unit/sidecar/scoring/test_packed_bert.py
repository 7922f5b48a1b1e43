"""BERT over packed texts: equal to transformers' BertModel, token by token."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelFailed
from sidecar.scoring import packed_bert
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape, PackedBert, batches, is_supported, pack, read_weights, split
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
    from sidecar.scoring import linear

    def make(weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False) -> linear.Linear:
        try:
            return (linear.prepacked if is_prepacked else linear.plain)(weight, bias, gelu=gelu)
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            pytest.skip(f"not in this torch on this CPU: {error}")

    monkeypatch.setattr(packed_bert, "make_linear", make)
    packed = pack(texts, types_of(texts))
    with torch.inference_mode():
        states = split(trunk(folder).states(packed), packed)
    for ours, theirs in zip(states, expected_states(folder.path, texts), strict=True):
        assert torch.allclose(ours, theirs, atol=TOLERANCE)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_padded_attention_equals_attention_by_length(lengths: list[int]) -> None:
    """The way of the GPU and the way of the CPU are the same function."""
    generator = torch.Generator().manual_seed(sum(lengths))
    q, k, v = (torch.randn(sum(lengths), 2, 4, generator=generator) for _ in range(3))
    by_length = packed_bert._attend_by_length(q, k, v, lengths)
    assert torch.allclose(packed_bert._attend_padded(q, k, v, lengths), by_length, atol=1e-5)
    once, padded_once = packed_bert._attend_once_by_length, packed_bert._attend_once_padded
    q = q[: len(lengths)]
    assert torch.allclose(padded_once(q, k, v, lengths), once(q, k, v, lengths), atol=1e-5)


@given(st.lists(st.integers(1, 600), max_size=50), st.integers(1, 2000))
def test_batches_hold_every_text_once_within_budget(lengths: list[int], budget: int) -> None:
    """Only a single text may exceed the budget; equal lengths are neighbours."""
    found = list(batches(lengths, budget=budget))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    assert all(sum(lengths[place] for place in batch) <= budget or len(batch) == 1 for batch in found)
    order = [lengths[place] for batch in found for place in batch]
    assert order == sorted(lengths)


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


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_damaged_weights_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFailed, match=r"model\.safetensors cannot be read"):
        read_weights([tmp_path / "model.safetensors"])
