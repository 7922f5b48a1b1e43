"""Between candidates and scores: a document as the passages that the model reads, and their scores as one.

A document is one text, cut by the model at its length; or overlapping passages of it; or passages that the engine has
found (highlight fragments, inner hits). Its score is the mean of its best passages' scores, of the best one by default.

Law: passages stay in first-stage order, those of one document together, so that a deadline costs whole documents at the
end. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from itertools import islice
from typing import Final

from sidecar.scoring.splitting import Spans
from sidecar.types import Candidate, RerankOptions

MAX_PASSAGES: Final = 64
"""Passages of one document that are scored at most; the rest of it is not read."""

_UNREAD: Final = frozenset({"script", "style", "template"})
_BREAKS: Final = frozenset({"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "td", "th", "tr"})


@dataclass(frozen=True, slots=True)
class Document:
    """A candidate and the passages that stand for it."""

    candidate: Candidate
    passages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """A document's score, and the passage that the model liked best."""

    score: float
    best_passage: str


def to_split(candidates: Sequence[Candidate], options: RerankOptions) -> list[str]:
    """Return the texts that are to be split, in order; none where documents are read as they are."""
    if not options.passage_tokens or options.text_from != "fields":
        return []
    return [_body(candidate, options) for candidate in candidates]


def documents(candidates: Sequence[Candidate], spans: Sequence[Spans], options: RerankOptions) -> list[Document]:
    """Return every candidate with its passages; `spans` are those of `to_split`, in order."""
    if not spans:
        return [Document(candidate, candidate.passages or (candidate.text,)) for candidate in candidates]
    return [
        Document(candidate, tuple(_passages(candidate, found, options)))
        for candidate, found in zip(candidates, spans, strict=True)
    ]


def texts(found: Sequence[Document]) -> list[str]:
    """Return the passages of all documents, in order."""
    return [passage for document in found for passage in document.passages]


def join(found: Sequence[Document], scores: Sequence[float], options: RerankOptions) -> list[ScoredDocument]:
    """Return the documents whose passages all have a score: a prefix of `found`."""
    left = iter(scores)
    joined: list[ScoredDocument] = []
    for document in found:
        own = list(islice(left, len(document.passages)))
        if len(own) < len(document.passages):
            break
        ranked = sorted(zip(own, document.passages, strict=True), key=lambda pair: -pair[0])
        best = ranked[: options.passage_top]
        joined.append(ScoredDocument(sum(score for score, _ in best) / len(best), ranked[0][1]))
    return joined


def without_html(text: str) -> str:
    """Return the words of an HTML text: no tags, no scripts, entities as the characters that they stand for."""
    if "<" not in text and "&" not in text:
        return text
    reader = _Reader()
    reader.feed(text)
    # what is left begins with markup that does not end; `close` would try it anew from every character on
    if not reader.is_unread:
        reader.pieces.append(unescape(reader.rawdata))
    return " ".join("".join(reader.pieces).split())


def _passages(candidate: Candidate, spans: Spans, options: RerankOptions) -> Iterator[str]:
    body = _body(candidate, options)
    for start, end in spans[:MAX_PASSAGES]:
        passage = body[start:end]
        yield f"{candidate.title} {passage}" if options.passage_title and candidate.title else passage


def _body(candidate: Candidate, options: RerankOptions) -> str:
    """Return the text without the title that goes in front of every passage."""
    if not options.passage_title or not candidate.title:
        return candidate.text
    return candidate.text.removeprefix(candidate.title).lstrip()


class _Reader(HTMLParser):
    """Collects what a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unread = 0

    @property
    def is_unread(self) -> bool:
        """Whether the text ends within a script or the like."""
        return self._unread > 0

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Pass over `<![…>`, of which html.parser raises what it does not know."""
        del report
        return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unread += tag in _UNREAD
        if tag in _BREAKS:
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._unread = max(0, self._unread - (tag in _UNREAD))
        if tag in _BREAKS:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.pieces.append(data)
