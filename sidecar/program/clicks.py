"""What a running program needs where policies interleave: the key of its tokens, the store of clicks, their endpoint.

Law: without a key of the operator's, each start makes its own; what another one has signed is refused and never
believed, and the log says at start that it will be.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from connectors.base import Connector
from sidecar.errors import ConfigError
from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.event_endpoints import EventsEndpoint
from sidecar.experiments.event_index import EventIndex
from sidecar.experiments.event_log import EventLog
from sidecar.experiments.event_store import EventStore, Standing
from sidecar.program.config import Settings
from sidecar.program.parts import EMBEDDED
from sidecar.proxy.endpoints import Endpoints
from sidecar.rerank_api.api_key import ApiKey
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.seldom import Seldom

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicks:
    """The parts."""

    tokens: ClickTokens
    #: None where no clicks are kept
    standing: Standing | None = None
    endpoints: Endpoints = field(default_factory=dict)


async def open_clicks(stack: AsyncExitStack, settings: Settings, engine: Connector, metrics: Metrics) -> Clicks:
    """Return the parts, which are open as long as `stack` is.

    Raises:
        ConfigError: the log cannot be written.
    """
    section = settings.events
    key = with_signing_key(settings).events.signing_key
    tokens = ClickTokens(None if key is None else key.get_secret_value(), hours=section.token_hours)
    store = open_store(settings, engine)
    if store is None:
        return Clicks(tokens=tokens)
    stack.push_async_callback(store.aclose)
    standing = Standing(store)
    metrics.watch_interleaving(standing)
    own_key = ApiKey(None if section.key is None else section.key.get_secret_value(), setting="events.key")
    endpoint = EventsEndpoint(
        store=store, tokens=tokens, key=own_key, actions=section.actions, tell=metrics.count_events, seldom=Seldom()
    )
    return Clicks(tokens=tokens, standing=standing, endpoints=endpoint.endpoints())


def open_store(settings: Settings, engine: Connector | None) -> EventStore | None:
    """Return where clicks are kept, None where none are. An index is that of `engine`.

    Raises:
        ConfigError: the log cannot be written, or the engine keeps nothing.
    """
    section = settings.events
    if section.index is not None and engine is not None:
        if any(url.partition(":")[0] == EMBEDDED for url in settings.engine.urls):
            raise ConfigError("events.index: the embedded engine takes no documents: give events.log")
        return EventIndex(engine, section.index)
    if section.log is None:
        return None
    try:
        return EventLog(section.log)
    except OSError as error:
        raise ConfigError(f"events.log: {section.log}: {error.strerror or error}") from error


def with_signing_key(settings: Settings) -> Settings:
    """Return settings that have a key for tokens where clicks are kept: a random one where none was given."""
    section = settings.events
    if section.signing_key is not None or not section.has_store:
        return settings
    logger.warning(
        "events_signing_key_not_set consequence=%s",
        "clicks on pages of another replica, or from before a restart, will be refused: set events.signing_key",
    )
    return settings.signing_with(secrets.token_urlsafe(32))
