"""How `serve` ends: whoever waits for an answer gets it, and nobody else is waited for."""

import asyncio
import http.client
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.scoring.base import ModelFacts
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    UNHURRIED,
    asynchronous,
    eventually,
    running,
    search,
    status,
)
from tests.scoring_server import serving


class HeldScorer:
    """Turns the order round, once it is let."""

    whole_window = True

    def __init__(self) -> None:
        """Hold every answer."""
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    def describe(self) -> ModelFacts:
        """Return facts."""
        return ModelFacts(
            name="held", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Wait; the last text is the best."""
        self.asked.set()
        await self.released.wait()
        return [position / 10 for position in range(len(texts))]

    async def aclose(self) -> None:
        """Do nothing."""


def is_closed(url: str) -> bool:
    """Say whether nobody listens there."""
    parts = urlsplit(url)
    with socket.socket() as opened:
        return opened.connect_ex((parts.hostname, parts.port)) != 0


async def test_a_search_in_flight_is_answered(tmp_path: Path) -> None:
    """After SIGTERM: ready says so, then nobody listens any more, then the slow search gets its reranked answer."""
    held = HeldScorer()
    settings = {**UNHURRIED, "RERANK_SIDECAR_ADMIN__LISTEN": ANYWHERE}
    async with serving(held, tmp_path / "scorer") as scorer:
        with running("serve", "--engine", "embedded", "--listen", ANYWHERE, "--scorer", scorer, **settings) as program:
            url = await asyncio.to_thread(lambda: program.url)
            await eventually(lambda: status(url, "startup"), lambda answer: answer == (200, "started"))
            slow = asyncio.ensure_future(search(url, "why is the sky blue"))
            await held.asked.wait()
            program.send(signal.SIGTERM)
            unready = await eventually(lambda: status(url, "ready"), lambda answer: answer != (200, "ready"))
            assert (503, "draining") == unready
            bare = await search(url, "why is the sky blue", X_Rerank="off")
            await eventually(asynchronous(lambda: is_closed(url)), bool)
            assert not slow.done()
            held.released.set()
            answer = await slow
            assert (200, "applied") == (answer.status, answer.outcome)
            assert answer.ids != bare.ids
            assert 0 == await asyncio.to_thread(program.exit_code), program.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_connection_is_not_waited_for(number: int) -> None:
    """A client that keeps its connection open, as all do, delays nothing."""
    quick = ("--scorer", "test:identity", "--allow-test-scorers", "--listen", ANYWHERE)
    with running("serve", "--engine", "embedded", *quick, **QUICK_END) as program:
        address = urlsplit(program.url)
        client = http.client.HTTPConnection(address.hostname or "", address.port or 0)
        try:
            client.request("GET", "/_rerank/live")
            assert b"live" in client.getresponse().read()
            assert 0 == program.end(number), program.output
        finally:
            client.close()
    assert "Traceback" not in program.output
