"""Haystack: documents reranked between a retriever and whatever reads them.

Needs `haystack-ai` (extra `haystack`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

from sidecar.errors import RerankUnavailable
from sidecar.integrations import background
from sidecar.integrations.fields import PASSAGE_KEY, TEXT_SETTINGS
from sidecar.integrations.scorers import AnyModel, SharedScorer, scorer_of
from sidecar.integrations.settings import options_of
from sidecar.integrations.texts import RankedText, rank
from sidecar.program.config import DEFAULT_MODEL

TEXT = "content"


@component
class SidecarRanker:
    """Reranks the documents of any retriever.

        ranker = SidecarRanker(model="http://scorer:9281", top_k=5, template="{title}. {content}")
        pipeline.add_component("ranker", ranker)
        pipeline.connect("retriever.documents", "ranker.documents")

    Fields are the keys of a document's `meta` and `content`. Documents come back as copies with their score, 0 to 1.
    A serialized pipeline is loaded with `Pipeline.loads(text, allowed_modules=["sidecar.*"])`.
    """

    def __init__(
        self,
        model: AnyModel = DEFAULT_MODEL,
        top_k: int | None = 10,
        *,
        fields: list[str] | None = None,
        template: str | None = None,
        strip_html: bool = False,
        passage_tokens: int = 0,
        passage_overlap: int = 0,
        passage_top: int = 1,
        passage_title: bool = False,
        passage_return: bool = False,
        min_score: float | None = None,
        deadline_ms: float = 0,
        on_failure: Literal["first_stage", "error"] = "first_stage",
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        api_key: Secret | None = None,
        remote_model: str | None = None,
    ) -> None:
        """Know what to score with, and what of a document. Nothing is loaded before `warm_up`, or the first run.

        `model` is a hub id, a folder, "offline", the URL of a scorer or of somebody's rerank API, or a Scorer, which is
        not serialized. The other words are those of the program's settings.

        Raises:
            ValueError: a value that a setting cannot have.
        """
        given = locals()
        self._init_parameters = {name: given[name] for name in _PARAMETERS}
        self._options = options_of({name: given[name] for name in TEXT_SETTINGS if given[name] is not None})
        self.top_k = _checked(top_k)
        self.passage_return = passage_return
        self._model = model
        self.scorer = scorer_of(
            model,
            device=device,
            dtype=dtype,
            max_length=max_length,
            api_key=None if api_key is None else api_key.resolve_value(),
            remote_model=remote_model,
        )

    def warm_up(self) -> None:
        """Load the model, or find the scorer.

        Raises:
            RerankUnavailable: it cannot be had, and `on_failure` is "error".
        """
        background.run(self.warm_up_async())

    async def warm_up_async(self) -> None:
        """Load the model, or find the scorer; see `warm_up`."""
        if not isinstance(self.scorer, SharedScorer):
            return
        try:
            await self.scorer.loaded()
        except RerankUnavailable:
            if self._options.on_failure == "error":
                raise

    def close(self) -> None:
        """Close the scorer, where it was opened here."""
        background.run(self.close_async())

    async def close_async(self) -> None:
        """Close the scorer, where it was opened here."""
        if isinstance(self.scorer, SharedScorer) and self.scorer is not self._model:
            await self.scorer.aclose()

    def to_dict(self) -> dict[str, Any]:
        """Return this component as Haystack serializes it. Raises ValueError when its model is a Scorer."""
        if not isinstance(self.scorer, SharedScorer):
            raise ValueError("a Scorer cannot be serialized: give the model by name, folder or URL")
        key = self._init_parameters["api_key"]
        written = {"model": self.scorer.source.model, "api_key": None if key is None else key.to_dict()}
        return default_to_dict(self, **{**self._init_parameters, **written})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SidecarRanker:
        """Return the component that `to_dict` was asked of."""
        parameters = dict(data.get("init_parameters", {}))
        deserialize_secrets_inplace(parameters, keys=["api_key"])
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Return the documents in the model's order, `top_k` at most (None: as the component says).

        Raises:
            ValueError: `top_k` is below 1.
            RerankUnavailable: there are no scores, and `on_failure` is "error".
        """
        return background.run(self.run_async(query, documents, top_k))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the documents in the model's order; see `run`."""
        contents = [{**document.meta, TEXT: document.content} for document in documents]
        limit = self.top_k if top_k is None else _checked(top_k)
        ranked = await rank(self.scorer, query, contents, self._options, text_field=TEXT, top_n=limit)
        return {"documents": self._in_order(documents, ranked)}

    def _in_order(self, documents: Sequence[Document], ranked: Sequence[RankedText]) -> list[Document]:
        if all(each.score is None for each in ranked):  # no scores: the retriever's stand
            return [documents[each.index] for each in ranked]
        return [self._copy(documents[each.index], each) for each in ranked]

    def _copy(self, document: Document, ranked: RankedText) -> Document:
        passage = {PASSAGE_KEY: ranked.passage} if self.passage_return and ranked.passage is not None else {}
        return dataclasses.replace(document, score=ranked.score, meta={**document.meta, **passage})


_PARAMETERS = (
    *("model", "top_k", *sorted(TEXT_SETTINGS)),
    *("device", "dtype", "max_length", "api_key", "remote_model"),
)


def _checked(top_k: int | None) -> int | None:
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    return top_k
