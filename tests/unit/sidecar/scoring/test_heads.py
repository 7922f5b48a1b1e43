"""Heads of cross-encoders: read from the folder, computed in fp32; that scores are right is shown in tests/model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.heads import Head, read_head
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.weights import read_weights
from tests import tiny_models

HALF = Placement("cpu", "bf16")


def head_of(path: Path) -> Head:
    """Read the head of a model in bf16."""
    folder = ModelFolder(name="tiny", path=path)
    return read_head(folder, read_weights(folder.weights(), prefix="model."), HALF)


def test_a_head_computes_in_fp32_whatever_the_trunk_does(tmp_path: Path) -> None:
    """A logit of 8 in bf16 would be rounded to a multiple of 1/32."""
    logits = head_of(tiny_models.modern_bert(tmp_path))(torch.ones(3, 48, dtype=torch.bfloat16))
    assert logits.shape == (3, 1)
    assert logits.dtype is torch.float32


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_is_what_the_files_say(tmp_path: Path, pooling: str) -> None:
    """ModernBERT's configuration, or the Pooling module's."""
    assert head_of(tiny_models.modern_bert(tmp_path / "a", classifier_pooling=pooling)).pooling == pooling
    assert head_of(tiny_models.chain(tmp_path / "b", pooling=pooling)).pooling == pooling


def test_an_unknown_activation_is_refused_in_words(tmp_path: Path) -> None:
    """The message says which are known."""
    folder = tiny_models.chain(tmp_path)
    tiny_models.edit_json(folder / "2_Dense" / "config.json", activation_function="torch.nn.Softshrink")
    with pytest.raises(ModelFailed, match="activation: got 'softshrink', expected one of gelu"):
        head_of(folder)


def test_an_activation_need_not_be_named(tmp_path: Path) -> None:
    """None is the identity."""
    folder = tiny_models.chain(tmp_path)
    tiny_models.edit_json(folder / "4_Dense" / "config.json", activation_function=None)
    assert head_of(folder)(torch.ones(2, 48)).shape == (2, 1)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """The file of a module that has weights of its own."""
    folder = tiny_models.chain(tmp_path)
    (folder / "3_LayerNorm" / "model.safetensors").unlink()
    with pytest.raises(ModelFailed, match=r"tiny lacks weights: 3_LayerNorm/model\.safetensors"):
        head_of(folder)


def test_another_family_has_no_head_of_ours(tmp_path: Path) -> None:
    """It goes to transformers whole."""
    with pytest.raises(ModelFailed, match="a head that we do not know"):
        head_of(tiny_models.electra(tmp_path))
