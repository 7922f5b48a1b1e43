"""One case: what is sent to the proxy, and what says the same to the engine alone.

Law: bytes as they go over the wire. Where nothing is said to the program itself, both are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

Headers = tuple[tuple[str, str], ...]

FETCHES: Final = ("auto", "once", "twice")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request without its framing, which the connection adds."""

    method: str = "POST"
    target: str
    headers: Headers = ()
    body: bytes | None = None
    is_chunked: bool = False

    def __str__(self) -> str:
        """Show it as a reader would type it."""
        lines = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.headers)]
        chunked = " (chunked)" if self.is_chunked else ""
        return "\n".join([*lines, f"{self.body!r}{chunked}" if self.body is not None else "(no body)"])


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, what is added to it for the program, and what may be expected.

    `ours` are headers for the program alone. `body` is what the proxy gets in place of `plain.body` where the body has
    settings for the program (`ext.rerank`, a reranker that the engine does not have).
    """

    plain: Request
    ours: Headers = ()
    body: bytes | None = None
    #: whether it goes to a search route, whose every answer has a marker
    is_search: bool = False
    #: whether the program may refuse its settings
    may_be_refused: bool = False
    #: whether hits may be left out by `min_score`
    may_drop: bool = False
    fetch: str = "auto"

    @property
    def proxied(self) -> Request:
        """What is sent to the program."""
        body = self.plain.body if self.body is None else self.body
        return replace(self.plain, headers=self.plain.headers + self.ours, body=body)

    def __str__(self) -> str:
        """Show what the proxy gets, and what the engine got where that differs."""
        if self.body is None:
            return f"{self.proxied}\n(fetch: {self.fetch})"
        return f"{self.proxied}\n(fetch: {self.fetch}; the engine alone: {self.plain.body!r})"
