"""What `evaluate` is asked for: the words of the command line as values.

Law: what cannot be is refused here, before a model is loaded or an engine is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from connectors.base import SearchRequest
from connectors.json_bytes import JsonObject
from sidecar.errors import ConfigError
from sidecar.evaluation.stored_run import query_id_header
from sidecar.scoring.base import FusionName

PLACEHOLDER: Final = "%SearchText%"
"""Where a query's words stand in a search body; Quepid and OpenSearch's comparison tool use the same."""

DEFAULT_WINDOW: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionChoice:
    """A fusion by name; `weight` is the model's share in a linear one, None for what the model recommends."""

    name: Literal["auto"] | FusionName = "auto"
    weight: float | None = None

    @classmethod
    def parse(cls, text: str) -> FusionChoice:
        """Return the fusion of `auto`, `model_only`, `rrf`, `linear` or `linear=0.8`.

        Raises:
            ConfigError: it is none of them.
        """
        name, equals, share = text.partition("=")
        try:
            weight = float(share) if equals else None
        except ValueError:
            weight = -1.0
        is_known = name in ("auto", *get_args(FusionName)) and (weight is None or name == "linear")
        if not is_known or not 0 <= (weight or 0) <= 1:
            raise ConfigError(
                f"--fusion: got {text!r}, expected auto, model_only, rrf, linear or linear=WEIGHT (0 to 1)"
            )
        return cls(name=name, weight=weight)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """Everything that the command line says beside the settings."""

    #: folder of the dataset, or "sample"
    dataset: str | None = None
    #: judgments in place of the dataset's own
    qrels: Path | None = None
    #: a stored first stage in place of an engine
    run: Path | None = None
    #: names of the models; none = what the settings say
    models: tuple[str, ...] = ()
    windows: tuple[int, ...] = (DEFAULT_WINDOW,)
    fusions: tuple[FusionChoice, ...] = (FusionChoice(),)
    #: a model that prunes the window, None for what the settings say; and how much of it is kept, 0 for no cascade
    pruner: str | None = None
    keeps: tuple[int, ...] = ()
    #: what is searched
    index: str | None = None
    #: put the dataset's corpus into `index` first
    index_corpus: bool = False
    analyzer: str = "english"
    #: fields that are searched and scored; none = the dataset's text fields
    fields: tuple[str, ...] = ()
    #: a search body with PLACEHOLDER, as JSON
    body: str | None = None
    #: hits of a ranking; None = 100, or the largest window if that is more
    depth: int | None = None
    #: lowest grade that counts as relevant where a measure knows but relevant and not
    relevant_from: int = 1
    #: names that ir-measures knows, the first is the one that is compared; none = the usual ones
    measures: tuple[str, ...] = ()
    #: queries at most
    limit: int | None = None
    save_first_stage: Path | None = None
    save_run: Path | None = None
    json: Path | None = None
    html: Path | None = None

    @property
    def ranked(self) -> int:
        """Hits of a ranking."""
        return max(self.depth or DEFAULT_WINDOW, *self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How a query's text becomes a search."""

    index: str
    body: JsonObject
    size: int

    def request(self, query_id: str, text: str) -> SearchRequest:
        """Return the search for one query; the header X-Opaque-Id names it."""
        body = {**_filled(self.body, text), "size": self.size}
        return SearchRequest.build(index=self.index, body=body, headers=query_id_header(query_id))

    def __str__(self) -> str:
        """Return the search body, before a query's words are put in."""
        return json.dumps({**self.body, "size": self.size}, ensure_ascii=False)


def question(index: str, fields: tuple[str, ...], body: str | None, size: int) -> Question:
    """Return the question of a search body, without one that of a `multi_match` over `fields`, or over all.

    Raises:
        ConfigError: the body is no JSON object, or has no place for the words.
    """
    if body is None:
        over = {"fields": list(fields)} if fields else {}
        return Question(index=index, body={"query": {"multi_match": {"query": PLACEHOLDER, **over}}}, size=size)
    try:
        parsed: Any = json.loads(body)
    except ValueError as error:
        raise ConfigError(f"--body: is no JSON: {error}") from error
    if not isinstance(parsed, dict) or PLACEHOLDER not in body:
        raise ConfigError(f"--body: expected a search body in which {PLACEHOLDER} stands for the query's words")
    return Question(index=index, body={name: value for name, value in parsed.items() if name != "from"}, size=size)


def _filled(value: Any, text: str) -> Any:
    match value:
        case str():
            return value.replace(PLACEHOLDER, text)
        case list():
            return [_filled(element, text) for element in value]
        case dict():
            return {key: _filled(element, text) for key, element in value.items()}
        case _:
            return value
