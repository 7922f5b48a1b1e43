"""The scoring protocol: what is written is what is read, and nonsense is refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import errors
from sidecar.errors import BadRerankRequest, ModelFailed, RerankUnavailable, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.wire import ScoreCall
from tests.unit.sidecar.scoring.doubles import FACTS

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=5), st.none() | st.floats(-10, 1e6))
def test_calls_survive_the_way(query: str, texts: list[str], seconds: float | None) -> None:
    """Every text, lone surrogates included, and the time that is left to a microsecond."""
    call = wire.read_call(wire.write_call(ScoreCall(query=query, texts=texts, seconds_left=seconds)))
    assert (call.query, list(call.texts)) == (query, texts)
    assert call.seconds_left is None if seconds is None else call.seconds_left == pytest.approx(seconds, abs=1e-6)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_scores_survive_the_way_to_the_last_bit(scores: list[float]) -> None:
    """What the model said is what the caller gets."""
    assert wire.read_scores(wire.write_scores(scores), len(scores)) == scores


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"query": "q"}',
        b'{"query": 1, "texts": []}',
        b'{"query": "q", "texts": [1]}',
        b'{"query": "q", "texts": [], "deadline_ms": "soon"}',
        b'{"query": "q", "texts": [], "deadline_ms": NaN}',
        b"[" * 100_000,
    ],
)
def test_calls_that_make_no_sense_are_refused(body: bytes) -> None:
    """With words, and never with another exception."""
    with pytest.raises(BadRerankRequest):
        wire.read_call(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"scores": [1.0]}', "1 scores for 2 texts"),
        (b'{"scores": [1.0, NaN]}', "no list of finite scores"),
        (b'{"scores": [1.0, "2"]}', "no list of finite scores"),
        (b'{"scores": [1.0, true]}', "no list of finite scores"),
        (b"<html>", "no list of finite scores"),
    ],
)
def test_answers_without_the_right_scores_are_the_models_failure(body: bytes, words: str) -> None:
    """A wrong number, NaN, or something else."""
    with pytest.raises(ModelFailed, match=words):
        wire.read_scores(body, 2)


def test_nan_is_never_written() -> None:
    """JSON has no word for it."""
    with pytest.raises(ValueError, match="JSON"):
        wire.write_scores([math.nan])


def test_facts_survive_the_way() -> None:
    """All of them, and fields that a newer scorer adds are ignored."""
    facts = replace(FACTS, tokens_per_second=123.5, device="cuda", dtype="fp16")
    assert wire.read_facts(wire.write_facts(facts)) == facts
    newer = json.dumps({**asdict(facts), "flavour": "vanilla"}).encode()
    assert wire.read_facts(newer) == facts


@pytest.mark.parametrize("change", [{"kind": "oracle"}, {"recommended_fusion": "magic"}, {"name": None}])
def test_who_gives_no_facts_is_no_scorer(change: dict[str, object]) -> None:
    """An unknown kind or fusion, or a missing name."""
    with pytest.raises(ScorerLost, match="not a scorer"):
        wire.read_facts(json.dumps({**asdict(FACTS), **change}).encode())


def _leaves(error: type[RerankUnavailable]) -> list[type[RerankUnavailable]]:
    below = error.__subclasses__()
    return [leaf for sub in below for leaf in _leaves(sub)] if below else [error]


def test_every_error_has_its_word_on_the_wire() -> None:
    """Each RerankUnavailable of sidecar.errors comes back as itself, with a status that says retry or not."""
    known = [error for error in _leaves(RerankUnavailable) if error.__module__ == errors.__name__]
    assert set(known) | {ModelFailed} == set(wire.ERRORS.values())
    for kind in wire.ERRORS.values():
        error = kind("some words")
        back = wire.read_error(wire.status_of(error), wire.write_error(error))
        assert (type(back), str(back)) == (kind, "some words")
        assert wire.status_of(error) in (429, 503, 504)


def test_an_error_in_other_words_is_a_lost_scorer() -> None:
    """A proxy's page in between, a status without a body."""
    error = wire.read_error(502, b"<html>Bad gateway</html>")
    assert isinstance(error, ScorerLost)
    assert "502: <html>Bad gateway" in str(error)


def test_figures_survive_the_way() -> None:
    """What is no number is left out, and what is no object has none."""
    assert wire.read_figures(wire.write_figures({"a": 1.0, "b": 2.5})) == {"a": 1.0, "b": 2.5}
    assert wire.read_figures(b'{"a": 1, "b": "x", "c": null, "d": NaN, "e": true}') == {"a": 1.0}
    assert wire.read_figures(b"[1]") == {}
    assert wire.read_figures(b"no JSON") == {}
