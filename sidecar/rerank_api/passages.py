"""Long documents: what is scored of them, and when they are refused.

Law: lengths are counted in the model's own tokens, or estimated where the scorer cannot say; by default a document is
one passage, which the model cuts at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.candidates import BYTES_PER_TOKEN, SPECIAL_TOKENS
from sidecar.rerank_api.calls import InvalidRerankCall, RerankCall, RerankLimits
from sidecar.rerank_api.slices import parts
from sidecar.scoring import splitting
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.splitting import Spans

QUERY_SHARE = 4
"""A query longer than this part of the model's length is cut by the model."""


async def passages(call: RerankCall, scorer: Scorer, facts: ModelFacts, limits: RerankLimits) -> list[list[str]]:
    """Return the passages of every document, at least one each.

    Raises:
        InvalidRerankCall: a text is too long and must not be cut, or there are more passages than one call may have.
    """
    texts = [document.text for document in call.documents]
    if (call.max_passages == 1 and call.truncate) or not texts:
        return [[text] for text in texts]
    room = await _room(call.queries[0], scorer, facts)
    spans = await _spans(texts, scorer, room)
    if not call.truncate:
        _refuse_too_long(call, spans, facts)
    cut = [_cut(text, found, call.max_passages) for text, found in zip(texts, spans, strict=True)]
    number = sum(map(len, cut))
    if number > limits.max_pairs:
        name = call.documents_name
        message = f"{name}: got {number} passages, expected at most {limits.max_pairs} (the limit is api.max_pairs)"
        raise InvalidRerankCall(message, param=name, is_too_large=True)
    return cut


def estimated_tokens(queries: Sequence[str], texts: Sequence[str], max_length: int) -> int:
    """Return the tokens of these pairs, cut to the model's length, by their bytes."""
    own = {query: _tokens(query) + SPECIAL_TOKENS for query in set(queries)}
    return sum(min(max_length, own[query] + _tokens(text)) for query, text in zip(queries, texts, strict=True))


def _tokens(text: str) -> int:
    return int(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN) + 1


async def _room(query: str, scorer: Scorer, facts: ModelFacts) -> int:
    """Return the tokens of a text that the model reads; only a cross-encoder reads the query beside it."""
    if facts.kind != "cross-encoder":
        return max(1, facts.max_length - SPECIAL_TOKENS)
    (words,) = await splitting.split(scorer, [query], tokens=1, overlap=0)
    return max(1, facts.max_length - SPECIAL_TOKENS - min(len(words), facts.max_length // QUERY_SHARE))


async def _spans(texts: Sequence[str], scorer: Scorer, tokens: int) -> list[Spans]:
    spans: list[Spans] = []
    for part in parts(range(len(texts)), texts):
        spans += await splitting.split(scorer, [texts[index] for index in part], tokens=tokens, overlap=0)
    return spans


def _cut(text: str, spans: Spans, most: int) -> list[str]:
    return [text] if len(spans) < 2 else [text[start:end] for start, end in spans[:most]]


def _refuse_too_long(call: RerankCall, spans: Sequence[Spans], facts: ModelFacts) -> None:
    for index, found in enumerate(spans):
        if len(found) > call.max_passages:
            name = f"{call.documents_name}[{index}]"
            limit = f"at most the {facts.max_length} tokens that the model reads at once, since truncation is off"
            raise InvalidRerankCall(f"{name}: got more, expected {limit}", param=name, is_too_large=True)
