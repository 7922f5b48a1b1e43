"""The model that is made for measuring."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from benchmarks import model
from benchmarks.systems.transformers import Transformers
from benchmarks.workload import Synthetic
from tests import tiny_models


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT, whose shape and tokenizer are taken."""
    return tiny_models.bert(tmp_path_factory.mktemp("config"))


def test_its_logits_are_as_far_apart_as_those_of_a_trained_model(config: Path, tmp_path: Path) -> None:
    """Other texts than those it was fitted to, under other queries, have the spread, around zero, which bf16 needs."""
    described = model.write(tmp_path, tokenizer=config, trunk=None, config=config)
    assert described.startswith("BERT, 3 layers of 48")
    assert "random trunk" in described
    source = Synthetic(tmp_path, seed=5)
    searches = [source.search(50, is_long=False) for _ in range(3)]
    scores = Transformers(tmp_path, threads=1, max_length=tiny_models.MAX_LENGTH).score(searches)
    logits = torch.tensor(scores)  # (searches, texts)
    assert pytest.approx(model.LOGIT_SPREAD, rel=0.6) == float(logits.std(1).mean())
    assert abs(float(logits.mean())) < model.LOGIT_SPREAD


def test_it_is_written_once(config: Path, tmp_path: Path) -> None:
    """The second time it is only described, in the same words."""
    first = model.write(tmp_path, tokenizer=config, trunk=None, config=config)
    written = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert first == model.write(tmp_path, tokenizer=config, trunk=None, config=config)
    assert written == (tmp_path / "model.safetensors").stat().st_mtime_ns


def test_a_trunk_of_its_shape_is_taken(config: Path, tmp_path: Path) -> None:
    """And one of another shape is not."""
    trunk = tmp_path / "trunk"
    made = transformers.BertModel(transformers.BertConfig.from_pretrained(config))
    made.save_pretrained(trunk)
    assert "trained trunk" in model.write(tmp_path / "same", tokenizer=config, trunk=trunk, config=config)
    written = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "same")
    assert torch.equal(made.encoder.layer[0].output.dense.weight, written.bert.encoder.layer[0].output.dense.weight)
    tiny_models.edit_json(trunk / "config.json", num_hidden_layers=9)
    assert "random trunk" in model.write(tmp_path / "other", tokenizer=config, trunk=trunk, config=config)


def test_it_has_the_shape_that_it_says() -> None:
    """Every key of the configuration is one that transformers reads."""
    config = transformers.BertConfig(**model.CONFIG)
    assert (6, 384, 12, 1) == (
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_labels,
    )
    assert json.dumps(model.CONFIG)
