"""A Scorer over HTTP: a supervised child, a scorer on another machine, or somebody else's server.

What kind of server it is and how it is asked are matters of `finding.py` and `speech.py`.

Law: a scorer that is away costs nothing. What is known of it comes from a background task, so `describe` never waits;
while nobody answers, calls fail at once; and a call ends a moment after its deadline even if the other side does not.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from sidecar import tasks
from sidecar.errors import ConfigError, RerankUnavailable, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring import timing, wire
from sidecar.scoring.alignments import Alignment
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.breaker import Breaker
from sidecar.scoring.figures import Figures
from sidecar.scoring.finding import Finder
from sidecar.scoring.speech import Found, OwnSpeech, Speech
from sidecar.scoring.splitting import Spans
from sidecar.scoring.wire import ALIGN_PATH, FIGURES_PATH, SPLIT_PATH, ScoreCall
from sidecar.telemetry import tracing

log = logging.getLogger(__name__)

PORTIONS_AT_ONCE = 8
"""Calls that one list of texts makes at a time, where the server takes it in portions."""

_KIND = re.compile(r"([a-z]+)\+(https?://.*|unix:.*)")
_USERINFO = re.compile(r"//.*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How patient to be with a scorer elsewhere, in seconds."""

    #: beyond a call's deadline, for the answer "too late" to arrive
    grace: float = 0.1
    #: for a call without a deadline
    patience: float = 300.0
    #: for a connection, and for the model's facts
    connect: float = 2.0
    #: between two looks while nobody answers, or a model is being loaded
    impatient_poll: float = 0.1
    #: between two looks while somebody answers who cannot be used
    refused_poll: float = 1.0
    #: between two looks while all is well
    calm_poll: float = 5.0
    #: the same for somebody's service
    distant_poll: float = 60.0


class RemoteScorer:
    """A Scorer at an address. Belongs to the event loop in which it is made; looks for the model at once."""

    def __init__(
        self,
        url: str,
        options: RemoteOptions | None = None,
        *,
        breaker: Breaker | None = None,
        api_key: str | None = None,
        model: str | None = None,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        """Use the scorer at `url`: "http://host:port[/prefix]", "https://…" or "unix:/path.sock".

        A kind in front, "tei+http://…", says what server it is; else it is found out. `api_key` is sent as a bearer
        token. `model` is the name to ask other people's servers for; ours have one model. `tls`: whom to trust under
        https, and who we are, as `connectors.tls.client_context` has it.

        Raises:
            ConfigError: `url` is none of these, or holds credentials beside the key.
        """
        named = _KIND.fullmatch(url)
        kind, address = (named[1], named[2]) if named else (None, url)
        self._url = _USERINFO.sub("//", url)
        self._options = options or RemoteOptions()
        if api_key is not None and self._url != url:
            raise ConfigError(f"scorer: {self._url} has credentials in it beside an API key: give one of them")
        self._finder = Finder(kind, model, url=address)
        self._base, connector = _transport(address, tls)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect),
        )
        self._breaker = breaker or Breaker()
        self._found: Found | None = None
        self._unavailable: RerankUnavailable = ScorerStarting(f"the scorer at {self._url} has not answered yet")
        self._is_refused = False
        self._poll_now = asyncio.Event()
        self._known = asyncio.Event()
        self._closing = asyncio.Event()
        self._poller = tasks.start(self._poll(), name=f"poll {self._url}")

    def describe(self) -> ModelFacts:
        """Return the facts as last seen.

        Raises:
            RerankUnavailable: never seen, the connection failed, or several calls in a row got no answer.
        """
        return self._server().facts

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
        speech = self._server().speech
        portions = speech.portions(texts) if texts else []
        if len(portions) < 2:
            return await self._score(speech, query, portions[0], deadline) if portions else []
        free = asyncio.Semaphore(PORTIONS_AT_ONCE)

        async def score(portion: Sequence[str]) -> list[float]:
            async with free:
                return await self._score(speech, query, portion, deadline)

        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(score(portion), name="portion of texts") for portion in portions]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [score for call in calls for score in call.result()]

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `Splitter.split`. Only our own servers can say."""
        if not isinstance(self._server().speech, OwnSpeech):
            raise ScorerLost(f"the scorer at {self._url} does not split texts")
        if not texts:
            return []
        body = wire.write_split(texts, tokens=tokens, overlap=overlap)
        status, answer = await self._ask(SPLIT_PATH, body, self._options.patience, None)
        if status != 200:
            raise wire.read_error(status, answer)
        return wire.read_spans(answer, len(texts))

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read; see `Aligner.alignments`. Only our own servers can say."""
        if not isinstance(self._server().speech, OwnSpeech):
            raise ScorerLost(f"the scorer at {self._url} does not say how it reads")
        body = wire.write_call(ScoreCall(query=query, texts=texts, seconds_left=None))
        status, answer = await self._ask(ALIGN_PATH, body, self._options.patience, None)
        if status != 200:
            raise wire.read_error(status, answer)
        return wire.read_alignments(answer, len(texts))

    async def figures(self) -> Figures:
        """Return what the scorer counts; see `CountsWork.figures`. Only our own servers say it, to those who may ask.

        Raises:
            RerankUnavailable: it cannot be reached, or does not say.
        """
        if not isinstance(self._server().speech, OwnSpeech):
            raise ScorerLost(f"the scorer at {self._url} does not say what it counts")
        try:
            async with asyncio.timeout(self._options.connect):
                status, answer = await self._get(FIGURES_PATH)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}") from error
        if status != 200:
            raise wire.read_error(status, answer)
        return wire.read_figures(answer)

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

    def _server(self) -> Found:
        if self._found is None:
            raise type(self._unavailable)(*self._unavailable.args)
        if self._breaker.is_open(_now()):
            raise ScorerLost(f"the scorer at {self._url} does not answer")
        return self._found

    async def _score(self, speech: Speech, query: str, texts: Sequence[str], deadline: float | None) -> list[float]:
        """Make one call."""
        began = _now()
        if deadline is not None and deadline <= began:
            raise ScoringTimeout("the deadline has passed")
        left = None if deadline is None else deadline - began
        limit = self._options.patience if left is None else left + self._options.grace
        status, answer = await self._ask(speech.path, speech.write(query, texts, left), limit, deadline)
        if status != 200:
            raise speech.error(status, answer)
        return speech.read(answer, len(texts))

    async def _ask(self, path: str, body: bytes, limit: float, deadline: float | None) -> tuple[int, bytes]:
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
        headers = {"Content-Type": "application/json", **tracing.headers()}
        url = self._base + path
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = await response.read()
            timing.tell(timing.read(response.headers))
            return response.status, answer

    def _forget(self, why: RerankUnavailable) -> None:
        self._found = None
        self._unavailable = why
        self._known.clear()
        self._poll_now.set()

    async def _poll(self) -> None:
        """Keep the facts fresh: often while they are unknown, seldom afterwards, at once after a loss."""
        while True:
            self._poll_now.clear()
            await self._look()
            pause = self._pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poll_now.wait()
            if self._found is None and self._poll_now.is_set():
                await asyncio.sleep(self._options.impatient_poll)

    def _pause(self) -> float:
        if self._found is None:
            return self._options.refused_poll if self._is_refused else self._options.impatient_poll
        return self._options.calm_poll if self._found.is_local else self._options.distant_poll

    async def _look(self) -> None:
        self._is_refused = False
        try:
            async with asyncio.timeout(self._options.connect):
                found = await self._finder.find(self._get)
        except RerankUnavailable as error:
            self._is_refused = not isinstance(error, ScorerStarting)
            if self._is_refused and str(error) != str(self._unavailable):
                log.warning("scorer cannot be used url=%s reason=%s", self._url, error)
            self._found, self._unavailable = None, error
            self._known.set() if error.reason == "model" else self._known.clear()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._see_nobody(error)
        else:
            if self._found is None:
                facts = found.facts
                log.info(
                    "scorer found url=%s kind=%s model=%s device=%s", self._url, found.kind, facts.name, facts.device
                )
            self._found = found
            self._known.set()

    def _see_nobody(self, error: Exception) -> None:
        """Before the first answer the scorer is starting, as long as nobody has said otherwise."""
        self._known.clear()
        if self._found is not None or not isinstance(self._unavailable, ScorerStarting):
            self._found = None
            self._unavailable = ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}")

    async def _get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(self._base + path, allow_redirects=False) as response:
            return response.status, await response.read()


def _transport(url: str, tls: ssl.SSLContext | bool) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base URL and the connector; the number of connections is bounded by whoever admits searches."""
    scheme, _, rest = url.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return "http://scorer", aiohttp.UnixConnector(rest, limit=0)
    if scheme in ("http", "https") and rest.startswith("//") and len(rest) > 2:
        return url.rstrip("/"), aiohttp.TCPConnector(limit=0, ssl=tls)
    raise ConfigError(f"scorer: got {url!r}, expected http://HOST:PORT, https://HOST:PORT or unix:/PATH")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
