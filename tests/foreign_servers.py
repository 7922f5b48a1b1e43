"""Servers of others in their documented shapes, as strict as the real ones: what they refuse is refused here.

Each scores a text by the code of its first letter, divided by a hundred, as a logit.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]
Routes = Mapping[str, Handler]
"""Handlers by "METHOD /path"."""

MODEL = "BAAI/bge-reranker-base"
TEI_BATCH = 32
TEI_BYTES = 2_000_000


def logit(text: str) -> float:
    """Return the score of a text."""
    return ord(text[0]) / 100 if text else 0.0


def activated(text: str) -> float:
    """Return its probability."""
    return 1 / (1 + math.exp(-logit(text)))


@asynccontextmanager
async def serving(routes: Routes, socket: Path, *, key: str | None = None) -> AsyncIterator[str]:
    """Serve on a unix socket and give the URL; with a key, only those who show it are answered."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            return answer({"error": "Unauthorized"}, 401)
        return await handler(request)

    app = web.Application(middlewares=[guard], client_max_size=TEI_BYTES)
    for route, handler in routes.items():
        method, path = route.split(" ")
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield f"unix:{socket}"
    finally:
        await runner.cleanup()


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=json.dumps(value).encode(), content_type="application/json")


def always(value: Any, status: int = 200) -> Handler:
    """Return a handler with one answer."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return answer(value, status)

    return handle


async def fields_of(request: web.Request) -> dict[str, Any]:
    """Return a body as a strict parser takes it: UTF-8, no lone surrogates."""
    body = (await request.read()).decode()
    fields: dict[str, Any] = json.loads(body)
    json.dumps(fields, ensure_ascii=False).encode()
    return fields


# --- Text Embeddings Inference ------------------------------------------------------------------------------


TEI_INFO: dict[str, Any] = {
    "model_id": MODEL,
    "model_sha": "fca14538aa9956a46526bd1d0d11d69e19b5a101",
    "model_dtype": "float16",
    "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
    "max_concurrent_requests": 512,
    "max_input_length": 512,
    "max_batch_tokens": 16384,
    "max_batch_requests": None,
    "max_client_batch_size": TEI_BATCH,
    "auto_truncate": True,
    "tokenization_workers": 4,
    "version": "1.8.2",
    "sha": None,
    "docker_label": None,
}


async def _tei_rerank(request: web.Request) -> web.Response:
    try:
        fields = await fields_of(request)
    except (ValueError, web.HTTPRequestEntityTooLarge) as error:
        return web.Response(status=413 if isinstance(error, web.HTTPException) else 422, text=str(error))
    texts = fields["texts"]
    assert fields["truncate"] is True
    if not texts:
        return answer({"error": "`texts` cannot be empty", "error_type": "Empty"}, 400)
    if len(texts) > TEI_BATCH:
        message = f"batch size {len(texts)} > maximum allowed batch size {TEI_BATCH}"
        return answer({"error": message, "error_type": "Validation"}, 422)
    score = logit if fields["raw_scores"] else activated
    ranks = [{"index": index, "score": score(text)} for index, text in enumerate(texts)]
    return answer(sorted(ranks, key=lambda rank: -rank["score"]))


TEI: Routes = {"GET /info": always(TEI_INFO), "POST /rerank": _tei_rerank}


# --- vLLM ---------------------------------------------------------------------------------------------------


VLLM_MODELS: dict[str, Any] = {
    "object": "list",
    "data": [
        {
            "id": MODEL,
            "object": "model",
            "created": 1733000000,
            "owned_by": "vllm",
            "root": MODEL,
            "parent": None,
            "max_model_len": 8192,
            "permission": [],
        }
    ],
}


async def _vllm_score(request: web.Request) -> web.Response:
    fields = await fields_of(request)
    if fields.get("model") not in (None, MODEL):
        message = f"The model `{fields['model']}` does not exist."
        return answer({"error": {"message": message, "type": "NotFoundError", "param": "model", "code": 404}}, 404)
    assert fields["truncate_prompt_tokens"] == -1
    score = activated if fields.get("use_activation") is not False else logit
    data = [{"index": index, "object": "score", "score": score(text)} for index, text in enumerate(fields["text_2"])]
    usage = {"prompt_tokens": 17, "total_tokens": 17, "completion_tokens": 0, "prompt_tokens_details": None}
    top = {"id": "score-1", "object": "list", "created": 1733000000, "model": MODEL}
    return answer({**top, "data": data, "usage": usage})


VLLM: Routes = {"GET /v1/models": always(VLLM_MODELS), "POST /v1/score": _vllm_score}


# --- Infinity -----------------------------------------------------------------------------------------------


INFINITY_MODELS: dict[str, Any] = {
    "object": "list",
    "data": [
        {"id": "BAAI/bge-small-en-v1.5", "capabilities": ["embed"], "object": "model", "owned_by": "infinity"},
        {
            "id": MODEL,
            "stats": {"queue_fraction": 0.0, "queue_absolute": 0, "results_pending": 0, "batch_size": 32},
            "object": "model",
            "owned_by": "infinity",
            "created": 1733000000,
            "backend": "torch",
            "capabilities": ["rerank"],
            "dtype": "float16",
            "revision": None,
            "device": "cpu",
        },
    ],
}


async def _infinity_rerank(request: web.Request) -> web.Response:
    fields = await fields_of(request)
    documents = fields["documents"]
    if fields["model"] != MODEL or not 0 < len(documents) <= 2048 or max(map(len, documents)) > 122_880:
        return answer({"error": {"message": "refused", "type": None, "param": None, "code": 400}}, 400)
    score = logit if fields.get("raw_scores") else activated
    results = [{"relevance_score": score(text), "index": index} for index, text in enumerate(documents)]
    top = {"object": "rerank", "id": "infinity-1", "created": 1733000000, "model": MODEL}
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return answer({**top, "results": sorted(results, key=lambda item: -item["relevance_score"]), "usage": usage})


INFINITY: Routes = {"GET /models": always(INFINITY_MODELS), "POST /rerank": _infinity_rerank}


# --- Cohere -------------------------------------------------------------------------------------------------


async def _cohere_rerank(request: web.Request) -> web.Response:
    fields = await fields_of(request)
    scores = [{"index": index, "relevance_score": activated(text)} for index, text in enumerate(fields["documents"])]
    results = sorted(scores, key=lambda item: -item["relevance_score"])[: fields["top_n"]]
    meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
    return answer({"id": "1", "results": results, "meta": meta})


COHERE: Routes = {"POST /v1/rerank": _cohere_rerank}
GATEWAY: Routes = {
    "GET /v1/models": always({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "openai"}]}),
    "POST /v1/rerank": _cohere_rerank,
}
