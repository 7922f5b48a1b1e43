"""JSON of any kind, and what is none, under `json_bytes`: the walker sees what a parser sees.

Beside the properties in tests/unit/connectors/test_json_bytes.py, which take one object at a time: here whole documents
are walked into their depth, edited in several places at once, and damaged.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import json_bytes
from connectors.json_bytes import Array, Edit
from tests.fuzz.effort import FEWER, SECONDS
from tests.fuzz.mixing import mixed
from tests.unit import json_texts

pytestmark = pytest.mark.timeout(SECONDS)

Pairs = list[tuple[str, Any]]
"""An object as a parser reads it, with all its members in order."""

fuzzed = settings(
    max_examples=FEWER or 60,
    deadline=None,
    database=None,
    derandomize=not FEWER,
    suppress_health_check=list(HealthCheck),
)
documents = st.tuples(
    json_texts.spaces, mixed((4, json_texts.values), (1, json_texts.search_answers())), json_texts.spaces
).map("".join)
objects = st.tuples(json_texts.spaces, json_texts.objects).map("".join)
damages = st.sampled_from(
    ['"', "{", "}", "[", "]", ",", ":", "\\", "\x00", "\ufeff", "é", "\ud800", "e", "-", "NaN", " ", "0"]
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return JSON with one thing wrong with it, perhaps."""
    text = draw(documents)
    place = draw(st.integers(0, len(text)))
    kept = draw(st.integers(place, min(len(text), place + 2)))
    return text[:place] + draw(st.one_of(st.just(""), damages)) + text[kept:]


@fuzzed
@given(documents)
def test_splicing_every_value_into_its_own_place_is_the_identity(text: str) -> None:
    """Whatever depth it is walked to, a document put together again from its parts is the document."""
    edits = [Edit(start, end, text[start:end]) for start, end in _leaves(text, json_bytes.skip_whitespace(text, 0))]
    assert text == json_bytes.splice(text, edits)


@fuzzed
@given(documents)
def test_the_walker_reads_what_a_parser_reads(text: str) -> None:
    """Keys, values and their order are the parser's, at every depth."""
    value, end = _walked(text, json_bytes.skip_whitespace(text, 0))
    assert len(text) == json_bytes.skip_whitespace(text, end)
    assert _parsed(text) == value


@fuzzed
@given(objects, st.data())
def test_edits_of_text_are_edits_of_the_value(text: str, data: st.DataObject) -> None:
    """Setting, adding and removing several members gives the text of the value that was changed in the same way."""
    position = json_bytes.skip_whitespace(text, 0)
    members = json_bytes.scan_object(text)
    value: Pairs = _parsed(text)
    keys = sorted({member.key for member in members} | {"new", "ü"})
    literals = data.draw(st.dictionaries(st.sampled_from(keys), json_texts.values, max_size=3))
    changed = json_bytes.splice(text, json_bytes.set_members(position, members, literals))
    assert _with(value, {key: _parsed(literal) for key, literal in literals.items()}) == _parsed(changed)
    if members:
        unwanted = data.draw(st.lists(st.sampled_from(members), max_size=len(members) - 1, unique_by=id))
        left = (
            json_bytes.splice(text, json_bytes.remove_parts(members, unwanted))
            if len(unwanted) < len(members)
            else text
        )
        kept = [pair for pair, member in zip(value, members, strict=True) if member not in unwanted]
        assert kept == _parsed(left)


@fuzzed
@given(documents, st.data())
def test_elements_are_removed_from_any_array(text: str, data: st.DataObject) -> None:
    """What stays of an array are the texts of the other elements."""
    array = _first_array(text)
    if array is None or not array.elements:
        return
    unwanted = data.draw(st.lists(st.sampled_from(array.elements), max_size=len(array.elements) - 1, unique_by=id))
    changed = json_bytes.splice(text, json_bytes.remove_parts(array.elements, unwanted))
    kept = [text[each.start : each.end] for each in array.elements if each not in unwanted]
    after = _first_array(changed)
    assert after is not None
    assert kept == [changed[each.start : each.end] for each in after.elements]
    assert (text[: array.start], text[array.end :]) == (changed[: after.start], changed[after.end :])


@fuzzed
@given(st.one_of(damaged(), st.text(max_size=30)))
def test_nothing_but_value_error_is_raised(text: str) -> None:
    """Text of any kind is read as the parser reads it, or is ValueError there, too."""
    position = json_bytes.skip_whitespace(text, 0)
    expected = _outcome(lambda: _decoded(text, position))
    assert expected == _outcome(lambda: json_bytes.scan_value(text, position)[1])
    is_object = expected is not None and text[position] == "{"
    assert is_object == (_outcome(lambda: json_bytes.scan_members(text, position)) is not None)
    is_array = expected is not None and text[position] == "["
    assert is_array == (_outcome(lambda: json_bytes.scan_elements(text, position)) is not None)
    nested = json_bytes.array_scanner(json_bytes.object_scanner())
    _outcome(lambda: json_bytes.scan_object(text, 0, {"hits": nested, "again": nested}))
    assert 0 <= json_bytes.depth(text, 5) <= 6


@fuzzed
@given(st.binary(max_size=30))
def test_what_is_decoded_is_encoded_to_the_same_bytes(content: bytes) -> None:
    """UTF-8 is taken strictly, so that decoding loses nothing; anything else is ValueError."""
    text = _outcome(lambda: json_bytes.decode(content))
    assert text is None or content == text.encode()


@fuzzed
@given(st.integers(0, 3000), st.sampled_from(["[", '{"a":', '[{"b":']))
def test_deep_nesting_is_measured_or_refused(levels: int, opening: str) -> None:
    """However deep a text nests, its depth is told up to the limit, and the walker ends with a value or ValueError."""
    text = opening * levels
    depth = levels * (opening.count("[") + opening.count("{"))
    assert min(depth, 65) == json_bytes.depth(text, 64)
    assert _outcome(lambda: json_bytes.scan_value(text, 0)) is None


def _leaves(text: str, position: int) -> list[tuple[int, int]]:
    """Return the spans of the innermost values, found by the walker alone."""
    match text[position]:
        case "{":
            spans = [(member.value_start, member.end) for member in json_bytes.scan_members(text, position)[0]]
        case "[":
            spans = json_bytes.scan_elements(text, position)
        case _:
            return [(position, json_bytes.scan_value(text, position)[1])]
    return [span for start, _ in spans for span in _leaves(text, start)]


def _walked(text: str, position: int) -> tuple[Any, int]:
    """Return the value at a position as the walker alone sees it, and where it ends."""
    match text[position]:
        case "{":
            members, end = json_bytes.scan_members(text, position)
            return [(member.key, _walked(text, member.value_start)[0]) for member in members], end
        case "[":
            array, end = json_bytes.array_scanner(_walked)(text, position)
            return tuple(element.value for element in array.elements), end
        case _:
            end = json_bytes.scan_value(text, position)[1]
            return _parsed(text[position:end]), end


def _parsed(text: str) -> Any:
    """Return a value: objects as pairs, arrays as tuples, numbers as their texts."""
    value = json.loads(text, object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str)
    return _plain(value)


class _Object(list[Any]):
    """The members of an object, told from an array."""


def _plain(value: Any) -> Any:
    if isinstance(value, _Object):
        return [(key, _plain(each)) for key, each in value]
    return tuple(_plain(each) for each in value) if isinstance(value, list) else value


def _with(value: Pairs, changes: dict[str, Any]) -> Pairs:
    """Return an object with members set: in place of the last of that name, or in front."""
    last = {key: index for index, (key, _) in enumerate(value)}
    added = [(key, each) for key, each in changes.items() if key not in last]
    return added + [
        (key, changes.get(key, each) if last[key] == index else each) for index, (key, each) in enumerate(value)
    ]


def _first_array(text: str) -> Array | None:
    """Return the first array at the top of a document, or of the members of its object."""
    position = json_bytes.skip_whitespace(text, 0)
    if text[position] == "{":
        members = json_bytes.scan_members(text, position)[0]
        position = next((member.value_start for member in members if text[member.value_start] == "["), -1)
    if position < 0 or text[position] != "[":
        return None
    return _array(text, position)


def _array(text: str, position: int) -> Array:
    found, _ = json_bytes.array_scanner(json_bytes.scan_value)(text, position)
    assert isinstance(found, Array)
    return found


def _decoded(text: str, position: int) -> int:
    try:
        return json.JSONDecoder(parse_int=float).raw_decode(text, position)[1]
    except RecursionError:
        raise ValueError from None


def _outcome(read: Callable[[], Any]) -> Any:
    """Return what reading gives, None for ValueError; anything else that is raised is a fault."""
    try:
        return read()
    except ValueError:
        return None
