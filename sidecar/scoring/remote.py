"""A Scorer over HTTP: a supervised child, a scorer on another machine, or somebody else's server.

What kind of server it is and how it is asked are matters of `finding.py` and `speech.py`.

Laws: a scorer that is away costs nothing. What is known of it comes from a background task, so `describe` never waits;
while nobody answers, calls fail at once; and a call ends a moment after its deadline even if the other side does not.
Where a pool may stand behind the address (`pool.py`), one replica that dies is not the scorer's end.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import aiohttp

from sidecar import tasks
from sidecar.errors import ConfigError, RerankUnavailable, ScorerLost, ScorerStarting, ScoringTimeout
from sidecar.scoring import provenance, timing, wire
from sidecar.scoring.alignments import Alignment
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.breaker import Breaker
from sidecar.scoring.figures import Figures
from sidecar.scoring.finding import Finder
from sidecar.scoring.pool import Pool
from sidecar.scoring.speech import Found, OwnSpeech, Speech
from sidecar.scoring.splitting import Spans
from sidecar.scoring.wire import ALIGN_PATH, FIGURES_PATH, REPLICA_HEADER, SPLIT_PATH, ScoreCall
from sidecar.telemetry import tracing

log = logging.getLogger(__name__)

PORTIONS_AT_ONCE = 8
"""Calls that one list of texts makes at a time, where the server takes it in portions."""

GONE_STATUSES = (500, 502, 503, 504)
"""What a balancer answers for a replica that is not there (Ray Serve: 500), and a replica that is about to go, or to
come."""

MODEL_HEADER = "Serve-Multiplexed-Model-Id"
"""Where Ray Serve looks for the model that is asked for: it then chooses a replica that has it."""

_KIND = re.compile(r"([a-z]+)\+(https?://.*|unix:.*)")
_USERINFO = re.compile(r"//.*@")
_OUTCOMES = {200: "answered", 429: "refused"}


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


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer."""

    status: int
    body: bytes = field(repr=False)
    #: do not care for case
    headers: Mapping[str, str] = field(repr=False)

    def tell(self) -> None:
        """Say what the answer tells of itself to whoever listens."""
        timing.tell(timing.read(self.headers))
        provenance.tell(provenance.read(self.headers))


Write = Callable[[float | None], bytes]
"""Returns the body of a request, given the seconds that are left until its deadline."""


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
        pool: Pool | None = None,
    ) -> None:
        """Use the scorer at `url`: "http://host:port[/prefix]", "https://…" or "unix:/path.sock".

        A kind in front, "tei+http://…", says what server it is; else it is found out. `api_key` is sent as a bearer
        token. `model` is the name to ask for where a server has several models. `tls`: whom to trust under https, and
        who we are, as `connectors.tls.client_context` has it. `pool` is what may stand behind the address; None: one
        process, of which nobody else can do the work.

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
            headers=_headers(api_key, model),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect),
        )
        self._breaker = breaker or Breaker()
        #: who is behind the address, None where it is one process
        self.pool = pool
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

    @property
    def whole_window(self) -> bool:
        """Whether a window must be one request: the model scores by position, or replicas have different models.

        One request is one replica's, so that its scores are of one model.
        """
        is_by_position = self._found is not None and self._found.facts.whole_window
        return is_by_position or (self.pool is not None and self.pool.models() > 1)

    @property
    def has_replicas(self) -> bool:
        """Whether several scorers answer at the address, so that one window can be spread over them."""
        return self.pool is not None and self.pool.has_replicas()

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
        speech = self._server().speech
        if not isinstance(speech, OwnSpeech):
            raise ScorerLost(f"the scorer at {self._url} does not split texts")
        if not texts:
            return []
        body = wire.write_split(texts, tokens=tokens, overlap=overlap)
        answer = await self._ask(speech, SPLIT_PATH, lambda _: body, None)
        if answer.status != 200:
            raise speech.error(answer.status, answer.body)
        return wire.read_spans(answer.body, len(texts))

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read; see `Aligner.alignments`. Only our own servers can say."""
        speech = self._server().speech
        if not isinstance(speech, OwnSpeech):
            raise ScorerLost(f"the scorer at {self._url} does not say how it reads")
        body = wire.write_call(ScoreCall(query=query, texts=texts, seconds_left=None))
        answer = await self._ask(speech, ALIGN_PATH, lambda _: body, None)
        if answer.status != 200:
            raise speech.error(answer.status, answer.body)
        return wire.read_alignments(answer.body, len(texts))

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
        answer = await self._ask(speech, speech.path, lambda left: speech.write(query, texts, left), deadline)
        if answer.status != 200:
            raise speech.error(answer.status, answer.body)
        return speech.read(answer.body, len(texts))

    async def _ask(self, speech: Speech, path: str, write: Write, deadline: float | None) -> Answered:
        """Post one call. Every failure of the way becomes ours here, and the breaker hears of it."""
        began = _now()
        left = None if deadline is None else deadline - began
        if left is not None and left <= 0:
            raise ScoringTimeout("the deadline has passed")
        is_sent = False

        async def attempt() -> Answered:
            nonlocal is_sent
            async with nullcontext() if self.pool is None else self.pool.turn():
                is_sent = True
                return await self._post(path, write(None if deadline is None else deadline - _now()))

        def silent() -> None:
            if is_sent:
                self._breaker.silent(began=began, now=_now())

        try:
            async with asyncio.timeout(self._options.patience if left is None else left + self._options.grace):
                answer = await self._sent(attempt, speech, left)
        except TimeoutError as error:
            silent()
            raise ScoringTimeout(f"the scorer at {self._url} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            self._forget(ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}"))
            raise ScorerLost(*self._unavailable.args) from error
        except asyncio.CancelledError:
            if deadline is not None and _now() >= deadline:  # given up at the deadline, without an answer
                silent()
            raise
        self._breaker.answered(_now())
        answer.tell()
        return answer

    async def _sent(
        self, attempt: Callable[[], Coroutine[Any, Any, Answered]], speech: Speech, left: float | None
    ) -> Answered:
        """Make one attempt; of a pool, which others belong to, a second one where that helps."""
        if self.pool is None:
            return await attempt()

        def has_died(done: asyncio.Task[Answered]) -> bool:
            error = done.exception()
            if error is not None:
                return isinstance(error, aiohttp.ClientError | OSError)
            return _is_gone(done.result(), speech)

        answer = await self.pool.send(attempt, has_died=has_died, left=left)
        if _is_gone(answer, speech):  # both times: is there anybody?
            self._poll_now.set()
        return answer

    async def _post(self, path: str, body: bytes) -> Answered:
        headers = {"Content-Type": "application/json", **tracing.headers()}
        began = _now()
        replica, outcome, seconds = None, "given_up", None
        try:
            async with self._session.post(
                self._base + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = Answered(response.status, await response.read(), response.headers)
            replica = answer.headers.get(REPLICA_HEADER)
            outcome = _OUTCOMES.get(answer.status, "failed")
            seconds = _now() - began
        except (aiohttp.ClientError, OSError):
            outcome = "died"
            raise
        finally:
            if self.pool is not None:
                self.pool.count(replica, outcome, seconds)
        if self.pool is not None:
            self.pool.heard(replica, provenance.read(answer.headers))
        return answer

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
            if self._poll_now.is_set():
                await asyncio.sleep(self._options.impatient_poll)

    def _pause(self) -> float:
        if self._found is None:
            return self._options.refused_poll if self._is_refused else self._options.impatient_poll
        return self._options.calm_poll if self._found.is_local else self._options.distant_poll

    async def _look(self) -> None:
        self._is_refused = False
        try:
            found = await self._find()
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
            self._found = found if self.pool is None else self._as_first_told(found, self.pool)
            self._known.set()

    def _as_first_told(self, found: Found, pool: Pool) -> Found:
        """Return a pool as it was found, with the speed that was told first: windows do not change with who answers."""
        pool.heard(None, found.facts)
        if self._found is None:
            return found
        facts = replace(found.facts, tokens_per_second=self._found.facts.tokens_per_second)
        return replace(found, facts=facts) if facts == self._found.facts else found

    async def _find(self) -> Found:
        """Look for the scorer; of a pool that was there before, one that dies is not asked and another one is."""
        try:
            async with asyncio.timeout(self._options.connect):
                return await self._finder.find(self._get)
        except (RerankUnavailable, TimeoutError, aiohttp.ClientError, OSError):
            if self.pool is None or self._found is None:
                raise
        async with asyncio.timeout(self._options.connect):
            return await self._finder.find(self._get)

    def _see_nobody(self, error: Exception) -> None:
        """Before the first answer the scorer is starting, as long as nobody has said otherwise."""
        self._known.clear()
        if self._found is not None or not isinstance(self._unavailable, ScorerStarting):
            self._found = None
            self._unavailable = ScorerLost(f"the scorer at {self._url} cannot be reached: {_words(error)}")

    async def _get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(self._base + path, allow_redirects=False) as response:
            if self.pool is not None:
                self.pool.heard(response.headers.get(REPLICA_HEADER), None)
            return response.status, await response.read()


def _transport(url: str, tls: ssl.SSLContext | bool) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base URL and the connector; the number of connections is bounded by whoever admits searches."""
    scheme, _, rest = url.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return "http://scorer", aiohttp.UnixConnector(rest, limit=0)
    if scheme in ("http", "https") and rest.startswith("//") and len(rest) > 2:
        return url.rstrip("/"), aiohttp.TCPConnector(limit=0, ssl=tls)
    raise ConfigError(f"scorer: got {url!r}, expected http://HOST:PORT, https://HOST:PORT or unix:/PATH")


def _headers(api_key: str | None, model: str | None) -> dict[str, str]:
    """Return what every request carries."""
    key = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return key if model is None else {**key, MODEL_HEADER: quote(model, safe="/:=")}


def _is_gone(answer: Answered, speech: Speech) -> bool:
    """Whether a replica, or a balancer in its place, says that it cannot be asked now, so that another one may be."""
    return answer.status in GONE_STATUSES and isinstance(
        speech.error(answer.status, answer.body), ScorerLost | ScorerStarting
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
