"""Strategies for bodies of searches: the keys that the engines know, mostly with values that they take.

Law: a body is a value; how it is written is `printing.py`'s business, and what is broken in its bytes `breaking.py`'s.
"""

from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.clauses import plain_queries, queries, words, wrong
from tests.fuzz.mixing import Values, mixed, of, rarely, table
from tests.fuzz.printing import Literal

_NUMBERS: Final = [Literal("1E+1"), Literal("3.0"), Literal("2.5"), "7", "x", None, -1, True]

sizes: Final[Values] = mixed((6, st.integers(0, 40)), (1, st.sampled_from([100, 101, 10_000, 10_001, *_NUMBERS])))
offsets: Final[Values] = mixed((6, st.integers(0, 35)), (1, st.sampled_from([100, 9_990, 10_000, *_NUMBERS])))

_names: Final = st.sampled_from(
    ["body", "title", "n", "shelf", "*", "b*", "chapters", "exotic", "author.*", "missing", "*.x"]
)
_lists: Final = st.lists(_names, max_size=3)
_filter: Final = table({}, 3, includes=_lists, excludes=_lists, include=_names, exclude=_names)

_printed: Final = st.sampled_from(
    [
        {"field": "published", "format": "yyyy"},
        {"field": "n"},
        {"field": "chapters.*"},
        {"field": "missing"},
        {"field": "body", "unheard_of": 1},
        {"field": "place", "format": "wkt"},
    ]
)
_fields: Final = st.lists(st.one_of(_names, st.sampled_from(["chapters.heading", "body.simple"]), _printed), max_size=3)
_doc_values: Final = st.one_of(
    st.sampled_from(["n", "shelf", "title.raw", "published", "price", "body", "*"]), _printed
)

_highlight: Final = table(
    {
        "fields": st.dictionaries(
            _names,
            table({}, number_of_fragments=st.integers(0, 2), type=st.sampled_from(["plain", "unified"])),
            max_size=2,
        )
    },
    pre_tags=st.just(["<b>"]),
    require_field_match=st.booleans(),
    encoder=st.just("html"),
)

_aggregation: Final = st.one_of(
    of("terms", table({"field": st.sampled_from(["shelf", "n", "author.country", "missing"])}, size=st.integers(1, 3))),
    of("avg", st.sampled_from([{"field": "n"}, {"field": "price"}, {"field": "body"}])),
    of("cardinality", st.just({"field": "shelf"})),
    of("histogram", st.just({"field": "n", "interval": 10})),
    of("top_hits", table({"size": st.integers(1, 3)}, _source=st.booleans())),
    of("global", st.just({})),
    of("filter", queries),
    of("nested", st.just({"path": "chapters"})),
    wrong,
)
_sub: Final = _aggregation.map(
    lambda one: {**one, "aggs": {"inside": {"avg": {"field": "n"}}}} if isinstance(one, dict) else one
)
_aggregations: Final = st.dictionaries(
    st.sampled_from(["a", "hits", "ü", "aggs"]), st.one_of(_aggregation, _sub), max_size=2
)

_key: Final = st.one_of(
    st.sampled_from(["_score", "_doc", "n", "shelf", "missing", "published"]),
    st.sampled_from([{"_score": "desc"}, {"_score": {"order": "desc"}}, {"_score": {}}, {"_score": "asc"}]),
    st.sampled_from([{"n": "desc"}, {"n": {"order": "asc", "missing": "_first"}}, {"chapters.page": {"order": "asc"}}]),
    wrong,
)
_suggest: Final = st.sampled_from(
    [
        {"s": {"text": "tae", "term": {"field": "body"}}},
        {"text": "blakc", "s": {"phrase": {"field": "title"}}},
        {"s": {"text": "tea", "completion": {"field": "body"}}},
        {},
    ]
)
_rescore: Final = of(
    "query", table({"rescore_query": queries}, query_weight=st.just(0.7), score_mode=st.sampled_from(["max", "total"]))
).map(lambda query: {"window_size": 5, **query})
_shards: Final = st.sampled_from([{"fuzz-library": 2}, {"missing": 1}, {}])
_scripts: Final = st.sampled_from(
    [{"twice": {"script": "doc['n'].value * 2"}}, {"e": {"script": {"lang": "expression", "source": "doc['n']"}}}]
)
_runtime: Final = st.sampled_from(
    [{"m": {"type": "long", "script": "emit(doc['n'].value)"}}, {"m": {"type": "keyword"}}]
)

VIEW: Final[dict[str, Values]] = {
    "_source": st.one_of(st.booleans(), _names, _lists, _filter, wrong),
    "fields": mixed((6, _fields), (1, wrong)),
    "stored_fields": st.one_of(st.just(["note"]), st.just("_none_"), st.just([]), st.just("note"), _lists, wrong),
    "docvalue_fields": mixed((6, st.lists(_doc_values, max_size=2)), (1, wrong)),
    "script_fields": _scripts,
    "highlight": mixed((6, _highlight), (1, wrong)),
    "version": st.booleans(),
    "seq_no_primary_term": st.booleans(),
    "explain": st.booleans(),
}
"""What a hit looks like."""

OTHERS: Final[dict[str, Values]] = {
    "aggs": mixed((6, _aggregations), (1, wrong)),
    "aggregations": _aggregations,
    "post_filter": queries,
    "min_score": st.sampled_from([0, 0.1, 1, 1.5, 1.6, -1, 99, "1", None]),
    "track_total_hits": st.sampled_from([True, False, 5, 10, 100, -1, "true", 10_000]),
    "track_scores": st.booleans(),
    "terminate_after": st.sampled_from([0, 1, 3, 5, 1000, -1]),
    "timeout": st.sampled_from(["10s", "-1", "1m", "x", 5000]),
    "indices_boost": st.one_of(st.lists(_shards, max_size=2), wrong),
    "runtime_mappings": _runtime,
    "stats": st.sampled_from([["g"], "g", []]),
    "suggest": mixed((6, _suggest), (1, wrong)),
    "ext": st.one_of(st.just({}), wrong),
    "unheard_of": wrong,
    "_Source": wrong,
    "profile": st.just(False),
    "sort": mixed((2, _key), (4, st.lists(_key, max_size=2))),
    "rescore": st.one_of(_rescore, st.lists(_rescore, max_size=2)),
    "collapse": st.sampled_from(
        [{"field": "shelf"}, {"field": "n", "inner_hits": {"name": "i", "size": 1}}, {"field": "body"}]
    ),
    "search_after": st.lists(st.one_of(st.integers(0, 9), st.just("x")), max_size=2),
    "slice": st.just({"id": 0, "max": 2}),
    "pit": st.one_of(st.just({"id": "x"}), wrong),
    "knn": st.one_of(st.just({"field": "vector", "query_vector": [1, 2], "k": 3, "num_candidates": 5}), wrong),
    "rank": st.just({"rrf": {}}),
    "sub_searches": st.just([{"query": {"match": {"body": "tea"}}}]),
    "search_pipeline": st.sampled_from(["missing", "_none", {"request_processors": []}]),
    "derived": st.just({"d": {"type": "keyword", "script": {"source": "emit('x')"}}}),
}
"""Everything else beside the query."""


_lacks_query: Final = rarely(10)
_query: Final = mixed((2, plain_queries), (3, queries))
_has_size: Final = rarely(3)
_has_offset: Final = rarely(4)
_views: Final = st.lists(st.sampled_from(sorted(VIEW)), max_size=2, unique=True)
_others: Final = mixed((1, st.just([])), (1, st.lists(st.sampled_from(list(OTHERS)), max_size=2, unique=True)))
_turned: Final = st.integers(0, 3)


@st.composite
def _search_body(draw: st.DrawFn) -> dict[str, Any]:
    members: list[tuple[str, Any]] = [] if draw(_lacks_query) else [("query", draw(_query))]
    members += [("size", draw(sizes))] if draw(_has_size) else []
    members += [("from", draw(offsets))] if draw(_has_offset) else []
    members += [(name, draw(VIEW[name])) for name in draw(_views)]
    members += [(name, draw(OTHERS[name])) for name in draw(_others)]
    first = draw(_turned) % max(1, len(members))
    return dict(members[first:] + members[:first])


search_bodies: Final[st.SearchStrategy[dict[str, Any]]] = _search_body()
"""A query and a few other keys, in several orders."""

_inner: Final = st.one_of(
    of(
        "standard",
        table(
            {"query": queries}, filter=queries, min_score=st.just(0.1), sort=_key, collapse=st.just({"field": "shelf"})
        ),
    ),
    of("standard", of("query", plain_queries)),
    of("knn", st.just({"field": "vector", "query_vector": [1, 2], "k": 3, "num_candidates": 5})),
    of("rrf", of("retrievers", st.lists(of("standard", of("query", plain_queries)), max_size=2))),
    wrong,
)

retrievers: Final[Values] = mixed(
    (4, _inner), (1, of("linear", of("retrievers", st.lists(_inner, max_size=2)))), (1, wrong)
)
"""Values of `retriever` without a reranker."""

rerankers: Final[Values] = table(
    {
        "retriever": of("standard", of("query", plain_queries)),
        "field": st.sampled_from(["body", "title"]),
        "inference_text": words,
        "inference_id": st.just("rerank-sidecar"),
    },
    rank_window_size=st.sampled_from([1, 5, 10, 100]),
)
"""`text_similarity_reranker`s that name the program."""

_CONTROLS: Final[dict[str, Values]] = {
    "window": st.sampled_from([1, 3, 5, 30, 1000]),
    "fields": st.sampled_from([["body"], "title,body", ["missing"], ["chapters.heading"], ["everything"], ["n"], "*"]),
    "template": st.sampled_from(["{title}. {body}", "{missing}", "no field"]),
    "query_text": st.sampled_from(["tea", "what is tea?"]),
    "fusion": st.sampled_from(["auto", "model_only", "linear", "rrf"]),
    "weight": st.sampled_from([0, 0.5, 1]),
    "on_failure": st.just("first_stage"),
    "explain": st.booleans(),
    "enabled": st.sampled_from([True, True, False, "on"]),
}
_IMPOSSIBLE: Final[dict[str, Values]] = {
    "window": st.sampled_from([0, 1001, "many", True, None, [], Literal("1e999")]),
    "fields": st.sampled_from([[], "", [1], {}, None]),
    "fusion": st.sampled_from(["best", 1, None]),
    "unheard_of": st.just(1),
    "min_score": st.sampled_from([2, -1, "x"]),
    "deadline_ms": st.sampled_from([-1, "x", Literal("1e999")]),
    "enabled": st.sampled_from(["maybe", 2, None]),
}

controls: Final[Values] = table({}, 3, **_CONTROLS)
"""Values of `ext.rerank` that say something possible."""

impossible_controls: Final[Values] = st.one_of(
    st.tuples(controls, table({}, 2, **_IMPOSSIBLE)).map(lambda pair: {**pair[0], **pair[1]}),
    st.sampled_from([1, "on", []]),
)
"""Values of `ext.rerank` that are refused, or mostly."""
