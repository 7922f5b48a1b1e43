"""Step 4: the text of a hit, wherever the engine puts it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Hit
from sidecar.candidates import affordable, extract, field_text, template_fields
from sidecar.types import Candidate, RerankOptions


def hit(source: Any = None, fields: Any = None, score: Any = 1.5, rank: int = 1) -> Hit:
    """Return a hit."""
    return Hit(rank=rank, value={"_score": score, "_source": source, "fields": fields})


PLACES: dict[str, tuple[Any, Any, str, str]] = {
    # each row: what `_source` and `fields` hold, the field asked for, its text
    "plain": ({"text": "blue"}, None, "text", "blue"),
    "object": ({"doc": {"text": "blue"}}, None, "doc.text", "blue"),
    "dotted key": ({"doc.text": "blue"}, None, "doc.text", "blue"),
    "dotted key in an object": ({"a": {"b.c": "blue"}}, None, "a.b.c", "blue"),
    "object under a dotted key": ({"a.b": {"c": "blue"}}, None, "a.b.c", "blue"),
    "both spellings": ({"a.b": "blue", "a": {"b": "sky"}}, None, "a.b", "blue"),
    "array": ({"text": ["blue", "sky"]}, None, "text", "blue sky"),
    "array in an array": ({"text": [["blue"], "sky"]}, None, "text", "blue sky"),
    "array of objects": ({"doc": [{"text": "blue"}, {"other": 1}, {"text": "sky"}]}, None, "doc.text", "blue sky"),
    "nested in nested": ({"a": [{"b": [{"c": "blue"}, {"c": "sky"}]}]}, None, "a.b.c", "blue sky"),
    "sub-field": ({"title": "blue"}, None, "title.english", "blue"),
    "sub-field of an array": ({"title": ["blue", "sky"]}, None, "title.english", "blue sky"),
    "sub-field in an object": ({"doc": {"title": "blue"}}, None, "doc.title.english", "blue"),
    "white space": ({"text": ["  blue\n", "   ", "sky"]}, None, "text", "blue sky"),
    "number": ({"text": 5}, None, "text", ""),
    "null": ({"text": None}, None, "text", ""),
    "missing": ({"other": "blue"}, None, "text", ""),
    "object where text was meant": ({"text": {"input": "blue"}}, None, "text", ""),
    "no source": (None, None, "text", ""),
    "fields": (None, {"text": ["blue"]}, "text", "blue"),
    "fields over source": ({"text": "green"}, {"text": ["blue"]}, "text", "blue"),
    "source where fields have others": ({"text": "blue"}, {"date": ["2024"]}, "text", "blue"),
    "fields, dotted": (None, {"doc.text": ["blue", "sky"]}, "doc.text", "blue sky"),
    "fields, nested": (None, {"doc": [{"text": ["blue"]}, {"text": ["sky"]}]}, "doc.text", "blue sky"),
    "fields, nested in an object": (None, {"a.b": [{"c": ["blue"]}]}, "a.b.c", "blue"),
    "fields, sub-field": (None, {"title.english": ["blue"]}, "title.english", "blue"),
    "fields, parent of a sub-field": (None, {"title": ["blue"]}, "title.english", "blue"),
    "fields, not a string": ({"n": "blue"}, {"n": [5]}, "n", "blue"),
}


@pytest.mark.parametrize(("source", "fields", "field", "text"), PLACES.values(), ids=PLACES)
def test_text_is_read_where_the_engine_puts_it(source: Any, fields: Any, field: str, text: str) -> None:
    """Objects, dotted keys, arrays and nested objects, in `_source` and in `fields`."""
    assert text == field_text(hit(source, fields), field)


def test_fields_are_joined_in_the_given_order() -> None:
    """A field without text leaves no gap, and one that is named twice counts once."""
    found = extract([hit({"a": "one", "b": 2, "c": "three"})], ["c", "b", "a", "c"])
    assert "three one" == found[0].text


@pytest.mark.parametrize(
    ("template", "source", "text"),
    [
        ("{title}. {body}", {"title": "T", "body": "B"}, "T. B"),
        ("{title}. {body}", {"title": "T"}, "T."),
        ("{title}. {body}", {"other": "x"}, ""),
        ("{doc.title}: {tags}", {"doc": {"title": "T"}, "tags": ["a", "b"]}, "T: a b"),
        ("{title} {title}", {"title": "T"}, "T T"),
        ("{title} {}{", {"title": "T"}, "T {}{"),
        ("{title}", {"title": "{body}", "body": "B"}, "{body}"),
        ("{title}", {"title": r"\1 %s"}, r"\1 %s"),
    ],
    ids=["both", "one missing", "none", "dotted", "twice", "odd braces", "braces in a text", "no patterns"],
)
def test_a_template_makes_one_text_of_fields(template: str, source: dict[str, Any], text: str) -> None:
    """A text is put in as it is; without any field there is no text."""
    assert text == extract([hit(source)], template_fields(template), RerankOptions(template=template))[0].text


def test_template_fields_are_named_once_in_order() -> None:
    """What stands between braces is a field name."""
    assert ("b", "a.c") == template_fields("{b}: {a.c} - {b} {} }x{")


def test_a_candidate_keeps_rank_and_score() -> None:
    """The rank is a candidate's identity; a hit without a score has none."""
    found = extract([hit({"text": "a"}, rank=1, score=2), hit({"text": ""}, rank=2, score=None)], ["text"])
    assert [Candidate(rank=1, score=2.0, text="a"), Candidate(rank=2, score=None, text="")] == found
    assert [] == extract([], ["text"])


# --- the budget ---------------------------------------------------------------------------------------------


def candidates(*texts: str) -> list[Candidate]:
    """Return candidates with these texts."""
    return [Candidate(rank=rank, score=None, text=text) for rank, text in enumerate(texts, start=1)]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(None, 3), (0, 3), (1, 1), (29, 1), (30, 2), (44, 2), (45, 3), (10_000, 3)],
)
def test_a_budget_takes_a_prefix(budget: int | None, expected: int) -> None:
    """Each of these costs 15 tokens: 3 special ones, 1 of the query, 11 of the text."""
    found = candidates("x" * 40, "y" * 40, "z" * 40)
    assert expected == affordable(found, "abc", token_budget=budget, max_length=512)


def test_a_candidate_without_text_costs_nothing() -> None:
    """It is not scored."""
    found = candidates("x" * 40, "", "", "z" * 40)
    assert 3 == affordable(found, "abc", token_budget=29, max_length=512)


def test_a_long_text_costs_what_the_model_reads() -> None:
    """Longer texts are cut, so they cost `max_length` tokens."""
    assert 2 == affordable(candidates("x" * 9999, "y" * 9999), "abc", token_budget=200, max_length=100)


def test_one_candidate_is_always_affordable() -> None:
    """A budget below one text would rerank nothing."""
    assert 1 == affordable(candidates("x" * 9999), "abc", token_budget=1, max_length=512)


def test_bytes_count_not_characters() -> None:
    """Three bytes each; a lone surrogate does no harm."""
    assert 1 == affordable(candidates("東" * 100, "a"), "abc", token_budget=79, max_length=512)
    assert 1 == affordable(candidates("\ud800"), "abc", token_budget=5, max_length=512)


@given(st.lists(st.text(max_size=60), max_size=8), st.integers(0, 200), st.integers(0, 200))
def test_a_larger_budget_never_takes_less(texts: list[str], one: int, other: int) -> None:
    """And more candidates behind a prefix change nothing of it."""
    found = candidates(*texts)
    small, large = sorted((one + 1, other + 1))
    with_small = affordable(found, "q", token_budget=small, max_length=50)
    assert with_small <= affordable(found, "q", token_budget=large, max_length=50)
    longer = affordable([*found, Candidate(rank=99, score=None, text="more")], "q", token_budget=small, max_length=50)
    assert longer in (with_small, with_small + 1) or not found


def test_a_value_that_several_fields_have_stands_once() -> None:
    """A copy_to target repeats the others."""
    hit = Hit(rank=1, value={"_source": {"title": "a", "body": "b"}, "fields": {"all": ["a", "b", "c"]}})
    (candidate,) = extract([hit], ("title", "body", "all"))
    assert candidate.text == "a b c"
