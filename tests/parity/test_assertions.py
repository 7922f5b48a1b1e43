"""Tests of what YAML tests assert: every assertion can hold, and every one can fail."""

import json
from typing import Any

import pytest

from tests.parity.assertions import Failed, Stash, check, find
from tests.parity.connection import Answer

ANSWER = {
    "took": 3,
    "hits": {"total": 2, "max_score": 1.0, "hits": [{"_id": "1", "_source": {"a.b": "x"}}, {"_id": "2"}]},
    "flags": {"on": True, "off": False, "zero": 0, "no": "false", "empty": "", "none": None},
    "nodes": {"n1": {"name": "test-0"}},
    "big": 4611686018427387903,
    "rounded": 4.611686018427388e18,
}


def answer(value: Any, status: int = 200, kind: str = "application/json") -> Answer:
    """Return an answer with this body."""
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return Answer(status, (("content-type", kind),), body)


HOLDS = [
    ("match", {"hits.total": 2}),
    ("match", {"hits.total": 2.0}),
    ("match", {"hits.hits.1._id": "2"}),
    ("match", {r"hits.hits.0._source.a\.b": "x"}),
    ("match", {"hits.hits.1": {"_id": "2"}}),
    ("match", {"hits.hits.0._id": "/^ \\d $/"}),
    ("match", {"nodes._arbitrary_key_": "n1"}),
    ("match", {"nodes.$node.name": "test-0"}),
    ("match", {"hits.total": "$two"}),
    ("match", {"flags.none": None}),
    ("match", {"big": 4611686018427387903}),
    ("match", {"rounded": 4611686018427387903}),
    ("length", {"hits.hits": 2}),
    ("length", {"nodes": 1}),
    ("length", {"nodes.n1.name": 6}),
    ("contains", {"hits.hits": {"_id": "2"}}),
    ("contains", {"nodes.n1.name": "test"}),
    ("gt", {"hits.total": 1}),
    ("gte", {"hits.total": 2}),
    ("lt", {"hits.total": 3}),
    ("lte", {"hits.total": 2}),
    ("is_true", "flags.on"),
    ("is_true", "hits.hits.0"),
    ("is_true", ""),
    ("is_false", "flags.off"),
    ("is_false", "flags.zero"),
    ("is_false", "flags.no"),
    ("is_false", "flags.empty"),
    ("is_false", "no.such.thing"),
]
FAILS = [
    ("match", {"hits.total": 3}),
    ("match", {"hits.total": "2"}),
    ("match", {"hits.total": True}),
    ("match", {"flags.on": 1}),
    ("match", {"flags.zero": False}),
    ("match", {"hits.hits.2._id": "3"}),
    ("match", {"hits.hits.0": {"_id": "1"}}),
    ("match", {"hits.hits.0._id": "/^x$/"}),
    ("match", {"hits.total": "/2/"}),
    ("match", {"hits.total": "$three"}),
    ("match", {"no.such.thing": 1}),
    ("match", {"hits.total": 2, "took": 4}),
    ("length", {"hits.hits": 1}),
    ("length", {"no.such.thing": 0}),
    ("length", {"hits.total": 1}),
    ("contains", {"hits.hits": {"_id": "3"}}),
    ("contains", {"nodes.n1.name": "best"}),
    ("contains", {"no.such.thing": "x"}),
    ("gt", {"hits.total": 2}),
    ("gte", {"hits.total": 3}),
    ("lt", {"hits.total": 2}),
    ("lte", {"hits.total": 1}),
    ("lt", {"no.such.thing": 1}),
    ("gt", {"nodes.n1.name": 1}),
    ("is_true", "flags.off"),
    ("is_true", "flags.zero"),
    ("is_true", "no.such.thing"),
    ("is_false", "flags.on"),
    ("is_false", "hits.hits"),
]


@pytest.fixture
def stash() -> Stash:
    """Three values that were set aside."""
    kept = Stash()
    kept["two"], kept["three"], kept["node"] = 2, 3, "n1"
    return kept


@pytest.mark.parametrize(("word", "said"), HOLDS)
def test_what_holds_passes(word: str, said: Any, stash: Stash) -> None:
    """Nothing is raised."""
    check(word, said, answer(ANSWER), stash)


@pytest.mark.parametrize(("word", "said"), FAILS)
def test_what_does_not_hold_fails(word: str, said: Any, stash: Stash) -> None:
    """A runner that lets everything pass proves nothing."""
    with pytest.raises(Failed, match=word):
        check(word, said, answer(ANSWER), stash)


@pytest.mark.parametrize(("status", "found"), [(200, True), (404, False)])
def test_all_of_an_answer_to_head_is_whether_it_succeeded(status: int, found: bool) -> None:
    """It has no body."""
    assert find(answer("", status), "", Stash(), "HEAD") is found


def test_text_is_matched_as_a_whole() -> None:
    """Tables of `_cat` are no JSON; blanks in the expression mean nothing."""
    check("match", {"$body": "/^ green \\s+ open \\n $/\n"}, answer("green  open\n", kind="text/plain"), Stash())
    with pytest.raises(Failed, match="yellow"):
        check("match", {"$body": "/yellow/"}, answer("green  open\n", kind="text/plain"), Stash())


def test_yaml_is_read() -> None:
    """Engines answer in YAML when they are asked to."""
    assert find(answer("---\nhits:\n  total: 2\n", kind="application/yaml"), "hits.total", Stash()) == 2


def test_values_are_filled_in_everywhere(stash: Stash) -> None:
    """In values, inside of texts, in keys and in lists."""
    said = {"$node": ["$two", "x-${three}"], "cost": "5$"}
    assert stash.fill(said) == {"n1": [2, "x-3"], "cost": "5$"}


def test_what_was_not_set_aside_is_missed(stash: Stash) -> None:
    """A typing error in a test must not look like text."""
    with pytest.raises(Failed, match="four"):
        stash.fill("x-${four}")
