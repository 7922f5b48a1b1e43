"""One query's answer as rows: what outputs are written from, and what the journal keeps.

Law: a row holds all that an output may want of a hit; an answer is bytes and back without a change.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

from connectors.base import SearchResponse
from sidecar.evaluation.searching import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A hit of a ranking. Ranks count from 1."""

    document: str
    rank: int
    #: the ranking's, as a client of `serve` gets it
    score: float
    first_stage_rank: int | None
    #: the engine's; None beyond the window, or where nothing was reranked
    first_stage_score: float | None
    #: the model's own; None for a hit that it has not read
    model_score: float | None
    #: what the model read, else what the fields hold; "" where no output wants it
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A query's ranking, best first, and what became of the search."""

    rows: Sequence[Row]
    #: why it was not reranked; "" where it was
    skipped: str = ""

    def dumped(self) -> bytes:
        """Return it as bytes."""
        value = [self.skipped, [astuple(row) for row in self.rows]]
        return zlib.compress(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), level=1)

    @classmethod
    def loaded(cls, dumped: bytes) -> Self:
        """Return what `dumped` has made of an answer."""
        skipped, rows = json.loads(zlib.decompress(dumped).decode("utf-8", "surrogatepass"))
        names = Row.__dataclass_fields__
        return cls(skipped=skipped, rows=[Row(**dict(zip(names, row, strict=True))) for row in rows])


def answer_of(response: SearchResponse, fields: Sequence[str], *, skipped: str, has_texts: bool) -> Answer:
    """Return the rows of a search's answer, each document once; `fields` hold the text of a hit that was not scored."""
    rows: dict[str, Row] = {}
    for hit in response.hits:
        id = str(hit.id)
        if id in rows:  # the same id in another index
            continue
        rank = len(rows) + 1
        said = hit.value.get("_rerank", {})
        rows[id] = Row(
            document=id,
            rank=rank,
            score=-float(rank) if hit.score is None else hit.score,
            first_stage_rank=said.get("first_stage_rank", rank if skipped else None),
            first_stage_score=said.get("first_stage_score", hit.score if skipped else None),
            model_score=said.get("model_score"),
            text=text_of(hit, fields) if has_texts else "",
        )
    return Answer(rows=list(rows.values()), skipped=skipped)
