"""MaxSim + 0.5 * cosine, against a plain implementation over transformers' own states."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
import transformers

from sidecar.errors import ModelFailed
from sidecar.scoring import models
from sidecar.scoring.base import PairModel
from sidecar.scoring.late_interaction import LateInteraction
from sidecar.scoring.packed_bert import Packed
from tests import tiny_models

TOLERANCE = 1e-4
QUERY = " ".join(tiny_models.WORDS[:4])


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Give texts of all lengths, some longer than the 32 tokens that the model reads."""
    rng = random.Random(tiny_models.SEED)
    return ["a", *(tiny_models.random_text(rng, rng.randrange(1, 50)) for _ in range(20))]


def plain_scores(folder: Path, query: str, texts: list[str], *, pooling: str = "mean") -> list[float]:
    """Return the score by its definition, one text at a time."""
    tokenizer = tiny_models.word_piece()
    tokenizer.enable_truncation(tiny_models.MAX_LENGTH // 2)
    model = transformers.BertModel.from_pretrained(folder).eval()

    def states(text: str) -> torch.Tensor:
        with torch.inference_mode():
            result: torch.Tensor = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
        return result

    def pooled(rows: torch.Tensor) -> torch.Tensor:
        return rows.mean(0) if pooling == "mean" else rows[0]

    asked = states(query)
    scores = []
    for text in texts:
        given = states(text)
        best = [max(float(torch.cosine_similarity(one, other, dim=0)) for other in given[1:-1]) for one in asked[1:-1]]
        cosine = float(torch.cosine_similarity(pooled(asked), pooled(given), dim=0))
        scores.append(sum(best) / len(best) + 0.5 * cosine)
    return scores


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_scores_equal_the_definition(tmp_path: Path, texts: list[str], pooling: str) -> None:
    """Token states of length one, special tokens left out of MaxSim and kept in the pooled vector."""
    model = models.load(str(tiny_models.bi_encoder(tmp_path, pooling=pooling)), device="cpu", dtype="fp32")
    assert isinstance(model, LateInteraction)
    expected = plain_scores(tmp_path, QUERY, texts, pooling=pooling)
    assert model.forward(model.tokenize(QUERY, texts)) == pytest.approx(expected, abs=TOLERANCE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PairModel:
    """Give a tiny model."""
    return models.load(str(tiny_models.bi_encoder(tmp_path_factory.mktemp("bi"))), device="cpu", dtype="fp32")


def test_the_query_itself_scores_one_and_a_half(model: PairModel) -> None:
    """Every query token finds itself, and the vectors are the same."""
    assert model.forward(model.tokenize(QUERY, [QUERY])) == pytest.approx([1.5], abs=TOLERANCE)


def test_without_inner_tokens_only_the_cosine_counts(model: PairModel) -> None:
    """An empty text, an empty query, and both: half the cosine of what the special tokens give."""
    (empty_text,) = model.forward(model.tokenize(QUERY, [""]))
    (empty_query,) = model.forward(model.tokenize("", [QUERY]))
    (both,) = model.forward(model.tokenize("", [""]))
    assert empty_text == pytest.approx(empty_query, abs=TOLERANCE)
    assert -0.5 <= empty_text <= 0.5
    assert both == pytest.approx(0.5, abs=TOLERANCE)


def test_the_query_is_encoded_once_per_forward(model: PairModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten texts of one search are eleven texts for the trunk, whatever the number of batches."""
    seen: list[int] = []
    trunk = model._trunk  # type: ignore[attr-defined]
    states = trunk.states

    def counted(packed: Packed) -> torch.Tensor:
        seen.append(len(packed.lengths))
        result: torch.Tensor = states(packed)
        return result

    monkeypatch.setattr(trunk, "states", counted)
    model.forward(model.tokenize(QUERY, ["a b"] * 10))
    assert seen == [1, 10]


def test_prompts_go_in_front(tmp_path: Path) -> None:
    """A model that was trained with prefixes gets them: one for queries, one for texts."""
    first, second = tiny_models.WORDS[5:7]
    prompts = {"query": f"{first} ", "passage": f"{second} "}
    prompted = models.load(
        str(tiny_models.bi_encoder(tmp_path / "prompted", prompts=prompts)), device="cpu", dtype="fp32"
    )
    plain = models.load(str(tiny_models.bi_encoder(tmp_path / "plain")), device="cpu", dtype="fp32")
    expected = plain.tokenize(f"{first} {QUERY}", [f"{second} a"])[0]
    (pair,) = prompted.tokenize(QUERY, ["a"])
    assert (pair.query_ids, pair.text_ids) == (expected.query_ids, expected.text_ids)


def test_the_facts_recommend_a_linear_fusion(model: PairModel) -> None:
    """Nine tenths of the model, one of the first stage."""
    facts = model.facts
    assert (facts.kind, facts.recommended_fusion, facts.recommended_weight) == ("late-interaction", "linear", 0.9)
    assert facts.max_length == tiny_models.MAX_LENGTH // 2


def test_unknown_pooling_is_refused(tmp_path: Path) -> None:
    """A vector made in another way would be another vector."""
    with pytest.raises(ModelFailed, match="pools its tokens in another way"):
        models.load(str(tiny_models.bi_encoder(tmp_path, pooling="max")), device="cpu", dtype="fp32")
