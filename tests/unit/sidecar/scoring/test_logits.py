"""From a classifier's outputs to one score."""

from __future__ import annotations

import torch

from sidecar.scoring.logits import one_logit


def test_one_label_is_its_logit_and_two_are_their_difference() -> None:
    """In fp32, one number per pair."""
    one = one_logit(torch.tensor([[1.5], [-2.0]], dtype=torch.float16))
    assert (one.tolist(), one.dtype) == ([1.5, -2.0], torch.float32)
    assert one_logit(torch.tensor([[1.0, 3.0], [2.0, 0.5]])).tolist() == [2.0, -1.5]
