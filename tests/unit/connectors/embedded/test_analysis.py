"""From text to tokens; the expected ones are those of Lucene 10.5.1's StandardAnalyzer and EnglishAnalyzer."""

import pytest

from connectors.embedded.analysis import ENGLISH, KEYWORD, MAX_TOKEN_LENGTH, STANDARD, Analyzer, Token
from connectors.embedded.text_index import positioned


def _words(analyzer: Analyzer, text: str) -> list[str]:
    return [token.text for token in analyzer.tokens(text)]


@pytest.mark.parametrize(
    ("text", "standard", "english"),
    [
        (
            "The runners' libraries weren't connecting: O'Neill's ponies, hopefully, ran!",
            "the runners libraries weren't connecting o'neill's ponies hopefully ran",
            "runner librari weren't connect o'neil poni hopefulli ran",
        ),
        (
            "wi-fi foo_bar x86 3.14 1,000.5 2024-01-15 U.S.A. e.g. a.b:c user@example.com",
            "wi fi foo_bar x86 3.14 1,000.5 2024 01 15 u.s.a e.g a.b:c user example.com",
            "wi fi foo_bar x86 3.14 1,000.5 2024 01 15 u.s.a e.g a.b:c user example.com",
        ),
        ("café naïve Straße ΟΔΟΣ İstanbul", "café naïve straße οδοσ istanbul", "café naïv straße οδοσ istanbul"),
        (
            "東京タワー ひら カタカナ 한국어 ไทย",
            "東 京 タワー ひ ら カタカナ 한국어 ไทย",
            "東 京 タワー ひ ら カタカナ 한국어 ไทย",
        ),
        ("tea🙂water 👩‍🚀 © ▶", "tea 🙂 water 👩‍🚀 © ▶", "tea 🙂 water 👩‍🚀 © ▶"),
        (
            "co\u00adoperate don’t rock'n'roll _private __init__",
            "co\u00adoperate don’t rock'n'roll _private __init__",
            "co\u00adoper don’t rock'n'rol _privat __init__",
        ),
        ("", "", ""),
        ("... !? --", "", ""),
    ],
)
def test_tokens_are_those_of_lucene(text: str, standard: str, english: str) -> None:
    """Words of many scripts, numbers, dots, apostrophes, marks and symbols."""
    assert standard.split() == _words(STANDARD, text)
    assert english.split() == _words(ENGLISH, text)


def test_the_english_analyzer_finds_what_the_standard_one_does_not() -> None:
    """Endings, possessives and the words of grammar make no difference in English."""
    pair = "The author's connections were running", "authors connected; he runs"
    assert ["author", "connect", "were", "run"] == _words(ENGLISH, pair[0])
    assert {"author", "connect", "run"} <= set(_words(ENGLISH, pair[1]))
    assert set() == set(_words(STANDARD, pair[0])) & set(_words(STANDARD, pair[1]))


def test_stop_words_leave_gaps() -> None:
    """Positions count what was there, so that a phrase does not close over it."""
    tokens = ENGLISH.tokens("the net of a fisher")
    assert [("net", 1), ("fisher", 4)] == [(token.text, token.position) for token in tokens]


def test_tokens_know_where_they_came_from() -> None:
    """Start and end are characters of the text, beyond the basic plane, too."""
    text = "🙂 Running, O'Neill's 東京"
    assert ["🙂", "Running", "O'Neill's", "東", "京"] == [
        text[token.start : token.end] for token in ENGLISH.tokens(text)
    ]


def test_a_long_token_is_cut() -> None:
    """Pieces of 255 characters, each with a position of its own."""
    tokens = STANDARD.tokens("x" * (2 * MAX_TOKEN_LENGTH + 1))
    assert [(255, 0), (255, 1), (1, 2)] == [(len(token.text), token.position) for token in tokens]


def test_values_are_far_apart() -> None:
    """A phrase cannot reach from one value of a field into the next."""
    assert [("tea", 0), ("leaves", 1), ("tea", 102)] == [
        (token.text, token.position) for token in positioned(STANDARD, ["tea leaves", "tea"])
    ]


def test_the_keyword_analyzer_keeps_everything() -> None:
    """One token, nothing changed."""
    assert [Token("The TEA!", 0, 0, 8)] == KEYWORD.tokens("The TEA!")


def test_a_lone_surrogate_is_no_failure() -> None:
    """It separates words, as what it is replaced with does."""
    assert ["a", "b"] == _words(STANDARD, "a\ud800b")
