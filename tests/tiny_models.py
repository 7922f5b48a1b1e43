"""Tiny random models, seeded, and a vocabulary of two hundred words: everything that scoring does, with no weights."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SEED = 20_260_101
MAX_LENGTH = 64
_WITH_TYPES = ["input_ids", "token_type_ids", "attention_mask"]
WORDS = tuple(
    "".join(random.Random(SEED + number).choices(string.ascii_lowercase, k=2 + number % 7)) for number in range(150)
)


def random_text(rng: random.Random, words: int) -> str:
    """Return that many words, most of them known, some not Latin, some not words."""
    odd = ("京都", "привет", "😀", "naïve", "don't", "[SEP]", "1,234.5", "\u0301", "zzzzqqqq", "\t")
    return " ".join(rng.choice(odd) if rng.random() < 0.15 else rng.choice(WORDS) for _ in range(words))


def word_piece() -> Tokenizer:
    """Return a tokenizer like BERT's: [CLS] query [SEP] text [SEP], with token types."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *string.digits, *",.'"]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase]
    vocabulary = {piece: id for id, piece in enumerate(dict.fromkeys([*pieces, *WORDS]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


def sentence_piece() -> Tokenizer:
    """Return a tokenizer like XLM-R's: <s> query </s></s> text </s>, without token types."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *string.ascii_lowercase, *string.digits]
    scored = [(piece, -float(len(piece))) for piece in dict.fromkeys([*pieces, *(f"▁{word}" for word in WORDS)])]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=3))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def bert(folder: Path, *, labels: int = 1) -> Path:
    """Save a BERT cross-encoder of three layers and return its folder."""
    tokenizer = word_piece()
    config = transformers.BertConfig(**_bert_sizes(tokenizer), num_labels=labels)
    _save_tokenizer(folder, tokenizer, pad_token="[PAD]", model_input_names=_WITH_TYPES)
    return _save(folder, transformers.BertForSequenceClassification, config)


def distil_bert(folder: Path) -> Path:
    """Save a DistilBERT cross-encoder, which knows no token types, and return its folder."""
    tokenizer = word_piece()
    size = tokenizer.get_vocab_size()
    config = transformers.DistilBertConfig(
        vocab_size=size,
        dim=48,
        n_layers=2,
        n_heads=4,
        hidden_dim=96,
        max_position_embeddings=MAX_LENGTH,
        initializer_range=0.2,
        num_labels=1,
    )
    _save_tokenizer(folder, tokenizer, pad_token="[PAD]")
    return _save(folder, transformers.DistilBertForSequenceClassification, config)


def xlm_roberta(folder: Path) -> Path:
    """Save an XLM-R cross-encoder and return its folder."""
    tokenizer = sentence_piece()
    config = transformers.XLMRobertaConfig(
        **_bert_sizes(tokenizer) | {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1},
        pad_token_id=1,
        num_labels=1,
    )
    _save_tokenizer(folder, tokenizer, pad_token="<pad>", model_input_names=["input_ids", "attention_mask"])
    return _save(folder, transformers.XLMRobertaForSequenceClassification, config)


def deberta(folder: Path) -> Path:
    """Save a DeBERTa-v3 cross-encoder, whose positions are relative, and return its folder."""
    config = transformers.DebertaV2Config(
        **_bert_sizes(word_piece()),
        num_labels=1,
        type_vocab_size=0,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        position_buckets=16,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
    )
    _save_tokenizer(folder, word_piece(), pad_token="[PAD]")
    return _save(folder, transformers.DebertaV2ForSequenceClassification, config)


def electra(folder: Path) -> Path:
    """Save an ELECTRA cross-encoder and return its folder."""
    config = transformers.ElectraConfig(**_bert_sizes(word_piece()), embedding_size=48, num_labels=1)
    _save_tokenizer(folder, word_piece(), pad_token="[PAD]", model_input_names=_WITH_TYPES)
    return _save(folder, transformers.ElectraForSequenceClassification, config)


def albert(folder: Path) -> Path:
    """Save an ALBERT cross-encoder, whose layers share their weights, and return its folder."""
    config = transformers.AlbertConfig(**_bert_sizes(word_piece()), embedding_size=24, num_labels=1)
    _save_tokenizer(folder, word_piece(), pad_token="[PAD]", model_input_names=_WITH_TYPES)
    return _save(folder, transformers.AlbertForSequenceClassification, config)


def generative(folder: Path) -> Path:
    """Save a decoder with a classifier, whose tokenizer puts nothing between two texts, and return its folder."""
    tokenizer = word_piece()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    config = transformers.Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        intermediate_size=96,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=0,
        num_labels=1,
    )
    _save_tokenizer(folder, tokenizer, pad_token="[PAD]")
    return _save(folder, transformers.Qwen3ForSequenceClassification, config)


def chain(folder: Path, *, family: str = "modernbert", pooling: str = "cls") -> Path:
    """Save a cross-encoder that is a chain of sentence-transformers' modules, as ettin-reranker is."""
    if family == "modernbert":
        _save_modern_bert_tokenizer(folder)
        _save(folder, transformers.ModernBertModel, transformers.ModernBertConfig(**_modern_bert_sizes()))
    else:
        _save_tokenizer(folder, word_piece(), pad_token="[PAD]", model_input_names=_WITH_TYPES)
        if family == "bert":
            _save(folder, transformers.BertModel, transformers.BertConfig(**_bert_sizes(word_piece())))
        else:
            config = transformers.ElectraConfig(**_bert_sizes(word_piece()), embedding_size=48)
            _save(folder, transformers.ElectraModel, config)
    _save_modules(folder, pooling)
    return folder


def modern_bert(folder: Path, *, labels: int = 1, **config: Any) -> Path:
    """Save a ModernBERT cross-encoder of five layers, two of which are global, and return its folder."""
    _save_modern_bert_tokenizer(folder)
    settings = transformers.ModernBertConfig(**_modern_bert_sizes() | config, num_labels=labels)
    return _save(folder, transformers.ModernBertForSequenceClassification, settings)


def bi_encoder(folder: Path, *, pooling: str = "mean", prompts: dict[str, str] | None = None) -> Path:
    """Save a sentence-transformers bi-encoder of the BERT family and return its folder."""
    tokenizer = word_piece()
    _save_tokenizer(folder, tokenizer, pad_token="[PAD]")
    _save(folder, transformers.BertModel, transformers.BertConfig(**_bert_sizes(tokenizer)))
    return _make_sentence_transformer(folder, pooling, prompts)


def xlm_roberta_bi_encoder(folder: Path, *, pooling: str = "mean") -> Path:
    """Save a sentence-transformers bi-encoder of another family and return its folder."""
    tokenizer = sentence_piece()
    sizes = _bert_sizes(tokenizer) | {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1}
    _save_tokenizer(folder, tokenizer, pad_token="<pad>")
    _save(folder, transformers.XLMRobertaModel, transformers.XLMRobertaConfig(**sizes, pad_token_id=1))
    return _make_sentence_transformer(folder, pooling, None)


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None takes a key out."""
    document = json.loads(path.read_text()) if path.exists() else {}
    document = {key: value for key, value in (document | changes).items() if value is not None}
    path.write_text(json.dumps(document))


def _bert_sizes(tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "max_position_embeddings": MAX_LENGTH,
        "initializer_range": 0.2,  # logits far apart, so that a wrong one is seen
        "layer_norm_eps": 1e-6,
    }


def _save_modules(folder: Path, pooling: str) -> None:
    """Save Pooling, Dense with GELU and without bias, LayerNorm, and Dense to one score."""
    torch.manual_seed(SEED)
    base, single = "sentence_transformers.base.modules", "sentence_transformers.sentence_transformer.modules"
    kinds = {
        "": f"{base}.transformer.Transformer",
        "1_Pooling": f"{single}.pooling.Pooling",
        "2_Dense": f"{base}.dense.Dense",
        "3_LayerNorm": f"{single}.layer_norm.LayerNorm",
        "4_Dense": f"{base}.dense.Dense",
    }
    modules = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(kinds.items())]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "CrossEncoder", "prompts": {}}))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps(
            {
                "transformer_task": "feature-extraction",
                "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
                "module_output_name": "token_embeddings",
            }
        )
    )
    dense = {"in_features": 48, "module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
    activation = "torch.nn.modules.activation.GELU"
    configs: dict[str, dict[str, Any]] = {
        "1_Pooling": {"embedding_dimension": 48, "pooling_mode": pooling, "include_prompt": True},
        "2_Dense": dense | {"out_features": 48, "bias": False, "activation_function": activation},
        "3_LayerNorm": {"dimension": 48},
        "4_Dense": dense
        | {
            "out_features": 1,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
            "module_output_name": "scores",
        },
    }
    weights = {
        "2_Dense": {"linear.weight": torch.randn(48, 48) * 0.2},
        "3_LayerNorm": {"norm.weight": 1 + torch.randn(48) * 0.2, "norm.bias": torch.randn(48) * 0.2},
        "4_Dense": {"linear.weight": torch.randn(1, 48), "linear.bias": torch.randn(1)},
    }
    for path, config in configs.items():
        (folder / path).mkdir(exist_ok=True)
        (folder / path / "config.json").write_text(json.dumps(config))
        if path in weights:
            save_file(weights[path], folder / path / "model.safetensors")


def _save_modern_bert_tokenizer(folder: Path) -> None:
    _save_tokenizer(folder, word_piece(), pad_token="[PAD]", model_input_names=["input_ids", "attention_mask"])


def _modern_bert_sizes() -> dict[str, Any]:
    return {
        "vocab_size": word_piece().get_vocab_size(),
        "hidden_size": 48,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 2 * MAX_LENGTH,
        "local_attention": 24,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
    }


def _save_tokenizer(folder: Path, tokenizer: Tokenizer, **config: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | config))


def _save(folder: Path, kind: Any, config: Any) -> Path:
    torch.manual_seed(SEED)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms, too, are not what they start as
            parameter.add_(torch.randn_like(parameter) * 0.02)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return folder


def _make_sentence_transformer(folder: Path, pooling: str, prompts: dict[str, str] | None) -> Path:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pools = {
        "word_embedding_dimension": 48,
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_cls_token": pooling == "cls",
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pools))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": MAX_LENGTH // 2}))
    if prompts:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return folder
