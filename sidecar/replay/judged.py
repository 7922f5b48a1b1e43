"""Which recorded search is which judged query: by its caller's name for it, or by its words.

Law: the name `X-Opaque-Id` wins, under which `evaluate` sends a query's id and the engines' logs have it; else the
words that are reranked by, compared without regard to case and to white space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sidecar.evaluation import datasets, judgments
from sidecar.evaluation.judgments import Qrels


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Judgments, and how their queries are found."""

    name: str
    qrels: Qrels
    #: ids of queries by their words
    by_words: Mapping[str, str]

    def query(self, id: str | None, words: str) -> str | None:
        """Return the judged query that a search is, None where nobody has judged it."""
        named = unquote(id) if id else None
        return named if named in self.qrels else self.by_words.get(_same(words))


def load(qrels: Path | None, dataset: str | None, *, relevant_from: int) -> Judged:
    """Return the judgments of a file, or of a folder as `evaluate` has it.

    Raises:
        ConfigError: a file is missing or makes no sense.
    """
    if dataset is not None:
        whole = datasets.load(dataset, qrels, relevant_from=relevant_from)
        words = {_same(text): id for id, text in whole.queries.items()}
        return Judged(name=whole.name, qrels=whole.qrels or {}, by_words=words)
    assert qrels is not None
    found = judgments.read(qrels)
    return Judged(
        name=str(qrels), qrels=found.qrels, by_words={_same(q): q for q in found.qrels} if found.is_by_text else {}
    )


def _same(words: str) -> str:
    return " ".join(words.casefold().split())
