"""The query language of `simple_query_string`: `+` is and, `|` is or, `-` is not, with quotes and parentheses.

Law: no text is an error; what makes no sense is passed over, as Lucene's parser does it. Only prefixes (`tea*`),
fuzziness (`tea~1`) and slop (`"black tea"~2`), which would mean something, are refused.

*Source:* Lucene's SimpleQueryParser, of which this is a translation; Elasticsearch 9.5's SimpleQueryStringQueryParser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from connectors.embedded.analysis import Analyzer
from connectors.embedded.errors import ENGINE, ShardError
from connectors.embedded.field_texts import FieldTexts
from connectors.embedded.index import Reader
from connectors.embedded.query import Bool, FieldBoost, MatchAll, MatchNone, Operator, Query, expand, shard_error
from connectors.embedded.text_index import Scores

MAX_DEPTH = 100
"""Parentheses inside parentheses; a text with more is refused."""

_WHITESPACE = " \t\n\r"
_ENDS_A_WORD = frozenset('"|+()' + _WHITESPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleQueryString:
    """`simple_query_string`. `is_lenient` None = as `*` needs it."""

    text: str
    fields: tuple[FieldBoost, ...]
    operator: Operator = "or"
    minimum: str | None = None
    analyzer: Analyzer | None = None
    is_lenient: bool | None = None

    def match(self, reader: Reader) -> Scores:
        """Match what the text describes; `ShardError` for the part of the language that is left out."""
        return self._parsed(reader).match(reader)

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the words look for."""
        return self._parsed(reader).searched(reader)

    def _parsed(self, reader: Reader) -> Query:
        if self.text.strip() == "*":
            return MatchAll()
        query = _Parser(self, reader).parse(0, len(self.text), depth=0) or MatchNone()
        return replace(query, minimum=self.minimum) if isinstance(query, Bool) and self.minimum else query


@dataclass(slots=True)
class _State:
    """How far a text, or a part of it in parentheses, has been read. `before` and `now` are operators."""

    position: int
    end: int
    top: Query | None = None
    before: Operator | None = None
    now: Operator | None = None
    is_negated: bool = False


class _Parser:
    """One text on its way into a query for one index."""

    def __init__(self, source: SimpleQueryString, reader: Reader) -> None:
        self._source = source
        self._text = source.text
        self._reader = reader
        is_lenient = source.is_lenient
        if is_lenient is None:
            is_lenient = any(field.pattern == "*" for field in source.fields)
        self._weights = expand(reader, source.fields)
        self._texts = FieldTexts(
            reader=reader, operator=source.operator, analyzer=source.analyzer, is_lenient=is_lenient
        )

    def parse(self, start: int, end: int, depth: int) -> Query | None:
        """Return the query of a part of the text, None when there is nothing in it."""
        if depth > MAX_DEPTH:
            raise self._refused("more than 100 parentheses inside each other")
        state = _State(start, end)
        while state.position < end:
            match self._text[state.position]:
                case "-":
                    state.is_negated = not state.is_negated
                    state.position += 1
                    continue
                case "(":
                    self._part(state, depth)
                case '"':
                    self._phrase(state)
                case "+" | "|" as sign:
                    if state.now is None and state.top is not None:
                        state.now = "and" if sign == "+" else "or"
                    state.position += 1
                case ")" | " " | "\t" | "\n" | "\r":
                    state.position += 1
                case _:
                    self._word(state)
            state.is_negated = False  # a `-` that a space follows negates nothing
        return state.top

    def _part(self, state: _State, depth: int) -> None:
        start = state.position + 1
        end = self._closing(start, state.end)
        if end is None:
            state.position = start
        elif end == start:
            state.now = None
            state.position = end + 1
        else:
            self._add(state, self.parse(start, end, depth + 1))
            state.position = end + 1

    def _closing(self, position: int, end: int) -> int | None:
        """Return the place of the parenthesis that closes one before `position`, None when there is none."""
        level = 1
        while position < end:
            match self._text[position]:
                case "\\":
                    position += 1
                case "(":
                    level += 1
                case ")":
                    level -= 1
                    if not level:
                        return position
                case _:
                    pass
            position += 1
        return None

    def _phrase(self, state: _State) -> None:
        start = state.position + 1
        phrase, end = self._read(start, state.end, frozenset('"'))
        if end >= state.end:
            state.position = start
            return
        if end == start:
            state.now = None
        elif self._text[end + 1 : min(end + 2, state.end)] == "~":
            raise self._refused(f'"{phrase}"~')
        else:
            self._add(state, self._texts.phrase(phrase, self._weights))
        state.position = end + 1

    def _word(self, state: _State) -> None:
        start = state.position
        word, end = self._read(start, state.end, _ENDS_A_WORD)
        raw = self._text[start:end]
        if raw[-1:] == "*" and len(word) > 1 and raw[-2:-1] != "\\":
            raise self._refused(raw)
        if "~" in raw[1:].replace("\\~", ""):
            raise self._refused(raw)
        self._add(state, self._texts.words(word, self._weights, tie_breaker=1.0) if word else None)
        state.position = end

    def _read(self, position: int, end: int, stops: frozenset[str]) -> tuple[str, int]:
        """Return the characters up to one of `stops`, backslashes resolved, and where that is."""
        characters: list[str] = []
        while position < end and self._text[position] not in stops:
            if self._text[position] == "\\":
                position += 1
            characters += self._text[position : min(position + 1, end)]
            position += 1
        return "".join(characters), min(position, end)

    def _add(self, state: _State, branch: Query | None) -> None:
        """Put one more branch to the tree; a change of operator begins a new top."""
        if branch is None:
            return
        if state.is_negated:
            branch = Bool(should=(MatchAll(),), must_not=(branch,))
        if state.top is None:
            state.top = branch
        else:
            now = state.now or self._source.operator
            known = _clauses(state.top, now) if now == state.before else (state.top,)
            state.top = _joined(now, (*known, branch))
            state.before = now
        state.now = None

    def _refused(self, what: str) -> ShardError:
        reason = f"Failed to parse query [{self._text}]: [{what}] is not supported by {ENGINE}"
        return shard_error(self._reader, reason)


def _clauses(top: Query, operator: Operator) -> tuple[Query, ...]:
    assert isinstance(top, Bool)
    return top.must if operator == "and" else top.should


def _joined(operator: Operator, queries: tuple[Query, ...]) -> Query:
    return Bool(must=queries) if operator == "and" else Bool(should=queries)
