"""What one writes in an afternoon: sentence-transformers behind HTTP, one call after the other. A peer for the service.

    python -m benchmarks.plain_server --model FOLDER --dtype bf16

Speaks Cohere's dialect as far as the benchmark does. Tokenization and forward run in a thread, so that the server keeps
answering; a lock keeps two calls from fighting for the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.systems.sentence_transformers import SentenceTransformers
from benchmarks.workload import Search

MAX_LENGTH = 512
MAX_BYTES = 32 * 1024 * 1024


class PlainServer:
    """A cross-encoder and its lock."""

    def __init__(self, model: SentenceTransformers) -> None:
        """Serve `model`."""
        self._model = model
        self._lock = asyncio.Lock()

    async def rerank(self, request: web.Request) -> web.Response:
        """Answer a call: documents by falling score."""
        asked = await request.json()
        search = Search(asked["query"], tuple(asked["documents"]))
        async with self._lock:
            (logits,) = await asyncio.to_thread(self._model.score, [search])
        scores = [1.0 / (1.0 + math.exp(-logit)) for logit in logits]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
        return web.json_response({"results": results})


def main() -> None:
    """Load the model and listen until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_server")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch-size", type=int, default=8)
    given = parser.parse_args()
    model = SentenceTransformers(given.model, threads=os.cpu_count() or 1, max_length=MAX_LENGTH, dtype=given.dtype)
    model.batch_size = given.batch_size
    model.score([Search("warm up", ("a text", "another text"))])
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_post("/v1/rerank", PlainServer(model).rerank)
    asyncio.run(_serve(app))


async def _serve(app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"listening on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
