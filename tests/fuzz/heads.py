"""Strategies for headers: media types, what clients send beside them, and what is said to the program."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.cases import Headers
from tests.fuzz.mixing import Values, mixed, rarely

JSON: Final = (("Content-Type", "application/json"),)


def _one_of(*values: str) -> Values:
    return st.sampled_from(values)


_vendored: Final = [f"application/vnd.elasticsearch+json; compatible-with={version}" for version in (7, 8, 9)]
_kinds: Final = mixed(
    (30, st.just("application/json")),
    (4, _one_of("application/json; charset=UTF-8", "application/json;charset=utf-8", "APPLICATION/JSON")),
    (2, st.sampled_from(_vendored)),
    (2, _one_of("application/x-ndjson", "text/plain", "application/yaml", "application/cbor", "application/smile")),
    (1, _one_of("application/*", "json", "", "application/json, application/json", "application/vnd.x+json", "*/*")),
)
_line_kinds: Final = mixed((4, st.just("application/x-ndjson")), (2, st.just("application/json")), (1, _kinds))
_accepts: Final = st.one_of(
    _one_of("application/json", "*/*", "application/yaml", "text/plain", "application/cbor", ""),
    _one_of("application/json, text/plain, */*", *_vendored[1:]),
)
_values: Final = _one_of("x", "", "a, b", "a;b=c", '"q"', "\xfc", "a\tb", "x" * 9000)
_encodings: Final = _one_of("gzip", "gzip, deflate", "identity", "*", "br", "gzip;q=0")
_others: Final = st.one_of(
    st.tuples(_one_of("X-Opaque-Id", "x-opaque-ID"), _values),
    st.tuples(st.just("Accept-Encoding"), _encodings),
    st.tuples(st.just("traceparent"), st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    st.tuples(_one_of("X-Unheard-Of", "x_y", "Cookie", "User-Agent", "Referer", "Authorization"), _values),
    st.tuples(st.just("Authorization"), _one_of("Basic eDp5", "ApiKey x", "AWS4-HMAC-SHA256 Credential=x")),
    st.tuples(st.just("X-elastic-product-origin"), st.just("kibana")),
    st.tuples(st.just("Connection"), _one_of("keep-alive", "X-Unheard-Of")),
    st.sampled_from(
        [
            ("Expect", "100-continue"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Origin", "http://localhost"),
            ("If-None-Match", "*"),
            ("Range", "bytes=0-1"),
            ("Content-Language", "de"),
        ]
    ),
)
more_headers: Final = mixed((6, st.just(())), (2, st.tuples(_others)), (1, st.lists(_others, max_size=3).map(tuple)))
"""Headers beside the media type; mostly none."""

_kind_names: Final = _one_of("Content-Type", "Content-Type", "content-type", "CONTENT-TYPE")
_lacks_kind: Final = rarely(20)
_has_accept: Final = rarely(12)
_has_second: Final = rarely(60)


@st.composite
def _headers(draw: st.DrawFn, kinds: Values) -> Headers:
    found = [] if draw(_lacks_kind) else [(draw(_kind_names), draw(kinds))]
    if draw(_has_accept):
        found.append(("Accept", draw(_accepts)))
    if draw(_has_second):
        found.append(("Content-Type", draw(kinds)))
    return (*found, *draw(more_headers))


headers: Final[st.SearchStrategy[Headers]] = _headers(_kinds)
"""Headers of a request with a body."""

headers_of_lines: Final[st.SearchStrategy[Headers]] = _headers(_line_kinds)
"""The same for an `_msearch`."""

# --- what is said to the program -----------------------------------------------------------------------------

_ON: Final = ("X-Rerank", "on")
_QUESTION: Final = ("X-Rerank-Query", "tea")
_ours: Final = mixed(
    (5, st.just((_ON, _QUESTION))),
    (3, st.just((_ON,))),
    (1, st.just(())),
    (1, st.just((("x-rerank", "OFF"),))),
    (2, _one_of("1", "3", "5", "30").map(lambda window: (_ON, ("X-Rerank-Window", window), _QUESTION))),
    (
        2,
        st.sampled_from(
            [
                (("X-RERANK-FIELDS", "title,body"), ("X-Rerank-Window", "4")),
                (("X-Rerank-Explain", "true"),),
                (("X-Rerank-Fusion", "rrf"), _QUESTION),
                (("X-Rerank-Fusion", "linear"), ("X-Rerank", "1"), _QUESTION),
                (("X-Rerank-Fields", "everything"), _ON),
                (("X-Rerank-On-Failure", "first_stage"),),
            ]
        ),
    ),
)
_impossible: Final = st.sampled_from(
    [
        ("X-Rerank", "maybe"),
        ("X-Rerank-Window", "0"),
        ("X-Rerank-Unheard-Of", "1"),
        ("X-Rerank-Fields", ""),
        ("X-Rerank-Min-Score", "2"),
    ]
)
_sayings: Final = mixed((12, st.just("possible")), (1, st.just("impossible")), (1, st.just("dropping")))


@st.composite
def _said(draw: st.DrawFn) -> dict[str, Any]:
    kind, ours = draw(_sayings), draw(_ours)
    match kind:
        case "impossible":
            return {"ours": (*ours, draw(_impossible)), "may_be_refused": True}
        case "dropping":
            return {"ours": (*ours, ("X-Rerank-Min-Score", "0.45")), "may_drop": True}
        case _:
            return {"ours": ours}


said: Final[st.SearchStrategy[dict[str, Any]]] = _said()
"""Members of a `Case` about what is said to the program in headers."""
