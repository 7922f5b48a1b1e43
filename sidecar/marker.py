"""What a search answer says about its reranking: the header `X-Rerank`, and `Server-Timing`.

Law: one header, five words (`applied`, `partial`, `skipped`, `degraded`, `observed`), then `key=value` pairs; nothing
in the body unless the caller asks. An `_msearch` has one entry per item, in order, up to MAX_ENTRIES; then counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.errors import RerankUnavailable
from sidecar.scoring.timing import Timing
from sidecar.types import Arm, InterleaveMethod, Outcome, SkipReason

HEADER: Final = "X-Rerank"
MAX_ENTRIES: Final = 32
"""Items of an `_msearch` up to which each has an entry: clients bound the length of a header."""

MAX_TOKEN_CHARACTERS: Final = 4096
"""Of all tokens of a header together."""

_TOKEN: Final = re.compile(r"; token=[^,;]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """How one search fared."""

    outcome: Outcome
    reason: str | None = None
    #: the side of an experiment that the search is on, None where there is none
    arm: Arm | None = None
    #: how the page was interleaved, None where it was not; the policy (not in the header); and what a click gives back
    interleaved: InterleaveMethod | None = None
    policy: str | None = None
    token: str | None = None
    #: candidates that were scored
    candidates: int | None = None
    #: candidates that would be scored at most
    window: int | None = None
    #: tokens of the budget that cut the window, None where it did not
    token_budget: int | None = None
    #: candidates of the window that a cascade has left unscored, and the model that chose them
    pruned: int | None = None
    pruner: str | None = None
    #: texts whose scores were remembered
    cached: int | None = None
    #: hits that min_score left out
    dropped: int | None = None
    model: str | None = None
    #: seconds that its explanation took, and that its scores waited and took; not in the header
    explaining: float = 0.0
    timing: Timing | None = None

    def __str__(self) -> str:
        """Return the entry as it stands in the header."""
        pairs = {
            "reason": self.reason,
            "arm": self.arm,
            "interleaved": self.interleaved,
            "candidates": self.candidates,
            "window": self.window,
            "token_budget": self.token_budget,
            "pruned": self.pruned,
            "pruner": self.pruner,
            "cached": self.cached,
            "dropped": self.dropped,
            "model": self.model,
            "token": self.token,
        }
        return "; ".join(
            (self.outcome.value, *(f"{key}={_safe(value)}" for key, value in pairs.items() if value is not None))
        )


def skipped(reason: SkipReason) -> Marker:
    """Return the marker of a search that was left alone."""
    return Marker(outcome=Outcome.SKIPPED, reason=reason.value)


def degraded(failure: RerankUnavailable) -> Marker:
    """Return the marker of a search whose second stage failed."""
    return Marker(outcome=Outcome.DEGRADED, reason=failure.reason)


def observed() -> Marker:
    """Return the marker of a search that is only observed."""
    return Marker(outcome=Outcome.OBSERVED)


def refused() -> Marker:
    """Return the marker of a search whose reranking settings make no sense."""
    return Marker(outcome=Outcome.SKIPPED, reason="bad_request")


def header_value(markers: Sequence[Marker]) -> str:
    """Return the value of `X-Rerank` for a search, or for all items of an `_msearch`."""
    if len(markers) <= MAX_ENTRIES:
        return ", ".join(map(str, _with_tokens_that_fit(markers)))
    counts = Counter(marker.outcome for marker in markers)
    return "mixed; " + "; ".join(f"{outcome.value}={counts[outcome]}" for outcome in Outcome if counts[outcome])


def without_tokens(value: str) -> str:
    """Return a header's value without what only a click gives back."""
    return _TOKEN.sub("", value)


def _with_tokens_that_fit(markers: Sequence[Marker]) -> Iterator[Marker]:
    """Yield the markers, without a token where those before it have taken the room."""
    room = MAX_TOKEN_CHARACTERS
    for marker in markers:
        length = len(marker.token or "")
        yield marker if length <= room else replace(marker, token=None)
        room -= length if length <= room else 0


def server_timing(**seconds: float | None) -> str:
    """Return the value of `Server-Timing` (W3C): durations in milliseconds by name."""
    return ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in seconds.items() if value is not None)


def _safe(value: object) -> str:
    """Return a value without what would end it in a header."""
    return "".join(character if character.isprintable() and character not in ',;"' else "_" for character in str(value))
