"""The differences that are meant to be: data, each with its reason.

Law: an explanation names the modes, the requests and the places where it holds, and nothing else is explained by it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a difference is no fault."""

    name: str
    reason: str
    #: letters of the modes
    modes: str
    #: the end of the path of every value that may differ
    path: re.Pattern[str]
    #: part of the request: method, target and body
    call: re.Pattern[str]

    def explains(self, mode: str, call: str, path: str) -> bool:
        """Return whether a value at `path` of the answer to `call` may differ in a mode."""
        return mode in self.modes and bool(self.call.search(call)) and bool(self.path.search(path))


SCORES: Final = Explanation(
    name="_score",
    modes="BE",
    reason="a reranked hit has a score of the second stage: `_score`, and `max_score` of the window",
    call=re.compile(r"^\S+ \S*/_m?search"),
    path=re.compile(r"(?:^|\.)(?:_score|max_score)$"),
)
PROFILE: Final = Explanation(
    name="profile",
    modes="BCDE",
    reason="the engine profiles the wider search that it was sent (docs/fidelity.md)",
    call=re.compile(r"^\S+ \S*/_m?search"),
    path=re.compile(r"(?:^|\.)profile\."),
)
PROFILED: Final = Explanation(
    name="times in a profile",
    modes="ABCDE",
    reason="nanoseconds and the like, which the engine measures anew in every search",
    call=re.compile(r"^\S+ \S*/_m?search"),
    path=re.compile(r"(?:^|\.)profile\..*(?:nanos|\.breakdown\.\w+)$"),
)
SENT_TWICE: Final = Explanation(
    name="searches counted",
    modes="BCDE",
    reason="the engine counts every search that it was sent, also the second one for text that `_source` has not",
    call=re.compile(r"^\S+ \S*/_(?:stats|nodes)"),
    path=re.compile(r"\.search\.(?:groups\.\w+\.)?(?:query|fetch|suggest)_(?:total|time_in_millis)$"),
)
MEASURED: Final = Explanation(
    name="measured",
    modes="ABCDE",
    reason="durations, waiting tasks, loads and sizes on disk, which the engine measures anew in every play",
    call=re.compile(r"^\S+ \S*/_(?:stats|recovery|segments|nodes|tasks|snapshot|cluster/(?:health|stats|state))"),
    path=re.compile(r"(?:time|millis|nanos|pending_tasks|size_in_bytes|cpu\.percent|write_load)$"),
)
BUSY: Final = Explanation(
    name="busy threads",
    modes="ABCDE",
    reason="whoever asks right after another finds the threads and tasks of the other's request, and its connection",
    call=re.compile(r"^GET /_(?:cat/(?:thread_pool|tasks)|nodes/stats|tasks)"),
    path=re.compile(
        r"^body\.\d+$|^body\{\}$|^body\.tasks\b|\.http\.clients\b"
        r"|\.thread_pool\.\w+\.(?:active|threads|largest|completed)$"
    ),
)
ROUTED: Final = Explanation(
    name="documents without ids",
    modes="ABCDE",
    reason="documents get random ids and so random shards, whose sequence numbers they get",
    call=re.compile(r"^\S+ \S*/_bulk"),
    path=re.compile(r"\.items\.\d+\.\w+\._seq_no$"),
)
SHARDS: Final = Explanation(
    name="order of shards",
    modes="ABCDE",
    reason="sorted by shard and position, which documents without ids have at random",
    call=re.compile(r"^\S+ \S*/_search \{.*_shard_doc"),
    path=re.compile(r"\.hits\.\d+\b"),
)
ORDER: Final = Explanation(
    name="order of names",
    modes="ABCDE",
    reason="the engine writes the members of these answers in the order of a hash or of arrival",
    call=re.compile(
        r"^(?:GET \S*/_(?:mapping|settings|field_caps|alias(?:es)?|template|index_template|cluster/state)"
        r"|POST \S*/_close)(?:[/?]|$)"
    ),
    path=re.compile(r"^bytes$"),
)

EXPLANATIONS: Final[tuple[Explanation, ...]] = (
    SCORES,
    PROFILED,
    PROFILE,
    SENT_TWICE,
    MEASURED,
    BUSY,
    ROUTED,
    SHARDS,
    ORDER,
)


def explain(mode: str, call: str, paths: Iterable[str]) -> set[str] | None:
    """Return the names of the explanations for differences at all `paths`, None when one of them has none."""
    names: set[str] = set()
    for path in paths:
        found = next((each.name for each in EXPLANATIONS if each.explains(mode, call, path)), None)
        if found is None:
            return None
        names.add(found)
    return names
