"""A front: one of the processes of `serve --workers N`, as its parent starts it.

It is `serve` but for what it shares with the others: the socket of the main listener, the scorers, and the metrics,
which are those of all fronts whichever of them is asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp

from sidecar.errors import ConfigError
from sidecar.program import logs, parts, wiring
from sidecar.program.config import Settings
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.proxy.listener import Address

METRICS_PATH: Final = "/_rerank/metrics"
PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a front is told by its parent, as one line of JSON; the fields are those of `parts.Place` as values."""

    settings: dict[str, Any]
    live: dict[str, Any]
    allow_test_scorers: bool
    sockets: list[int]
    scorers: dict[str, str]
    admin: str
    parent: str

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read the line.

        Raises:
            ConfigError: it is none: somebody else than `serve` has started us.
        """
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConfigError("front: this command is for `serve --workers` to start") from error

    def options(self, announce: Callable[[str], None]) -> parts.Options:
        """Return what `wiring.serve` takes."""
        parent = _Parent(self.parent.removeprefix("unix:"))
        place = parts.Place(
            sockets=[socket.socket(fileno=each) for each in self.sockets],
            scorers=self.scorers,
            admin=Address.parse(self.admin),
            endpoints={("GET", METRICS_PATH): parent.metrics},
            live=self.live,
        )
        settings = Settings(**self.settings)
        return parts.Options(
            settings=settings, allow_test_scorers=self.allow_test_scorers, announce=announce, place=place
        )


def read_order() -> Order:
    """Return the order that stands on standard input, and begin to log as it says."""
    order = Order.parse(sys.stdin.buffer.readline())
    settings = Settings(**order.settings)
    logs.begin(settings.log_level, settings.log_format)
    return order


async def serve(order: Order, announce: Callable[[str], None]) -> None:
    """Run the front until SIGTERM, SIGINT, or the end of its parent."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is for our parent, when all of us get it
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end_with_parent)
    await wiring.serve(order.options(announce))


def _end_with_parent() -> None:
    """End as after SIGTERM: nothing is ever written to our standard input after the order but its end."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    os.kill(os.getpid(), signal.SIGTERM)


class _Parent:
    """Asks the parent what is known of all fronts together."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def metrics(self, request: EndpointRequest) -> EndpointResponse:
        """Answer `/_rerank/metrics`."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._path), timeout=timeout)
        async with session, session.get(f"http://parent{request.path}") as answer:
            return EndpointResponse(
                status=answer.status, body=await answer.read(), content_type=answer.headers["Content-Type"]
            )
