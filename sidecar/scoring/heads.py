"""What a cross-encoder does with the states of its trunk: one vector per text, and from that the logits.

There are three kinds of heads: BertForSequenceClassification's, ModernBertForSequenceClassification's, and a chain of
sentence-transformers' modules (Pooling, then Dense and LayerNorm layers up to "scores"). Law: a head computes in fp32
whatever the trunk's precision: it sees one vector per text, and a logit in bf16 would be rounded to two digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch.nn import functional

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder, Pooling, ScoreModule
from sidecar.scoring.weights import Part, Weights, read_weights

Layer: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""(texts, width) -> (texts, other width), in fp32."""

_ACTIVATIONS: Final[Mapping[str, Layer]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """How vectors are made of states, and logits of vectors."""

    pooling: Pooling
    layers: tuple[Layer, ...]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """(texts, hidden) -> (texts, labels), in fp32"""
        x = vectors.float()
        for layer in self.layers:
            x = layer(x)
        return x


def read_head(folder: ModelFolder, weights: Weights, placement: Placement) -> Head:
    """Return the head of the model in `folder`, whose own weights are in `weights`.

    Raises:
        ModelFailed: a weight is missing, or it is of a kind that we do not know.
    """
    exact = Placement(placement.device, "fp32")
    if folder.score_modules:
        modules = zip(folder.score_modules, folder.module_weights(), strict=True)
        return Head(folder.module_pooling(), tuple(_module(module, file, exact) for module, file in modules))
    part = Part(weights, exact)
    if folder.model_type == "bert":
        return Head("cls", (_dense(part.under("pooler.dense")), torch.tanh, _dense(part.under("classifier"))))
    if folder.model_type == "modernbert":
        return _modern_bert_head(part, folder.config)
    raise ModelFailed(f"{folder.name} has a head that we do not know")


def _modern_bert_head(part: Part, config: Mapping[str, Any]) -> Head:
    has_norm_bias = bool(config.get("norm_bias", False))
    layers = (
        _dense(part.under("head.dense"), has_bias=bool(config.get("classifier_bias", False))),
        _activation(str(config.get("classifier_activation", "gelu"))),
        part.norm("head.norm", config.get("norm_eps", 1e-5), has_bias=has_norm_bias),
        _dense(part.under("classifier")),
    )
    return Head("mean" if config.get("classifier_pooling", "cls") == "mean" else "cls", layers)


def _module(module: ScoreModule, file: Path, placement: Placement) -> Layer:
    part = Part(read_weights([file]), placement)
    if module.kind == "LayerNorm":
        return part.norm("norm", 1e-5)
    dense = _dense(part.under("linear"), has_bias=bool(module.config.get("bias", True)))
    name = str(module.config.get("activation_function") or "identity").rpartition(".")[2].lower()
    activation = _activation(name)
    return lambda x: activation(dense(x))


def _dense(part: Part, *, has_bias: bool = True) -> Layer:
    weight, bias = part.tensor("weight"), part.tensor("bias") if has_bias else None
    return lambda x: functional.linear(x, weight, bias)


def _activation(name: str) -> Layer:
    if name not in _ACTIVATIONS:
        raise ModelFailed(f"activation: got {name!r}, expected one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]
