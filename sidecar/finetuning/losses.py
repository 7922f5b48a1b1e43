"""Bi-encoders: the score that they serve with, as a loss.

    loss = cross entropy of softmax(SCALE * score(query, text) over the texts of the batch) against those that answer
           the query, in equal parts; and the same of every text over the queries of the batch

The texts of the other queries of a batch are negatives, too, unless they are known to be relevant: these count as
answers, so that a text that answers many queries is learnt from each time that it is read. Law: the score is that of
`scoring/late_interaction.py` (MaxSim + 0.5 * cosine) or of `scoring/bi_encoder.py` (the cosine), of the same tokens.

*Source:* softmax over the negatives of the batch: Henderson et al. 2017 (arXiv:1705.00652), in sentence-transformers
MultipleNegativesRankingLoss, whose scale of 20 this has, too; in both directions, as CLIP has it (arXiv:2103.00020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from sidecar.scoring.late_interaction import COSINE_SHARE
from sidecar.scoring.pairs import SingleTemplate

SCALE: Final = 20.0

Features = dict[str, torch.Tensor]


class RankingLoss(nn.Module):
    """A loss of sentence-transformers' trainer for bi-encoders.

    Columns: query, relevant text, other texts. Labels: the number of the query, then those of the texts.
    """

    def __init__(
        self,
        model: Any,
        relevant: Mapping[int, frozenset[int]],
        template: SingleTemplate,
        *,
        is_late: bool,
        scale: float = SCALE,
    ) -> None:
        """Train `model`, a SentenceTransformer; `relevant` has the numbers of the texts that answer a query."""
        super().__init__()
        self.model = model
        self._relevant = relevant
        self._template = template
        self._is_late = is_late
        self._scale = scale

    def forward(self, features: Sequence[Features], labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over the queries, and over the texts."""
        scores = self._scale * self.scores(features)  # (queries, texts)
        answers = self._answers(labels).to(scores.device)
        own = slice(len(labels))  # negatives may answer no query of the batch
        return (_cross_entropy(scores, answers) + _cross_entropy(scores[:, own].T, answers[:, own].T)) / 2

    def scores(self, features: Sequence[Features]) -> torch.Tensor:
        """Return the score of every query and every text: the relevant ones of all queries first. (queries, texts)"""
        asked, *texts = [self._encoded(each) for each in features]
        return torch.cat([self._likeness(asked, column) for column in texts], dim=1)

    def _encoded(self, features: Features) -> Features:
        found: Features = self.model(features)
        return found

    def _likeness(self, query: Features, texts: Features) -> torch.Tensor:
        cosine = _units(query["sentence_embedding"]) @ _units(texts["sentence_embedding"]).T
        if not self._is_late:
            return cosine
        return max_sim(
            _units(query["token_embeddings"]), self._inner(query), _units(texts["token_embeddings"]), self._inner(texts)
        ) + (COSINE_SHARE * cosine)

    def _inner(self, features: Features) -> torch.Tensor:
        """Return which tokens are no special ones and no padding. (texts, tokens)"""
        mask = features["attention_mask"].bool()
        place = mask.cumsum(1) - 1
        sizes = mask.sum(1, keepdim=True)
        return mask & (place >= len(self._template.before)) & (place < sizes - len(self._template.after))

    def _answers(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which texts answer which query: its own one, and what is known to. (queries, texts)"""
        queries, documents = labels[:, 0].tolist(), labels[:, 1:].T.flatten().tolist()
        answers = [[document in self._relevant[query] for document in documents] for query in queries]
        return torch.tensor(answers).fill_diagonal_(True)


def max_sim(query: torch.Tensor, is_query: torch.Tensor, texts: torch.Tensor, is_text: torch.Tensor) -> torch.Tensor:
    """Return the mean, over a query's tokens, of the best cosine with a token of the text. (queries, texts)

    `query`: (queries, query tokens, hidden); `texts`: (texts, text tokens, hidden); both of length one, each with what
    counts of it. Where either has no token, 0.
    """
    tokens = query[is_query]  # (query tokens of all, hidden)
    likeness = tokens @ texts.flatten(0, 1).T  # (query tokens of all, text tokens of all)
    likeness = likeness.view(len(tokens), *is_text.shape)  # (query tokens of all, texts, text tokens)
    best = likeness.masked_fill(~is_text, -torch.inf).amax(2).masked_fill(~is_text.any(1), 0.0)
    of_query = is_query.nonzero()[:, 0]  # (query tokens of all,)
    total = best.new_zeros(len(query), len(texts), dtype=torch.float32).index_add(0, of_query, best.float())
    mean: torch.Tensor = total / is_query.sum(1).clamp(min=1)[:, None]
    return mean


def _cross_entropy(scores: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows of the cross entropy of their softmax against the row's answers in equal parts."""
    wanted = answers.float()
    return -((scores.log_softmax(1) * wanted).sum(1) / wanted.sum(1)).mean()


def _units(states: torch.Tensor) -> torch.Tensor:
    return functional.normalize(states.float(), dim=-1)
