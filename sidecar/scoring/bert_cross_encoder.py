"""A BERT cross-encoder on our packed trunk: [CLS] query [SEP] text [SEP] -> pooler -> classifier -> one logit.

Law: equal to transformers' BertForSequenceClassification, alone or batched, in fp32 to 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.nn import functional

from sidecar.errors import ModelFailed
from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.logits import one_logit
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape, PackedBert
from sidecar.scoring.packing import Packed, batches, pack_parts
from sidecar.scoring.tokenized import JointModel
from sidecar.scoring.weights import Weights, read_weights

BATCH_TOKENS: Final = {"cpu": 2048, "cuda": 16_384}
"""Tokens per pass through the layers: what keeps the widest intermediate result in the cache."""


class BertCrossEncoder(JointModel):
    """A PairModel over BertForSequenceClassification weights."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Load the model in `folder`.

        Raises:
            ModelFailed: its files are not what config.json says.
        """
        super().__init__(folder, facts, placement)
        weights = read_weights(folder.weights())
        self._trunk = PackedBert(weights, BertShape.read(folder.config), placement, first_only=True)
        self._pooler = _head(weights, "pooler.dense", placement)
        self._classifier = _head(weights, "classifier", placement)

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one logit per pair, in order."""
        scores = [0.0] * len(pairs)
        budget = BATCH_TOKENS[self._placement.kind]
        with torch.inference_mode():
            for places in batches([pair.tokens for pair in pairs], budget=budget):
                logits = one_logit(self._logits(self._packed([pairs[place] for place in places])))
                for place, logit in zip(places, logits.tolist(), strict=True):
                    scores[place] = logit
        return scores

    def _packed(self, pairs: Sequence[TokenPair]) -> Packed:
        parts = [part for pair in pairs for part in self._template.parts(pair)]
        types = self._template.types
        return pack_parts(parts, len(types), types, device=self._placement.device)

    def _logits(self, texts: Packed) -> torch.Tensor:
        first = self._trunk.states(texts)  # (texts, hidden)
        pooled = torch.tanh(functional.linear(first, *self._pooler))
        return functional.linear(pooled, *self._classifier).float()  # (texts, labels)


def _head(weights: Weights, name: str, placement: Placement) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of a layer that only sees first tokens."""
    try:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    except KeyError as error:
        raise ModelFailed(f"the weights lack {error}") from error
    return weight.to(placement.device, placement.torch_dtype), bias.to(placement.device, placement.torch_dtype)
