"""How all fronts come to the same policies: the parent tells each over the socket that is between the two.

Law: a front that does not take them is told again, and one that starts is told when it listens, so that no front keeps
what is not in force any more. A front takes what its parent has validated.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp

from sidecar import tasks
from sidecar.program.config import Settings
from sidecar.program.live import POLICIES_PATH, SCORERS

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 1.0
"""For one front to answer."""

RETRY_SECONDS: Final = 0.2
ATTEMPTS: Final = 15
"""A front that does not listen by then is told when it does."""


class Spreading:
    """Tells fronts. Belongs to one event loop."""

    def __init__(
        self,
        sockets: Mapping[str, Path],
        is_listening: Callable[[str], bool],
        scorers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        """Tell each front at its own socket, by its number, while it is listening.

        `scorers` are the addresses that it is to know, by model.
        """
        self._sockets = sockets
        self._scorers = scorers
        self._is_listening = is_listening
        self._body: bytes | None = None

    async def use(self, settings: Settings) -> None:
        """Tell all fronts that listen, and return when they have taken it, or were given up for now."""
        beside = {} if self._scorers is None else {SCORERS: dict(self._scorers())}
        self._body = json.dumps({**settings.live(), **beside}).encode()
        await asyncio.gather(*(self._tell(number) for number in self._sockets if self._is_listening(number)))

    def began(self, number: str) -> None:
        """Tell a front that has begun to listen, in the background: what it was started with may be old."""
        if self._body is not None:
            _ = tasks.start(self._tell(number), name=f"tell front {number} the policies")

    async def _tell(self, number: str) -> None:
        why = ""
        for _ in range(ATTEMPTS):
            body = self._body
            try:
                status, why = await self._put(number, body or b"{}")
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                status, why = 0, str(error) or type(error).__name__
            if status == 200 and body is self._body:
                return
            if not self._is_listening(number):  # it is told when it does again
                return
            await asyncio.sleep(RETRY_SECONDS)
        logger.error("policies_not_taken worker=%s error=%s", number, why)

    async def _put(self, number: str, body: bytes) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self._sockets[number]))
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.put(f"http://front{POLICIES_PATH}", data=body) as answer,
        ):
            return answer.status, "" if answer.status == 200 else await answer.text()
