"""Other people's servers: what they are sent, what their answers and errors mean."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScoringTimeout
from sidecar.scoring.base import sigmoid
from sidecar.scoring.foreign import PORTION_BYTES, Cohere, ForeignSpeech, Infinity, Tei, Vllm, logit

SPEECHES = (Tei(), Vllm(model="m"), Infinity(model="m"), Cohere(model="m"))


def body_of(speech: ForeignSpeech, texts: Sequence[str] = ("a", "b")) -> dict[str, Any]:
    """Return what a call sends."""
    fields: dict[str, Any] = json.loads(speech.write("q", texts, 0.5))
    return fields


@pytest.mark.parametrize(
    ("speech", "path", "expected"),
    [
        (Tei(), "/rerank", {"query": "q", "texts": ["a", "b"], "raw_scores": True, "truncate": True}),
        (
            Vllm(model="m"),
            "/score",
            {
                "model": "m",
                "text_1": "q",
                "text_2": ["a", "b"],
                "use_activation": False,
                "activation": False,
                "truncate_prompt_tokens": -1,
            },
        ),
        (
            Infinity(model="m"),
            "/rerank",
            {"model": "m", "query": "q", "documents": ["a", "b"], "raw_scores": True, "return_documents": False},
        ),
        (
            Cohere(model="m"),
            "/v1/rerank",
            {"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 2, "return_documents": False},
        ),
    ],
)
def test_raw_scores_of_whole_lists_are_asked_for(speech: ForeignSpeech, path: str, expected: dict[str, Any]) -> None:
    """In each server's words; none has one for a deadline."""
    assert (path, expected) == (speech.path, body_of(speech))


def test_a_model_without_a_name_is_not_named() -> None:
    """Servers have defaults, and null is not one."""
    for speech in (Vllm(), Infinity(), Cohere()):
        assert "model" not in body_of(speech)


def test_text_is_sent_as_every_parser_takes_it() -> None:
    """UTF-8; a lone surrogate is replaced, a pair of them is the character that it means."""
    portions = Tei().portions(["京\ud800都", "\ud83d\ude00"])
    body = Tei().write("q\udfff", portions[0], None)
    assert {"query": "q\ufffd", "texts": ["京\ufffd都", "😀"], "raw_scores": True, "truncate": True} == json.loads(
        body.decode()
    )


def test_what_the_server_would_not_read_is_not_sent() -> None:
    """Of a text and of the query."""
    speech = Infinity(model="m", max_characters=3)
    assert [["abc", "ab"]] == [list(portion) for portion in speech.portions(["abcdef", "ab"])]
    assert "que" == json.loads(speech.write("query", ["a"], None))["query"]


def test_texts_travel_in_portions_that_the_server_takes() -> None:
    """Not too many, and not too much at once; together they are all texts in order."""
    texts = [str(number) for number in range(70)]
    assert [32, 32, 6] == [len(portion) for portion in Tei(max_texts=32).portions(texts)]
    assert texts == [text for portion in Tei(max_texts=32).portions(texts) for text in portion]
    half = "a" * (PORTION_BYTES // 2)
    assert [2, 1, 1, 1] == [len(portion) for portion in Tei().portions([half, half, "b", 3 * half, "c"])]
    wide = "京" * (PORTION_BYTES // 4)
    assert [1, 1] == [len(portion) for portion in Tei().portions([wide, wide])]


ITEMS: list[tuple[ForeignSpeech, Any]] = [
    (Tei(), lambda items: [{"index": index, "score": score} for index, score in items]),
    (Vllm(), lambda items: {"data": [{"index": index, "object": "score", "score": score} for index, score in items]}),
    (Infinity(), lambda items: {"results": [{"index": index, "relevance_score": score} for index, score in items]}),
]


@pytest.mark.parametrize(("speech", "written"), ITEMS)
def test_scores_are_matched_by_index(speech: ForeignSpeech, written: Any) -> None:
    """Whatever order they come in; whole numbers are numbers."""
    body = json.dumps(written([(2, 7.5), (0, -1), (1, 0.25)])).encode()
    assert [-1.0, 0.25, 7.5] == speech.read(body, 3)


@pytest.mark.parametrize(("speech", "written"), ITEMS)
@pytest.mark.parametrize(
    "items",
    [
        [],
        [(0, 1.0)],
        [(0, 1.0), (0, 1.0)],
        [(0, 1.0), (2, 1.0)],
        [(0, 1.0), (-1, 1.0)],
        [(0, 1.0), ("1", 1.0)],
        [(0, 1.0), (1, None)],
        [(0, 1.0), (1, "2.0")],
        [(0, 1.0), (1, True)],
        [(0, 1.0), (1, math.nan)],
        [(0, 1.0), (1, math.inf)],
        [(0, 1.0), (1, 10**400)],
        [(0, 1.0), (1, 1.0), (2, 1.0)],
    ],
)
def test_scores_that_are_none_are_the_models_failure(speech: ForeignSpeech, written: Any, items: Any) -> None:
    """Too few, too many, twice, for nobody, no number, not finite."""
    with pytest.raises(ModelFailed, match="the scorer gave"):
        speech.read(json.dumps(written(items)).encode(), 2)


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"7", b'{"results": 1, "data": 1}', b"[" * 100_000])
def test_an_answer_without_scores_is_the_models_failure(speech: ForeignSpeech, body: bytes) -> None:
    """Whatever was said instead."""
    with pytest.raises(ModelFailed, match="the scorer's answer has no list of scores"):
        speech.read(body, 1)


def test_probabilities_become_logits() -> None:
    """So that `relevance_score` and `min_score` mean what they mean elsewhere."""
    body = json.dumps({"results": [{"index": 0, "relevance_score": sigmoid(3.5)}]}).encode()
    assert [pytest.approx(3.5)] == Cohere().read(body, 1)


@given(st.floats(-30, 30))
def test_a_logit_undoes_the_sigmoid(number: float) -> None:
    """As far as a double can tell."""
    assert number == pytest.approx(logit(sigmoid(number)), abs=1e-2)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_logits_keep_the_order_of_whatever_comes(one: float, other: float) -> None:
    """Also where a server's scores are no probabilities after all."""
    assert math.isfinite(logit(one))
    if one < other:
        assert logit(one) <= logit(other)
    if one < other - 1e-6:
        assert logit(one) < logit(other)


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ModelFailed),
        (401, ScorerLost),
        (403, ScorerLost),
        (404, ModelFailed),
        (408, ScoringTimeout),
        (413, ModelFailed),
        (422, ModelFailed),
        (424, ModelFailed),
        (429, SchedulerFull),
        (500, ModelFailed),
        (502, ScorerLost),
        (503, ScorerLost),
        (504, ScoringTimeout),
    ],
)
def test_errors_become_ours(speech: ForeignSpeech, status: int, expected: type[RerankUnavailable]) -> None:
    """With the status and the server's words, or with what to do about the key."""
    error = speech.error(status, b'{"error": "because", "error_type": "Backend"}')
    assert type(error) is expected
    assert f"the scorer answered {status}" in str(error)
    assert ("scorer.api_key" if status in (401, 403) else "because") in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "because", "error_type": "Validation"}, "because"),
        ({"error": {"message": "because", "type": None, "param": None, "code": 400}}, "because"),
        ({"message": "because"}, "because"),
        ({"detail": "because"}, "because"),
        ({"detail": [{"loc": ["body", "query"], "msg": "because", "input": "a secret"}, 1]}, "because"),
        ({"query": "a secret"}, "without a reason"),
        (["a secret"], "without a reason"),
        (b"<html>a secret", "no JSON but 14 bytes"),
        ({"error": "because" * 100}, "because"),
    ],
)
def test_reasons_are_repeated_and_texts_are_not(body: Any, words: str) -> None:
    """Servers put the call into their errors; it is somebody's text, and errors are logged."""
    error = str(Infinity(model="m").error(422, body if isinstance(body, bytes) else json.dumps(body).encode()))
    assert error.startswith(f"the scorer answered 422: {words}")
    assert "secret" not in error
    assert len(error) < 400
