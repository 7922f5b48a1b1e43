"""What every PairModel keeps to, whatever its architecture: one score per pair, the same alone and batched."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.scoring import models
from sidecar.scoring.base import PairModel
from tests import tiny_models

TOLERANCE = 1e-4

MODELS: dict[str, Callable[[Path], Path]] = {
    "bert": tiny_models.bert,
    "bert of two labels": lambda folder: tiny_models.bert(folder, labels=2),
    "modernbert": tiny_models.modern_bert,
    "modernbert, mean": lambda folder: tiny_models.modern_bert(folder, classifier_pooling="mean"),
    "chain of modules": tiny_models.chain,
    "chain of modules over another family": lambda folder: tiny_models.chain(folder, family="electra", pooling="mean"),
    "distilbert": tiny_models.distil_bert,
    "deberta": tiny_models.deberta,
    "xlm-roberta": tiny_models.xlm_roberta,
    "late interaction": tiny_models.bi_encoder,
    "late interaction, first token": lambda folder: tiny_models.bi_encoder(folder, pooling="cls"),
    "cosine": tiny_models.xlm_roberta_bi_encoder,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PairModel:
    """Give each tiny model, loaded as the program loads it."""
    folder: Path = MODELS[request.param](tmp_path_factory.mktemp("model"))
    return models.load(str(folder), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Give texts of all lengths: empty, one word, odd characters, longer than any model here reads."""
    rng = random.Random(tiny_models.SEED)
    return ["", "a", "京都", "\ud800", *(tiny_models.random_text(rng, rng.randrange(1, 60)) for _ in range(26))]


QUERY = f"{tiny_models.WORDS[3]} {tiny_models.WORDS[14]} 15?"


def test_there_is_one_finite_score_per_pair(model: PairModel, texts: list[str]) -> None:
    """Empty texts and lone surrogates included."""
    scores = model.forward(model.tokenize(QUERY, texts))
    assert len(scores) == len(texts)
    assert all(math.isfinite(score) for score in scores)
    assert len({round(score, 3) for score in scores}) > len(texts) // 2  # and they tell the texts apart


def test_a_pair_scores_the_same_alone(model: PairModel, texts: list[str]) -> None:
    """What else is in the batch does not matter."""
    pairs = model.tokenize(QUERY, texts)
    alone = [model.forward([pair])[0] for pair in pairs]
    assert model.forward(pairs) == pytest.approx(alone, abs=TOLERANCE)


def test_scores_follow_their_pairs(model: PairModel, texts: list[str]) -> None:
    """A permutation of the pairs permutes the scores, and twins get the same."""
    pairs = model.tokenize(QUERY, texts)
    order = list(range(len(pairs)))
    random.Random(1).shuffle(order)
    scores = model.forward(pairs)
    assert model.forward([pairs[place] for place in order]) == pytest.approx(
        [scores[place] for place in order], abs=TOLERANCE
    )
    first, second = model.forward([pairs[5], pairs[5]])
    assert second == pytest.approx(first, abs=TOLERANCE)


def test_queries_of_several_searches_share_a_forward(model: PairModel, texts: list[str]) -> None:
    """A batch holds pairs of different calls; each is scored against its own query."""
    other = " ".join(tiny_models.WORDS[20:24])
    ours, theirs = model.tokenize(QUERY, texts), model.tokenize(other, texts)
    mixed = [pair for both in zip(ours, theirs, strict=True) for pair in both]
    scores = model.forward(mixed)
    assert scores[0::2] == pytest.approx(model.forward(ours), abs=TOLERANCE)
    assert scores[1::2] == pytest.approx(model.forward(theirs), abs=TOLERANCE)


@pytest.mark.parametrize("query", ["", "\ud800", " ".join(tiny_models.WORDS)])
def test_any_query_has_finite_scores(model: PairModel, texts: list[str], query: str) -> None:
    """An empty one, an impossible one and one that is far too long."""
    assert all(math.isfinite(score) for score in model.forward(model.tokenize(query, texts)))


def test_no_pairs_have_no_scores(model: PairModel) -> None:
    """An empty batch is answered with an empty list."""
    assert model.tokenize(QUERY, []) == []
    assert model.forward([]) == []


def test_pairs_of_one_call_share_the_query(model: PairModel, texts: list[str]) -> None:
    """The identical object, so that a model may encode it once."""
    assert len({id(pair.query_ids) for pair in model.tokenize(QUERY, texts)}) == 1


def test_the_facts_are_complete(model: PairModel) -> None:
    """Name, a digest of the weights, length, device and precision."""
    facts = model.facts
    assert facts.revision.startswith("sha256:")
    assert (facts.device, facts.dtype) == ("cpu", "fp32")
    assert 8 <= facts.max_length <= tiny_models.MAX_LENGTH
