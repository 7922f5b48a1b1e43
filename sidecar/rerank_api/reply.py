"""What an endpoint of ours answers: a value that any HTTP server can send."""

from __future__ import annotations

from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]

RETRY_AFTER = ("Retry-After", "1")
"""For whoever is refused or comes too early: a second is many batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. The body is JSON; `headers` come beside Content-Type and Content-Length."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = ()
