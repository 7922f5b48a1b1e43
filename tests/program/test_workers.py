"""`serve --workers N`: several front processes behind one address, one scorer, and the death of any of them."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.wire import Answer, send
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    START_SECONDS,
    UNHURRIED,
    Program,
    asynchronous,
    children,
    eventually,
    finished,
    is_running,
    running,
    search,
    status,
)

IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
WORDS = "why is the sky blue"
OUTCOMES = "rerank_sidecar_rerank_outcomes_total"


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Address of an engine: the embedded one, without reranking."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, *IDENTITY)
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_RERANK__ENABLED="false") as program:
        yield program.url


@pytest.fixture(scope="module")
def served(engine: str) -> Iterator[Program]:
    """Two fronts, without a model."""
    arguments = ("--engine", engine, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    with running("serve", *arguments, **QUICK_END) as program:
        asyncio.run(until_listening(program, 2))
        yield program


def fronts(program: Program) -> list[int]:
    """Return the ids of the front processes."""
    return [pid for pid in children(program.pid) if b"front" in command(pid)]


def command(pid: int) -> list[bytes]:
    """Return the command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def admin(program: Program) -> str:
    """Where probes and metrics are."""
    return program.said(r"^probes and metrics on (http://\S+)/_rerank/metrics$")[1]


def outcome(answer: Answer) -> str:
    """Return what the sidecar says; the engine, which is one, too, has said something before."""
    return [value for name, value in answer.headers if name == "x-rerank"][-1].partition(";")[0]


async def figures(url: str, name: str) -> dict[str, float]:
    """Return a metric's values by worker, summed over its other labels."""
    answer = await send(url, "GET", "/_rerank/metrics")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            if sample.name == name:
                worker = sample.labels["worker"]
                found[worker] = found.get(worker, 0) + sample.value
    return found


async def until_listening(program: Program, workers: int) -> None:
    """Wait until so many fronts listen."""
    url = admin(program)
    await eventually(lambda: figures(url, "rerank_sidecar_workers"), lambda found: sum(found.values()) == workers)


async def test_fronts_share_an_address_and_are_counted_apart(served: Program) -> None:
    """Whoever is asked knows the figures of all, and each search is counted once."""
    assert 2 == len(fronts(served))
    answers = [await search(served.url, WORDS) for _ in range(40)]
    assert {(200, "applied")} == {(answer.status, outcome(answer)) for answer in answers}
    by_admin, by_front = [await figures(url, OUTCOMES) for url in (admin(served), served.url)]
    assert 40 == sum(by_admin.values())
    assert by_admin == by_front
    assert {"0", "1"} == set(await figures(served.url, "rerank_sidecar_worker_starts_total"))
    for url in (served.url, admin(served)):
        assert (200, "ready") == await status(url, "ready")
        assert (200, "live") == await status(url, "live")


async def test_a_front_that_is_killed_costs_what_it_had_in_flight(served: Program) -> None:
    """New connections are answered all the while, and another front takes its place."""
    before = set(fronts(served))
    os.kill(min(before), signal.SIGKILL)
    answers = [await search(served.url, WORDS) for _ in range(40)]
    assert {(200, "applied")} == {(answer.status, outcome(answer)) for answer in answers}
    await until_listening(served, 2)
    after = set(fronts(served))
    assert (1, 1) == (len(before & after), len(after - before))
    assert 3 == sum((await figures(admin(served), "rerank_sidecar_worker_starts_total")).values())
    assert (200, "ready") == await status(admin(served), "ready")


async def test_sigterm_drains_all_fronts(engine: str) -> None:
    """Not ready, connections are asked to close, everything is answered, the exit code is 0, and nobody is left."""
    arguments = ("--engine", engine, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    settings = {**QUICK_END, "RERANK_SIDECAR_DRAIN_SECONDS": "1"}
    with running("serve", *arguments, **settings) as program:
        await asyncio.to_thread(lambda: program.url)
        await until_listening(program, 2)
        pids = children(program.pid)
        url = admin(program)
        async with aiohttp.ClientSession(program.url, connector=aiohttp.TCPConnector(limit=0)) as session:
            program.send(signal.SIGTERM)
            assert (503, "draining") == await eventually(lambda: status(url, "ready"), lambda found: found[0] == 503)

            async def closes() -> bool:
                async with session.get("/_rerank/live") as answer:
                    return answer.status == 200 and answer.headers.get("Connection") == "close"

            await eventually(closes, bool)
        assert 0 == await asyncio.to_thread(program.exit_code), program.output
        assert [] == [pid for pid in pids if is_running(pid)]
        address = urlsplit(program.url)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address.hostname, address.port)


def test_the_embedded_engine_cannot_be_shared() -> None:
    """Each process would have documents of its own."""
    done = finished("serve", "--engine", "embedded", "--listen", ANYWHERE, "--workers", "2", **QUICK_END)
    assert 2 == done.code
    assert "workers: got 2, expected 1: the embedded engine lives in one process" in done.stderr


def test_fronts_that_cannot_start_end_the_program(tmp_path: Path) -> None:
    """With the exit code of a wrong configuration, and the reason."""
    settings = {**QUICK_END, "RERANK_SIDECAR_ENGINE__CA_CERTS": str(tmp_path / "missing.pem")}
    arguments = ("--engine", "https://localhost:1", "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    done = finished("serve", *arguments, **settings)
    assert 2 == done.code
    assert "missing.pem" in done.stderr or "No such file" in done.stderr


def test_a_front_is_not_for_people() -> None:
    """It says who starts it."""
    done = finished("front")
    assert (2, True) == (done.code, "is for `serve --workers` to start" in done.stderr)


@pytest.mark.weights
async def test_fronts_share_one_scorer(engine: str) -> None:
    """However many there are; when it is killed searches come in the engine's order, and another one is started."""
    arguments = ("--engine", engine, "--listen", ANYWHERE, "--workers", "2", "--model", "offline")
    with running("serve", *arguments, **{**QUICK_END, **UNHURRIED}) as program:
        await asyncio.to_thread(program.said, "^model: offline ", START_SECONDS)
        await until_listening(program, 2)
        url = program.url

        async def searched() -> str:
            answer = await search(url, WORDS)
            assert 200 == answer.status
            return outcome(answer)

        await eventually(searched, lambda found: found == "applied")
        assert (200, "started") == await status(admin(program), "startup")
        scorers = [pid for pid in children(program.pid) if b"score" in command(pid)]
        assert (1, 3) == (len(scorers), len(children(program.pid)))
        for _ in range(10):
            await searched()
        scored = (await send(url, "GET", "/_rerank/metrics")).body.decode()
        assert re.search(r'^rerank_sidecar_scorer_scored_pairs_total\{scorer="main"\} [1-9]', scored, re.MULTILINE)
        os.kill(scorers[0], signal.SIGKILL)
        assert "degraded" == await eventually(searched, lambda found: found != "applied")
        await eventually(asynchronous(lambda: len(children(program.pid))), lambda count: count == 3)


async def test_fronts_end_with_their_parent(served: Program) -> None:
    """Killed, it tells nobody anything: the end of a pipe does. This is the last test: the fronts of all end here."""
    pids = fronts(served)
    served.send(signal.SIGKILL)
    await eventually(asynchronous(lambda: [pid for pid in pids if is_running(pid)]), lambda left: not left)
