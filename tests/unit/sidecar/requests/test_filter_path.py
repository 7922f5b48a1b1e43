"""`filter_path`: what we ask for beside it, and what is left when that is taken out again."""

import json

import pytest

from sidecar.requests.filter_path import SOURCE, FilterPath

NEEDED = "timed_out,_shards.failed,hits.hits._score,hits.hits.fields,hits.hits._id,hits.hits._index"


def parsed(value: str) -> FilterPath:
    """Return a filter that filters something."""
    found = FilterPath.parse(value)
    assert found is not None
    return found


@pytest.mark.parametrize("value", [None, "", ",", " , "])
def test_a_filter_of_nothing_is_none(value: str | None) -> None:
    """The engines answer as if it were not there."""
    assert FilterPath.parse(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hits.hits._source", f"hits.hits._source,{NEEDED}"),
        (" hits.hits._id ,took,", f"hits.hits._id,took,{NEEDED}"),
        ("h*.hits", f"h*.hits,{NEEDED}"),
        ("hits.hits,-hits.hits._source.v*", f"hits.hits,-hits.hits._source.v*,{NEEDED}"),
        ("-took", "-took"),
        ("-hits.hits._source", "-hits.hits._source"),
        ("-_shards,-took", "-_shards.successful,-took"),
        ("hits.hits._id,-_shards", f"hits.hits._id,-_shards.successful,{NEEDED}"),
    ],
)
def test_what_we_need_is_asked_for_beside_it(value: str, expected: str) -> None:
    """Where only what is named is shown."""
    assert (True, expected) == (parsed(value).can_be_widened, parsed(value).widened())


@pytest.mark.parametrize(
    "value",
    [
        "took",
        "hits.total,took",
        "-hits",
        "-hits.hits",
        "-hits.*",
        "hits.hits,-h*",
        "hits.hits.fields.title",
        "hits.hits.f*.title",
        "-hits.hits.fields",
        "-hits.hits.fields.title",
        "-hits.hits._score",
        "-hits.hits._s*",
        "-timed_out",
        "-_shards.failed",
        "-_sh*",
        "-*",
        "**._id",
        "hits.**",
        "hits.hits.a\\.b",
        "hits..hits",
        "hits.hits.",
        "-",
        "responses.hits.hits._id",
    ],
)
def test_other_filters_are_left_alone(value: str) -> None:
    """They show no hits, hide or mix what we need, or say what engines read in several ways."""
    assert not parsed(value).can_be_widened


@pytest.mark.parametrize(
    ("value", "is_whole"),
    [
        ("hits", True),
        ("hits.hits._source", True),
        ("-took", True),
        ("*.*.*", True),
        ("hits.hits._id", False),
        ("hits.hits._source.title", False),
        ("-hits.hits._source.title", False),
        ("-hits.hits._source", False),
        ("hits,-hits.hits._so*", False),
    ],
)
def test_whether_the_source_is_shown_whole(value: str, is_whole: bool) -> None:
    """Only then its text can be read there."""
    assert is_whole == parsed(value).shows_whole(SOURCE)


HIT = {"_id": "1", "_score": 1.5, "_source": {"a": 1}, "fields": {"b": ["x"]}}
ONLY_OURS = {"_index": "a", "_id": "2", "_score": 1.25, "fields": {"b": ["y"]}}


@pytest.mark.parametrize(
    ("value", "widened", "expected"),
    [
        (
            "hits.hits._id",
            {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [HIT]}},
            {"hits": {"hits": [{"_id": "1", "_source": {"a": 1}}]}},
        ),
        (
            "hits.hits._source,_shards.total",
            {"timed_out": False, "_shards": {"total": 3, "failed": 0}, "hits": {"hits": [HIT, ONLY_OURS]}},
            {"_shards": {"total": 3}, "hits": {"hits": [{"_source": {"a": 1}}]}},
        ),
        (
            "hits.hits._source.c,hits.total",
            {"timed_out": False, "_shards": {"failed": 0}, "hits": {"total": 2, "hits": [ONLY_OURS, ONLY_OURS]}},
            {"hits": {"total": 2}},
        ),
        ("hits.hits._source.c", {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [ONLY_OURS]}}, {}),
        ("hits.hits._id", {"_shards": {"failed": 0}, "hits": {"hits": []}}, {}),
        ("hits", {"timed_out": False, "hits": {"hits": []}}, {"hits": {"hits": []}}),
        ("hits.h*", {"timed_out": False, "hits": {"hits": [HIT]}}, {"hits": {"hits": [HIT]}}),
        ("hits.hits.fields", {"hits": {"hits": [ONLY_OURS]}}, {"hits": {"hits": [{"fields": {"b": ["y"]}}]}}),
        ("*", {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [HIT]}}, None),
        ("-took", {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [HIT]}}, None),
        (
            "-_shards",
            {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [HIT]}},
            {"timed_out": False, "hits": {"hits": [HIT]}},
        ),
        ("hits.hits._id", {"took": 1}, None),
    ],
)
@pytest.mark.parametrize("layout", [{"separators": (",", ":")}, {"indent": 2, "separators": (",", " : ")}])
def test_what_only_we_asked_for_is_taken_out(
    value: str, widened: object, expected: object, layout: dict[str, object]
) -> None:
    """With whatever has nothing else in it, in the engine's own layout."""

    def printed(of: object) -> str:
        text = json.dumps(of, **layout)  # type: ignore[arg-type]
        return text.replace("{}", "{ }").replace("[]", "[ ]") + "\n" if "indent" in layout else text

    assert printed(widened if expected is None else expected) == parsed(value).restored(printed(widened))


@pytest.mark.parametrize("text", ["", "no JSON", '{"error":{"reason":"x"},"status":400}'])
def test_what_is_no_page_stays_as_it_is(text: str) -> None:
    """Such as an error."""
    assert text == parsed("hits.hits._id").restored(text)
