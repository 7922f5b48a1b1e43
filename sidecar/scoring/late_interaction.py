"""A bi-encoder of the BERT family as a reranker, by late interaction. No training, and no first-stage score needed.

    s = MaxSim + 0.5 * cosine

MaxSim: the mean, over the query's inner tokens (all but the special ones), of the best cosine with any inner token of
the text, between last-layer states. Cosine: of the two pooled vectors, as sentence-transformers pools them. Query and
text go through the model alone: [CLS] text [SEP].

Laws: a query is encoded once per forward. The score is between -1.5 and 1.5 and always finite: where the query or the
text has no inner token (an empty text), nothing matches and MaxSim is 0; the cosine is then of the special tokens'
states.

*Source:* MaxSim is ColBERT's (Khattab and Zaharia 2020, doi:10.1145/3397271.3401075), there a sum over query tokens.
The weights were chosen on TREC DL 2021 and the development queries of NFCorpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch.nn import functional

from sidecar.scoring.alignments import BestTokens
from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape, PackedBert
from sidecar.scoring.packing import Ids, batches, pack_parts, split
from sidecar.scoring.tokenized import SeparateModel
from sidecar.scoring.weights import read_weights

COSINE_SHARE: Final = 0.5
"""Weight of the pooled vectors' cosine beside MaxSim."""

BATCH_TOKENS: Final = {"cpu": 2048, "cuda": 16_384}
"""Tokens per pass through the layers: what keeps the widest intermediate result in the cache."""

QueryIds = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One text after the model. All states and the vector have length one."""

    inner: torch.Tensor  # (inner tokens, hidden)
    pooled: torch.Tensor  # (hidden,)


class LateInteraction(SeparateModel):
    """A PairModel over a sentence-transformers bi-encoder's weights."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Load the model in `folder`.

        Raises:
            ModelFailed: its files are not what config.json says, or it pools in a way that we do not know.
        """
        super().__init__(folder, facts, placement)
        self._trunk = PackedBert(read_weights(folder.weights()), BertShape.read(folder.config), placement)

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one score per pair, in order."""
        scores = [0.0] * len(pairs)
        with torch.inference_mode():
            distinct = list(dict.fromkeys(pair.query_ids for pair in pairs))
            queries = dict(zip(distinct, self._encode(distinct), strict=True))
            for places in self._batches([pair.text_ids for pair in pairs]):
                batch = [pairs[place] for place in places]
                for place, score in zip(places, self._score(batch, queries), strict=True):
                    scores[place] = score
        return scores

    def best_tokens(self, pairs: Sequence[TokenPair]) -> list[BestTokens]:
        """Return for each pair which inner token of the text is most like each of the query's: what MaxSim sums."""
        with torch.inference_mode():
            query = self._encode([pairs[0].query_ids])[0].inner
            texts = self._encode([pair.text_ids for pair in pairs])
            best = [(query @ text.inner.T).max(1) if len(text.inner) else None for text in texts]
        return [
            () if each is None else list(zip(each.indices.tolist(), each.values.tolist(), strict=True)) for each in best
        ]

    def _batches(self, texts: Sequence[Ids]) -> Iterator[list[int]]:
        lengths = [len(ids) + self._template.special_tokens for ids in texts]
        return batches(lengths, budget=BATCH_TOKENS[self._placement.kind])

    def _encode(self, texts: Sequence[Ids]) -> list[Encoded]:
        """Return the texts after the model, in order."""
        encoded: dict[int, Encoded] = {}
        for places in self._batches(texts):
            encoded |= zip(places, self._encode_batch([texts[place] for place in places]), strict=True)
        return [encoded[place] for place in range(len(texts))]

    def _encode_batch(self, texts: Sequence[Ids]) -> list[Encoded]:
        parts = [part for ids in texts for part in self._template.parts(ids)]
        packed = pack_parts(parts, 3, (0, 0, 0), device=self._placement.device)
        states = self._trunk.states(packed).float()  # (tokens, hidden)
        unit = functional.normalize(states, dim=-1)
        first, last = len(self._template.before), len(self._template.after)
        return [
            Encoded(inner[first : len(inner) - last], self._pooled(all_states))
            for inner, all_states in zip(split(unit, packed), split(states, packed), strict=True)
        ]

    def _pooled(self, states: torch.Tensor) -> torch.Tensor:
        """(tokens, hidden) -> (hidden,), of length one."""
        pooled = states.mean(0) if self._pooling == "mean" else states[0]
        return functional.normalize(pooled, dim=0)

    def _score(self, pairs: Sequence[TokenPair], queries: Mapping[QueryIds, Encoded]) -> list[float]:
        texts = self._encode_batch([pair.text_ids for pair in pairs])
        both = [score(queries[pair.query_ids], text) for pair, text in zip(pairs, texts, strict=True)]
        return torch.stack(both).tolist()


def score(query: Encoded, text: Encoded) -> torch.Tensor:
    """Return MaxSim + 0.5 * cosine of one query and one text, as a scalar."""
    cosine = torch.dot(query.pooled, text.pooled)
    if not len(query.inner) or not len(text.inner):
        return COSINE_SHARE * cosine
    similarities = query.inner @ text.inner.T  # (query tokens, text tokens)
    return similarities.amax(1).mean() + COSINE_SHARE * cosine
