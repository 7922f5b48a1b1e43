"""The rerank API of a running program: real clients of many dialects, its key, its limits, its load."""

import asyncio
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.integration.wire import Answer, send
from tests.program.processes import ANYWHERE, QUICK_END, Finished, Program, eventually, finished, run, running
from tests.program.rerank_clients import CLIENTS, DOCUMENTS, QUERY

KEY = "open-sesame"
BEARER = {"Authorization": f"Bearer {KEY}"}
KEYED = {
    **QUICK_END,
    "RERANK_SIDECAR_API__KEY": KEY,
    "RERANK_SIDECAR_API__MAX_DOCUMENTS": "2",
    "RERANK_SIDECAR_API__DEADLINE_MS": "60000",
}
BEST_FIRST = [1, 2, 0]


@pytest.fixture(scope="module")
def keyed() -> Iterator[Program]:
    """`serve` whose rerank API wants a key and takes two documents, without a model."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", *arguments, **KEYED) as program:
        yield program


def client(name: str, url: str, key: str) -> dict[str, Any]:
    """Return what a client reports, or skip the test where the client is not installed."""
    package = CLIENTS[name][0]
    if package is None and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: it is in the dependency group clients")
    return reports(package, url, key)[name]


@cache
def reports(package: str | None, url: str, key: str) -> dict[str, dict[str, Any]]:
    """Return what the clients of a package report; to import one takes seconds, so they share a process."""
    names = [name for name, (needed, _) in CLIENTS.items() if needed == package]
    done = run((sys.executable, "-m", "tests.program.rerank_clients", url, key, *names), {"HF_HUB_OFFLINE": "0"})
    assert 0 == done.code, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name": ')]
    return {report["name"]: report for report in found}


async def ask(url: str, path: str = "/v1/rerank", headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    """Ask the rerank API."""
    body = fields or {"query": "q", "documents": ["a", "b"]}
    return await send(url, "POST", path, body=body, headers=BEARER if headers is None else headers)


# --- real clients -------------------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.parametrize("name", CLIENTS)
def test_a_real_client_ranks(scorer: str, name: str) -> None:
    """The best document first, with its score; with its text where the client asks for it."""
    report = client(name, scorer, "any key, since none is asked for")
    assert "error" not in report, report
    assert BEST_FIRST[: len(report["order"])] == report["order"]
    assert sorted(report["scores"], reverse=True) == report["scores"]
    assert all(0 < score < 1 for score in report["scores"])
    if report.get("documents") is not None:
        assert [DOCUMENTS[index] for index in report["order"]] == report["documents"]


REFUSALS = {
    "cohere v1": ("UnauthorizedError", "BadRequestError"),
    "cohere v2": ("UnauthorizedError", "BadRequestError"),
    "voyageai": ("AuthenticationError", "InvalidRequestError"),
    "huggingface_hub similarity": ("HfHubHTTPError", "HfHubHTTPError"),
    "curl": ("RuntimeError", "RuntimeError"),
}
"""What clients raise for a wrong key and for too many documents."""


@pytest.mark.parametrize("name", REFUSALS)
def test_a_real_client_reads_a_refusal(keyed: Program, name: str) -> None:
    """As the error that it has for it, in our words."""
    for key, expected, words in (
        ("wrong", REFUSALS[name][0], "got another key"),
        (KEY, REFUSALS[name][1], "got 3, expected at most 2 (the limit is api.max_documents)"),
    ):
        report = client(name, keyed.url, key)
        assert expected == report["error"]
        assert words in report["message"] or "invalid_api_key" in report["message"]


# --- the key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank", "/score", "/_rerank/voyage/v1/rerank"])
async def test_the_key_opens_the_api(keyed: Program, path: str) -> None:
    """And nothing else does."""
    assert 401 == (await ask(keyed.url, path, {})).status
    assert 401 == (await ask(keyed.url, path, {"Authorization": "Basic b3Blbi1zZXNhbWU="})).status
    answer = await ask(keyed.url, path, query="q", documents=["a"], text_1="q", text_2=["a"])
    assert 200 == answer.status, answer.body


async def test_the_engine_needs_no_key_of_ours(keyed: Program) -> None:
    """Searches, probes and the document are as before."""
    assert 200 == (await send(keyed.url, "GET", "/")).status
    assert 200 == (await send(keyed.url, "GET", "/_rerank/ready")).status
    assert "3.1.0" == (await send(keyed.url, "GET", "/_rerank/openapi.json")).json["openapi"]
    with running("serve", "--engine", "embedded", "--print-config", **KEYED) as printing:
        assert 0 == printing.exit_code()
    assert KEY not in printing.output


async def test_the_api_can_be_switched_off() -> None:
    """Its paths are then the engine's."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_API__ENABLED="false") as program:
        url = await asyncio.to_thread(lambda: program.url)
        for path in ("/v1/rerank", "/_rerank/voyage/rerank"):
            answer = await ask(url, path)
            assert answer.status in (400, 404, 405), answer.body
        assert 200 == (await send(url, "GET", "/_rerank/ready")).status


@pytest.mark.weights
async def test_a_scorer_elsewhere_is_asked_with_its_key() -> None:
    """Without it, it cannot be used, and says why."""
    with running("score", "--listen", ANYWHERE, "--model", "offline", **KEYED) as elsewhere:
        elsewhere.said("^model: offline ", 150.0)
        url = await asyncio.to_thread(lambda: elsewhere.url)
        for path in ("/_rerank/score", "/v1/rerank"):
            assert 401 == (await ask(url, path, {})).status
        assert 401 == (await send(url, "GET", "/_rerank/model")).status
        await eventually(lambda: check(url, {}), lambda said: (1, True) == (said.code, "scorer.api_key" in said.stderr))
        key = {"RERANK_SIDECAR_SCORER__API_KEY": KEY}
        await eventually(
            lambda: check(url, key), lambda said: (0, True) == (said.code, "model: offline" in said.stdout)
        )


async def check(url: str, settings: dict[str, str]) -> Finished:
    """Return what `check` says of a scorer, which a busy machine may keep from answering in time."""
    return await asyncio.to_thread(finished, "check", "--engine", "embedded", "--scorer", url, **settings)


# --- many and large -----------------------------------------------------------------------------------------


@pytest.mark.weights
async def test_a_large_request_is_answered_whole(scorer: str) -> None:
    """A thousand documents, as many as one call may have."""
    documents = [f"{DOCUMENTS[number % 3]} {number}" for number in range(1000)]
    answer = await ask(scorer, query=QUERY, documents=documents)
    results = answer.json["results"]
    assert list(range(1000)) == sorted(result["index"] for result in results)
    assert {1} == {result["index"] % 3 for result in results[:50]}
    scores = [result["relevance_score"] for result in results]
    assert sorted(scores, reverse=True) == scores
    refused = await ask(scorer, query=QUERY, documents=[*documents, "one more"])
    assert (400, True) == (refused.status, "the limit is api.max_documents" in refused.json["message"])


@pytest.mark.weights
async def test_the_best_passage_of_a_long_document_counts(scorer: str) -> None:
    """Where the caller asks for passages; by default the model reads the beginning."""
    long = f"{'Bananas are yellow. ' * 200}{DOCUMENTS[1]}"
    documents = [long, DOCUMENTS[2]]
    whole = await ask(scorer, query=QUERY, documents=documents)
    cut = await ask(scorer, query=QUERY, documents=documents, max_chunks_per_doc=20)
    assert [1, 0] == [result["index"] for result in whole.json["results"]]
    assert [0, 1] == [result["index"] for result in cut.json["results"]]
    refused = await ask(scorer, query=QUERY, documents=documents, truncation=False)
    assert (400, "documents[0]") == (refused.status, refused.json["error"]["param"])


@pytest.mark.weights
async def test_many_callers_get_their_own_answers(scorer: str) -> None:
    """In several dialects at once."""
    alone = await ask(scorer, query=QUERY, documents=DOCUMENTS)
    answers = await asyncio.gather(
        *(ask(scorer, query=QUERY, documents=DOCUMENTS) for _ in range(10)),
        *(ask(scorer, query=QUERY, texts=DOCUMENTS) for _ in range(10)),
    )
    for answer in answers[:10]:
        assert alone.json["results"] == answer.json["results"]
    for answer in answers[10:]:
        assert BEST_FIRST == [rank["index"] for rank in answer.json]
