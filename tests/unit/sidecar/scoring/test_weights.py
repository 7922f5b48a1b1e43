"""Weights by name: read from safetensors, in today's words, and missed in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.weights import Part, read_weights

CPU = Placement("cpu", "fp32")
HALF = Placement("cpu", "bf16")


def test_names_are_todays_and_without_the_family(tmp_path: Path) -> None:
    """Several files are one set of weights."""
    save_file({"bert.a.LayerNorm.gamma": torch.ones(2), "bert.a.LayerNorm.beta": torch.zeros(2)}, tmp_path / "one")
    save_file({"classifier.weight": torch.ones(1, 2)}, tmp_path / "two")
    weights = read_weights([tmp_path / "one", tmp_path / "two"])
    assert set(weights) == {"a.LayerNorm.weight", "a.LayerNorm.bias", "classifier.weight"}


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_damaged_weights_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFailed, match=r"model\.safetensors cannot be read"):
        read_weights([tmp_path / "model.safetensors"])


def test_a_part_is_placed_and_rounded() -> None:
    """What is computed from a weight once is computed in fp32."""
    part = Part({"a.b.weight": torch.tensor([1.001], dtype=torch.float16)}, HALF).under("a").under("b")
    assert part.tensor("weight").dtype is torch.bfloat16
    assert part.exact("weight").dtype is torch.float32
    assert part.rounded(torch.ones(1)).dtype is torch.bfloat16


def test_layers_side_by_side_are_one_product() -> None:
    """Their outputs follow each other."""
    weights = {
        "a.weight": torch.eye(2),
        "a.bias": torch.zeros(2),
        "b.weight": 2 * torch.eye(2),
        "b.bias": torch.ones(2),
    }
    with torch.inference_mode():
        assert Part(weights, CPU).linear("a", "b")(torch.tensor([[1.0, 3.0]])).tolist() == [[1.0, 3.0, 3.0, 7.0]]


def test_a_missing_weight_is_named() -> None:
    """By its full name."""
    with pytest.raises(ModelFailed, match=r"the weights lack layer\.1\.weight"):
        Part({}, CPU).under("layer.1").tensor("weight")
