"""Rows of an answer: what the pipeline explains of a hit, and what is left where nothing was reranked."""

import json
from typing import Any

from connectors.base import SearchResponse
from sidecar.bulk.answers import answer_of


def response(*hits: dict[str, Any]) -> SearchResponse:
    """Return an engine's answer."""
    return SearchResponse(status=200, body=json.dumps({"hits": {"hits": list(hits)}}).encode())


def test_a_scored_hit() -> None:
    """All that the pipeline says of it, and the text that the model read."""
    said = {"first_stage_rank": 4, "first_stage_score": 7.5, "model_score": 2.25, "text": "read"}
    hit = {"_id": "a", "_score": 1.9, "_source": {"title": "other"}, "_rerank": said}
    [row] = answer_of(response(hit), ("title",), skipped="", has_texts=True).rows
    assert ("a", 1, 1.9, 4, 7.5, 2.25, "read") == (
        row.document,
        row.rank,
        row.score,
        row.first_stage_rank,
        row.first_stage_score,
        row.model_score,
        row.text,
    )


def test_a_search_that_was_left_alone() -> None:
    """Its order is the first stage's, and so are its scores; nobody has read its hits."""
    hits = ({"_id": "a", "_score": 9.0, "_source": {"title": "one"}}, {"_id": "b", "_score": 8.0, "_source": {}})
    found = answer_of(response(*hits), ("title",), skipped="too_few", has_texts=True)
    assert "too_few" == found.skipped
    assert [(1, 9.0, None, "one"), (2, 8.0, None, "")] == [
        (row.first_stage_rank, row.first_stage_score, row.model_score, row.text) for row in found.rows
    ]


def test_a_document_counts_once_and_texts_are_left_out() -> None:
    """The same id in another index is the same document; a run has no place for texts."""
    hits = ({"_id": "a", "_score": 2.0, "_source": {"t": "x"}}, {"_id": "a", "_score": 1.0, "_source": {"t": "y"}})
    [row] = answer_of(response(*hits), ("t",), skipped="", has_texts=False).rows
    assert ("a", 2.0, "") == (row.document, row.score, row.text)
