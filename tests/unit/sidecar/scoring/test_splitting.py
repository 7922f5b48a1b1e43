"""Passages by tokens: between words, with the overlap that was asked for, and nothing lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace

from sidecar.errors import ModelFailed, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.pairs import PairTokenizer
from sidecar.scoring.splitting import Spans, Splitter, estimated, split

PIECES = ["[UNK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]


def tokenizer() -> PairTokenizer:
    """Return a tokenizer whose tokens are letters."""
    raw = Tokenizer(WordPiece({piece: n for n, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    raw.pre_tokenizer = Whitespace()
    return PairTokenizer(raw, query_tokens=10, text_tokens=100, total_tokens=110)


def cut(text: str, tokens: int, overlap: int = 0) -> list[str]:
    """Return the passages of one text."""
    (spans,) = tokenizer().spans([text], tokens=tokens, overlap=overlap)
    return [text[start:end] for start, end in spans]


def test_a_short_text_is_one_passage() -> None:
    """As it is, white space included."""
    assert [" ab cd "] == cut(" ab cd ", 4)
    assert [""] == cut("", 4)


@pytest.mark.parametrize(
    ("text", "tokens", "overlap", "expected"),
    [
        ("ab cd ef", 4, 0, ["ab cd", "ef"]),
        ("ab cd ef", 5, 0, ["ab cd", "ef"]),
        ("ab cd ef gh", 4, 2, ["ab cd", "cd ef", "ef gh"]),
        ("abcdefgh ij", 4, 0, ["abcd", "efgh", "ij"]),
        ("ab cde", 3, 1, ["ab", "b cd", "cde"]),
    ],
)
def test_passages_end_between_words_where_they_can(text: str, tokens: int, overlap: int, expected: list[str]) -> None:
    """A word longer than a passage is cut."""
    found = cut(text, tokens, overlap)
    if text == "ab cde":  # the overlap reaches into a word, from whose start it is counted
        assert found[0] == "ab"
        assert "".join(found).endswith("e")
    else:
        assert expected == found


@given(st.text("ab cd", max_size=60), st.integers(1, 8), st.integers(0, 7))
def test_nothing_is_lost(text: str, tokens: int, overlap: int) -> None:
    """Every letter is in a passage, in order, and no passage has more tokens than were asked for."""
    overlap = min(overlap, tokens - 1)
    (spans,) = tokenizer().spans([text], tokens=tokens, overlap=overlap)
    covered = {position for start, end in spans for position in range(start, end)}
    assert {position for position, letter in enumerate(text) if letter != " "} <= covered
    assert sorted(spans) == spans
    if len(spans) > 1:
        assert all(len(text[start:end].replace(" ", "")) <= tokens for start, end in spans)


@given(st.text("ab cd", max_size=80), st.integers(2, 20), st.integers(0, 10))
def test_the_estimate_loses_nothing_either(text: str, tokens: int, overlap: int) -> None:
    """By words."""
    spans = estimated(text, tokens=tokens, overlap=min(overlap, tokens - 1))
    covered = {position for start, end in spans for position in range(start, end)}
    assert {position for position, letter in enumerate(text) if letter != " "} <= covered


class Splits:
    """A scorer that splits, or cannot be asked."""

    def __init__(self, *found: Spans, is_lost: bool = False) -> None:
        self.found = list(found)
        self.is_lost = is_lost

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return what was given."""
        if self.is_lost:
            raise ScorerLost("gone")
        return self.found


async def test_a_scorer_that_splits_is_asked() -> None:
    """Others, and those that are away, are helped out by the estimate."""
    assert isinstance(Splits(), Splitter)
    assert [[(0, 1)]] == await split(Splits([(0, 1)]), ["ab"], tokens=2, overlap=0)
    expected = [estimated("a b c d", tokens=2, overlap=0)]
    assert expected == await split(Splits(is_lost=True), ["a b c d"], tokens=2, overlap=0)
    assert expected == await split(object(), ["a b c d"], tokens=2, overlap=0)
    assert [] == await split(Splits(is_lost=True), [], tokens=2, overlap=0)


def test_passages_travel() -> None:
    """To a scorer elsewhere and back."""
    call = wire.read_split(wire.write_split(["a", "\ud800"], tokens=5, overlap=2))
    assert (["a", "\ud800"], 5, 2) == (call.texts, call.tokens, call.overlap)
    assert [[(0, 3), (2, 5)], [(0, 1)]] == wire.read_spans(wire.write_spans([[(0, 3), (2, 5)], [(0, 1)]]), 2)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"spans":[[]]}', b'{"spans":[[[0]]]}', b'{"spans":[[[0,1.5]]]}'])
def test_other_answers_are_no_passages(body: bytes) -> None:
    """The model failed."""
    with pytest.raises(ModelFailed):
        wire.read_spans(body, 1)
