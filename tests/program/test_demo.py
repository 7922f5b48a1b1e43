"""`rerank-sidecar demo`: what it prints, what it serves, how it ends."""

import re
import shlex
from urllib.parse import urlsplit

import pytest

from sidecar import sample
from tests.integration.wire import Answer, send
from tests.program.processes import Program, finished, search

pytestmark = pytest.mark.weights

QUERY = next(iter(sample.queries().values()))


def urls(output: str) -> tuple[str, str]:
    """Return the two URLs that the demo names: bare and reranked."""
    bare = re.search(r"^bare: +(http://\S+)$", output, re.MULTILINE)
    reranked = re.search(r"^reranked: +(http://\S+)$", output, re.MULTILINE)
    assert bare, output
    assert reranked, output
    return bare[1], reranked[1]


async def run_curl(line: str) -> Answer:
    """Do what a printed curl command says."""
    program, flags, url, header, named, data, body = shlex.split(line)
    assert ("curl", "-H", "-d") == (program, header, data)
    assert flags in ("-s", "-si")
    parts = urlsplit(url)
    name, _, value = named.partition(": ")
    target = f"{parts.path}?{parts.query}"
    return await send(f"http://{parts.netloc}", "POST", target, body=body.encode(), headers={name: value})


def test_once_shows_three_queries_before_and_after_and_ends(demo_once: Program) -> None:
    """With no hub in reach the offline model is used, and named; the last lines are commands to copy."""
    assert 0 == demo_once.exit_code(), demo_once.output
    output = demo_once.output
    assert re.search(r"^engine: embedded engine with \d+ sample articles$", output, re.MULTILINE)
    assert re.search(r"^model: +offline \(late-interaction, ", output, re.MULTILINE)
    titles = re.findall(r"^“(.+)”  (before|after)", output, re.MULTILINE)
    shown = list(sample.queries().values())[:3]
    assert [(query, when) for query in shown for when in ("before", "after")] == titles
    assert 3 == output.count("X-Rerank: applied; ")
    bare, reranked = urls(output)
    assert [bare, reranked] == re.findall(r"^  curl -si? '(http://[^/]+)/articles/_search", output, re.MULTILINE)


def test_it_says_by_how_much_reranking_improves(demo_once: Program) -> None:
    """On all judged queries; `evaluate` finds the same figures."""
    said = re.search(
        r"^nDCG@10 of the 30 judged queries: (\d\.\d+) before, (\d\.\d+) after \(\+", demo_once.output, re.MULTILINE
    )
    assert said, demo_once.output
    settings = ("--analyzer", "standard", "--scorer", "test:identity", "--allow-test-scorers", "--measure", "nDCG@10")
    done = finished("evaluate", "--dataset", "sample", *settings)
    (before,) = re.findall(r"first stage +(\d\.\d+) *$", done.stdout, re.MULTILINE)[:1]
    assert float(said[1]) == pytest.approx(float(before), abs=6e-4)
    assert float(said[2]) > float(said[1])


def test_a_model_that_cannot_be_had_is_said() -> None:
    """No demo of another model than the one that was asked for."""
    done = finished("demo", "--once", "--model", "/nowhere/a-model")
    assert 1 == done.code
    assert "/nowhere/a-model" in done.stderr.splitlines()[-1]


async def test_it_serves_bare_and_reranked(demo: Program) -> None:
    """The same search on both: the engine's order, and another one with the marker."""
    bare, reranked = urls(demo.output)
    before, after = await search(bare, QUERY), await search(reranked, QUERY)
    assert (200, 200) == (before.status, after.status)
    assert None is before.header("X-Rerank")
    assert "applied" == after.outcome
    assert "model=offline" in after.marker
    assert before.ids != after.ids
    assert (await search(reranked, QUERY, X_Rerank="off")).ids == before.ids


async def test_the_commands_that_it_prints_work(demo: Program) -> None:
    """Both curl lines, with their quoting."""
    bare, reranked = [line for line in demo.output.splitlines() if line.startswith("  curl ")]
    before, after = await run_curl(bare), await run_curl(reranked)
    assert (200, 200) == (before.status, after.status)
    assert 3 == len(before.hits) == len(after.hits)
    assert ("", "applied") == (before.outcome, after.outcome)


def test_a_port_that_is_taken_is_passed_over(demo: Program) -> None:
    """9200 is not free here; the next free port is taken and printed."""
    bare, _ = urls(demo.output)
    port = urlsplit(bare).port
    assert port is not None
    assert 9200 < port < 9250
