"""Step 4: the text of every hit, as the model sees it.

Law: text comes from the fields that were asked for and from nothing else; a hit without such text gives an empty
one and is never scored. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Final

from connectors.base import Hit
from sidecar import hit_values, signals
from sidecar.passages import MAX_PASSAGES, without_html
from sidecar.types import Candidate, RerankOptions, TextFrom

_MARK = re.compile(r"</?em>")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

BYTES_PER_TOKEN: Final = 4.0
"""UTF-8 bytes per token, for the budget alone. English under BERT's vocabulary has 4.3 to 4.7, so a budget is kept."""

SPECIAL_TOKENS: Final = 3


_AS_THEY_ARE: Final = RerankOptions()


def extract(
    hits: Sequence[Hit], fields: Sequence[str], options: RerankOptions = _AS_THEY_ARE, *, now: float = 0.0
) -> list[Candidate]:
    """Return one candidate per hit, in order. `text` is "" where none of `fields` holds a string.

    `now`, in milliseconds since 1970, is what signals take for the present moment.
    """
    clean = without_html if options.strip_html else str
    return [_candidate(hit, fields, options, clean, now) for hit in hits]


def _candidate(
    hit: Hit, fields: Sequence[str], options: RerankOptions, clean: Callable[[str], str], now: float
) -> Candidate:
    passages = tuple(text for found in _passages(hit, fields, options.text_from) if (text := clean(found)))
    text = clean(_text(hit, fields, options.template))
    title = clean(field_text(hit, fields[0])) if len(fields) > 1 and options.template is None else ""
    return Candidate(
        rank=hit.rank,
        score=hit.score,
        text=text or " ".join(passages),
        title=title,
        passages=passages,
        signals=signals.values(hit, options.signals, now),
    )


def template_fields(template: str) -> tuple[str, ...]:
    """Return the field names between braces, in order."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(template)))


def field_text(hit: Hit, field: str) -> str:
    """Return the strings of one field joined by spaces, "" when there are none."""
    return " ".join(_values(hit, field))


def _values(hit: Hit, field: str) -> list[str]:
    found = _strings(hit.fields, field) or _strings(hit.source, field)
    return [value.strip() for value in found if value.strip()]


def _strings(value: object, path: str) -> list[str]:
    return [each for each in hit_values.at(value, path) if isinstance(each, str)]


def affordable(
    candidates: Sequence[Candidate],
    query: str,
    *,
    token_budget: int | None,
    max_length: int,
    options: RerankOptions = _AS_THEY_ARE,
) -> int:
    """Return how many of the first candidates fit a token budget (None or 0: all of them), at least one.

    Tokens are estimated from bytes, so that every page and every replica of one configuration agrees, whether
    or not a tokenizer is at hand.
    """
    if not token_budget:
        return len(candidates)
    own = _tokens(query) + SPECIAL_TOKENS
    costs = (_cost(candidate, own, max_length, options) if candidate.text else 0 for candidate in candidates)
    return max(1, sum(1 for _ in takewhile(lambda total: total <= token_budget, accumulate(costs))))


def _cost(candidate: Candidate, query_tokens: int, max_length: int, options: RerankOptions) -> int:
    """Return the tokens of a candidate with all its passages, each of which is read with the query."""
    if candidate.passages:
        return sum(min(max_length, query_tokens + _tokens(passage)) for passage in candidate.passages)
    length = _tokens(candidate.text)
    if not options.passage_tokens or length <= options.passage_tokens:
        return min(max_length, query_tokens + length)
    step = max(1, options.passage_tokens - options.passage_overlap)
    count = min(MAX_PASSAGES, 1 + -(-(length - options.passage_tokens) // step))
    return count * min(max_length, query_tokens + options.passage_tokens)


def _passages(hit: Hit, fields: Sequence[str], source: TextFrom) -> Iterator[str]:
    """Yield what the engine found in a hit: fragments without their marks, or the texts of inner hits."""
    match source:
        case "fields":
            return
        case "highlight":
            for name in fields:
                for fragment in hit.highlight.get(name) or ():
                    yield _MARK.sub("", str(fragment))
        case "inner_hits":
            for found in hit.inner_hits.values():
                for rank, value in enumerate(found["hits"]["hits"], start=1):
                    yield _inner_text(Hit(rank=rank, value=value), fields)


def _inner_text(hit: Hit, fields: Sequence[str]) -> str:
    """Return the text of a nested document, whose own source begins below its path."""
    names = [name for field in fields for name in (field, *(rest for _, rest in hit_values.splits(field)))]
    return " ".join(dict.fromkeys(value for name in names for value in _values(hit, name)))


def _tokens(text: str) -> int:
    return int(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN) + 1


def _text(hit: Hit, fields: Sequence[str], template: str | None) -> str:
    if template is None:  # a copy_to target repeats what other fields have
        return " ".join(dict.fromkeys(value for field in fields for value in _values(hit, field)))
    texts = {field: field_text(hit, field) for field in fields}
    if not any(texts.values()):
        return ""
    return _PLACEHOLDER.sub(lambda match: texts.get(match[1], ""), template).strip()
