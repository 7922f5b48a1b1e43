"""Listening: TCP addresses and unix sockets, and how to stop without losing a request."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from connectors.tls import load_key
from sidecar.errors import ConfigError
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.connections import ConnectionServer

logger = logging.getLogger(__name__)

MAX_LINE_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 256
KEEP_ALIVE_SECONDS: Final = 65.0
"""Above the 60 s of common load balancers, so that it is they who close idle connections."""

BACKLOG: Final = 1024
"""Connections that may wait to be taken."""

FINISH_SECONDS: Final = 60.0
"""How long requests in flight may take after the listener has closed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host and port (0: any free one), or the path of a unix socket."""

    host: str = ""
    port: int = 0
    unix: str = ""
    has_tls: bool = False

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
        return cls(host=host.strip("[]") or "0.0.0.0", port=int(port))  # noqa: S104  # nosec B104  # as the operator wrote it

    def __str__(self) -> str:
        """Return the address as a URL."""
        if self.unix:
            return f"unix:{self.unix}"
        scheme = "https" if self.has_tls else "http"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def server_context(cert: str, key: str | None = None, client_ca: str | None = None) -> ssl.SSLContext:
    """Return what `listening` takes as `tls`: our certificate and key, and whose certificates clients must show.

    Raises:
        ConfigError: a file is not there, or is not what it should be.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
        load_key(context, cert, key)
    except OSError as error:
        where = ", ".join(path for path in (cert, key, client_ca) if path is not None)
        raise ConfigError(f"tls: {where}: {error.strerror or error}") from error
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # which is the distribution's to say otherwise
    context.set_alpn_protocols(["http/1.1"])
    return context


@asynccontextmanager
async def listening(
    app: ProxyApp, address: Address, tls: ssl.SSLContext | None = None, sockets: Sequence[socket.socket] = ()
) -> AsyncIterator[Address]:
    """Serve `app` at `address` while the context lasts; gives the address with the port that was bound.

    Leaving the context closes the listener and lets requests in flight finish. `sockets` are what `bound` gave for this
    address, perhaps in another process, which may take connections from them, too.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server = ConnectionServer(
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
        yield await _bind(runner, address, tls, sockets)
    finally:
        await runner.cleanup()


async def _bind(
    runner: web.ServerRunner, address: Address, tls: ssl.SSLContext | None, sockets: Sequence[socket.socket]
) -> Address:
    try:
        for each in sockets:
            await _share(runner, each, tls)
        if address.unix and sockets:
            return address
        if address.unix:
            _remove_stale_socket(address.unix)
            await web.UnixSite(runner, address.unix, ssl_context=tls).start()
            return address
        if not sockets:
            await web.TCPSite(runner, address.host, address.port, backlog=BACKLOG, ssl_context=tls).start()
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror or error}") from error
    return Address(host=address.host, port=runner.addresses[0][1], has_tls=tls is not None)


async def _share(runner: web.ServerRunner, shared: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Take connections from a socket that others take them from, too."""
    # What asyncio calls a backlog is also how many connections it takes at a time: whoever wakes first would have all.
    await web.SockSite(runner, shared, backlog=1, ssl_context=tls).start()
    shared.listen(BACKLOG)


async def bound(address: Address) -> list[socket.socket]:
    """Return sockets that are bound to `address` and listen, for processes that share it. Whoever asks closes them.

    Raises:
        ConfigError: the address cannot be bound.
    """
    try:
        if address.unix:
            _remove_stale_socket(address.unix)
            opened = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)]
            opened[0].bind(address.unix)
        else:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(asyncio.Protocol, address.host, address.port, start_serving=False)
            opened = [each.dup() for each in server.sockets]
            server.close()
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror or error}") from error
    for each in opened:
        each.listen(BACKLOG)
    return opened


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
