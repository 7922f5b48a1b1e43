"""`demo`: one corpus, bare and reranked, on two ports.

Law: it works with nothing around it: no Elasticsearch, no container, no GPU, no hub. What it shows is what `serve`
does; which engine and which model stand behind it is said in the first lines.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import fmean
from typing import Final

from connectors.base import Connector, SearchRequest, header
from sidecar import sample
from sidecar.errors import ConfigError
from sidecar.marker import HEADER
from sidecar.pipeline import RerankingConnector
from sidecar.playground.endpoints import Example
from sidecar.playground.page_files import PAGE_PATH
from sidecar.program import parts, wiring
from sidecar.program.config import Settings
from sidecar.program.inspection import Explained, explained, print_table
from sidecar.program.parts import Options
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening

Announce = Callable[[str], None]

BARE_PORT: Final = 9200
RERANKED_PORT: Final = 9280
DEADLINE_MS: Final = 2000
"""More than the default of `serve`: on a slow CPU the demo shows what the model does, not what it has no time for.

It gives way to a deadline that the environment sets.
"""

_PORTS_TRIED: Final = 50
_SHOWN_HITS: Final = 5
_SHOWN_QUERIES: Final = 3
_MEASURED_HITS: Final = 10
_FIELDS: Final = ("title", "text")


async def run(settings: Settings, *, is_own_engine: bool, once: bool, announce: Announce) -> None:
    """Serve the demo; with `once`, print before and after and return.

    `is_own_engine`: `settings` name the user's engine, which is then not served bare and not searched here.
    """
    settings = _with_deadline(settings)
    options = Options(settings=settings, announce=announce)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(parts.open_engine(settings))
        scorer = await stack.enter_async_context(parts.open_local_scorer(options))
        announce(f"engine: {engine.name}{'' if is_own_engine else f' with {sample.size()} sample articles'}")
        facts = await scorer.loaded()
        announce(f"model:  {parts.model_line(facts)}; {_patience(settings)}")
        page = wiring.playground(engine, scorer, settings, () if is_own_engine else _examples())
        reranked = RerankingConnector(engine, scorer, settings.policy(), observe=page.traffic.observe)
        bare_url = settings.engine.printable_urls[0]
        if not is_own_engine:
            bare_url = str(await stack.enter_async_context(_near(ProxyApp(engine, {}), BARE_PORT)))
        own = {**wiring.own_endpoints(scorer, settings), **page.endpoints()}
        url = str(await stack.enter_async_context(_near(ProxyApp(reranked, own), RERANKED_PORT)))
        announce(f"bare:     {bare_url}\nreranked: {url}")
        announce(f"playground: {url}{PAGE_PATH}\n" if page.is_enabled else "")
        if not is_own_engine:
            for query in list(sample.queries().items())[:_SHOWN_QUERIES]:
                await _show(engine, reranked, *query)
        announce(_to_try(bare_url, url, is_own_engine=is_own_engine))
        if not is_own_engine:
            announce(await _gain(engine, reranked))
        if not once:
            announce("\nStop with Ctrl-C.")
            await wiring.until_stopped()


def _with_deadline(settings: Settings) -> Settings:
    if "deadline_ms" in settings.rerank.model_fields_set:
        return settings
    rerank = settings.rerank.model_copy(update={"deadline_ms": DEADLINE_MS})
    return settings.model_copy(update={"rerank": rerank})


def _patience(settings: Settings) -> str:
    deadline = settings.rerank.deadline_ms
    return f"{deadline:,.0f} ms for a search" if deadline else "no deadline"


@asynccontextmanager
async def _near(app: ProxyApp, port: int) -> AsyncIterator[Address]:
    """Listen on the first free port from `port` on."""
    async with AsyncExitStack() as stack:
        for candidate in range(port, port + _PORTS_TRIED):
            try:
                address = await stack.enter_async_context(listening(app, Address("127.0.0.1", candidate)))
            except ConfigError:
                continue
            yield address
            return
        raise ConfigError(f"no free port from {port} to {port + _PORTS_TRIED - 1}")


async def _show(bare: Connector, reranked: Connector, query_id: str, text: str) -> None:
    relevant = frozenset(id for id, grade in sample.qrels()[query_id].items() if grade > 0)
    before = (await bare.search(_request(text, explain=False))).raise_for_status()
    after = (await reranked.search(_request(text, explain=True))).raise_for_status()
    first = [
        Explained(
            id=str(hit.id),
            rank=hit.rank,
            first_stage_rank=hit.rank,
            first_stage_score=hit.score,
            model_score=None,
            score=hit.score,
            text=f"{(hit.source or {}).get('title')} {(hit.source or {}).get('text')}",
        )
        for hit in before.hits
    ]
    print_table(f"“{text}”  before (* = judged relevant)", first, relevant=relevant)
    marker = header(after.headers, HEADER) or ""
    now = [explained(hit.rank, hit.value) for hit in after.hits]
    print_table(f"“{text}”  after\n{HEADER}: {marker}", now, relevant=relevant)


async def _gain(bare: Connector, reranked: Connector) -> str:
    """Return in a line by how much reranking improves the first ten hits of all judged queries."""
    before, after = [await _quality(connector) for connector in (bare, reranked)]
    judged = f"{len(sample.queries())} judged queries"
    return f"\nnDCG@10 of the {judged}: {before:.3f} before, {after:.3f} after ({after - before:+.3f})"


async def _quality(connector: Connector) -> float:
    """Return the mean nDCG@10 of the sample's queries; `evaluate --dataset sample` gives more."""
    values = []
    for id, text in sample.queries().items():
        answer = (await connector.search(_request(text, explain=False, size=_MEASURED_HITS))).raise_for_status()
        grades = sample.qrels()[id]
        values.append(_ndcg([grades.get(str(hit.id), 0) for hit in answer.hits], list(grades.values())))
    return fmean(values)


def _ndcg(found: Sequence[int], judged: Sequence[int]) -> float:
    """Return nDCG with linear gain of the grades that were found, of all that there are (Järvelin, Kekäläinen 2002)."""

    def gain(grades: Sequence[int]) -> float:
        return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades[:_MEASURED_HITS], start=1))

    ideal = gain(sorted(judged, reverse=True))
    return gain(found) / ideal if ideal else 0.0


def _request(text: str, *, explain: bool, size: int = _SHOWN_HITS) -> SearchRequest:
    return SearchRequest.build(
        index=sample.INDEX,
        body={"query": _query(text), "size": size},
        headers={"X-Rerank-Explain": "true"} if explain else None,
    )


def _query(text: str) -> dict[str, object]:
    return {"multi_match": {"query": text, "fields": list(_FIELDS)}}


def _examples() -> list[Example]:
    return [
        Example(query=text, index=sample.INDEX, fields=_FIELDS, judgments=sample.qrels()[id])
        for id, text in sample.queries().items()
    ]


def _to_try(bare_url: str, url: str, *, is_own_engine: bool) -> str:
    if is_own_engine:
        return f"Search through {url} instead of {bare_url}; the header X-Rerank of every answer says what was done."
    text = next(iter(sample.queries().values()))
    body = json.dumps({"query": _query(text), "size": 3})
    plain = f"/{sample.INDEX}/_search?pretty' -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    return f"Try:\n  curl -s '{bare_url}{plain}\n  curl -si '{url}{plain}"
