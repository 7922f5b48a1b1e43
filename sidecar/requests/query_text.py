"""Step 1: which words did the user type, and which fields do they search?

Law: only scored clauses are read; what filters (`filter`, `must_not`, ids, terms, ranges) is never a question.
Nothing is guessed: a clause that is not in the table below gives no words. No I/O.

*Source:* the query DSL as documented for Elasticsearch 9.5 and OpenSearch 3.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from connectors.json_bytes import JsonObject

ALL_FIELDS: Final = ("*",)
"""What a text clause searches that names no field: all fields of type text."""

_TYPED_AHEAD = frozenset({"bool_prefix", "phrase_prefix"})
"""Types of multi_match that complete a word still being typed."""

_EMBEDDED: Final = {
    "neural": "query_text",
    "neural_sparse": "query_text",
    "sparse_vector": "query",
    "text_expansion": "model_text",
}
"""Clauses that search vectors of a text, and where that text is; their field holds the vectors."""

_SIZE_DEPENDENT = frozenset({"knn", "hybrid", "semantic", "weighted_tokens", *_EMBEDDED})
"""Clauses whose ranking depends on how many hits are asked for."""

_OTHER_RETRIEVERS = frozenset({"pinned", "rule", "diversify", "rescorer", "random_reranker"})
"""Retrievers that order the hits of one inside them by rules of their own."""

_CUSTOM_RANKING = frozenset({"distance_feature", "rank_feature", "rank", "script_score"})

_PINNING = frozenset({"pinned", "rule"})
"""Clauses that put hits first by scores that no others have."""

_KEEPS_PINS = frozenset({"bool", "dis_max", *_PINNING})
"""Clauses in which such scores stay what they are, or nearly."""

_STRONG_SHARE = 0.5
"""Texts that weigh at least this share of the heaviest are part of the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextClause:
    """One scored clause that searches words: the text, the fields as the query names them, its boost."""

    text: str
    fields: tuple[str, ...] = ALL_FIELDS
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a query says: its text clauses in order, and what else bears on ranking."""

    clauses: tuple[TextClause, ...] = ()
    has_custom_ranking: bool = False
    is_size_dependent: bool = False

    @property
    def text(self) -> str | None:
        """The words to score against, or None when the user typed none.

        The heaviest text wins; texts at least half as heavy are joined to it in the query's order, but for
        those whose words another one contains.
        """
        weights: dict[str, float] = {}
        for clause in self.clauses:
            weights[clause.text] = max(clause.weight, weights.get(clause.text, 0.0))
        weights = {text: weight for text, weight in weights.items() if not is_identifier(text)}
        if not weights:
            return None
        heaviest = max(weights.values())
        strong = [text for text, weight in weights.items() if weight >= _STRONG_SHARE * heaviest]
        return " ".join(text for text in strong if not _is_contained(text, strong))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the text clauses search, in the query's order, each once."""
        return tuple(dict.fromkeys(field for clause in self.clauses for field in clause.fields))


def read_query(query: Any) -> Reading:
    """Read the `query` of a search body. Anything that is no query gives an empty reading."""
    facts = _Facts()
    clauses = tuple(clause for clause in _read(query, 1.0, facts) if clause.text)
    return Reading(
        clauses=clauses, has_custom_ranking=facts.has_custom_ranking, is_size_dependent=facts.is_size_dependent
    )


def read_retriever(retriever: Any) -> Reading:
    """Read the `retriever` of a search body: its words, those of the retrievers inside it, and whose order it is.

    Of a single `standard` retriever the ranking does not depend on how many hits are asked for.
    """
    facts = _Facts(is_size_dependent=not (isinstance(retriever, dict) and set(retriever) == {"standard"}))
    clauses = tuple(clause for clause in _read_retriever(retriever, 1.0, facts) if clause.text)
    return Reading(
        clauses=clauses, has_custom_ranking=facts.has_custom_ranking, is_size_dependent=facts.is_size_dependent
    )


def read_knn(knn: Any) -> Reading:
    """Read the `knn` of a search body, one or several: the text of which a model of the engine's makes a vector."""
    clauses = (clause for each in _as_list(knn) if isinstance(each, dict) for clause in _read_knn(each, 1.0))
    return Reading(clauses=tuple(clauses), is_size_dependent=knn is not None)


def join(*readings: Reading) -> Reading:
    """Return what several parts of one search say together."""
    return Reading(
        clauses=tuple(clause for reading in readings for clause in reading.clauses),
        has_custom_ranking=any(reading.has_custom_ranking for reading in readings),
        is_size_dependent=any(reading.is_size_dependent for reading in readings),
    )


def read_query_string(text: str, fields: tuple[str, ...] = ALL_FIELDS) -> Reading:
    """Read the URL's `q` parameter."""
    words = query_string_words(text)
    return Reading(clauses=(TextClause(text=words, fields=fields),) if words else ())


@dataclass(slots=True)
class _Facts:
    has_custom_ranking: bool = False
    is_size_dependent: bool = False
    #: whether what is being read is inside a clause that makes other scores of those inside it
    changes_scores: bool = False


def _read(query: Any, weight: float, facts: _Facts) -> Iterator[TextClause]:
    if not isinstance(query, dict):
        return
    for kind, value in query.items():
        yield from _read_clause(kind, value, weight, facts)


def _read_clause(kind: str, value: Any, weight: float, facts: _Facts) -> Iterator[TextClause]:
    if kind in _SIZE_DEPENDENT:
        facts.is_size_dependent = True
    if kind in _CUSTOM_RANKING or (kind == "function_score" and _has_functions(value)):
        facts.has_custom_ranking = True
    if not isinstance(value, dict):
        return
    weight *= _boost(value)
    if kind in _PINNING and (weight != 1.0 or facts.changes_scores):
        facts.has_custom_ranking = True
    outside = facts.changes_scores
    facts.changes_scores = outside or kind not in _KEEPS_PINS
    yield from _read_inside(kind, value, weight, facts)
    facts.changes_scores = outside


def _read_inside(kind: str, value: JsonObject, weight: float, facts: _Facts) -> Iterator[TextClause]:
    match kind:
        case "match" | "match_phrase":
            yield from _field_clause(value, weight)
        case "multi_match" if value.get("type") not in _TYPED_AHEAD:
            yield from _clause(_text(value.get("query")), _names(value.get("fields")), weight)
        case "combined_fields":
            yield from _clause(_text(value.get("query")), _names(value.get("fields")), weight)
        case "query_string":
            fields = value.get("fields") or value.get("default_field")
            yield from _clause(query_string_words(_text(value.get("query"))), _names(fields), weight)
        case "simple_query_string":  # has no field:value syntax
            words = query_string_words(_text(value.get("query")).replace(":", " "))
            yield from _clause(words, _names(value.get("fields")), weight)
        case "bool":
            for occurrence in ("must", "should"):
                for inner in _as_list(value.get(occurrence)):
                    yield from _read(inner, weight, facts)
        case "dis_max" | "hybrid":
            for inner in _as_list(value.get("queries")):
                yield from _read(inner, weight, facts)
        case "function_score" | "script_score" | "nested":
            yield from _read(value.get("query"), weight, facts)
        case "constant_score":
            yield from _read(value.get("filter"), weight, facts)
        case "boosting":
            yield from _read(value.get("positive"), weight, facts)
        case "pinned" | "rule":
            yield from _read(value.get("organic"), weight, facts)
        case "semantic":
            yield from _clause(_text(value.get("query")), _names(value.get("field")), weight)
        case "knn":
            yield from _read_knn(value, weight)
        case _ if kind in _EMBEDDED:
            yield from _embedded_text(value, _EMBEDDED[kind], weight)
        case _:
            return


def _embedded_text(value: JsonObject, name: str, weight: float) -> Iterator[TextClause]:
    """Read `{"vector_field": {"query_text": "words"}}` or `{"field": …, "query": "words"}`; no field holds the text."""
    for inner in (value, *value.values()):
        if isinstance(inner, dict):
            yield from _clause(_text(inner.get(name)), (), weight * _boost(inner))


def _read_knn(knn: JsonObject, weight: float) -> Iterator[TextClause]:
    """Read `{"query_vector_builder": {"text_embedding": {"model_text": "words"}}}`; no field holds the text."""
    builder = knn.get("query_vector_builder")
    embedding = builder.get("text_embedding") if isinstance(builder, dict) else None
    if isinstance(embedding, dict):
        yield from _clause(_text(embedding.get("model_text")), (), weight)


def _read_retriever(retriever: Any, weight: float, facts: _Facts) -> Iterator[TextClause]:
    if not isinstance(retriever, dict):
        return
    for kind, value in retriever.items():
        if not isinstance(value, dict):
            continue
        if kind in _OTHER_RETRIEVERS:
            facts.has_custom_ranking = True
        if kind == "standard":
            yield from _read(value.get("query"), weight, facts)
        if kind == "knn":
            yield from _read_knn(value, weight)
        if isinstance(value.get("query"), str):  # rrf and linear over fields, in short
            yield from _clause(_text(value["query"]), _names(value.get("fields")), weight)
        for inner in (value.get("retriever"), *_as_list(value.get("retrievers"))):
            wrapped = inner.get("retriever") if isinstance(inner, dict) else None
            yield from _read_retriever(wrapped if isinstance(wrapped, dict) else inner, weight, facts)


def _field_clause(value: JsonObject, weight: float) -> Iterator[TextClause]:
    """Read `{"title": "words"}` or `{"title": {"query": "words", "boost": 2}}`."""
    for field, inner in value.items():
        if isinstance(inner, dict):
            yield from _clause(_text(inner.get("query")), (field,), weight * _boost(inner))
        elif field != "boost":
            yield from _clause(_text(inner), (field,), weight)


def _clause(text: str, fields: tuple[str, ...], weight: float) -> Iterator[TextClause]:
    if text:
        yield TextClause(text=text, fields=fields, weight=weight)


def _has_functions(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() - {"query", "boost", "_name"})


def _boost(value: JsonObject) -> float:
    boost = value.get("boost", 1.0)
    return float(boost) if isinstance(boost, int | float) else 1.0


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _names(value: Any) -> tuple[str, ...]:
    """Return field names without their boosts; a missing list means all text fields."""
    names = (name.partition("^")[0] for name in _as_list(value) if isinstance(name, str))
    return tuple(dict.fromkeys(name for name in names if name)) or ALL_FIELDS


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_contained(text: str, others: Iterable[str]) -> bool:
    words = f" {text.lower()} "
    return any(words in f" {other.lower()} " for other in others if len(other) > len(text))


# --- Lucene query syntax ------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
    (?: (?P<mark>[-+!|()])                       # signs and brackets
      | "(?P<phrase>(?:\\.|[^"\\])*)" (?:~\d+)?  # "a phrase"~2
      | (?P<range>[\[{][^\[\]{}]*[\]}])          # [a TO b]
      | (?P<regex>/(?:\\.|[^/\\])+/)             # /a.*b/
      | (?P<field>(?:\\.|[^\s"()|:^\\])+:)       # field:
      | (?P<word>(?:\\.|[^\s"()|:^\\])+) )
    (?:\^[\d.]+)?
    """,
    re.VERBOSE,
)
_OPERATORS = frozenset({"AND", "OR", "NOT", "&&", "TO"})


def query_string_words(text: str) -> str:
    """Return the free words of Lucene's query syntax, joined by single spaces.

    What is excluded (`-word`, `NOT (two words)`), bound to a field (`status:active`), a range, a regular expression
    or a pattern (`wor*`) is no free word.
    """
    words: list[str] = []
    groups = [False]  # for every open bracket, whether what is in it is excluded or bound
    is_excluded = False  # whether the next clause is
    for token in _TOKEN.finditer(text):
        match token.lastgroup, token[0][0]:
            case "mark", "(":
                groups.append(is_excluded or groups[-1])
                is_excluded = False
            case "mark", ")":
                del groups[max(1, len(groups) - 1) :]  # a bracket too many closes nothing
                is_excluded = False
            case "mark", sign:
                is_excluded = sign in "-!"
            case "field", _:
                is_excluded = True
            case "word", _ if token["word"] in _OPERATORS:
                is_excluded = token["word"] == "NOT"
            case _:
                words += [] if is_excluded or groups[-1] else [_free_word(token)]
                is_excluded = False
    return " ".join(" ".join(words).split())


def _free_word(token: re.Match[str]) -> str:
    if token["phrase"] is not None:
        return re.sub(r"\\(.)", r"\1", token["phrase"])
    word = _without_marks(token["word"] or "")
    if re.search(r"(?<!\\)[*?]", word):
        return ""
    word = re.sub(r"(?<!\\)~[\d.]*$", "", word)
    return re.sub(r"\\(.)", r"\1", word)


def _without_marks(word: str) -> str:
    """Return a word without question marks at its end: those of a question, hardly wildcards."""
    bare = word.rstrip("?")
    return f"{bare}?" if bare != word and bare.endswith("\\") else bare


# --- identifiers --------------------------------------------------------------------------------------------

_HEX = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]{4,})*", re.IGNORECASE)


def is_identifier(text: str) -> bool:
    """Return whether `text` names one thing rather than asking for something.

    True for a single token with more digits than letters (`AB-1234`, `978-3-16-148410-0`), a UUID or a long
    hexadecimal number, and for text without any letter. `iphone15` and `covid-19` are words.
    """
    letters = sum(character.isalpha() for character in text)
    digits = sum(character.isdigit() for character in text)
    if letters == 0:
        return True
    is_one_token = len(text.split()) == 1
    return is_one_token and digits > 0 and (digits > letters or _HEX.fullmatch(text) is not None)
