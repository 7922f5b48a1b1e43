"""Requests, answers and hits: carried as they came, with parsed views beside them."""

import gzip
import zlib

import pytest

from connectors import base
from connectors.base import (
    Connector,
    Hit,
    SearchRequest,
    SearchResponse,
    compress,
    decompress,
    header,
    without_headers,
)
from connectors.errors import EngineStatusError
from tests.unit.doubles import ScriptedEngine

HEADERS = (("Content-Type", "application/json"), ("Warning", "a"), ("warning", "b"))


# --- headers ------------------------------------------------------------------------------------------------


def test_header_is_found_in_any_case() -> None:
    """The first value counts, whatever the case of the name."""
    assert "a" == header(HEADERS, "WARNING")
    assert header(HEADERS, "Accept") is None


def test_without_headers_takes_all_of_a_name() -> None:
    """Duplicates go, too; the rest keeps order and spelling."""
    assert HEADERS[:1] == without_headers(HEADERS, "Warning")


# --- requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "index"),
    [
        ("/books/_search", "books"),
        ("/books,films*/_search?q=a", "books,films*"),
        ("/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "<logs-{now/d}>"),
        ("/_search", ""),
        ("/_all/_search", ""),
        ("/", ""),
        ("/_search?index=a/b", ""),
    ],
)
def test_index_is_read_from_the_path(target: str, index: str) -> None:
    """The index expression is the first segment of the path, decoded, unless it begins with an underscore."""
    assert index == SearchRequest(method="GET", target=target).index


def test_params_are_decoded_in_order_with_duplicates() -> None:
    """The last of duplicates is the one that counts."""
    request = SearchRequest(method="GET", target="/_search?q=a+b%20c&size=1&size=2&pretty")
    assert (("q", "a b c"), ("size", "1"), ("size", "2"), ("pretty", "")) == request.params
    assert "2" == request.param("size")
    assert request.param("from") is None


def test_build_writes_a_request() -> None:
    """Python values become a POST with a JSON body."""
    request = SearchRequest.build(index=["a", "b*"], body={"size": 1}, params={"q": "ä b"}, headers={"X": "y"})
    assert "POST" == request.method
    assert "/a,b*/_search?q=%C3%A4+b" == request.target
    assert (("Content-Type", "application/json"), ("X", "y")) == request.headers
    assert b'{"size": 1}' == request.body
    assert "/_search" == SearchRequest.build().target


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "GZIP"])
def test_content_is_decompressed_and_body_is_not(encoding: str) -> None:
    """`body` is what came, `content` what it says."""
    request = SearchRequest(
        method="POST", target="/", headers=(("Content-Encoding", encoding),), body=compress(b"{}", encoding)
    )
    assert b"{}" == request.content
    assert compress(b"{}", encoding) == request.body


def test_a_request_shows_no_credentials_and_no_body() -> None:
    """Neither passwords nor queries reach a log through `repr`."""
    names = ("Authorization", "Cookie", "X-Api-Key", "es-secondary-authorization", "X-Amz-Security-Token")
    headers = tuple((name, "Basic c2VjcmV0") for name in names)
    request = SearchRequest(
        method="POST", target="/_search?q=private", headers=(*headers, ("X-Opaque-Id", "1")), body=b"private words"
    )
    assert "c2VjcmV0" not in repr(request)
    assert "private" not in repr(request)
    assert "POST /_search?…" in repr(request)
    assert "13 bytes" in repr(request)
    assert "('X-Opaque-Id', '1')" in repr(request)


# --- answers ------------------------------------------------------------------------------------------------


def test_hits_are_numbered_from_one() -> None:
    """The views of a hit read its members, and the rank is its place."""
    body = b'{"hits":{"hits":[{"_id":"a","_index":"i","_score":2,"_source":{"t":1}},{"_score":null}]}}'
    first, second = SearchResponse(status=200, body=body).hits
    assert (1, "a", "i", 2.0, {"t": 1}) == (first.rank, first.id, first.index, first.score, first.source)
    assert (2, None, None, None, None) == (second.rank, second.id, second.index, second.score, second.source)
    assert ({}, {}, {}) == (second.fields, second.highlight, second.inner_hits)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"hits":null}', b'{"hits":{"hits":null}}'])
def test_an_answer_without_hits_has_none(body: bytes) -> None:
    """No hits is an empty tuple, not an error."""
    assert () == SearchResponse(status=200, body=body).hits


def test_a_hit_shows_no_document() -> None:
    """The text of a hit does not reach a log through `repr`."""
    assert "Hit(rank=1, index='i', id='a', score=None)" == repr(
        Hit(rank=1, value={"_id": "a", "_index": "i", "_source": {"text": "private"}})
    )


def test_new_content_is_compressed_as_the_old_was() -> None:
    """Length follows, an ETag goes, every other header stays."""
    answer = SearchResponse(
        status=200,
        headers=(("Content-Encoding", "gzip"), ("content-length", "3"), ("ETag", "x"), ("Warning", "a")),
        body=gzip.compress(b"old"),
    ).with_content(b"new content")
    assert b"new content" == gzip.decompress(answer.body)
    assert (("Content-Encoding", "gzip"), ("content-length", str(len(answer.body))), ("Warning", "a")) == answer.headers


def test_any_status_is_a_value_until_asked() -> None:
    """`raise_for_status` raises for 4xx and 5xx only."""
    ok = SearchResponse(status=204)
    assert ok is ok.raise_for_status()
    with pytest.raises(EngineStatusError, match="answered 404: no such index"):
        SearchResponse(status=404, body=b"no such index").raise_for_status()


def test_an_answer_shows_no_cookie_and_no_body() -> None:
    """`repr` gives status and sizes."""
    shown = repr(SearchResponse(status=200, headers=(("Set-Cookie", "secret"),), body=b"hits"))
    assert "SearchResponse(200, headers=(('Set-Cookie', '<hidden>'),), body=4 bytes)" == shown


# --- content encodings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (b"{}", "zstd", "not gzip, deflate or identity"),
        (b"{}", "gzip", "is not gzip"),
        (gzip.compress(b"{}" * 100)[:-10], "gzip", "breaks off"),
        (b"", "gzip", "breaks off"),
        (gzip.compress(b"{}") + gzip.compress(b"{}"), "gzip", "something follows"),
        (compress(b"{}", "deflate") + b"x", "deflate", "something follows"),
    ],
    ids=["unknown", "damaged", "truncated", "empty", "two members", "more"],
)
def test_decompress_refuses(body: bytes, encoding: str, message: str) -> None:
    """What is not what its encoding says is ValueError."""
    with pytest.raises(ValueError, match=message):
        decompress(body, encoding)


def test_decompress_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb is refused when it would pass the limit, not after."""
    monkeypatch.setattr(base, "MAX_CONTENT_BYTES", 1000)
    assert b"a" * 1000 == decompress(zlib.compress(b"a" * 1000), "deflate")
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        decompress(zlib.compress(b"a" * 1001), "deflate")


def test_a_scripted_engine_is_a_connector() -> None:
    """The test double has what the protocol asks for."""
    assert isinstance(ScriptedEngine(), Connector)
