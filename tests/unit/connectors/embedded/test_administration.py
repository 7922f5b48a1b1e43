"""Indices and the engine: tables, capabilities, health, and what there is nothing to do for."""

import pytest

from connectors.base import header
from tests.unit.connectors.embedded.asking import Asker


@pytest.fixture
async def books(engine: Asker) -> Asker:
    """Two indices."""
    await engine.put([{"title": "tea", "author": {"name": "x"}}, {"n": 2}])
    await engine.put([{"n": "many"}], index="more")
    return engine


async def test_a_table_of_indices(books: Asker) -> None:
    """As text with columns in line, and as JSON for who asks for it."""
    text = await books.answer("GET", "/_cat/indices?v&h=index,docs.count,pri,health")
    assert "text/plain; charset=UTF-8" == header(text.headers, "Content-Type")
    assert "index docs.count pri health\nbooks          2   1 green\nmore           1   1 green\n" == text.body.decode()
    assert b"books\n" == (await books.answer("GET", "/_cat/indices/b*?h=index")).body
    rows = await books.json("GET", "/_cat/indices?format=json&h=index,docs.count")
    assert [{"index": "books", "docs.count": "2"}, {"index": "more", "docs.count": "1"}] == rows
    accepted = await books.answer("GET", "/_cat/indices/more", headers={"Accept": "application/json"})
    assert ["more"] == [row["index"] for row in accepted.json]


async def test_a_table_of_counts(books: Asker) -> None:
    """Documents of all indices, or of some."""
    assert b"3\n" == (await books.answer("GET", "/_cat/count")).body
    assert [{"count": "2"}] == await books.json("GET", "/_cat/count/books?format=json")


async def test_an_empty_table(engine: Asker) -> None:
    """No lines, but for the names of the columns."""
    assert b"" == (await engine.answer("GET", "/_cat/indices")).body
    assert (await engine.answer("GET", "/_cat/indices?v")).body.startswith(b"health status index")
    assert [] == await engine.json("GET", "/_cat/indices?format=json")
    assert 404 == (await engine.error("GET", "/_cat/indices/nope"))[0]
    assert 400 == (await engine.error("GET", "/_cat/indices?h=nope"))[0]


async def test_capabilities_of_fields(books: Asker) -> None:
    """Types by path; objects only where something in them was asked for; two types of one name with their indices."""
    fields = (await books.json("GET", "/books/_field_caps?fields=title*,author.name,_id"))["fields"]
    assert {"title", "title.keyword", "author", "author.name", "_id"} == set(fields)
    text = {"type": "text", "metadata_field": False, "searchable": True, "aggregatable": False, "inference": False}
    assert {"text": text} == fields["title"]
    assert fields["title.keyword"]["keyword"]["aggregatable"]
    answer = await books.json("POST", "/_field_caps", {"fields": ["n"]})
    assert {"long": ["books"], "text": ["more"]} == {
        kind: one["indices"] for kind, one in answer["fields"]["n"].items()
    }
    assert ["books", "more"] == answer["indices"]
    assert 400 == (await books.error("GET", "/books/_field_caps"))[0]


async def test_health(books: Asker) -> None:
    """One node, everything in order."""
    health = await books.json("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")
    assert ("green", 1, 2) == (health["status"], health["number_of_nodes"], health["active_shards"])


@pytest.mark.parametrize("name", ["_refresh", "_flush", "_forcemerge"])
async def test_nothing_to_do_is_done(books: Asker, name: str) -> None:
    """The answer counts the shards, and a missing index is missed."""
    assert {"_shards": {"total": 1, "successful": 1, "failed": 0}} == await books.json("POST", f"/books/{name}")
    assert 2 == (await books.json("POST", f"/{name}"))["_shards"]["total"]
    assert 404 == (await books.error("POST", f"/nope/{name}"))[0]


async def test_everything_about_an_index(books: Asker) -> None:
    """`GET /{index}` has mappings, settings and no aliases; each also has its own address."""
    index = (await books.json("GET", "/books"))["books"]
    assert {"aliases", "mappings", "settings"} == set(index)
    assert index["mappings"] == (await books.json("GET", "/books/_mapping"))["books"]["mappings"]
    assert index["settings"] == (await books.json("GET", "/books/_settings"))["books"]["settings"]
    assert {"books", "more"} == set(await books.json("GET", "/_mapping"))


async def test_a_mapping_needs_a_body(books: Asker) -> None:
    """Nothing is no mapping."""
    assert (400, "parse_exception") == (await books.error("PUT", "/books/_mapping"))[:2]
