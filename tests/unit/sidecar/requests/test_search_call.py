"""One search as its caller wrote it, and written anew: what is not changed keeps its bytes."""

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from connectors.base import SearchRequest, compress
from sidecar.requests import search_call
from sidecar.requests.search_call import NotJson, SearchCall, parse, replace_params, write
from tests.unit import json_texts
from tests.unit.doubles import JSON, call, match, search

ODD = ' { "query" : {"match":{"text":"blue \\u0073ky"}} ,\n "size": 1E+1, "ext":{ "other" :1 }}\n'


def rewritten(request: SearchRequest, settings: dict[str, Any]) -> SearchRequest:
    """Return the request with other settings."""
    original = parse(request)
    return write(original.with_settings(settings), original=original, request=request)


# --- reading ------------------------------------------------------------------------------------------------


def test_the_body_is_read() -> None:
    """Members by name; the last of duplicates; integers as float; null as if it were not there."""
    found = call('{"size":5,"size":7,"from":null,"query":{"match":{"text":"blue"}}}')
    assert (found.body("size"), found.body("from"), found.body("query")) == (7.0, None, {"match": {"text": "blue"}})
    assert (found.has_body("size"), found.has_body("from"), found.has_body("from", "size")) == (True, False, True)


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("/_search?size=3", {"size": 5}, "3"),
        ("/_search?size=3&size=4", {}, "4"),
        ("/_search", {"size": 5}, 5.0),
        ("/_search", {}, None),
    ],
    ids=["both", "twice in the URL", "in the body", "nowhere"],
)
def test_the_url_wins_over_the_body(target: str, body: dict[str, Any], expected: Any) -> None:
    """A setting in both places is the URL's, as the engines read it."""
    assert expected == call(body, target=target).setting("size")


def test_the_source_parameter_stands_for_a_body() -> None:
    """`?source=…` is read where there is no body, and only there."""
    target = "/_search?source=%7B%22size%22%3A3%7D&source_content_type=application%2Fjson"
    assert parse(SearchRequest(method="GET", target=target)).body("size") == 3.0
    assert parse(search({"size": 9}, target=target)).body("size") == 9.0


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_is_read(encoding: str) -> None:
    """What Content-Encoding says is undone for reading."""
    headers = (*JSON, ("Content-Encoding", encoding))
    request = SearchRequest(method="POST", target="/_search", headers=headers, body=compress(b'{"size":3}', encoding))
    assert parse(request).body("size") == 3.0


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_an_empty_call(body: str | None) -> None:
    """There is nothing to read."""
    found = call(body)
    assert (found.members, found.body("query")) == ((), None)


def test_white_space_is_no_body() -> None:
    """The engines refuse it; an object in its place would hide that."""
    with pytest.raises(ValueError, match="white space"):
        call(" \n")


@pytest.mark.parametrize(
    "target", ["/_search?source=", "/_search?source=&q=blue", "/_search?q=blue&source", "/_search?source=%20"]
)
def test_an_empty_source_is_no_body(target: str) -> None:
    """The engines refuse it, unless a body makes them pass over it."""
    with pytest.raises(ValueError, match="white space"):
        parse(SearchRequest(method="GET", target=target))
    assert parse(search({"size": 9}, target=target)).body("size") == 9.0


def test_a_body_without_a_type_gets_none() -> None:
    """The engines refuse such a request; a type of ours would hide that."""
    request = SearchRequest(method="POST", target="/_search", body=b'{"size":1}')
    assert rewritten(request, {"size": 100}).headers == (("Content-Length", "12"),)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{",
        '{"a":1} {}',
        '{"a":1}x',
        '{"a":' + "[" * 64 + "]" * 64 + "}",
        "[" * 100_000,
    ],
    ids=["array", "unfinished", "two objects", "something after", "65 levels", "very deep"],
)
def test_what_cannot_be_read_is_value_error(body: str) -> None:
    """It is the engine that judges such bodies."""
    with pytest.raises(ValueError):  # noqa: PT011  # the scanner's words
        call(body)


def test_sixty_four_levels_are_read() -> None:
    """The limit is far above what people write."""
    assert len(call('{"a":' + "[" * 63 + "]" * 63 + "}").members) == 1


def test_bytes_that_are_no_utf8_are_value_error() -> None:
    """Neither UTF-16 nor damaged gzip is guessed at."""
    for body, headers in ((b'{"a":"\xff"}', JSON), (b"no gzip", (*JSON, ("Content-Encoding", "gzip")))):
        with pytest.raises(ValueError):  # noqa: PT011
            parse(SearchRequest(method="POST", target="/_search", headers=headers, body=body))


# --- formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "is_json"),
    [
        ("/_search", (("Content-Type", "application/vnd.elasticsearch+json; compatible-with=9"),), True),
        ("/_search", (), True),
        ("/_search?format=json", JSON, True),
        ("/_search", (*JSON, ("Accept", "application/json, text/plain, */*")), True),
        ("/_search", (*JSON, ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")), True),
        ("/_search", (("Content-Type", "application/yaml"),), False),
        ("/_search", (("Content-Type", "application/cbor"),), False),
        ("/_search?format=yaml", JSON, False),
        ("/_search", (*JSON, ("Accept", "application/yaml")), False),
        ("/_search", (*JSON, ("Accept", "application/vnd.elasticsearch+cbor; compatible-with=9")), False),
        ("/_search", (*JSON, ("Accept", "application/smile")), False),
        ("/_search", (*JSON, ("Accept", "text/plain")), False),
    ],
)
def test_other_formats_are_told_from_json(target: str, headers: Any, is_json: bool) -> None:
    """By the suffix of the media type; a list that takes JSON, too, gets JSON."""
    request = SearchRequest(method="POST", target=target, headers=headers, body=b"{}")
    if is_json:
        assert parse(request).text == "{}"
    else:
        with pytest.raises(NotJson):
            parse(request)


# --- writing ------------------------------------------------------------------------------------------------


def test_an_unchanged_call_is_the_same_request() -> None:
    """Not a copy: nothing was written anew."""
    request = search(ODD, target="/a%2Cb/_search?q=%zz&")
    found = parse(request)
    assert request is write(found, original=found, request=request)


def test_settings_are_spliced_into_the_body() -> None:
    """Other members keep their bytes, the length follows."""
    request = search(ODD, headers=(("Content-Length", "3"), ("X-Opaque-Id", "1")))
    changed = rewritten(request, {"size": 100, "from": 0})
    expected = ODD.replace("{ ", '{"from":0, ', 1).replace("1E+1", "100")
    assert expected == changed.body.decode()
    assert (*JSON, ("X-Opaque-Id", "1"), ("Content-Length", str(len(expected)))) == changed.headers


def test_settings_of_the_url_are_changed_there() -> None:
    """The value alone is replaced; every other byte of the target stays."""
    request = search(match(), target="/a%2Cb/_search?q=%zz&size=5&&from=%35&x=a+b#")
    changed = rewritten(request, {"size": 100, "from": 0})
    assert changed.target == "/a%2Cb/_search?q=%zz&size=100&&from=0&x=a+b#"
    assert request.body == changed.body


def test_settings_of_the_source_parameter_are_changed_there() -> None:
    """The URL then holds the new body, encoded."""
    request = SearchRequest(method="GET", target="/_search?a=%zz&source=%7B%22size%22%3A3%7D&b")
    changed = rewritten(request, {"size": 100})
    assert changed.target == "/_search?a=%zz&source=%7B%22size%22%3A100%7D&b"
    assert (changed.body, changed.headers) == (b"", ())


@pytest.mark.parametrize("body", [None, ""])
def test_a_search_without_a_body_gets_one(body: str | None) -> None:
    """With a media type, because the engines ask for it."""
    request = SearchRequest(method="GET", target="/_search?q=blue", body=(body or "").encode())
    changed = rewritten(request, {"size": 100})
    assert changed.body == b'{"size":100}'
    assert changed.headers == (("Content-Type", "application/json"), ("Content-Length", "12"))


def test_a_new_body_has_the_version_that_the_caller_accepts() -> None:
    """Elasticsearch refuses two versions of its API in one request."""
    accept = "application/vnd.elasticsearch+json; compatible-with=9"
    request = SearchRequest(method="GET", target="/_search?q=blue", headers=(("accept", accept),))
    assert ("Content-Type", accept) in rewritten(request, {"size": 100}).headers


def test_a_compressed_body_stays_compressed() -> None:
    """And its length is that of the compressed bytes; no second framing header stays."""
    headers = (*JSON, ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"))
    request = SearchRequest(method="POST", target="/_search", headers=headers, body=gzip.compress(b'{"size":3}'))
    changed = rewritten(request, {"size": 100})
    assert gzip.decompress(changed.body) == b'{"size":100}'
    assert (*JSON, ("Content-Encoding", "gzip"), ("Content-Length", str(len(changed.body)))) == changed.headers


def test_replace_params_encodes_what_it_puts_in() -> None:
    """Names are compared decoded, and those that are not there are not added."""
    assert replace_params("/_search?si%7ae=5&x", {"size": "a&b", "from": "1"}) == "/_search?si%7ae=a%26b&x"
    assert replace_params("/_search", {"size": "1"}) == "/_search"


# --- ext.rerank ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"ext":{"rerank":{}},"size":1}', '{"size":1}'),
        ('{"size":1, "ext": {"rerank": {"window":5}} }', '{"size":1 }'),
        ('{"ext":{"rerank":{"a":1}}}', "{}"),
        ('{"ext": { "a":1, "rerank":{} , "b":2}}', '{"ext": { "a":1 , "b":2}}'),
        ('{"ext":{"other":1}}', '{"ext":{"other":1}}'),
        ('{"ext":3}', '{"ext":3}'),
        ('{"size":1}', '{"size":1}'),
    ],
)
def test_what_is_said_to_us_is_taken_out(body: str, expected: str) -> None:
    """`ext` goes, too, when nothing else was in it; without `ext.rerank` nothing changes."""
    assert expected == call(body).without_rerank_ext().text


# --- properties ---------------------------------------------------------------------------------------------


@given(json_texts.objects)
def test_writing_what_was_read_gives_the_same_bytes(text: str) -> None:
    """Whatever the body looks like."""
    request = search(text)
    found = parse(request)
    assert request is write(found, original=found, request=request)
    assert request.body == write(replace(found), original=found, request=request).body


@given(json_texts.objects)
def test_other_members_keep_their_bytes(text: str) -> None:
    """Setting `size` changes nothing but `size`."""
    found = parse(search(text))
    changed = found.with_settings({"size": 100})

    def others(of: SearchCall) -> list[str]:
        return [of.text[member.start : member.end] for member in of.members if member.key != "size"]

    assert others(found) == others(changed)
    assert json.loads(changed.text, parse_int=float)["size"] == 100


def test_the_depth_limit_is_sane() -> None:
    """Deeper than any query, shallower than any parser's limit."""
    assert 32 <= search_call.MAX_DEPTH <= 200
