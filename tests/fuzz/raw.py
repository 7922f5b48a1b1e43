"""Strategies for requests as bytes: request lines, header lines and framing, well-formed, odd and impossible.

Law: a request knows what it says, where it says one thing only.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from tests.fuzz.mixing import mixed
from tests.fuzz.recorder import HeaderLines

_methods: Final = mixed(
    (20, st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"])),
    (1, st.sampled_from([b"get", b"FOO", b"M-SEARCH", b"", b"G\x00T", b"CONNECT", b"TRACE", b"PRI", b"GET,", b"\xc3"])),
)
_target_characters: Final = st.sampled_from("abcXYZ019-._~!$&'()*+,;=:@/?%<>{}|\\^`\"[]")
_targets: Final = mixed(
    (4, st.sampled_from([b"/", b"/books/_search", b"/_msearch", b"/books/_search?q=tea", b"/_bulk", b"/a/_doc/1"])),
    (8, st.text(_target_characters, max_size=30).map(lambda text: b"/" + text.encode())),
    (
        2,
        st.sampled_from(
            [b"*", b"books", b"", b"http://x/books", b"//x//y", b"/a/../b", b"/%2e%2e/%zz%", b"?q=a", b"/?"]
        ),
    ),
    (
        1,
        st.sampled_from(
            [b"/a#b", b"/\xc3\xa4", b"/\xff", b"/a\x00b", b"/a\tb", b"/a b", b"/a\x7fb", b"/a\rb", b"/#?#"]
        ),
    ),
    (1, st.sampled_from([b"/" + b"u" * 9_000, b"/" + b"u" * 70_000])),
)
_versions: Final = mixed(
    (30, st.just(b"HTTP/1.1")),
    (2, st.just(b"HTTP/1.0")),
    (
        1,
        st.sampled_from(
            [b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b"", b"HTTP/1.1\r", b"HTTP/0.9"]
        ),
    ),
)
_blanks: Final = mixed((40, st.just(b" ")), (1, st.sampled_from([b"  ", b"\t", b"", b"\x0b"])))
_ends: Final = mixed((80, st.just(b"\r\n")), (1, st.sampled_from([b"\n", b"\r", b"\r\r\n", b"\r\n ", b""])))

_names: Final = mixed(
    (
        8,
        st.sampled_from(
            [b"X-A", b"x-a", b"X-B", b"Accept", b"Cookie", b"Authorization", b"Content-Type", b"X_y", b"Via"]
        ),
    ),
    (4, st.text("abcXYZ0-_.!#$&'*+^`|~", min_size=1, max_size=8).map(str.encode)),
    (2, st.sampled_from([b"Connection", b"Keep-Alive", b"TE", b"Trailer", b"Upgrade", b"Expect", b"Proxy-Connection"])),
    (1, st.sampled_from([b"", b"X A", b"X-A ", b" X-A", b"X\x00A", b"X\xc3\xa4", b"X(A)", b"X:", b"\tX", b"X\x7f"])),
    (1, st.sampled_from([b"Host", b"HOST", b"X-Forwarded-For", b"X-Rerank", b"content-length", b"transfer-encoding"])),
)
_values: Final = mixed(
    (8, st.text("abc XYZ019-_.,;=\"'()<>@[]{}\\/\t", max_size=12).map(str.encode)),
    (
        2,
        st.sampled_from(
            [
                b"",
                b" ",
                b"\t",
                b"close",
                b"keep-alive",
                b"X-A",
                b"100-continue",
                b"trailers",
                b"h2c",
                b"upgrade",
                b"x, X-B",
            ]
        ),
    ),
    (1, st.sampled_from(["\u00e4".encode(), b"\xff", b"a\x00b", b"a\x01b", b"a\rb", b"a\r\n b", b"a\r\n\tb", b"\x7f"])),
    (1, st.sampled_from([b"v" * 9_000, b"v" * 70_000, b"0", b"chunked"])),
)
_colons: Final = mixed(
    (30, st.sampled_from([b":", b": ", b": ", b":\t", b":  "])), (1, st.sampled_from([b" :", b"", b"=", b"::"]))
)
_bodies: Final = mixed(
    (3, st.just(b"")),
    (3, st.binary(max_size=20)),
    (1, st.sampled_from([b"{}", b"0\r\n\r\n", b"GET /x HTTP/1.1\r\n\r\n"])),
)
_sizes: Final = mixed(
    (12, st.just(b"%x")),
    (1, st.sampled_from([b"%X", b"0%x", b"0x%x", b" %x", b"%x ", b"-%x", b"+%x", b"%x;a=b", b'%x;a="b'])),
)
_chunk_ends: Final = mixed((20, st.just(b"\r\n")), (1, st.sampled_from([b"\n", b"", b"\r", b"xx"])))
_last: Final = mixed(
    (20, st.just(b"0\r\n\r\n")),
    (1, st.sampled_from([b"0\r\nX-T: 1\r\n\r\n", b"00\r\n\r\n", b"0\n\n", b"0\r\n", b"0;a\r\n\r\n", b""])),
)
_framings: Final = mixed(
    (8, st.sampled_from(["none", "length", "chunked"])),
    (2, st.sampled_from(["longer", "shorter", "twice", "twice, others", "both", "both, turned", "chunked twice"])),
    (
        1,
        st.sampled_from(
            ["+", "0x", "list", "space", "empty", "negative", "gzip, chunked", "identity", "Chunked", "xchunked"]
        ),
    ),
)


@dataclass(frozen=True)
class Sent:
    """A request as bytes, and what it says."""

    content: bytes
    method: bytes
    target: bytes
    headers: HeaderLines
    #: None where that is a matter of opinion
    body: bytes | None
    #: whether it says all that must be said, so that it must be answered
    is_complete: bool


@st.composite
def _chunked(draw: st.DrawFn, body: bytes) -> bytes:
    pieces = [body[:5], body[5:]]
    chunks = [(draw(_sizes) % len(piece)) + b"\r\n" + piece + draw(_chunk_ends) for piece in pieces if piece]
    last: bytes = draw(_last)
    return b"".join(chunks) + last


@st.composite
def _framed(draw: st.DrawFn, body: bytes) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    """Return the kind of framing, its headers, and the body under it."""
    kind = draw(_framings)
    size = len(body)
    length, coding = (b"Content-Length", b"%d" % size), (b"Transfer-Encoding", b"chunked")
    values = {
        "length": b"%d" % size,
        "longer": b"%d" % (size + 7),
        "shorter": b"%d" % max(0, size - 3),
        "+": b"+%d" % size,
        "0x": b"0x%x" % size,
        "list": b"%d, %d" % (size, size),
        "space": b"%d 0" % size,
        "empty": b"",
        "negative": b"-1",
    }
    if kind == "none":
        return kind, [], b""
    if kind in values:
        return kind, [(length[0], values[kind])], body
    if kind.startswith("twice"):
        return kind, [length, length if kind == "twice" else (b"content-length", b"%d" % (size + 1))], body
    pairs = {"both": [length, coding], "both, turned": [coding, length], "chunked twice": [coding, coding]}
    other = [(coding[0], b"chunked" if kind == "chunked" else kind.encode())]
    return kind, pairs.get(kind, other), draw(_chunked(body))


_header_lines: Final = st.lists(st.tuples(_names, _colons, _values, _ends), max_size=4)
_last_ends: Final = mixed((60, st.just(b"\r\n")), (1, st.just(b"")))
_framing_names: Final = frozenset({b"content-length", b"transfer-encoding"})


@st.composite
def requests(draw: st.DrawFn, *, is_last: bool = True) -> Sent:
    """Return a request; the last one on a connection says that it is."""
    body = draw(_bodies)
    kind, framing, content = draw(_framed(body))
    lines, blanks, ends = draw(_header_lines), (draw(_blanks), draw(_blanks)), (draw(_ends), draw(_last_ends))
    first_line: bytes = draw(_methods) + blanks[0] + draw(_targets) + blanks[1] + draw(_versions) + ends[0]
    fixed = [(b"Host", b"proxy"), *([(b"Connection", b"close")] if is_last else [])]
    own_lines = b"".join(b"".join(line) for line in lines)
    head: bytes = first_line + _written(fixed) + own_lines + _written(framing) + ends[1]
    read = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, *_ = [*read[0].split(), b"", b""]
    headers = tuple(
        (name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in read[1:])
    )
    named = Counter(name.strip() for name, _ in headers)
    is_framed_once = sum(named[name] for name in _framing_names) == len(framing)
    is_head_odd = {*blanks} != {b" "} or {*ends, *(line[3] for line in lines)} != {b"\r\n"}
    is_kept = b"connection" in {name.lower().strip() for name, *_ in lines} or named[b"upgrade"] > 0
    bodies = {"none": b"", "shorter": body[: max(0, len(body) - 3)], "longer": None}
    return Sent(
        content=head + content,
        method=method,
        target=target,
        headers=headers,
        body=bodies.get(kind, body) if is_framed_once else None,
        is_complete=kind in {"none", "length"} and is_framed_once and not is_head_odd and not is_kept,
    )


def _written(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)
