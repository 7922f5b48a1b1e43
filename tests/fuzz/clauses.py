"""Strategies for the `query` of a search: every clause that the engines of the tests know, and some that they do not.

Law: most clauses are ones that an engine takes, so that answers have hits to compare.
"""

from typing import Final

from hypothesis import strategies as st

from tests.fuzz.mixing import Values, mixed, of, of_field, table
from tests.fuzz.printing import Literal

words: Final[Values] = st.one_of(
    st.sampled_from(["tea", "black tea", "green tea leaves", "tea water", "about tea", "note on tea", "Book 3"]),
    st.sampled_from(["tea", "tea", "coffee", "", " ", "3", "AB-1234", "te\u0301 \U0001f375", "tea\ttea\n", "TEA"]),
)
syntax: Final[Values] = st.one_of(
    words,
    st.sampled_from(
        ["tea OR water", "+tea -coffee", "shelf:shelf-1 tea", "te*", '"black tea"~2 green', "(tea", "tea)"]
    ),
    st.sampled_from(
        ["n:[1 TO 9] tea", "title:(black tea)", "NOT tea", "tea AND", "\\", "/te./ tea", "tea^2 water~", "*"]
    ),
)
text_fields: Final[Values] = st.sampled_from(
    ["body", "title", "note", "everything", "author.name", "body.simple", "tags"]
)
fields: Final[Values] = st.one_of(
    text_fields,
    text_fields,
    st.sampled_from(["shelf", "n", "price", "published", "title.raw", "missing", "chapters.heading", "exotic", "_id"]),
)
patterns: Final[Values] = st.one_of(
    fields,
    fields,
    st.sampled_from(["*", "t*", "*.name", "title^2", "body^0.5", "b*^3", "exotic.*", "author", "", "_*"]),
)
wrong: Final[Values] = st.one_of(
    st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], {}, [[]], {"": {}}, [None], {"a": {"b": [1, {"c": None}]}}]),
    st.sampled_from(["1E+2", "-0.0", '"\\ud800"', "12345678901234567890", "1e400", "NaN"]).map(Literal),
)
boosts: Final[Values] = st.sampled_from([1, 2, 0.5, 3.25, 0, -1, "2", Literal("1E+0")])


_common: Final = {"boost": boosts, "_name": st.sampled_from(["first", "zweite"])}
_minimum: Final = st.sampled_from([1, "1", "50%", "2<75%", -1])
_matching: Final = {
    "operator": st.sampled_from(["and", "or", "AND", "neither"]),
    "fuzziness": st.sampled_from(["AUTO", 1, "2"]),
    "minimum_should_match": _minimum,
    "zero_terms_query": st.sampled_from(["all", "none"]),
    "lenient": st.booleans(),
    "analyzer": st.sampled_from(["standard", "keyword", "missing"]),
    **_common,
}

text: Final[Values] = st.one_of(
    of_field("match", fields, words),
    of_field("match", text_fields, words),
    of_field("match", text_fields, table({"query": words}, **_matching)),
    of_field("match_phrase", text_fields, st.one_of(words, table({"query": words}, slop=st.integers(0, 3), **_common))),
    of_field("match_phrase_prefix", text_fields, words),
    of_field("match_bool_prefix", text_fields, words),
    of(
        "multi_match",
        table(
            {"query": words, "fields": st.lists(patterns, max_size=3)},
            type=st.sampled_from(
                ["best_fields", "most_fields", "cross_fields", "phrase", "phrase_prefix", "bool_prefix"]
            ),
            tie_breaker=st.sampled_from([0, 0.3, 1]),
            **_matching,
        ),
    ),
    of("combined_fields", table({"query": words, "fields": st.lists(text_fields, min_size=1, max_size=2)}, **_common)),
    of(
        "query_string",
        table(
            {"query": syntax},
            fields=st.lists(patterns, max_size=2),
            default_field=patterns,
            default_operator=st.sampled_from(["AND", "OR"]),
            analyze_wildcard=st.booleans(),
            lenient=st.booleans(),
            **_common,
        ),
    ),
    of(
        "simple_query_string",
        table(
            {"query": syntax}, fields=st.lists(patterns, max_size=2), flags=st.sampled_from(["ALL", "OR"]), **_common
        ),
    ),
)

_shelf: Final = st.sampled_from(["shelf-0", "shelf-1", "shelf-9"])
_span: Final = of_field("span_term", st.just("body"), st.sampled_from(["tea", "leaves", "water"]))
_like: Final = table(
    {"like": words, "fields": st.just(["body"]), "min_term_freq": st.just(1), "min_doc_freq": st.just(1)}, **_common
)
_rule: Final = of("match", table({"query": words}, ordered=st.booleans(), max_gaps=st.sampled_from([-1, 0, 2])))

wordless: Final[Values] = st.one_of(
    st.sampled_from([{"match_all": {}}, {"match_all": {"boost": 2}}, {"match_none": {}}]),
    of_field("term", st.just("shelf"), _shelf),
    of_field("term", fields, st.one_of(words, table({"value": words}, **_common))),
    of_field("terms", st.sampled_from(["shelf", "_index"]), st.lists(_shelf, max_size=2)),
    of_field("range", st.sampled_from(["n", "price", "published"]), table({}, gte=st.integers(0, 9), lt=st.just(25))),
    of("exists", of("field", fields)),
    of("ids", of("values", st.lists(st.sampled_from(["1", "2", "17", "x"]), max_size=3))),
    of_field("prefix", text_fields, st.sampled_from(["te", "boo", ""])),
    of_field("wildcard", text_fields, st.sampled_from(["t*a", "?ea", "*"])),
    of_field("regexp", text_fields, st.sampled_from(["te.", "t[ae]+", "("])),
    of_field("fuzzy", text_fields, st.sampled_from(["tae", "taa"])),
    _span,
    of("span_or", of("clauses", st.lists(_span, max_size=2))),
    of("span_first", st.fixed_dictionaries({"match": _span, "end": st.integers(0, 4)})),
    of("span_near", st.fixed_dictionaries({"clauses": st.lists(_span, min_size=1, max_size=2), "slop": st.just(3)})),
    of_field("intervals", st.just("body"), _rule),
    of("more_like_this", _like),
    of_field("terms_set", st.just("shelf"), st.just({"terms": ["shelf-1"], "minimum_should_match": 1})),
    st.just({"geo_distance": {"distance": "9km", "place": {"lat": 35, "lon": 135}}}),
    st.just({"distance_feature": {"field": "published", "origin": "2015-01-01", "pivot": "365d"}}),
    st.just({"rank_feature": {"field": "rank"}}),
    st.just({"wrapper": {"query": "eyJtYXRjaF9hbGwiOnt9fQ=="}}),
    st.just({"script": {"script": "doc['n'].value > 3"}}),
    st.just({"knn": {"field": "vector", "query_vector": [1, 2], "k": 3}}),
)

unknown: Final[Values] = st.one_of(
    of_field("mtach", fields, words),
    wrong.map(lambda value: {"match": {"body": {"query": "tea", "unheard_of": value}}}),
    st.just({"hybrid": {"queries": [{"match": {"body": "tea"}}, {"match": {"title": "book"}}]}}),
    st.just({"neural": {"vector": {"query_text": "tea", "model_id": "m", "k": 3}}}),
    st.just({"semantic": {"field": "title", "query": "tea"}}),
    st.just({"sparse_vector": {"field": "v", "inference_id": "i", "query": "tea"}}),
    st.just({"pinned": {"ids": ["3"], "organic": {"match": {"body": "tea"}}}}),
    st.just({"has_child": {"type": "x", "query": {"match_all": {}}}}),
    st.just({"match": {"body": "tea"}, "term": {"n": 1}}),
    wrong,
)

leaves: Final[Values] = mixed((12, text), (6, wordless), (1, unknown))


def _inner_hits(nested: Values) -> Values:
    return table(
        {"path": st.just("chapters"), "query": nested}, inner_hits=st.sampled_from([{}, {"size": 1}]), **_common
    )


_heading: Final = of_field("match", st.just("chapters.heading"), words)
_decay: Final[Values] = st.sampled_from(
    [
        {"weight": 2},
        {"field_value_factor": {"field": "n", "missing": 1}},
        {"random_score": {"seed": 7, "field": "_seq_no"}},
        {"gauss": {"n": {"origin": 3, "scale": 5}}},
        {"script_score": {"script": "doc['n'].value + 1"}},
    ]
)


def _compound(inner: Values) -> Values:
    """Return a strategy for clauses that hold others."""
    some: Values = st.one_of(inner, st.lists(inner, max_size=2))
    parts = {"should": some, "filter": some, "must_not": some, **_common}
    return mixed(
        (3, of("bool", table({"must": some}, **parts))),
        (2, of("bool", table({}, must=some, minimum_should_match=_minimum, **parts))),
        (
            1,
            of(
                "dis_max",
                table({"queries": st.lists(inner, max_size=3)}, tie_breaker=st.sampled_from([0, 0.7]), **_common),
            ),
        ),
        (1, of("constant_score", table({"filter": inner}, **_common))),
        (1, of("boosting", table({"positive": inner, "negative": inner, "negative_boost": st.just(0.5)}, **_common))),
        (2, of("nested", _inner_hits(st.one_of(_heading, inner)))),
        (1, of("function_score", _functions(inner))),
        (
            1,
            of("script_score", table({"query": inner, "script": st.just({"source": "doc['n'].value + 1"})}, **_common)),
        ),
    )


def _functions(inner: Values) -> Values:
    alone = st.tuples(inner, _decay).map(lambda pair: {"query": pair[0], **pair[1]})
    several = table(
        {"query": inner}, functions=st.lists(_decay, max_size=2), score_mode=st.sampled_from(["sum", "max"])
    )
    return st.one_of(of("query", inner), alone, several)


_shallow: Final = mixed((3, leaves), (1, _compound(leaves)))
_deeper: Final = mixed((2, leaves), (1, _compound(_shallow)))

queries: Final[Values] = mixed((3, leaves), (2, _compound(_deeper)))
plain_queries: Final[Values] = mixed(
    (4, text), (1, of("nested", st.fixed_dictionaries({"path": st.just("chapters"), "query": _heading})))
)
"""Queries with words that an engine takes."""
