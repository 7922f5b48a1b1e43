"""Step 1: the words that the user typed, one row per kind of clause."""

from typing import Any

import pytest

from sidecar.requests.query_text import (
    ALL_FIELDS,
    is_identifier,
    query_string_words,
    read_knn,
    read_query,
    read_query_string,
)

MATCH = {"match": {"title": "blue sky"}}
WHY = {"match": {"body": "why is it blue"}}

# --- clauses ------------------------------------------------------------------------------------------------

CLAUSES: dict[str, tuple[Any, str | None, tuple[str, ...]]] = {
    "match": (MATCH, "blue sky", ("title",)),
    "match, long form": ({"match": {"title": {"query": "blue sky", "operator": "and"}}}, "blue sky", ("title",)),
    "match, white space": ({"match": {"title": "  blue \n sky "}}, "blue sky", ("title",)),
    "match with its own boost": ({"match": {"title": "blue", "boost": 2}}, "blue", ("title",)),
    "match of a number": ({"match": {"year": 2024}}, None, ()),
    "match_phrase": ({"match_phrase": {"title": "blue sky"}}, "blue sky", ("title",)),
    "match_phrase, long form": ({"match_phrase": {"title": {"query": "blue sky", "slop": 2}}}, "blue sky", ("title",)),
    "multi_match": (
        {"multi_match": {"query": "blue sky", "fields": ["title^3", "body", "title"]}},
        "blue sky",
        ("title", "body"),
    ),
    "multi_match without fields": ({"multi_match": {"query": "blue sky"}}, "blue sky", ALL_FIELDS),
    "multi_match of one field": ({"multi_match": {"query": "blue", "fields": "title"}}, "blue", ("title",)),
    "multi_match, cross_fields": (
        {"multi_match": {"query": "blue", "type": "cross_fields", "fields": ["a", "b"]}},
        "blue",
        ("a", "b"),
    ),
    "multi_match, bool_prefix": ({"multi_match": {"query": "blu", "type": "bool_prefix"}}, None, ()),
    "multi_match, phrase_prefix": ({"multi_match": {"query": "blu", "type": "phrase_prefix"}}, None, ()),
    "combined_fields": ({"combined_fields": {"query": "blue sky", "fields": ["a^2", "b"]}}, "blue sky", ("a", "b")),
    "query_string": (
        {"query_string": {"query": "title:red blue -green sky", "fields": ["body"]}},
        "blue sky",
        ("body",),
    ),
    "query_string, default_field": ({"query_string": {"query": "sky", "default_field": "a"}}, "sky", ("a",)),
    "query_string, fields only": ({"query_string": {"query": "status:active"}}, None, ()),
    "simple_query_string": (
        {"simple_query_string": {"query": '"blue sky" +why -red ti:me', "fields": ["a"]}},
        "blue sky why ti me",
        ("a",),
    ),
    "constant_score": ({"constant_score": {"filter": MATCH, "boost": 2}}, "blue sky", ("title",)),
    "nested": ({"nested": {"path": "c", "query": {"match": {"c.text": "blue"}}}}, "blue", ("c.text",)),
    "dis_max": ({"dis_max": {"queries": [MATCH, {"match": {"body": "blue sky"}}]}}, "blue sky", ("title", "body")),
    "boosting": ({"boosting": {"positive": MATCH, "negative": WHY, "negative_boost": 0.5}}, "blue sky", ("title",)),
    "function_score": ({"function_score": {"query": MATCH}}, "blue sky", ("title",)),
    "script_score": ({"script_score": {"query": MATCH, "script": {}}}, "blue sky", ("title",)),
    "pinned": ({"pinned": {"ids": ["1"], "organic": MATCH}}, "blue sky", ("title",)),
    "rule": ({"rule": {"organic": MATCH, "ruleset_ids": ["a"]}}, "blue sky", ("title",)),
    "knn": ({"knn": {"field": "v", "query_vector": [1], "k": 5}}, None, ()),
    "knn of a text": (
        {"knn": {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "blue sky"}}}},
        "blue sky",
        (),
    ),
    "knn of something else": ({"knn": {"field": "v", "query_vector_builder": {"lookup": {"id": "blue"}}}}, None, ()),
    "bool, must and should": (
        {"bool": {"must": [MATCH], "should": {"match": {"body": "clouds"}}}},
        "blue sky clouds",
        ("title", "body"),
    ),
    "bool, filter": ({"bool": {"filter": MATCH}}, None, ()),
    "bool, must_not": ({"bool": {"must_not": [MATCH]}}, None, ()),
    "bool in bool": ({"bool": {"must": {"bool": {"should": [MATCH]}}}}, "blue sky", ("title",)),
    "bool, filter beside must": (
        {"bool": {"must": MATCH, "filter": [{"term": {"lang": "english"}}, WHY]}},
        "blue sky",
        ("title",),
    ),
    "match_all": ({"match_all": {}}, None, ()),
    "term": ({"term": {"tag": "blue sky"}}, None, ()),
    "terms": ({"terms": {"tag": ["blue"]}}, None, ()),
    "range": ({"range": {"year": {"gte": 1}}}, None, ()),
    "ids": ({"ids": {"values": ["blue"]}}, None, ()),
    "prefix": ({"prefix": {"title": "blu"}}, None, ()),
    "wildcard": ({"wildcard": {"title": "bl*"}}, None, ()),
    "match_phrase_prefix": ({"match_phrase_prefix": {"title": "blue s"}}, None, ()),
    "match_bool_prefix": ({"match_bool_prefix": {"title": "blue s"}}, None, ()),
    "more_like_this": ({"more_like_this": {"like": "blue sky"}}, None, ()),
    "percolate": ({"percolate": {"field": "q", "document": {"t": "blue"}}}, None, ()),
    "no object": ("blue sky", None, ()),
    "nothing": (None, None, ()),
    "clause without object": ({"match": "blue"}, None, ()),
    "broken bool": ({"bool": {"must": "blue", "should": [None, 3]}}, None, ()),
}


@pytest.mark.parametrize(("query", "text", "fields"), CLAUSES.values(), ids=CLAUSES)
def test_words_and_fields(query: Any, text: str | None, fields: tuple[str, ...]) -> None:
    """Scored clauses give words and fields, everything else gives none."""
    reading = read_query(query)
    assert (text, fields) == (reading.text, reading.fields)


# --- weights ------------------------------------------------------------------------------------------------


def weighed(*texts: tuple[str, float]) -> dict[str, Any]:
    """Return a bool of match clauses with boosts."""
    return {"bool": {"should": [{"match": {"f": {"query": text, "boost": boost}}} for text, boost in texts]}}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (weighed(("blue", 1), ("sky", 1)), "blue sky"),
        (weighed(("blue", 1), ("sky", 0.5)), "blue sky"),
        (weighed(("blue", 1), ("sky", 0.4)), "blue"),
        (weighed(("blue", 1), ("sky", 3)), "sky"),
        (weighed(("blue", 1), ("blue", 5), ("sky", 4)), "blue sky"),
        (weighed(("blue sky", 1), ("Blue", 1)), "blue sky"),
        (weighed(("smart phone", 1), ("art", 1)), "smart phone art"),
        (weighed(("12345", 9), ("blue", 1)), "blue"),
        ({"bool": {"should": [{"bool": {"must": [MATCH], "boost": 0.1}}, WHY]}}, "why is it blue"),
    ],
    ids=[
        "equal",
        "half as heavy",
        "light",
        "the heavier one",
        "the heaviest of one text",
        "contained",
        "contained only in a word",
        "an identifier does not count",
        "boosts multiply",
    ],
)
def test_heavy_texts_are_the_question(query: Any, text: str) -> None:
    """The heaviest text and those at least half as heavy are joined, in the query's order, without repetition."""
    assert text == read_query(query).text


# --- facts about ranking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"function_score": {"query": MATCH, "random_score": {}}},
        {"script_score": {"query": MATCH, "script": {}}},
        {"pinned": {"ids": ["1"], "organic": MATCH, "boost": 2}},
        {"boosting": {"positive": {"pinned": {"ids": ["1"], "organic": MATCH}}, "negative_boost": 0.5}},
        {"script_score": {"query": {"rule": {"organic": MATCH}}, "script": {}}},
        {"bool": {"must": MATCH, "should": [{"rank_feature": {"field": "pagerank"}}]}},
        {"bool": {"must": MATCH, "should": [{"distance_feature": {"field": "date"}}]}},
        {"bool": {"must": MATCH, "should": [{"rank": {}}]}},
    ],
    ids=lambda query: next(iter(query)) if "bool" not in query else next(iter(query["bool"]["should"][0])),
)
def test_the_callers_own_ranking_is_seen(query: Any) -> None:
    """Clauses by which the caller ranks are noted, and the words are still read."""
    reading = read_query(query)
    assert (reading.has_custom_ranking, reading.text) == (True, "blue sky")


PINNED = {"pinned": {"ids": ["1"], "organic": MATCH}}


@pytest.mark.parametrize(
    "query",
    [
        PINNED,
        {"rule": {"organic": MATCH}},
        {"bool": {"must": [PINNED], "filter": {"term": {"shelf": "a"}}}},
        {"bool": {"should": [MATCH, {"dis_max": {"queries": [PINNED]}}]}},
        {"bool": {"must": [{"boosting": {"positive": MATCH}}, PINNED]}},
    ],
    ids=str,
)
def test_pins_are_no_ranking_of_the_callers_own(query: Any) -> None:
    """Where their scores tell them: they come first in any case, and the rest is ranked by its words."""
    reading = read_query(query)
    assert (False, "blue sky") == (reading.has_custom_ranking, reading.text)


@pytest.mark.parametrize("query", [MATCH, {"function_score": {"query": MATCH, "boost": 2}}, {"rank_feature": 3}, {}])
def test_plain_ranking_is_seen(query: Any) -> None:
    """A function_score without functions changes nothing."""
    assert read_query(query).has_custom_ranking is ("rank_feature" in query)


@pytest.mark.parametrize(
    "kind",
    ["knn", "hybrid", "neural", "neural_sparse", "semantic", "sparse_vector", "text_expansion", "weighted_tokens"],
)
def test_clauses_that_depend_on_size_are_seen(kind: str) -> None:
    """Wherever in the scored part they stand."""
    reading = read_query({"bool": {"must": MATCH, "should": [{kind: {"field": "v"}}]}})
    assert (reading.is_size_dependent, reading.text) == (True, "blue sky")
    assert not read_query({"bool": {"must": MATCH, "filter": [{kind: {}}]}}).is_size_dependent


# --- Lucene's syntax ----------------------------------------------------------------------------------------

SYNTAX = {
    "words": ("why is the sky blue", "why is the sky blue"),
    "question mark": ("why is the sky blue?", "why is the sky blue"),
    "phrase": ('"blue sky"~2 why', "blue sky why"),
    "escaped quote": (r'"blue \"sky\""', 'blue "sky"'),
    "operators": ("blue AND sky OR (clouds && rain) || sun", "blue sky clouds rain sun"),
    "lower case operators are words": ("salt and pepper", "salt and pepper"),
    "plus": ("+blue +sky", "blue sky"),
    "minus": ("blue -green sky", "blue sky"),
    "bang": ("blue !green", "blue"),
    "not": ("blue NOT green sky", "blue sky"),
    "and not": ("blue AND NOT green", "blue"),
    "excluded phrase": ('blue -"green grass" sky', "blue sky"),
    "excluded group": ("blue -(green grass) sky", "blue sky"),
    "not a group": ("NOT (green OR (red grass)) sky", "sky"),
    "hyphens inside words": ("covid-19 state-of-the-art", "covid-19 state-of-the-art"),
    "field": ("status:active blue", "blue"),
    "field with a hyphen": ("user-id:kim blue", "blue"),
    "field with a phrase": ('title:"green grass" blue', "blue"),
    "field with a group": ("title:(green grass) blue", "blue"),
    "field with a spaced group": ("title:( green OR grass ) blue", "blue"),
    "excluded field": ("-status:old blue", "blue"),
    "field with a range": ("date:[2020 TO 2021] blue", "blue"),
    "range": ("[a TO b] {c TO d} blue", "blue"),
    "regular expression": ("/joh?n(ath[oa]n)/ blue", "blue"),
    "wildcards": ("wor* b?ue sky", "sky"),
    "escaped wildcard": (r"what\? 5\*4", "what? 5*4"),
    "fuzzy": ("roam~ blue~1", "roam blue"),
    "boost": ('blue^2 "sky"^1.5 (clouds rain)^3', "blue sky clouds rain"),
    "escaped colon": (r"foo\:bar blue", "foo:bar blue"),
    "one bracket too many": ("blue) sky", "blue sky"),
    "one bracket too few": ("(blue sky", "blue sky"),
    "nothing": ("", ""),
    "only signs": ("+ - ( )", ""),
}


@pytest.mark.parametrize(("text", "words"), SYNTAX.values(), ids=SYNTAX)
def test_free_words_of_a_query_string(text: str, words: str) -> None:
    """What is excluded, bound to a field, or a pattern is no free word."""
    assert words == query_string_words(text)


@pytest.mark.parametrize("piece", ["[", "[ ", '"', '\\"', "/", "/ ", "(", "( a ", "a:", "\\", "^", "~", "-"])
@pytest.mark.timeout(20)
def test_reading_takes_linear_time(piece: str) -> None:
    """A caller cannot hold up the event loop with brackets that never close."""
    assert isinstance(query_string_words(piece * 100_000), str)


def test_the_text_of_a_vector() -> None:
    """`knn` of a search may be one or several; a vector that is given has no words."""
    built = {"query_vector_builder": {"text_embedding": {"model_text": "blue sky"}}}
    assert ("blue sky", (), True) == (read_knn(built).text, read_knn(built).fields, read_knn(built).is_size_dependent)
    assert "blue sky" == read_knn([{"query_vector": [1]}, built]).text
    assert [None, None, None] == [read_knn(knn).text for knn in (None, "x", {"query_vector": [1]})]


def test_the_url_s_query() -> None:
    """`q` is read like a query_string."""
    reading = read_query_string("status:x blue sky", ("title",))
    assert (reading.text, reading.fields) == ("blue sky", ("title",))
    assert read_query_string("status:x").clauses == ()


# --- identifiers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AB-1234", True),
        ("978-3-16-148410-0", True),
        ("550e8400-e29b-41d4-a716-446655440000", True),
        ("deadbeef01", True),
        ("2024", True),
        ("?!", True),
        ("", True),
        ("12345 67890", True),
        ("iphone15", False),
        ("covid-19", False),
        ("deadbeef", False),
        ("blue", False),
        ("AB-1234 manual", False),
        ("東京", False),
    ],
)
def test_identifiers_are_no_questions(text: str, expected: bool) -> None:
    """A part number names one thing; a word with a number in it asks for something."""
    assert expected is is_identifier(text)
