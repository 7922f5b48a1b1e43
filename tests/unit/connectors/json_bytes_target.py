"""What must hold of `json_bytes` for any bytes, and a program that looks for bytes of which it does not.

    python -m tests.unit.connectors.json_bytes_target FOLDER -max_total_time=300

The program is libFuzzer, guided by the coverage of `json_bytes`, with atheris; its options are libFuzzer's. FOLDER
keeps the inputs that reach something new; bytes that break a promise are left beside it, as FOLDER.crash-…
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from connectors import json_bytes
from connectors.json_bytes import Edit, Member, Scanner

Span = tuple[int, int]

DEEPEST: Final = 64
"""Nesting up to which a document is walked into its depth."""

SEEDS: Final = (
    b'{"a":1}',
    b' { "a" : 12345678901234567890 ,"b":1E+2, "c" : -0.0,\n"d":"\\ud800\\/\\u0041" , "b": [ 1 ,2 ], "e":{}\t}\r\n',
    b'{"took":1,"hits":{"total":{"value":2,"relation":"eq"},"max_score":1.5,"hits":['
    b'{"_id":"1","_score":1.5,"_source":{"text":"a\\"]}"}} , {"_id":"2","_score":0.1,"_source":{}}]}}',
    b'[1,[2,[3,{"a":[]}]],"x",true,false,null,1e400]',
    '{"ä":"😀\\ud83d\\ude00","":"","again":1,"again":2}'.encode(),
    b'{"a":NaN,"b":-Infinity}',
    b'{"a":"\t"}',
    b'{"a":01,}',
    b'{"a":tru}',
    b'[{"b":' * 40,
    b"[" * 5000,
    b'{"a":' + b"9" * 5000 + b"}",
    b"\xef\xbb\xbf{}",
    b'"\xff"',
    b"",
)
"""Where the search begins: one of each kind of thing."""

_WORDS: Final = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    r"\"",
    r"\\u00",
    r"\\ud800",
    "true",
    "null",
    "NaN",
    "-0.0",
    "1E+2",
    r"\"hits\":[{",
    r"\x0C",
    r"\xC2\xA0",
)
"""Pieces to build inputs of, in libFuzzer's notation."""


def check(content: bytes) -> None:
    """Raise AssertionError, or whatever went wrong, where a promise of `json_bytes` does not hold for these bytes."""
    try:
        text = json_bytes.decode(content)
    except ValueError:
        return
    assert content == text.encode()
    depth = json_bytes.depth(text, DEEPEST)
    start = json_bytes.skip_whitespace(text, 0)
    _scan_all(text, start)
    if depth > DEEPEST:
        return
    value, end = _parsed(text, start)
    assert end == _end(text, start, json_bytes.scan_value)
    opening = text[start : start + 1]
    assert (end if opening == "{" else None) == _end(text, start, json_bytes.scan_members)
    assert (end if opening == "[" else None) == _end(text, start, json_bytes.array_scanner(json_bytes.scan_value))
    if end is None:
        return
    _check_identity(text, start, end)
    if opening == "{":
        _check_members(text, start, value)
    elif opening == "[":
        _check_elements(text, start, end)


def _parsed(text: str, start: int) -> tuple[Any, int | None]:
    """Return what the standard library's parser reads, objects as pairs, and where it ends: None for no JSON."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_Pairs)
    try:
        return decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, None


class _Pairs(list[Any]):
    """The members of an object, told from an array."""


def _end(text: str, start: int, scan: Scanner) -> int | None:
    """Return where what is scanned ends, None for ValueError; anything else that is raised is a fault."""
    try:
        return scan(text, start)[1]
    except ValueError:
        return None


def _check_identity(text: str, start: int, end: int) -> None:
    """All innermost values put into their own places give the document; so does any part of it."""
    spans = list(_leaves(text, start))
    edits = [Edit(first, last, text[first:last]) for first, last in spans]
    assert text == json_bytes.splice(text, edits)
    assert text == json_bytes.splice(text, reversed(edits))
    assert text[start:end] == json_bytes.splice(text, edits, start, end)
    assert all(first < last for first, last in spans)
    assert sorted(spans) == spans


def _leaves(text: str, position: int) -> Iterator[Span]:
    """Yield the spans of the innermost values, as the walker finds them."""
    match text[position]:
        case "{":
            spans = [(member.value_start, member.end) for member in json_bytes.scan_members(text, position)[0]]
        case "[":
            spans = json_bytes.scan_elements(text, position)
        case _:
            yield position, json_bytes.scan_value(text, position)[1]
            return
    for first, _ in spans:
        yield from _leaves(text, first)


def _check_members(text: str, start: int, value: Any) -> None:
    """Members are the parser's; what is set is read back; what is removed is gone, and nothing else."""
    members = json_bytes.scan_object(text)
    keys = [key for key, _ in value]
    assert keys == [member.key for member in members]
    for name in {*keys, "new"}:
        last = json_bytes.find_member(members, name)
        assert last is (members[len(keys) - 1 - keys[::-1].index(name)] if name in keys else None)
        changed = json_bytes.splice(text, json_bytes.set_members(start, members, {name: "[0]"}))
        again = json_bytes.scan_object(changed)
        expected = [text[member.start : member.end] for member in members if member is not last]
        assert expected == [changed[each.start : each.end] for each in again if each is not _set(again, name)]
        assert "[0]" == changed[_set(again, name).value_start : _set(again, name).end]
    for member in members:
        left = json_bytes.splice(text, [json_bytes.remove_member(text, members, member)])
        others = [text[other.start : other.end] for other in members if other is not member]
        assert others == [left[other.start : other.end] for other in json_bytes.scan_object(left)]


def _set(members: list[Member], name: str) -> Member:
    found = json_bytes.find_member(members, name)
    assert found is not None
    return found


def _check_elements(text: str, start: int, end: int) -> None:
    """Elements that are removed are gone, and nothing else."""
    array, stop = json_bytes.array_scanner(json_bytes.scan_value)(text, start)
    assert (start, end, end) == (array.start, array.end, stop)
    for first in range(len(array.elements)):
        kept = array.elements[:first] + array.elements[first + 1 :]
        if kept:
            left = json_bytes.splice(text, json_bytes.remove_parts(array.elements, [array.elements[first]]))
            spans = json_bytes.scan_elements(left, start)
            assert [text[each.start : each.end] for each in kept] == [left[slice(*span)] for span in spans]


def _scan_all(text: str, start: int) -> None:
    """Read the text as a search answer, as an object and as an array: nothing but ValueError is raised."""
    hits = json_bytes.array_scanner(json_bytes.object_scanner())
    answer = {"hits": json_bytes.object_scanner({"hits": hits}), "responses": hits}
    for scan in (
        lambda: json_bytes.scan_object(text, 0, answer),
        lambda: json_bytes.scan_elements(text, start),
        lambda: json_bytes.scan_members(text, 0),
    ):
        try:
            scan()
        except ValueError:
            continue


def _search() -> None:
    """Look for bytes that break a promise until libFuzzer's options end it."""
    import atheris  # a wheel of 33 MB that only this program needs

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_suffix(".dict")
    words.write_text("".join(f'"{word}"\n' for word in _WORDS), encoding="utf-8")
    with atheris.instrument_imports(include=["connectors.json_bytes"]):
        importlib.reload(json_bytes)
    atheris.Setup([*sys.argv, f"-dict={words}", f"-artifact_prefix={folder}."], check)
    atheris.Fuzz()


if __name__ == "__main__":
    _search()
