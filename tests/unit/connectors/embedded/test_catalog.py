"""Indices by name: what may be one, what an expression stands for, what settings do."""

import pytest

from tests.unit.connectors.embedded.asking import Asker


@pytest.mark.parametrize("name", ["books", "books-2024.01", "a", "1st", ".hidden", "büch", "a" * 255])
async def test_names_that_are_allowed(engine: Asker, name: str) -> None:
    """Lower case, digits, dots, hyphens and letters of any script."""
    assert (await engine.json("PUT", f"/{name}"))["acknowledged"]
    assert (await engine.json("GET", f"/{name}"))[name]["settings"]["index"]["provided_name"] == name


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Books", "Invalid index name [Books], must be lowercase"),
        ("_books", "Invalid index name [_books], must not start with '_', '-', or '+'"),
        ("-books", "Invalid index name [-books], must not start with '_', '-', or '+'"),
        ("a,b", "must not contain the following characters [' ','\"','*',',','/','<','>','?','\\','|']"),
        ("a%20b", "must not contain the following characters"),
        ("a*", "must not contain the following characters"),
        ("a%23b", "Invalid index name [a#b], must not contain '#'"),
        ("a:b", "Invalid index name [a:b], must not contain ':'"),
        ("..", "Invalid index name [..], must not be '.' or '..'"),
        ("a" * 256, "index name is too long, (256 > 255)"),
        ("%C3%A4" * 128, "index name is too long, (256 > 255)"),
    ],
)
async def test_names_that_are_not(engine: Asker, path: str, reason: str) -> None:
    """The reason is Elasticsearch's, for a new index and for a write that would make one."""
    status, kind, words = await engine.error("PUT", f"/{path}")
    assert (400, "invalid_index_name_exception") == (status, kind)
    assert reason in words
    if not path.startswith("_"):
        assert (400, kind) == (await engine.error("PUT", f"/{path}/_doc/1", {}))[:2]
    assert {} == await engine.json("GET", "/_mapping")


async def test_a_name_is_taken_once(engine: Asker) -> None:
    """A second index of the same name is refused."""
    await engine.json("PUT", "/books")
    assert (400, "resource_already_exists_exception") == (await engine.error("PUT", "/books"))[:2]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("a1", ["a1"]),
        ("a1,b1", ["a1", "b1"]),
        ("b1,a1,a1", ["a1", "b1"]),
        ("a*", ["a1", "a2"]),
        ("a*,-a1", ["a2"]),
        ("*,-a*", ["b1"]),
        ("_all", ["a1", "a2", "b1"]),
        ("*", ["a1", "a2", "b1"]),
        ("nope*", []),
        ("*1", ["a1", "b1"]),
    ],
)
async def test_an_expression_names_indices(engine: Asker, expression: str, found: list[str]) -> None:
    """Names, patterns and exclusions; each index once, in the order of names."""
    for name in ("b1", "a2", "a1"):
        await engine.put([{"n": 1}], index=name)
    assert found == list(await engine.json("GET", f"/{expression}/_mapping"))
    hits = (await engine.json("GET", f"/{expression}/_search"))["hits"]["hits"]
    assert found == [hit["_index"] for hit in hits]


async def test_a_missing_index_is_an_error_unless_it_may_be(engine: Asker) -> None:
    """`ignore_unavailable` forgives names, `allow_no_indices` patterns."""
    await engine.put([{"n": 1}])
    status, kind, reason = await engine.error("GET", "/books,nope/_search")
    assert (404, "index_not_found_exception", "no such index [nope]") == (status, kind, reason)
    assert 1 == (await engine.json("GET", "/books,nope/_search?ignore_unavailable"))["_shards"]["total"]
    assert 0 == (await engine.json("GET", "/nope*/_search"))["_shards"]["total"]
    assert 404 == (await engine.error("GET", "/nope*/_search?allow_no_indices=false"))[0]


async def test_a_write_makes_its_index_once(engine: Asker) -> None:
    """The second document goes into the index that the first one made, empty or not."""
    await engine.json("PUT", "/books")
    await engine.put([{"n": 1}, {"n": 2}])
    await engine.json("DELETE", "/books/_doc/1")
    await engine.json("DELETE", "/books/_doc/2")
    await engine.put([{"n": 3}])
    assert ["1"] == await engine.ids({"match_all": {}})


async def test_deleting_takes_names_only(engine: Asker) -> None:
    """A pattern deletes nothing; a missing name is 404 and deletes none of the others."""
    await engine.put([{"n": 1}])
    for expression in ("*", "_all", "b*"):
        assert 400 == (await engine.error("DELETE", f"/{expression}"))[0]
    assert 404 == (await engine.error("DELETE", "/books,nope"))[0]
    assert ["books"] == list(await engine.json("GET", "/_mapping"))
    assert (await engine.json("DELETE", "/books"))["acknowledged"]
    assert 404 == (await engine.error("GET", "/books/_search"))[0]


async def test_settings_are_shown_as_they_were_given(engine: Asker) -> None:
    """Flat and nested settings are the same; values become strings."""
    await engine.json(
        "PUT", "/books", {"settings": {"index.max_result_window": 5, "index": {"refresh_interval": "1s"}}}
    )
    shown = (await engine.json("GET", "/books/_settings"))["books"]["settings"]["index"]
    assert ("5", "1s", "1", "0") == tuple(
        shown[name] for name in ("max_result_window", "refresh_interval", "number_of_shards", "number_of_replicas")
    )


async def test_the_default_analyzer_is_a_setting(engine: Asker) -> None:
    """`analysis.analyzer.default.type` holds for every text field that names none."""
    await engine.json("PUT", "/books", {"settings": {"analysis": {"analyzer": {"default": {"type": "english"}}}}})
    await engine.put([{"title": "connections"}])
    assert ["1"] == await engine.ids({"match": {"title": "connected"}})


@pytest.mark.parametrize(
    "body",
    [
        {"aliases": {"a": {}}},
        {"nope": 1},
        {"settings": {"analysis": {"analyzer": {"mine": {"type": "custom"}}}}},
        {"settings": {"similarity": {"x": {"type": "boolean"}}}},
        {"settings": []},
        {"mappings": []},
    ],
)
async def test_what_an_index_cannot_have_is_refused(engine: Asker, body: object) -> None:
    """Aliases, analyzers of one's own and other similarities are 400; the index is not made."""
    assert 400 == (await engine.error("PUT", "/books", body))[0]
    assert {} == await engine.json("GET", "/_mapping")
