"""The settings that LangChain's and LlamaIndex's components have in common, as pydantic fields.

Law: names and bounds are those of the program's own settings; they can be changed until the next call, those of the
model until the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_serializer
from pydantic.json_schema import SkipJsonSchema

from sidecar.integrations import background
from sidecar.integrations.scorers import SharedScorer, scorer_of
from sidecar.integrations.settings import options_of
from sidecar.integrations.texts import RankedText, rank
from sidecar.program.config import DEFAULT_MODEL
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions

TEXT_SETTINGS: Final = frozenset(
    {"fields", "template", "strip_html", "min_score", "deadline_ms", "on_failure"}
    | {f"passage_{name}" for name in ("tokens", "overlap", "top", "title", "return")}
)
"""Of the caller's controls, those that make sense without a search."""

PASSAGE_KEY: Final = "rerank_passage"
"""Where the best passage stands in a document's metadata; the name that highlights have, too."""


class RankerFields(BaseModel):
    """What to score with, and what of a document."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: str | SkipJsonSchema[os.PathLike[str] | Scorer] = Field(
        default=DEFAULT_MODEL,
        description='hub id or folder, "offline", URL of a scorer or of a rerank API, or a Scorer',
    )
    top_n: int | None = Field(default=None, ge=1, description="documents that are returned, best first; None = all")
    fields: list[str] | None = Field(
        default=None, min_length=1, description="metadata keys, and the text's name, joined by a space and scored"
    )
    template: str | None = Field(default=None, description='how they become one text: "{title}. {page_content}"')
    strip_html: bool = Field(default=False, description="take tags out of texts")
    passage_tokens: int = Field(default=0, ge=0, description="tokens of passages of long texts; 0 = one text, cut")
    passage_overlap: int = Field(default=0, ge=0, description="tokens that neighbouring passages share")
    passage_top: int = Field(default=1, ge=1, description="best passages whose mean score is the document's")
    passage_title: bool = Field(default=False, description="the first of `fields` in front of every passage")
    passage_return: bool = Field(default=False, description=f"the best passage as metadata, {PASSAGE_KEY!r}")
    min_score: float | None = Field(default=None, ge=0, le=1, description="drop documents with a lower score")
    deadline_ms: float = Field(default=0, ge=0, description="what is not scored by then comes last; 0 = none")
    on_failure: Literal["first_stage", "error"] = Field(
        default="first_stage", description='without scores keep the given order, or raise with "error"'
    )
    device: str = Field(default="auto", description="cpu, cuda, …, for a model of this process")
    dtype: str = Field(default="auto", description="auto, fp32, bf16 or fp16")
    max_length: int | None = Field(default=None, description="tokens of query and text; None = the model's")
    api_key: SecretStr | None = Field(default=None, exclude=True, description="sent to the URL as a bearer token")
    remote_model: str | None = Field(default=None, description="the name to ask somebody's server for")

    _scorer: Scorer = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the settings together. Nothing is loaded yet: the first call does that."""
        super().model_post_init(context)
        self._options()
        self._scorer = scorer_of(
            self.model,
            device=self.device,
            dtype=self.dtype,
            max_length=self.max_length,
            api_key=None if self.api_key is None else self.api_key.get_secret_value(),
            remote_model=self.remote_model,
        )

    @property
    def scorer(self) -> Scorer:
        """The scorer, which other components can have as their `model`. Closing it is whoever's who shares it."""
        return self._scorer

    @field_serializer("model")
    def _model_name(self, model: str | os.PathLike[str] | Scorer) -> str:
        if isinstance(model, SharedScorer):
            return model.source.model
        return os.fspath(model) if isinstance(model, str | os.PathLike) else type(model).__name__

    def _options(self) -> RerankOptions:
        settings = {name: getattr(self, name) for name in TEXT_SETTINGS}
        return options_of({name: value for name, value in settings.items() if value is not None})

    def _ranked(self, query: str, documents: Sequence[Mapping[str, Any]], text_field: str) -> list[RankedText]:
        return background.run(self._aranked(query, documents, text_field))

    async def _aranked(self, query: str, documents: Sequence[Mapping[str, Any]], text_field: str) -> list[RankedText]:
        options = self._options()
        return await rank(self._scorer, query, documents, options, text_field=text_field, top_n=self.top_n)

    def _passage(self, ranked: RankedText) -> dict[str, str]:
        """Return what is added to a document's metadata, where it was asked for."""
        return {PASSAGE_KEY: ranked.passage} if self.passage_return and ranked.passage is not None else {}
