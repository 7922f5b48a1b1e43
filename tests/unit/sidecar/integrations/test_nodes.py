"""Between a transport and its nodes."""

import asyncio
from typing import Any

import pytest

from sidecar.integrations.nodes import Door, Pool, with_doors
from tests.unit.doubles import ScriptedEngine, ScriptedScorer
from tests.unit.sidecar.integrations.scripted_clients import KINDS, Cluster, Kind

TEA = {"match": {"text": "tea"}}


@pytest.mark.parametrize("kind", [KINDS["AsyncElasticsearch"], KINDS["AsyncOpenSearch"]], ids=["ES", "OS"])
async def test_a_call_that_is_given_up(kind: Kind) -> None:
    """Cancels the scoring."""
    began, is_cancelled = asyncio.Event(), asyncio.Event()

    class Waiting(ScriptedScorer):
        async def score(self, *args: Any, **kwargs: Any) -> list[float]:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                is_cancelled.set()
            raise AssertionError

    client = kind.client(Cluster(ScriptedEngine("tea", "more tea")))
    reranker = kind.around(client, Waiting(), deadline_ms=0)
    search = asyncio.ensure_future(reranker.search(**kind.search(query=TEA)))
    await began.wait()
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert is_cancelled.is_set()
    await client.close()


class Given:
    """A pool and a transport that has it, as far as they matter here."""

    def __init__(self) -> None:
        """Have nothing marked."""
        self.pool = self
        self.marked: list[tuple[str, object]] = []

    def __len__(self) -> int:
        """Have three nodes."""
        return 3

    def get(self) -> str:
        """Return a node."""
        return "node"

    def mark_live(self, node: object) -> None:
        """Remember it."""
        self.marked.append(("live", node))

    def mark_dead(self, node: object) -> None:
        """Remember it."""
        self.marked.append(("dead", node))


def door(node: Any) -> Door[Any]:
    """Return a door before a node."""
    return Door(node, lambda *_: None, is_async=False)


def test_a_pool_gives_doors_and_marks_nodes() -> None:
    """And is its pool in everything else."""
    given = Given()
    pool = Pool(given, door)
    found = pool.get()
    pool.mark_live(found)
    pool.mark_dead(found)
    assert [("live", "node"), ("dead", "node")] == given.marked == pool.marked
    assert 3 == len(pool)
    assert "NODE" == found.upper()


def test_a_transport_with_doors_shares_its_state() -> None:
    """Also what it gets later."""
    transport: Any = Given()
    other = with_doors(transport, "pool", door)
    assert isinstance(other, Given)
    other.pool = replaced = Given()
    assert transport.pool is replaced
    assert "node" == other.pool.get().node
