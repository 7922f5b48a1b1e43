"""Strategies for whole cases: searches in every form that the engines know, and requests that are almost searches."""

import json
from typing import Final
from urllib.parse import quote

from hypothesis import strategies as st

from tests.fuzz.bodies import controls, impossible_controls, rerankers, retrievers, search_bodies
from tests.fuzz.breaking import damaged, encoded
from tests.fuzz.cases import FETCHES, Case, Request
from tests.fuzz.heads import JSON, headers, headers_of_lines, more_headers, said
from tests.fuzz.mixing import Values, mixed, rarely, table
from tests.fuzz.printing import styles, written
from tests.fuzz.urls import (
    LIBRARY,
    SHELVES,
    filters,
    msearch_paths,
    msearch_template_paths,
    odd_paths,
    pieces,
    questions,
    search_paths,
    target,
    template_paths,
)

_fetches: Final = st.sampled_from(FETCHES)
_gets: Final = st.sampled_from(["GET", "POST"])
_posts: Final = mixed((6, st.just("POST")), (2, st.just("GET")))
_in_3: Final = rarely(3)
_in_5: Final = rarely(5)
_in_12: Final = rarely(12)
_in_60: Final = rarely(60)


@st.composite
def _searches(draw: st.DrawFn) -> Case:
    """Return a `_search` with a body."""
    body = draw(search_bodies)
    if draw(_in_12):
        body = {**body, "retriever": draw(retrievers)}
    sent = draw(encoded(draw(damaged(written(body, draw(styles)).encode("utf-8", "surrogatepass")))))
    request = Request(
        method=draw(_posts),
        target=target(draw(search_paths), draw(pieces)),
        headers=(*sent.headers, *draw(headers)),
        body=sent.content,
        is_chunked=draw(_in_12),
    )
    return Case(plain=request, is_search=True, fetch=draw(_fetches), **draw(said))


@st.composite
def _url_searches(draw: st.DrawFn) -> Case:
    """Return a `_search` without a body: the query is in the URL, as words or as JSON."""
    more = draw(pieces)
    if draw(_in_3):
        text = quote(written(draw(search_bodies), draw(styles)), safe="")
        more = [f"source={text}", "source_content_type=application%2Fjson", *more]
    else:
        more = [draw(questions), *more]
    request = Request(method=draw(_gets), target=target(draw(search_paths), more), headers=draw(more_headers))
    return Case(plain=request, is_search=True, fetch=draw(_fetches), **draw(said))


@st.composite
def _filtered_searches(draw: st.DrawFn) -> Case:
    """Return a `_search` of whose answer a part is shown."""
    request = Request(
        target=target(draw(search_paths), [draw(filters), *draw(pieces)]),
        headers=JSON,
        body=written(draw(search_bodies), draw(styles)).encode("utf-8", "surrogatepass"),
    )
    return Case(plain=request, is_search=True, fetch=draw(_fetches), **draw(said))


_places: Final = st.integers(0, 9)


@st.composite
def _told_searches(draw: st.DrawFn) -> Case:
    """Return a `_search` whose body says something to the program, in `ext.rerank`."""
    body = {name: value for name, value in draw(search_bodies).items() if name != "ext"}
    is_impossible = draw(_in_5)
    told = draw(impossible_controls if is_impossible else controls)
    place = draw(_places) % (len(body) + 1)
    members = list(body.items())
    with_ext = dict([*members[:place], ("ext", {"rerank": told}), *members[place:]])
    request = Request(
        target=target(draw(search_paths), draw(pieces)), headers=draw(headers), body=written(body).encode()
    )
    return Case(
        plain=request,
        body=written(with_ext).encode(),
        is_search=True,
        may_be_refused=is_impossible,
        fetch=draw(_fetches),
    )


_beside: Final = table(
    {}, 2, size=st.integers(1, 30), _source=st.booleans(), fields=st.just(["n"]), version=st.just(True)
)


@st.composite
def _native_searches(draw: st.DrawFn) -> Case:
    """Return a search with a reranker that names the program; the engine alone gets what is inside."""
    reranker, body = draw(rerankers), draw(_beside)
    query = reranker["retriever"]["standard"]["query"]
    return Case(
        plain=Request(target=f"/{LIBRARY}/_search", headers=JSON, body=written({"query": query, **body}).encode()),
        body=written({"retriever": {"text_similarity_reranker": reranker}, **body}).encode(),
        is_search=True,
        fetch=draw(_fetches),
    )


_heads: Final = mixed(
    (5, st.sampled_from(["{}", json.dumps({"index": LIBRARY}), json.dumps({"index": [LIBRARY, SHELVES]})])),
    (
        2,
        st.sampled_from(['{"index":"fuzz-*","search_type":"dfs_query_then_fetch"}', '{"preference":"_local"}', " {} "]),
    ),
    (
        1,
        st.sampled_from(["", '{"index":"missing"}', '{"index":"missing","ignore_unavailable":true}', '{"index":null}']),
    ),
    (
        1,
        st.sampled_from(
            ['{"unheard_of":1}', '{"index":1}', "[]", "{", '{"index":"fuzz-library","request_cache":true}']
        ),
    ),
)
_ends: Final = mixed((20, st.just("\n")), (2, st.just("\r\n")), (1, st.sampled_from(["", "\n\n", "\r", " \n"])))
_broken_lines: Final = st.sampled_from(['{"query":', "", "[]", "x"])
_counts: Final = st.integers(1, 4)
_MANY: Final = 34
"""Searches of an `_msearch` that are too many for one entry each in the marker."""


@st.composite
def _lines(draw: st.DrawFn) -> tuple[str, str]:
    """Return one search of an `_msearch`, for the engine alone and for the proxy."""
    body = draw(search_bodies)
    if not draw(_in_5):
        own = draw(_broken_lines) if draw(_in_12) else written(body, draw(styles))
        return own, own
    body = {name: value for name, value in body.items() if name != "ext"}
    return written(body), written({**body, "ext": {"rerank": draw(controls)}})


@st.composite
def _all_lines(draw: st.DrawFn, searches: Values) -> tuple[str, str]:
    """Return the body of an `_msearch`, for the engine alone and for the proxy."""
    plain, told = "", ""
    for _ in range(_MANY if draw(_in_60) else draw(_counts)):
        head, (own, ours), ends = draw(_heads), draw(searches), (draw(_ends), draw(_ends))
        plain += f"{head}{ends[0]}{own}{ends[1]}"
        told += f"{head}{ends[0]}{ours}{ends[1]}"
    return plain, told


_msearch_lines: Final = _all_lines(_lines())


@st.composite
def _multi_searches(draw: st.DrawFn) -> Case:
    """Return an `_msearch`."""
    plain, told = (text.encode("utf-8", "surrogatepass") for text in draw(_msearch_lines))
    sent = draw(encoded(draw(damaged(plain)))) if plain == told else None
    request = Request(
        method=draw(_posts),
        target=target(draw(msearch_paths), draw(pieces)),
        headers=(*(sent.headers if sent else ()), *draw(headers_of_lines)),
        body=sent.content if sent else plain,
    )
    return Case(plain=request, body=None if plain == told else told, is_search=True, fetch=draw(_fetches), **draw(said))


_sources: Final = mixed(
    (3, st.just({"query": {"match": {"body": "{{words}}"}}, "size": "{{size}}"})),
    (3, search_bodies),
    (
        2,
        st.sampled_from(
            ['{"query":{"match":{"body":"{{words}}"}}}', '{"query":{{#toJson}}q{{/toJson}}}', "{{", "{}", 1]
        ),
    ),
)
_templates: Final = table(
    {"source": _sources, "params": st.just({"words": "tea", "size": 4, "q": {"match": {"title": "tea"}}})},
    1,
    id=st.just("missing"),
    explain=st.booleans(),
    profile=st.just(False),
    unheard_of=st.just(1),
)
_rare_filters: Final = mixed((5, st.just([])), (1, filters.map(lambda filter: [filter])))
_template_lines: Final = _all_lines(_templates.map(written).map(lambda text: (text, text)))


@st.composite
def _template_searches(draw: st.DrawFn) -> Case:
    """Return a `_search/template` or `_msearch/template`."""
    is_one = not draw(_in_5)
    text = written(draw(_templates), draw(styles)) if is_one else draw(_template_lines)[0]
    sent = draw(encoded(draw(damaged(text.encode("utf-8", "surrogatepass")))))
    request = Request(
        method=draw(_posts),
        target=target(
            draw(template_paths if is_one else msearch_template_paths), [*draw(_rare_filters), *draw(pieces)]
        ),
        headers=(*sent.headers, *draw(headers)),
        body=sent.content,
    )
    return Case(plain=request, is_search=True, fetch=draw(_fetches), **draw(said))


_any_paths: Final = mixed((3, odd_paths), (1, search_paths))
_methods: Final = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"])
_more_methods: Final = st.sampled_from(["HEAD", "GET", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get", "FOO"])
_has_body: Final = st.booleans()


@st.composite
def _others(draw: st.DrawFn) -> Case:
    """Return what is hardly a search: another path, another method."""
    path = draw(_any_paths)
    has_body = draw(_has_body)
    request = Request(
        method=draw(_more_methods if path.rstrip("/").endswith("/_search") else _methods),
        target=target(path, draw(pieces)),
        headers=draw(headers if has_body else more_headers),
        body=written(draw(search_bodies)).encode() if has_body else None,
    )
    return Case(plain=request, fetch=draw(_fetches), **draw(said))


cases: Final[st.SearchStrategy[Case]] = mixed(
    (12, _searches()),
    (3, _multi_searches()),
    (2, _url_searches()),
    (2, _told_searches()),
    (2, _others()),
    (1, _template_searches()),
    (1, _native_searches()),
    (1, _filtered_searches()),
)
"""Everything."""
