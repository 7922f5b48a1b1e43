"""The parts of a running program, opened from its settings: the engine's connector and the scorers.

Law: whoever opens something closes it, in the reverse order, also when starting fails half-way.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connectors.base import Connector
from connectors.errors import EngineError
from connectors.tls import client_context
from sidecar.errors import ConfigError, ScorerStarting
from sidecar.program.config import Settings
from sidecar.proxy.endpoints import Endpoints
from sidecar.proxy.listener import Address
from sidecar.scoring import scripted
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.pool import Pool
from sidecar.scoring.scripted import ScriptedScorer, is_test_scorer

if TYPE_CHECKING:
    from connectors.relay import EngineOptions
    from sidecar.scoring.scheduler import LocalScorer, SchedulerOptions

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""A longer search answer is streamed on unranked."""

STARTING_POLL_SECONDS: Final = 0.05

SCORER_PATIENCE_SECONDS: Final = 3.0
"""A scorer elsewhere that has said nothing by then counts as away; one of our own loads as long as it takes."""

EMBEDDED: Final = "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one of several front processes stands: what its parent has opened for all of them."""

    #: bound to the address of the main listener
    sockets: Sequence[socket.socket]
    #: addresses of the scorers that the parent supervises, by model; "" is the main one
    scorers: Mapping[str, str]
    #: where the parent asks for what this process counts
    admin: Address
    #: what is answered for all fronts together
    endpoints: Endpoints
    #: sections of the settings that have changed since the program's start
    live: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says beside the settings."""

    settings: Settings
    allow_test_scorers: bool = False
    #: called once for every line that tells people what runs where
    announce: Callable[[str], None] = field(default=logger.info)
    #: where this process stands, when it is one of several fronts
    place: Place | None = None
    #: reads the configuration again, where there is one to read; raises ConfigError
    read: Callable[[], Settings] | None = None


def program_version() -> str:
    """Return the installed version, "unknown" from a bare checkout."""
    try:
        return version("rerank-sidecar")
    except PackageNotFoundError:
        return "unknown"


# --- engines ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Connector]:
    """Give the connector of the configured engine.

    Raises:
        ConfigError: the URL makes no sense, what answers there is no engine, or the documents cannot be read.
    """
    engine = await _engine(settings)
    try:
        yield engine
    finally:
        await engine.aclose()


async def _engine(settings: Settings) -> Connector:
    urls = settings.engine.urls
    kind, _, path = urls[0].partition(":") if len(urls) == 1 else ("", "", "")
    try:
        if kind == EMBEDDED:
            return await asyncio.to_thread(_embedded, path)
        from connectors.detect import connect_with

        options = _engine_options(settings)
        return await connect_with(options, urls, may_be_down=True, max_answer_bytes=MAX_ANSWER_BYTES)
    except (ValueError, OSError, EngineError) as error:
        raise ConfigError(f"engine.url: {error}") from error


def _engine_options(settings: Settings) -> EngineOptions:
    options = settings.engine.options()
    try:
        options.tls()
    except OSError as error:
        raise ConfigError(f"engine.ca_certs, engine.client_cert, engine.client_key: {error}") from error
    return options


def _embedded(path: str) -> Connector:
    from connectors.embedded import EmbeddedConnector

    if path:
        return EmbeddedConnector.from_file(Path(path))
    from sidecar import sample

    return EmbeddedConnector.from_file(sample.documents_path(), index=sample.INDEX)


# --- scorers ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_scorer(options: Options, model: str | None = None) -> AsyncIterator[Scorer]:
    """Give the configured scorer; `model` is another model than the main one, in a child of its own.

    Raises:
        ConfigError: a test scorer without its permission, or a URL that makes no sense.
    """
    scorer = await _scorer(options, model)
    try:
        yield scorer
    finally:
        await scorer.aclose()


async def open_models(stack: AsyncExitStack, options: Options) -> dict[str, Scorer]:
    """Return the scorers that policies name, open as long as `stack` is."""
    names = options.settings.model_names()
    return {name: await stack.enter_async_context(open_scorer(options, name)) for name in names}


async def _scorer(options: Options, model: str | None) -> Scorer:
    url = options.settings.scorer.url
    shared = options.place.scorers.get(model or "") if options.place else None
    if shared is not None:
        from sidecar.scoring.remote import RemoteScorer

        return RemoteScorer(shared)
    if url is None or model is not None:
        from sidecar.scoring.worker import SupervisedScorer

        model = model or options.settings.model.name
        check_allowed(model, options, "model.name")
        return SupervisedScorer(_child_argv(options.settings, model))
    if is_test_scorer(url):
        check_allowed(url, options, "scorer.url")
        return scripted.parse(url)
    from sidecar.scoring.remote import RemoteScorer

    section = options.settings.scorer
    key = section.api_key.get_secret_value() if section.api_key else None
    try:
        tls = client_context(
            section.ca_certs,
            verify_certs=section.verify_certs,
            client_cert=section.client_cert,
            client_key=section.client_key,
        )
        return RemoteScorer(url, api_key=key, model=section.model, tls=tls, pool=Pool(section.max_requests))
    except ValueError as error:
        raise ConfigError(f"scorer.url: {error}") from error
    except OSError as error:
        raise ConfigError(f"scorer.ca_certs, scorer.client_cert, scorer.client_key: {error}") from error


def check_allowed(name: str, options: Options, key: str) -> None:
    """Raise ConfigError when a test scorer, the value of `key`, is named without its permission."""
    if is_test_scorer(name) and not options.allow_test_scorers:
        raise ConfigError(f"{key}: {name} is a test scorer; it needs --allow-test-scorers beside it")


def _child_argv(settings: Settings, model: str) -> list[str]:
    """Return the command of a child that scores; its socket is added by whoever starts it."""
    argv = [sys.executable, "-m", "sidecar", "score", "--model", model, "--exit-with-parent"]
    argv += ["--device", settings.model.device, "--dtype", settings.model.dtype, "--log-level", settings.log_level]
    argv += ["--log-format", settings.log_format]
    if settings.model.max_length is not None:
        argv += ["--max-length", str(settings.model.max_length)]
    argv += ["--token-cache-bytes", str(settings.model.token_cache_bytes)]
    if is_test_scorer(model):
        argv.append("--allow-test-scorers")
    return argv


@asynccontextmanager
async def open_any_scorer(options: Options) -> AsyncIterator[Scorer]:
    """Give the configured scorer for a command that ends: in this process unless it is elsewhere."""
    opened = open_local_scorer(options) if options.settings.scorer.url is None else open_scorer(options)
    async with opened as scorer:
        yield scorer


@asynccontextmanager
async def open_local_scorer(
    options: Options, scheduling: SchedulerOptions | None = None
) -> AsyncIterator[LocalScorer | ScriptedScorer]:
    """Give a scorer in this process that begins to load the configured model, which may be a test scorer.

    `scheduling`: None = by the model's measured speed.

    Raises:
        ConfigError: a test scorer without its permission.
    """
    scorer = begin_local_scorer(options, scheduling)
    try:
        yield scorer
    finally:
        await scorer.aclose()


def begin_local_scorer(options: Options, scheduling: SchedulerOptions | None = None) -> LocalScorer | ScriptedScorer:
    """Return what `open_local_scorer` gives, for whoever closes it otherwise."""
    check_allowed(options.settings.model.name, options, "model.name")
    model = options.settings.model
    if is_test_scorer(model.name):
        return scripted.parse(model.name)
    from sidecar.scoring.loading import begin_loading

    return begin_loading(
        model.name,
        device=model.device,
        dtype=model.dtype,
        max_length=model.max_length,
        token_cache_bytes=model.token_cache_bytes,
        scheduling=scheduling,
    )


async def await_facts(scorer: Scorer) -> ModelFacts:
    """Return a scorer's facts once it has started.

    Raises:
        RerankUnavailable: its model cannot be had, or it cannot be reached.
    """
    is_away = patience(scorer)
    while True:
        try:
            return scorer.describe()
        except ScorerStarting:
            if is_away():
                raise
            await asyncio.sleep(STARTING_POLL_SECONDS)


def patience(scorer: Scorer) -> Callable[[], bool]:
    """Return what tells whether a scorer that is still starting has been waited for long enough."""
    from sidecar.scoring.remote import RemoteScorer

    loop = asyncio.get_running_loop()
    end = loop.time() + SCORER_PATIENCE_SECONDS if isinstance(scorer, RemoteScorer) else math.inf
    return lambda: loop.time() >= end


def model_line(facts: ModelFacts) -> str:
    """Return a model's facts in a line for people."""
    speed = f", {facts.tokens_per_second:,.0f} tokens/s" if facts.tokens_per_second else ""
    return f"{facts.name} ({facts.kind}, {facts.device}, {facts.dtype}{speed})"
