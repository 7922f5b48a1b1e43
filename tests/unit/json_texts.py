"""Hypothesis strategies for JSON that nobody prints: odd white space, escapes, number forms, duplicate keys."""

from hypothesis import strategies as st

spaces = st.text(alphabet=" \t\n\r", max_size=2)

numbers = st.one_of(
    st.sampled_from(
        [
            "0",
            "-0",
            "-0.0",
            "1E+2",
            "1e-7",
            "1.10",
            "12345678901234567890",
            "0.1234567890123456789012345678901",
            "1e400",
        ]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)

_plain = st.characters(min_codepoint=0x20, exclude_characters='"\\', exclude_categories=["Cs"])
_escapes = st.sampled_from(["\\n", "\\/", "\\\\", '\\"', "\\u0041", "\\ud800", "\\udfff", "\\ud83d\\ude00", "\\u0000"])

strings = st.lists(st.one_of(_plain, _escapes), max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')

literals = st.one_of(numbers, strings, st.sampled_from(["true", "false", "null"]))


@st.composite
def _array(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    elements = [draw(spaces) + value + draw(spaces) for value in draw(st.lists(values, max_size=3))]
    return f"[{','.join(elements) or draw(spaces)}]"


@st.composite
def _object(draw: st.DrawFn, values: st.SearchStrategy[str], keys: st.SearchStrategy[str] = strings) -> str:
    pairs = draw(st.lists(st.tuples(keys, values), max_size=4))
    members = [f"{draw(spaces)}{key}{draw(spaces)}:{draw(spaces)}{value}{draw(spaces)}" for key, value in pairs]
    return f"{{{','.join(members) or draw(spaces)}}}"


values = st.recursive(literals, lambda inner: st.one_of(_array(inner), _object(inner)), max_leaves=8)

objects = _object(values, st.one_of(strings, st.just('"again"')))
"""Objects; the key "again" is often there more than once."""


@st.composite
def search_answers(draw: st.DrawFn) -> str:
    """Return a search answer with up to four hits, each with `_id`, `_score`, `_source` and perhaps more."""
    hits = [
        f"{draw(spaces)}{{{draw(spaces)}"
        f'"_id"{draw(spaces)}:"{rank}",{draw(spaces)}"_score":{draw(spaces)}{draw(numbers)}{draw(spaces)},'
        f'"_source":{draw(spaces)}{draw(objects)}{draw(spaces)}}}{draw(spaces)}'
        for rank in range(1, draw(st.integers(0, 4)) + 1)
    ]
    array = f"[{','.join(hits) or draw(spaces)}]"
    return (
        f'{draw(spaces)}{{{draw(spaces)}"took":{draw(numbers)},{draw(spaces)}"more":{draw(values)},"hits"{draw(spaces)}:'
        f'{draw(spaces)}{{"total":{draw(values)},"max_score":{draw(numbers)}{draw(spaces)},"hits":{draw(spaces)}{array}'
        f"{draw(spaces)}}},{draw(spaces)}{draw(strings)}:{draw(values)}{draw(spaces)}}}{draw(spaces)}"
    )
