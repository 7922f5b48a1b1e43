"""Strategies for where a request goes: paths and parameters, well-formed and hardly.

Law: only what reads. No target here writes, deletes or creates, whatever the method.
"""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from tests.fuzz.mixing import mixed

LIBRARY: Final = "fuzz-library"
SHELVES: Final = "fuzz-shelves"

_indices: Final = mixed(
    (12, st.just(LIBRARY)),
    (4, st.sampled_from([SHELVES, "fuzz-*", f"{LIBRARY},{SHELVES}", "fuzz-books"])),
    (
        2,
        st.sampled_from(
            [f"{LIBRARY},{LIBRARY}", f"{LIBRARY},-{SHELVES}", "fuzz-*,-*-shelves", "*", "_all", f"{LIBRARY},"]
        ),
    ),
    (
        1,
        st.sampled_from(
            ["%66uzz-library", f"{LIBRARY}%2C{SHELVES}", f"{LIBRARY}%2c", "fuzz-%2A", "%3Cfuzz-library%3E"]
        ),
    ),
    (
        1,
        st.sampled_from(
            ["missing", f"{LIBRARY},missing", "missing*", ".hidden", "-x", "FUZZ", "fuzz%20library", "fuzz+library"]
        ),
    ),
    (
        1,
        st.sampled_from(
            ["%", "a%zz", "a%00b", "..", ".", "%2e%2e", "a:b", "a%2Fb", "%C3%A4", "a;b", "~", "@x", "a'b", "%5Fall"]
        ),
    ),
)


_expressions: Final = mixed((6, _indices), (1, st.just("")))
_slashes: Final = mixed((12, st.just("")), (1, st.just("/")))


@st.composite
def paths(draw: st.DrawFn, api: str) -> str:
    """Return the path of an API, for all indices or for an expression."""
    index, slash = draw(_expressions), draw(_slashes)
    return f"/{index}/{api}{slash}" if index else f"/{api}{slash}"


search_paths: Final = paths("_search")
msearch_paths: Final = paths("_msearch")
template_paths: Final = paths("_search/template")
msearch_template_paths: Final = paths("_msearch/template")

odd_paths: Final = st.sampled_from(
    [
        "//_search",
        f"//{LIBRARY}/_search",
        f"/{LIBRARY}//_search",
        f"/{LIBRARY}/_search//",
        f"/{LIBRARY}/%5fsearch",
        f"/{LIBRARY}/_search%2F",
        f"/{LIBRARY}/_SEARCH",
        f"/{LIBRARY}/./_search",
        f"/x/../{LIBRARY}/_search",
        f"/{LIBRARY}/_search/x",
        f"/{LIBRARY}/_doc/_search",
        f"/{LIBRARY}/_search;x=1",
        f"/{LIBRARY}/_search%3Fsize=1",
        f"/{LIBRARY}/_count",
        f"/{LIBRARY}/_validate/query",
        f"/{LIBRARY}/_explain/3",
        f"/{LIBRARY}/_field_caps?fields=*",
        f"/{LIBRARY}/_doc/3",
        f"/{LIBRARY}/_source/3",
        f"/{LIBRARY}/_mget?ids=1,2",
        f"/{LIBRARY}/_termvectors/3",
        f"/{LIBRARY}/_search_shards",
        f"/{LIBRARY}/_async_search",
        f"/{LIBRARY}/_rank_eval",
        f"/{LIBRARY}/_knn_search",
        "/_search/scroll",
        "/_search/point_in_time",
        "/_render/template",
        "/_plugins/_asynchronous_search",
        "/_unheard_of",
        "/",
    ]
)

# --- parameters ----------------------------------------------------------------------------------------------

PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "q": (
        "tea",
        "tea+water",
        "body:tea",
        "title:(black%20tea)",
        "%22black+tea%22",
        "%28tea",
        "",
        "te*",
        "a%2Bb",
        "%C3%A4",
    ),
    "from": ("0", "3", "25", "-1", "x", "", "1e1", "%33", "+3", "9999"),
    "size": ("0", "3", "30", "100", "-1", "x", "", "1e1", "%33", "10001", "%203", "%D9%A3"),
    "df": ("body", "title", "missing", ""),
    "_source": ("false", "true", "title,n", "b*", "", "missing", "exotic.*"),
    "_source_includes": ("body", "*o*", ""),
    "_source_excludes": ("body,title", "exotic", "*"),
    "stored_fields": ("note", "_none_", "", "note,missing"),
    "docvalue_fields": ("n,shelf", "body", ""),
    "sort": ("_score", "_score:desc", "n", "n:desc", "_score:asc", "_doc", "missing", "", "n,_score"),
    "track_scores": ("true", ""),
    "track_total_hits": ("true", "false", "5", "x"),
    "explain": ("true", "", "x"),
    "version": ("true", ""),
    "seq_no_primary_term": ("true", ""),
    "search_type": ("dfs_query_then_fetch", "query_then_fetch", "x"),
    "request_cache": ("true", "false"),
    "preference": ("_local", "abc", "_shards:0", "_x"),
    "routing": ("1", "a,b", ""),
    "ignore_unavailable": ("true", "false"),
    "allow_no_indices": ("false", "x"),
    "expand_wildcards": ("all", "none", "open,closed", "x"),
    "default_operator": ("AND", "or", "x"),
    "analyzer": ("standard", "missing"),
    "analyze_wildcard": ("true",),
    "lenient": ("true", "false"),
    "terminate_after": ("0", "1", "5", "x"),
    "timeout": ("10s", "x", "-1"),
    "stats": ("g",),
    "suggest_field": ("body",),
    "suggest_text": ("tae",),
    "suggest_mode": ("always",),
    "typed_keys": ("true", ""),
    "rest_total_hits_as_int": ("true", "", "false"),
    "pretty": ("", "true", "false"),
    "human": ("", "false"),
    "error_trace": ("false",),
    "filter_path": (
        "hits.hits",
        "-took",
        "%20hits.hits._id%20,,took",
        "",
        "missing",
        "hits.*.%5fid",
        "hits.hits.",
        "-",
    ),
    "format": ("json", "yaml", "x", "JSON", ""),
    "scroll": ("1s", "x"),
    "batched_reduce_size": ("2", "1"),
    "pre_filter_shard_size": ("1",),
    "max_concurrent_shard_requests": ("1", "0"),
    "ccs_minimize_roundtrips": ("true", "false"),
    "allow_partial_search_results": ("true", "false"),
    "cancel_after_time_interval": ("10s",),
    "phase_took": ("true",),
    "search_pipeline": ("_none", "missing"),
    "verbose_pipeline": ("true",),
    "include_named_queries_score": ("true",),
    "_source_exclude_vectors": ("true", "false"),
    "max_concurrent_searches": ("1", "x"),
    "source": ("%7B%22size%22%3A2%7D", "{}", "", "x", '{"query":{"match":{"body":"tea"}}}'.replace('"', "%22")),
    "source_content_type": ("application/json", "application/yaml", ""),
    "unheard_of": ("1", ""),
}
_piece: Final = st.one_of(
    [st.sampled_from([*(f"{name}={value}" for value in values), name]) for name, values in sorted(PARAMETERS.items())]
)
_odd_piece: Final = st.one_of(
    st.sampled_from(
        ["", "=", "=x", "&", "x=%zz", "x=%", "x=%00", "%73ize=2", "size=2;from=1", "from=1;size=2", "Size=2"]
    ),
    st.sampled_from(["size=2=3", "q=tea%FF", "q=tea%ed%a0%80", "size=%32", "?size=2", "size=2?", "size+=2", "x[]=1"]),
    st.sampled_from(
        ['x="', "x={}", "x=a|b", "x=<>", "x=^`", "q=tea%2", "q=tea%2Bwater", "q=tea;size=1", "size=1&size=2"]
    ),
)
pieces: Final = mixed(
    (10, st.just([])),
    (8, st.lists(_piece, min_size=1, max_size=3)),
    (1, st.lists(st.one_of(_piece, _odd_piece), max_size=4)),
)

_shown: Final = st.sampled_from(
    [
        *(
            "hits",
            "hits.hits",
            "*",
            "hits.*",
            "hits.h*",
            "hits.hits.*",
            "hits.total",
            "hits.max_score",
            "took",
            "_shards",
        ),
        *("hits.hits._id", "hits.hits._index", "hits.hits._score", "hits.hits._s*", "hits.hits._source", "*.*._id"),
        *("hits.hits._source.title", "hits.hits._source.b*", "hits.hits._source.exotic.*", "hits.hits._source.missing"),
        *("hits.hits.fields", "hits.hits.fields.n", "hits.hits.highlight", "hits.hits.inner_hits", "hits.hits.sort"),
        *("timed_out", "_shards.*", "_shards.failed", "aggregations", "suggest", "**._id", "error", "status"),
    ]
)
filters: Final = st.lists(
    st.tuples(st.sampled_from(["", "", "", "-"]), _shown).map("".join), min_size=1, max_size=3
).map(lambda patterns: f"filter_path={','.join(patterns)}")
"""What of an answer is shown, and what is not."""

questions: Final = st.sampled_from([f"q={value}" for value in PARAMETERS["q"]])
"""Searches in the URL."""


def target(path: str, query: Sequence[str]) -> str:
    """Return a request target of a path and the pieces of its query string."""
    mark = "&" if "?" in path else "?"
    return f"{path}{mark}{'&'.join(query)}" if query else path
