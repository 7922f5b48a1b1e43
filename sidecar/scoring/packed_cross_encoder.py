"""Cross-encoders on our packed trunks: query and text as one sequence -> trunk -> head -> one logit.

Law: equal to transformers, or to sentence-transformers where the head is a chain of its modules, alone or batched, in
fp32 to 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import torch

from sidecar.scoring import packed_bert, packed_modernbert
from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.heads import read_head
from sidecar.scoring.logits import one_logit
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packing import Packed, batches, means, pack_parts
from sidecar.scoring.tokenized import JointModel
from sidecar.scoring.weights import Weights, read_weights

BATCH_TOKENS: Final = {"cpu": 4096, "cuda": 16_384}
"""Tokens per pass through the layers."""


class Trunk(Protocol):
    """A trunk of ours."""

    def states(self, texts: Packed) -> torch.Tensor:
        """Return the last layer's state of every token, (tokens, hidden), or of every first one, (texts, hidden)."""
        ...


def is_supported(folder: ModelFolder) -> bool:
    """Whether there is a trunk of ours for the model in `folder`."""
    return packed_bert.is_supported(folder.config) or packed_modernbert.is_supported(folder.config)


class PackedCrossEncoder(JointModel):
    """A PairModel over a trunk of ours and a head."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Load the model in `folder`.

        Raises:
            ModelFailed: its files are not what config.json says.
        """
        super().__init__(folder, facts, placement)
        is_bert = folder.model_type == "bert"
        weights = read_weights(folder.weights(), prefix="bert." if is_bert else "model.")
        self._head = read_head(folder, weights, placement)
        self._trunk: Trunk = _trunk(folder, weights, placement, first_only=self._head.pooling == "cls")

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one logit per pair, in order."""
        scores = [0.0] * len(pairs)
        budget = BATCH_TOKENS[self._placement.kind]
        with torch.inference_mode():
            for places in batches([pair.tokens for pair in pairs], budget=budget):
                logits = one_logit(self._head(self._vectors(self._packed([pairs[place] for place in places]))))
                for place, logit in zip(places, logits.tolist(), strict=True):
                    scores[place] = logit
        return scores

    def _packed(self, pairs: Sequence[TokenPair]) -> Packed:
        parts = [part for pair in pairs for part in self._template.parts(pair)]
        types = self._template.types
        return pack_parts(parts, len(types), types, device=self._placement.device)

    def _vectors(self, texts: Packed) -> torch.Tensor:
        """Return one vector per text. (texts, hidden)"""
        states = self._trunk.states(texts)
        return states if self._head.pooling == "cls" else means(states, texts)


def _trunk(folder: ModelFolder, weights: Weights, placement: Placement, *, first_only: bool) -> Trunk:
    if folder.model_type == "bert":
        shape = packed_bert.BertShape.read(folder.config)
        return packed_bert.PackedBert(weights, shape, placement, first_only=first_only)
    modern = packed_modernbert.ModernBertShape.read(folder.config)
    return packed_modernbert.PackedModernBert(weights, modern, placement, first_only=first_only)
