"""A scorer behind HTTP, for tests of what is on the other side. Also a program: a child process for the supervisor."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from sidecar.rerank_api.reply import Reply
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring import scripted
from sidecar.scoring.base import Scorer
from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH
from sidecar.scoring.worker import exit_with_parent

Answer = Callable[[bytes], Awaitable[Reply | None]]
"""What is answered to a body; None breaks the connection off."""


@asynccontextmanager
async def serving(scorer: Scorer, socket: Path) -> AsyncIterator[str]:
    """Serve `scorer` in the scoring protocol on a unix socket and give its URL."""
    protocol = ScoringProtocol(scorer)
    async with answering({("GET", MODEL_PATH): protocol.model, ("POST", SCORE_PATH): protocol.score}, socket) as url:
        yield url


@asynccontextmanager
async def answering(answers: dict[tuple[str, str], Answer], socket: Path) -> AsyncIterator[str]:
    """Serve answers by method and path on a unix socket and give its URL."""
    app = web.Application()
    for (method, path), answer in answers.items():
        app.router.add_route(method, path, _handler(answer))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield f"unix:{socket}"
    finally:
        await runner.cleanup()


def _handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        reply = await answer(await request.read())
        if reply is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {"Content-Type": "application/json", **dict(reply.headers)}
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    return handle


async def _main(scorer: str, listen: str) -> None:
    async with serving(scripted.parse(scorer), Path(listen.removeprefix("unix:"))):
        await asyncio.Event().wait()


if __name__ == "__main__":  # python -m tests.scoring_server test:identity --listen unix:/path
    exit_with_parent()
    asyncio.run(_main(sys.argv[1], sys.argv[3]))
