"""The lines of an `_msearch` body: items that are not changed keep their bytes."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import SearchRequest
from sidecar.requests.multi_search import json_on_one_line, parse, write
from sidecar.requests.search_call import NotJson, SearchCall
from tests.unit import json_texts
from tests.unit.doubles import NDJSON

FIRST = '{"index":"books"}\n{"query":{"match":{"text":"blue"}}}\n'
SECOND = '{}\n{"size":1}\n'


def multi(body: str, target: str = "/_msearch", headers: Any = NDJSON) -> SearchRequest:
    """Return an `_msearch` request with exactly this body."""
    return SearchRequest(method="POST", target=target, headers=headers, body=body.encode())


def calls_of(request: SearchRequest) -> list[SearchCall | None]:
    """Return the calls of all items."""
    return [item.call for item in parse(request)]


def kept(request: SearchRequest) -> SearchRequest:
    """Return the request written anew with every call as it was."""
    items = parse(request)
    return write(request, items, {index: item.call for index, item in enumerate(items)})


# --- lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (FIRST + SECOND, 2),
        ((FIRST + SECOND).replace("\n", "\r\n"), 2),
        ('\n{"size":1}\n', 1),
        (' \r\n{"size":1}\n', 1),
        (FIRST + "  ", 1),
        ("", 0),
        ('{}\n{"text":"\\u2028 \u2028 \x85"}\n', 1),
    ],
    ids=[
        "two",
        "CRLF",
        "empty header line",
        "blank header line",
        "spaces after the last",
        "nothing",
        "only LF ends a line",
    ],
)
def test_lines_come_in_pairs(body: str, expected: int) -> None:
    """And written anew without a change they are the same request."""
    request = multi(body)
    assert expected == len(parse(request))
    assert request is kept(request)


@pytest.mark.parametrize("body", [FIRST + "{}\n", "{}\n", "\n", "{}\n{}\n\n"])
def test_an_odd_number_of_lines_is_value_error(body: str) -> None:
    """The engine judges it."""
    with pytest.raises(ValueError, match="even number of lines"):
        parse(multi(body))


def test_bytes_that_are_no_utf8_are_value_error() -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="utf-8"):
        parse(SearchRequest(method="POST", target="/_msearch", body=b"\xff\n{}\n"))


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/_msearch?format=yaml", NDJSON), ("/_msearch", (*NDJSON, ("Accept", "application/cbor")))],
)
def test_an_answer_in_another_format_is_not_ours(target: str, headers: Any) -> None:
    """The whole request is left alone."""
    with pytest.raises(NotJson):
        parse(multi(FIRST, target, headers))


def test_the_media_type_does_not_tell() -> None:
    """opensearch-py sends application/json."""
    assert 1 == len(parse(multi(FIRST, headers=(("Content-Type", "application/json"),))))


# --- items --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "target", "index"),
    [
        ('{"index":"books"}', "/_msearch", "books"),
        ('{"index":["a","b*"]}', "/_msearch", "a,b*"),
        ('{"indices":[".tasks"]}', "/_msearch", ".tasks"),
        ("{}", "/films/_msearch", "films"),
        ("", "/films/_msearch", "films"),
        ('{"index":"books"}', "/films/_msearch", "books"),
        ('{"index":null}', "/films/_msearch", "films"),
        ("{}", "/_msearch", ""),
    ],
)
def test_the_index_of_an_item(header: str, target: str, index: str) -> None:
    """The header line's, or else the path's."""
    (call,) = calls_of(multi(f"{header}\n{{}}\n", target))
    assert call is not None
    assert index == call.index


@pytest.mark.parametrize(
    "lines",
    [
        "x\n{}\n",
        "[]\n{}\n",
        "{}\n[]\n",
        "{}\nx\n",
        "{}\n{} {}\n",
        "{}\n\n",
        "{}\n \t\r\n",
        '{"index":[1]}\n{}\n',
        "[" * 10_000 + "\n{}\n",
    ],
    ids=[
        "header",
        "header array",
        "body array",
        "body",
        "two bodies",
        "no body",
        "blank body",
        "index of numbers",
        "deep header",
    ],
)
def test_an_item_that_cannot_be_read_keeps_its_lines(lines: str) -> None:
    """Its siblings are read all the same."""
    request = multi(lines + FIRST)
    bad, good = calls_of(request)
    assert (None, "books") == (bad, good and good.index)
    assert request is kept(request)


def test_an_item_has_the_requests_headers_and_parameters() -> None:
    """`filter_path` and credentials hold for all items."""
    (call,) = calls_of(multi(FIRST, "/_msearch?filter_path=took", (*NDJSON, ("Authorization", "a"))))
    assert call is not None
    assert ("took", (*NDJSON, ("Authorization", "a"))) == (call.param("filter_path"), call.headers)


# --- writing ------------------------------------------------------------------------------------------------


def changed(body: str, index: int, settings: Mapping[str, Any], **request: Any) -> SearchRequest:
    """Return the request with other settings for one item."""
    asked = multi(body, **request)
    items = parse(asked)
    calls = {position: item.call for position, item in enumerate(items)}
    call = calls[index]
    assert call is not None
    return write(asked, items, {**calls, index: call.with_settings(settings)})


def test_only_the_changed_item_is_written_anew() -> None:
    """Its header line and its siblings keep their bytes, line ends included."""
    body = ' {"index" : "a"}\r\n{ "size" : 1 }\r\n{}\r\n{"size":2}\r\n'
    request = changed(body, 0, {"size": 50}, headers=(*NDJSON, ("content-length", "9")))
    expected = ' {"index" : "a"}\r\n{ "size" : 50 }\n{}\r\n{"size":2}\r\n'
    assert expected == request.body.decode()
    assert (*NDJSON, ("Content-Length", str(len(expected)))) == request.headers


@pytest.mark.parametrize("body", [FIRST + SECOND.rstrip("\n"), '{}\n{"size":1}'])
def test_a_body_without_a_last_newline_is_value_error(body: str) -> None:
    """The engines refuse it; adding one would hide that."""
    with pytest.raises(ValueError, match="ends with a line end"):
        parse(multi(body))


def test_some_items_can_be_sent_alone() -> None:
    """In the order of the calls that are given."""
    request = multi(FIRST + SECOND + FIRST)
    items = parse(request)
    assert (SECOND + FIRST).encode() == write(request, items, {1: items[1].call, 2: items[2].call}).body


def test_a_compressed_body_stays_compressed() -> None:
    """As the request's Content-Encoding says."""
    request = SearchRequest(
        method="POST",
        target="/_msearch",
        headers=(*NDJSON, ("Content-Encoding", "gzip")),
        body=gzip.compress(b'{}\n{"size":1}\n'),
    )
    (item,) = parse(request)
    assert item.call is not None
    assert request is write(request, [item], {0: item.call})
    found = write(request, [item], {0: item.call.with_settings({"size": 5})})
    assert b'{}\n{"size":5}\n' == gzip.decompress(found.body)


@given(st.lists(json_texts.objects, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_writing_what_was_read_gives_the_same_bytes(bodies: list[str], end: str) -> None:
    """Whatever the searches look like, on one line each."""
    body = "".join(f"{{}}{end}{json_on_one_line(text)}{end}" for text in bodies)
    request = multi(body)
    assert request is kept(request)
    for text, call in zip(bodies, calls_of(request), strict=True):
        assert call is not None
        assert json.loads(text) == json.loads(call.text)
