"""What a running program tells those who watch it: its log as JSON, and its spans."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from tests.program.processes import ANYWHERE, QUICK_END, free_port, running, search

QUICK = ("--engine", "embedded", "--listen", ANYWHERE, "--allow-test-scorers")
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "authorization": "Basic canary-credential"}


async def test_every_line_is_json_and_none_tells_a_secret() -> None:
    """From the address to the end, also of a search that is slow and of one that fails."""
    settings = {**QUICK_END, "RERANK_SIDECAR_LOG_FORMAT": "json", "RERANK_SIDECAR_SLOW_RERANK_MS": "0.001"}
    settings["RERANK_SIDECAR_API__KEY"] = "canary-key"
    with running("serve", *QUICK, "--scorer", "test:failing", **settings) as program:
        match = await asyncio.to_thread(program.said, r"listening on (http://[\d.:]+)\"")
        answer = await search(match[1], "why is the sky blue canary", **CALLER)
        assert "degraded" == answer.outcome
        assert 0 == await asyncio.to_thread(program.end)
        lines: list[dict[str, Any]] = [json.loads(line) for line in program.output.splitlines()]
    assert "canary" not in program.output
    assert all({"time", "level", "logger", "process", "message", "event"} <= line.keys() for line in lines)
    by_event = {line["event"]: line for line in lines}
    assert ("model", "search") == tuple(by_event["search_degraded"][key] for key in ("reason", "operation"))
    assert ("degraded", "model") == tuple(by_event["slow_rerank"][key] for key in ("outcome", "reason"))
    assert by_event["slow_rerank"]["rerank_ms"] >= 0
    assert "draining" in by_event


async def test_spans_go_to_a_collector_and_the_log_names_their_trace() -> None:
    """By OpenTelemetry's own protocol and variables; what has not been sent is sent at the end."""
    pytest.importorskip("opentelemetry.sdk")
    received: list[bytes] = []

    async def traces(request: web.Request) -> web.Response:
        received.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", traces)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    settings = {
        **QUICK_END,
        "RERANK_SIDECAR_TRACING__ENABLED": "true",
        "RERANK_SIDECAR_LOG_FORMAT": "json",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    try:
        with running("serve", *QUICK, "--scorer", "test:failing", **settings) as program:
            match = await asyncio.to_thread(program.said, r"listening on (http://[\d.:]+)\"")
            await search(match[1], "why is the sky blue canary", **CALLER)
            assert 0 == await asyncio.to_thread(program.end), program.output
    finally:
        await runner.cleanup()
    sent = b"".join(received)
    assert all(word in sent for word in (bytes.fromhex(TRACE), b"rerank-sidecar", b"first_stage", b"score"))
    assert b"canary" not in sent
    degraded = [json.loads(line) for line in program.output.splitlines() if '"event": "search_degraded"' in line]
    assert [TRACE] == [line["trace_id"] for line in degraded]


async def test_a_collector_that_is_away_costs_no_search_and_little_time() -> None:
    """Neither while it runs nor at the end."""
    pytest.importorskip("opentelemetry.sdk")
    settings = {
        **QUICK_END,
        "RERANK_SIDECAR_TRACING__ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    with running("serve", *QUICK, "--scorer", "test:identity", **settings) as program:
        url = await asyncio.to_thread(lambda: program.url)
        assert "applied" == (await search(url, "why is the sky blue")).outcome
        assert 0 == await asyncio.to_thread(program.end), program.output
