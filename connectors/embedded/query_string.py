"""The query languages of `query_string` (and `?q=`) and `simple_query_string`, the part of them that words need.

Understood: words, "quoted phrases", `+`, `-`, parentheses, `AND`, `OR`, `NOT`, `&&`, `||`, `!`, `field:word`,
`field:"a phrase"`, `field:(…)`, `word^2`, backslash escapes; in the simple language `+`, `|`, `-`, quotes and
parentheses. Everything else of the languages (wildcards, fuzziness, slop, ranges, regular expressions) is refused.

Law: words without an operator between them keep the meaning that Lucene's classic parser gives them, odd as it is
where AND and OR mix.

*Source:* Lucene's QueryParserBase.addClause and SimpleQueryParser; Elasticsearch's QueryStringQueryParser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from connectors.embedded.analysis import Analyzer
from connectors.embedded.errors import ApiError, parsing_error
from connectors.embedded.query import (
    AcrossFields,
    Bool,
    Boosted,
    Exists,
    FieldBoost,
    MatchAll,
    MatchNone,
    Operator,
    PerField,
    Phrase,
    Query,
    Words,
)

Fields = tuple[FieldBoost, ...]
_Occur = Literal["must", "should", "must_not"]

_LEXEME = re.compile(
    r"""\s*(?:(?P<phrase>"(?:[^"\\]|\\.)*")|(?P<operator>&&|\|\||[+\-!](?=\S)|[()])"""
    r"""|(?P<boost>\^\d+(?:\.\d+)?)|(?P<field>(?:[^\s"()^:+\-!\\]|\\.)(?:[^\s"()^:\\]|\\.)*):(?=\S)"""
    r"""|(?P<word>(?:[^\s"()^:\\]|\\.)+))"""
)
_REFUSED = re.compile(r"(?<!\\)[*?~/\[\]{}<>=]")
_SIMPLE_LEXEME = re.compile(
    r"""\s*(?:(?P<phrase>"(?:[^"\\]|\\.)*")|(?P<operator>[+|()]|-(?=\S))|(?P<word>(?:[^\s"()+|\\]|\\.)+))"""
)
_SIMPLE_REFUSED = re.compile(r"(?<!\\)\*$|(?<!\\)~\d*$")
_CONJUNCTIONS = {"AND": "and", "&&": "and", "OR": "or", "||": "or"}
_PROHIBITIONS = ("NOT", "!", "-")


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What holds for the whole text: where to look and how to put the parts together."""

    text: str
    fields: Fields
    operator: Operator
    tie_breaker: float
    minimum: str | None
    analyzer: Analyzer | None
    is_lenient: bool

    def words(self, text: str, fields: Fields) -> Query:
        """Return the query for a word, which analysis may find to be several."""

        def per_field(path: str, *, is_lenient: bool) -> Query:
            lenient = is_lenient or self.is_lenient
            return Words(field=path, text=text, operator=self.operator, analyzer=self.analyzer, is_lenient=lenient)

        return self._across(fields, per_field)

    def phrase(self, text: str, fields: Fields) -> Query:
        """Return the query for a quoted phrase."""

        def per_field(path: str, *, is_lenient: bool) -> Query:
            return Phrase(field=path, text=text, analyzer=self.analyzer, is_lenient=is_lenient or self.is_lenient)

        return self._across(fields, per_field)

    def _across(self, fields: Fields, per_field: PerField) -> Query:
        return AcrossFields(fields=fields, per_field=per_field, tie_breaker=self.tie_breaker)


def parse_query_string(
    text: str,
    *,
    fields: Fields,
    operator: Operator = "or",
    tie_breaker: float = 0.0,
    minimum: str | None = None,
    analyzer: Analyzer | None = None,
    is_lenient: bool = False,
) -> Query:
    """Return the query that a text in Lucene's query language describes; `ApiError` 400 when it is not understood."""
    settings = _Settings(
        text=text,
        fields=fields,
        operator=operator,
        tie_breaker=tie_breaker,
        minimum=minimum,
        analyzer=analyzer,
        is_lenient=is_lenient,
    )
    if text.strip() in ("*", "*:*"):
        return MatchAll()
    exists = re.fullmatch(r"\s*_exists_:([\w.*]+)\s*", text)
    if exists:
        return Exists(field=exists[1])
    return _Parser(settings, _lex(text, _LEXEME, _REFUSED)).parse()


def parse_simple_query_string(
    text: str,
    *,
    fields: Fields,
    operator: Operator = "or",
    minimum: str | None = None,
    analyzer: Analyzer | None = None,
    is_lenient: bool = False,
) -> Query:
    """Return the query of a text in the simple language; `ApiError` 400 for what is left out of it."""
    settings = _Settings(
        text=text,
        fields=fields,
        operator=operator,
        tie_breaker=1.0,
        minimum=minimum,
        analyzer=analyzer,
        is_lenient=is_lenient,
    )
    if text.strip() == "*":
        return MatchAll()
    return _SimpleParser(settings, _lex(text, _SIMPLE_LEXEME, _SIMPLE_REFUSED)).parse()


def _lex(text: str, lexeme: re.Pattern[str], refused: re.Pattern[str]) -> list[_Lexeme]:
    lexemes: list[_Lexeme] = []
    position = 0
    while position < len(text.rstrip()):
        match = lexeme.match(text, position)
        if match is None or match.lastgroup is None:
            raise _cannot_parse(text, f"at character {position}")
        found = _Lexeme(match.lastgroup, match[match.lastgroup])
        if found.kind == "word" and refused.search(found.text):
            raise _cannot_parse(
                text, f"[{found.text}]: wildcards, fuzziness, ranges and regular expressions are not supported"
            )
        lexemes.append(found)
        position = match.end()
    return lexemes


def _cannot_parse(text: str, why: str) -> ApiError:
    return parsing_error(f"Failed to parse query [{text}]: {why} (by the embedded engine)")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


class _Lexemes:
    """The lexemes not read yet."""

    def __init__(self, settings: _Settings, lexemes: Sequence[_Lexeme]) -> None:
        self.settings = settings
        self._lexemes = lexemes
        self._position = 0

    def peek(self) -> _Lexeme | None:
        return self._lexemes[self._position] if self._position < len(self._lexemes) else None

    def next(self) -> _Lexeme:
        lexeme = self.peek()
        if lexeme is None:
            raise _cannot_parse(self.settings.text, "it ends too early")
        self._position += 1
        return lexeme

    def accept(self, *texts: str) -> str | None:
        """Pass over an operator, or a word that is one, and return it; None when something else comes."""
        lexeme = self.peek()
        if lexeme is None or lexeme.kind in ("phrase", "field") or lexeme.text not in texts:
            return None
        self._position += 1
        return lexeme.text

    def expect(self, text: str) -> None:
        if self.accept(text) is None:
            raise _cannot_parse(self.settings.text, f"[{text}] is missing")


class _Parser(_Lexemes):
    """Lucene's classic query language."""

    def parse(self) -> Query:
        query = self._clauses(self.settings.fields, depth=0)
        if self.peek() is not None:
            raise _cannot_parse(self.settings.text, f"[{self.next().text}] is not expected here")
        return query

    def _clauses(self, fields: Fields, depth: int) -> Query:
        clauses: list[tuple[_Occur, Query]] = []
        while self.peek() is not None and self.peek() != _Lexeme("operator", ")"):
            conjunction = _CONJUNCTIONS.get(self.accept(*_CONJUNCTIONS) or "") if clauses else None
            is_required = self.accept("+") is not None
            is_prohibited = not is_required and self.accept(*_PROHIBITIONS) is not None
            query = self._clause(fields, depth)
            self._add(clauses, conjunction, query, is_required=is_required, is_prohibited=is_prohibited)
        return _combined(clauses, self.settings.minimum if depth == 0 else None)

    def _add(
        self,
        clauses: list[tuple[_Occur, Query]],
        conjunction: str | None,
        query: Query,
        *,
        is_required: bool,
        is_prohibited: bool,
    ) -> None:
        """Lucene's rule: AND makes the clause before it required, too; with default AND, OR frees it again."""
        default_and = self.settings.operator == "and"
        if clauses and clauses[-1][0] != "must_not":
            if conjunction == "and":
                clauses[-1] = ("must", clauses[-1][1])
            elif conjunction == "or" and default_and:
                clauses[-1] = ("should", clauses[-1][1])
        if is_prohibited:
            clauses.append(("must_not", query))
        elif default_and:
            clauses.append(("should" if conjunction == "or" and not is_required else "must", query))
        else:
            clauses.append(("must" if is_required or conjunction == "and" else "should", query))

    def _clause(self, fields: Fields, depth: int) -> Query:
        lexeme = self.next()
        match lexeme.kind:
            case "field":
                return self._clause((FieldBoost(_unescape(lexeme.text)),), depth)
            case "phrase":
                return self._boosted(self.settings.phrase(_unescape(lexeme.text[1:-1]), fields))
            case "word" if lexeme.text not in (*_CONJUNCTIONS, "NOT"):
                return self._boosted(self.settings.words(_unescape(lexeme.text), fields))
            case "operator" if lexeme.text == "(":
                query = self._clauses(fields, depth + 1)
                self.expect(")")
                return self._boosted(query)
            case _:
                raise _cannot_parse(self.settings.text, f"[{lexeme.text}] is not expected here")

    def _boosted(self, query: Query) -> Query:
        lexeme = self.peek()
        if lexeme is None or lexeme.kind != "boost":
            return query
        return Boosted(query=query, boost=float(self.next().text[1:]))


class _SimpleParser(_Lexemes):
    """Elasticsearch's simple query language: `+` is and, `|` is or, `-` is not."""

    def parse(self) -> Query:
        query = self._either()
        if self.peek() is not None:
            raise _cannot_parse(self.settings.text, f"[{self.next().text}] is not expected here")
        return query

    def _either(self) -> Query:
        clauses: list[tuple[_Occur, Query]] = []
        current: _Occur = "must" if self.settings.operator == "and" else "should"
        while self.peek() is not None and self.peek() != _Lexeme("operator", ")"):
            joint = self.accept("+", "|")
            occur: _Occur = {"+": "must", "|": "should"}.get(joint or "", current)  # type: ignore[assignment]
            if joint and clauses and clauses[-1][0] != "must_not":
                clauses[-1] = (occur, clauses[-1][1])
            if self.peek() is None:
                break
            is_prohibited = self.accept("-") is not None
            clauses.append(("must_not" if is_prohibited else occur, self._one()))
        return _combined(clauses, self.settings.minimum)

    def _one(self) -> Query:
        lexeme = self.next()
        if lexeme.text == "(" and lexeme.kind == "operator":
            query = self._either()
            self.expect(")")
            return query
        if lexeme.kind == "phrase":
            return self.settings.phrase(_unescape(lexeme.text[1:-1]), self.settings.fields)
        return self.settings.words(_unescape(lexeme.text), self.settings.fields)


def _combined(clauses: Sequence[tuple[_Occur, Query]], minimum: str | None) -> Query:
    """Return one query for all clauses."""
    if not clauses:
        return MatchNone()
    if len(clauses) == 1 and clauses[0][0] != "must_not":
        return clauses[0][1]
    return Bool(
        must=tuple(query for occur, query in clauses if occur == "must"),
        should=tuple(query for occur, query in clauses if occur == "should"),
        must_not=tuple(query for occur, query in clauses if occur == "must_not"),
        minimum=minimum,
    )
