"""Strategies for what goes wrong with a body's bytes on their way: cut off, glued together, encoded, in another form.

Law: most bodies stay as they are.
"""

import gzip
import zlib
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.fuzz.cases import Headers
from tests.fuzz.mixing import mixed

DEEP = 70
"""Levels: more than the program reads."""

_GARBAGE = [b"\n", b" ", b"}", b"x", b"{}", b"\x00", b"\n\n{}", b",", b"\xef\xbb\xbf", b"# comment", b"/**/"]
_garbage = st.sampled_from(_GARBAGE)
_damages = mixed(
    (40, st.just("whole")),
    (8, st.sampled_from(["after", "before", "cut", "byte", "replaced", "nothing", "deep", "wide"])),
)
_places = st.integers(0, 10_000)
_bytes = st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\x00", b"\xc3"])
_replacements = st.sampled_from([b" ", b'"', b"}", b"1"])
_others = st.sampled_from([b"", b" ", b"\n", b"null", b"[]", b"1", b'"x"', b"{", b"---\nsize: 3\n"])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a body that is mostly `content`."""
    kind = draw(_damages)
    place = draw(_places) % max(1, len(content)) if kind in {"cut", "byte", "replaced"} else 0
    match kind:
        case "cut":
            return content[:place]
        case "byte":
            return content[:place] + draw(_bytes) + content[place:]
        case "replaced":
            return content[:place] + draw(_replacements) + content[place + 1 :]
        case "after":
            return content + draw(_garbage)
        case "before":
            return draw(_garbage) + content
        case "nothing":
            return draw(_others)
        case "deep":
            return b'{"query":' + b'{"bool":{"must":' * DEEP + b'{"match":{"body":"tea"}}' + b"}}" * DEEP + b"}"
        case "wide":
            return content[:-1] + b',"wide":"' + b"x" * 20_000 + b'"}'
        case _:
            return content


@dataclass(frozen=True)
class Encoded:
    """A body as it is sent, and the headers that say how."""

    content: bytes | None
    headers: Headers


_encodings = mixed(
    (20, st.just("plain")),
    (3, st.sampled_from(["gzip", "GZIP", "x-gzip", "deflate"])),
    (1, st.sampled_from(["two members", "cut", "more", "not", "twice", "two headers", "identity", "br", ""])),
)


@st.composite
def encoded(draw: st.DrawFn, content: bytes) -> Encoded:
    """Return a body that is mostly not encoded at all."""
    kind = draw(_encodings)
    if kind == "plain":
        return Encoded(content, ())
    packed = gzip.compress(content, mtime=0)
    match kind:
        case "deflate":
            return _named(zlib.compress(content), kind)
        case "two members":
            half = len(content) // 2
            return _named(gzip.compress(content[:half], mtime=0) + gzip.compress(content[half:], mtime=0), "gzip")
        case "cut":
            return _named(packed[:-5], "gzip")
        case "more":
            return _named(packed + b"more", "gzip")
        case "not":
            return _named(content, "gzip")
        case "twice":
            return _named(gzip.compress(packed, mtime=0), "gzip, gzip")
        case "two headers":
            return _named(gzip.compress(packed, mtime=0), "gzip", "gzip")
        case "identity" | "br" | "":
            return _named(content, kind)
        case _:
            return _named(packed, kind)


def _named(content: bytes, *encodings: str) -> Encoded:
    return Encoded(content, tuple(("Content-Encoding", encoding) for encoding in encodings))
