"""The engines' own rerankers, executed by us: `text_similarity_reranker` and `ext.rerank.query_context`.

The same request then works on a cluster that has neither licence, plugin nor feature: what is inside the reranker goes
to the engine, and what the reranker says (`inference_text`, `field`, `rank_window_size`, `min_score`; the query text)
becomes options of ours. A reranker that the engine runs stays the engine's: only one that names us, or that the engine
has refused, is taken over.

Law: the inner retriever keeps its bytes. A `standard` one is lifted to the search's own `query`, so that engines
without retrievers can run it, too. No I/O.

*Source:* the text similarity re-ranker retriever of Elasticsearch 9.5; the rerank processor of OpenSearch 3.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors import json_bytes
from connectors.base import SearchResponse
from connectors.json_bytes import Edit, Member, find_member
from sidecar import answer
from sidecar.answer import Reply
from sidecar.requests.search_call import SearchCall
from sidecar.scoring.splitting import WORDS_PER_TOKEN
from sidecar.types import RerankOptions

RETRIEVER: Final = "text_similarity_reranker"
QUERY_CONTEXT: Final = "query_context"
OUR_INFERENCE_ID: Final = "rerank-sidecar"
DEFAULT_INFERENCE_ID: Final = ".rerank-v1-elasticsearch"
DEFAULT_WINDOW: Final = 10
MAX_WINDOW: Final = 10_000
DEFAULT_CHUNK_WORDS: Final = 250
_LIFTED: Final = ("search_after", "terminate_after", "sort", "min_score", "collapse")

_CANNOT: Final = {
    RETRIEVER: re.compile(
        r"unknown retriever \[text_similarity_reranker\]|unknown key for a \w+ in \[retriever\]|licen[sc]e"
        r"|inference endpoint",
        re.IGNORECASE,
    ),
    QUERY_CONTEXT: re.compile(r"SearchExtBuilder|unknown field \[rerank\]", re.IGNORECASE),
}
"""What the engines say of a reranker that they do not know, may not run, or have no model for: nothing that they say
of a mistake inside one that they can run."""

_CANNOT_STATUSES: Final = frozenset({400, 403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What a request asks an engine's own reranker."""

    #: what the engine would have to have: the kind of reranker, and the endpoint that it names
    key: str
    #: the words to score against; None where the request lacks something
    query_text: str | None
    field: str | None = None
    #: candidates; None = as many as our options say
    window: int | None = None
    #: hits that the retriever inside can be asked for; None = the search is one like any other
    most: int | None = None
    min_score: float | None = None
    #: tokens of the passages into which long texts are split; None = as our options say
    passage_tokens: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the request says all that a reranker must be told."""
        return self.query_text is not None

    @property
    def is_ours(self) -> bool:
        """Whether the request names us."""
        return self.key == f"{RETRIEVER}/{OUR_INFERENCE_ID}"

    def is_refused(self, reply: Reply) -> bool:
        """Return whether an engine's reply says that it cannot run this reranker."""
        kind = self.key.partition("/")[0]
        return reply.status in _CANNOT_STATUSES and _CANNOT[kind].search(reply.text) is not None

    def options(self, options: RerankOptions) -> RerankOptions:
        """Return `options` as this reranker has them."""
        return replace(
            options,
            insist=True,
            query_text=self.query_text,
            fields=options.fields if self.field is None else (self.field,),
            template=options.template if self.field is None else None,
            window=options.window if self.window is None else self.window,
            min_score=options.min_score if self.min_score is None else self.min_score,
            passage_tokens=options.passage_tokens if self.passage_tokens is None else self.passage_tokens,
        )


def find(call: SearchCall) -> Native | None:
    """Return the reranker that a search asks for, or None."""
    retriever = call.body("retriever")
    settings = retriever.get(RETRIEVER) if isinstance(retriever, dict) else None
    if isinstance(settings, dict):
        return _of_retriever(settings)
    ext = call.body("ext")
    rerank = ext.get("rerank") if isinstance(ext, dict) else None
    context = rerank.get(QUERY_CONTEXT) if isinstance(rerank, dict) else None
    return None if context is None else _of_context(call, context)


def refused(natives: Mapping[int, Native], response: SearchResponse) -> list[Native]:
    """Return the rerankers that an engine's answer says it cannot run.

    `natives` are those that it was asked for, by the index of their search: of an `_msearch` each has its own answer,
    unless the request was refused as a whole.
    """
    if not natives:
        return []
    try:
        text = response.content.decode("utf-8", "replace")
        items = answer.parse_items(text) if response.status == 200 else None
    except ValueError:
        return []
    if items is None:
        replies = dict.fromkeys(natives, Reply(response.status, text))
    else:
        replies = {index: Reply(item.status, text[item.start : item.end]) for index, item in enumerate(items)}
    return [each for index, each in natives.items() if index in replies and each.is_refused(replies[index])]


def unwrap(call: SearchCall) -> SearchCall:
    """Return the search without its reranker: what that would have reranked."""
    if isinstance(call.body("retriever"), dict):
        return _unwrap_retriever(call)
    return call.without_rerank_ext()


def _of_retriever(settings: Mapping[str, Any]) -> Native:
    """Read a reranker. Of one around another the outer one's text counts, over the larger window of the two."""
    key = f"{RETRIEVER}/{settings.get('inference_id', DEFAULT_INFERENCE_ID)}"
    text, field, inner = settings.get("inference_text"), settings.get("field"), settings.get("retriever")
    window, least = settings.get("rank_window_size", DEFAULT_WINDOW), settings.get("min_score")
    if not isinstance(text, str) or not isinstance(field, str) or not isinstance(inner, dict):
        return Native(key=key, query_text=None)
    if not _is_number(window) or not (least is None or _is_number(least)):
        return Native(key=key, query_text=None)
    chained = _of_retriever(inner[RETRIEVER]) if isinstance(inner.get(RETRIEVER), dict) else None
    if chained is not None and not chained.is_complete:
        return Native(key=key, query_text=None)
    most = _most_hits(inner) if chained is None else chained.most or MAX_WINDOW
    candidates = max(1, int(window), 0 if chained is None else chained.window or 0)
    return Native(
        key=key,
        query_text=text,
        field=field,
        window=min(candidates, most),
        most=most,
        min_score=least,
        passage_tokens=_chunk_tokens(settings.get("chunk_rescorer")),
    )


def _most_hits(retriever: Mapping[str, Any]) -> int:
    """Return how many hits a retriever can be asked for: Elasticsearch refuses more than its own window."""
    bounds = [MAX_WINDOW]
    for kind, settings in retriever.items():
        if not isinstance(settings, dict) or kind in ("standard", "knn"):
            continue
        if kind == "rescorer":
            rescorers = settings.get("rescore")
            each = rescorers if isinstance(rescorers, list) else [rescorers]
            windows = [rescorer.get("window_size", DEFAULT_WINDOW) for rescorer in each if isinstance(rescorer, dict)]
        else:
            windows = [settings.get("rank_window_size", DEFAULT_WINDOW)]
        bounds += [max(1, int(window)) for window in windows if _is_number(window)]
        if isinstance(settings.get("retriever"), dict):
            bounds.append(_most_hits(settings["retriever"]))
    return min(bounds)


def _chunk_tokens(chunks: Any) -> int | None:
    """Return the tokens of a chunk, which Elastic counts in words."""
    if not isinstance(chunks, dict):
        return None
    given = chunks.get("chunking_settings")
    words = given.get("max_chunk_size", DEFAULT_CHUNK_WORDS) if isinstance(given, dict) else DEFAULT_CHUNK_WORDS
    return int(words / WORDS_PER_TOKEN) if _is_number(words) and words else None


def _of_context(call: SearchCall, context: Any) -> Native:
    text = context.get("query_text") if isinstance(context, dict) else None
    path = context.get("query_text_path") if isinstance(context, dict) else None
    if isinstance(path, str) and text is None:
        text = _at(call, path)
    return Native(key=QUERY_CONTEXT, query_text=text if isinstance(text, str) else None)


def _at(call: SearchCall, path: str) -> Any:
    """Return the value at a dotted path of the body; the short form of a clause is read as its long one."""
    first, *rest = path.split(".")
    return _below(call.body(first), rest)


def _below(value: Any, names: list[str]) -> Any:
    if not names:
        return value
    if isinstance(value, str):  # {"match": {"title": "words"}} stands for {"match": {"title": {"query": "words"}}}
        return value if names == ["query"] else None
    if isinstance(value, list):
        return _below(value[int(names[0])], names[1:]) if names[0].isdigit() and int(names[0]) < len(value) else None
    if not isinstance(value, dict):
        return None
    for length in range(len(names), 0, -1):  # a field's own name may have dots
        name = ".".join(names[:length])
        if name in value:
            return _below(value[name], names[length:])
    return None


def _unwrap_retriever(call: SearchCall) -> SearchCall:
    """Return the search with its reranker, or several one around another, replaced by the retriever inside."""
    retriever = find_member(call.members, "retriever")
    assert retriever is not None
    inner: Member = retriever
    filters: list[str] = []
    while settings := _inside(call.text, inner, RETRIEVER):
        filters += _slices(call.text, settings, ("filter",)).values()
        found = find_member(settings, "retriever")
        assert found is not None
        inner = found
    standard = _inside(call.text, inner, "standard")
    if standard:
        literal = _lifted(call.text, standard, filters)
    else:
        literal = f'"retriever":{call.text[inner.value_start : inner.end]}'
    edits = [Edit(retriever.start, retriever.end, literal)]
    if filters and not standard:
        edits = _as_post_filter(call, filters, behind=edits[0])
    return call.with_text(json_bytes.splice(call.text, edits))


def _as_post_filter(call: SearchCall, filters: list[str], *, behind: Edit) -> list[Edit]:
    """Return the edits that also filter what another retriever than `standard` finds."""
    existing = find_member(call.members, "post_filter")
    if existing is None:
        return [Edit(behind.start, behind.end, f'{behind.text},"post_filter":{_all_of(filters)}')]
    both = _all_of([call.text[existing.value_start : existing.end], *filters])
    return [behind, Edit(existing.value_start, existing.end, both)]


def _lifted(text: str, standard: list[Member], outer: list[str]) -> str:
    """Return the members of a search that does what a standard retriever does."""
    slices = _slices(text, standard, ("query", "filter", *_LIFTED))
    query = slices.pop("query", '{"match_all":{}}')
    filters = [*outer, *([slices.pop("filter")] if "filter" in slices else [])]
    if filters:
        query = f'{{"bool":{{"must":{query},"filter":{_list(filters)}}}}}'
    return ",".join([f'"query":{query}', *(f'"{name}":{slice}' for name, slice in slices.items())])


def _all_of(filters: list[str]) -> str:
    return f'{{"bool":{{"filter":{_list(filters)}}}}}'


def _list(filters: list[str]) -> str:
    """Return one JSON list of filters, each a query or a list of them."""
    flat = [filter.strip()[1:-1] if filter.strip().startswith("[") else filter for filter in filters]
    return f"[{','.join(part for part in flat if part.strip())}]"


def _inside(text: str, member: Member, name: str) -> list[Member]:
    """Return the members of `{name: {…}}`, the value of `member`; none when it is something else."""
    if not isinstance(member.value, dict) or not isinstance(member.value.get(name), dict):
        return []
    found = find_member(json_bytes.scan_object(text, member.value_start), name)
    assert found is not None
    return json_bytes.scan_object(text, found.value_start)


def _slices(text: str, members: list[Member], names: tuple[str, ...]) -> dict[str, str]:
    return {member.key: text[member.value_start : member.end] for member in members if member.key in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
