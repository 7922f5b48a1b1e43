"""Cross-encoders of any architecture, through transformers: its AutoModelForSequenceClassification, or its AutoModel
and the chain of sentence-transformers' modules that makes a score of it.

Laws: safetensors only, no code that comes with a model, and nothing from the network: the folder is all there is.
Scores equal transformers' own, alone or batched, in fp32 to 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.heads import read_head
from sidecar.scoring.logits import one_logit
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.padded_models import (
    BATCH_TOKENS,
    keep_heads_exact,
    load_whole,
    padded,
    pooled,
    sub_batches,
    takes_token_types,
)
from sidecar.scoring.tokenized import JointModel


class AnyModel(JointModel):
    """A PairModel over any cross-encoder that transformers knows."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Load the model in `folder`.

        Raises:
            ModelFailed: transformers cannot load it, or its weights lack a part, such as the classifier.
        """
        super().__init__(folder, facts, placement)
        is_chain = bool(folder.score_modules)
        self._head = read_head(folder, {}, placement) if is_chain else None
        kind = "AutoModel" if is_chain else "AutoModelForSequenceClassification"
        self._model = load_whole(kind, folder, placement)
        keep_heads_exact(self._model)
        self._padding_id = int(folder.config.get("pad_token_id") or 0)
        self._takes_types = takes_token_types(self._model)

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one logit per pair, in order."""
        scores = [0.0] * len(pairs)
        budget = BATCH_TOKENS[self._placement.kind]
        with torch.inference_mode():
            for places in sub_batches([pair.tokens for pair in pairs], budget=budget):
                logits = one_logit(self._logits([pairs[place] for place in places]))
                for place, logit in zip(places, logits.tolist(), strict=True):
                    scores[place] = logit
        return scores

    def _logits(self, pairs: Sequence[TokenPair]) -> torch.Tensor:
        ids, mask = padded([self._template.ids(pair) for pair in pairs], self._padding_id, self._placement.device)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types:
            types = [self._template.token_types(pair) for pair in pairs]
            inputs["token_type_ids"], _ = padded(types, 0, self._placement.device)
        output = self._model(**inputs)
        if self._head is not None:
            return self._head(pooled(output.last_hidden_state, mask, self._head.pooling))  # (pairs, labels)
        logits: torch.Tensor = output.logits  # (pairs, labels)
        return logits
