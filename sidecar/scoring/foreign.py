"""Other people's servers as scorers: Text Embeddings Inference, vLLM, Infinity, and those that speak like Cohere.

Pure: bytes and values. Laws: scores are asked for raw; where a server has only probabilities, they are turned back into
logits, so that every rule downstream means the same; scores are matched by `index`, never by their place; a text that
is too long is cut by the server. *Sources:* docs/rerank-api.md names the pages and versions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sidecar.errors import ModelFailed, RerankUnavailable, SchedulerFull, ScorerLost, ScoringTimeout
from sidecar.scoring.speech import refused_key

CHARACTERS_PER_TOKEN: Final = 32
"""What is beyond that many characters per token of the model's length is not sent: no server would read it."""

PORTION_BYTES: Final = 1_000_000
"""TEI refuses bodies of 2 MB; escapes may take the rest."""

WORDS_OF_AN_ERROR: Final = 300
"""Characters of a server's reason that are repeated."""

LEAST_PROBABILITY: Final = 1e-30
MOST_PROBABILITY: Final = 1 - 2**-53

JSON_ERRORS = (ValueError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSpeech:
    """What the speeches of others have in common."""

    #: name that the server knows the model by, None where it needs none
    model: str | None = None
    path: str = "/rerank"
    #: texts of one call at most
    max_texts: int = 100
    #: characters of a query and of a text at most, None for no limit
    max_characters: int | None = None

    #: where the scores are in the answer; None: the answer is the list
    items: ClassVar[str | None] = "results"
    score: ClassVar[str] = "relevance_score"

    def portions(self, texts: Sequence[str]) -> list[Sequence[str]]:
        """Return the texts in portions that the server takes."""
        return list(_portions([self._sendable(text) for text in texts], self.max_texts))

    def write(self, query: str, texts: Sequence[str], seconds_left: float | None) -> bytes:
        """Return the body of a call; there is no word for a deadline."""
        del seconds_left
        given = self.fields(self._sendable(query), list(texts))
        fields = {name: value for name, value in given.items() if value is not None}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    def fields(self, query: str, texts: list[str]) -> Mapping[str, Any]:
        """Return the fields of a call; None is left out."""
        raise NotImplementedError

    def read(self, body: bytes, expected: int) -> list[float]:
        """Return the raw scores of a 200 answer, in the order of the texts."""
        scores = _by_index(_items(body, self.items), self.score, expected)
        return [self.raw(score) for score in scores]

    def raw(self, score: float) -> float:
        """Return a score as the model gave it."""
        return score

    def error(self, status: int, body: bytes) -> RerankUnavailable:
        """Return what an answer without scores means."""
        words = f"the scorer answered {status}: {_words(body)}"
        return refused_key(status) or _ERRORS.get(status, ScorerLost if status >= 500 else ModelFailed)(words)

    def _sendable(self, text: str) -> str:
        """Return a text as every JSON parser takes it: lone surrogates are none."""
        cut = text[: self.max_characters]
        return cut if cut.isascii() else cut.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ERRORS: Final[Mapping[int, type[RerankUnavailable]]] = {
    408: ScoringTimeout,
    424: ModelFailed,  # TEI: the backend failed
    429: SchedulerFull,
    500: ModelFailed,
    504: ScoringTimeout,
}
"""By status; other 4xx are the model's: it cannot do what we ask. Other 5xx are the way's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tei(ForeignSpeech):
    """Text Embeddings Inference."""

    items: ClassVar[str | None] = None
    score: ClassVar[str] = "score"

    def fields(self, query: str, texts: list[str]) -> Mapping[str, Any]:
        """Ask for logits."""
        return {"query": query, "texts": texts, "raw_scores": True, "truncate": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vllm(ForeignSpeech):
    """vLLM. Its scores do not repeat the documents, unlike its reranking."""

    path: str = "/score"
    items: ClassVar[str | None] = "data"
    score: ClassVar[str] = "score"

    def fields(self, query: str, texts: list[str]) -> Mapping[str, Any]:
        """Ask for logits, by the name of today and the one before, and for texts to be cut."""
        return {
            "model": self.model,
            "text_1": query,
            "text_2": texts,
            "use_activation": False,
            "activation": False,
            "truncate_prompt_tokens": -1,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Infinity(ForeignSpeech):
    """Infinity."""

    def fields(self, query: str, texts: list[str]) -> Mapping[str, Any]:
        """Ask for logits."""
        return {
            "model": self.model,
            "query": query,
            "documents": texts,
            "raw_scores": True,
            "return_documents": False,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohere(ForeignSpeech):
    """Cohere, Jina, LiteLLM and whoever else speaks like them: probabilities."""

    path: str = "/v1/rerank"

    def fields(self, query: str, texts: list[str]) -> Mapping[str, Any]:
        """Ask for a score of every document."""
        return {
            "model": self.model,
            "query": query,
            "documents": texts,
            "top_n": len(texts),
            "return_documents": False,
        }

    def raw(self, score: float) -> float:
        """Return the logit of a probability."""
        return logit(score)


def logit(probability: float) -> float:
    """Return the number whose sigmoid is `probability`.

    Outside of 0 to 1, where a server's scores are no probabilities after all, it goes on rising, so that the order
    stays.
    """
    inside = min(MOST_PROBABILITY, max(LEAST_PROBABILITY, probability))
    return math.log(inside) - math.log1p(-inside) + (probability - inside)


def _portions(texts: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    first, size = 0, 0
    for index, text in enumerate(texts):
        length = len(text) if text.isascii() else 3 * len(text)
        if index > first and (index - first == most or size + length > PORTION_BYTES):
            yield texts[first:index]
            first, size = index, 0
        size += length
    yield texts[first:]


def _items(body: bytes, name: str | None) -> list[Any]:
    try:
        document = json.loads(body)
    except JSON_ERRORS:
        document = None
    items = document.get(name) if name is not None and isinstance(document, dict) else document
    if not isinstance(items, list):
        where = "" if name is None else f" in {name!r}"
        raise ModelFailed(f"the scorer's answer has no list of scores{where}: {_words(body)}")
    return items


def _by_index(items: Sequence[Any], name: str, expected: int) -> list[float]:
    scores: dict[int, float] = {}
    for item in items:
        match item:
            case {"index": int(index)} if 0 <= index < expected and index not in scores:
                scores[index] = _number(item.get(name))
            case _:
                raise ModelFailed(f"the scorer gave scores of which number {len(scores) + 1} belongs to no text")
    if len(scores) != expected:
        raise ModelFailed(f"the scorer gave {len(scores)} scores for {expected} texts")
    return [scores[index] for index in range(expected)]


def _number(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise ModelFailed(f"the scorer gave {str(value)[:40]} as a score")
    return number


def _words(body: bytes) -> str:
    """Return what an answer says of an error, and nothing that it may repeat of the call: that is a caller's text."""
    try:
        document = json.loads(body)
    except JSON_ERRORS:
        return f"no JSON but {len(body)} bytes"
    match document:
        case {"error": {"message": str(words)}} | {"error": str(words)} | {"message": str(words)}:
            return words[:WORDS_OF_AN_ERROR]
        case {"detail": str(words)}:
            return words[:WORDS_OF_AN_ERROR]
        case {"detail": list(problems)}:  # FastAPI: each has its input beside it
            found = (str(problem.get("msg")) for problem in problems if isinstance(problem, dict))
            return "; ".join(found)[:WORDS_OF_AN_ERROR]
        case _:
            return "without a reason"
