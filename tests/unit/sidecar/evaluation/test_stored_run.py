"""A stored run as an engine."""

from connectors.base import Connector, RelayRequest, SearchRequest
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.stored_run import StoredRun, query_id_header
from tests.unit.doubles import whole

RUN = {"q 1/é": [ScoredId("b", 3.5), ScoredId("a", 3.5), ScoredId("lost", -1.0)]}
DOCUMENTS = {"a": {"text": "one"}, "b": {"title": "T", "text": "\ud800 two"}}
ENGINE = StoredRun("bm25.trec", RUN, DOCUMENTS)


def ask(query_id: str, **body: object) -> SearchRequest:
    """Return the search of a query."""
    return SearchRequest.build(index="run", body=body, headers=query_id_header(query_id))


async def test_a_query_id_has_the_runs_ranking() -> None:
    """In run order, with the run's scores and the whole documents; one that is not in the corpus has no text."""
    answer = await ENGINE.search(ask("q 1/é"))
    assert 200 == answer.status
    assert [("b", 3.5), ("a", 3.5), ("lost", -1.0)] == [(hit.id, hit.score) for hit in answer.hits]
    assert [DOCUMENTS["b"], DOCUMENTS["a"], {}] == [hit.source for hit in answer.hits]
    assert 3 == answer.json["hits"]["total"]["value"]


async def test_pages_are_cut_from_it() -> None:
    """By `from` and `size`, which is 10 where nobody says."""
    assert ["a"] == [hit.id for hit in (await ENGINE.search(ask("q 1/é", **{"from": 1, "size": 1}))).hits]
    many = StoredRun("many", {"q": [ScoredId(str(n), -float(n)) for n in range(20)]}, {})
    assert 10 == len((await many.search(ask("q"))).hits)


async def test_another_query_id_has_no_hits() -> None:
    """And neither has a search without one."""
    for request in (ask("q2"), SearchRequest.build(index="run", body={})):
        answer = await ENGINE.search(request)
        assert (200, ()) == (answer.status, answer.hits)


async def test_it_is_a_connector_that_answers_nothing_else() -> None:
    """What is no search is not found, however it is asked."""
    assert isinstance(ENGINE, Connector)
    assert "stored run bm25.trec" == ENGINE.name
    question = SearchRequest(method="GET", target="/run/_mapping")
    assert 404 == (await ENGINE.search(question)).status == (await ENGINE.msearch(question)).status
    async with ENGINE.relay(RelayRequest(method="GET", target="/run/_mapping")) as answer:
        assert 404 == answer.status
        assert b"answers _search alone" in await whole(b"".join([chunk async for chunk in answer.chunks]))
    await ENGINE.ping()
    await ENGINE.aclose()
