"""The reranking settings of a running program: what is in force, and how it changes.

    SIGHUP                      the configuration's file is read again
    PUT /_rerank/policies       on the admin listener: the sections that are given take the place of those in force
    GET /_rerank/policies       what is in force

Laws: what is new is validated first, as at start, and whoever sent it is told what is wrong; until it is right the old
settings stay, all of them. What a process has made at start (models, the memory for scores) cannot be asked for later.
What was put lasts until the next SIGHUP or the end of the process.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from connectors.base import Headers
from sidecar import error_answers, tasks
from sidecar.errors import ConfigError
from sidecar.program.config import LIVE, Settings
from sidecar.proxy.endpoints import Endpoint, EndpointRequest, EndpointResponse, Endpoints, Guarded, json_response
from sidecar.proxy.listener import Address
from sidecar.rerank_api.api_key import ApiKey

logger = logging.getLogger(__name__)

POLICIES_PATH: Final = "/_rerank/policies"

Use = Callable[[Settings], Awaitable[None]]
Learn = Callable[[Mapping[str, str]], None]

SCORERS: Final = "scorers"
"""What a front is told beside the sections: the addresses of the scorers that its parent has, by model."""


class LivePolicies:
    """The settings in force. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        use: Use,
        read: Callable[[], Settings] | None = None,
        *,
        in_force: Settings | None = None,
        prepare: Use | None = None,
        learn: Learn | None = None,
    ) -> None:
        """Begin with the `settings` with which the program has started, or with others that are `in_force` since.

        `use` puts settings into force, and never fails: what it gets is valid. `read` reads the configuration again,
        where it can be. `prepare` makes what settings need before that, or raises ConfigError; without it models are
        those that were loaded at start. `learn` is told the addresses of scorers that come with a change.
        """
        self._first = settings
        self._settings = in_force or settings
        self._use = use
        self._read = read
        self._prepare = prepare
        self._learn = learn
        self._turn = asyncio.Lock()
        self._asked = 0
        self._latest: dict[str, int] = {}

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._settings

    @property
    def digest(self) -> str:
        """What tells settings apart: equal in two processes when the same is in force."""
        return hashlib.blake2b(json.dumps(self._settings.live(), sort_keys=True).encode(), digest_size=6).hexdigest()

    async def put(self, sections: dict[str, Any]) -> None:
        """Put sections of `LIVE` into force.

        Raises:
            ConfigError: they make no sense; nothing has changed.
        """
        await self._change(sections, source="request")

    async def read_again(self) -> None:
        """Put into force what the configuration says now, as far as that can change; the log says what became of it."""
        if self._read is None:
            return
        try:
            read = await asyncio.to_thread(self._read)
            await self._change(read.live(), source="file")
        except ConfigError as error:
            logger.error("policies_refused source=file error=%s", _line(error))
            return
        changed = [name for name in Settings.model_fields if getattr(read, name) != getattr(self._first, name)]
        if others := [name for name in changed if name not in LIVE]:
            logger.warning("settings_need_restart names=%s", ",".join(others))

    async def _change(self, sections: Mapping[str, Any], *, source: str) -> None:
        self._asked += 1
        mine = self._asked
        await self._make(self._settings.with_live(sections))  # meanwhile there may be others
        self._latest |= {name: max(mine, self._latest.get(name, 0)) for name in sections}
        if any(self._latest[name] > mine for name in sections):
            raise ConfigError("request: a later change of the same sections is in force")
        async with self._turn:
            settings = self._settings.with_live(sections)
            await self._make(settings)
            self._settings = settings
            await self._use(settings)
        logger.info("policies_changed source=%s digest=%s policies=%d", source, self.digest, len(settings.policies))

    async def _make(self, settings: Settings) -> None:
        self._check(settings)
        if self._prepare is not None:
            await self._prepare(settings)

    def _check(self, settings: Settings) -> None:
        """Raise ConfigError where settings want what was not made at start, and cannot be later."""
        unknown = set(settings.model_names()) - set(self._first.model_names())
        if unknown and self._prepare is None:
            names = ", ".join(sorted(unknown))
            raise ConfigError(f"policies: model {names} was not loaded at start: restart the program to have it")
        if settings.remembers_scores and not self._first.remembers_scores:
            raise ConfigError("score_cache: no policy had one at start: restart the program to have it")

    @contextmanager
    def listening_to_sighup(self) -> Iterator[None]:
        """Read the configuration again at each SIGHUP while the block runs."""
        if self._read is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: tasks.start(self.read_again(), name="read policies again"))
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def endpoints(self, key: ApiKey, *, may_put: bool = True) -> Endpoints:
        """Return `/_rerank/policies`, for those who have the key; `may_put`: the listener is nobody else's."""
        put = self._put if may_put else _not_here
        return {("GET", POLICIES_PATH): _guarded(self._get, key), ("PUT", POLICIES_PATH): _guarded(put, key)}

    async def _get(self, _: EndpointRequest) -> EndpointResponse:
        return json_response(self._settings.live(), headers=(("ETag", f'"{self.digest}"'),))

    async def _put(self, request: EndpointRequest) -> EndpointResponse:
        try:
            sections = json.loads(request.body)
        except ValueError as error:
            return _refused(f"request: is no JSON: {error}")
        if not isinstance(sections, dict):
            return _refused(f"request: expected an object with {', '.join(LIVE)}")
        if self._learn is not None:
            self._learn(sections.pop(SCORERS, {}))
        try:
            await self.put(sections)
        except ConfigError as error:
            logger.warning("policies_refused source=request error=%s", _line(error))
            return _refused(str(error))
        return await self._get(request)


def key_of(settings: Settings) -> ApiKey:
    """Return the key that callers of the admin listener must show to see and change policies."""
    key = settings.admin.key
    return ApiKey(None if key is None else key.get_secret_value(), setting="admin.key")


def may_put(settings: Settings) -> bool:
    """Return whether policies can be put at the admin listener: with a key, or where only this machine reaches it."""
    if settings.admin.key is not None or settings.admin.listen is None:
        return True
    address = Address.parse(settings.admin.listen)
    if address.unix or address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:  # a name
        return False


def _guarded(answer: Endpoint, key: ApiKey) -> Endpoint:
    def refusal(headers: Headers) -> EndpointResponse | None:
        refused = key.refusal(headers)
        if refused is None:
            return None
        return EndpointResponse(status=refused.status, body=refused.body, headers=refused.headers)

    return Guarded(refusal, answer)


async def _not_here(_: EndpointRequest) -> EndpointResponse:
    reason = "admin.listen can be reached from elsewhere: set admin.key to change policies here, or send SIGHUP"
    return _error(403, "security_exception", reason)


def _refused(reason: str) -> EndpointResponse:
    return _error(400, "illegal_argument_exception", reason)


def _error(status: int, kind: str, reason: str) -> EndpointResponse:
    return EndpointResponse(status=status, body=error_answers.error_text(status, kind, reason).encode())


def _line(error: ConfigError) -> str:
    return str(error).replace("\n", "; ")
