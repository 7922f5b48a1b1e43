"""Splicing JSON: what is not changed keeps its bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.json_bytes import (
    Array,
    Edit,
    array_scanner,
    decode,
    depth,
    find_member,
    object_scanner,
    remove_member,
    remove_parts,
    scan_elements,
    scan_members,
    scan_object,
    scan_value,
    set_members,
    skip_whitespace,
    splice,
)
from tests.unit import json_texts
from tests.unit.connectors.json_bytes_target import SEEDS, check

ODD = ' { "a" : 12345678901234567890 ,"b":1E+2, "c" : -0.0,\n"d":"\\ud800\\/\\u0041" , "b": [ 1 ,2 ], "e":{}\t}\r\n'


def parsed(text: str) -> Any:
    """Return what the standard library's parser reads, every number as text so that nothing is rounded."""
    return json.loads(text, parse_int=str, parse_float=str)


# --- decoding and depth -------------------------------------------------------------------------------------


def test_decode_gives_the_text_of_utf8() -> None:
    """UTF-8 bytes become text that encodes to the same bytes."""
    assert '{"ä":"😀"}' == decode('{"ä":"😀"}'.encode())


@pytest.mark.parametrize(
    "content",
    [b'{"a":"\xff"}', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16")],
    ids=["invalid", "byte order mark", "utf-16"],
)
def test_decode_refuses_what_is_not_plain_utf8(content: bytes) -> None:
    """Bytes whose text would not encode back to them are refused."""
    with pytest.raises(ValueError, match=r"utf-8|byte order mark"):
        decode(content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 0),
        ("{}", 1),
        ('{"a":[{}]}', 3),
        ('["[[[[", {"{{": "]"}]', 2),
        ('"\\"[[["', 0),
        ("[" * 5, 4),
        ("[]][[", 1),
    ],
    ids=["literal", "object", "nested", "brackets in strings", "escaped quote", "stops over the limit", "unbalanced"],
)
def test_depth_counts_open_brackets_outside_strings(text: str, expected: int) -> None:
    """Depth is counted up to one more than the limit, and strings are passed over."""
    assert expected == depth(text, 3)


def test_depth_of_a_very_deep_text_needs_no_recursion() -> None:
    """A hundred thousand levels are counted no further than the limit."""
    assert 65 == depth("[" * 100_000, 64)


# --- scanning -----------------------------------------------------------------------------------------------


def test_scan_object_gives_members_in_order_with_duplicates() -> None:
    """Every member is there with its span, the second "b", too."""
    members = scan_object(ODD)
    assert ["a", "b", "c", "d", "b", "e"] == [member.key for member in members]
    assert ["12345678901234567890", "1E+2", "-0.0", '"\\ud800\\/\\u0041"', "[ 1 ,2 ]", "{}"] == [
        ODD[member.value_start : member.end] for member in members
    ]


def test_find_member_takes_the_last_of_duplicates() -> None:
    """The last member of a name wins, as in every JSON parser of the engines."""
    found = find_member(scan_object(ODD), "b")
    assert found is not None
    assert [1.0, 2.0] == found.value
    assert find_member(scan_object(ODD), "z") is None


def test_integers_of_any_length_are_scanned() -> None:
    """More than 4,300 digits, which `int` refuses, are a value like any other."""
    text = f'{{"a":{"9" * 5000}}}'
    assert text == splice(text, [Edit(member.value_start, member.end, "9" * 5000) for member in scan_object(text)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":1 "b":2}',
        "{a:1}",
        '{"a":01}',
        '{"a":"\t"}',
        '{"a":"\\x"}',
        '{"a":[1,]}',
        '{"a":tru}',
    ],
)
def test_scan_object_refuses_what_is_no_json_object(text: str) -> None:
    """Anything surprising is ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011  # the standard library's words
        scan_object(text)


def test_too_deep_nesting_is_value_error() -> None:
    """The scanner's recursion limit shows as ValueError, not as RecursionError."""
    with pytest.raises(ValueError, match="nested too deeply"):
        scan_value("[" * 200_000, 0)


def test_into_reads_named_members_with_their_own_scanner() -> None:
    """One walk gives the elements of a nested array with their members."""
    text = '{"hits": {"hits" :[ {"_id":"1"} ,{"_id":"2"}]}, "n":1}'
    members = scan_object(text, 0, {"hits": object_scanner({"hits": array_scanner(object_scanner())})})
    hits = find_member(members, "hits")
    assert hits is not None
    array = find_member(hits.value, "hits")
    assert array is not None
    assert isinstance(array.value, Array)
    assert ['{"_id":"1"}', '{"_id":"2"}'] == [text[element.start : element.end] for element in array.value.elements]
    assert ["1", "2"] == [element.value[0].value for element in array.value.elements]
    assert '[ {"_id":"1"} ,{"_id":"2"}]' == text[array.value.start : array.value.end]


def test_into_refuses_another_kind_of_value() -> None:
    """A scanner of arrays refuses an object."""
    with pytest.raises(ValueError, match=r"expected '\['"):
        scan_object('{"hits":{}}', 0, {"hits": array_scanner(scan_value)})


def test_scan_members_tells_where_the_object_ends() -> None:
    """The position after the closing brace comes with the members."""
    members, end = scan_members('{"a":1} x', 0)
    assert (1, 7) == (len(members), end)
    assert ([], 2) == scan_members("{}", 0)


def test_scan_elements_gives_spans() -> None:
    """Spans leave out the white space around elements."""
    text = '[ 1 , "a,b" ,[2]]'
    assert ["1", '"a,b"', "[2]"] == [text[start:end] for start, end in scan_elements(text, 0)]
    assert [] == scan_elements("[ ]", 0)


# --- splicing -----------------------------------------------------------------------------------------------


def test_splice_changes_slices_and_nothing_else() -> None:
    """Edits are made in the order of the text, whatever order they come in."""
    assert "aXcY" == splice("abcd", [Edit(3, 4, "Y"), Edit(1, 2, "X")])
    assert "Xc" == splice("abcd", [Edit(1, 2, "X")], 1, 3)


def test_splice_refuses_overlapping_edits() -> None:
    """Two edits of one place are a mistake of the caller."""
    with pytest.raises(ValueError, match="overlap"):
        splice("abcd", [Edit(0, 2, ""), Edit(1, 3, "")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"x":1}', "{}"),
        ('{ "x" : 1 }', "{ }"),
        ('{"x":1,"a":2}', '{"a":2}'),
        ('{ "x":1, "a":2 }', '{ "a":2 }'),
        ('{"a":1,"x":2}', '{"a":1}'),
        ('{"a":1 , "x":2 , "b":3}', '{"a":1 , "b":3}'),
    ],
    ids=["alone", "alone, spaced", "first", "first, spaced", "last", "in the middle"],
)
def test_remove_member_takes_one_comma_along(text: str, expected: str) -> None:
    """What stays looks as if the member had never been written."""
    members = scan_object(text)
    member = find_member(members, "x")
    assert member is not None
    left = splice(text, [remove_member(text, members, member)])
    assert json.loads(expected) == json.loads(left)
    assert expected.replace(" }", "}") == left.replace(" }", "}")


@pytest.mark.parametrize(
    ("unwanted", "expected"),
    [
        ("", "[1, 2 ,3,  4]"),
        ("1", "[2 ,3,  4]"),
        ("12", "[3,  4]"),
        ("4", "[1, 2 ,3]"),
        ("23", "[1,  4]"),
        ("134", "[2]"),
    ],
)
def test_remove_parts_leaves_the_others_as_they_are(unwanted: str, expected: str) -> None:
    """Elements go with one comma each, wherever they stand."""
    text = "[1, 2 ,3,  4]"
    array, _ = array_scanner(scan_value)(text, 0)
    gone = [element for element in array.elements if text[element.start : element.end] in unwanted]
    assert expected == splice(text, remove_parts(array.elements, gone))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", '{"size":5}'),
        ('{"a":1}', '{"size":5,"a":1}'),
        ('{ "size" : 10 }', '{ "size" : 5 }'),
        ('{"size":1,"size":2}', '{"size":1,"size":5}'),
    ],
    ids=["empty", "added in front", "in its place", "the last of duplicates"],
)
def test_set_members_keeps_places(text: str, expected: str) -> None:
    """A member that is there keeps its place, a new one goes to the front."""
    position = skip_whitespace(text, 0)
    assert expected == splice(text, set_members(position, scan_object(text), {"size": "5"}))


# --- properties ---------------------------------------------------------------------------------------------


@given(json_texts.objects, json_texts.spaces)
def test_rewriting_every_member_with_its_own_text_is_the_identity(text: str, before: str) -> None:
    """Taking an object apart and splicing it together gives the same text, whatever it looks like."""
    text = before + text
    edits = [
        Edit(member.value_start, member.end, text[member.value_start : member.end]) for member in scan_object(text)
    ]
    assert text == splice(text, edits)


@given(json_texts.objects)
def test_the_spans_hold_what_a_parser_reads(text: str) -> None:
    """Keys and values of the scanner are those of the standard library's parser, the last duplicate winning."""
    members = scan_object(text)
    assert parsed(text) == {member.key: parsed(text[member.value_start : member.end]) for member in members}


@given(json_texts.objects, st.data())
def test_removing_a_member_leaves_the_others(text: str, data: st.DataObject) -> None:
    """The rest is still an object with the other members' own texts in order."""
    members = scan_object(text)
    if not members:
        return
    member = data.draw(st.sampled_from(members))
    left = splice(text, [remove_member(text, members, member)])
    expected = [text[other.start : other.end] for other in members if other is not member]
    assert expected == [left[other.start : other.end] for other in scan_object(left)]


@given(json_texts.objects, json_texts.values)
def test_a_member_that_is_set_is_read_back(text: str, literal: str) -> None:
    """What is set is what a parser reads, and other members keep their texts."""
    edits = set_members(0, scan_object(text), {"set": literal})
    changed = splice(text, edits)
    assert parsed(literal) == parsed(changed)["set"]
    others = [text[member.start : member.end] for member in scan_object(text) if member.key != "set"]
    assert others == [changed[member.start : member.end] for member in scan_object(changed) if member.key != "set"]


@given(json_texts.values)
def test_depth_agrees_with_the_parsed_value(text: str) -> None:
    """The scan over brackets counts what a parser would build."""

    def deep(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(deep, inner), default=0)

    # objects with duplicate keys hide what the parser throws away
    pairs = json.loads(
        text, parse_int=str, parse_float=str, object_pairs_hook=lambda members: [value for _, value in members]
    )
    assert deep(pairs) == depth(text, 1000)


@pytest.mark.parametrize("content", SEEDS)
def test_what_fuzzing_begins_with_holds(content: bytes) -> None:
    """The search of `json_bytes_target` starts from cases that keep every promise."""
    check(content)


@given(st.one_of(json_texts.objects.map(str.encode), json_texts.search_answers().map(str.encode), st.binary()))
def test_what_fuzzing_looks_for_is_not_found_by_chance(content: bytes) -> None:
    """The promises hold for JSON that nobody prints, and for any bytes."""
    check(content)
