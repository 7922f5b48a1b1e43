"""How a model read a text: how far, and which of its words answered which word of the query best.

Law: for people, never for ranking: nothing here changes a score. Positions count characters of the text as it was
given, and a match covers the whole word of which a token is a part. Models that cannot say what answered what say how
far they read; scorers that cannot say that, nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from sidecar.errors import RerankUnavailable
from sidecar.scoring.splitting import Span, Spans

if TYPE_CHECKING:
    from tokenizers import Encoding

BestTokens = Sequence[tuple[int, float]]
"""For every token of a query, the text's token that answers it best, and their cosine."""

CONTEXT_CHARACTERS: Final = 60
"""Text that a fragment shows on either side of a match."""

_MARKS: Final = ("<em>", "</em>")


@dataclass(frozen=True, slots=True)
class Match:
    """A word of the text that answers a word of the query best."""

    query_word: str
    #: from `start` to `end` in the text
    word: str
    start: int
    end: int
    #: cosine of both words' tokens, -1 to 1; of several tokens the best
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How one text was read."""

    #: tokens of the text that the model reads
    tokens: int
    #: where reading stops: the text's length, or less
    end: int
    #: in the order of the query's words; None where the model does not say
    matches: tuple[Match, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTokens:
    """Where the tokens that a model reads of a text stand in it."""

    text: str
    tokens: Spans
    #: the words that the tokens belong to
    words: Spans
    end: int

    @classmethod
    def of(cls, encoding: Encoding, text: str, limit: int) -> ReadTokens:
        """Return the first `limit` tokens of a text."""
        tokens = encoding.offsets[:limit]
        words = [_word(encoding, number, token) for number, token in zip(encoding.word_ids, tokens, strict=False)]
        is_cut = len(encoding.offsets) > limit
        return cls(text=text, tokens=tokens, words=words, end=tokens[-1][1] if is_cut and tokens else len(text))

    def without_prompt(self, length: int) -> ReadTokens:
        """Return the same with positions after the first `length` characters, which a model puts in front itself."""

        def shifted(spans: Spans) -> Spans:
            return [(max(0, start - length), max(0, end - length)) for start, end in spans]

        return ReadTokens(
            text=self.text[length:],
            tokens=shifted(self.tokens),
            words=shifted(self.words),
            end=max(0, self.end - length),
        )


@runtime_checkable
class AlignsTexts(Protocol):
    """A model that says how it reads. Blocking; called from the model's own thread."""

    def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read with the query, in order."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """A scorer that says how its model reads."""

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read with the query, in order.

        Raises:
            RerankUnavailable: the scorer cannot be asked, or its model does not say.
        """
        ...


async def align(scorer: object, query: str, texts: Sequence[str]) -> list[Alignment] | None:
    """Return how each text was read, None where the scorer does not say."""
    if not texts or not isinstance(scorer, Aligner):
        return None
    try:
        return await scorer.alignments(query, texts)
    except RerankUnavailable:
        return None


def alignment(query: ReadTokens, text: ReadTokens, best: BestTokens | None = None) -> Alignment:
    """Return how `text` was read; `best` tells what answered the query's tokens."""
    matches = None if best is None else _matches(query, text, best)
    return Alignment(tokens=len(text.tokens), end=text.end, matches=matches)


def _matches(query: ReadTokens, text: ReadTokens, best: BestTokens) -> tuple[Match, ...]:
    """Return one match for every pair of words, the best of their tokens'."""
    found: dict[tuple[Span, Span], float] = {}
    for asked, (place, similarity) in zip(query.words, best, strict=False):
        if place >= len(text.words) or _is_empty(asked) or _is_empty(text.words[place]):
            continue
        pair = (asked, text.words[place])
        found[pair] = max(similarity, found.get(pair, similarity))
    return tuple(
        Match(
            query_word=query.text[slice(*asked)],
            word=text.text[slice(*answer)],
            start=answer[0],
            end=answer[1],
            similarity=similarity,
        )
        for (asked, answer), similarity in found.items()
    )


def _word(encoding: Encoding, number: int | None, token: Span) -> Span:
    return token if number is None else (encoding.word_to_chars(number) or token)


def _is_empty(span: Span) -> bool:
    return span[0] >= span[1]


# --- what an explanation says -------------------------------------------------------------------------------


def explained(text: str, found: Alignment) -> dict[str, Any]:
    """Return an alignment as a hit's explanation has it; `highlight` has the shape of the engine's own."""
    said: dict[str, Any] = {"read_tokens": found.tokens, "read_characters": found.end}
    if found.matches is not None:
        said["matches"] = [
            {
                "query_word": match.query_word,
                "word": match.word,
                "start": match.start,
                "end": match.end,
                "similarity": round(match.similarity, 4),
            }
            for match in found.matches
        ]
        said["highlight"] = {"text": fragments(text, found.matches)}
    return said


def fragments(text: str, matches: Sequence[Match]) -> list[str]:
    """Return the pieces of `text` around its matches, in order, the matches between <em> and </em>."""
    spans = sorted({(match.start, match.end) for match in matches})
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span[0] - groups[-1][-1][1] <= 2 * CONTEXT_CHARACTERS:
            groups[-1].append(span)
        else:
            groups.append([span])
    return [_fragment(text, group) for group in groups]


def _fragment(text: str, spans: Sequence[Span]) -> str:
    before, after = _MARKS
    place = _start_of_word(text, spans[0][0])
    stop = _end_of_word(text, spans[-1][1])
    pieces = []
    for start, end in spans:
        pieces.append(f"{text[place:start]}{before}{text[start:end]}{after}")
        place = end
    return "".join((*pieces, text[place:stop])).strip()


def _start_of_word(text: str, before: int) -> int:
    """Return where the context in front of `before` begins: at a word, where one begins there."""
    place = before - CONTEXT_CHARACTERS
    if place <= 0:
        return 0
    space = text.find(" ", place - 1, before)
    return place if space < 0 else space + 1


def _end_of_word(text: str, after: int) -> int:
    """Return where the context behind `after` ends: at the end of a word, where one ends there."""
    place = after + CONTEXT_CHARACTERS
    if place >= len(text):
        return len(text)
    space = text.rfind(" ", after, place + 1)
    return place if space < 0 else space
