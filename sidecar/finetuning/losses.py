"""Bi-encoders: the score that they serve with, as a loss.

    loss = cross entropy of softmax(SCALE * score(query, text) over the texts of the batch) against those that answer
           the query, in equal parts; and the same of every text over the queries of the batch

All texts of a batch are negatives of a query, unless they are known to be relevant: these count as answers, so that a
text that answers many queries is learnt from each time that it is read. Law: the score is that of
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

QUERIES_AT_ONCE: Final = 64

Features = dict[str, torch.Tensor]


class RankingLoss(nn.Module):
    """A loss of sentence-transformers' trainer for bi-encoders.

    Columns: text, queries that it answers, other texts. Labels: the numbers of all of these. What is twice in a batch
    counts once, and is read once.
    """

    def __init__(
        self,
        model: Any,
        relevant: Mapping[int, frozenset[int]],
        template: SingleTemplate,
        *,
        asked: int,
        is_late: bool,
        scale: float = SCALE,
    ) -> None:
        """Train `model`, a SentenceTransformer; `relevant` has the numbers of the texts that answer a query.

        `asked`: columns of queries.
        """
        super().__init__()
        self.model = model
        self._relevant = relevant
        self._template = template
        self._asked = asked
        self._is_late = is_late
        self._scale = scale

    def forward(self, features: Sequence[Features], labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over the queries, and over the texts that answer some of them."""
        scores, queries, texts = self.scores(features, labels)
        wanted = [[text in self._relevant[query] for text in texts] for query in queries]
        answers = torch.tensor(wanted, device=scores.device)  # (queries, texts)
        has_query = answers.any(0)
        scores = self._scale * scores
        by_text = _cross_entropy(scores[:, has_query].T, answers[:, has_query].T)
        return (_cross_entropy(scores, answers) + by_text) / 2

    def scores(
        self, features: Sequence[Features], labels: torch.Tensor
    ) -> tuple[torch.Tensor, Sequence[int], Sequence[int]]:
        """Return the score of every query and every text, and the numbers of both. (queries, texts)"""
        asked = slice(1, 1 + self._asked)
        queries, query_numbers = _once(features[asked], labels[:, asked])
        texts, text_numbers = _once(
            [features[0], *features[asked.stop :]], torch.cat([labels[:, :1], labels[:, asked.stop :]], 1)
        )
        read = self._encoded(texts)
        sizes = queries["attention_mask"].sum(1)
        order = sizes.argsort(stable=True)  # of like length, so that one long query does not lengthen all
        some = [_cut(queries, rows, int(sizes[rows].max())) for rows in torch.split(order, QUERIES_AT_ONCE)]
        scores = torch.cat([self._likeness(self._encoded(each), read) for each in some])
        return scores, [query_numbers[place] for place in order.tolist()], text_numbers

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


def _once(columns: Sequence[Features], numbers: torch.Tensor) -> tuple[Features, Sequence[int]]:
    """Return the rows of all columns as one, each number's once, and the numbers. `numbers`: (rows, columns)"""
    first: dict[int, int] = {}
    for place, number in enumerate(numbers.T.flatten().tolist()):
        first.setdefault(number, place)
    chosen = torch.tensor(list(first.values()), device=numbers.device)
    found: Features = {}
    for name, value in columns[0].items():
        if not isinstance(value, torch.Tensor):
            found[name] = value
            continue
        longest = max(each[name].shape[1] for each in columns)
        padded = [functional.pad(each[name], (0, longest - each[name].shape[1])) for each in columns]
        found[name] = torch.cat(padded).index_select(0, chosen.to(value.device))
    return found, list(first)


def _cut(features: Features, rows: torch.Tensor, longest: int) -> Features:
    """Return some rows, whose padding beyond the longest of them goes. Rows that are padded in front keep theirs."""
    mask = features["attention_mask"].index_select(0, rows)
    last = longest if not mask[:, longest:].any() else None
    return {
        name: value.index_select(0, rows)[:, :last] if isinstance(value, torch.Tensor) else value
        for name, value in features.items()
    }


def _cross_entropy(scores: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows of the cross entropy of their softmax against the row's answers in equal parts."""
    wanted = answers.float()
    return -((scores.log_softmax(1) * wanted).sum(1) / wanted.sum(1)).mean()


def _units(states: torch.Tensor) -> torch.Tensor:
    return functional.normalize(states.float(), dim=-1)
