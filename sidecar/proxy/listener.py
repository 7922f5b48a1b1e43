"""Listening: TCP addresses and unix sockets, and how to stop without losing a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from sidecar.errors import ConfigError
from sidecar.proxy.app import ProxyApp

logger = logging.getLogger(__name__)

MAX_LINE_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 256
KEEP_ALIVE_SECONDS: Final = 65.0
"""Above the 60 s of common load balancers, so that it is they who close idle connections."""

FINISH_SECONDS: Final = 60.0
"""How long requests in flight may take after the listener has closed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host and port (0: any free one), or the path of a unix socket."""

    host: str = ""
    port: int = 0
    unix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1:9280`, `[::1]:9280`, `:9280` or `unix:/run/rerank.sock`.

        Raises:
            ConfigError: it is none of these.
        """
        if text.startswith("unix:"):
            return cls(unix=text.removeprefix("unix:"))
        host, colon, port = text.rpartition(":")
        is_ambiguous = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not colon or is_ambiguous or not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"listen address {text!r} is not like 127.0.0.1:9280 or unix:/run/rerank.sock")
        return cls(host=host.strip("[]") or "0.0.0.0", port=int(port))  # noqa: S104  # as the operator wrote it

    def __str__(self) -> str:
        """Return the address as a URL."""
        if self.unix:
            return f"unix:{self.unix}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@asynccontextmanager
async def listening(app: ProxyApp, address: Address) -> AsyncIterator[Address]:
    """Serve `app` at `address` while the context lasts; gives the address with the port that was bound.

    Leaving the context closes the listener and lets requests in flight finish.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server = web.Server(
        app,
        handler_cancellation=True,  # a client that goes away must not keep the engine or the scorer busy
        auto_decompress=False,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        max_headers=MAX_HEADERS,
    )
    runner = web.ServerRunner(server, shutdown_timeout=FINISH_SECONDS)
    await runner.setup()
    try:
        yield await _bind(runner, address)
    finally:
        await runner.cleanup()


async def _bind(runner: web.ServerRunner, address: Address) -> Address:
    try:
        if address.unix:
            _remove_stale_socket(address.unix)
            await web.UnixSite(runner, address.unix).start()
            return address
        await web.TCPSite(runner, address.host, address.port, backlog=1024).start()
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror or error}") from error
    return Address(host=address.host, port=runner.addresses[0][1])


def _remove_stale_socket(path: str) -> None:
    """Remove a socket file that an earlier process left; binding fails on it."""
    if Path(path).is_socket():
        Path(path).unlink()


async def drain(apps: list[ProxyApp], seconds: float) -> None:
    """Ask clients to close their connections for `seconds`, while everything is still answered."""
    for app in apps:
        app.is_draining = True
    logger.info("draining seconds=%s", seconds)
    await asyncio.sleep(seconds)
