"""Long documents: passages, refusals, estimates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sidecar.rerank_api.calls import Document, InvalidRerankCall, RerankCall, RerankLimits
from sidecar.rerank_api.passages import estimated_tokens, passages
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.splitting import Spans
from tests.unit.sidecar.scoring.doubles import FACTS

TEN = replace(FACTS, max_length=10)
LIMITS = RerankLimits(max_pairs=4)


class Letters:
    """A scorer whose tokens are letters."""

    def __init__(self) -> None:
        """Nothing was asked."""
        self.asked: list[tuple[int, int]] = []

    def describe(self) -> ModelFacts:
        """Return facts."""
        return TEN

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Nobody asks for scores here."""
        raise NotImplementedError

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Cut after every so many letters."""
        self.asked.append((tokens, overlap))
        return [
            [(first, min(first + tokens, len(text))) for first in range(0, max(1, len(text)), tokens)] for text in texts
        ]

    async def aclose(self) -> None:
        """Nothing to close."""


def call(*texts: str, query: str = "qq", max_passages: int = 1, truncate: bool = True) -> RerankCall:
    """Return a call."""
    return RerankCall(
        queries=(query,) * len(texts),
        documents=tuple(map(Document, texts)),
        max_passages=max_passages,
        truncate=truncate,
    )


async def test_by_default_a_document_is_one_passage() -> None:
    """And no scorer is asked to split."""
    scorer = Letters()
    assert [["a" * 100], [""]] == await passages(call("a" * 100, ""), scorer, TEN, LIMITS)
    assert [] == scorer.asked


async def test_a_long_document_is_cut_into_what_the_model_reads_beside_the_query() -> None:
    """Ten tokens, less three special ones and the query's two, are five; what is beyond the last passage is dropped."""
    cut = await passages(call("abcdefghijklmnop", "abc", "", max_passages=2), Letters(), TEN, LIMITS)
    assert [["abcde", "fghij"], ["abc"], [""]] == cut


async def test_a_long_query_leaves_what_the_model_leaves() -> None:
    """The model cuts it to a quarter of its length."""
    cut = await passages(call("abcdefgh", query="q" * 50, max_passages=2), Letters(), TEN, LIMITS)
    assert [["abcde", "fgh"]] == cut


async def test_a_model_that_reads_them_apart_has_room_for_the_text_alone() -> None:
    """A bi-encoder."""
    facts = replace(TEN, kind="cosine")
    assert [["abcdefg", "h"]] == await passages(call("abcdefgh", max_passages=2), Letters(), facts, LIMITS)


async def test_more_passages_than_one_call_may_have_are_refused() -> None:
    """Naming the limit."""
    message = "documents: got 5 passages, expected at most 4 (the limit is api.max_pairs)"
    with pytest.raises(InvalidRerankCall, match=re.escape(message)) as caught:
        await passages(call("a" * 11, "b" * 6, max_passages=3), Letters(), TEN, LIMITS)
    assert caught.value.is_too_large


async def test_without_truncation_a_text_that_is_too_long_is_refused() -> None:
    """By its index; a text that fits is not."""
    assert [["abcde"]] == await passages(call("abcde", truncate=False), Letters(), TEN, LIMITS)
    message = "documents[1]: got more, expected at most the 10 tokens that the model reads at once"
    with pytest.raises(InvalidRerankCall, match=re.escape(message)) as caught:
        await passages(call("abcde", "abcdef", truncate=False), Letters(), TEN, LIMITS)
    assert ("documents[1]", True) == (caught.value.param, caught.value.is_too_large)


async def test_no_documents_have_no_passages() -> None:
    """Whatever else is asked."""
    assert [] == await passages(call(max_passages=3, truncate=False), Letters(), TEN, LIMITS)


def test_tokens_are_estimated_by_bytes_and_cut() -> None:
    """Four bytes each; query and three special tokens count for every text."""
    assert 2 * (2 + 3) + 1 + 3 == estimated_tokens(["query"] * 2, ["", "a" * 8], 100)
    assert 10 == estimated_tokens(["query"], ["a" * 1000], 10)
