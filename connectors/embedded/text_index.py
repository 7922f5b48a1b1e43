"""One text field of one index, inverted by tantivy.

Every text field has an inverted index of its own, which holds exactly the documents that have a token in the
field. Lucene counts a field's documents and average length over those; tantivy counts over a whole index. So the
statistics, and with them the scores, agree for sparse fields, too, and a field that dynamic mapping finds later
needs no other field's index to be made again.

Law: a score is Elasticsearch's. Lucene's own BM25 dropped the factor k1 + 1 in 8.0; Elasticsearch keeps it, and so
does tantivy.

*Source:* Elasticsearch's SimilarityService (Lucene's LegacyBM25Similarity, k1 = 1.2, b = 0.75); tantivy's Bm25Weight,
same length encoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import tantivy

from connectors.embedded.analysis import Analyzer, Token, encodable
from connectors.embedded.field_types import Value

Scores: TypeAlias = dict[int, float]
"""Scores by document number; what is not in it does not match."""

_K1 = 1.2
_B = 0.75
_VALUE_GAP = 100
"""Positions between two values of one field, so that no phrase reaches across (`position_increment_gap`)."""
_WRITER_BYTES = 15_000_000
"""The least that tantivy takes: every field has a writer of its own, and most additions are small."""
_NUMBER = "number"
_TERMS = "terms"


def positioned(analyzer: Analyzer, values: Iterable[Value]) -> list[Token]:
    """Return the tokens of a field's values, with the gap between values in their positions."""
    tokens: list[Token] = []
    base = 0
    for value in values:
        found = analyzer.tokens(str(value))
        tokens += (Token(token.text, token.position + base, token.start, token.end) for token in found)
        base = (tokens[-1].position + 1 if tokens else base) + _VALUE_GAP
    return tokens


def value_score(*, matching: int, filled: int, entries: int) -> float:
    """Return the score of one value in a field without lengths (keyword, boolean), the same for all that match.

    `matching` documents have the value, `filled` have any; `entries` counts their different values together. Lucene
    takes every document for one value long, and compares that with the average.
    """
    idf = math.log(1.0 + (filled - matching + 0.5) / (matching + 0.5))
    return idf * (1.0 + _K1) / (1.0 + _K1 * (1.0 - _B + _B * filled / entries))


class TextIndex:
    """A growing inverted index of one field. Documents are numbers; nothing is ever taken out."""

    def __init__(self, analyzer: Analyzer) -> None:
        """Start empty."""
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field(_NUMBER, fast=True)
        builder.add_text_field(_TERMS, tokenizer_name="raw", index_option="position")
        self._analyzer = analyzer
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)

    def add(self, documents: Iterable[tuple[int, Sequence[Value]]]) -> None:
        """Add the values of documents, by number, and make them searchable. Blocking."""
        writer = self._index.writer(_WRITER_BYTES, 1)
        for number, values in documents:
            tokens = positioned(self._analyzer, values)
            if tokens:
                writer.add_document(_document(number, tokens))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()

    def reader(self) -> TextReader:
        """Return a view of what is in the index now; later additions do not change it."""
        return TextReader(analyzer=self._analyzer, schema=self._schema, searcher=self._index.searcher())


def _document(number: int, tokens: Sequence[Token]) -> tantivy.Document:
    document = tantivy.Document()
    document.add_unsigned(_NUMBER, number)
    terms = [tantivy.Token(token.text, token.position, 0, 0) for token in tokens]
    document.add_pre_tokenized_text(_TERMS, tantivy.PreTokenizedString("", terms))
    return document


class TextReader:
    """A frozen view of one field: which documents match, and with what score."""

    def __init__(self, *, analyzer: Analyzer, schema: tantivy.Schema, searcher: tantivy.Searcher) -> None:
        """Read what `searcher` sees."""
        self.analyzer = analyzer
        self._schema = schema
        self._searcher = searcher

    @property
    def documents(self) -> int:
        """How many documents have a token in this field."""
        return int(self._searcher.num_docs)

    def words(self, words: Sequence[str], minimum: int) -> Scores:
        """Return documents with at least `minimum` of the words (which may repeat); the score is their sum."""
        if not words or minimum > len(words):
            return {}
        if len(words) == minimum:
            clauses = [(tantivy.Occur.Must, self._term(word)) for word in words]
            return self._search(tantivy.Query.boolean_query(clauses))
        clauses = [(tantivy.Occur.Should, self._term(word)) for word in words]
        return self._search(tantivy.Query.boolean_query(clauses, minimum_number_should_match=max(minimum, 1)))

    def phrase(self, words: Sequence[tuple[int, str]]) -> Scores:
        """Return documents with the words at these distances from each other."""
        if len(words) < 2:
            return self.words([word for _, word in words], 1)
        first = words[0][0]
        placed = [(position - first, word) for position, word in words]
        return self._search(tantivy.Query.phrase_query(self._schema, _TERMS, placed))

    def with_prefix(self, prefix: str) -> list[str]:
        """Return the words of the field that begin with `prefix`."""
        return [word for word, _ in self._searcher.terms_with_prefix(_TERMS, encodable(prefix))]

    def _term(self, word: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, _TERMS, encodable(word))

    def _search(self, query: tantivy.Query) -> Scores:
        found = self._searcher.search(query, limit=max(self.documents, 1), count=False).hits
        numbers = self._searcher.fast_field_values(_NUMBER, [address for _, address in found])
        return {int(number): score for number, (score, _) in zip(numbers, found, strict=True)}
