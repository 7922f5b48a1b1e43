"""Where a search is in its caller's trace, for whoever traces. Nothing where nobody does.

Law: this module knows no tracing library, and costs a look at a variable where there is none. Who traces is known per
request, in a context variable, so that all that a request starts belongs to its trace (`open_telemetry.py` is one).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol

HEADERS: Final = ("traceparent", "tracestate")
"""Those of W3C Trace Context, which a request brings and takes along."""

Attributes = Mapping[str, str | int | float | bool]


class Trace(Protocol):
    """What traces a request."""

    @property
    def trace_id(self) -> str:
        """The id of the trace that is current, as 32 hexadecimal digits."""
        ...

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:
        """Let what happens in the context be a span called `name`."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers that tell others which span they work for."""
        ...


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def traced_by(trace: Trace) -> Iterator[None]:
    """Let `trace` have what happens in the context."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def span(name: str, **attributes: str | int | float | bool) -> AbstractContextManager[None]:
    """Let what happens in the context be a span, where there is a trace. Attributes hold no text of callers."""
    trace = _trace.get()
    return nullcontext() if trace is None else trace.span(name, attributes)


def headers() -> dict[str, str]:
    """Return the headers that a request to somebody else needs, none without a trace."""
    trace = _trace.get()
    return {} if trace is None else trace.headers()


def trace_id() -> str | None:
    """Return the id of the trace, None without one."""
    trace = _trace.get()
    return None if trace is None else trace.trace_id
