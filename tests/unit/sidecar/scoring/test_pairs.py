"""Texts to token ids: exactly what transformers gives, the query once, no text too strange."""

from __future__ import annotations

import os
import random
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sidecar.errors import ModelFailed
from sidecar.scoring.base import TokenPair
from sidecar.scoring.pairs import PairTokenizer, Template, encodable, load_tokenizer, probe, probe_single
from tests import tiny_models

DATA = Path(os.environ.get("RERANK_TEST_DATA", Path(__file__).parents[5] / "shared" / "data"))
REAL = DATA / "cross-encoder-config" / "ms-marco-MiniLM-L6-v2"
PIECES = (
    *("abc", "defgh", "漢字かな", "привет", "مرحبا", "😀👩\u200d👧", "é", "ñ", "\u0301", "[SEP]", "\x00", "\ufffd"),
    *("1,234.5", "ﬁ", "Ⅷ", "", " ", "\t", "\n"),
)


def test_special_tokens_of_bert_are_found() -> None:
    """[CLS] query [SEP] text [SEP], the second half of type 1."""
    template = probe(tiny_models.word_piece())
    assert template == Template(before=(2,), between=(3,), after=(3,), types=(0, 0, 0, 1, 1))
    pair = TokenPair((7, 8), (9,))
    assert template.ids(pair) == [2, 7, 8, 3, 9, 3]
    assert template.token_types(pair) == [0, 0, 0, 0, 1, 1]


def test_special_tokens_of_xlm_r_are_found() -> None:
    """<s> query </s></s> text </s>, all of type 0."""
    template = probe(tiny_models.sentence_piece())
    assert template == Template(before=(0,), between=(2, 2), after=(2,), types=(0, 0, 0, 0, 0))
    assert template.special_tokens == 4


def test_token_types_can_be_switched_off() -> None:
    """A tokenizer whose configuration says that its model takes none gives zeros."""
    assert probe(tiny_models.word_piece(), has_token_types=False).types == (0, 0, 0, 0, 0)


def test_special_tokens_of_a_single_text_are_found() -> None:
    """[CLS] text [SEP]."""
    template = probe_single(tiny_models.word_piece())
    assert template.ids([7, 8]) == [2, 7, 8, 3]


@pytest.mark.parametrize("make", [tiny_models.word_piece, tiny_models.sentence_piece])
def test_pairs_equal_transformers_with_only_second(make: Callable[[], Tokenizer]) -> None:
    """For thousands of pairs, empty, over-long and odd ones included, the model sees the same ids."""
    theirs = PreTrainedTokenizerFast(tokenizer_object=make(), pad_token="[PAD]")
    _check_against(theirs, make(), lambda rng: tiny_models.random_text(rng, rng.choice((0, 1, 5, 40, 300))), 1500)


def test_pairs_equal_transformers_with_the_real_tokenizer() -> None:
    """The published MiniLM tokenizer: non-Latin scripts, emoji, control characters, texts of thousands of words."""
    if not REAL.is_dir():
        pytest.skip(f"no tokenizer in {REAL}; RERANK_TEST_DATA says where the data is")
    theirs = AutoTokenizer.from_pretrained(REAL)
    _check_against(theirs, load_tokenizer(REAL), _odd_text, 1000)


def test_the_model_cards_first_pair_gives_its_known_ids() -> None:
    """34 ids, starting as published."""
    if not REAL.is_dir():
        pytest.skip(f"no tokenizer in {REAL}; RERANK_TEST_DATA says where the data is")
    tokenizer = load_tokenizer(REAL)
    template = probe(tokenizer)
    text = "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers."
    (pair,) = PairTokenizer.joint(tokenizer, template, max_length=512).pairs("How many people live in Berlin?", [text])
    ids = template.ids(pair)
    assert len(ids) == 34
    assert ids[:10] == [101, 2129, 2116, 2111, 2444, 1999, 4068, 1029, 102, 4068]


@given(query=st.text(max_size=40), texts=st.lists(st.text(max_size=200), max_size=4))
def test_no_text_is_too_strange(query: str, texts: list[str]) -> None:
    """Whatever unicode comes, there is one pair per text, within the length, and the query is shared."""
    tokenizer = tiny_models.word_piece()
    template = probe(tokenizer)
    pairs = PairTokenizer.joint(tokenizer, template, max_length=32).pairs(query, texts)
    assert len(pairs) == len(texts)
    assert all(len(template.ids(pair)) <= 32 for pair in pairs)
    assert len({id(pair.query_ids) for pair in pairs}) <= 1


def test_lone_surrogates_are_replaced() -> None:
    """What no UTF-8 can hold becomes U+FFFD; pairs of surrogates become the character that they mean."""
    assert encodable("a\ud800b") == "a\ufffdb"
    assert encodable("\ud83d\ude00") == "😀"
    assert encodable("plain") == "plain"


def test_the_query_is_cut_to_a_quarter_and_counted() -> None:
    """A long query loses its end; the text gets the rest."""
    tokenizer = tiny_models.word_piece()
    pairs = PairTokenizer.joint(tokenizer, probe(tokenizer), max_length=32)
    long, text = " ".join("a" * 1 for _ in range(50)), " ".join("b" * 1 for _ in range(50))
    (pair,) = pairs.pairs(long, [text])
    assert (len(pair.query_ids), len(pair.text_ids), pair.tokens) == (8, 21, 32)
    pairs.pairs("a", [text])
    assert pairs.queries_cut == 1


def test_a_bi_encoder_gives_query_and_text_the_whole_length() -> None:
    """Each goes through the model alone."""
    tokenizer = tiny_models.word_piece()
    pairs = PairTokenizer.separate(tokenizer, probe_single(tokenizer), max_length=32)
    long = " ".join("a" for _ in range(50))
    (pair,) = pairs.pairs(long, [long])
    assert (len(pair.query_ids), len(pair.text_ids)) == (30, 30)


def test_a_very_long_text_is_not_tokenised_whole_and_comes_out_the_same() -> None:
    """A megabyte of words gives the ids of its beginning."""
    tokenizer = tiny_models.word_piece()
    rng = random.Random(1)
    text = tiny_models.random_text(rng, 100_000)
    (pair,) = PairTokenizer.joint(tokenizer, probe(tokenizer), max_length=64).pairs("q", [text])
    assert list(pair.text_ids) == tokenizer.encode(text, add_special_tokens=False).ids[: len(pair.text_ids)]
    assert pair.tokens == 64


def test_a_very_long_text_of_few_tokens_is_tokenised_whole() -> None:
    """Blanks are no tokens: what comes after them is still read."""
    tokenizer = tiny_models.word_piece()
    (pair,) = PairTokenizer.joint(tokenizer, probe(tokenizer), max_length=64).pairs("q", [" " * 100_000 + "a b"])
    assert len(pair.text_ids) == 2


def test_texts_are_remembered_whatever_the_query() -> None:
    """A short query leaves a text more room than a long one; both find it in memory."""
    tokenizer = tiny_models.word_piece()
    template = probe(tokenizer)
    ours = PairTokenizer.joint(tokenizer, template, max_length=32)
    text = " ".join(tiny_models.WORDS[:50])
    for query in ("a", "a b c d e f", "", "a"):
        fresh = PairTokenizer.joint(tokenizer, template, max_length=32)
        fresh.remember(0)
        (pair,), (expected,) = ours.pairs(query, [text]), fresh.pairs(query, [text])
        assert list(pair.text_ids) == list(expected.text_ids)
        assert len(template.ids(pair)) == 32
    statistics = ours.cache_statistics
    assert (statistics.hits, statistics.misses, statistics.entries) == (3, 1, 1)


def test_ids_take_two_bytes_where_the_vocabulary_allows_it() -> None:
    """XLM-R's 250,000 pieces need four."""
    small = tiny_models.word_piece()
    large = Tokenizer(WordLevel({"a": 0, "b": 70_000, "[UNK]": 1}, unk_token="[UNK]"))
    for tokenizer, bytes_per_id, ids in (
        (small, 2, small.encode("b", add_special_tokens=False).ids),
        (large, 4, [70_000]),
    ):
        pairs = PairTokenizer(tokenizer, query_tokens=8, text_tokens=8, total_tokens=16)
        (pair,) = pairs.pairs("a", ["b"])
        assert isinstance(pair.text_ids, array)
        assert pair.text_ids.itemsize == bytes_per_id
        assert list(pair.text_ids) == ids


def test_a_saved_padding_and_truncation_are_switched_off(tmp_path: Path) -> None:
    """sentence-transformers saves its tokenizers with both; ids come without padding nevertheless."""
    tokenizer = tiny_models.word_piece()
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(max_length=40)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    template = probe_single(load_tokenizer(tmp_path))
    assert template.ids([7]) == [2, 7, 3]


def test_a_vocabulary_alone_is_converted(tmp_path: Path) -> None:
    """A folder with vocab.txt and no tokenizer.json is read through transformers."""
    vocabulary = tiny_models.word_piece().get_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    tiny_models.edit_json(tmp_path / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    tiny_models.edit_json(tmp_path / "config.json", model_type="bert")
    tokenizer = load_tokenizer(tmp_path)
    assert probe(tokenizer) == probe(tiny_models.word_piece())
    text = " ".join(tiny_models.WORDS[:20])
    expected = tiny_models.word_piece().encode(text, add_special_tokens=False).ids
    assert tokenizer.encode(text, add_special_tokens=False).ids == expected


@pytest.mark.parametrize("find", [probe, probe_single])
def test_a_tokenizer_that_knows_no_letter_is_refused(find: Callable[[Tokenizer], object]) -> None:
    """There is nothing to see the special tokens around."""
    tokenizer = tiny_models.word_piece()
    tokenizer.normalizer = normalizers.Replace("a", "")
    with pytest.raises(ModelFailed, match="knows no letter"):
        find(tokenizer)


def test_a_damaged_tokenizer_is_refused_in_words(tmp_path: Path) -> None:
    """The message names the folder."""
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelFailed, match=f"{tmp_path.name}: the tokenizer cannot be read"):
        load_tokenizer(tmp_path)


def _check_against(
    theirs: PreTrainedTokenizerFast, tokenizer: Tokenizer, text_of: Callable[[random.Random], str], count: int
) -> None:
    template = probe(tokenizer)
    rng = random.Random(tiny_models.SEED)
    for _ in range(count):
        length = rng.choice((16, 32, 64, 512))
        pairs = PairTokenizer.joint(tokenizer, template, max_length=length)
        query, text = text_of(rng)[:30], text_of(rng)
        (pair,), (remembered,) = pairs.pairs(query, [text]), pairs.pairs(query, [text])
        if pairs.queries_cut:
            continue  # transformers would leave the query as it is, and no room for the text
        expected = theirs([query], [text], truncation="only_second", max_length=length)
        assert template.ids(pair) == template.ids(remembered) == expected["input_ids"][0]
        if "token_type_ids" in expected:
            assert template.token_types(pair) == expected["token_type_ids"][0]


def _odd_text(rng: random.Random) -> str:
    return "".join(rng.choice(PIECES) + rng.choice(("", " ")) for _ in range(rng.choice((0, 1, 5, 50, 1500))))
