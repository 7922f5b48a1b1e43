"""What a call asks for, whatever its dialect, and what it is refused for.

Pure values. Law: a refusal names the field, what it holds, what would be right, and, where a limit of ours is passed,
that limit's setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.errors import BadRerankRequest
from sidecar.scoring.base import ModelFacts

Fields = Mapping[str, Any]
"""The body of a call, an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankLimits:
    """What one call may ask for. The names are those of the settings in `[api]`."""

    max_documents: int = 1000
    #: of the query and of every document, each
    max_characters: int = 1_000_000
    #: of a query and a passage; as many as documents unless long ones are scored in passages
    max_pairs: int = 10_000


@dataclass(frozen=True, slots=True)
class Document:
    """A document's text, and the object that it was given as, None for a plain string."""

    text: str
    given: Fields | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankCall:
    """A call as it is understood. The model is whatever is loaded, so that the field `model` is not kept."""

    #: one per document; the same throughout, but for pairs
    queries: tuple[str, ...]
    documents: tuple[Document, ...]
    #: results at most, None = all
    top_n: int | None = None
    #: the model's own numbers in place of probabilities
    raw_scores: bool = False
    return_documents: bool = False
    #: results in the order of the documents in place of best first
    in_input_order: bool = False
    #: passages of a long document that are scored at most; the best one counts
    max_passages: int = 1
    #: False: a text that the model cannot read whole is refused
    truncate: bool = True
    #: what the caller's dialect calls the documents
    documents_name: str = "documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A call with its scores, ready to be written."""

    id: str
    #: Unix time in seconds
    created: int
    call: RerankCall
    #: index of a document and its score as the caller sees it, in the order of the results
    results: Sequence[tuple[int, float]]
    facts: ModelFacts
    #: tokens of all pairs, estimated
    tokens: int


class InvalidRerankCall(BadRerankRequest):
    """The body cannot be used. `param` is the field to blame, None for the body as a whole."""

    def __init__(self, message: str, *, param: str | None = None, is_too_large: bool = False) -> None:
        """Keep the field's name beside the message, and whether a limit was passed."""
        super().__init__(message)
        self.param = param
        self.is_too_large = is_too_large
