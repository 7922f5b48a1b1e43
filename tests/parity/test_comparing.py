"""Tests of comparing answers: what must be found, and what must not."""

import json
from typing import Any

import pytest

from tests.parity.comparing import differences, is_equivalent, is_identical, leaves
from tests.parity.connection import Answer

JSON = ("content-type", "application/json")
BODY = b'{"took":1,"hits":[{"_id":"a","_score":1.0}]}'


def answer(body: bytes = BODY, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, (JSON, *headers), body)


def found(proxied: Any, *direct: Any) -> set[str]:
    """Return the paths at which a body differs from direct ones."""
    values = [leaves(answer(json.dumps(each).encode())) for each in (proxied, *direct)]
    return set(differences(values[0], values[1:]))


@pytest.mark.parametrize(
    "other",
    [
        answer(BODY.replace(b'"took":1', b'"took":12')),
        answer(BODY, 200, ("X-Rerank", "skipped"), ("Server-Timing", "a"), ("Content-Length", "44"), ("Date", "now")),
        answer(BODY, 200, ("Transfer-Encoding", "chunked"), ("Connection", "close")),
    ],
)
def test_only_time_framing_and_our_headers_may_differ(other: Answer) -> None:
    """These answers are the same answer."""
    assert is_identical(answer(), other)


@pytest.mark.parametrize(
    "other",
    [
        answer(BODY, 201),
        answer(BODY.replace(b"1.0", b"1.00")),
        answer(BODY.replace(b":", b": ", 1)),
        answer(BODY + b"\n"),
        answer(BODY, 200, ("X-New", "1")),
        answer(BODY, 200, JSON),
        Answer(200, (), BODY),
        Answer(200, (("Content-Type", "application/json"),), BODY),
    ],
)
def test_every_other_byte_and_header_counts(other: Answer) -> None:
    """Status, numbers as they are written, blanks, a missing, an added, a doubled and a respelled header."""
    assert not is_identical(answer(), other)


def test_the_length_counts_where_there_is_no_body() -> None:
    """After HEAD it is all that can be compared."""
    one, other = (Answer(200, (("content-length", length),), b"") for length in ("3", "4"))
    assert is_identical(one, other)
    assert not is_identical(one, other, is_head=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"_id":"Yk2X1ZUBq0Y5c3mJ7x8A"}', b'{"_id":"aF2X1ZUBq0Y5c3mJ7x8B"}'),
        (b'{"uuid":"tN1PZ0kUQZ-vGg6Kf1xv_A"}', b'{"uuid":"aN1PZ0kUQZ-vGg6Kf1xv_B"}'),
        (b'{"task":"tN1PZ0kUQZ-vGg6Kf1xv_A:12"}', b'{"task":"aN1PZ0kUQZ-vGg6Kf1xv_B:345"}'),
        (b'{"_scroll_id":"' + b"aB3_" * 12 + b'="}', b'{"_scroll_id":"' + b"bC4_" * 15 + b'"}'),
        (b'{"created":1764150000000}', b'{"created":1764150000999}'),
    ],
)
def test_plays_may_differ_in_ids_and_moments(one: bytes, other: bytes) -> None:
    """Two plays of one test are equivalent, not identical."""
    assert is_equivalent(answer(one), answer(other))
    assert not is_identical(answer(one), answer(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"_id":"1"}', b'{"_id":"2"}'),
        (b'{"name":"number_of_shards_abc"}', b'{"name":"number_of_shards_abd"}'),
        (
            b'{"total_time_excluding_waiting_on_lock_in_millis":0}',
            b'{"total_time_excluding_waiting_on_locks_in_millis":0}',
        ),
        (b'{"date":"2016-01-01T00:00:00Z"}', b'{"date":"2016-01-02T00:00:00Z"}'),
        (b'{"price":1234567890123}', b'{"price":1234567890124}'),
    ],
)
def test_plays_differ_in_nothing_else(one: bytes, other: bytes) -> None:
    """Ids that a test has chosen, names, and the dates of its documents."""
    assert not is_equivalent(answer(one), answer(other))


def test_a_difference_is_found_where_it_is() -> None:
    """By its path, also when something is missing or too many."""
    direct = {"a": [{"b": 1}, {"b": 2}], "c": None}
    assert found(direct, direct) == set()
    assert found({"a": [{"b": 1}, {"b": 3}], "c": None}, direct) == {"body.a.1.b"}
    assert found({"a": [{"b": 1}], "c": None}, direct) == {"body.a[]", "body.a.1{}", "body.a.1.b"}
    assert found({**direct, "d": 1}, direct) == {"body{}", "body.d"}
    assert found({"a": direct["a"], "c": 0}, direct) == {"body.c"}
    assert found({"a": direct["a"], "c": False}, direct) == {"body.c"}


def test_only_what_differs_by_itself_is_left_out() -> None:
    """A number that the engine itself changes, and what it lists now so and now so."""
    one = {"heap": 1, "tasks": [{"id": 1}], "name": "a"}
    other = {"heap": 2, "tasks": [{"id": 1}, {"id": 2}], "name": "a"}
    assert found({"heap": 3, "tasks": [], "name": "a"}, one, other) == set()
    assert found({"heap": 3, "tasks": [], "name": "b"}, one, other) == {"body.name"}


def test_tables_are_compared_by_their_words() -> None:
    """And so is whatever else is no JSON."""
    one, other, wrong = (
        leaves(Answer(200, (("content-type", "text/plain"),), text)) for text in (b"x 1 y", b"x 2 y", b"x 3 z")
    )
    assert set(differences(wrong, [one, other])) == {"body.2"}


def test_status_and_headers_are_compared_too() -> None:
    """They are part of what an answer says."""
    direct, proxied = leaves(answer(b"{}", 200, ("x", "1"))), leaves(answer(b"{}", 404, ("x", "1"), ("x", "2")))
    assert set(differences(proxied, [direct])) == {"status", "header x"}
