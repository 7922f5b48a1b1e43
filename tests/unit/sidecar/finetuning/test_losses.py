"""The loss ranks by the score that the model serves with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sidecar.finetuning import losses
from sidecar.finetuning.losses import SCALE, RankingLoss, max_sim
from sidecar.scoring import models
from sidecar.scoring.pairs import load_tokenizer, probe_single
from tests import tiny_models

WORDS = tiny_models.WORDS
QUERIES = [f"{WORDS[1]} {WORDS[40]}", f"{WORDS[2]} zzqq {WORDS[77]} {WORDS[3]}"]
TEXTS = [f"{WORDS[5]} {WORDS[1]}", " ".join(WORDS[3:20]), WORDS[9], " ".join(WORDS[30:34])]


NUMBERS = torch.tensor([[10, 0, 0, 12], [11, 1, 0, 13]])
"""Of a batch: two texts, queries that each answers (the first one's twice), one other text each."""


def loss_of(folder: Path, *, is_late: bool) -> RankingLoss:
    """Return the loss of the model in a folder."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    template = probe_single(load_tokenizer(folder))
    relevant = {0: frozenset({10, 11}), 1: frozenset({11})}
    return RankingLoss(model.eval(), relevant, template, asked=2, is_late=is_late)


def features(loss: RankingLoss) -> list[Any]:
    """Return the columns of the batch."""
    first, second = QUERIES
    columns = (TEXTS[:2], [first, second], [first, first], TEXTS[2:])
    return [loss.model.preprocess(column) for column in columns]


@pytest.mark.parametrize("at_once", [1, 9])
@pytest.mark.parametrize(
    ("make", "is_late"), [(tiny_models.bi_encoder, True), (tiny_models.xlm_roberta_bi_encoder, False)]
)
def test_scores_are_those_of_serving(
    make: Any, is_late: bool, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every query and every text of the batch, each once, with however many read at once."""
    monkeypatch.setattr(losses, "QUERIES_AT_ONCE", at_once)
    loss = loss_of(make(tmp_path), is_late=is_late)
    served = models.load(str(tmp_path), device="cpu", dtype="fp32")
    expected = [served.forward(served.tokenize(query, TEXTS)) for query in QUERIES]
    with torch.no_grad():
        scores, queries, texts = loss.scores(features(loss), NUMBERS)
    assert ([0, 1], [10, 11, 12, 13]) == (queries, texts)
    assert torch.allclose(torch.tensor(expected), scores, atol=1e-4)


def test_what_is_known_to_be_relevant_is_an_answer(tmp_path: Path) -> None:
    """Both texts answer the first query; texts look for their queries, too, but those that answer none."""
    loss = loss_of(tiny_models.bi_encoder(tmp_path), is_late=True)
    with torch.no_grad():
        scores = SCALE * loss.scores(features(loss), NUMBERS)[0]
        found = loss(features(loss), NUMBERS)
    by_query, by_text = scores.log_softmax(1), scores[:, :2].log_softmax(0)
    queries = -((by_query[0, 0] + by_query[0, 1]) / 2 + by_query[1, 1]) / 2
    texts = -(by_text[0, 0] + (by_text[0, 1] + by_text[1, 1]) / 2) / 2
    assert pytest.approx(float(queries + texts) / 2, rel=1e-5) == float(found)


def test_nothing_matches_where_there_is_no_token() -> None:
    """Neither a query without words nor a text without any, and never is it infinite."""
    units = torch.nn.functional.normalize(torch.ones(2, 3, 4), dim=2)
    some, none = torch.tensor([True, True, False]), torch.tensor([False, False, False])
    found = max_sim(units, torch.stack([some, none]), units, torch.stack([some, none]))
    assert [[1.0, 0.0], [0.0, 0.0]] == [[pytest.approx(value) for value in row] for row in found.tolist()]
