"""Interleaving in a running program: pages, clicks, figures, keys, several fronts, and their death."""

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.experiments.click_token import ClickTokens
from tests.integration.proxies import ShortestFirst
from tests.integration.wire import Answer, send
from tests.program.processes import ANYWHERE, QUICK_END, Program, eventually, finished, running, search
from tests.program.test_workers import admin, fronts, until_listening
from tests.scoring_server import serving
from tests.unit.sidecar.experiments.clicks import a_token

EVENTS = "/_rerank/events"
KEY = "a signing key for the tests"
WORDS = "why is the sky blue"
IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
KILLS = 5


@asynccontextmanager
async def shop(tmp_path: Path, *arguments: str, **settings: str) -> AsyncIterator[Program]:
    """Give a program over the sample corpus that interleaves with what likes short texts."""
    given = {
        **QUICK_END,
        "RERANK_SIDECAR_RERANK__INTERLEAVE": "team_draft",
        "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0",
        "RERANK_SIDECAR_EVENTS__LOG": str(tmp_path / "clicks.sqlite"),
        **settings,
    }
    async with serving(ShortestFirst(), tmp_path / "scorer.sock") as scorer:
        with running("serve", "--engine", "embedded", "--listen", ANYWHERE, "--scorer", scorer, **given) as program:
            url = await asyncio.to_thread(lambda: program.url)
            await eventually(lambda: marker(url), lambda found: found.startswith("applied"))
            yield program


async def marker(url: str) -> str:
    """Return what a search is marked with."""
    return last_marker(await search(url, WORDS))


def last_marker(answer: Answer) -> str:
    """Return what the last program on the way of an answer has marked it with."""
    return [value for name, value in answer.headers if name == "x-rerank"][-1]


async def page(url: str, offset: int = 0, size: int = 5, **headers: str) -> Answer:
    """Return a page of a search."""
    body = {"query": {"multi_match": {"query": WORDS, "fields": ["title", "text"]}}, "from": offset, "size": size}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await send(url, "POST", "/articles/_search", body=body, headers=named)


def token(answer: Answer) -> str:
    """Return the token of a page."""
    found = re.search(r"token=(\S+)$", last_marker(answer))
    assert found, answer.headers
    return found[1]


async def click(url: str, event: Any, **headers: str) -> Answer:
    """Send an event, or several."""
    body = json.dumps(event).encode()
    return await send(url, "POST", EVENTS, body=body, headers={"Content-Type": "application/json", **headers})


async def test_from_a_page_to_a_preference(tmp_path: Path) -> None:
    """Users click the reranked order's hits: metrics, playground and `compare` say what they prefer."""
    async with shop(tmp_path) as program:
        shown: list[str] = []
        for user in range(12):
            pages = [await page(program.url, offset, X_User_Id=f"u{user}") for offset in (0, 5, 10)]
            shown = [hit for answer in pages for hit in answer.ids]
            assert len(shown) == len(set(shown))
            explained = await page(program.url, X_User_Id=f"u{user}", X_Rerank_Explain="true")
            picked = [hit["_id"] for hit in explained.json["hits"]["hits"] if hit["_rerank"].get("team") == "rerank"]
            told = await click(program.url, [{"token": token(explained), "object_id": hit} for hit in picked])
            assert {"accepted": len(picked), "duplicate": 0, "ignored": 0} == told.json
        traffic = (await send(program.url, "GET", "/_rerank/playground/traffic.json")).json
        assert [12] == [found["wins"] for found in traffic["interleaving"]]
        metrics = (await send(program.url, "GET", "/_rerank/metrics")).body.decode()
        assert re.search(r'interleaving_searches\{.*outcome="win".*\} 12\.0', metrics)
    done = await asyncio.to_thread(finished, "compare", "--log", str(tmp_path / "clicks.sqlite"), "--json")
    [found] = json.loads(done.stdout)
    assert ("default", 12, 0, "rerank") == (found["policy"], found["wins"], found["losses"], found["preferred"])
    table = await asyncio.to_thread(finished, "compare", "--log", str(tmp_path / "clicks.sqlite"))
    assert "reranked" in table.stdout


async def test_clicks_after_a_restart(tmp_path: Path) -> None:
    """With a key of the operator's they are kept; without one they are refused, and the log said so."""
    fixed = {"RERANK_SIDECAR_EVENTS__SIGNING_KEY": KEY}
    async with shop(tmp_path, **fixed) as program:
        before = await page(program.url)
    assert "events_signing_key_not_set" not in program.output
    event = {"token": token(before), "object_id": before.ids[0]}
    async with shop(tmp_path, **fixed) as program:
        assert 200 == (await click(program.url, event)).status
    async with shop(tmp_path) as program:
        refused = await click(program.url, event)
        assert 400 == refused.status
        assert "another program has made it, or this one before a restart" in refused.json["error"]["reason"]
        assert "events_signing_key_not_set" in program.output


async def test_who_may_send_events(tmp_path: Path) -> None:
    """Who has the key; without a store the path is nobody's."""
    async with shop(tmp_path, RERANK_SIDECAR_EVENTS__KEY="secret") as program:
        answer = await page(program.url)
        event = {"token": token(answer), "object_id": answer.ids[0]}
        assert 401 == (await click(program.url, event)).status
        assert 200 == (await click(program.url, event, Authorization="Bearer secret")).status
    with running("serve", "--engine", "embedded", "--listen", ANYWHERE, *IDENTITY, **QUICK_END) as plain:
        assert 404 == (await click(plain.url, event)).status


def test_interleaving_without_a_store_stops_the_start() -> None:
    """Exit code 2, and what to set."""
    done = finished("serve", "--engine", "embedded", "--listen", ANYWHERE, RERANK_SIDECAR_RERANK__INTERLEAVE="balanced")
    assert 2 == done.code
    assert "interleave needs events.log or events.index" in done.stderr


# --- several fronts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Address of an engine: the embedded one, without reranking."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, *IDENTITY)
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_RERANK__ENABLED="false") as program:
        yield program.url


async def test_fronts_believe_each_other(engine: str, tmp_path: Path) -> None:
    """Without a key of the operator's, too: their parent makes one for all, and says so once."""
    settings = {
        **QUICK_END,
        "RERANK_SIDECAR_RERANK__INTERLEAVE": "team_draft",
        "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0",
        "RERANK_SIDECAR_EVENTS__LOG": str(tmp_path / "clicks.sqlite"),
    }
    async with serving(ShortestFirst(), tmp_path / "scorer.sock") as scorer:
        arguments = ("--engine", engine, "--listen", ANYWHERE, "--workers", "2", "--scorer", scorer)
        with running("serve", *arguments, **settings) as program:
            await until_listening(program, 2)
            await eventually(lambda: marker(program.url), lambda found: found.startswith("applied"))
            answers = [await page(program.url, X_User_Id=str(user)) for user in range(10)]
            for answer in answers:
                told = await click(program.url, {"token": token(answer), "object_id": answer.ids[0]})
                assert 200 == told.status
            assert 1 == program.output.count("events_signing_key_not_set")

            async def counted() -> list[tuple[str, str]]:
                metrics = (await send(admin(program), "GET", "/_rerank/metrics")).body.decode()
                return sorted(re.findall(r'interleaving_clicks\{.*worker="(\d)"\} (\S+)', metrics))

            await eventually(counted, lambda found: found == [("0", "10.0"), ("1", "10.0")])


class Clicking:
    """Callers who click without end, and what was acknowledged to them."""

    def __init__(self, url: str) -> None:
        """Click at `url`."""
        self.acknowledged: list[str] = []
        self._url = url
        self._token = a_token(ClickTokens(KEY))

    async def call(self, name: str) -> None:
        """Send one event after the other; what is not answered is not sent again."""
        async with aiohttp.ClientSession() as session:
            number = 0
            while True:
                number += 1
                event = {"id": f"{name}-{number}", "token": self._token, "object_id": "three"}
                try:
                    async with session.post(self._url + EVENTS, json=event) as answer:
                        if answer.status == 200 and (await answer.json())["accepted"] == 1:
                            self.acknowledged.append(event["id"])
                except aiohttp.ClientError:
                    continue


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_fronts_lose_no_click(engine: str, tmp_path: Path) -> None:
    """Either of two, again and again, while both write to one file; tests/faults has a short form."""
    path = tmp_path / "clicks.sqlite"
    settings = {
        **QUICK_END,
        "RERANK_SIDECAR_EVENTS__LOG": str(path),
        "RERANK_SIDECAR_EVENTS__SIGNING_KEY": KEY,
    }
    arguments = ("--engine", engine, "--listen", ANYWHERE, "--workers", "2", *IDENTITY)
    with running("serve", *arguments, **settings) as program:
        await until_listening(program, 2)
        clicking = Clicking(program.url)
        callers = [asyncio.ensure_future(clicking.call(f"c{number}")) for number in range(6)]
        for _ in range(KILLS):
            before = len(clicking.acknowledged)
            await eventually(lambda: _count(clicking), lambda count, before=before: count > before + 50)  # type: ignore[misc]
            os.kill(random.choice(fronts(program)), signal.SIGKILL)
            await until_listening(program, 2)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        acknowledged = list(clicking.acknowledged)
        for pid in fronts(program):
            os.kill(pid, signal.SIGKILL)
    assert set(acknowledged) <= kept(path)
    assert len(acknowledged) > 50 * KILLS


async def _count(clicking: Clicking) -> int:
    return len(clicking.acknowledged)


def kept(path: Path) -> set[str]:
    """Return the ids in the file."""
    with closing(sqlite3.connect(path)) as database:
        return {each for (each,) in database.execute("SELECT event_id FROM clicks")}
