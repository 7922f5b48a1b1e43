"""JSON in and out."""

import pytest

from connectors.embedded.errors import ApiError
from connectors.embedded.json_text import MAX_DEPTH, DuplicateKey, parse, parse_object, pretty, to_json


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", "{'a':1}", '{"a":NaN}', "[Infinity]", '"\x01"', '{"a":1,"a":1}', "[" * 201 + "]" * 201, b"\xff"],
)
def test_what_is_no_json(text: str | bytes) -> None:
    """Cut off, nested too deeply, with a key twice, or not UTF-8: `ValueError`, whatever it is."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_depth_is_counted_outside_strings() -> None:
    """Two hundred levels are allowed; brackets in strings are none."""
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH) == parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert "[" * 500 == parse('"' + "[" * 500 + '"')


def test_numbers() -> None:
    """Integers stay integers as far as any field goes; what is longer is a float, and none is slow."""
    assert 12345678901234567890 == parse("12345678901234567890")
    assert float("1e40") == pytest.approx(parse("1" + "0" * 40))
    assert float("inf") == parse("9" * 5_000)


def test_a_key_twice_is_named() -> None:
    """The message is that of the real engine."""
    with pytest.raises(DuplicateKey, match="Duplicate field 'b'"):
        parse('{"a":1,"b":{"b":1},"b":2}')


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "x_content_e_o_f_exception"),
        (b'{"a":', "x_content_e_o_f_exception"),
        (b"nope", "x_content_parse_exception"),
        (b"\xff", "x_content_parse_exception"),
        (b"{} {}", "parsing_exception"),
        (b"[]", "parsing_exception"),
        (b" ", "parsing_exception"),
    ],
)
def test_bodies_that_are_no_object(content: bytes, kind: str) -> None:
    """Each fault has Elasticsearch's name."""
    with pytest.raises(ApiError) as caught:
        parse_object(content)
    assert (400, kind) == (caught.value.status, caught.value.cause["type"])


def test_no_body_is_an_empty_object() -> None:
    """A request may leave it out."""
    assert {} == parse_object(b"")


def test_answers_can_be_encoded() -> None:
    """Other scripts are written as they are, a lone surrogate as an escape."""
    assert '{"a":"ä"}' == to_json({"a": "ä"})
    assert b'{"a":"\\ud800"}' == to_json({"a": "\ud800"}).encode()


def test_pretty_changes_space_alone() -> None:
    """Braces in strings stay where they are."""
    text = '{"a":{},"b":[1E+2,"x{,:\\"}"],"c":{"d":null}}'
    assert '{\n  "a" : { },\n  "b" : [\n    1E+2,\n    "x{,:\\"}"\n  ],\n  "c" : {\n    "d" : null\n  }\n}\n' == pretty(
        text
    )
