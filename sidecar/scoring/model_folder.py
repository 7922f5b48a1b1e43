"""What a model's folder says about the model: its kind, length, labels, weights.

Reads JSON and file names; no torch, no transformers. Laws: weights are safetensors or none, because a pickle runs
code; and what a model needs that we do not give it (a prompt template, code of its own) is a reason to refuse it in
words, never to score with it wrongly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from sidecar.errors import ModelFailed

JsonObject = Mapping[str, Any]
Pooling = Literal["mean", "cls"]
Prompts = tuple[str, str]

DEFAULT_MAX_LENGTH: Final = 512
"""Tokens, where a model could read more: what the usual cross-encoders are trained with. More only when asked for."""

PROMPTED: Final = (
    "prompts are not supported here: let a server that knows them run it, and give its address (scorer.url)"
)
"""What to do with a model that ranks through a prompt."""

_OFFSET_POSITIONS: Final = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet", "longformer"})
"""Their positions begin after the padding id, so that two of `max_position_embeddings` are never used."""

_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_SETTINGS: Final = frozenset({".json", ".txt", ".model"})
_LIBRARY: Final = "sentence_transformers."
_CODE: Final = frozenset({"auto_map", "custom_pipelines", "kernel_config"})
"""Settings by which a model names classes of its own, or kernels that transformers would fetch."""

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreModule:
    """One of the sentence-transformers modules by which a cross-encoder makes a score of a vector."""

    #: "Dense" or "LayerNorm"
    kind: str
    #: its folder below the model's
    path: str
    config: JsonObject


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A model on disk. `name` is what people call it, in messages."""

    name: str
    path: Path

    @cached_property
    def config(self) -> JsonObject:
        """config.json. Raises ModelFailed when there is none."""
        return self._json("config.json", required=True)

    @cached_property
    def tokenizer_config(self) -> JsonObject:
        """tokenizer_config.json, empty when there is none."""
        return self._json("tokenizer_config.json")

    @property
    def model_type(self) -> str:
        """The family: "bert", "xlm-roberta", …."""
        return str(self.config.get("model_type", ""))

    @property
    def architectures(self) -> tuple[str, ...]:
        """The classes that the weights were saved from."""
        return tuple(self.config.get("architectures") or ())

    @property
    def has_classifier(self) -> bool:
        """Whether the weights have a sequence classification head."""
        return any(name.endswith("ForSequenceClassification") for name in self.architectures)

    @property
    def modules(self) -> dict[str, str]:
        """The folders of the sentence-transformers modules by kind (Transformer, Pooling, …); empty if it is none."""
        return dict(self._chain)

    @property
    def is_cross_encoder(self) -> bool:
        """Whether it reads query and text together: by a classifier, or by a chain of modules that ends in a score."""
        return self.has_classifier or bool(self.score_modules)

    @cached_property
    def score_modules(self) -> tuple[ScoreModule, ...]:
        """The modules after the pooling of a cross-encoder that is a chain of modules; empty if it is none.

        Raises:
            ModelFailed: one is of a kind that we do not know.
        """
        kinds = [kind for kind, _ in self._chain]
        if kinds[:2] != ["Transformer", "Pooling"]:
            return ()
        modules = tuple(
            ScoreModule(kind=kind, path=path, config=self._config_in(path)) for kind, path in self._chain[2:]
        )
        if not modules or modules[-1].config.get("module_output_name") != "scores":
            return ()
        for module in modules:
            if module.kind not in ("Dense", "LayerNorm") or module.config.get("use_residual"):
                raise ModelFailed(f"{self.name} has a layer that we do not know: {module.kind} in {module.path}")
        return modules

    @cached_property
    def _chain(self) -> tuple[tuple[str, str], ...]:
        """The sentence-transformers modules in order: kind and folder."""
        return tuple((kind.rpartition(".")[2], path) for kind, path in self._module_types)

    @cached_property
    def _module_types(self) -> tuple[tuple[str, str], ...]:
        """The sentence-transformers modules in order: class and folder."""
        path = self.path / "modules.json"
        if not path.is_file():
            return ()
        return tuple((str(module["type"]), str(module["path"])) for module in self._parse(path))

    @property
    def has_token_types(self) -> bool:
        """Whether the tokenizer gives token types: it does unless it says otherwise."""
        return "token_type_ids" in self.tokenizer_config.get("model_input_names", ("token_type_ids",))

    @property
    def recommended_weight(self) -> float | None:
        """What config.json recommends as a cross-encoder's share beside the first stage; None = nothing."""
        own = self.config.get("rerank_sidecar")
        weight = own.get("recommended_weight") if isinstance(own, dict) else None
        return float(weight) if isinstance(weight, int | float) and 0 < weight <= 1 else None

    @cached_property
    def labels(self) -> int:
        """How many outputs the classifier has: 1, or 2 for (irrelevant, relevant).

        Raises:
            ModelFailed: another number, so that it is no cross-encoder for ranking.
        """
        given = self.config.get("id2label")
        if self.score_modules:
            count = int(self.score_modules[-1].config.get("out_features", 0))
        else:
            count = len(given) if isinstance(given, dict) else int(self.config.get("num_labels", 2))
        if count not in (1, 2):
            raise ModelFailed(f"{self.name} has {count} labels; a cross-encoder for ranking has 1, or 2 (no, yes)")
        return count

    def pooling(self) -> Pooling:
        """Return how a bi-encoder makes one vector of its tokens' states.

        Raises:
            ModelFailed: in another way than the mean or the first token, or with further layers.
        """
        unknown = set(self.modules) - {"Transformer", "Pooling", "Normalize"}
        if unknown:
            raise ModelFailed(f"{self.name} has a layer that we do not know: {', '.join(sorted(unknown))}")
        return self.module_pooling()

    def module_pooling(self) -> Pooling:
        """Return what the Pooling module says.

        Raises:
            ModelFailed: another way than the mean or the first token.
        """
        config = self._config_in(self.modules.get("Pooling", ""))
        mode = config.get("pooling_mode")
        if mode == "mean" or config.get("pooling_mode_mean_tokens"):
            return "mean"
        if mode == "cls" or config.get("pooling_mode_cls_token"):
            return "cls"
        raise ModelFailed(f"{self.name} pools its tokens in another way than by their mean or the first")

    def prompts(self) -> Prompts:
        """Return what a bi-encoder wants before a query and before a text, e.g. ("query: ", "passage: ")."""
        prompts = self._json("config_sentence_transformers.json").get("prompts") or {}
        text = next((prompts[key] for key in ("document", "passage", "corpus") if prompts.get(key)), "")
        return str(prompts.get("query") or ""), str(text)

    def max_length(self, asked: int | None) -> int:
        """Return how many tokens the model reads: what was asked for, or its own length up to DEFAULT_MAX_LENGTH.

        Raises:
            ModelFailed: `asked` is more than the model has positions for, or too few for any text.
        """
        positions = self._positions()
        if asked is None:
            own = (self._sentence_length(), self._tokenizer_length(), positions, DEFAULT_MAX_LENGTH)
            return min(length for length in own if length is not None)
        if not 8 <= asked <= (positions or asked):
            raise ModelFailed(f"max_length: got {asked}, expected 8 to {positions} for {self.name}")
        return asked

    def weights(self) -> list[Path]:
        """Return the safetensors files.

        Raises:
            ModelFailed: there are none.
        """
        if (self.path / _SINGLE).is_file():
            return [self.path / _SINGLE]
        if (self.path / _INDEX).is_file():
            shards = sorted({str(shard) for shard in self._json(_INDEX).get("weight_map", {}).values()})
            missing = [shard for shard in shards if not self._below(shard).is_file()]
            if not missing and shards:
                return [self._below(shard) for shard in shards]
            raise ModelFailed(f"{self.name} lacks weights: {', '.join(missing)}")
        found = sorted(file.name for pattern in _PICKLES for file in self.path.glob(pattern))
        refused = f"; {', '.join(found)} is refused, since loading it can run code" if found else ""
        raise ModelFailed(f"{self.name} has no weights in safetensors form (model.safetensors){refused}")

    def module_weights(self) -> list[Path]:
        """Return the safetensors files of `score_modules`, one each, in order.

        Raises:
            ModelFailed: one is not there.
        """
        files = [self._below(module.path) / _SINGLE for module in self.score_modules]
        for module, file in zip(self.score_modules, files, strict=True):
            if not file.is_file():
                raise ModelFailed(f"{self.name} lacks weights: {module.path}/{_SINGLE}")
        return files

    def digest(self) -> str:
        """Return a digest of weights, configuration and vocabulary, "sha256:" and 16 digits: equal where scores are."""
        sha256 = hashlib.sha256()
        settings = (file for file in self.path.rglob("*") if file.suffix in _SETTINGS and file.is_file())
        for path in (*self.weights(), *self.module_weights(), *sorted(settings)):
            with path.open("rb") as file:
                sha256.update(hashlib.file_digest(file, "sha256").digest())
        return f"sha256:{sha256.hexdigest()[:16]}"

    def check_is_safe(self) -> None:
        """Refuse models that need what we do not give them.

        Raises:
            ModelFailed: a generative model, one that needs a prompt, or code of its own.
        """
        if any(name.endswith(("ForCausalLM", "ForConditionalGeneration")) for name in self.architectures):
            kind = ", ".join(self.architectures)
            raise ModelFailed(f"{self.name} is a generative model ({kind}) that ranks through a prompt; {PROMPTED}")
        if where := self._own_code():
            raise ModelFailed(f"{self.name} brings its own code ({where}), which is never run")
        if self.is_cross_encoder and (any(self.prompts()) or self._default_prompt()):
            raise ModelFailed(f"{self.name} is a cross-encoder that needs prompts; {PROMPTED}")
        if self.is_cross_encoder and self._has_chat_template():
            raise ModelFailed(f"{self.name} is a cross-encoder that needs its chat template; {PROMPTED}")

    def _own_code(self) -> str:
        """Return where code that comes with the model is named, "" where none is."""
        for file in ("config.json", "tokenizer_config.json"):
            for key in _naming_code(self._json(file)):
                return f"{key} in {file}"
        foreign = [kind for kind, _ in self._module_types if "." in kind and not kind.startswith(_LIBRARY)]
        return f"{foreign[0]} in modules.json" if foreign else ""

    def _below(self, path: str) -> Path:
        """Return the path of a file that the model names. Raises ModelFailed when it is outside of the folder."""
        named = PurePosixPath(path)
        if named.is_absolute() or ".." in named.parts:
            raise ModelFailed(f"{self.name} names a file outside of its folder: {path[:80]!r}")
        return self.path / named

    def _default_prompt(self) -> str:
        config = self._json("config_sentence_transformers.json")
        return str((config.get("prompts") or {}).get(config.get("default_prompt_name")) or "")

    def _has_chat_template(self) -> bool:
        """Whether the tokenizer knows roles: that of a generative model, also where it got a classifier's head."""
        return bool(self.tokenizer_config.get("chat_template")) or (self.path / "chat_template.jinja").is_file()

    def _config_in(self, path: str) -> JsonObject:
        self._below(path)
        return self._json(f"{path}/config.json")

    def _positions(self) -> int | None:
        positions = self.config.get("max_position_embeddings")
        if not isinstance(positions, int) or positions <= 0:
            return None
        return positions - 2 if self.model_type in _OFFSET_POSITIONS else positions

    def _sentence_length(self) -> int | None:
        length = self._json("sentence_bert_config.json").get("max_seq_length")
        return length if isinstance(length, int) and not self.is_cross_encoder else None

    def _tokenizer_length(self) -> int | None:
        """Read `model_max_length`; where nobody set it, it is 10^30."""
        length = self.tokenizer_config.get("model_max_length")
        return int(length) if isinstance(length, int | float) and 0 < length < 1e9 else None

    def _json(self, name: str, *, required: bool = False) -> JsonObject:
        path = self.path / name
        if not path.is_file():
            if required:
                raise ModelFailed(f"{self.name} is not a model: no {name} in {self.path}")
            return {}
        document = self._parse(path)
        if not isinstance(document, dict):
            raise ModelFailed(f"{self.name}: {name} is not a JSON object")
        return document

    def _parse(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelFailed(f"{self.name}: {path.name} cannot be read: {error}") from error


def _naming_code(value: Any) -> Iterator[str]:
    """Yield the settings of a configuration, at any depth, that name code; `…_implementation` may name a repository."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if (key in _CODE and inner) or (key.endswith("_implementation") and "/" in str(inner)):
            yield key
        yield from _naming_code(inner)
