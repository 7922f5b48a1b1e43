"""Single fields: what is understood, and what is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.rerank_api.calls import Document, InvalidRerankCall, RerankLimits
from sidecar.rerank_api.reading import (
    read_count,
    read_documents,
    read_flag,
    read_names,
    read_object,
    read_query,
    read_word,
)

LIMITS = RerankLimits(max_documents=5, max_characters=20)


def query(value: Any) -> Any:
    """Read a query."""
    return read_query(value, LIMITS)


def documents(value: Any) -> Any:
    """Read documents."""
    return read_documents(value, LIMITS)


def titled(value: Any) -> Any:
    """Read documents by their title and price."""
    return read_documents(value, LIMITS, rank_fields=("title", "price"))


def count(value: Any) -> Any:
    """Read a count."""
    return read_count(value, "top_n")


def flag(value: Any) -> Any:
    """Read a flag."""
    return read_flag(value, "raw_scores")


def names(value: Any) -> Any:
    """Read names."""
    return read_names(value, "rank_fields")


def order(value: Any) -> Any:
    """Read one of two words."""
    return read_word(value, "sort", ("score", "input"))


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (query, "q", "q"),
        (documents, [], ()),
        (documents, ["a", ""], (Document("a"), Document(""))),
        (documents, [{"text": "b", "n": 1}], (Document("b", {"text": "b", "n": 1}),)),
        (titled, ["a"], (Document("a"),)),
        (titled, [{"price": 7, "title": "b"}], (Document("b 7", {"price": 7, "title": "b"}),)),
        (titled, [{"title": None, "price": "c"}], (Document("c", {"title": None, "price": "c"}),)),
        (count, None, None),
        (count, 0, None),
        (count, 3, 3),
        (flag, None, None),
        (flag, True, True),
        (names, None, ()),
        (names, ["a"], ("a",)),
        (order, None, None),
        (order, "Input", "input"),
    ],
)
def test_what_is_understood(read: Callable[[Any], Any], value: Any, expected: Any) -> None:
    """Null is as good as absent, and 0 things are all."""
    assert expected == read(value)


@pytest.mark.parametrize(
    ("read", "value", "param", "message"),
    [
        (query, None, "query", "query: got null or nothing, expected a string that is not empty"),
        (query, " ", "query", "query: got an empty string, expected a string that is not empty"),
        (query, {}, "query", "query: got an object, expected a string that is not empty"),
        (query, ["q"], "query", "query: got an array, expected a string that is not empty"),
        (
            query,
            "q" * 21,
            "query",
            "query: got 21 characters, expected at most 20 characters (the limit is api.max_char",
        ),
        (documents, None, "documents", "documents: got null or nothing, expected an array of strings"),
        (documents, "a", "documents", "documents: got a string, expected an array of strings"),
        (documents, ["a"] * 6, "documents", "documents: got 6, expected at most 5 (the limit is api.max_documents)"),
        (documents, ["a", 1], "documents[1]", 'documents[1]: got a number, expected a string or {"text": string}'),
        (documents, [{}], "documents[0]", "documents[0]: got an object without text"),
        (documents, [{"text": True}], "documents[0]", "documents[0]: got text as a boolean"),
        (documents, ["a" * 21], "documents[0]", "documents[0]: got 21 characters, expected at most 20"),
        (
            titled,
            [{"text": "a"}],
            "documents[0]",
            "documents[0]: got none of them, expected title or price (the rank_f",
        ),
        (titled, [{}], "documents[0]", "documents[0]: got an empty object, expected title or price (the rank_fields)"),
        (titled, [{"title": []}], "documents[0].title", "documents[0].title: got an array, expected a string or a num"),
        (titled, [{"title": "a" * 21}], "documents[0]", "documents[0]: got 21 characters, expected at most 20"),
        (count, -1, "top_n", "top_n: got -1, expected a whole number (0 or null = all)"),
        (count, 1.5, "top_n", "top_n: got 1.5, expected a whole number (0 or null = all)"),
        (count, True, "top_n", "top_n: got a boolean, expected a whole number (0 or null = all)"),
        (count, "1", "top_n", "top_n: got a string, expected a whole number (0 or null = all)"),
        (flag, "yes", "raw_scores", "raw_scores: got a string, expected true, false or null"),
        (flag, 1, "raw_scores", "raw_scores: got a number, expected true, false or null"),
        (names, "text", "rank_fields", "rank_fields: got a string, expected an array of strings or null"),
        (names, [1], "rank_fields", "rank_fields: got an array, expected an array of strings or null"),
        (order, "best", "sort", 'sort: got "best", expected "score" or "input"'),
        (order, 1, "sort", 'sort: got a number, expected "score" or "input"'),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    read: Callable[[Any], Any], value: Any, param: str, message: str
) -> None:
    """The field, what it holds, what would be right, and the limit."""
    with pytest.raises(InvalidRerankCall, match=f"^{re.escape(message)}") as caught:
        read(value)
    assert caught.value.param == param
    assert ("the limit is" in str(caught.value)) == caught.value.is_too_large


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"top_n": ' + b"9" * 5000 + b"}"])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    """Never another exception."""
    with pytest.raises(InvalidRerankCall, match="the body is not JSON"):
        read_object(body)


def test_a_body_that_is_no_object_is_refused() -> None:
    """An array of texts is nobody's dialect."""
    with pytest.raises(InvalidRerankCall, match="the body is an array, expected an object"):
        read_object(b"[]")
