"""Parts of JSON: what is kept keeps its bytes."""

import pytest

from connectors.embedded.json_filter import PathSelection, SourceSelection, keep

TEXT = '{ "a" : {"b": 1E+2 , "c":[{"b":-0.0,"d":2}, 3 ]} ,"b":"\\u00e4", "e.f": {}, "g": [ ] }'


@pytest.mark.parametrize(
    ("includes", "excludes", "expected"),
    [
        ((), (), TEXT),
        (("*",), (), TEXT),
        (("b",), (), '{"b":"\\u00e4"}'),
        (("a",), (), '{"a" : {"b": 1E+2 , "c":[{"b":-0.0,"d":2}, 3 ]}}'),
        (("a.b",), (), '{"a" : {"b": 1E+2}}'),
        (("a.c.b",), (), '{"a" : {"c":[{"b":-0.0}]}}'),
        (("*.b",), (), '{"a" : {"b": 1E+2,"c":[{"b":-0.0}]}}'),
        ((), ("a",), '{"b":"\\u00e4","e.f": {},"g": [ ]}'),
        ((), ("*.b",), '{"a" : {"c":[{"d":2},3]},"b":"\\u00e4","e.f": {},"g": [ ]}'),
        (("a",), ("a.c",), '{"a" : {"b": 1E+2}}'),
        (("e.f", "g"), (), '{"e.f": {},"g": [ ]}'),
        (("nope",), (), "{}"),
        ((), ("*",), "{}"),
    ],
)
def test_source_selections(includes: tuple[str, ...], excludes: tuple[str, ...], expected: str) -> None:
    """A name keeps everything below it; a star crosses dots."""
    assert expected == keep(TEXT, SourceSelection(includes=includes, excludes=excludes))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("a.b", '{"a" : {"b": 1E+2}}'),
        ("a.*", '{"a" : {"b": 1E+2 , "c":[{"b":-0.0,"d":2}, 3 ]}}'),
        ("*.b", '{"a" : {"b": 1E+2}}'),
        ("**.d", '{"a" : {"c":[{"d":2}]}}'),
        ("a.c.d, b", '{"a" : {"c":[{"d":2}]},"b":"\\u00e4"}'),
        ("-a,-g", '{"b":"\\u00e4","e.f": {}}'),
        ("a,-a.c", '{"a" : {"b": 1E+2}}'),
        ("-**.b", '{"a" : {"c":[{"d":2},3]},"e.f": {},"g": [ ]}'),
        ("", TEXT),
        ("nope", "{}"),
    ],
)
def test_filter_paths(patterns: str, expected: str) -> None:
    """A star stays inside one name, two cross any number of them; a minus drops."""
    assert expected == keep(TEXT, PathSelection(patterns))
