"""The scoring protocol: how texts, scores, facts and failures travel between a scorer and its callers.

Pure: bytes and values, no HTTP library. Both ends use it: `remote.py` asks, `rerank_api/scoring_protocol.py` answers.

    GET  /_rerank/model  -> 200 {"name", "revision", "kind", ...}: the fields of ModelFacts
    POST /_rerank/score  {"query": str, "texts": [str], "deadline_ms": number | null} -> 200 {"scores": [number]}
                         with X-Rerank-Model: the facts of the model that gave them
    POST /_rerank/passages  {"texts": [str], "tokens": int, "overlap": int} -> 200 {"spans": [[[start, end]]]}
    POST /_rerank/alignments  {"query": str, "texts": [str]} -> 200 {"alignments": [{"tokens", "end", "matches"}]}
    GET  /_rerank/figures -> 200 {name: number}: what the scorer counts of its work
    all                  -> 429, 503, 504 {"error": {"type": RerankUnavailable.reason, "reason": words}}
                            400 {"error": {"type": "bad_request", "reason": words}}
                         with X-Rerank-Replica: who answers, where several do behind one address

Law: text is written as ASCII JSON with escapes, so that a lone surrogate survives the way; `deadline_ms` is what is
left of the deadline, since clocks differ between machines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sidecar.errors import (
    BadRerankRequest,
    ModelFailed,
    ModelsDisagree,
    Overloaded,
    RerankUnavailable,
    SchedulerFull,
    ScorerLost,
    ScorerStarting,
    ScoringTimeout,
)
from sidecar.scoring.alignments import Alignment, Match
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.figures import Figures
from sidecar.scoring.splitting import Spans

MODEL_PATH = "/_rerank/model"
SCORE_PATH = "/_rerank/score"
SPLIT_PATH = "/_rerank/passages"
ALIGN_PATH = "/_rerank/alignments"
FIGURES_PATH = "/_rerank/figures"

REPLICA_HEADER = "X-Rerank-Replica"

ERRORS: dict[str, type[RerankUnavailable]] = {
    error.reason: error
    for error in (
        ScorerStarting,
        Overloaded,
        SchedulerFull,
        ScoringTimeout,
        ScorerLost,
        ModelsDisagree,
        ModelFailed,
    )
}
"""The word on the wire and the error that it means."""

_STATUS: dict[type[RerankUnavailable], int] = {SchedulerFull: 429, ScoringTimeout: 504}

_KINDS = ("cross-encoder", "cosine", "late-interaction")
_FUSIONS = ("model_only", "linear", "rrf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCall:
    """A call of `Scorer.score` as it travels. `seconds_left` may be negative; None = no deadline."""

    query: str
    texts: Sequence[str]
    seconds_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCall:
    """A call of `Splitter.split` as it travels."""

    texts: Sequence[str]
    tokens: int
    overlap: int


def status_of(error: RerankUnavailable) -> int:
    """Return the HTTP status of an unavailable scorer: 429 full, 504 late, else 503."""
    return _STATUS.get(type(error), 503)


def write_call(call: ScoreCall) -> bytes:
    """Return the body of `POST /_rerank/score`."""
    left = None if call.seconds_left is None else round(call.seconds_left * 1000, 3)
    return json.dumps({"query": call.query, "texts": list(call.texts), "deadline_ms": left}).encode()


def read_call(body: bytes) -> ScoreCall:
    """Return the call that `body` holds.

    Raises:
        BadRerankRequest: it holds none.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRerankRequest(f"the body is not JSON: {error}") from error
    match document:
        case {"query": str(query), "texts": list(texts)} if all(isinstance(text, str) for text in texts):
            return ScoreCall(query=query, texts=texts, seconds_left=_seconds_left(document.get("deadline_ms")))
        case _:
            raise BadRerankRequest('expected {"query": string, "texts": [string], "deadline_ms": number or null}')


def write_scores(scores: Sequence[float]) -> bytes:
    """Return the body of a 200 answer to `POST /_rerank/score`; every bit of a score survives."""
    return json.dumps({"scores": list(scores)}, allow_nan=False).encode()


def read_scores(body: bytes, expected: int) -> list[float]:
    """Return the scores of a 200 answer.

    Raises:
        ModelFailed: they are not `expected` finite numbers.
    """
    match _json_or_none(body):
        case {"scores": list(scores)} if all(map(_is_finite, scores)):
            if len(scores) != expected:
                raise ModelFailed(f"the scorer gave {len(scores)} scores for {expected} texts")
            return [float(score) for score in scores]
        case _:
            raise ModelFailed("the scorer's answer is no list of finite scores")


def write_split(texts: Sequence[str], *, tokens: int, overlap: int) -> bytes:
    """Return the body of `POST /_rerank/passages`."""
    return json.dumps({"texts": list(texts), "tokens": tokens, "overlap": overlap}).encode()


def read_split(body: bytes) -> SplitCall:
    """Return the call that `body` holds.

    Raises:
        BadRerankRequest: it holds none.
    """
    match _json_or_none(body):
        case {"texts": list(texts), "tokens": int(tokens), "overlap": int(overlap)} if (
            all(isinstance(text, str) for text in texts) and 0 <= overlap < tokens
        ):
            return SplitCall(texts=texts, tokens=tokens, overlap=overlap)
        case _:
            raise BadRerankRequest('expected {"texts": [string], "tokens": integer, "overlap": smaller integer}')


def write_spans(spans: Sequence[Spans]) -> bytes:
    """Return the body of a 200 answer to `POST /_rerank/passages`."""
    return json.dumps({"spans": spans}).encode()


def read_spans(body: bytes, expected: int) -> list[Spans]:
    """Return the passages of a 200 answer.

    Raises:
        ModelFailed: they are not those of `expected` texts.
    """
    match _json_or_none(body):
        case {"spans": list(spans)} if len(spans) == expected and all(map(_are_spans, spans)):
            return [[(start, end) for start, end in found] for found in spans]
        case _:
            raise ModelFailed("the scorer's answer is no list of passages")


def write_alignments(found: Sequence[Alignment]) -> bytes:
    """Return the body of a 200 answer to `POST /_rerank/alignments`."""
    return json.dumps({"alignments": [asdict(each) for each in found]}).encode()


def read_alignments(body: bytes, expected: int) -> list[Alignment]:
    """Return the alignments of a 200 answer.

    Raises:
        ModelFailed: they are not those of `expected` texts.
    """
    try:
        found = [_alignment(each) for each in json.loads(body)["alignments"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFailed("the scorer's answer is no list of alignments") from error
    if len(found) != expected:
        raise ModelFailed(f"the scorer gave {len(found)} alignments for {expected} texts")
    return found


def _alignment(value: Any) -> Alignment:
    matches = value["matches"]
    return Alignment(
        tokens=value["tokens"],
        end=value["end"],
        matches=None if matches is None else tuple(Match(**match) for match in matches),
    )


def write_figures(figures: Figures) -> bytes:
    """Return the body of a 200 answer to `GET /_rerank/figures`."""
    return json.dumps(dict(figures)).encode()


def read_figures(body: bytes) -> Figures:
    """Return the numbers of a 200 answer; what is no number is left out."""
    document = _json_or_none(body)
    return (
        {key: float(value) for key, value in document.items() if _is_finite(value)}
        if isinstance(document, dict)
        else {}
    )


def write_facts(facts: ModelFacts) -> bytes:
    """Return the body of a 200 answer to `GET /_rerank/model`."""
    return json.dumps(asdict(facts)).encode()


def read_facts(body: bytes) -> ModelFacts:
    """Return the facts of a 200 answer; fields that we do not know are ignored.

    Raises:
        ScorerLost: the answer holds none, so that whoever answers is not a scorer.
    """
    document = _json_or_none(body)
    known = {field.name for field in fields(ModelFacts)}
    match document:
        case {"name": str(), "revision": str(), "kind": kind, "max_length": int(), "recommended_fusion": fusion} if (
            kind in _KINDS and fusion in _FUSIONS
        ):
            return ModelFacts(**{key: value for key, value in document.items() if key in known})
        case _:
            raise ScorerLost("whoever answers there is not a scorer: no model facts")


def write_error(error: RerankUnavailable) -> bytes:
    """Return the body of an answer without scores."""
    return json.dumps({"error": {"type": error.reason, "reason": str(error)}}).encode()


def write_refusal(error: BadRerankRequest) -> bytes:
    """Return the body of the 400 answer to a call that makes no sense."""
    return json.dumps({"error": {"type": "bad_request", "reason": str(error)}}).encode()


def read_error(status: int, body: bytes) -> RerankUnavailable:
    """Return the error that an answer with an error status means."""
    match _json_or_none(body):
        case {"error": {"type": str(kind), "reason": str(words)}} if kind in ERRORS:
            return ERRORS[kind](words)
        case _:
            return ScorerLost(f"the scorer answered {status}: {body[:200].decode('utf-8', 'replace')}")


def _seconds_left(milliseconds: object) -> float | None:
    if milliseconds is None:
        return None
    if not _is_finite(milliseconds):
        raise BadRerankRequest(f"deadline_ms: got {milliseconds!r}, expected a number or null")
    assert isinstance(milliseconds, int | float)
    return milliseconds / 1000


def _are_spans(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span) for span in value)


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
