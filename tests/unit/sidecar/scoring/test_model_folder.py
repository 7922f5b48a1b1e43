"""What a model's folder says: lengths, labels, pooling, prompts, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ModelFailed
from sidecar.scoring.model_folder import ModelFolder


def folder(path: Path, **files: Any) -> ModelFolder:
    """Write JSON files, their names without the ending, and return the folder."""
    for name, content in files.items():
        file = path / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return ModelFolder(name="tiny", path=path)


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 512}, {}, 512),
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": 512}, {"model_max_length": 1e30}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta"}, {"model_max_length": 1e30}, 512),
        ({"max_position_embeddings": 66, "model_type": "roberta"}, {}, 64),
        ({"max_position_embeddings": 8192, "model_type": "modernbert"}, {"model_max_length": 8192}, 512),
        ({"max_position_embeddings": -1}, {}, 512),
        ({}, {}, 512),
    ],
)
def test_the_length_is_the_models_own_up_to_512(
    tmp_path: Path, config: dict[str, Any], tokenizer: dict[str, Any], expected: int
) -> None:
    """From positions and tokenizer; where positions begin after the padding id, two fewer."""
    assert folder(tmp_path, config=config, tokenizer_config=tokenizer).max_length(None) == expected


def test_a_longer_length_is_given_when_asked_for(tmp_path: Path) -> None:
    """Up to the model's positions."""
    model = folder(tmp_path, config={"max_position_embeddings": 8192})
    assert model.max_length(4096) == 4096
    for asked in (8193, 7, 0):
        with pytest.raises(ModelFailed, match=f"max_length: got {asked}"):
            model.max_length(asked)


def test_a_bi_encoders_length_is_that_of_its_sentences(tmp_path: Path) -> None:
    """A cross-encoder's is not."""
    files: dict[str, Any] = {"sentence_bert_config": {"max_seq_length": 256}}
    assert folder(tmp_path, config={"max_position_embeddings": 512}, **files).max_length(None) == 256
    cross = {"max_position_embeddings": 512, "architectures": ["BertForSequenceClassification"]}
    assert folder(tmp_path, config=cross, **files).max_length(None) == 512


@pytest.mark.parametrize(("config", "expected"), [({"id2label": {"0": "LABEL_0"}}, 1), ({}, 2), ({"num_labels": 1}, 1)])
def test_labels_are_counted(tmp_path: Path, config: dict[str, Any], expected: int) -> None:
    """transformers leaves two labels out of config.json."""
    assert folder(tmp_path, config=config).labels == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_pooling_is_read_in_old_and_new_words(tmp_path: Path, config: dict[str, Any], expected: str) -> None:
    """From the folder that modules.json names."""
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "2_Pool"}]
    assert folder(tmp_path, modules=modules, **{"2_Pool__config": config}).pooling() == expected


def test_an_unknown_layer_is_refused(tmp_path: Path) -> None:
    """Leaving it out would give other vectors."""
    modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.Dense", "path": "2_Dense"}]
    with pytest.raises(ModelFailed, match="a layer that we do not know: Dense"):
        folder(tmp_path, modules=modules).pooling()


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({}, ("", "")),
        ({"query": "query: ", "passage": "passage: "}, ("query: ", "passage: ")),
        ({"query": "q: ", "document": ""}, ("q: ", "")),
        (None, ("", "")),
    ],
)
def test_prompts_are_read(tmp_path: Path, prompts: Any, expected: tuple[str, str]) -> None:
    """For queries and for texts, by their usual names."""
    assert folder(tmp_path, config_sentence_transformers={"prompts": prompts}).prompts() == expected


def test_shards_are_all_or_nothing(tmp_path: Path) -> None:
    """The index names them; a missing one is named."""
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    model = folder(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    with pytest.raises(ModelFailed, match=r"lacks weights: model-2\.safetensors"):
        model.weights()
    (tmp_path / "model-2.safetensors").touch()
    assert [file.name for file in model.weights()] == ["model-1.safetensors", "model-2.safetensors"]


def test_the_digest_changes_with_what_changes_scores(tmp_path: Path) -> None:
    """Weights, configuration, tokenizer; not what people read. Two replicas agree when their digests do."""
    model = folder(tmp_path, config={})
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = model.digest()
    (tmp_path / "README.md").write_text("changed")
    assert model.digest() == first
    digests = {first}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "1_Pooling/config.json", "vocab.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("changed")
        digests.add(model.digest())
    assert len(digests) == 6


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    """The message says where it was looked for."""
    with pytest.raises(ModelFailed, match=r"tiny is not a model: no config\.json in"):
        _ = folder(tmp_path).config


@pytest.mark.parametrize(("content", "words"), [("{", "cannot be read"), ("[]", "is not a JSON object")])
def test_a_damaged_config_is_refused_in_words(tmp_path: Path, content: str, words: str) -> None:
    """It names the file."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelFailed, match=f"config.json {words}"):
        _ = ModelFolder(name="tiny", path=tmp_path).config
