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
from sidecar.scoring.packing import Ids, Packed, batches, means, pack_parts, split
from sidecar.scoring.tokenized import SeparateModel
from sidecar.scoring.weights import read_weights

COSINE_SHARE: Final = 0.5
"""Weight of the pooled vectors' cosine beside MaxSim."""

BATCH_TOKENS: Final = {"cpu": 4096, "cuda": 16_384}
"""Tokens per pass through the layers."""

QueryIds = tuple[int, ...]
Query = tuple[torch.Tensor, torch.Tensor]
"""The states of its inner tokens, (inner tokens, hidden), and its vector, (hidden,), all of length one."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Texts after the model. All states and vectors have length one."""

    texts: Packed
    units: torch.Tensor  # (tokens, hidden)
    pooled: torch.Tensor  # (texts, hidden)
    is_inner: torch.Tensor  # (tokens,): what is no special token

    def inner(self) -> list[torch.Tensor]:
        """Return every text's states, but for those of its special tokens. (inner tokens, hidden) each"""
        flags = split(self.is_inner, self.texts)
        return [units[flag] for units, flag in zip(split(self.units, self.texts), flags, strict=True)]


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
            queries = self._queries(pairs)
            for places in self._batches([pair.text_ids for pair in pairs]):
                batch = [pairs[place] for place in places]
                for place, score in zip(places, self._score(batch, queries), strict=True):
                    scores[place] = score
        return scores

    def best_tokens(self, pairs: Sequence[TokenPair]) -> list[BestTokens]:
        """Return for each pair which inner token of the text is most like each of the query's: what MaxSim sums."""
        with torch.inference_mode():
            query, _ = self._queries(pairs[:1])[pairs[0].query_ids]
            best: dict[int, BestTokens] = {}
            for places in self._batches([pair.text_ids for pair in pairs]):
                texts = self._encode([pairs[place].text_ids for place in places])
                best |= zip(places, [_best(query, inner) for inner in texts.inner()], strict=True)
        return [best[place] for place in range(len(pairs))]

    def _batches(self, texts: Sequence[Ids]) -> Iterator[list[int]]:
        lengths = [len(ids) + self._template.special_tokens for ids in texts]
        return batches(lengths, budget=BATCH_TOKENS[self._placement.kind])

    def _queries(self, pairs: Sequence[TokenPair]) -> dict[QueryIds, Query]:
        """Return each query once: its inner tokens' states and its vector."""
        distinct = list(dict.fromkeys(pair.query_ids for pair in pairs))
        found: dict[QueryIds, Query] = {}
        for places in self._batches(distinct):
            encoded = self._encode([distinct[place] for place in places])
            found |= zip(
                [distinct[place] for place in places], zip(encoded.inner(), encoded.pooled, strict=True), strict=True
            )
        return found

    def _encode(self, texts: Sequence[Ids]) -> Encoded:
        """Return the texts of one batch after the model."""
        parts = [part for ids in texts for part in self._template.parts(ids)]
        packed = pack_parts(parts, 3, (0, 0, 0), device=self._placement.device)
        states = self._trunk.states(packed).float()  # (tokens, hidden)
        pooled = means(states, packed) if self._pooling == "mean" else states[packed.firsts[: len(texts)]]
        positions, sizes = packed.positions[: len(states)], packed.sizes[packed.text_of]  # (tokens,) each
        is_inner = (positions >= len(self._template.before)) & (positions < sizes - len(self._template.after))
        return Encoded(packed, functional.normalize(states, dim=1), functional.normalize(pooled, dim=1), is_inner)

    def _score(self, pairs: Sequence[TokenPair], queries: Mapping[QueryIds, Query]) -> list[float]:
        texts = self._encode([pair.text_ids for pair in pairs])
        asked = torch.stack([queries[pair.query_ids][1] for pair in pairs])  # (texts, hidden)
        scores = COSINE_SHARE * (asked * texts.pooled).sum(1)  # (texts,)
        for query_ids in dict.fromkeys(pair.query_ids for pair in pairs):
            of_query = torch.tensor([pair.query_ids == query_ids for pair in pairs], device=scores.device)  # (texts,)
            scores += max_sim(queries[query_ids][0], texts).where(of_query, 0.0)
        result: list[float] = scores.tolist()
        return result


def max_sim(query: torch.Tensor, texts: Encoded) -> torch.Tensor:
    """Return MaxSim of a query's inner states, (query tokens, hidden), and every text. (texts,)"""
    if not len(query):
        return torch.zeros(len(texts.pooled), device=texts.units.device)
    likeness = texts.units @ query.T  # (tokens, query tokens)
    likeness = likeness.masked_fill(~texts.is_inner[:, None], -torch.inf)
    best = torch.segment_reduce(likeness, "max", lengths=texts.texts.sizes)  # (texts, query tokens)
    found = best.mean(1)  # (texts,), -inf where a text has no inner token
    return found.where(found.isfinite(), 0.0)


def _best(query: torch.Tensor, inner: torch.Tensor) -> BestTokens:
    """Return the place of the best inner token of a text for each of the query's, and how alike they are."""
    if not len(inner):
        return ()
    best = (query @ inner.T).max(1)
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
