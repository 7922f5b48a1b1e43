"""Dialects: how a body tells its own, what is read, what is answered, how it is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.rerank_api import dialects
from sidecar.rerank_api.calls import Answer, Document, InvalidRerankCall, RerankCall, RerankLimits
from sidecar.rerank_api.dialects import Dialect
from tests.unit.sidecar.scoring.doubles import FACTS

LIMITS = RerankLimits(max_documents=5, max_characters=20)
QUERY_AND_DOCUMENTS = {"query": "q", "documents": ["a", "b"]}
A_B = (Document("a"), Document("b"))
PLAIN = RerankCall(queries=("q", "q"), documents=A_B)

EVERY_DIALECT = (
    dialects.COHERE,
    dialects.COHERE_V2,
    dialects.JINA,
    dialects.VLLM,
    dialects.INFINITY,
    dialects.VOYAGE,
    dialects.SCORE,
    dialects.TEI,
    dialects.TEXT_RANKING,
    dialects.SIMILARITY,
)


def written(dialect: Dialect, call: RerankCall) -> Any:
    """Return the answer in which the second document is the best."""
    results = [(1, 0.75), (0, 0.5)]
    answer = Answer(id="rerank-1", created=12, call=call, results=results, facts=FACTS, tokens=10)
    return json.loads(dialect.write(answer))


# --- which dialect ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, dialects.COHERE),
        (QUERY_AND_DOCUMENTS, dialects.COHERE),
        ({"query": "q", "texts": []}, dialects.TEI),
        ({"inputs": {"query": "q", "texts": []}}, dialects.TEXT_RANKING),
        ({"inputs": {"source_sentence": "q", "sentences": []}}, dialects.SIMILARITY),
        ({"inputs": 1}, dialects.TEXT_RANKING),
        ({**QUERY_AND_DOCUMENTS, "top_k": None}, dialects.VOYAGE),
        ({**QUERY_AND_DOCUMENTS, "truncation": True}, dialects.VOYAGE),
        ({"text_1": "q", "text_2": "a"}, dialects.SCORE),
        ({"data_1": "q", "data_2": "a"}, dialects.SCORE),
        ({"queries": "q", "documents": "a"}, dialects.SCORE),
    ],
)
def test_a_body_tells_its_dialect(fields: dict[str, Any], expected: Dialect) -> None:
    """By words that only one dialect has."""
    assert expected is dialects.of_body(fields)


def test_where_the_body_does_not_say_the_path_does() -> None:
    """And where it says, the path does not count."""
    assert dialects.of_body(QUERY_AND_DOCUMENTS, dialects.COHERE_V2) is dialects.COHERE_V2
    assert dialects.of_body({"texts": []}, dialects.COHERE_V2) is dialects.TEI


# --- what is read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "fields", "expected"),
    [
        (dialects.COHERE, QUERY_AND_DOCUMENTS, PLAIN),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "top_n": 0, "priority": "x", "model": 7, "stream": {}}, PLAIN),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "top_n": 1}, replace(PLAIN, top_n=1)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "raw_scores": True}, replace(PLAIN, raw_scores=True)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "use_activation": False}, replace(PLAIN, raw_scores=True)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "use_activation": True}, PLAIN),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "return_documents": True}, replace(PLAIN, return_documents=True)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "max_chunks_per_doc": 4}, replace(PLAIN, max_passages=4)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "max_chunks_per_doc": None}, PLAIN),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "sort": "input"}, replace(PLAIN, in_input_order=True)),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "truncation_side": "right"}, PLAIN),
        (
            dialects.COHERE,
            {"query": "q", "documents": [{"t": "a"}], "rank_fields": ["t"]},
            RerankCall(queries=("q",), documents=(Document("a", {"t": "a"}),)),
        ),
        (dialects.JINA, QUERY_AND_DOCUMENTS, replace(PLAIN, return_documents=True)),
        (dialects.JINA, {**QUERY_AND_DOCUMENTS, "return_documents": False}, PLAIN),
        (dialects.VLLM, {**QUERY_AND_DOCUMENTS, "return_documents": False}, replace(PLAIN, return_documents=True)),
        (dialects.VOYAGE, {**QUERY_AND_DOCUMENTS, "top_k": 1}, replace(PLAIN, top_n=1)),
        (dialects.VOYAGE, {**QUERY_AND_DOCUMENTS, "top_k": None, "top_n": 1}, replace(PLAIN, top_n=1)),
        (dialects.VOYAGE, {**QUERY_AND_DOCUMENTS, "truncation": False}, replace(PLAIN, truncate=False)),
        (dialects.TEI, {"query": "q", "texts": ["a", "b"]}, replace(PLAIN, documents_name="texts")),
        (
            dialects.TEI,
            {
                "query": "q",
                "texts": ["a", "b"],
                "raw_scores": True,
                "return_text": True,
                "truncate": False,
                "truncation_direction": "Right",
                "top_n": 1,
            },
            replace(PLAIN, documents_name="texts", raw_scores=True, return_documents=True, truncate=False, top_n=1),
        ),
        (
            dialects.TEXT_RANKING,
            {"inputs": {"query": "q", "texts": ["a", "b"], "raw_scores": True}},
            replace(PLAIN, documents_name="inputs.texts", raw_scores=True),
        ),
        (
            dialects.SIMILARITY,
            {"inputs": {"source_sentence": "q", "sentences": ["a", "b"]}},
            replace(PLAIN, documents_name="inputs.sentences", in_input_order=True),
        ),
        (
            dialects.SCORE,
            {"text_1": "q", "text_2": ["a", "b"]},
            replace(PLAIN, documents_name="text_2", in_input_order=True),
        ),
        (
            dialects.SCORE,
            {"queries": ["p", "q"], "documents": ["a", "b"], "use_activation": False},
            replace(PLAIN, queries=("p", "q"), documents_name="documents", in_input_order=True, raw_scores=True),
        ),
        (
            dialects.SCORE,
            {"data_1": ["q"], "data_2": "a"},
            RerankCall(queries=("q",), documents=(Document("a"),), documents_name="data_2", in_input_order=True),
        ),
        (
            dialects.SCORE,
            {"text_1": "q", "text_2": []},
            RerankCall(queries=(), documents=(), documents_name="text_2", in_input_order=True),
        ),
    ],
)
def test_a_call_is_understood(dialect: Dialect, fields: dict[str, Any], expected: RerankCall) -> None:
    """Fields of others are no error."""
    assert expected == dialect.read(fields, LIMITS)


@pytest.mark.parametrize(
    ("dialect", "fields", "param", "message"),
    [
        (dialects.COHERE, {"query": "q"}, "documents", "documents: got null or nothing"),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "max_chunks_per_doc": -1}, "max_chunks_per_doc", "max_chunks_per_do"),
        (dialects.COHERE, {**QUERY_AND_DOCUMENTS, "use_activation": 1}, "use_activation", "use_activation: got a num"),
        (
            dialects.COHERE,
            {**QUERY_AND_DOCUMENTS, "truncation_side": "left"},
            "truncation_side",
            "truncation_side: got",
        ),
        (dialects.VOYAGE, {**QUERY_AND_DOCUMENTS, "top_k": "1"}, "top_k", "top_k: got a string"),
        (dialects.VOYAGE, {**QUERY_AND_DOCUMENTS, "truncation": "no"}, "truncation", "truncation: got a string"),
        (dialects.TEI, {"query": "q", "texts": [1]}, "texts[0]", "texts[0]: got a number"),
        (
            dialects.TEI,
            {"query": "q", "texts": [], "truncation_direction": "Left"},
            "truncation_direction",
            'truncation_direction: got "left", expected "right"',
        ),
        (dialects.TEXT_RANKING, {"inputs": ["q"]}, "inputs", "inputs: got an array, expected an object"),
        (dialects.TEXT_RANKING, {"inputs": {}}, "inputs.query", "inputs.query: got null or nothing"),
        (dialects.SIMILARITY, {"inputs": {"source_sentence": "q"}}, "inputs.sentences", "inputs.sentences: got null"),
        (dialects.SCORE, {"query": "q", "texts": []}, "text_2", "text_2: got null or nothing"),
        (dialects.SCORE, {"text_1": 1, "text_2": "a"}, "text_1", "text_1: got a number, expected a string or an array"),
        (dialects.SCORE, {"text_1": ["", "q"], "text_2": ["a", "b"]}, "text_1[0]", "text_1[0]: got an empty string"),
        (
            dialects.SCORE,
            {"text_1": ["q", "q"], "text_2": ["a", "b", "c"]},
            "text_1",
            "text_1: got 2, expected one, or 3, as many as text_2",
        ),
    ],
)
def test_a_call_that_cannot_be_understood_is_refused(
    dialect: Dialect, fields: dict[str, Any], param: str, message: str
) -> None:
    """By the name that the caller knows."""
    with pytest.raises(InvalidRerankCall, match=f"^{re.escape(message)}") as caught:
        dialect.read(fields, LIMITS)
    assert caught.value.param == param


# --- what is answered ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "version"), [(dialects.COHERE, "1"), (dialects.COHERE_V2, "2")])
def test_coheres_answer(dialect: Dialect, version: str) -> None:
    """Results with an index and a score, and nothing else."""
    assert written(dialect, PLAIN) == {
        "id": "rerank-1",
        "model": "fake",
        "results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.5}],
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
        "meta": {"api_version": {"version": version}},
    }


ECHOED = replace(PLAIN, documents=(Document("a"), Document("b 7", {"title": "b", "price": 7})), return_documents=True)


@pytest.mark.parametrize(
    ("dialect", "key", "document"),
    [
        (dialects.COHERE, "results", {"title": "b", "price": 7, "text": "b 7"}),
        (dialects.JINA, "results", {"title": "b", "price": 7, "text": "b 7"}),
        (dialects.INFINITY, "results", "b 7"),
        (dialects.VOYAGE, "data", "b 7"),
    ],
)
def test_documents_come_back_in_the_dialects_shape(dialect: Dialect, key: str, document: Any) -> None:
    """Objects keep their fields where the dialect has objects."""
    assert document == written(dialect, ECHOED)[key][0]["document"]


def test_an_objects_own_text_comes_back_as_it_is() -> None:
    """Even where other fields were scored."""
    given = {"text": "own", "title": "b"}
    call = replace(PLAIN, documents=(Document("a"), Document("b", given)), return_documents=True)
    assert given == written(dialects.COHERE, call)["results"][0]["document"]


def test_infinitys_answer() -> None:
    """With its top level."""
    answer = written(dialects.INFINITY, PLAIN)
    assert ("rerank", 12, "fake") == (answer["object"], answer["created"], answer["model"])
    assert {"prompt_tokens": 10, "total_tokens": 10} == answer["usage"]


def test_voyages_answer() -> None:
    """`data` in place of `results`."""
    assert written(dialects.VOYAGE, PLAIN) == {
        "object": "list",
        "data": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.5}],
        "model": "fake",
        "usage": {"total_tokens": 10},
    }


@pytest.mark.parametrize("dialect", [dialects.TEI, dialects.TEXT_RANKING])
def test_teis_answer(dialect: Dialect) -> None:
    """A bare array, with texts on request."""
    assert written(dialect, PLAIN) == [{"index": 1, "score": 0.75}, {"index": 0, "score": 0.5}]
    assert written(dialect, replace(PLAIN, return_documents=True))[0] == {"index": 1, "text": "b", "score": 0.75}


def test_similarities_are_numbers() -> None:
    """In the order of the results."""
    assert written(dialects.SIMILARITY, PLAIN) == [0.75, 0.5]


def test_vllms_scores() -> None:
    """Items of a list."""
    answer = written(dialects.SCORE, PLAIN)
    assert [{"index": 1, "object": "score", "score": 0.75}, {"index": 0, "object": "score", "score": 0.5}] == answer[
        "data"
    ]
    assert ("list", 12, "fake", "rerank-1") == (answer["object"], answer["created"], answer["model"], answer["id"])


# --- how it is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", EVERY_DIALECT, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("is_too_large", [False, True])
def test_a_refusal_speaks_the_dialect(dialect: Dialect, is_too_large: bool) -> None:
    """TEI's clients expect a string and 422 or 413, all others an object, a message and 400."""
    reply = dialect.refuse(InvalidRerankCall("no", param="query", is_too_large=is_too_large))
    body = json.loads(reply.body)
    if dialect.refuse is dialects.TEI.refuse:
        assert (413 if is_too_large else 422, "no", "Validation") == (reply.status, body["error"], body["error_type"])
    else:
        assert (400, "no", "no", "query") == (reply.status, body["message"], body["detail"], body["error"]["param"])


@pytest.mark.parametrize(
    ("error", "status", "tei_status", "tei_type"),
    [
        (SchedulerFull("no"), 429, 429, "Overloaded"),
        (ScorerStarting("no"), 503, 503, "Unhealthy"),
        (ScorerLost("no"), 503, 503, "Unhealthy"),
        (ModelFailed("no"), 503, 424, "Backend"),
        (ScoringTimeout("no"), 504, 504, "Backend"),
    ],
)
def test_an_unavailable_scorer_speaks_the_dialect(
    error: RerankUnavailable, status: int, tei_status: int, tei_type: str
) -> None:
    """With a hint when to come again."""
    reply, tei = dialects.COHERE.be_unavailable(error), dialects.TEI.be_unavailable(error)
    body = json.loads(reply.body)
    assert (status, "no", error.reason) == (reply.status, body["message"], body["error"]["code"])
    assert (tei_status, {"error": "no", "error_type": tei_type}) == (tei.status, json.loads(tei.body))
    assert {"Retry-After": "1"} == dict(reply.headers) == dict(tei.headers)
