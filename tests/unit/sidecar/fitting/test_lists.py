"""Candidates with their terms and grades: what the pipeline says, measured as ir-measures does."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import SearchResponse
from sidecar.evaluation import measures
from sidecar.fitting.lists import Listed, as_arrays, listed
from sidecar.types import Candidate


def a_candidate(rank: int, *terms: float, id: str | None = None) -> Listed:
    """Return a candidate with these terms."""
    return Listed(
        id=id or f"d{rank}",
        candidate=Candidate(rank=rank, score=-float(rank), text=""),
        model_score=terms[0],
        terms=terms,
    )


def an_answer(*hits: dict[str, Any]) -> SearchResponse:
    """Return an answer with these hits."""
    return SearchResponse(status=200, body=json.dumps({"hits": {"hits": hits}}).encode())


def explained(id: str, rank: int, *values: float) -> dict[str, Any]:
    """Return an explained hit."""
    terms = [{"name": str(place), "value": value} for place, value in enumerate(values)]
    said = {"first_stage_rank": rank, "first_stage_score": 9.0 - rank, "model_score": values[0], "terms": terms}
    return {"_id": id, "_score": 1.0, "_rerank": said}


def test_candidates_are_in_first_stage_order_each_once() -> None:
    """A hit without terms has no text, or is not reranked."""
    pinned = {"_id": "p", "_rerank": {"first_stage_rank": 1, "pinned": True}}
    found = listed(
        an_answer(pinned, explained("b", 3, 0.5), explained("a", 2, 1.5), explained("b", 4, 0.1), {"_id": "x"})
    )
    assert [("a", 2, 7.0, (1.5,)), ("b", 3, 6.0, (0.5,))] == [
        (each.id, each.candidate.rank, each.candidate.score, each.terms) for each in found
    ]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-3, 3), st.integers(-1, 3)), min_size=1, max_size=14), min_size=1, max_size=4
    ),
    st.integers(0, 2),
)
def test_ndcg_is_that_of_ir_measures(queries: list[list[tuple[float, int]]], lost: int) -> None:
    """Linear gain, negative grades as zero; relevant documents that are no candidates count; ties keep their order."""
    listing = {
        f"q{number}": [a_candidate(rank, value) for rank, (value, _) in enumerate(each, start=1)]
        for number, each in enumerate(queries)
    }
    qrels = {
        f"q{number}": {f"d{rank}": grade for rank, (_, grade) in enumerate(each, start=1)}
        | {f"lost{n}": 2 for n in range(lost)}
        for number, each in enumerate(queries)
    }
    lists = as_arrays(listing, qrels, 1)
    rankings = {
        query: [each.id for each in sorted(each_list, key=lambda each: (-each.terms[0], each.candidate.rank))]
        for query, each_list in listing.items()
    }
    measured = measures.per_query(measures.parse(("nDCG@10",)), qrels, rankings)["nDCG@10"]
    assert {query for query, grades in qrels.items() if max(grades.values()) > 0} == set(lists.queries)
    expected = [measured[query] for query in lists.queries]
    assert expected == pytest.approx(lists.ndcg([1.0]).tolist() if lists.queries else [])


def test_spreads_are_within_queries() -> None:
    """What is the same for all candidates of a query tells nothing, whatever it is for others."""
    listing = {
        "a": [a_candidate(1, 1.0, 5.0), a_candidate(2, 3.0, 5.0)],
        "b": [a_candidate(1, 0.0, 8.0), a_candidate(2, 4.0, 8.0)],
        "c": [a_candidate(1, 9.0, 9.0)],
    }
    lists = as_arrays(listing, {query: {"d1": 1} for query in listing}, 2)
    assert np.allclose([1.5, 0.0], lists.spreads())
