"""What is scored: queries, each with the texts of its hits.

Synthetic texts have the lengths of real ones: those of the BM25 top-100 lists of TREC DL 2019 in BERT's tokens, where a
query has 7 tokens and a passage 85 (half of them up to 75, nine in ten up to 136, the longest 258). Their words are
drawn from the tokenizer's vocabulary, which is sorted by frequency, as frequently as words occur. Real texts come from
a folder laid out as BEIR's are, with a run.

Law: the same seed gives the same searches, and no text comes twice unless a regime repeats it.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MEDIAN_TOKENS = 75
SPREAD = 0.464
"""Of a log-normal distribution with this median, nine in ten are up to 136."""

LONGEST_TOKENS = 258
SHORTEST_TOKENS = 8
LONG_TOKENS = 600
"""A long text fills a model of 512 tokens whatever the query."""

LONG_CHARACTERS = 3_600
"""English of that length has more than 512 tokens."""


@dataclass(frozen=True, slots=True)
class Search:
    """A query and the texts to be scored for it."""

    query: str
    texts: tuple[str, ...]


class Source(Protocol):
    """Where searches come from."""

    def search(self, texts: int, *, is_long: bool) -> Search:
        """Return the next search with that many texts, of the usual length or all of 512 tokens and more."""
        ...


class Synthetic:
    """Random words in texts of real lengths."""

    def __init__(self, tokenizer: Path, *, seed: int = 20_260_101) -> None:
        """Take the words of a folder's tokenizer.json."""
        self._random = random.Random(seed)
        self._words = _whole_words(tokenizer)
        self._weights = list(itertools.accumulate(1.0 / (rank + 3) for rank in range(len(self._words))))

    def search(self, texts: int, *, is_long: bool) -> Search:
        """Return the next search; see `Source.search`."""
        query = self._text(max(3, min(14, round(self._random.gauss(7, 2)))))
        return Search(query, tuple(self._text(LONG_TOKENS if is_long else self._length()) for _ in range(texts)))

    def _length(self) -> int:
        length = MEDIAN_TOKENS * math.exp(self._random.gauss(0.0, SPREAD))
        return round(min(LONGEST_TOKENS, max(SHORTEST_TOKENS, length)))

    def _text(self, tokens: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=tokens))


class Stored:
    """Queries with their hits in the order of a run, from a folder: corpus.jsonl, queries.jsonl, run*.trec, or .gz."""

    def __init__(self, folder: Path) -> None:
        """Read the folder. Raises OSError or ValueError when it is not laid out so."""
        corpus = dict(_documents(_one(folder, "corpus.jsonl*")))
        queries = dict(_documents(_one(folder, "queries.jsonl*")))
        self._lists = [
            (queries[topic], [corpus[hit] for hit in hits])
            for topic, hits in _rankings(_one(folder, "run*.trec*"))
            if topic in queries
        ]
        if not self._lists:
            raise ValueError(f"{folder}: no query of the run is among the queries")
        self._next = 0
        self._more = itertools.cycle(corpus.values())

    def search(self, texts: int, *, is_long: bool) -> Search:
        """Return the next search; see `Source.search`. More texts than a query has hits are others of the corpus."""
        query, hits = self._lists[self._next % len(self._lists)]
        self._next += 1
        source = itertools.chain(hits, self._more)
        made = (_glued(source) for _ in range(texts)) if is_long else itertools.islice(source, texts)
        return Search(query, tuple(made))


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One kind of work."""

    name: str
    #: texts per search
    texts: int
    is_long: bool = False
    #: searches at the same time
    concurrent: int = 1
    #: the texts have been seen before, under other queries
    is_warm: bool = False

    def rounds(self, source: Source, count: int) -> list[list[Search]]:
        """Return that many rounds of concurrent searches, and one before them to warm up with."""
        rounds = [
            [source.search(self.texts, is_long=self.is_long) for _ in range(self.concurrent)] for _ in range(count + 1)
        ]
        if self.is_warm:
            rounds = [
                [Search(search.query, first.texts) for search, first in zip(each, rounds[0], strict=True)]
                for each in rounds
            ]
        return rounds


REGIMES = {
    regime.name: regime
    for regime in (
        Regime(name="k100", texts=100),
        Regime(name="k10", texts=10),
        Regime(name="k1000", texts=1000),
        Regime(name="warm", texts=100, is_warm=True),
        Regime(name="concurrent", texts=10, concurrent=16),
        Regime(name="long", texts=10, is_long=True),
    )
}


def _whole_words(tokenizer: Path) -> Sequence[str]:
    """Return the vocabulary's English words, the frequent ones first: each is one token."""
    model: dict[str, Any] = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return [piece for piece in pieces if len(piece) > 1 and piece.isascii() and piece.isalpha()]


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder}: has no {pattern}")
    return found[0]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from lines


def _documents(path: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        document = json.loads(line)
        yield document["_id"], " ".join(filter(None, (document.get("title"), document["text"])))


def _rankings(path: Path) -> Iterator[tuple[str, list[str]]]:
    fields = (line.split() for line in _lines(path))
    for topic, rows in itertools.groupby(fields, key=lambda row: row[0]):
        yield topic, [row[2] for row in rows]


def _glued(texts: Iterator[str]) -> str:
    """Return texts one after the other until they fill 512 tokens."""
    parts: list[str] = []
    while sum(map(len, parts)) < LONG_CHARACTERS:
        parts.append(next(texts))
    return " ".join(parts)
