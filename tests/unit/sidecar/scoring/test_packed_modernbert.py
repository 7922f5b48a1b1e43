"""ModernBERT over packed texts: equal to transformers' ModernBertModel, token by token."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_modernbert import ModernBertShape, PackedModernBert, is_supported
from sidecar.scoring.packing import pack, split
from sidecar.scoring.weights import read_weights
from tests import tiny_models

CPU = Placement("cpu", "fp32")
TOLERANCE = 1e-4
CONFIGS: dict[str, dict[str, Any]] = {
    "as published": {},
    "with biases": {"norm_bias": True, "attention_bias": True, "mlp_bias": True},
    "last layer global": {"num_hidden_layers": 4},
    "all layers local": {"layer_types": ["sliding_attention"] * 5},
    "other bases": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 77.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 3.0},
        }
    },
}


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Give a tiny ModernBERT of each kind."""
    path = tiny_models.modern_bert(tmp_path_factory.mktemp("modernbert"), **CONFIGS[request.param])
    return ModelFolder(name="tiny", path=path)


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    """Give texts of 2 to 128 tokens, some of equal length, some longer than a local layer sees."""
    rng = random.Random(tiny_models.SEED)
    return [[rng.randrange(5, 200) for _ in range(length)] for length in (2, 128, 7, 7, 12, 13, 14, 30, 31, 3, 96)]


def expected_states(folder: Path, texts: list[list[int]]) -> list[torch.Tensor]:
    """Return transformers' last hidden states, text by text."""
    model = transformers.ModernBertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [model(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in texts]


def trunk(folder: ModelFolder, *, placement: Placement = CPU, first_only: bool = False) -> PackedModernBert:
    """Load the trunk."""
    weights = read_weights(folder.weights(), prefix="model.")
    return PackedModernBert(weights, ModernBertShape.read(folder.config), placement, first_only=first_only)


def test_states_equal_transformers(folder: ModelFolder, texts: list[list[int]]) -> None:
    """Every token of every text, packed in one matrix."""
    packed = pack(texts)
    with torch.inference_mode():
        states = split(trunk(folder).states(packed), packed)
    for ours, theirs in zip(states, expected_states(folder.path, texts), strict=True):
        assert torch.allclose(ours, theirs, atol=TOLERANCE)


def test_first_states_equal_transformers(folder: ModelFolder, texts: list[list[int]]) -> None:
    """[CLS] alone in the last layer is exact."""
    with torch.inference_mode():
        first = trunk(folder, first_only=True).states(pack(texts))
    theirs = torch.stack([states[0] for states in expected_states(folder.path, texts)])
    assert torch.allclose(first, theirs, atol=TOLERANCE)


def test_half_precision_is_near(folder: ModelFolder, texts: list[list[int]]) -> None:
    """Rotations are computed in fp32 nevertheless."""
    packed = pack(texts)
    with torch.inference_mode():
        rounded = trunk(folder, placement=Placement("cpu", "bf16")).states(packed)
        exact = trunk(folder).states(packed)
    assert rounded.dtype is torch.bfloat16
    assert torch.nn.functional.cosine_similarity(rounded.float(), exact).min() > 0.99


def test_yesterdays_configuration_is_read(folder: ModelFolder) -> None:
    """The bases of the rotations and the pattern of the layers had names of their own."""
    old = {
        "model_type": "modernbert",
        "num_hidden_layers": 4,
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 5.0,
        "local_rope_theta": 4.0,
        "local_attention": 10,
    }
    shape = ModernBertShape.read(old)
    assert (shape.global_theta, shape.local_theta, shape.distance) == (5.0, 4.0, 5)
    assert shape.is_local == (False, True, False, True)
    assert is_supported(old)
    assert is_supported(folder.config)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "bert"},
        {"hidden_activation": "relu"},
        {"rope_scaling": {"rope_type": "yarn"}},
        {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
    ],
)
def test_what_is_computed_otherwise_is_not_supported(change: dict[str, object]) -> None:
    """Another family, activation or kind of rotation goes to transformers."""
    assert not is_supported({"model_type": "modernbert", "hidden_activation": "gelu"} | change)


def test_missing_weights_are_named(folder: ModelFolder) -> None:
    """A checkpoint without a layer is refused, not filled up."""
    weights = read_weights(folder.weights(), prefix="model.")
    del weights["layers.1.mlp.Wo.weight"]
    with pytest.raises(ModelFailed, match=r"the weights lack layers\.1\.mlp\.Wo\.weight"):
        PackedModernBert(weights, ModernBertShape.read(folder.config), CPU)
