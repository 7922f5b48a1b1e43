"""Somebody's own client with a second stage: what it does as ever, and what it does beside."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import elastic_transport
import elasticsearch
import opensearchpy
import pytest

from connectors.base import SearchRequest, SearchResponse
from sidecar.errors import ModelFailed, SchedulerFull
from sidecar.integrations.client import AsyncReranker, Reranker
from sidecar.integrations.scorers import SharedScorer
from sidecar.policy import IndexPolicy
from sidecar.types import Outcome, SearchRecord
from tests.scoring_server import serving
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, answer_with, error_with
from tests.unit.sidecar.integrations.scripted_clients import KINDS, Cluster, Kind, status_of, texts

TEA = {"match": {"text": "tea"}}
LONGEST_FIRST = ("a long text on tea", "tea, longer", "tea")
SHORTEST_FIRST = ["tea", "tea, longer", "a long text on tea"]

pytestmark = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


class Closing(ScriptedScorer):
    """A scorer that remembers being closed."""

    is_closed = False

    async def aclose(self) -> None:
        """Remember it."""
        self.is_closed = True


@asynccontextmanager
async def reranking(kind: Kind, scorer: Any = None, **settings: Any) -> AsyncIterator[tuple[Any, Cluster]]:
    """Give a reranker around a client of a cluster of three documents, whose order is the reverse of the scorer's."""
    cluster = Cluster(ScriptedEngine(*LONGEST_FIRST))
    client = kind.client(cluster)
    try:
        yield kind.around(client, scorer or ScriptedScorer(), **settings), cluster
    finally:
        await kind.ask(client.close)


# --- searches -----------------------------------------------------------------------------------------------


async def test_a_search_comes_back_reranked(kind: Kind) -> None:
    """In the client's own kind of answer, with the marker where it shows headers."""
    async with reranking(kind) as (reranker, _):
        answer = await kind.ask(reranker.search, **kind.search(query=TEA))
    assert SHORTEST_FIRST == texts(answer)
    if kind.is_elasticsearch:
        assert isinstance(answer, elastic_transport.ObjectApiResponse)
        assert "applied; candidates=3; window=100; model=scripted" == answer.meta.headers["X-Rerank"]
        assert (200, "one") == (answer.meta.status, answer.meta.node.host)
    else:
        assert type(answer) is dict


async def test_keywords_are_the_clients_own(kind: Kind) -> None:
    """Those of the body, where a client has them, and those of the URL."""
    async with reranking(kind) as (reranker, cluster):
        if kind.is_elasticsearch:
            answer = await kind.ask(reranker.search, index="books", query=TEA, size=2, from_=1, routing="r")
        else:
            body = {"query": TEA, "size": 2, "from": 1}
            answer = await kind.ask(reranker.search, index="books", body=body, params={"routing": "r"})
        with pytest.raises(TypeError):
            await kind.ask(reranker.search, index="books", no_such_keyword=1)
    assert SHORTEST_FIRST[1:] == texts(answer)
    assert all("routing=r" in call.target for call in cluster.calls)


async def test_a_multi_search_comes_back_reranked(kind: Kind) -> None:
    """Each item by itself; settings of the call hold where the item has none."""
    lines = [{}, {"query": TEA}, {"index": "books"}, {"query": TEA, "ext": {"rerank": {"enabled": False}}}]
    async with reranking(kind) as (reranker, _):
        name = "searches" if kind.is_elasticsearch else "body"
        plainly = await kind.ask(reranker.msearch, index="books", **{name: lines})
        explained = await kind.ask(reranker.msearch, index="books", body=lines, rerank={"explain": True})
    assert [SHORTEST_FIRST, list(LONGEST_FIRST)] == [texts(item) for item in plainly["responses"]]
    assert [[True] * 3, [False] * 3] == [
        ["_rerank" in hit for hit in item["hits"]["hits"]] for item in explained["responses"]
    ]


async def test_lines_that_are_text_have_their_own_settings(kind: Kind) -> None:
    """They are reranked as they are; settings of the call are refused."""
    lines = '{}\n{"query": {"match": {"text": "tea"}}}\n'
    async with reranking(kind) as (reranker, _):
        if not kind.is_elasticsearch:  # whose client takes lists alone
            answer = await kind.ask(reranker.msearch, index="books", body=lines)
            assert SHORTEST_FIRST == texts(answer["responses"][0])
        with pytest.raises(TypeError, match="are text already"):
            await kind.ask(reranker.msearch, index="books", body=lines, rerank={"window": 5})


async def test_other_ways_to_search_are_reranked_too(kind: Kind) -> None:
    """Templates, and the client's way to send any request."""
    async with reranking(kind) as (reranker, _):
        template = {"source": {"query": TEA}, "params": {}}
        rendered = await kind.ask(reranker.search_template, index="books", body=template)
        sender = reranker if kind.is_elasticsearch else reranker.transport
        headers = {"content-type": "application/json", "accept": "application/json"}
        sent = await kind.ask(sender.perform_request, "POST", "/books/_search", body={"query": TEA}, headers=headers)
    assert SHORTEST_FIRST == texts(rendered)
    assert SHORTEST_FIRST == texts(sent)


async def test_searches_at_once(kind: Kind) -> None:
    """Each is answered at its own node."""
    async with reranking(kind) as (reranker, _), asyncio.TaskGroup() as group:
        calls = [
            group.create_task(kind.ask(reranker.search, **kind.search(query=TEA, size=size))) for size in (1, 2, 3)
        ]
    assert [SHORTEST_FIRST[:1], SHORTEST_FIRST[:2], SHORTEST_FIRST] == [texts(call.result()) for call in calls]


# --- settings -----------------------------------------------------------------------------------------------


async def test_settings_of_a_search(kind: Kind) -> None:
    """In the words of `ext.rerank`, beside what else `ext` has; True and False are `enabled`."""
    async with reranking(kind) as (reranker, cluster):
        off = await kind.ask(reranker.search, **kind.search(query=TEA, ext={"mine": 1}), rerank=False)
        window = await kind.ask(reranker.search, **kind.search(query=TEA), rerank={"window": 2, "explain": True})
    assert list(LONGEST_FIRST) == texts(off)
    assert {"query": TEA, "ext": {"mine": 1}} == cluster.bodies[0]
    assert [LONGEST_FIRST[1], LONGEST_FIRST[0], LONGEST_FIRST[2]] == texts(window)
    assert ["_rerank" in hit for hit in window["hits"]["hits"]] == [True] * 3
    assert all("ext" not in body for body in cluster.bodies[1:])


async def test_a_setting_that_is_not_known_is_the_callers_error(kind: Kind) -> None:
    """In the client's own exception, as through the proxy."""
    error: Any = elasticsearch.BadRequestError if kind.is_elasticsearch else opensearchpy.RequestError
    async with reranking(kind) as (reranker, cluster):
        with pytest.raises(error, match="illegal_argument_exception"):
            await kind.ask(reranker.search, **kind.search(query=TEA), rerank={"windov": 2})
    assert [] == cluster.calls


async def test_settings_of_all_searches(kind: Kind) -> None:
    """As keywords; a search's own win."""
    async with reranking(kind, enabled=False, explain=True) as (reranker, _):
        off = await kind.ask(reranker.search, **kind.search(query=TEA))
        on = await kind.ask(reranker.search, **kind.search(query=TEA), rerank=True)
    assert (list(LONGEST_FIRST), SHORTEST_FIRST) == (texts(off), texts(on))
    assert "_rerank" in on["hits"]["hits"][0]


async def test_a_setting_that_cannot_be_is_refused_at_once(kind: Kind) -> None:
    """By name, with what would be right."""
    client = kind.client(Cluster(ScriptedEngine()))
    with pytest.raises(ValueError, match=r"^window must be a whole number from 1 to 1000, not '0'$"):
        kind.around(client, ScriptedScorer(), window=0)
    with pytest.raises(ValueError, match=r"^windov is not known; known are enabled, window"):
        kind.around(client, ScriptedScorer(), windov=10)
    await kind.ask(client.close)


async def test_policies_and_further_models(kind: Kind) -> None:
    """Are those of the connector."""
    other = ScriptedScorer({"tea": 1, "tea, longer": 3, "a long text on tea": 2})
    policies = [IndexPolicy(indices=("books",), overrides={"model": "other"})]
    async with reranking(kind, policies=policies, models={"other": other}) as (reranker, _):
        answer = await kind.ask(reranker.search, **kind.search(query=TEA))
    assert ["tea, longer", "a long text on tea", "tea"] == texts(answer)


async def test_options_of_the_client(kind: Kind) -> None:
    """A copy with other options, and the second stage that it had; settings, too, where the client has no options."""
    async with reranking(kind) as (reranker, cluster):
        explained = reranker.options(rerank={"explain": True}).options(rerank={"window": 50})
        assert explained.scorer is reranker.scorer
        answer = await kind.ask(explained.search, **kind.search(query=TEA))
        assert "_rerank" in answer["hits"]["hits"][0]
        if not kind.is_elasticsearch:
            with pytest.raises(AttributeError, match="options"):
                reranker.options(request_timeout=7)
            return
        hasty = reranker.options(request_timeout=7, headers={"X-Opaque-Id": "mine", "X-Rerank-Window": "2"})
        cluster.calls.clear()
        answer = await kind.ask(hasty.search, **kind.search(query=TEA))
    assert isinstance(hasty, kind.around)
    assert "applied; candidates=2; window=2; model=scripted" == answer.meta.headers["X-Rerank"]
    assert {(7, "mine")} == {(call.timeout, call.headers["x-opaque-id"]) for call in cluster.calls}
    assert not any(name.startswith("x-rerank") for call in cluster.calls for name in call.headers)


async def test_who_watches_gets_a_record(kind: Kind) -> None:
    """One per search."""
    records: list[SearchRecord] = []
    async with reranking(kind, observe=records.append) as (reranker, _):
        await kind.ask(reranker.search, **kind.search(query=TEA))
    assert [(Outcome.APPLIED, 3)] == [(record.outcome, record.candidates) for record in records]


# --- everything else ----------------------------------------------------------------------------------------


async def test_everything_else_is_the_clients(kind: Kind) -> None:
    """The very same requests, also from namespaces; the client itself is not changed."""
    async with reranking(kind) as (reranker, cluster):
        client = kind.client(cluster)
        for asked in (client, reranker):
            await kind.ask(asked.count, index="books", body={"query": TEA})
            await kind.ask(asked.indices.refresh, index="books")
            await kind.ask(asked.get, index="books", id="1")
        assert cluster.calls[:3] == cluster.calls[3:]
        assert [call.headers for call in cluster.calls[:3]] == [call.headers for call in cluster.calls[3:]]
        before = vars(client.transport).copy()
        around = kind.around(client, ScriptedScorer())
        assert SHORTEST_FIRST == texts(await kind.ask(around.search, **kind.search(query=TEA)))
        assert list(LONGEST_FIRST) == texts(await kind.ask(client.search, **kind.search(query=TEA)))
        assert before.keys() == vars(client.transport).keys()
        await kind.ask(client.close)


async def test_a_client_for_whoever_wants_one(kind: Kind) -> None:
    """`client` is of the given one's class, and reranks."""
    async with reranking(kind) as (reranker, _):
        assert type(reranker.client) is kind.make
        assert SHORTEST_FIRST == texts(await kind.ask(reranker.client.search, **kind.search(query=TEA)))
        assert repr(reranker.client) in repr(reranker)
        assert copy.copy(reranker).client is reranker.client
        with pytest.raises(AttributeError, match="no_such_api"):
            _ = reranker.no_such_api


async def test_the_wrong_kind_of_client_is_refused(kind: Kind) -> None:
    """And anything that is no client."""
    client = kind.client(Cluster(ScriptedEngine()))
    wrong, right = (Reranker, "AsyncReranker") if kind.is_async else (AsyncReranker, "Reranker")
    with pytest.raises(TypeError, match=f"^{kind.make.__name__} goes with {right}$"):
        wrong(client, ScriptedScorer())
    with pytest.raises(TypeError, match="str is no client of elasticsearch-py or opensearch-py"):
        kind.around("http://localhost:9200")
    await kind.ask(client.close)


# --- failures -----------------------------------------------------------------------------------------------


async def test_a_failing_second_stage_costs_nothing(kind: Kind) -> None:
    """The engine's order stands; "error" is the client's exception, without a retry."""
    async with reranking(kind, FailingScorer(SchedulerFull("busy"))) as (reranker, cluster):
        answer = await kind.ask(reranker.search, **kind.search(query=TEA))
        asked = len(cluster.calls)
        with pytest.raises(
            elasticsearch.ApiError if kind.is_elasticsearch else opensearchpy.TransportError, match="rerank_unavailable"
        ) as raised:
            await kind.ask(reranker.search, **kind.search(query=TEA), rerank={"on_failure": "error"})
        assert asked + 1 == len(cluster.calls)
    assert list(LONGEST_FIRST) == texts(answer)
    assert 500 == status_of(raised.value)
    if kind.is_elasticsearch:
        assert "degraded; reason=scheduler_full" == answer.meta.headers["X-Rerank"]


async def test_what_the_engine_refuses_is_the_clients_exception(kind: Kind) -> None:
    """As without a second stage."""
    async with reranking(kind) as (reranker, cluster):
        cluster.fault = always(error_with(404))
        error: Any = elasticsearch.NotFoundError if kind.is_elasticsearch else opensearchpy.NotFoundError
        with pytest.raises(error, match="scripted"):
            await kind.ask(reranker.search, **kind.search(query=TEA))
        if kind.is_elasticsearch:
            answer = await kind.ask(reranker.options(ignore_status=404).search, **kind.search(query=TEA))
        else:
            answer = await kind.ask(reranker.search, **kind.search(query=TEA), params={"ignore": 404})
    assert 404 == answer["status"]


async def test_an_engine_that_is_away_is_the_clients_exception(kind: Kind) -> None:
    """The one that its node raised, after as many tries as the client makes."""
    if kind.is_elasticsearch:
        lost: Any = elastic_transport.ConnectionError("no such host")
    else:
        lost = opensearchpy.ConnectionError("N/A", "no such host", OSError())
    cluster = Cluster(ScriptedEngine(*LONGEST_FIRST), always(lost))
    client = kind.client(cluster, max_retries=2)
    with pytest.raises(type(lost)) as raised:
        await kind.ask(kind.around(client, ScriptedScorer()).search, **kind.search(query=TEA))
    assert raised.value is lost
    assert 3 == len(cluster.calls)
    await kind.ask(client.close)


async def test_another_node_is_tried(kind: Kind) -> None:
    """By the client, which puts the dead one aside."""

    def first_is_dead(request: SearchRequest) -> Any:
        if cluster.calls[-1].node != "one":
            return None
        if kind.is_elasticsearch:
            return elastic_transport.ConnectionError("dead")
        return opensearchpy.ConnectionError("N/A", "dead", OSError())

    cluster = Cluster(ScriptedEngine(*LONGEST_FIRST), first_is_dead)
    client = kind.client(cluster, "one", "two", max_retries=3)
    reranker = kind.around(client, ScriptedScorer())
    answers = [await kind.ask(reranker.search, **kind.search(query=TEA)) for _ in range(4)]
    assert [SHORTEST_FIRST] * 4 == [texts(answer) for answer in answers]
    assert 1 == [call.node for call in cluster.calls].count("one")
    await kind.ask(client.close)


async def test_a_status_that_the_client_retries(kind: Kind) -> None:
    """Is retried, whole search for whole search."""
    answers = [error_with(503), error_with(503), None]
    cluster = Cluster(ScriptedEngine(*LONGEST_FIRST), lambda request: answers.pop(0) if answers else None)
    client = kind.client(cluster, max_retries=2)
    answer = await kind.ask(kind.around(client, ScriptedScorer()).search, **kind.search(query=TEA))
    assert SHORTEST_FIRST == texts(answer)
    await kind.ask(client.close)


async def test_an_answer_that_is_not_json(kind: Kind) -> None:
    """Is what the client makes of it."""
    headers = (("X-Elastic-Product", "Elasticsearch"), ("content-type", "text/plain"))
    async with reranking(kind) as (reranker, cluster):
        cluster.fault = always(answer_with("yaml: no", headers=headers))
        answer = await kind.ask(reranker.search, **kind.search(query=TEA))
    assert "yaml: no" == (answer.body if kind.is_elasticsearch else answer)


# --- the scorer's life --------------------------------------------------------------------------------------


async def test_a_scorer_that_is_given_stays_its_makers(kind: Kind) -> None:
    """And so does the client, unless it is given away."""
    scorer, cluster = Closing(), Cluster(ScriptedEngine(*LONGEST_FIRST))
    client = kind.client(cluster)
    is_closed: list[bool] = []
    close = client.transport.close
    client.transport.close = lambda: is_closed.append(True) or close()
    for given_away in (False, True):
        async with entered(kind, kind.around(client, scorer, close_client=given_away)) as reranker:
            await kind.ask(reranker.search, **kind.search(query=TEA))
        assert given_away is bool(is_closed)
    assert not scorer.is_closed


async def test_a_scorer_by_url(kind: Kind, tmp_path: Path) -> None:
    """Is found by the first search, and closed with the block; searches go on without it."""
    scorer = ScriptedScorer()
    async with serving(scorer, tmp_path / "scorer") as url, reranking(kind, url, deadline_ms=0) as (reranker, _):
        async with entered(kind, reranker):
            assert SHORTEST_FIRST == texts(await kind.ask(reranker.search, **kind.search(query=TEA)))
        assert list(LONGEST_FIRST) == texts(await kind.ask(reranker.search, **kind.search(query=TEA)))
        lazily = kind.around(reranker.client, url, deadline_ms=0)
        assert SHORTEST_FIRST == texts(await kind.ask(lazily.search, **kind.search(query=TEA)))
        await kind.ask(lazily.close)
    assert 2 == len(scorer.calls)


async def test_one_scorer_for_several(kind: Kind, tmp_path: Path) -> None:
    """It belongs to the one that opened it."""
    async with serving(ScriptedScorer(), tmp_path / "scorer") as url, reranking(kind, url) as (first, _):
        second = kind.around(first.client, first.scorer)
        await kind.ask(second.close)
        async with entered(kind, first):
            assert isinstance(second.scorer, SharedScorer)
            assert "scripted" == second.scorer.describe().name


async def test_a_model_that_cannot_be_had(kind: Kind, tmp_path: Path) -> None:
    """Is an error when the block is entered, and no search's."""
    async with reranking(kind, str(tmp_path / "nothing")) as (reranker, _):
        answer = await kind.ask(reranker.search, **kind.search(query=TEA))
        assert list(LONGEST_FIRST) == texts(answer)
        if kind.is_elasticsearch:
            assert "degraded; reason=model" == answer.meta.headers["X-Rerank"]
        with pytest.raises(ModelFailed):
            await kind.ask(reranker.open)
        await kind.ask(reranker.close)


async def test_a_scorer_that_is_away(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no error, whenever it is looked for."""
    monkeypatch.setattr("sidecar.integrations.scorers.PATIENCE_SECONDS", 0.01)
    async with (
        reranking(kind, f"unix:{tmp_path / 'nobody'}") as (reranker, _),
        entered(kind, reranker),
    ):
        assert list(LONGEST_FIRST) == texts(await kind.ask(reranker.search, **kind.search(query=TEA)))


@asynccontextmanager
async def entered(kind: Kind, reranker: Any) -> AsyncIterator[Any]:
    """Enter and leave a reranker's block."""
    await kind.ask(reranker.__aenter__ if kind.is_async else reranker.__enter__)
    try:
        yield reranker
    finally:
        await kind.ask(reranker.__aexit__ if kind.is_async else reranker.__exit__, None, None, None)


def always(told: Exception | SearchResponse) -> Callable[[SearchRequest], Exception | SearchResponse]:
    """Return a fault that always tells the same."""
    return lambda _: told
