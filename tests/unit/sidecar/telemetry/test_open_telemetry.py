"""Spans of a search, as OpenTelemetry's own exporter for tests has them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.base import RelayRequest, SearchRequest, header
from sidecar.errors import ModelFailed
from sidecar.pipeline import RerankingConnector
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, json_response
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring.base import Scorer
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, match, msearch, search

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sidecar.telemetry.open_telemetry import OpenTelemetry, ToldEngine, TracedSearches, exporting, traced_endpoint

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = (("traceparent", f"00-{TRACE}-{SPAN}-01"), ("TraceState", "vendor=1"), ("Authorization", "Basic canary1"))


class Spans:
    """What was exported."""

    def __init__(self) -> None:
        """Export into memory."""
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = OpenTelemetry(provider)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        """In the order in which they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def tree(self) -> list[tuple[str, str | None]]:
        """Return each span's name with its parent's; the caller's is called CALLER."""
        names = {span.context.span_id: span.name for span in self.all if span.context}
        parents = [span.parent and names.get(span.parent.span_id, f"{span.parent.span_id:016x}") for span in self.all]
        return [
            (span.name, "CALLER" if parent == SPAN else parent) for span, parent in zip(self.all, parents, strict=True)
        ]

    def attributes(self, name: str) -> dict[str, Any]:
        """Return those of the span with this name."""
        (span,) = [span for span in self.all if span.name == name]
        return dict(span.attributes or {})


@pytest.fixture
def spans() -> Spans:
    """Nothing exported yet."""
    return Spans()


def traced(spans: Spans, engine: ScriptedEngine, scorer: Scorer) -> TracedSearches:
    """Return a reranked engine whose searches are spans."""
    return TracedSearches(RerankingConnector(ToldEngine(engine), scorer), spans.telemetry)


def three() -> ScriptedEngine:
    """Return an engine with three documents."""
    return ScriptedEngine("canary2 ccc", "bb", "a")


def of(span: ReadableSpan) -> str:
    """Return the id of a span."""
    assert span.context is not None
    return f"{span.context.span_id:016x}"


async def test_a_search_is_a_tree_under_its_callers_span(spans: Spans) -> None:
    """Its stages in their order, and nothing of what was asked or found."""
    engine = three()
    await traced(spans, engine, ScriptedScorer()).search(search(match("canary3"), headers=CALLER))
    assert [
        ("search", "CALLER"),
        ("first_stage", "search"),
        ("score", "search"),
        ("merge", "search"),
    ] == spans.tree()
    assert {f"{span.context.trace_id:032x}" for span in spans.all if span.context} == {TRACE}
    assert {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "rerank.marker": "applied; candidates=3; window=100; model=scripted",
    } == spans.attributes("search")
    assert {"candidates": 3} == spans.attributes("score")
    assert "canary" not in "".join(span.to_json() for span in spans.all)


async def test_the_engine_is_told_which_span_it_works_for(spans: Spans) -> None:
    """In place of the caller's own; what the vendors' part says stays."""
    engine = three()
    await traced(spans, engine, ScriptedScorer()).search(search(match(), headers=CALLER))
    _, first_stage, _, merge = map(of, spans.all)
    told = [[value for name, value in asked.headers if name.lower() == "traceparent"] for asked in engine.searches]
    assert [[f"00-{TRACE}-{first_stage}-01"], [f"00-{TRACE}-{merge}-01"]] == told  # hits that may be heavy: two steps
    assert ["vendor=1"] * 2 == [header(asked.headers, "tracestate") for asked in engine.searches]


async def test_a_scorer_elsewhere_is_told_so_too(spans: Spans, tmp_path: Path) -> None:
    """And a server of ours goes on with the trace."""
    from aiohttp import web

    protocol = ScoringProtocol(ScriptedScorer())

    async def score(request: EndpointRequest) -> EndpointResponse:
        reply = await protocol.score(request.body)
        return EndpointResponse(status=reply.status, body=reply.body)

    endpoint = traced_endpoint(score, "POST /_rerank/score", spans.telemetry)

    async def handle(request: web.Request) -> web.Response:
        headers = tuple(request.headers.items())
        asked = EndpointRequest(method="POST", path=request.path, headers=headers, body=await request.read())
        answer = await endpoint(asked)
        return web.Response(status=answer.status, body=answer.body)

    async def model(_: web.Request) -> web.Response:
        return web.Response(body=(await protocol.model()).body)

    app = web.Application()
    app.router.add_get(MODEL_PATH, model)
    app.router.add_post(SCORE_PATH, handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    remote = RemoteScorer(f"unix:{tmp_path}/s")
    try:
        await remote.loaded()
        await traced(spans, three(), remote).search(search(match(), headers=CALLER))
    finally:
        await remote.aclose()
        await runner.cleanup()
    assert ("POST /_rerank/score", "score") in spans.tree()
    assert 200 == spans.attributes("POST /_rerank/score")["http.response.status_code"]


async def test_a_caller_without_a_trace_begins_one(spans: Spans) -> None:
    """So does one whose header is damaged."""
    engine = three()
    for headers in ((), (("traceparent", "00-no-trace"),)):
        await traced(spans, engine, ScriptedScorer()).search(search(match(), headers=headers))
    assert 2 == sum(parent is None for _, parent in spans.tree())
    assert all(len(header(asked.headers, "traceparent") or "") == 55 for asked in engine.searches)


async def test_a_failure_is_its_type(spans: Spans) -> None:
    """Words of an error may hold somebody's text."""
    await traced(spans, three(), FailingScorer(ModelFailed("canary4"))).search(search(match(), headers=CALLER))
    assert "ModelFailed" == spans.attributes("score")["error.type"]
    assert "degraded; reason=model" == spans.attributes("search")["rerank.marker"]
    assert "canary" not in "".join(span.to_json() for span in spans.all)


async def test_an_msearch_is_one_span_with_a_score_for_each_item(spans: Spans) -> None:
    """They run side by side."""
    items = msearch({"index": "a"}, match(), {"index": "b"}, match("red"))
    await traced(spans, three(), ScriptedScorer()).msearch(items)
    names = [name for name, _ in spans.tree()]
    assert ("msearch", 1, 2, 2) == (names[0], names.count("first_stage"), names.count("score"), names.count("merge"))


async def relayed(connector: TracedSearches, request: RelayRequest) -> bytes:
    """Return what is answered to any request."""
    async with connector.relay(request) as answer:
        return b"".join([chunk async for chunk in answer.chunks])


async def body_of(request: SearchRequest) -> AsyncIterator[bytes]:
    """Yield a body."""
    yield request.body


async def test_a_relayed_search_is_a_span_until_its_answer_has_gone(spans: Spans) -> None:
    """A search that is left alone, too; and the engine is told."""
    engine = three()
    connector = traced(spans, engine, ScriptedScorer())
    for body in (match(), {"query": {"match_all": {}}}):
        asked = search(body, headers=CALLER)
        await relayed(
            connector,
            RelayRequest(method="POST", target=asked.target, headers=asked.headers, body=body_of(asked)),
        )
    assert ["search", "first_stage", "score", "merge", "search"] == [name for name, _ in spans.tree()]
    assert "skipped; reason=no_free_text" == (spans.all[-1].attributes or {})["rerank.marker"]


async def test_what_is_no_search_passes_as_it_is(spans: Spans) -> None:
    """The caller's own headers reach the engine."""
    engine = three()
    request = RelayRequest(method="GET", target="/_cat/indices", headers=CALLER, body=None)
    await relayed(traced(spans, engine, ScriptedScorer()), request)
    assert [] == spans.tree()
    assert CALLER == engine.relayed[-1].headers


async def test_what_is_signed_keeps_its_headers(spans: Spans) -> None:
    """A signature may cover them."""
    engine = three()
    signed = (*CALLER[:1], ("Authorization", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=traceparent, Signature=b"))
    await traced(spans, engine, ScriptedScorer()).search(search(match(), headers=signed))
    assert CALLER[0][1] == header(engine.searches[-1].headers, "traceparent")


async def test_a_search_that_is_given_up_ends_its_spans(spans: Spans) -> None:
    """As when a client goes away."""

    class StuckScorer(ScriptedScorer):
        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            entered.set()
            await asyncio.Event().wait()
            return []

    entered = asyncio.Event()
    asking = asyncio.ensure_future(traced(spans, three(), StuckScorer()).search(search(match())))
    await entered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ["search", "first_stage", "score"] == [name for name, _ in spans.tree()]


async def test_where_spans_go_is_said_by_the_variables_of_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, too, which is ours where nobody gives one."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    own = exporting("1.2.3")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search")
    named = exporting("1.2.3")
    for provider in (own, named):
        await asyncio.to_thread(provider.shutdown)
    assert ("rerank-sidecar", "1.2.3") == tuple(
        own.resource.attributes[key] for key in ("service.name", "service.version")
    )
    assert "search" == named.resource.attributes["service.name"]


async def test_an_endpoint_is_a_span(spans: Spans) -> None:
    """With its status."""

    async def hello(_: EndpointRequest) -> EndpointResponse:
        return json_response("hello", 429)

    request = EndpointRequest(method="POST", path="/v1/rerank", headers=CALLER, body=b"canary")
    answer = await traced_endpoint(hello, "POST /v1/rerank", spans.telemetry)(request)
    assert (429, [("POST /v1/rerank", "CALLER")]) == (answer.status, spans.tree())
    assert {"http.request.method": "POST", "http.response.status_code": 429} == spans.attributes("POST /v1/rerank")
