"""The places of a search answer that we model."""

import pytest
from hypothesis import given

from sidecar import answer
from tests.unit import json_texts

TEXT = (
    ' {"took":1, "timed_out" : false,"_shards":{"failed":0},"hits":{"max_score": 2.5,'
    '"hits":[ {"_id":"a","_score":2.5} ,{"_id":"b","_score":null,"_source":{"n":12345678901234567890}}]}}\n'
)


def test_hits_are_found_with_their_spans() -> None:
    """Ranks count from 1; a span is the hit's own text."""
    found = answer.parse(TEXT)
    assert ['{"_id":"a","_score":2.5}', '{"_id":"b","_score":null,"_source":{"n":12345678901234567890}}'] == [
        TEXT[hit.start : hit.end] for hit in found.hits
    ]
    assert [(1, "a", 2.5), (2, "b", None)] == [(hit.rank, hit.hit.id, hit.hit.score) for hit in found.hits]
    assert found.max_score is not None
    assert " 2.5" == TEXT[found.max_score.value_start - 1 : found.max_score.end]


def test_an_answer_without_max_score_has_none() -> None:
    """Nothing is made up."""
    assert answer.parse('{"hits":{"hits":[]}}').max_score is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, False),
        ('{"hits":{"hits":[]}}', False),
        ('{"_shards":{"failed":1},"hits":{"hits":[]}}', True),
        ('{"timed_out":true,"hits":{"hits":[]}}', True),
        ('{"_shards":null,"timed_out":null,"hits":{"hits":[]}}', False),
    ],
)
def test_failures_are_seen(text: str, expected: bool) -> None:
    """A failed shard or a search that ran into its time limit."""
    assert expected is answer.parse(text).has_failures


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"hits":[]}',
        '{"hits":{}}',
        '{"hits":{"hits":{}}}',
        '{"hits":{"hits":[1]}}',
        '{"hits":null}',
        "---",
    ],
)
def test_other_texts_are_value_error(text: str) -> None:
    """A text without an array of hits is left alone by whoever asked."""
    with pytest.raises(ValueError):  # noqa: PT011  # the scanner's words
        answer.parse(text)


def test_items_of_an_msearch_answer() -> None:
    """Each with its span and its own status; 200 where it says none."""
    text = '{"took":1,"responses":[ {"hits":{},"status":200} , {"error":{},"status":404},{},3]}'
    items = answer.parse_items(text)
    assert [200, 404, 200, 200] == [item.status for item in items]
    assert ['{"hits":{},"status":200}', '{"error":{},"status":404}', "{}", "3"] == [
        text[item.start : item.end] for item in items
    ]


@pytest.mark.parametrize("text", ["{}", '{"responses":{}}', '{"error":"x"}', "x"])
def test_no_responses_is_value_error(text: str) -> None:
    """An answer to the request as a whole holds no items."""
    with pytest.raises(ValueError):  # noqa: PT011
        answer.parse_items(text)


@given(json_texts.search_answers())
def test_the_text_is_carried_whole(text: str) -> None:
    """Spans lie in order within the array and hold what they say, however odd the text."""
    found = answer.parse(text)
    assert text == found.text
    ends = [found.array.start, *(position for hit in found.hits for position in (hit.start, hit.end)), found.array.end]
    assert sorted(ends) == ends
    assert [str(rank) for rank in range(1, len(found.hits) + 1)] == [hit.hit.id for hit in found.hits]
