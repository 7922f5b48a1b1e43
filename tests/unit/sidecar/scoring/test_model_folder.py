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


CHAIN = [
    {"type": "sentence_transformers.base.modules.transformer.Transformer", "path": ""},
    {"type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling", "path": "1_Pooling"},
    {"type": "sentence_transformers.base.modules.dense.Dense", "path": "2_Dense"},
]


def test_a_chain_of_modules_that_ends_in_a_score_is_a_cross_encoder(tmp_path: Path) -> None:
    """Its labels are those of the last layer, its length is not that of sentences."""
    model = folder(
        tmp_path,
        config={"architectures": ["ModernBertModel"], "max_position_embeddings": 8192},
        modules=CHAIN,
        sentence_bert_config={"max_seq_length": 64},
        **{"2_Dense__config": {"module_output_name": "scores", "out_features": 1}},
    )
    assert model.is_cross_encoder
    assert not model.has_classifier
    assert [(module.kind, module.path) for module in model.score_modules] == [("Dense", "2_Dense")]
    assert model.labels == 1
    assert model.max_length(None) == 512


@pytest.mark.parametrize("dense", [{}, {"module_output_name": "sentence_embedding"}])
def test_a_chain_that_ends_in_a_vector_is_a_bi_encoder(tmp_path: Path, dense: dict[str, Any]) -> None:
    """With a layer that we do not know."""
    model = folder(tmp_path, config={}, modules=CHAIN, **{"2_Dense__config": dense})
    assert not model.is_cross_encoder
    with pytest.raises(ModelFailed, match="a layer that we do not know: Dense"):
        model.pooling()


@pytest.mark.parametrize(("kind", "more"), [("Normalize", {}), ("Dense", {"use_residual": True})])
def test_a_score_by_unknown_modules_is_refused(tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    """The message says which."""
    modules = [*CHAIN[:2], {"type": kind, "path": "2_Odd"}, {"type": "Dense", "path": "3_Dense"}]
    configs: dict[str, Any] = {"2_Odd__config": more, "3_Dense__config": {"module_output_name": "scores"}}
    model = folder(tmp_path, config={}, modules=modules, **configs)
    with pytest.raises(ModelFailed, match=f"a layer that we do not know: {kind} in 2_Odd"):
        _ = model.is_cross_encoder


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer_config": {"chat_template": "{{ messages }}"}}, "needs its chat template"),
        ({"config_sentence_transformers": {"prompts": {"query": "Judge: "}}}, "needs prompts"),
        (
            {"config_sentence_transformers": {"prompts": {"web": "Judge: "}, "default_prompt_name": "web"}},
            "needs prompts",
        ),
    ],
)
def test_cross_encoders_that_rank_through_a_prompt_are_refused(
    tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    """They would be scored wrongly without it."""
    model = folder(tmp_path, config={"architectures": ["Qwen3ForSequenceClassification"]}, **files)
    with pytest.raises(ModelFailed, match=words):
        model.check_is_safe()


def test_a_chat_template_of_its_own_file_is_seen(tmp_path: Path) -> None:
    """As transformers saves it today."""
    model = folder(tmp_path, config={"architectures": ["Qwen3ForSequenceClassification"]})
    model.check_is_safe()
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ModelFailed, match="needs its chat template"):
        model.check_is_safe()


def test_prompts_that_are_not_used_do_no_harm(tmp_path: Path) -> None:
    """sentence-transformers saves empty ones, and those that nobody chose."""
    prompts = {"prompts": {"query": "", "document": "", "web": "Judge: "}, "default_prompt_name": None}
    model = folder(
        tmp_path, config={"architectures": ["BertForSequenceClassification"]}, config_sentence_transformers=prompts
    )
    model.check_is_safe()
