"""Scores and errors as text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank_api.writing import array, decimal, error_for_everybody, members, tei_error, text


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
    written = decimal(number)
    assert re.fullmatch(r"-?\d+\.\d+", written)
    assert float(written) == pytest.approx(number, rel=1e-8, abs=0)


def test_text_survives_every_way() -> None:
    """A lone surrogate is an escape, and so is everything that is not ASCII."""
    written = text({"a": "京\ud800\n"})
    assert written.isascii()
    assert json.loads(written) == {"a": "京\ud800\n"}


def test_members_that_are_none_are_left_out() -> None:
    """The others are JSON already."""
    assert json.loads(members(a="1.0", b=None, c=array(["1", "2"]))) == {"a": 1.0, "c": [1, 2]}


def test_errors_are_read_by_every_client() -> None:
    """`message` for Cohere's, `error.message` for OpenAI's, `detail` for Voyage's and Jina's."""
    body = json.loads(error_for_everybody("no", type="invalid_request_error", param="query", code="bad_request"))
    error = {"message": "no", "type": "invalid_request_error", "param": "query", "code": "bad_request"}
    assert body == {"message": "no", "detail": "no", "error": error}


def test_teis_errors_are_words() -> None:
    """`error` is a string."""
    assert json.loads(tei_error("no", "Validation")) == {"error": "no", "error_type": "Validation"}
