"""An engine that does nothing: it answers at once, with as many bytes as it is asked for.

    GET  /ANY/_doc/BYTES    that many bytes
    POST /…/_bulk           reads all and says how many bytes there were
    POST /…/_search         `size` hits with texts, the same to every search

What stands between it and a client is what a measurement against it shows. As a program it prints where it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import random
import signal
from typing import Any

from aiohttp import web

HEADERS = {"X-Elastic-Product": "Elasticsearch"}
INFO = {
    "name": "sink",
    "cluster_name": "sink",
    "version": {"number": "9.5.1", "build_flavor": "default", "lucene_version": "10.3.0"},
    "tagline": "You Know, for Search",
}
MAX_HITS = 1000
WORDS_PER_TEXT = 65
"""A text of about 85 tokens."""

_WORDS = (
    "the",
    "of",
    "search",
    "engine",
    "ranks",
    "documents",
    "by",
    "words",
    "people",
    "find",
    "what",
    "they",
    "need",
)


@functools.cache
def document(size: int) -> bytes:
    """Return a body of `size` bytes."""
    head, tail = b'{"_source":{"text":"', b'"}}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


@functools.cache
def text(number: int) -> str:
    """Return the text of a hit."""
    return " ".join(random.Random(number).choices(_WORDS, k=WORDS_PER_TEXT))


@functools.cache
def hits(size: int) -> bytes:
    """Return the answer to a search with that many hits, ids from 0."""
    found = [
        {
            "_index": "sink",
            "_id": str(number),
            "_score": round(20.0 - number * 0.01, 2),
            "_source": {"text": text(number)},
        }
        for number in range(size)
    ]
    total = {"value": MAX_HITS, "relation": "eq"}
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    body: dict[str, Any] = {"took": 1, "timed_out": False, "_shards": shards}
    body["hits"] = {"total": total, "max_score": 20.0 if size else None, "hits": found}
    return json.dumps(body).encode()


def application() -> web.Application:
    """Return the sink."""
    app = web.Application(client_max_size=0)
    app.router.add_get("/", _info)
    app.router.add_get("/{index}/_doc/{size}", _document)
    app.router.add_post("/_bulk", _bulk)
    app.router.add_post("/{index}/_bulk", _bulk)
    app.router.add_post("/{index}/_search", _search)
    return app


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=HEADERS)


async def _info(_: web.Request) -> web.Response:
    return _json(json.dumps(INFO).encode())


async def _document(request: web.Request) -> web.Response:
    return _json(document(int(request.match_info["size"])))


async def _bulk(request: web.Request) -> web.Response:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return _json(json.dumps({"took": 1, "errors": False, "items": [], "bytes": size}).encode())


async def _search(request: web.Request) -> web.Response:
    asked = json.loads(await request.read())
    return _json(hits(min(MAX_HITS, asked.get("size", 10))))


async def serve(port: int) -> None:
    """Listen until SIGTERM or SIGINT."""
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    print(f"listening on http://{host}:{bound}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
