"""What is scored: lengths, and what comes twice."""

import gzip
import json
import statistics
from pathlib import Path

import pytest

from benchmarks.workload import REGIMES, Regime, Stored, Synthetic
from tests import tiny_models


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tokenizer."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_models.word_piece().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a folder laid out as BEIR's are: two queries with three hits each, of five documents."""
    corpus = [{"_id": str(number), "title": f"title {number}", "text": "words " * 30} for number in range(5)]
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(document) + "\n" for document in corpus)
    queries = [{"_id": "q1", "text": "first"}, {"_id": "q2", "text": "second"}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    run = [("q1", "3"), ("q1", "0"), ("q1", "1"), ("q2", "4"), ("q2", "2"), ("q2", "0")]
    lines = [f"{topic} Q0 {hit} {rank} {10 - rank} bm25\n" for rank, (topic, hit) in enumerate(run)]
    (tmp_path / "run.bm25.trec").write_text("".join(lines))
    return tmp_path


def test_synthetic_texts_have_the_lengths_of_real_ones(tokenizer: Path) -> None:
    """Median 75, nine in ten up to 136, none over 258, mean 85: TREC DL 2019's, up to a tenth; a word is a token."""
    texts = Synthetic(tokenizer).search(3000, is_long=False).texts
    lengths = sorted(len(text.split()) for text in texts)
    counted = tiny_models.word_piece().encode_batch(list(texts[:50]), add_special_tokens=False)
    assert [len(text.split()) for text in texts[:50]] == [len(encoding.ids) for encoding in counted]
    assert pytest.approx(75, rel=0.1) == statistics.median(lengths)
    assert pytest.approx(136, rel=0.1) == lengths[2700]
    assert pytest.approx(85, rel=0.1) == statistics.mean(lengths)
    assert lengths[-1] <= 258


def test_long_texts_fill_the_model(tokenizer: Path) -> None:
    """All have more than 512 tokens."""
    assert all(len(text.split()) > 512 for text in Synthetic(tokenizer).search(5, is_long=True).texts)


def test_the_same_seed_gives_the_same_searches(tokenizer: Path) -> None:
    """And another seed others."""
    first = Synthetic(tokenizer, seed=1).search(3, is_long=False)
    assert first == Synthetic(tokenizer, seed=1).search(3, is_long=False)
    assert first != Synthetic(tokenizer, seed=2).search(3, is_long=False)


def test_no_text_comes_twice_in_a_cold_regime(tokenizer: Path) -> None:
    """Every round has texts and queries of its own, and so has the one to warm up with."""
    rounds = REGIMES["concurrent"].rounds(Synthetic(tokenizer), 3)
    texts = [text for searches in rounds for search in searches for text in search.texts]
    assert 4 * 16 * 10 == len(texts) == len(set(texts))


def test_a_warm_regime_repeats_the_texts_under_other_queries(tokenizer: Path) -> None:
    """So that a cache of tokens can be used, and one of scores cannot."""
    rounds = Regime(name="warm", texts=5, is_warm=True).rounds(Synthetic(tokenizer), 3)
    assert 4 == len(rounds)
    assert 1 == len({searches[0].texts for searches in rounds})
    assert 4 == len({searches[0].query for searches in rounds})


def test_stored_searches_follow_the_run(stored: Path) -> None:
    """A query has its hits in their order, with titles; more than there are come from the corpus."""
    source = Stored(stored)
    first, second = source.search(3, is_long=False), source.search(4, is_long=False)
    assert ("first", "second") == (first.query, second.query)
    assert ["title 3", "title 0", "title 1"] == [text[:7] for text in first.texts]
    assert ["title 4", "title 2", "title 0"] == [text[:7] for text in second.texts[:3]]
    assert 4 == len(second.texts)


def test_stored_texts_are_glued_to_long_ones(stored: Path) -> None:
    """Until they are longer than 512 tokens of English."""
    (text,) = Stored(stored).search(1, is_long=True).texts
    assert len(text.split()) > 512


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """With what it lacks."""
    with pytest.raises(FileNotFoundError, match=r"corpus\.jsonl"):
        Stored(tmp_path)
