"""Requests with what their answers must be, and the client that sends them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request and the judge of its answers, who says what is wrong, "" for nothing."""

    method: str
    path: str
    check: Callable[[Answer], str]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """Sends calls over kept connections, as many at a time as are asked for."""

    def __init__(self, url: str) -> None:
        """Send to the server at `url`."""
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open it."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        assert self._session is not None
        await self._session.close()

    async def send(self, call: Call) -> Answer | str:
        """Return the answer, or in words why there is none."""
        assert self._session is not None
        try:
            async with self._session.request(
                call.method, self._url + call.path, data=call.body, headers=call.headers
            ) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except TimeoutError:
            return "no answer in time"
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
            return f"no answer: {type(error).__name__}"


def expects(body: bytes, status: int = 200) -> Callable[[Answer], str]:
    """Return the judge who wants exactly these bytes."""

    def check(answer: Answer) -> str:
        if answer.status != status:
            return f"status {answer.status}"
        return "" if answer.body == body else "other bytes"

    return check


def ranking(found: Sequence[tuple[Any, float]], expected: Mapping[Any, float], tolerance: float) -> str:
    """Return what is wrong with a ranked list of (id, score), whose right scores are `expected`, "" for nothing.

    The list must have each id once, be sorted by score, and have the right scores up to `tolerance`; so the order is
    the right one but for scores that are closer than that.
    """
    if len(found) != len(expected) or {id for id, _ in found} != set(expected):
        return "other documents"
    scores = [score for _, score in found]
    if any(before < after for before, after in itertools.pairwise(scores)):
        return "not sorted"
    if any(abs(score - expected[id]) > tolerance for id, score in found):
        return "other scores"
    return ""
