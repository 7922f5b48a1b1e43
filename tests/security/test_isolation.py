"""Two users with different views through one proxy: nothing of one is in what the other gets, nor changes it.

The engine decides what each may see, by `Authorization`; the proxy remembers scores, token ids and what it learned
about fields, batches both users' texts together, explains pages and counts traffic. The short form is part of every
run; `make security` plays 100,000 requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
import torch

from connectors.base import Connector
from sidecar.pipeline import RerankingConnector
from sidecar.playground.endpoints import Playground
from sidecar.policy import IndexPolicy, Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.score_cache import ScoreCache
from sidecar.telemetry.metrics import Metrics
from sidecar.types import RerankOptions, SearchRecord
from tests import tiny_models
from tests.security.views import ALL, USERS, WORDS, Json, Views, secret

REQUESTS: Final = int(os.environ.get("RERANK_SECURITY_REQUESTS", "600"))
ASKED: Final = 3 if REQUESTS < 10_000 else len(WORDS)
AT_ONCE: Final = 8
NEAR: Final = 1e-3
"""How far a score may be from the same one that was computed in another batch."""

OPTIONS: Final = RerankOptions(window=20, deadline=0, score_cache=True, token_budget=0)
POLICIES: Final = (
    IndexPolicy(indices=("once",), overrides={"fetch": "once"}),
    IndexPolicy(indices=("twice",), overrides={"fetch": "twice"}),
    IndexPolicy(indices=("uncached",), overrides={"score_cache": False}),
)


@dataclass(frozen=True)
class Asked:
    """One request of a user."""

    method: str
    target: str
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@pytest.fixture
async def scorer(tmp_path: Path) -> AsyncIterator[LocalScorer]:
    """A tiny model in this process, which remembers token ids."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other longer than so small a model computes
    loaded = await load_scorer(str(tiny_models.bert(tmp_path)), device="cpu", dtype="fp32")
    yield loaded
    await loaded.aclose()
    torch.set_num_threads(threads)


@pytest.mark.timeout(60 + REQUESTS / 20)
@pytest.mark.parametrize("tenant_headers", [(), ("Authorization",)], ids=["shared scores", "scores per caller"])
async def test_users_see_nothing_of_each_other(scorer: LocalScorer, tenant_headers: tuple[str, ...]) -> None:
    """Interleaved on the same connections; every answer is the one that the user gets when it is alone."""
    rng = random.Random(1)
    requests = [*_requests()]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)))
        alone = {user: await _answers_alone(stack, session, scorer, user, requests) for user in USERS}
        url = await _served(stack, Views(), scorer, ScoreCache(1 << 20), tenant_headers)
        seen: Counter[str] = Counter()
        left = iter(range(REQUESTS // 2))

        async def caller() -> None:
            for _ in left:
                user, number = rng.choice([*USERS]), rng.randrange(len(requests))
                status, content, marker = await _send(session, url, user, requests[number])
                _check(user, status, content, alone[user][number])
                seen[marker.partition(";")[0]] += 1
                seen["cached"] += "cached=" in marker
                if rng.random() < 0.02:
                    await _check_own_pages(session, url)

        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(caller(), name=f"caller {number}")
    assert seen["applied"] > REQUESTS / 5, seen
    assert seen["cached"] > REQUESTS / 20, seen


def _check(user: str, status: int, content: bytes, expected: tuple[int, Any]) -> None:
    others = [secret(other).encode() for other in USERS if other != user]
    assert not any(other in content for other in others), f"{user} got {content!r}"
    assert expected[0] == status
    assert _is_near(expected[1], json.loads(content)), f"{user} got {content!r}\nand alone {expected[1]}"


async def _check_own_pages(session: aiohttp.ClientSession, url: str) -> None:
    """What the program tells about itself tells nothing about a user."""
    for page in ("metrics", "playground/traffic.json", "playground/about.json"):
        async with session.get(f"{url}/_rerank/{page}") as answer:
            content = await answer.read()
        assert 200 == answer.status
        assert b"secretof" not in content
        assert not any(word.encode() in content.split() for word in WORDS)


def _requests() -> list[Asked]:
    """Return what users ask."""
    found = []
    for number, word in enumerate(WORDS[:ASKED]):
        body: Json = {"query": {"match": {"text": f"{word} {WORDS[number - 1]}"}}, "size": 8}
        anywhere: Json = {"query": {"multi_match": {"query": word}}, "size": 20}
        own: Json = {"query": {"match": {"title": f"secretofanna {word}"}}, "size": ALL}
        page: Json = {**body, "from": 4, "_source": ["title"]}
        indices = ("once", "twice", "uncached", "books")
        found += [_search(f"/{index}/_search", content) for index in indices for content in (body, anywhere, own, page)]
        explained = {**body, "ext": {"rerank": {"explain": True, "passage_return": True}}}
        found.append(_search("/once/_search", explained))
        found.append(_search("/books/_search", {**body, "_source": False}, ("X-Rerank-Explain", "true")))
        found.append(_search("/books/_search", body, ("X-Rerank", "off")))
        found.append(_search("/books/_search", {**body, "fail": True}))
        found.append(
            Asked("GET", f"/books/_search?source_content_type=application/json&source={quote(json.dumps(body))}", "")
        )
        lines = "".join(f"{json.dumps(each)}\n" for each in ({}, body, {"index": "twice"}, anywhere))
        found.append(Asked("POST", "/once/_msearch", lines, (("Content-Type", "application/x-ndjson"),)))
        found.append(Asked("GET", f"/books/_doc/d{number}", ""))
    return found


def _search(target: str, body: Json, *headers: tuple[str, str]) -> Asked:
    return Asked("POST", target, json.dumps(body), (("Content-Type", "application/json"), *headers))


async def _answers_alone(
    stack: AsyncExitStack, session: aiohttp.ClientSession, scorer: LocalScorer, user: str, requests: list[Asked]
) -> list[tuple[int, Any]]:
    """Return what a user gets from a proxy that nobody else uses, without a memory for scores."""
    url = await _served(stack, Views(), scorer, None, ())
    found = []
    for asked in requests:
        status, content, _ = await _send(session, url, user, asked)
        found.append((status, json.loads(content)))
    return found


async def _served(
    stack: AsyncExitStack,
    engine: Connector,
    scorer: LocalScorer,
    cache: ScoreCache | None,
    tenant_headers: tuple[str, ...],
) -> str:
    """Serve an engine as `serve` does; return the URL."""
    metrics = Metrics("1")
    metrics.watch_scorer("main", scorer)
    page = Playground(version="1", engine=lambda: "views", scorer=scorer, options=OPTIONS)

    def observe(record: SearchRecord) -> None:
        metrics.observe(record)
        page.traffic.observe(record)

    policy = Policy(defaults=OPTIONS, policies=POLICIES)
    reranking = RerankingConnector(
        engine, scorer, policy, score_cache=cache, tenant_headers=tenant_headers, observe=observe
    )
    app = ProxyApp(reranking, {**metrics.endpoints(), **page.endpoints()})
    return str(await stack.enter_async_context(listening(app, Address.parse("127.0.0.1:0"))))


async def _send(session: aiohttp.ClientSession, url: str, user: str, asked: Asked) -> tuple[int, bytes, str]:
    headers = {"Authorization": USERS[user], **dict(asked.headers)}
    async with session.request(asked.method, url + asked.target, data=asked.body or None, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("X-Rerank", "")


def _is_near(expected: Any, value: Any) -> bool:
    """Return whether two JSON values are the same, but for the last digits of numbers."""
    match expected, value:
        case dict(), dict():
            return expected.keys() == value.keys() and all(_is_near(expected[key], value[key]) for key in expected)
        case list(), list():
            return len(expected) == len(value) and all(map(_is_near, expected, value))
        case float(), int() | float():
            return abs(expected - value) <= NEAR
        case _:
            return bool(expected == value)
