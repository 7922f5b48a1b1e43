"""Bi-encoders of any architecture: the cosine of the query's and the text's vectors.

Laws: vectors as sentence-transformers makes them (the mean of the last layer's states, or the first one). A query is
encoded once per forward. An empty text is its special tokens, so its score is finite like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packing import Ids
from sidecar.scoring.padded_models import BATCH_TOKENS, load_whole, padded, pooled, sub_batches
from sidecar.scoring.tokenized import SeparateModel


class BiEncoder(SeparateModel):
    """A PairModel over a sentence-transformers bi-encoder that transformers knows."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Load the model in `folder`.

        Raises:
            ModelFailed: transformers cannot load it, or it pools in a way that we do not know.
        """
        super().__init__(folder, facts, placement)
        self._model = load_whole("AutoModel", folder, placement)
        self._padding_id = int(folder.config.get("pad_token_id") or 0)

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one cosine per pair, in order."""
        if not pairs:
            return []
        with torch.inference_mode():
            places = {query: place for place, query in enumerate(dict.fromkeys(pair.query_ids for pair in pairs))}
            queries = self._vectors(list(places))  # (queries, hidden)
            texts = self._vectors([pair.text_ids for pair in pairs])  # (pairs, hidden)
            of_pair = torch.tensor([places[pair.query_ids] for pair in pairs], device=queries.device)
            cosines: list[float] = (queries[of_pair] * texts).sum(1).tolist()
            return cosines

    def _vectors(self, texts: Sequence[Ids]) -> torch.Tensor:
        """Return the texts' vectors of length one, in order. (texts, hidden)"""
        lengths = [len(ids) + self._template.special_tokens for ids in texts]
        vectors: dict[int, torch.Tensor] = {}
        for places in sub_batches(lengths, budget=BATCH_TOKENS[self._placement.kind]):
            vectors |= zip(places, self._pooled([texts[place] for place in places]), strict=True)
        return functional.normalize(torch.stack([vectors[place] for place in range(len(texts))]), dim=1)

    def _pooled(self, texts: Sequence[Ids]) -> torch.Tensor:
        ids, mask = padded([self._template.ids(text) for text in texts], self._padding_id, self._placement.device)
        output = self._model(input_ids=ids, attention_mask=mask)
        return pooled(output.last_hidden_state, mask, self._pooling)
