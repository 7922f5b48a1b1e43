"""The rerank API's words: what is understood, what is refused and how, and how scores are written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank_api.schema import (
    InvalidRerankCall,
    RerankCall,
    RerankLimits,
    decimal,
    read_call,
    write_error,
    write_results,
)
from sidecar.scoring.base import ModelFacts

FACTS = ModelFacts(
    name="some/model", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
)
LIMITS = RerankLimits(max_documents=5, max_characters=20)


def parsed(**fields: Any) -> RerankCall:
    """Return the call of a body with these fields beside a query and two documents."""
    body = {"query": "q", "documents": ["a", "b"], **fields}
    return read_call(json.dumps(body).encode(), LIMITS)


def test_the_smallest_call() -> None:
    """Query and documents; everything else has its default."""
    expected = RerankCall(query="q", documents=("a", "b"), top_n=None, raw_scores=False, return_documents=False)
    assert parsed() == expected


def test_the_call_of_the_model_card_and_of_other_dialects() -> None:
    """Objects with text, and fields that others know, are no error."""
    call = parsed(
        model="rerank-v3.5",
        documents=["a", {"text": "b", "title": "ignored"}, ""],
        top_n=2,
        raw_scores=True,
        return_documents=True,
        max_chunks_per_doc=10,
        rank_fields=None,
        priority=0,
    )
    expected = RerankCall(query="q", documents=("a", "b", ""), top_n=2, raw_scores=True, return_documents=True)
    assert call == expected


@pytest.mark.parametrize("top_n", [None, 0])
def test_null_and_zero_mean_all(top_n: int | None) -> None:
    """As vLLM's and Cohere's clients write it."""
    assert parsed(top_n=top_n).top_n is None


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"query": None}, "query", "query: got null or nothing, expected a string that is not empty"),
        ({"query": " "}, "query", "query: got an empty string, expected a string that is not empty"),
        ({"query": {}}, "query", "query: got an object, expected a string that is not empty"),
        ({"query": ["q"]}, "query", "query: got an array, expected a string that is not empty"),
        ({"query": "q" * 21}, "query", "query: got 21 characters, expected at most 20 characters"),
        ({"documents": None}, "documents", "documents: got null or nothing, expected an array of strings"),
        ({"documents": "a"}, "documents", "documents: got a string, expected an array of strings"),
        ({"documents": ["a"] * 6}, "documents", "documents: got 6, expected at most 5 (the limit is max_documents)"),
        ({"documents": ["a", 1]}, "documents[1]", 'documents[1]: got a number, expected a string or {"text": string}'),
        ({"documents": [{}]}, "documents[0]", "documents[0]: got an object without text"),
        ({"documents": [{"text": True}]}, "documents[0]", "documents[0]: got text as a boolean"),
        ({"documents": ["a" * 21]}, "documents[0]", "documents[0]: got 21 characters, expected at most 20"),
        ({"top_n": -1}, "top_n", "top_n: got -1, expected a whole number (0 or null = all)"),
        ({"top_n": 1.5}, "top_n", "top_n: got 1.5, expected a whole number (0 or null = all)"),
        ({"top_n": True}, "top_n", "top_n: got a boolean, expected a whole number (0 or null = all)"),
        ({"raw_scores": "yes"}, "raw_scores", "raw_scores: got a string, expected true, false or null"),
        ({"return_documents": 1}, "return_documents", "return_documents: got a number, expected true, false or null"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(fields: dict[str, Any], param: str, message: str) -> None:
    """The field, what it holds, what would be right."""
    with pytest.raises(InvalidRerankCall, match=f"^{re.escape(message)}") as caught:
        parsed(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    """Never another exception."""
    with pytest.raises(InvalidRerankCall, match="the body is not JSON"):
        read_call(body, LIMITS)


def test_a_body_that_is_no_object_is_refused() -> None:
    """An array of texts is somebody else's dialect."""
    with pytest.raises(InvalidRerankCall, match="the body is an array, expected an object"):
        read_call(b"[]", LIMITS)


def test_results_are_sorted_by_probability() -> None:
    """Best first, equal ones in the order of the documents, with the documents' indices."""
    call = parsed(documents=["a", "b", "c", "d"])
    answer = json.loads(write_results("1", call, [0.0, 2.0, -1.0, 2.0], FACTS))
    assert (answer["id"], answer["model"]) == ("1", "some/model")
    assert [result["index"] for result in answer["results"]] == [1, 3, 0, 2]
    assert answer["results"][0] == {"index": 1, "relevance_score": 0.880797078}


def test_top_n_cuts_and_documents_come_back_on_request() -> None:
    """As objects with text."""
    call = parsed(top_n=1, return_documents=True, raw_scores=True)
    answer = json.loads(write_results("1", call, [0.5, 7.25], FACTS))
    assert answer["results"] == [{"index": 1, "relevance_score": 7.25, "document": {"text": "b"}}]


def test_probabilities_follow_the_kind_of_model() -> None:
    """A cosine is not a logit."""
    answer = json.loads(write_results("1", parsed(), [1.0, 0.5], replace(FACTS, kind="cosine")))
    assert [result["relevance_score"] for result in answer["results"]] == [1.0, 0.75]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-11.0, "-11.0"),
        (1 / 3, "0.333333333"),
        (1e-12, "0.000000000001"),
        (12345678901.0, "12345678900.0"),
        (9.99999999999, "10.0"),
    ],
)
def test_scores_are_decimals_with_a_point(number: float, expected: str) -> None:
    """No exponent, at most nine significant digits."""
    assert decimal(number) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_score_is_the_number_to_nine_digits(number: float) -> None:
    """And always a JSON number with a point."""
    text = decimal(number)
    assert re.fullmatch(r"-?\d+\.\d+", text)
    assert float(text) == pytest.approx(number, rel=1e-8, abs=0)


def test_errors_are_read_by_every_client() -> None:
    """`message` at the top for Cohere's, `error.message` for OpenAI's."""
    body = json.loads(write_error("no", type="invalid_request_error", param="query", code="bad_request"))
    error = {"message": "no", "type": "invalid_request_error", "param": "query", "code": "bad_request"}
    assert body == {"message": "no", "error": error}
