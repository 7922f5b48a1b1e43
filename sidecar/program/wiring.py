"""Putting the parts together to a running program. The only module that knows them all.

Law: whoever opens something closes it, in the reverse order, also when starting fails half-way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from connectors.base import Connector
from sidecar import languages, tasks
from sidecar.errors import ConfigError, RerankUnavailable, ScorerStarting
from sidecar.experiments.event_store import Standing
from sidecar.experiments.observe_log import ObserveLog
from sidecar.experiments.observing import Tell
from sidecar.pipeline import RerankingConnector
from sidecar.playground.endpoints import Example, Playground
from sidecar.playground.page_files import PAGE_PATH
from sidecar.program.clicks import open_clicks
from sidecar.program.config import Settings
from sidecar.program.interpreter import settle
from sidecar.program.live import LivePolicies, key_of, may_put
from sidecar.program.models import Models
from sidecar.program.parts import (
    Options,
    model_line,
    open_engine,
    open_local_scorer,
    open_scorer,
    patience,
    program_version,
)
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import Endpoints
from sidecar.proxy.health import Health
from sidecar.proxy.listener import Address, drain, listening, server_context
from sidecar.rerank_api.api_key import ApiKey
from sidecar.scoring.base import Scorer
from sidecar.scoring.score_cache import ScoreCache
from sidecar.scoring.wire import ALIGN_PATH, FIGURES_PATH, MODEL_PATH, SCORE_PATH, SPLIT_PATH
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.reports import Observe
from sidecar.telemetry.slow_log import SlowLog
from sidecar.types import Observation, SearchRecord

if TYPE_CHECKING:
    from sidecar.scoring.scheduler import LocalScorer
    from sidecar.scoring.scripted import ScriptedScorer
    from sidecar.telemetry.open_telemetry import OpenTelemetry

logger = logging.getLogger(__name__)


TRACING_END_SECONDS: Final = 3.0
"""How long spans that were not sent yet may take at the end."""


async def serve(options: Options) -> None:
    """Run the proxy until SIGTERM or SIGINT. Raises ConfigError when it cannot start."""
    settings = options.settings
    addresses = dict(options.place.scorers) if options.place else {}
    options = replace(options, place=options.place and replace(options.place, scorers=addresses))
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(_telemetry(settings))
        engine = await stack.enter_async_context(open_engine(settings))
        scorer = await stack.enter_async_context(open_scorer(options))
        in_force = settings.with_live(options.place.live) if options.place else settings
        models = Models(options, lambda name, each: _watch(metrics, name, each))
        stack.push_async_callback(models.aclose)
        await models.open(in_force.model_names())
        metrics, cache = _metrics(scorer, models.scorers), _score_cache(settings)
        if cache is not None:
            metrics.watch_score_cache(cache)
        clicks = await open_clicks(stack, settings, engine, metrics)
        page = playground(engine, scorer, settings, standing=clicks.standing)
        reranking = RerankingConnector(
            _told(engine, telemetry),
            scorer,
            in_force.policy(),
            models=models.scorers,
            score_cache=cache,
            tenant_headers=settings.score_cache.tenant_headers,
            max_searches=settings.max_searches,
            observe=_observers(settings, metrics.observe, page.traffic.observe),
            compare=_comparers(metrics.compare, stack, settings),
            max_observed=settings.observe.max_searches,
            tokens=clicks.tokens,
        )
        stack.push_async_callback(reranking.aclose)

        async def prepare(changed: Settings) -> None:
            if changed.policy().has_languages:
                await asyncio.to_thread(languages.prepare)
            await models.load(changed.model_names())

        async def use(changed: Settings) -> None:
            reranking.use(changed.policy())
            metrics.policies(live.digest)
            models.keep(changed.model_names(), reranking.passed)

        learn = addresses.update if options.place else None
        live = LivePolicies(settings, use, options.read, in_force=in_force, prepare=prepare, learn=learn)
        metrics.policies(live.digest)
        health = health_of(scorer, settings)
        own = {**health.endpoints(), **metrics.endpoints()}
        api = _traced_endpoints(_rerank_endpoints(scorer, settings), telemetry)
        place = options.place
        ours = {**own, **api, **page.endpoints(), **clicks.endpoints, **(place.endpoints if place else {})}
        app = ProxyApp(_traced(reranking, telemetry), ours)
        sockets = place.sockets if place else ()
        address = await stack.enter_async_context(
            listening(app, Address.parse(settings.listen), _tls(settings), sockets)
        )
        await open_admin(stack, options, own, live)
        options.announce(f"engine: {engine.name} at {', '.join(settings.engine.printable_urls)}")
        options.announce(f"listening on {address}")
        if page.is_enabled and not address.unix:
            options.announce(f"playground: {address}{PAGE_PATH}")
        settle()
        with live.listening_to_sighup():
            await until_stopped()
            health.is_draining = True
            await drain([app], settings.drain_seconds)


async def score(options: Options, address: str, *, is_child: bool = False) -> None:
    """Run the scorer and the rerank API alone until SIGTERM or SIGINT.

    A child lives on when its model cannot be had, so that its parent can say so to every search.

    Raises:
        ConfigError: it cannot start.
        ModelFailed: the model cannot be had.
    """
    from sidecar.scoring.worker import exit_with_parent

    if is_child:
        exit_with_parent()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is for our parent, when all of us get it
    async with AsyncExitStack() as stack:
        telemetry = None if is_child else await stack.enter_async_context(_telemetry(options.settings))
        scorer = await stack.enter_async_context(open_local_scorer(options))
        health = health_of(scorer, options.settings)
        replica = None if is_child else _replica_name(address)
        endpoints = {
            **health.endpoints(),
            **_metrics(scorer).endpoints(),
            **scoring_endpoints(scorer, options.settings, replica=replica, is_private=is_child),
        }
        app = ProxyApp(None, _traced_endpoints(endpoints, telemetry))
        tls = None if is_child else _tls(options.settings)  # only our parent reaches the socket of a child
        bound = await stack.enter_async_context(listening(app, Address.parse(address), tls))
        options.announce(f"listening on {bound}")
        failed = await _until_stopped_or_failed(scorer, options, is_child=is_child)
        if failed is not None:
            raise failed
        health.is_draining = True
        await drain([app], 0.0 if is_child else options.settings.drain_seconds)


def _replica_name(address: str) -> str:
    """Return what a scorer calls itself among those behind one address: the same after a restart, where it can be."""
    return f"{socket.gethostname()}:{Address.parse(address).port or os.getpid()}"


async def _until_stopped_or_failed(
    scorer: LocalScorer | ScriptedScorer, options: Options, *, is_child: bool
) -> RerankUnavailable | None:
    stop = asyncio.Event()
    failure: RerankUnavailable | None = None

    async def watch() -> None:
        nonlocal failure
        try:
            options.announce(f"model: {model_line(await scorer.loaded())}")
            settle()
        except RerankUnavailable as error:
            logger.error("model_unavailable error=%s", error)
            if not is_child:
                failure = error
                stop.set()
            return
        failure = await scorer.ended()  # such as a device that is lost: whoever supervises us starts a new process
        logger.error("scorer_ended error=%s", failure)
        stop.set()

    watching = tasks.start(watch(), name="watch the model")
    try:
        await until_stopped(stop)
    finally:
        watching.cancel()
    return failure


def scoring_endpoints(
    scorer: Scorer, settings: Settings, *, replica: str | None, is_private: bool = False
) -> Endpoints:
    """Return the rerank API and the scoring protocol over a scorer.

    `replica` is what it calls itself, None where nobody asks. `is_private`: callers need no key for the protocol.
    """
    from sidecar.rerank_api.endpoints import guarded
    from sidecar.rerank_api.scoring_protocol import ScoringProtocol

    protocol = ScoringProtocol(scorer, replica=replica)
    key = _api_key(settings, is_private=is_private)
    return {
        **_rerank_endpoints(scorer, settings),
        ("GET", MODEL_PATH): guarded(protocol.model, key),
        ("POST", SCORE_PATH): guarded(protocol.score, key),
        ("POST", SPLIT_PATH): guarded(protocol.split, key),
        ("POST", ALIGN_PATH): guarded(protocol.align, key),
        ("GET", FIGURES_PATH): guarded(protocol.figures, key),
    }


def own_endpoints(scorer: Scorer, settings: Settings) -> Endpoints:
    """Return probes and the rerank API over a scorer."""
    return {**health_of(scorer, settings).endpoints(), **_rerank_endpoints(scorer, settings)}


def _rerank_endpoints(scorer: Scorer, settings: Settings) -> Endpoints:
    """Return the rerank API on the paths that its clients know."""
    from sidecar.rerank_api.api import RerankApi, RerankLimits
    from sidecar.rerank_api.endpoints import endpoints

    section = settings.api
    if not section.enabled:
        return {}
    limits = RerankLimits(
        max_documents=section.max_documents, max_characters=section.max_characters, max_pairs=section.max_pairs
    )
    return endpoints(RerankApi(scorer, limits, deadline=section.deadline), _api_key(settings))


@asynccontextmanager
async def _telemetry(settings: Settings) -> AsyncIterator[OpenTelemetry | None]:
    """Give what traces, None where tracing is off; what it has not sent is sent at the end, or given up soon.

    Raises:
        ConfigError: the extra is not installed.
    """
    if not settings.tracing.enabled:
        yield None
        return
    try:
        from sidecar.telemetry import open_telemetry
    except ImportError as error:
        words = 'tracing.enabled: spans need OpenTelemetry: pip install "rerank-sidecar[otel]"'
        raise ConfigError(words) from error
    provider = open_telemetry.exporting(program_version())
    try:
        yield open_telemetry.OpenTelemetry(provider)
    finally:
        ending = threading.Thread(target=provider.shutdown, name="end tracing", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, TRACING_END_SECONDS)


def _told(engine: Connector, telemetry: OpenTelemetry | None) -> Connector:
    if telemetry is None:
        return engine
    from sidecar.telemetry.open_telemetry import ToldEngine

    return ToldEngine(engine)


def _traced(reranking: Connector, telemetry: OpenTelemetry | None) -> Connector:
    if telemetry is None:
        return reranking
    from sidecar.telemetry.open_telemetry import TracedSearches

    return TracedSearches(reranking, telemetry)


def _traced_endpoints(endpoints: Endpoints, telemetry: OpenTelemetry | None) -> Endpoints:
    """Return endpoints of which those that score are traced; probes and metrics are not."""
    if telemetry is None:
        return endpoints
    from sidecar.telemetry.open_telemetry import traced_endpoint

    return {
        (method, path): traced_endpoint(endpoint, f"{method} {path}", telemetry) if method == "POST" else endpoint
        for (method, path), endpoint in endpoints.items()
    }


def _tls(settings: Settings) -> ssl.SSLContext | None:
    section = settings.tls
    return None if section.cert is None else server_context(section.cert, section.key, section.client_ca)


def _api_key(settings: Settings, *, is_private: bool = False) -> ApiKey:
    """Return the key that callers must show; none where only our parent can call."""
    key = settings.api.key
    return ApiKey(None if key is None or is_private else key.get_secret_value())


def playground(
    engine: Connector,
    scorer: Scorer,
    settings: Settings,
    examples: Sequence[Example] = (),
    *,
    standing: Standing | None = None,
) -> Playground:
    """Return the playground of an engine and its scorer; `examples` are searches to begin with."""
    return Playground(
        version=program_version(),
        engine=lambda: engine.name,
        scorer=scorer,
        options=settings.policy().defaults,
        examples=examples,
        is_enabled=settings.playground.enabled,
        standing=standing,
    )


def _observers(settings: Settings, *observers: Observe) -> Observe:
    """Return what gives a record to all, and to the log of slow searches where one is wanted."""
    if settings.slow_rerank_ms:
        observers = (*observers, SlowLog(settings.slow_rerank_ms / 1000).observe)

    def observe(record: SearchRecord) -> None:
        for each in observers:
            each(record)

    return observe


def _comparers(count: Tell, stack: AsyncExitStack, settings: Settings) -> Tell:
    """Return what gives an observation to the metrics, and to the log of observations where one is wanted.

    Raises:
        ConfigError: the log cannot be written.
    """
    path = settings.observe.log
    if path is None:
        return count
    try:
        log = ObserveLog(path, has_queries=settings.observe.queries)
    except OSError as error:
        raise ConfigError(f"observe.log: {path}: {error.strerror}") from error
    stack.callback(log.close)

    def compare(observation: Observation) -> None:
        count(observation)
        log.observe(observation)

    return compare


def health_of(scorer: Scorer, settings: Settings) -> Health:
    """Return the probes of a program with this scorer. Only a scorer elsewhere may count as away."""
    has_started = False
    is_away = patience(scorer) if settings.scorer.url is not None else lambda: False

    def is_started() -> bool:
        """Tell whether loading has ended one way or another; once true it stays true."""
        nonlocal has_started
        try:
            scorer.describe()
        except ScorerStarting:
            return has_started or is_away()
        except RerankUnavailable:
            pass
        has_started = True
        return True

    return Health(
        is_started=is_started, has_scorer=lambda: _has_model(scorer), is_strict=settings.readiness == "strict"
    )


def _metrics(scorer: Scorer, models: Mapping[str, Scorer] | None = None) -> Metrics:
    """Return the program's metrics. What a scorer elsewhere counts is told by itself."""
    metrics = Metrics(program_version())
    metrics.scorer_ready.set_function(lambda: _has_model(scorer))
    for role, each in {"main": scorer, **(models or {})}.items():
        _watch(metrics, role, each)
    return metrics


def _watch(metrics: Metrics, role: str, scorer: Scorer) -> None:
    from sidecar.scoring.remote import RemoteScorer

    if not isinstance(scorer, RemoteScorer):
        metrics.watch_scorer(role, scorer)
    elif scorer.pool is not None:
        metrics.watch_pool(role, scorer.pool)


def _score_cache(settings: Settings) -> ScoreCache | None:
    """Return the memory for scores, where a policy wants one."""
    return ScoreCache(settings.score_cache.max_bytes) if settings.remembers_scores else None


def _has_model(scorer: Scorer) -> bool:
    try:
        scorer.describe()
    except RerankUnavailable:
        return False
    return True


async def open_admin(stack: AsyncExitStack, options: Options, own: Endpoints, live: LivePolicies) -> None:
    """Open the admin listener; its default address may be taken by another of us, one that was asked for may not."""
    settings = options.settings
    if options.place is not None:  # only our parent reaches the socket
        app = ProxyApp(None, {**own, **live.endpoints(ApiKey(None))})
        await stack.enter_async_context(listening(app, options.place.admin))
        return
    if settings.admin.listen is None:
        return
    own = {**own, **live.endpoints(key_of(settings), may_put=may_put(settings))}
    try:
        address = await stack.enter_async_context(listening(ProxyApp(None, own), Address.parse(settings.admin.listen)))
    except ConfigError as error:
        if "listen" in settings.admin.model_fields_set:
            raise
        logger.warning("no_admin_listener error=%s", error)
        return
    options.announce(f"probes and metrics on {address}/_rerank/metrics")


async def until_stopped(stop: asyncio.Event | None = None) -> None:
    """Wait for SIGTERM, SIGINT or `stop`."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
