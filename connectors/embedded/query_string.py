"""The query language of `query_string` and of `?q=`: Lucene's classic one, the part of it that words need.

Understood: words, "quoted phrases", `+`, `-`, parentheses, `AND`, `OR`, `NOT`, `&&`, `||`, `!`, `field:word`,
`field:"a phrase"`, `field:(…)`, `field:*`, `_exists_:field`, `word^2`, backslash escapes. Everything else of the
language (wildcards inside words, fuzziness, slop, ranges, regular expressions) is refused.

Law: words without an operator between them are analyzed together, and AND and OR mean what Lucene's classic parser
makes of them, odd as it is where they mix. A text is parsed for the index that it searches, as in Elasticsearch: there
the fields are known, and what cannot be parsed is an error of the shard.

*Source:* Lucene's QueryParser.jj and QueryParserBase.addClause; Elasticsearch 9.5's QueryStringQueryParser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from connectors.embedded.analysis import Analyzer
from connectors.embedded.errors import ENGINE, ShardError
from connectors.embedded.field_texts import FieldTexts, Weights, either
from connectors.embedded.index import Reader
from connectors.embedded.query import (
    Bool,
    Boosted,
    Exists,
    FieldBoost,
    MatchAll,
    MatchNone,
    Operator,
    Query,
    expand,
    shard_error,
)
from connectors.embedded.text_index import Scores

MAX_DEPTH = 100
"""Parentheses inside parentheses; a text with more is refused."""

_Occur = Literal["must", "should", "must_not"]
_Clauses = list[tuple[_Occur, Query]]

_START = r"""(?:[^\s+\-!():^\[\]"{}~*?\\/]|\\.)"""
_WORD = rf"(?:{_START}|[*?])(?:{_START}|[+\-*?])*"
_LEXEME = re.compile(
    rf"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[+\-!]\s)|(?P<sign>[+\-!():])|\^(?P<boost>\d+(?:\.\d+)?)"""
    rf"""|(?P<word>{_WORD})|(?P<refused>~\S*|/(?:[^*/]|\\/)*/|[\[{{].*[\]}}]))""",
    re.DOTALL,
)
_WILDCARD = re.compile(r"(?<!\\)(?:\\\\)*[*?]")
_CONJUNCTIONS = {"AND": "and", "&&": "and", "OR": "or", "||": "or"}
_OPERATORS = frozenset({*_CONJUNCTIONS, "NOT"})
_ENDS_A_RUN = frozenset({":", "*", "^", *_CONJUNCTIONS})
"""What comes after a word that does not belong to the run of words before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryString:
    """`query_string`. Without `fields`, `default_field` says where to look; `is_lenient` None = as `*` needs it."""

    text: str
    fields: tuple[FieldBoost, ...] = ()
    default_field: str | None = None
    operator: Operator = "or"
    tie_breaker: float = 0.0
    minimum: str | None = None
    analyzer: Analyzer | None = None
    is_lenient: bool | None = None

    def match(self, reader: Reader) -> Scores:
        """Match what the text describes; `ShardError` when it cannot be parsed."""
        return self._parsed(reader).match(reader)

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the words look for."""
        return self._parsed(reader).searched(reader)

    def _parsed(self, reader: Reader) -> Query:
        if not self.text.strip():
            return MatchNone()
        query = _Parser(self, reader).parse()
        return query if self.minimum is None else _with_minimum(query, self.minimum)


def _with_minimum(query: Query, minimum: str) -> Query:
    """Return the query with `minimum_should_match` at its top, if that has clauses."""
    match query:
        case Boosted():
            return replace(query, query=_with_minimum(query.query, minimum))
        case Bool():
            return replace(query, minimum=minimum)
        case _:
            return query


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str


class _Parser:
    """One text on its way into a query for one index."""

    def __init__(self, source: QueryString, reader: Reader) -> None:
        self._source = source
        self._reader = reader
        self._fields = source.fields or (FieldBoost(source.default_field or "*"),)
        self._weights = expand(reader, self._fields)
        is_lenient = source.is_lenient
        if is_lenient is None:
            is_lenient = any(field.pattern == "*" for field in self._fields)
        self._texts = FieldTexts(
            reader=reader, operator=source.operator, analyzer=source.analyzer, is_lenient=is_lenient
        )
        self._lexemes = list(self._lex(source.text))
        self._position = 0

    def parse(self) -> Query:
        query = self._clauses(None, depth=0)
        if self._peek() is not None:
            raise self._failed()
        return query or MatchNone()

    def _lex(self, text: str) -> Iterator[_Lexeme]:
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _LEXEME.match(text, position)
            if found is None or found.lastgroup is None:
                raise self._failed()
            kind, lexeme = found.lastgroup, found[found.lastgroup]
            if kind == "refused":
                raise self._refused(lexeme)
            yield _Lexeme("sign", "*") if lexeme == "*" else _Lexeme(kind, lexeme)
            position = found.end()

    def _failed(self) -> ShardError:
        return shard_error(self._reader, f"Failed to parse query [{self._source.text}]")

    def _refused(self, lexeme: str) -> ShardError:
        reason = f"Failed to parse query [{self._source.text}]: [{lexeme}] is not supported by {ENGINE}"
        return shard_error(self._reader, reason)

    def _peek(self, ahead: int = 0) -> _Lexeme | None:
        position = self._position + ahead
        return self._lexemes[position] if position < len(self._lexemes) else None

    def _next(self) -> _Lexeme:
        lexeme = self._peek()
        if lexeme is None:
            raise self._failed()
        self._position += 1
        return lexeme

    def _accept(self, *texts: str) -> str | None:
        """Pass over a sign, or a word that is an operator, and return it; None when something else comes."""
        lexeme = self._peek()
        if lexeme is None or lexeme.kind not in ("sign", "word") or lexeme.text not in texts:
            return None
        self._position += 1
        return lexeme.text

    def _clauses(self, field: str | None, depth: int) -> Query | None:
        """Read clauses up to a closing parenthesis or the end. `field`: where to look, None for the default."""
        if depth > MAX_DEPTH:
            raise self._failed()
        clauses: _Clauses = []
        first, only = True, None
        while first or not self._is_at_end():
            if (run := self._run()) is not None:
                only = self._add_run(clauses, self._words(field, run), only if not first else None)
            else:
                conjunction = None if first else _CONJUNCTIONS.get(self._accept(*_CONJUNCTIONS) or "")
                sign = self._accept("+", "-", "!", "NOT")
                query = self._clause(field, depth)
                self._add(clauses, conjunction, sign, query)
                only = query if first and sign is None else only
            first = False
        return only if len(clauses) == 1 and only is not None else _combined(clauses)

    def _is_at_end(self) -> bool:
        lexeme = self._peek()
        return lexeme is None or lexeme == _Lexeme("sign", ")")

    def _run(self) -> str | None:
        """Read two words or more with no operator between or right after them; None when none come."""
        if not (self._is_plain(0) and self._is_plain(1) and not self._ends_a_run(2)):
            return None
        words = [self._next().text]
        while self._is_plain(0) and not self._ends_a_run(1):
            words.append(self._next().text)
        return " ".join(words)

    def _is_plain(self, ahead: int) -> bool:
        lexeme = self._peek(ahead)
        if lexeme is None or lexeme.kind != "word" or lexeme.text in _OPERATORS:
            return False
        return _WILDCARD.search(lexeme.text) is None

    def _ends_a_run(self, ahead: int) -> bool:
        lexeme = self._peek(ahead)
        return lexeme is not None and (lexeme.kind == "boost" or lexeme.text in _ENDS_A_RUN)

    def _add_run(self, clauses: _Clauses, query: Query | None, only: Query | None) -> Query | None:
        """Add the clauses of a run of words; return the query that stands for all if nothing else comes."""
        occur: _Occur = "must" if self._source.operator == "and" else "should"
        if isinstance(query, Bool):
            clauses += [(occur, clause) for clause in (*query.must, *query.should)]
        elif query is not None:
            clauses.append((occur, query))
        return query if only is None else only

    def _add(self, clauses: _Clauses, conjunction: str | None, sign: str | None, query: Query | None) -> None:
        """Lucene's rule: AND makes the clause before it required, too; with default AND, OR frees it again."""
        default_and = self._source.operator == "and"
        if clauses and clauses[-1][0] != "must_not":
            if conjunction == "and":
                clauses[-1] = ("must", clauses[-1][1])
            elif conjunction == "or" and default_and:
                clauses[-1] = ("should", clauses[-1][1])
        if query is None:
            return
        if sign not in (None, "+"):
            clauses.append(("must_not", query))
        elif default_and:
            clauses.append(("should" if conjunction == "or" else "must", query))
        else:
            clauses.append(("must" if sign == "+" or conjunction == "and" else "should", query))

    def _clause(self, field: str | None, depth: int) -> Query | None:
        colon = self._peek(1)
        if colon == _Lexeme("sign", ":") and self._peek() is not None:
            name = self._next()
            is_name = name.kind == "word" and name.text not in _OPERATORS and _WILDCARD.search(name.text) is None
            if name.text != "*" and not is_name:
                raise self._failed()
            self._next()
            field = _unescape(name.text)
        lexeme = self._next()
        match lexeme.kind, lexeme.text:
            case "quoted", text:
                return self._boosted(self._phrase(field, _unescape(text[1:-1])))
            case "bare", _:
                return self._boosted(self._words(field, lexeme.text[0]))
            case "sign", "*":
                return self._boosted(self._anything(field))
            case "sign", "(":
                query = self._clauses(field, depth + 1)
                if self._accept(")") is None:
                    raise self._failed()
                return self._boosted(query)
            case "word", text if text not in _OPERATORS:
                return self._boosted(self._word(field, text))
            case _:
                raise self._failed()

    def _boosted(self, query: Query | None) -> Query | None:
        lexeme = self._peek()
        if lexeme is None or lexeme.kind != "boost":
            return query
        boost = float(self._next().text)
        return query if query is None or boost == 1.0 else Boosted(query=query, boost=boost)

    def _word(self, field: str | None, text: str) -> Query | None:
        if _WILDCARD.search(text):
            raise self._refused(text)
        return self._words(field, text)

    def _words(self, field: str | None, text: str) -> Query | None:
        text = _unescape(text)
        if field == "_exists_":
            return Exists(field=text)
        has_field = field is not None or not self._source.fields
        if has_field and len(text) > 1 and text[0] in "<>":
            raise self._refused(text)
        return self._texts.words(text, self._where(field), tie_breaker=self._source.tie_breaker)

    def _phrase(self, field: str | None, text: str) -> Query | None:
        return Exists(field=text) if field == "_exists_" else self._texts.phrase(text, self._where(field))

    def _anything(self, field: str | None) -> Query | None:
        """Return the query of a lone `*`: any document, or any with a value in a field."""
        actual = field or self._source.default_field or (None if self._source.fields else "*")
        if actual is not None:
            return MatchAll() if actual == "*" else Exists(field=actual)
        found = ((Exists(field=path), boost) for path, boost in self._weights.items())
        return either([query if boost == 1.0 else Boosted(query=query, boost=boost) for query, boost in found])

    def _where(self, field: str | None) -> Weights:
        if field is None or field == self._source.default_field:
            return self._weights
        return expand(self._reader, (FieldBoost(field),))


def _combined(clauses: _Clauses) -> Query | None:
    """Return one query for all clauses, None for none. Where all are prohibited, everything else matches."""
    if not clauses:
        return None
    return Bool(
        filter=(MatchAll(),) if all(occur == "must_not" for occur, _ in clauses) else (),
        must=tuple(query for occur, query in clauses if occur == "must"),
        should=tuple(query for occur, query in clauses if occur == "should"),
        must_not=tuple(query for occur, query in clauses if occur == "must_not"),
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
