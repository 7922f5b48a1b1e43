"""Long texts into overlapping passages, by the model's own tokens.

Law: a span is a pair of character positions in the text; passages begin and end between words, overlap by the tokens
that were asked for, and together hold the whole text. Scorers that cannot split are helped out by an estimate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from sidecar.errors import RerankUnavailable

if TYPE_CHECKING:
    from tokenizers import Encoding

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = list[Span]

WORDS_PER_TOKEN: Final = 0.75
"""English under BERT's vocabulary; where no tokenizer is at hand."""

_WORD = re.compile(r"\S+")


@runtime_checkable
class SplitsTexts(Protocol):
    """A model that knows where its tokens end."""

    def spans(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text. Thread-safe; releases the GIL."""
        ...


@runtime_checkable
class Splitter(Protocol):
    """A scorer that splits texts, too."""

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text, in order.

        Raises:
            RerankUnavailable: the scorer cannot be asked.
        """
        ...


async def split(scorer: object, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
    """Return the passages of every text by the scorer's tokens, or by an estimate where it cannot say."""
    overlap = min(overlap, tokens - 1)
    if texts and isinstance(scorer, Splitter):
        try:
            return await scorer.split(texts, tokens=tokens, overlap=overlap)
        except RerankUnavailable:
            pass
    return [estimated(text, tokens=tokens, overlap=overlap) for text in texts]


def estimated(text: str, *, tokens: int, overlap: int) -> Spans:
    """Return the passages of a text, each of about `tokens` tokens, by its words."""
    words = [match.span() for match in _WORD.finditer(text)]
    size, step = max(1, int(tokens * WORDS_PER_TOKEN)), max(1, int((tokens - overlap) * WORDS_PER_TOKEN))
    if len(words) <= size:
        return [(0, len(text))]
    firsts = range(0, len(words) - size + step, step)
    return [(words[first][0], words[min(first + size, len(words)) - 1][1]) for first in firsts]


def windows(encoding: Encoding, length: int, *, tokens: int, overlap: int) -> Spans:
    """Return the passages of a text of `length` characters from its encoding without special tokens."""
    offsets, words = encoding.offsets, encoding.word_ids
    count = len(offsets)
    if count <= tokens:
        return [(0, length)]
    spans: Spans = []
    first = 0
    while True:
        end = _end_of_word(words, first, min(first + tokens, count))
        spans.append((offsets[first][0], offsets[end - 1][1]))
        if end == count:
            return spans
        first = _start_of_word(words, max(first + 1, end - overlap), first)


def _end_of_word(words: Sequence[int | None], first: int, end: int) -> int:
    """Return `end`, moved back to the end of a word where one fits into the window."""
    last = end
    while first < last < len(words) and words[last] == words[last - 1]:
        last -= 1
    return last if last > first else end


def _start_of_word(words: Sequence[int | None], start: int, before: int) -> int:
    """Return `start`, moved back to the start of its word where that comes after `before`."""
    moved = start
    while moved > before and words[moved] == words[moved - 1]:
        moved -= 1
    return moved if moved > before else start
