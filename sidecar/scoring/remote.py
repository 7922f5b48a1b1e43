"""A Scorer over HTTP, in the scoring protocol of `wire.py`: a supervised child, or a scorer on another machine.

Law: a scorer that is away costs nothing. What is known of it comes from a background task, so `describe` never waits;
while nobody answers, calls fail at once; and a call ends a moment after its deadline even if the other side does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from sidecar import tasks
from sidecar.errors import ConfigError, RerankUnavailable, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring import wire
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.breaker import Breaker
from sidecar.scoring.splitting import Spans
from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH, ScoreCall

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How patient to be with a scorer elsewhere, in seconds."""

    #: beyond a call's deadline, for the answer "too late" to arrive
    grace: float = 0.1
    #: for a call without a deadline
    patience: float = 300.0
    #: for a connection, and for the model's facts
    connect: float = 2.0
    #: between two looks while the facts are unknown
    impatient_poll: float = 0.1
    #: between two looks while all is well
    calm_poll: float = 5.0


class RemoteScorer:
    """A Scorer at an address. Belongs to the event loop in which it is made; looks for the model at once."""

    def __init__(self, url: str, options: RemoteOptions | None = None, *, breaker: Breaker | None = None) -> None:
        """Use the scorer at `url`: "http://host:port[/prefix]", "https://…" or "unix:/path.sock".

        Raises:
            ConfigError: `url` is none of these.
        """
        self._url = url
        self._options = options or RemoteOptions()
        self._base, connector = _transport(url)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect)
        )
        self._breaker = breaker or Breaker()
        self._facts: ModelFacts | None = None
        self._unavailable: RerankUnavailable = ScorerStarting(f"the scorer at {url} has not answered yet")
        self._poll_now = asyncio.Event()
        self._known = asyncio.Event()
        self._closing = asyncio.Event()
        self._poller = tasks.start(self._poll(), name=f"poll {url}")

    def describe(self) -> ModelFacts:
        """Return the facts as last seen.

        Raises:
            RerankUnavailable: never seen, the connection failed, or several calls in a row got no answer.
        """
        if self._facts is None:
            raise type(self._unavailable)(*self._unavailable.args)
        if self._breaker.is_open(_now()):
            raise ScorerLost(f"the scorer at {self._url} does not answer")
        return self._facts

    async def loaded(self) -> ModelFacts:
        """Wait until the scorer has said what it is, or that its model cannot be had, and return its facts.

        Waits for ever where nobody answers: put a timeout around it.

        Raises:
            RerankUnavailable: the model cannot be had, or the scorer was closed.
        """
        await self._known.wait()
        return self.describe()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text, in the order of `texts`; see `Scorer.score`."""
        self.describe()
        if not texts:
            return []
        began = _now()
        if deadline is not None and deadline <= began:
            raise ScoringTimeout("the deadline has passed")
        left = None if deadline is None else deadline - began
        body = wire.write_call(ScoreCall(query=query, texts=texts, seconds_left=left))
        limit = self._options.patience if left is None else left + self._options.grace
        status, answer = await self._ask(body, limit, deadline)
        if status != 200:
            raise wire.read_error(status, answer)
        return wire.read_scores(answer, len(texts))

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`."""
        self.describe()
        if not texts:
            return []
        body = wire.write_split(texts, tokens=tokens, overlap=overlap)
        status, answer = await self._ask(body, self._options.patience, None, path=wire.SPLIT_PATH)
        if status != 200:
            raise wire.read_error(status, answer)
        return wire.read_spans(answer, len(texts))

    def lost(self, why: str) -> None:
        """Forget what is known of the scorer and look for it again: whoever supervises it saw it end."""
        self._forget(ScorerLost(why))

    async def aclose(self) -> None:
        """Stop: waiting calls end with ScorerLost."""
        self._forget(ScorerLost(f"the scorer at {self._url} is closed"))
        self._closing.set()
        self._known.set()
        self._poller.cancel()
        await asyncio.wait({self._poller})
        await self._session.close()

    async def _ask(
        self, body: bytes, limit: float, deadline: float | None, *, path: str = SCORE_PATH
    ) -> tuple[int, bytes]:
        """Post one call. Every failure of the way becomes ours here, and the breaker hears of it."""
        began = _now()
        try:
            async with asyncio.timeout(limit):
                answer = await self._post(path, body)
        except TimeoutError as error:
            self._breaker.silent(began=began, now=_now())
            raise ScoringTimeout(f"the scorer at {self._url} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            self._forget(ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}"))
            raise ScorerLost(*self._unavailable.args) from error
        except asyncio.CancelledError:
            if deadline is not None and _now() >= deadline:  # given up at the deadline, without an answer
                self._breaker.silent(began=began, now=_now())
            raise
        self._breaker.answered(_now())
        return answer

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._base + path, data=body, headers=headers) as response:
            return response.status, await response.read()

    def _forget(self, why: RerankUnavailable) -> None:
        self._facts = None
        self._unavailable = why
        self._known.clear()
        self._poll_now.set()

    async def _poll(self) -> None:
        """Keep the facts fresh: often while they are unknown, seldom afterwards, at once after a loss."""
        while True:
            self._poll_now.clear()
            await self._look()
            pause = self._options.impatient_poll if self._facts is None else self._options.calm_poll
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poll_now.wait()
            if self._facts is None and self._poll_now.is_set():
                await asyncio.sleep(self._options.impatient_poll)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._options.connect):
                facts = await self._get_facts()
        except RerankUnavailable as error:
            self._facts, self._unavailable = None, error
            self._known.set() if error.reason == "model" else self._known.clear()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._see_nobody(error)
        else:
            if self._facts is None:
                log.info("scorer found url=%s model=%s device=%s", self._url, facts.name, facts.device)
            self._facts = facts
            self._known.set()

    def _see_nobody(self, error: Exception) -> None:
        """Before the first answer the scorer is starting, as long as nobody has said otherwise."""
        self._known.clear()
        if self._facts is not None or not isinstance(self._unavailable, ScorerStarting):
            self._facts = None
            self._unavailable = ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}")

    async def _get_facts(self) -> ModelFacts:
        async with self._session.get(self._base + MODEL_PATH) as response:
            body = await response.read()
            if response.status != 200:
                raise wire.read_error(response.status, body)
            return wire.read_facts(body)


def _transport(url: str) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base URL and the connector; the number of connections is bounded by whoever admits searches."""
    scheme, _, rest = url.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return "http://scorer", aiohttp.UnixConnector(rest, limit=0)
    if scheme in ("http", "https") and rest.startswith("//") and len(rest) > 2:
        return url.rstrip("/"), aiohttp.TCPConnector(limit=0)
    raise ConfigError(f"scorer: got {url!r}, expected http://HOST:PORT, https://HOST:PORT or unix:/PATH")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
