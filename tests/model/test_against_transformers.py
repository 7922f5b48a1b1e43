"""Scores equal transformers' own: its tokenizer, its padding, its model, its logits."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sidecar.scoring import devices, models
from sidecar.scoring.any_model import AnyModel
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_cross_encoder import PackedCrossEncoder
from tests import tiny_models

TOLERANCE = 1e-4
QUERY = f"{tiny_models.WORDS[3]} {tiny_models.WORDS[14]} 15?"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Give texts of all lengths, some longer than the model reads."""
    rng = random.Random(tiny_models.SEED)
    return ["", "a", "京都", *(tiny_models.random_text(rng, rng.randrange(1, 80)) for _ in range(29))]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (tiny_models.bert, PackedCrossEncoder),
        (tiny_models.modern_bert, PackedCrossEncoder),
        (partial(tiny_models.modern_bert, classifier_pooling="mean"), PackedCrossEncoder),
        (partial(tiny_models.modern_bert, classifier_bias=True, norm_bias=True), PackedCrossEncoder),
        (partial(tiny_models.modern_bert, hidden_activation="silu"), AnyModel),
        (tiny_models.distil_bert, AnyModel),
        (tiny_models.xlm_roberta, AnyModel),
        (tiny_models.deberta, AnyModel),
        (tiny_models.electra, AnyModel),
        (tiny_models.albert, AnyModel),
    ],
)
def test_cross_encoders(make: Callable[[Path], Path], kind: type[object], tmp_path: Path, texts: list[str]) -> None:
    """Our trunks and the general path give transformers' logits, in one call and one by one."""
    model = models.load(str(make(tmp_path)), device="cpu", dtype="fp32")
    assert isinstance(model, kind)
    pairs = model.tokenize(QUERY, texts)
    expected = transformers_logits(tmp_path, texts)[:, 0].tolist()
    assert model.forward(pairs) == pytest.approx(expected, abs=TOLERANCE)
    assert [model.forward([pair])[0] for pair in pairs] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize(
    ("family", "kind"), [("modernbert", PackedCrossEncoder), ("bert", PackedCrossEncoder), ("electra", AnyModel)]
)
def test_chains_of_modules(family: str, kind: type[object], pooling: str, tmp_path: Path, texts: list[str]) -> None:
    """The scores are those of sentence-transformers, which made the form: trunk, Pooling, Dense, LayerNorm, Dense."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = tiny_models.chain(tmp_path, family=family, pooling=pooling)
    model = models.load(str(folder), device="cpu", dtype="fp32")
    assert isinstance(model, kind)
    theirs = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=64)
    expected = theirs.predict(
        [(QUERY, text) for text in texts], activation_fn=torch.nn.Identity(), show_progress_bar=False
    )
    assert model.forward(model.tokenize(QUERY, texts)) == pytest.approx(expected.tolist(), abs=TOLERANCE)


def test_two_labels_are_the_difference_of_their_logits(tmp_path: Path, texts: list[str]) -> None:
    """Its sigmoid is the softmax probability of the second label."""
    model = models.load(str(tiny_models.bert(tmp_path, labels=2)), device="cpu", dtype="fp32")
    logits = transformers_logits(tmp_path, texts)
    scores = torch.tensor(model.forward(model.tokenize(QUERY, texts)))
    assert torch.allclose(scores, logits[:, 1] - logits[:, 0], atol=TOLERANCE)
    assert torch.allclose(scores.sigmoid(), logits.softmax(1)[:, 1], atol=TOLERANCE)


def test_the_general_path_agrees_with_our_trunk(tmp_path: Path, texts: list[str]) -> None:
    """What CUDA takes for BERT today, on the CPU."""
    folder = ModelFolder(name="tiny", path=tiny_models.bert(tmp_path))
    ours = models.load(str(tmp_path), device="cpu", dtype="fp32")
    general = AnyModel(folder, ours.facts, Placement("cpu", "fp32"))
    pairs = ours.tokenize(QUERY, texts)
    assert general.forward(general.tokenize(QUERY, texts)) == pytest.approx(ours.forward(pairs), abs=TOLERANCE)


def test_a_tokenizer_without_token_types_is_respected(tmp_path: Path, texts: list[str]) -> None:
    """A configuration that lists no token types means zeros, as transformers would give."""
    tiny_models.bert(tmp_path)
    names = ["input_ids", "attention_mask"]
    tiny_models.edit_json(tmp_path / "tokenizer_config.json", model_input_names=names)
    model = models.load(str(tmp_path), device="cpu", dtype="fp32")
    expected = transformers_logits(tmp_path, texts)[:, 0].tolist()
    assert model.forward(model.tokenize(QUERY, texts)) == pytest.approx(expected, abs=TOLERANCE)


def test_weights_of_old_names_are_read(tmp_path: Path, texts: list[str]) -> None:
    """LayerNorm's gamma and beta, and half precision on disk."""
    from safetensors.torch import load_file, save_file

    tiny_models.bert(tmp_path)
    before = models.load(str(tmp_path), device="cpu", dtype="fp32")
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor.half()
        for name, tensor in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(weights, tmp_path / "model.safetensors")
    after = models.load(str(tmp_path), device="cpu", dtype="fp32")
    assert before.facts.revision != after.facts.revision
    scores = after.forward(after.tokenize(QUERY, texts))
    assert scores == pytest.approx(before.forward(before.tokenize(QUERY, texts)), abs=0.05)


@pytest.mark.parametrize("make", [tiny_models.bert, tiny_models.xlm_roberta, tiny_models.bi_encoder])
def test_half_precision_is_near(
    make: Callable[[Path], Path], tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """bf16 on a CPU where it is faster: the same order of magnitude, and said so."""
    exact = models.load(str(make(tmp_path)), device="cpu", dtype="fp32")
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: True)
    rounded = models.load(str(tmp_path), device="cpu", dtype="bf16")
    assert rounded.facts.dtype == "bf16"
    ours, theirs = (torch.tensor(model.forward(model.tokenize(QUERY, texts))) for model in (exact, rounded))
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.98


def transformers_logits(folder: Path, texts: list[str]) -> Any:
    """Return the logits of one padded batch. (texts, labels)"""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(
        [QUERY] * len(texts), texts, truncation="only_second", max_length=64, padding=True, return_tensors="pt"
    )
    if "token_type_ids" not in tokenizer.model_input_names:
        inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        return model(**inputs).logits
