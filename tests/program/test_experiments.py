"""From observing to a share of the users to all and back, in a running program."""

import asyncio
import json
import math
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.wire import Answer, same_but_time, send
from tests.program.processes import ANYWHERE, QUICK_END, Program, asynchronous, eventually, running, search
from tests.program.test_workers import admin, fronts, until_listening

IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
WORDS = "why is the sky blue"
POLICIES = "/_rerank/policies"
OBSERVED = '[rerank]\nmode = "observe"\ndeadline_ms = 0\n'
USERS = 100


async def put(program: Program, **sections: Any) -> Answer:
    """Put policies."""
    return await send(admin(program), "PUT", POLICIES, body=sections)


async def markers(url: str) -> set[str]:
    """Return what searches on twenty connections are marked with, by the last program on their way."""
    answers = [await search(url, WORDS) for _ in range(20)]
    return {[value for name, value in answer.headers if name == "x-rerank"][-1] for answer in answers}


async def samples(url: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of every sample of a metric."""
    answer = await send(url, "GET", "/_rerank/metrics")
    families = text_string_to_metric_families(answer.body.decode())
    return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]


async def total(url: str, name: str) -> float:
    """Return a metric's sum over its labels."""
    return sum(value for _, value in await samples(url, name))


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """Address of an engine: the embedded one, without reranking."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, *IDENTITY)
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_RERANK__ENABLED="false") as program:
        yield program.url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration that only observes."""
    path = tmp_path / "sidecar.toml"
    path.write_text(f'{OBSERVED}[observe]\nlog = "{tmp_path / "observe.log"}"\n', encoding="utf-8")
    return path


@pytest.fixture
def program(path: Path) -> Iterator[Program]:
    """A program with that configuration and an engine of its own."""
    arguments = ("--config", str(path), "--engine", "embedded", "--listen", ANYWHERE, *IDENTITY)
    with running("serve", *arguments, **QUICK_END) as program:
        yield program


def rewrite(path: Path, text: str) -> None:
    """Change the configuration."""
    path.write_text(text, encoding="utf-8")


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the observations that were written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def arms(url: str) -> dict[int, str]:
    """Return the arm of every user."""
    answers = [await search(url, WORDS, X_User_Id=f"user {user}") for user in range(USERS)]
    return {user: re.findall(r"arm=(\w+)", answer.marker)[0] for user, answer in enumerate(answers)}


async def test_observed_searches_are_the_engine_s_to_the_byte(program: Program, bare: str, tmp_path: Path) -> None:
    """Each leaves a line and is counted; the line has no word of the query."""
    queries = [f"{WORDS} {word}" for word in ("", "tea", "bread", "moon", "engine", "river", "copper", "sleep")]
    for query in queries:
        observed, direct = await search(program.url, query), await search(bare, query)
        assert "observed" == observed.marker
        assert same_but_time(direct) == same_but_time(observed)
    done = await eventually(
        lambda: total(program.url, "rerank_sidecar_observations_total"), lambda found: found == len(queries)
    )
    found = await eventually(asynchronous(lambda: lines(tmp_path / "observe.log")), lambda told: len(told) == done)
    assert [("default", "applied", False, 1.0)] * len(queries) == [
        (line["policy"], line["outcome"], line["top_changed"], line["jaccard@10"]) for line in found
    ]
    assert "sky" not in json.dumps(found)
    assert [({"operation": "search", "outcome": "observed", "reason": ""}, len(queries))] == await samples(
        program.url, "rerank_sidecar_rerank_outcomes_total"
    )


async def test_a_share_of_the_users_is_reranked_and_keeps_it(program: Program, bare: str) -> None:
    """Within the binomial interval; the control arm gets the engine's bytes; nobody does at 0."""
    assert 200 == (await put(program, rerank={"percent": 30})).status
    first, second = await arms(program.url), await arms(program.url)
    assert first == second
    reranked = {user for user, arm in first.items() if arm == "rerank"}
    assert abs(len(reranked) - 0.3 * USERS) < 4 * math.sqrt(0.3 * 0.7 * USERS)
    control = await search(program.url, WORDS, X_User_Id=f"user {min(set(first) - reranked)}")
    assert "skipped; reason=control; arm=control" == control.marker
    assert same_but_time(await search(bare, WORDS)) == same_but_time(control)
    await put(program, rerank={"percent": 60})
    assert reranked < {user for user, arm in (await arms(program.url)).items() if arm == "rerank"}
    await put(program, rerank={"percent": 0})
    assert {"control"} == set((await arms(program.url)).values())


async def test_a_broken_policy_changes_nothing_and_says_why(program: Program, path: Path) -> None:
    """By HTTP in the answer, by the file in the log."""
    before = (await send(admin(program), "GET", POLICIES)).json
    refused = await put(program, policies=[{"indices": ["a"], "percent": 5, "windw": 3}])
    assert 400 == refused.status
    assert "request: policies.0.windw is not known" in refused.json["error"]["reason"]
    rewrite(path, "[rerank]\npercent = 300\n")
    program.send(signal.SIGHUP)
    await asyncio.to_thread(program.said, r"policies_refused source=file error=\S+sidecar.toml: rerank.percent: ")
    assert before == (await send(admin(program), "GET", POLICIES)).json
    assert "observed" == (await search(program.url, WORDS)).marker


async def test_sighup_reads_the_file(program: Program, path: Path) -> None:
    """And takes back what was put."""
    await put(program, rerank={"percent": 0})
    assert "control" == (await search(program.url, WORDS)).reason
    rewrite(path, "[rerank]\nwindow = 7\ndeadline_ms = 0\n")
    program.send(signal.SIGHUP)

    async def marker() -> str:
        return (await search(program.url, WORDS)).marker

    await eventually(marker, lambda found: found.startswith("applied; candidates=7; window=7;"))


async def test_policies_are_not_on_the_main_listener(program: Program) -> None:
    """Where callers are."""
    for method in ("GET", "PUT"):
        assert 404 == (await send(program.url, method, POLICIES, body={"policies": []})).status


async def test_a_log_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """With the setting's name."""
    settings = {**QUICK_END, "RERANK_SIDECAR_OBSERVE__LOG": str(tmp_path / "missing" / "observe.log")}
    with running("serve", "--engine", "embedded", "--listen", ANYWHERE, *IDENTITY, **settings) as program:
        assert 2 == await asyncio.to_thread(program.exit_code)
        assert "observe.log: " in program.output


async def test_every_front_takes_other_policies(bare: str, path: Path) -> None:
    """Before the answer to PUT; by SIGHUP soon; and one that starts later has them, too."""
    arguments = ("--config", str(path), "--engine", bare, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    with running("serve", *arguments, **QUICK_END) as program:
        url = await asyncio.to_thread(lambda: admin(program))
        await until_listening(program, 2)

        async def digests() -> list[tuple[str, str]]:
            found = await samples(url, "rerank_sidecar_policies_info")
            return [(labels["worker"], labels["digest"]) for labels, _ in found]

        assert {"observed"} == await markers(program.url)
        told = await put(program, rerank={"percent": 0})
        assert 200 == told.status
        assert {"skipped; reason=control; arm=control"} == await markers(program.url)
        digest = str(told.header("etag")).strip('"')
        assert [("0", digest), ("1", digest)] == sorted(await digests())
        assert 400 == (await put(program, rerank={"percent": -1})).status
        assert {"skipped; reason=control; arm=control"} == await markers(program.url)
        rewrite(path, "[rerank]\nenabled = false\n")
        program.send(signal.SIGHUP)
        await eventually(lambda: markers(program.url), lambda found: found == {"skipped; reason=off"}, 5)
        assert 2 == await total(url, "rerank_sidecar_worker_starts_total")


async def test_a_user_has_one_arm_on_every_front_and_a_broken_file_changes_nothing(bare: str, path: Path) -> None:
    """Whichever front a connection comes to; and the parent, which reads the file, says what is wrong with it."""
    rewrite(path, "[rerank]\npercent = 40\ndeadline_ms = 0\n")
    arguments = ("--config", str(path), "--engine", bare, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    with running("serve", *arguments, **QUICK_END) as program:
        await asyncio.to_thread(lambda: admin(program))
        await until_listening(program, 2)
        first = await arms(program.url)
        assert {"control", "rerank"} == set(first.values())
        for text in ("[rerank]\npercent = 300\n", "[rerank]\npercent = 0\nwindw = 3\n", "[rerank\n"):
            said = program.output.count("policies_refused source=file")
            rewrite(path, text)
            program.send(signal.SIGHUP)

            async def refusals() -> int:
                return program.output.count("policies_refused source=file")

            await eventually(refusals, lambda count, said=said: count == said + 1)  # type: ignore[misc]
        assert first == await arms(program.url)
        for words in ("rerank.percent: ", "rerank.windw is not known"):
            assert words in program.output


async def test_a_front_that_starts_later_has_the_policies_in_force(bare: str, path: Path) -> None:
    """Not those of the program's start."""
    arguments = ("--config", str(path), "--engine", bare, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    with running("serve", *arguments, **QUICK_END) as program:
        url = await asyncio.to_thread(lambda: admin(program))
        await until_listening(program, 2)
        await put(program, rerank={"enabled": False})
        for pid in fronts(program):
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: total(url, "rerank_sidecar_worker_starts_total"), lambda starts: starts == 4)
        await until_listening(program, 2)
        assert {"skipped; reason=off"} == await markers(program.url)
