"""The dialects of rerank clients: how a call is read, how its answer is written, how it is refused.

Pure: fields in, values out; values in, bytes out. Laws: fields that a dialect does not know are ignored, since clients
call with those of others; nothing is added to a result that its dialect does not have, since Elasticsearch's parsers
refuse it.

A body tells its dialect where it can: `texts` is TEI's word, `inputs` Hugging Face's, `top_k` and `truncation` are
Voyage's, `text_1` and its like vLLM's for scores. Cohere, Jina, vLLM and Infinity send the same body; they get Cohere's
answer, which all their clients read. Where that is not enough, the caller says the dialect in the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScoringTimeout
from sidecar.rerank_api.calls import Answer, Document, Fields, InvalidRerankCall, RerankCall, RerankLimits
from sidecar.rerank_api.reading import kind, read_count, read_documents, read_flag, read_names, read_query, read_word
from sidecar.rerank_api.reply import RETRY_AFTER, Reply
from sidecar.rerank_api.writing import (
    ErrorWriter,
    array,
    decimal,
    error_for_everybody,
    error_for_tei,
    members,
    tei_error,
    text,
)
from sidecar.scoring.wire import status_of

Echo = Literal["asked", "unless declined", "always"]
"""When a dialect gives documents back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One dialect."""

    name: str
    #: return the call that a body holds, or raise InvalidRerankCall
    read: Callable[[Fields, RerankLimits], RerankCall]
    #: return the body of a 200 answer
    write: Callable[[Answer], str]
    refuse: Callable[[InvalidRerankCall], Reply]
    be_unavailable: Callable[[RerankUnavailable], Reply]
    #: return the body of a refusal from before the call is read
    write_error: ErrorWriter = error_for_everybody


# --- calls --------------------------------------------------------------------------------------------------


def _read_cohere(fields: Fields, limits: RerankLimits, echo: Echo = "asked") -> RerankCall:
    query = read_query(fields.get("query"), limits)
    rank_fields = read_names(fields.get("rank_fields"), "rank_fields")
    documents = read_documents(fields.get("documents"), limits, rank_fields=rank_fields)
    _refuse_left(fields, "truncation_side")
    return RerankCall(
        queries=(query,) * len(documents),
        documents=documents,
        top_n=read_count(fields.get("top_n"), "top_n"),
        raw_scores=_are_raw(fields),
        return_documents=_echo(fields, echo),
        in_input_order=_in_input_order(fields),
        max_passages=read_count(fields.get("max_chunks_per_doc"), "max_chunks_per_doc", none="one") or 1,
    )


def _read_voyage(fields: Fields, limits: RerankLimits) -> RerankCall:
    query = read_query(fields.get("query"), limits)
    documents = read_documents(fields.get("documents"), limits)
    top_k, top_n = read_count(fields.get("top_k"), "top_k"), read_count(fields.get("top_n"), "top_n")
    return RerankCall(
        queries=(query,) * len(documents),
        documents=documents,
        top_n=top_k or top_n,
        raw_scores=_are_raw(fields),
        return_documents=_echo(fields, "asked"),
        in_input_order=_in_input_order(fields),
        truncate=read_flag(fields.get("truncation"), "truncation") is not False,
    )


def _read_tei(fields: Fields, limits: RerankLimits, prefix: str = "") -> RerankCall:
    query = read_query(fields.get("query"), limits, f"{prefix}query")
    documents = read_documents(fields.get("texts"), limits, f"{prefix}texts")
    _refuse_left(fields, "truncation_direction")
    return RerankCall(
        queries=(query,) * len(documents),
        documents=documents,
        top_n=read_count(fields.get("top_n"), "top_n"),  # Elasticsearch's hugging_face service sends it
        raw_scores=read_flag(fields.get("raw_scores"), "raw_scores") is True,
        return_documents=read_flag(fields.get("return_text"), "return_text") is True,
        in_input_order=_in_input_order(fields),
        truncate=read_flag(fields.get("truncate"), "truncate") is not False,
        documents_name=f"{prefix}texts",
    )


def _read_text_ranking(fields: Fields, limits: RerankLimits) -> RerankCall:
    """Read Hugging Face's task: TEI's fields in `inputs`."""
    return _read_tei(_inputs(fields), limits, "inputs.")


def _read_similarity(fields: Fields, limits: RerankLimits) -> RerankCall:
    """Read Hugging Face's task sentence similarity: `InferenceClient.sentence_similarity`, TEI's `/similarity`."""
    inputs = _inputs(fields)
    query = read_query(inputs.get("source_sentence"), limits, "inputs.source_sentence")
    documents = read_documents(inputs.get("sentences"), limits, "inputs.sentences")
    return RerankCall(
        queries=(query,) * len(documents),
        documents=documents,
        in_input_order=True,
        documents_name="inputs.sentences",
    )


SCORE_NAMES: Final = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))
"""What vLLM's versions call the two sides."""


def _read_score(fields: Fields, limits: RerankLimits) -> RerankCall:
    """Read a query and texts, or as many queries as texts, each for its own."""
    left, right = next((names for names in SCORE_NAMES if names[1] in fields), SCORE_NAMES[0])
    documents = read_documents(_listed(fields.get(right)), limits, right)
    given = _listed(fields.get(left))
    if not isinstance(given, list):
        raise InvalidRerankCall(f"{left}: got {kind(given)}, expected a string or an array of them", param=left)
    if len(given) not in (1, len(documents)):
        message = f"{left}: got {len(given)}, expected one, or {len(documents)}, as many as {right}"
        raise InvalidRerankCall(message, param=left)
    queries = tuple(read_query(query, limits, f"{left}[{index}]") for index, query in enumerate(given))
    _refuse_left(fields, "truncation_side")
    return RerankCall(
        queries=queries if len(queries) == len(documents) else queries * len(documents),
        documents=documents,
        raw_scores=_are_raw(fields),
        in_input_order=True,
        documents_name=right,
    )


def _inputs(fields: Fields) -> Fields:
    inputs = fields.get("inputs")
    if not isinstance(inputs, dict):
        expected = 'an object {"query", "texts"} or {"source_sentence", "sentences"}'
        raise InvalidRerankCall(f"inputs: got {kind(inputs)}, expected {expected}", param="inputs")
    return inputs


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _are_raw(fields: Fields) -> bool:
    raw = read_flag(fields.get("raw_scores"), "raw_scores")
    activated = read_flag(fields.get("use_activation"), "use_activation")
    return raw is True or activated is False


def _echo(fields: Fields, echo: Echo) -> bool:
    asked = read_flag(fields.get("return_documents"), "return_documents")
    return echo == "always" or (echo == "unless declined" if asked is None else asked)


def _in_input_order(fields: Fields) -> bool:
    return read_word(fields.get("sort"), "sort", ("score", "input")) == "input"


def _refuse_left(fields: Fields, name: str) -> None:
    if read_word(fields.get(name), name, ("right", "left")) == "left":
        raise InvalidRerankCall(f'{name}: got "left", expected "right": texts are cut at their end', param=name)


# --- answers ------------------------------------------------------------------------------------------------


def _write_cohere(answer: Answer, version: str = "1") -> str:
    return members(
        id=text(answer.id),
        model=text(answer.facts.name),
        results=_results(answer, _as_object),
        usage=_usage(answer),
        meta=text({"api_version": {"version": version}}),
    )


def _write_infinity(answer: Answer) -> str:
    return members(
        object=text("rerank"),
        id=text(answer.id),
        created=str(answer.created),
        model=text(answer.facts.name),
        results=_results(answer, _as_string),
        usage=_usage(answer),
    )


def _write_voyage(answer: Answer) -> str:
    return members(
        object=text("list"),
        data=_results(answer, _as_string),
        model=text(answer.facts.name),
        usage=text({"total_tokens": answer.tokens}),
    )


def _write_tei(answer: Answer) -> str:
    documents = answer.call.documents
    return array(
        members(
            index=str(index),
            text=text(documents[index].text) if answer.call.return_documents else None,
            score=decimal(score),
        )
        for index, score in answer.results
    )


def _write_similarity(answer: Answer) -> str:
    return array(decimal(score) for _, score in answer.results)


def _write_score(answer: Answer) -> str:
    data = (members(index=str(index), object=text("score"), score=decimal(score)) for index, score in answer.results)
    return members(
        id=text(answer.id),
        object=text("list"),
        created=str(answer.created),
        model=text(answer.facts.name),
        data=array(data),
        usage=_usage(answer),
    )


def _results(answer: Answer, echo: Callable[[Document], str]) -> str:
    documents = answer.call.documents
    return array(
        members(
            index=str(index),
            relevance_score=decimal(score),
            document=echo(documents[index]) if answer.call.return_documents else None,
        )
        for index, score in answer.results
    )


def _as_object(document: Document) -> str:
    """Return the document as it was given, with its text."""
    given = dict(document.given or {})
    return text(given if isinstance(given.get("text"), str) else {**given, "text": document.text})


def _as_string(document: Document) -> str:
    return text(document.text)


def _usage(answer: Answer) -> str:
    return text({"prompt_tokens": answer.tokens, "total_tokens": answer.tokens})


# --- errors -------------------------------------------------------------------------------------------------


def _refuse(error: InvalidRerankCall) -> Reply:
    kind = "invalid_request_error"
    return Reply(status=400, body=error_for_everybody(str(error), type=kind, param=error.param, code="bad_request"))


def _be_unavailable(error: RerankUnavailable) -> Reply:
    body = error_for_everybody(str(error), type="scorer_unavailable", param=None, code=error.reason)
    return Reply(status=status_of(error), body=body, headers=(RETRY_AFTER,))


def _refuse_as_tei(error: InvalidRerankCall) -> Reply:
    return Reply(status=413 if error.is_too_large else 422, body=tei_error(str(error), "Validation"))


def _be_unavailable_as_tei(error: RerankUnavailable) -> Reply:
    status, error_type = _TEI_ERRORS.get(type(error), (503, "Unhealthy"))
    return Reply(status=status, body=tei_error(str(error), error_type), headers=(RETRY_AFTER,))


_TEI_ERRORS: Final[Mapping[type[RerankUnavailable], tuple[int, str]]] = {
    SchedulerFull: (429, "Overloaded"),
    ScoringTimeout: (504, "Backend"),
    ModelFailed: (424, "Backend"),
}


# --- the dialects -------------------------------------------------------------------------------------------


COHERE: Final = Dialect(
    name="cohere", read=_read_cohere, write=_write_cohere, refuse=_refuse, be_unavailable=_be_unavailable
)
COHERE_V2: Final = replace(COHERE, name="cohere-v2", write=lambda answer: _write_cohere(answer, "2"))
JINA: Final = replace(COHERE, name="jina", read=lambda fields, limits: _read_cohere(fields, limits, "unless declined"))
VLLM: Final = replace(COHERE, name="vllm", read=lambda fields, limits: _read_cohere(fields, limits, "always"))
INFINITY: Final = replace(COHERE, name="infinity", write=_write_infinity)
VOYAGE: Final = replace(COHERE, name="voyage", read=_read_voyage, write=_write_voyage)
SCORE: Final = replace(COHERE, name="score", read=_read_score, write=_write_score)
TEI: Final = Dialect(
    name="tei",
    read=_read_tei,
    write=_write_tei,
    refuse=_refuse_as_tei,
    be_unavailable=_be_unavailable_as_tei,
    write_error=error_for_tei,
)
TEXT_RANKING: Final = replace(TEI, name="text-ranking", read=_read_text_ranking)
SIMILARITY: Final = replace(TEI, name="sentence-similarity", read=_read_similarity, write=_write_similarity)


def of_body(fields: Fields, default: Dialect = COHERE) -> Dialect:
    """Return the dialect that a body speaks, `default` where it does not say."""
    if "texts" in fields:
        return TEI
    if "inputs" in fields:
        inputs = fields["inputs"]
        return SIMILARITY if isinstance(inputs, dict) and "source_sentence" in inputs else TEXT_RANKING
    if not {"text_1", "text_2", "data_1", "data_2", "queries"}.isdisjoint(fields):
        return SCORE
    if not {"top_k", "truncation"}.isdisjoint(fields):
        return VOYAGE
    return default


BY_PATH: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect for dialect in (COHERE, JINA, VLLM, INFINITY, VOYAGE, TEI)
}
"""The dialects that a caller may say in the path, `/_rerank/NAME/rerank`."""
