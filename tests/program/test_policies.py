"""Settings per index pattern, from one TOML file, in a running program."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.wire import Answer, send
from tests.program.processes import ANYWHERE, QUICK_END, Program, children, eventually, running, search

TOML = """
[rerank]
enabled = false
deadline_ms = 0

[[policies]]
indices = ["books*"]
enabled = true
window = 3

[[policies]]
indices = ["hurried"]
enabled = true
deadline_ms = 20

[[policies]]
indices = ["strict"]
enabled = true
deadline_ms = 20
on_failure = "error"

[[policies]]
indices = ["modelled"]
enabled = true
model = "/nowhere/a-model"
"""
INDICES = ("books-1", "hurried", "strict", "modelled", "other")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program with these policies, an empty engine, and a scorer that takes a fifth of a second."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "sidecar.toml").write_text(TOML, encoding="utf-8")
    (folder / "none.jsonl").touch()
    quick = ("--scorer", "test:slow=200", "--allow-test-scorers", "--listen", ANYWHERE)
    arguments = ("--config", str(folder / "sidecar.toml"), "--engine", f"embedded:{folder / 'none.jsonl'}", *quick)
    with running("serve", *arguments, **QUICK_END) as program:
        yield program


@pytest.fixture(scope="module")
def url(program: Program) -> str:
    """Where it listens, its indices filled through it: writes pass through, and can be searched at once."""
    lines: list[dict[str, Any]] = []
    for index in INDICES:
        for number in range(5):
            lines.append({"index": {"_index": index, "_id": str(number)}})
            lines.append({"title": f"Tea {number}", "text": "tea " * (number + 1)})
    answer = asyncio.run(send(program.url, "POST", "/_bulk?refresh=true", body=lines))
    assert (200, False) == (answer.status, answer.json["errors"])
    return program.url


async def tea(url: str, index: str, **headers: str) -> Answer:
    """Search for tea."""
    return await search(url, "tea", index=index, **headers)


async def test_a_policy_holds_for_its_indices(url: str) -> None:
    """Its window; what it does not say comes from the defaults."""
    answer = await tea(url, "books-1")
    assert "applied; candidates=3; window=3; model=test:slow=200" == answer.marker
    assert 5 == len(answer.hits)


async def test_the_defaults_hold_for_the_others(url: str) -> None:
    """Also for an expression that names an index of a policy beside another one."""
    assert "skipped; reason=off" == (await tea(url, "other")).marker
    assert "skipped; reason=off" == (await tea(url, "books-1,other")).marker


async def test_the_request_wins_over_the_policy(url: str) -> None:
    """By headers, as the table of the configuration says."""
    assert "skipped; reason=off" == (await tea(url, "books-1", X_Rerank="off")).marker
    wider = await tea(url, "books-1", X_Rerank_Window="4")
    assert wider.marker.startswith("applied; candidates=4; window=4; ")
    switched_on = await tea(url, "other", X_Rerank="on")
    assert switched_on.marker.startswith("applied; candidates=5; window=100; ")


async def test_a_deadline_of_a_policy(url: str) -> None:
    """The engine's order where the scorer is too slow for it."""
    bare, late = await tea(url, "hurried", X_Rerank="off"), await tea(url, "hurried")
    assert (200, "degraded; reason=deadline") == (late.status, late.marker)
    assert bare.ids == late.ids


async def test_a_strict_policy(url: str) -> None:
    """An error that no client repeats, in the engine's shape."""
    answer = await tea(url, "strict")
    assert (500, 500) == (answer.status, answer.json["status"])
    assert "rerank_unavailable" == answer.json["error"]["root_cause"][0]["type"]


async def test_a_model_of_a_policy(program: Program, url: str) -> None:
    """It has a child of its own; where it cannot be had, only its indices suffer."""
    answer = await eventually(lambda: tea(url, "modelled"), lambda answer: answer.reason != "starting")
    assert (200, "degraded; reason=model") == (answer.status, answer.marker)
    assert 1 == len(children(program.pid))
    assert "applied" == (await tea(url, "books-1")).outcome
