"""What opensearch-py has of its own: parameters of a call that are settings of its transport."""

import pytest

from sidecar.integrations import opensearch
from tests.unit.doubles import ScriptedEngine, ScriptedScorer
from tests.unit.sidecar.integrations.scripted_clients import KINDS, Cluster, Kind, texts

TEA = {"match": {"text": "tea"}}

pytestmark = pytest.mark.parametrize("kind", [KINDS["OpenSearch"], KINDS["AsyncOpenSearch"]], ids=["sync", "async"])


async def test_the_timeout_of_a_call(kind: Kind) -> None:
    """Is that of every request that the search needs."""
    cluster = Cluster(ScriptedEngine("longer", "tea"))
    client = kind.client(cluster)
    reranker = kind.around(client, ScriptedScorer())
    await kind.ask(reranker.search, **kind.search(query=TEA), params={"request_timeout": 7})
    assert {7} == {call.timeout for call in cluster.calls}
    await kind.ask(client.close)


async def test_headers_of_the_client_are_controls_too(kind: Kind) -> None:
    """Those that it was made with, and those of a call, which win."""
    client = kind.client(Cluster(ScriptedEngine("longer", "tea")), headers={"X-Rerank": "off"})
    reranker = kind.around(client, ScriptedScorer())
    off = await kind.ask(reranker.search, **kind.search(query=TEA))
    on = await kind.ask(reranker.search, **kind.search(query=TEA), headers={"X-Rerank": "on"})
    assert (["longer", "tea"], ["tea", "longer"]) == (texts(off), texts(on))
    await kind.ask(client.close)


async def test_a_search_in_the_url_alone(kind: Kind) -> None:
    """Settings bring a body."""
    cluster = Cluster(ScriptedEngine("longer", "tea"))
    client = kind.client(cluster)
    reranker = kind.around(client, ScriptedScorer())
    answer = await kind.ask(reranker.search, index="books", params={"q": "tea", "df": "text"}, rerank={"explain": True})
    assert ["tea", "longer"] == texts(answer)
    assert "_rerank" in answer["hits"]["hits"][0]
    await kind.ask(client.close)


def test_settings_in_a_body(kind: Kind) -> None:
    """Beside what is there; neither the keywords nor the body are changed."""
    arguments = {"index": "books", "body": {"ext": {"rerank": {"window": 3}, "mine": 1}}}
    assert {
        "index": "books",
        "body": {"ext": {"rerank": {"window": 3, "explain": True}, "mine": 1}},
    } == opensearch.with_ext(arguments, {"explain": True, "window": 9})
    assert {"index": "books", "body": {"ext": {"rerank": {"window": 3}, "mine": 1}}} == arguments
