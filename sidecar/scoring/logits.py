"""From a classifier's outputs to one score per pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def one_logit(logits: torch.Tensor) -> torch.Tensor:
    """Return one score per pair from (pairs, labels), in fp32. (pairs,)

    One label: its logit. Two labels (irrelevant, relevant), as some older rerankers have: the difference of their
    logits, whose sigmoid is the softmax probability of "relevant".
    """
    values = logits.float()
    return values[:, 0] if values.shape[1] == 1 else values[:, 1] - values[:, 0]
