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
        kind=re.compile(r"_m?search: printed order"),
        modes=frozenset({"identity"}),
        engines=frozenset({"elasticsearch"}),
        request=re.compile(r"_source|fields|(?i:\nContent-Encoding:)"),  # an encoded body cannot be looked into
    ),
    Explanation(
        name="HTTP parser",
        reason="the HTTP parser refuses what the engine refuses, too, but in its own words: a second Content-Type, "
        "methods in lower case or of somebody's invention",
        kind=re.compile(r".*: refused by the HTTP parser where the engine says (?:0|4\d\d)"),
        request=re.compile(r"\A(?:[a-z]+|FOO) |(?is:\ncontent-type:.*\ncontent-type:)"),
    ),
    Explanation(
        name="second User-Agent",
        reason="docs/fidelity.md, known gaps: the HTTP parser refuses it, whatever the engine says",
        kind=re.compile(r".*: refused by the HTTP parser where the engine says \d+"),
        request=re.compile(r"(?is:\nuser-agent:.*\nuser-agent:)"),
    ),
    Explanation(
        name="no answer",
        reason="the engine closes the connection without an answer (CBOR and SMILE cannot hold a lone surrogate, "
        "OpenSearch takes no body that is not as encoded as it says); a proxy has to give one",
        kind=re.compile(r"_m?search(?:/template)?: 0 -> 502 engine_unavailable \[skipped; reason=engine_error\]"),
        request=re.compile(r"(?i:cbor|smile|\ncontent-encoding:)"),
    ),
    Explanation(
        name="chunks",
        reason="an error that quotes the engine's buffer or stack: a body that is held in memory goes on in one piece",
        kind=re.compile(
            r"_m?search(?:/template)?: body of an error"
            r"(?:: \.error\.(?:root_cause\[\]|caused_by)\.(?:reason|stack_trace))?"
        ),
        engines=frozenset({"elasticsearch"}),
        request=re.compile(r"\(chunked\)"),
    ),
    Explanation(
        name="unread settings",
        reason="a body that cannot be read, or is said to be YAML, is passed on as it came, with `ext.rerank`, which "
        "the engine refuses before or in place of what is wrong with the body",
        kind=re.compile(
            r"_m?search: (?:body of an error(?:: \.error\..*)?"
            r"|(?:200|[45]\d\d .*) -> 400 .*\[skipped; reason=(?:unparsable|not_json)\])"
        ),
        modes=_TRIED,
        request=re.compile(r'"ext":\{"rerank"'),
    ),
)
"""Meant to be, or known and documented."""

FAULTS: Final[tuple[Explanation, ...]] = ()
"""Known and to be mended; each goes away with what it is about."""


def explanation(engine: str, mode: str, request: str, kind: str) -> str | None:
    """Return the name of what explains a difference, None where nothing does."""
    return next(_names(engine, mode, request, kind), None)


def _names(engine: str, mode: str, request: str, kind: str) -> Iterator[str]:
    return (each.name for each in (*GAPS, *FAULTS) if each.explains(engine, mode, request, kind))
