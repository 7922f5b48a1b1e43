"""The differences that are meant to be: data, each with its reason.

Law: an explanation names engines, modes, kinds of difference and requests, and explains nothing else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a difference is no fault."""

    name: str
    reason: str
    kind: re.Pattern[str]
    modes: frozenset[str] = frozenset({"off", "failing", "stalled", "identity"})
    engines: frozenset[str] = frozenset({"elasticsearch", "opensearch"})
    #: part of the request as it is shown
    request: re.Pattern[str] = re.compile("")

    def explains(self, engine: str, mode: str, request: str, kind: str) -> bool:
        """Return whether a difference of this kind is meant to be."""
        is_here = engine in self.engines and mode in self.modes
        return is_here and bool(self.kind.fullmatch(kind)) and bool(self.request.search(request))


_TRIED: Final = frozenset({"failing", "stalled", "identity"})

GAPS: Final[tuple[Explanation, ...]] = (
    Explanation(
        name="order of printed members",
        reason="docs/fidelity.md, known gaps: with a filtered `_source` that hides the text, Elasticsearch prints the "
        "members of `_source` and `fields` in another order than without our `fields`",
        kind=re.compile(r".*: printed order"),
        modes=frozenset({"identity"}),
        engines=frozenset({"elasticsearch"}),
    ),
    Explanation(
        name="HTTP parser",
        reason="the HTTP parser refuses what the engine refuses, too, but in its own words: a second Content-Type, "
        "methods in lower case",
        kind=re.compile(r".*: refused by the HTTP parser where the engine says (?:0|4\d\d)"),
    ),
    Explanation(
        name="no answer",
        reason="the engine closes the connection without an answer (CBOR cannot hold a lone surrogate); a proxy has to "
        "give one",
        kind=re.compile(r".*: 0 -> 502 engine_unavailable.*"),
    ),
    Explanation(
        name="chunks",
        reason="an error that quotes the engine's buffer or stack: a body that is held in memory goes on in one piece",
        kind=re.compile(r".*: body(?:: \.error\..*)?"),
        request=re.compile(r"\(chunked\)"),
    ),
    Explanation(
        name="unread settings",
        reason="a body that cannot be read, or is said to be YAML, is passed on as it came, with `ext.rerank`, which "
        "the engine refuses before or in place of what is wrong with the body",
        kind=re.compile(r"_m?search: (?:body.*|\d+.* -> 400 .*\[skipped; reason=(?:unparsable|not_json)\])"),
        modes=_TRIED,
        request=re.compile(r'"ext":\{"rerank"'),
    ),
)
"""Meant to be, or known and documented."""

FAULTS: Final[tuple[Explanation, ...]] = (
    Explanation(
        name="fault: blank searches",
        reason="search_call.py: an empty body line of an `_msearch`, or an empty `source` in the URL, which the engine "
        "refuses, is taken for an empty object and written anew",
        kind=re.compile(r"_m?search: 400 parsing_exception -> 200 .*"),
        modes=_TRIED,
        request=re.compile(r"\\n[ \\rt]*\\n|[?&]source(?:=?&|=?\s)"),
    ),
    Explanation(
        name="fault: empty page of a slim search",
        reason="pipeline.py: where `min_score` leaves nothing on the page, the caller's own search is never sent, and "
        "what the slim one leaves out is not refused",
        kind=re.compile(r"_search: 400 \w+ -> 200 \[tried\]"),
        modes=frozenset({"identity"}),
        request=re.compile(r"Min-Score"),
    ),
    Explanation(
        name="fault: errors of templates",
        reason="templates.py: an error in what a template stands for names path and column of the search that it was "
        "made into; what is wrong with several templates at once is told of the first",
        kind=re.compile(r"_m?search/template: body: \.error\..*"),
        modes=_TRIED,
        engines=frozenset({"opensearch"}),
    ),
    Explanation(
        name="fault: refused templates",
        reason="templates.py: what a template stands for may be refused as a whole where the template is not: one bad "
        "search of an `_msearch/template`, `verbose_pipeline` without a pipeline",
        kind=re.compile(r"_m?search/template: 200 -> 400 .*\[skipped; reason=engine_error\]"),
        modes=_TRIED,
        engines=frozenset({"opensearch"}),
    ),
    Explanation(
        name="fault: inner_hits twice",
        reason="two_steps.py: where one object has `inner_hits` twice, the edits that take both out overlap, and the "
        "answer is 500",
        kind=re.compile(r".*(?: -> 500 internal_error|: marker absent, status 500)"),
        modes=_TRIED,
        request=re.compile(r"(?s)inner_hits.*inner_hits"),
    ),
)
"""Known and to be mended; each goes away with what it is about."""


def explanation(engine: str, mode: str, request: str, kind: str) -> str | None:
    """Return the name of what explains a difference, None where nothing does."""
    return next(_names(engine, mode, request, kind), None)


def _names(engine: str, mode: str, request: str, kind: str) -> Iterator[str]:
    return (each.name for each in (*GAPS, *FAULTS) if each.explains(engine, mode, request, kind))
