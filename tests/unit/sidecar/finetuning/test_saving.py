"""What was trained is written as a model like any other."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sidecar.finetuning import saving
from sidecar.scoring import models
from sidecar.scoring.model_folder import ModelFolder
from tests import tiny_models

QUERY = f"{tiny_models.WORDS[3]} {tiny_models.WORDS[14]}"


def texts() -> list[str]:
    """Return texts, some longer than the model reads."""
    rng = random.Random(1)
    return [tiny_models.random_text(rng, rng.randrange(1, 80)) for _ in range(8)]


def scores(folder: Path) -> list[float]:
    """Return what the program gives with the model in a folder."""
    model = models.load(str(folder), device="cpu", dtype="fp32")
    return model.forward(model.tokenize(QUERY, texts()))


def changed(folder: Path, kind: str) -> Any:
    """Return the model in a folder under sentence-transformers, with adapters and other weights than it had."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    training = pytest.importorskip("sidecar.finetuning.training")
    model = getattr(sentence_transformers, kind)(str(folder), device="cpu", local_files_only=True).eval()
    training._choose_parameters(model, "lora")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("make", [tiny_models.bert, tiny_models.modern_bert, tiny_models.electra, tiny_models.chain])
def test_a_cross_encoder_serves_what_was_trained(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Adapters are in the weights, whatever kind of head there is."""
    base = make(tmp_path / "base")
    model = changed(base, "CrossEncoder")
    saving.save(model, ModelFolder(name="base", path=base), tmp_path / "tuned")
    pairs = [(QUERY, text) for text in texts()]
    expected = model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False).tolist()
    served = models.load(str(tmp_path / "tuned"), device="cpu", dtype="fp32")
    found = served.forward(served.tokenize(QUERY, texts()))
    assert pytest.approx(expected, abs=1e-3) == found
    assert pytest.approx(scores(base), abs=1e-2) != found


def test_a_bi_encoder_keeps_what_is_its_own(tmp_path: Path) -> None:
    """Pooling, prompts and length are the base model's; adapters stay where they are for the training to go on."""
    base = tiny_models.bi_encoder(tmp_path / "base", prompts={"query": "a ", "document": "b "})
    model = changed(base, "SentenceTransformer")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folder = ModelFolder(name="base", path=base)
    saving.save(model, folder, tmp_path / "tuned")
    tuned = ModelFolder(name="tuned", path=tmp_path / "tuned")
    assert (folder.pooling(), folder.prompts(), folder.max_length(None)) == (
        tuned.pooling(),
        tuned.prompts(),
        tuned.max_length(None),
    )
    assert pytest.approx(scores(base), abs=1e-3) != scores(tuned.path)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_nothing_of_the_base_model_but_settings_is_copied(tmp_path: Path) -> None:
    """Neither pickles nor an index of weights, and what the folder held before goes."""
    base = tiny_models.bi_encoder(tmp_path / "base")
    for name in ("pytorch_model.bin", "model.safetensors.index.json", ".cache.json"):
        (base / name).write_text("{}")
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "left.json").write_text("{}")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    (base / "pytorch_model.bin").unlink()
    (base / "model.safetensors.index.json").unlink()
    model = sentence_transformers.SentenceTransformer(str(base), device="cpu", local_files_only=True)
    (base / "pytorch_model.bin").write_text("{}")
    (base / "model.safetensors.index.json").write_text("{}")
    saving.save(model, ModelFolder(name="base", path=base), tmp_path / "tuned")
    names = {
        path.relative_to(tmp_path / "tuned").as_posix() for path in (tmp_path / "tuned").rglob("*") if path.is_file()
    }
    expected = {"config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "tokenizer.json"}
    assert expected <= names
    assert names.isdisjoint({"pytorch_model.bin", "model.safetensors.index.json", ".cache.json", "left.json"})
    assert ["BertModel"] == json.loads((tmp_path / "tuned" / "config.json").read_text())["architectures"]
