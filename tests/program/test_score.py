"""`rerank-sidecar score`: the scorer and the rerank API alone, and `serve` with a scorer elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.wire import Answer, send
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    UNHURRIED,
    Program,
    eventually,
    finished,
    free_port,
    running,
    search,
    status,
)

pytestmark = pytest.mark.weights

QUERY = "how do bees tell each other where food is"
DOCUMENTS = [
    "Bananas are yellow.",
    "A returning bee dances to tell the others where it found flowers.",
    "Bees make honey from nectar.",
]


async def rerank(url: str, **fields: Any) -> Answer:
    """Ask the rerank API."""
    return await send(url, "POST", "/v1/rerank", body={"query": QUERY, "documents": DOCUMENTS, **fields})


async def test_it_says_which_model_it_has(scorer: str) -> None:
    """The facts that a proxy asks for, and the probes."""
    facts = (await send(scorer, "GET", "/_rerank/model")).json
    assert ("offline", "late-interaction") == (facts["name"], facts["kind"])
    assert (200, "live") == await status(scorer, "live")
    assert (200, "started") == await status(scorer, "startup")
    assert (200, "ready") == await status(scorer, "ready")
    assert "rerank_sidecar_rerank_ready 1.0" in (await send(scorer, "GET", "/_rerank/metrics")).body.decode()


async def test_the_best_of_the_documents(scorer: str) -> None:
    """`top_n` cuts, `return_documents` gives the text back, and without either all come in order."""
    whole = (await rerank(scorer)).json["results"]
    assert [1, 2, 0] == [result["index"] for result in whole]
    best = (await rerank(scorer, top_n=1, return_documents=True)).json["results"]
    assert [{**whole[0], "document": {"text": DOCUMENTS[1]}}] == best


async def test_raw_scores(scorer: str) -> None:
    """The model's own numbers in the same order; for late interaction 1.5 times the relevance."""
    scores = [result["relevance_score"] for result in (await rerank(scorer)).json["results"]]
    raw = [result["relevance_score"] for result in (await rerank(scorer, raw_scores=True)).json["results"]]
    assert [pytest.approx(1.5 * score, rel=1e-6) for score in scores] == raw


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (b"{", None, "the body is not JSON"),
        (b"[]", None, "the body is an array, expected an object"),
        (b'{"documents": []}', "query", "query: got null or nothing, expected a string"),
        (b'{"query": "tea"}', "documents", "documents: got null or nothing, expected an array of strings"),
        (b'{"query": "tea", "documents": ["a", 1]}', "documents[1]", "documents[1]: got a number"),
        (b'{"query": "tea", "documents": ["a"], "top_n": -1}', "top_n", "top_n: got -1, expected a whole number"),
    ],
)
async def test_a_call_that_cannot_be_read_is_refused(scorer: str, body: bytes, param: str | None, message: str) -> None:
    """With 400, the field, what it held and what was expected."""
    answer = await send(scorer, "POST", "/v1/rerank", body=body, headers={"Content-Type": "application/json"})
    error = answer.json["error"]
    assert (400, "invalid_request_error", param) == (answer.status, error["type"], error["param"])
    assert error["message"].startswith(message)
    assert error["message"] == answer.json["message"]


async def test_there_is_no_engine(scorer: str) -> None:
    """A search is answered with 404 in the engine's error shape."""
    answer = await search(scorer, QUERY)
    assert (404, "resource_not_found_exception") == (answer.status, answer.json["error"]["type"])


async def test_serve_uses_it(scorer: str, served: Program) -> None:
    """The same searches as with a child of one's own."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", scorer)
    with running("serve", *arguments, **QUICK_END, **UNHURRIED) as program:
        await eventually(lambda: status(program.url, "startup"), lambda answer: answer == (200, "started"))
        here, there = await search(program.url, QUERY), await search(served.url, QUERY)
    assert "applied; candidates=15; window=15; model=offline" == here.marker == there.marker
    assert there.ids == here.ids
    assert [pytest.approx(hit["_score"], abs=1e-4) for hit in there.hits] == [hit["_score"] for hit in here.hits]


async def test_a_scorer_that_comes_and_goes(scorer: str) -> None:
    """Searches are answered all the time: in the engine's order while nobody is there, and the proxy is ready."""
    port = free_port()
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", f"http://127.0.0.1:{port}")
    with running("serve", *arguments, **QUICK_END, **UNHURRIED) as program:
        url = await asyncio.to_thread(lambda: program.url)
        bare = (await search(url, QUERY, X_Rerank="off")).ids

        async def ask() -> Answer:
            answer = await search(url, QUERY)
            assert 200 == answer.status
            assert answer.outcome == "applied" or answer.ids == bare
            return answer

        assert "degraded; reason=starting" == (await ask()).marker
        await eventually(lambda: status(url, "ready"), lambda answer: answer == (200, "ready"))
        assert "rerank_sidecar_rerank_ready 0.0" in (await send(url, "GET", "/_rerank/metrics")).body.decode()
        async with forwarded(port, scorer):
            first = await eventually(ask, lambda answer: answer.outcome == "applied")
        assert "degraded; reason=scorer_lost" == (await ask()).marker
        async with forwarded(port, scorer):
            again = await eventually(ask, lambda answer: answer.outcome == "applied")
        assert bare != first.ids == again.ids


@asynccontextmanager
async def forwarded(port: int, url: str) -> AsyncIterator[None]:
    """Give the server at `url` a second port; at the end it is closed, and the connections through it break off."""
    there = urlsplit(url)
    writers: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        writers.extend((writer, far_writer))
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def test_a_model_that_cannot_be_had_is_an_error() -> None:
    """Unlike `serve`, a scorer without a model has nothing to do."""
    done = finished("score", "--listen", ANYWHERE, "--model", "/nowhere/a-model")
    assert 1 == done.code
    assert done.stderr.splitlines()[-1].startswith("rerank-sidecar: ")
    assert "/nowhere/a-model" in done.stderr.splitlines()[-1]
