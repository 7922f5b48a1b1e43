"""Lists to learn from: a query, the passage that it was made for, and hits of BM25 that it was not made for.

Input is a folder of `pairs-*.jsonl.gz` (`query`, `passage`, `source`, `licence`, `doc`: page, then `#` and section) and
`passages-*.jsonl.gz` (the same without `query`). Three kinds of list:

    pair      a query of the input and its passage
    long      the same, every passage with its neighbour of the same page beside it: as long as an abstract
    sentence  a sentence is the query, and what stood around it the passage: claims and long questions

Laws: one seed gives one set of lists. No other passage of the query's own page is in its list, since it may well answer
it. A source gives no more than its share, so that none decides what the model becomes.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import tantivy

WIDTH: Final = 8
"""Passages of a list."""

LONG_SHARE: Final = 0.2
SENTENCE_SHARE: Final = 0.15

SHARE_OF_A_SOURCE: Final = 0.12
SMALL_SHARES: Final = {
    "globalwordnet/english-wordnet": 0.04,
    "tldr-pages/tldr": 0.03,
    "factbook/factbook.json": 0.03,
    "MicrosoftDocs/cpp-docs": 0.03,
    "MicrosoftDocs/PowerShell-Docs": 0.03,
}
"""Of sources whose passages all have one form, or one narrow subject."""

_NEAR, _FAR, _DEPTH = 4, 2, 40
"""Of a list: hits among the first ten, hits below them, and how far down."""

_SENTENCE_END: Final = re.compile(r"(?<=[a-z)][.!?])\s+(?=[A-Z])")
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage of the input, and the page that it is on."""

    text: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A row of the input."""

    query: str
    place: int
    source: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A query and passages, its own one first; `scores` are the teacher's, empty before it was asked."""

    query: str
    passages: tuple[str, ...]
    source: str
    licence: str
    kind: str
    scores: tuple[float, ...] = ()


class Pool:
    """All passages, by page and by BM25."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Index them."""
        self.passages = passages
        self.pages: dict[str, list[int]] = defaultdict(list)
        for place, passage in enumerate(passages):
            self.pages[passage.page].append(place)
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", stored=False, tokenizer_name="en_stem", index_option="freq")
        schema.add_integer_field("place", stored=True, fast=True)
        self._index = tantivy.Index(schema.build())
        writer = self._index.writer(200_000_000, 1)
        for place, passage in enumerate(passages):
            writer.add_document(tantivy.Document(text=passage.text, place=place))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def hits(self, query: str, page: str) -> list[int]:
        """Return the first passages by BM25 that are not on the page."""
        words = " ".join(_WORD.findall(query))
        if not words:
            return []
        parsed, _ = self._index.parse_query_lenient(words, ["text"])
        found = self._searcher.search(parsed, _DEPTH + 10, count=False).hits
        places = [int(self._searcher.doc(address)["place"][0]) for _, address in found]
        return [place for place in places if self.passages[place].page != page][:_DEPTH]

    def longer(self, place: int, rng: random.Random) -> str:
        """Return a passage with one of its page's others before or behind it."""
        own = self.passages[place]
        beside = [self.passages[other].text for other in self.pages[own.page] if other != place]
        if not beside:
            return own.text
        both = [own.text, rng.choice(beside)]
        rng.shuffle(both)
        return " ".join(both)


def read(folder: Path) -> tuple[list[Pair], list[Passage]]:
    """Return the pairs of the input and all its passages, each text once."""
    pairs: list[Pair] = []
    places: dict[str, int] = {}
    passages: list[Passage] = []
    for file in sorted((*folder.glob("pairs-*.jsonl.gz"), *folder.glob("passages-*.jsonl.gz"))):
        for row in _rows(file):
            page = f"{row['source']} {row['doc'].partition('#')[0]}"
            place = places.setdefault(row["passage"], len(passages))
            if place == len(passages):
                passages.append(Passage(text=row["passage"], page=page))
            if "query" in row:
                pairs.append(Pair(query=row["query"], place=place, source=row["source"], licence=row["licence"]))
    return pairs, passages


def choose(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Return about `count` pairs in random order, of no source more than its share."""
    rng = random.Random(seed)
    taken: Counter[str] = Counter()
    chosen: list[Pair] = []
    for pair in rng.sample(list(pairs), len(pairs)):
        if len(chosen) < count and taken[pair.source] < count * SMALL_SHARES.get(pair.source, SHARE_OF_A_SOURCE):
            taken[pair.source] += 1
            chosen.append(pair)
    return chosen


def lists(chosen: Sequence[Pair], pool: Pool, seed: int) -> Iterator[Listed]:
    """Yield a list for every pair that BM25 has hits for."""
    for number, pair in enumerate(chosen):
        rng = random.Random(f"{seed}:{number}")
        found = _list(pair, pool, rng)
        if found is not None:
            yield found


def save(path: Path, found: Sequence[Listed]) -> None:
    """Write lists; a file that is there is complete."""
    begun = path.with_suffix(".begun")
    with gzip.open(begun, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found)
    begun.rename(path)


def load(path: Path) -> list[Listed]:
    """Return what was written."""
    return [
        Listed(**{**row, "passages": tuple(row["passages"]), "scores": tuple(row["scores"])}) for row in _rows(path)
    ]


def _list(pair: Pair, pool: Pool, rng: random.Random) -> Listed | None:
    own = pool.passages[pair.place]
    kind, query, text = "pair", pair.query, own.text
    drawn = rng.random()
    if drawn < SENTENCE_SHARE and (cut := _without_a_sentence(own.text, rng)):
        kind, (query, text) = "sentence", cut
    hits = pool.hits(query, own.page)
    others = [*_some(hits[:10], _NEAR, rng), *_some(hits[10:], _FAR, rng)]
    while len(others) < WIDTH - 1:
        other = rng.randrange(len(pool.passages))
        if other not in others and pool.passages[other].page != own.page:
            others.append(other)
    if not hits:
        return None
    if kind == "pair" and drawn > 1 - LONG_SHARE:
        texts = (pool.longer(pair.place, rng), *(pool.longer(place, rng) for place in others))
        kind = "long"
    else:
        texts = (text, *(pool.passages[place].text for place in others))
    return Listed(query=query, passages=texts, source=pair.source, licence=pair.licence, kind=kind)


def _without_a_sentence(text: str, rng: random.Random) -> tuple[str, str] | None:
    """Return a sentence of a text and the rest; None where there is none of a question's or claim's length."""
    sentences = _SENTENCE_END.split(text)
    fitting = [place for place, sentence in enumerate(sentences) if 6 <= len(sentence.split()) <= 24]
    if len(sentences) < 3 or not fitting:
        return None
    place = rng.choice(fitting)
    return sentences[place].rstrip("."), " ".join((*sentences[:place], *sentences[place + 1 :]))


def _some(places: Sequence[int], count: int, rng: random.Random) -> list[int]:
    return rng.sample(list(places), min(count, len(places)))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
