"""The mapping: what a caller writes, what documents add to it, and what it refuses."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

TEXT = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}


async def _properties(engine: Asker) -> Any:
    return (await engine.json("GET", "/books/_mapping"))["books"]["mappings"].get("properties", {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("tea", TEXT),
        ("2020-01-01", {"type": "date"}),
        ("2020-01-01T10:00:00Z", {"type": "date"}),
        ("2020", TEXT),
        ("2020-13-01", TEXT),
        ("12", TEXT),
        ("", TEXT),
        (1, {"type": "long"}),
        (1.5, {"type": "float"}),
        (True, {"type": "boolean"}),
        (["tea", 1], TEXT),
        ([[], [None], [["tea"]]], TEXT),
        ([1, 2], {"type": "long"}),
        ({"b": 1}, {"properties": {"b": {"type": "long"}}}),
        ([{"b": 1}, {"c": "x"}], {"properties": {"b": {"type": "long"}, "c": TEXT}}),
        ({}, {"type": "object"}),
    ],
)
async def test_the_first_value_decides_the_type(engine: Asker, value: Any, expected: Any) -> None:
    """Strings are text with a keyword sub-field, or dates; numbers are long or float; objects have properties."""
    await engine.put([{"a": value}])
    assert {"a": expected} == await _properties(engine)


@pytest.mark.parametrize("value", [None, [], [None], [[]]])
async def test_nothing_decides_nothing(engine: Asker, value: Any) -> None:
    """Null and empty arrays make no field."""
    await engine.put([{"a": value}])
    assert {} == await _properties(engine)


async def test_dots_are_objects(engine: Asker) -> None:
    """`a.b` in a document and in a mapping is `b` in `a`."""
    await engine.json("PUT", "/books", {"mappings": {"properties": {"a.b": {"type": "text"}}}})
    await engine.put([{"a.c": 1, "a": {"d": 2}, "e.f.g": 3}])
    assert {"b", "c", "d"} == set((await _properties(engine))["a"]["properties"])
    assert ["1"] == await engine.ids({"term": {"e.f.g": 3}})


async def test_a_document_that_does_not_fit_changes_nothing(engine: Asker) -> None:
    """Neither the document nor the fields that it would have added are kept."""
    await engine.put([{"n": 1}])
    status, kind, reason = await engine.error("PUT", "/books/_doc/2", {"new": 1, "n": "tea"})
    assert (400, "document_parsing_exception") == (status, kind)
    assert "failed to parse field [n] of type [long] in document with id '2'. Preview of field's value: 'tea'" == reason
    assert {"n"} == set(await _properties(engine))
    assert ["1"] == await engine.ids({"match_all": {}})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": {"b": 1}}, {"a": 5}),
        ({"a": "tea"}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": 12345678901234567890}),
        ({"a": 1}, {"a": True}),
        ({"a": True}, {"a": "yes"}),
        ({"a": "2020-01-01"}, {"a": "tea"}),
        ({"a": 1}, {"": 1}),
        ({"a": 1}, {" ": 1}),
        ({"a": 1}, {"a..b": 1}),
        ({"a": 1}, {".": 1}),
        ({"a": 1}, {"_id": "x"}),
        ({"a": 1}, {"_source": {}}),
    ],
)
async def test_values_that_a_field_cannot_take(engine: Asker, first: Any, second: Any) -> None:
    """A type once chosen stays, and a name must be one."""
    await engine.put([first])
    assert (400, "document_parsing_exception") == (await engine.error("PUT", "/books/_doc/2", second))[:2]


async def test_numbers_are_read_from_strings_and_cut(engine: Asker) -> None:
    """An integer field takes "2" and 3.9, as Elasticsearch does."""
    await engine.put([{"n": 1}, {"n": "2"}, {"n": 3.9}])
    assert ["1", "2", "3"] == await engine.ids({"terms": {"n": [1, 2, 3]}})


async def test_strict_and_false_mappings(engine: Asker) -> None:
    """A strict object refuses new fields, a false one stores them unsearched; objects inside may differ."""
    inner = {"type": "object", "dynamic": True}
    await engine.json(
        "PUT",
        "/books",
        {"mappings": {"dynamic": "strict", "properties": {"a": {"dynamic": False, "properties": {"b": inner}}}}},
    )
    assert (400, "strict_dynamic_mapping_exception") == (await engine.error("PUT", "/books/_doc/1", {"n": 1}))[:2]
    await engine.put([{"a": {"n": 1, "b": {"m": 2}}}])
    assert [] == await engine.ids({"exists": {"field": "a.n"}})
    assert ["1"] == await engine.ids({"term": {"a.b.m": 2}})


async def test_a_disabled_object_takes_anything(engine: Asker) -> None:
    """Nothing in it is read."""
    await engine.json("PUT", "/books", {"mappings": {"properties": {"a": {"type": "object", "enabled": False}}}})
    await engine.put([{"a": {"b": 1}}, {"a": {"b": "tea"}}, {"a": 5}])
    assert {"a": {"type": "object", "enabled": False}} == await _properties(engine)


async def test_copies_are_found_in_the_target_alone(engine: Asker) -> None:
    """`copy_to` fills a field, which does not copy on, not even to itself."""
    properties = {
        "title": {"type": "text", "copy_to": "all"},
        "all": {"type": "text", "copy_to": ["all", "more"]},
        "more": {"type": "text"},
    }
    await engine.json("PUT", "/books", {"mappings": {"properties": properties}})
    await engine.put([{"title": ["tea", "water"]}, {"all": "tea"}])
    assert {"1", "2"} == set(await engine.ids({"match": {"all": "tea"}}))
    assert ["2"] == await engine.ids({"match": {"more": "tea"}})
    assert {"title": ["tea", "water"]} == await engine.json("GET", "/books/_source/1")


async def test_a_long_string_is_ignored_by_its_keyword(engine: Asker) -> None:
    """Hits and documents name the field; `fields` gives the value apart."""
    await engine.put([{"a": "x" * 257}, {"a": "x" * 256}])
    assert ["2"] == await engine.ids({"exists": {"field": "a.keyword"}})
    hits = (await engine.json("POST", "/books/_search", {"fields": ["a.keyword"]}))["hits"]["hits"]
    assert [["a.keyword"], None] == [hit.get("_ignored") for hit in hits]
    assert {"a.keyword": ["x" * 257]} == hits[0]["ignored_field_values"]
    assert ["a.keyword"] == (await engine.json("GET", "/books/_doc/1"))["_ignored"]


async def test_a_mapping_grows(engine: Asker) -> None:
    """New fields and sub-fields are added; documents that are there already are not read again."""
    await engine.put([{"title": "tea"}])
    english = {"title": {**TEXT, "fields": {"english": {"type": "text", "analyzer": "english"}}}}
    await engine.json("PUT", "/books/_mapping", {"properties": {**english, "n": {"type": "byte"}}})
    assert {"english", "keyword"} == set((await _properties(engine))["title"]["fields"])
    await engine.put({"2": {"title": "teas"}})
    assert ["2"] == await engine.ids({"match": {"title.english": "tea"}})
    assert 400 == (await engine.error("PUT", "/books/_doc/3", {"n": 128}))[0]


@pytest.mark.parametrize(
    "properties",
    [
        {"title": {"type": "keyword"}},
        {"title": {"type": "text", "analyzer": "english"}},
        {"title": {"type": "text", "index": False}},
        {"title": {"type": "text", "fields": {"keyword": {"type": "text"}}}},
        {"title": {"properties": {"a": {"type": "text"}}}},
        {"a": {"type": "text"}},
    ],
)
async def test_a_mapping_does_not_change(engine: Asker, properties: Any) -> None:
    """What would need the documents to be read again is refused."""
    await engine.put([{"title": "tea", "a": {"b": 1}}])
    before = await _properties(engine)
    assert (400, "illegal_argument_exception") == (
        await engine.error("PUT", "/books/_mapping", {"properties": properties})
    )[:2]
    assert before == await _properties(engine)


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "nested"},
        {"type": "dense_vector"},
        {"type": []},
        {},
        5,
        {"type": "text", "analyzer": "mine"},
        {"type": "text", "analyzer": []},
        {"type": "text", "search_analyzer": "english"},
        {"type": "text", "norms": False},
        {"type": "text", "nope": 1},
        {"type": "text", "fields": {"a": {"type": "text", "fields": {}}}},
        {"type": "text", "fields": []},
        {"type": "text", "index": "perhaps"},
        {"type": "text", "copy_to": 5},
        {"type": "keyword", "ignore_above": "x"},
        {"type": "keyword", "normalizer": "lower"},
        {"type": "date", "format": "yyyy"},
        {"type": "long", "doc_values": False},
        {"type": "object", "dynamic": "runtime"},
        {"properties": []},
    ],
)
async def test_what_a_field_cannot_be_is_refused(engine: Asker, definition: Any) -> None:
    """Types, analyzers and parameters that are not done are 400, never skipped."""
    body = {"mappings": {"properties": {"a": definition}}}
    assert (400, "mapper_parsing_exception") == (await engine.error("PUT", "/books", body))[:2]


async def test_there_are_limits(engine: Asker) -> None:
    """Twenty objects inside each other and a thousand fields, as in Elasticsearch."""
    assert "created" == (await engine.json("PUT", "/books/_doc/1", b'{"a":' * 20 + b"1" + b"}" * 20))["result"]
    assert (
        "Limit of mapping depth [20]"
        in (await engine.error("PUT", "/more/_doc/1", b'{"a":' * 21 + b"1" + b"}" * 21))[2]
    )
    many = {f"f{n}": n for n in range(1_001)}
    assert "Limit of total fields [1000]" in (await engine.error("PUT", "/more/_doc/1", many))[2]
    del many["f0"]
    assert "created" == (await engine.json("PUT", "/more/_doc/1", many))["result"]


async def test_every_type_takes_and_gives_its_values(engine: Asker) -> None:
    """Integers have ranges, floats a precision, booleans two values, dates a format."""
    kinds = ("byte", "short", "integer", "long", "half_float", "float", "double", "boolean", "date", "keyword", "text")
    await engine.json("PUT", "/books", {"mappings": {"properties": {kind: {"type": kind} for kind in kinds}}})
    good = {
        "byte": -128,
        "short": 32767,
        "integer": -(2**31),
        "long": 2**63 - 1,
        "half_float": 0.5,
        "float": 0.1,
        "double": 0.1,
        "boolean": "",
        "date": 1500000000000,
        "keyword": 5,
        "text": True,
    }
    await engine.put([good])
    fields = (await engine.json("POST", "/books/_search", {"fields": ["*"]}))["hits"]["hits"][0]["fields"]
    assert {**good, "boolean": False, "date": "2017-07-14T02:40:00.000Z", "keyword": "5", "text": "true"} == {
        name: values[0] for name, values in fields.items()
    }
    for kind, bad in (("byte", 128), ("short", -32769), ("integer", 2**31), ("long", 2**63), ("half_float", 70000)):
        assert 400 == (await engine.error("PUT", "/books/_doc/2", {kind: bad}))[0], kind
    for kind, bad in (("float", 1e39), ("double", "x"), ("boolean", 1), ("date", "2020-6-7"), ("text", {"a": 1})):
        assert 400 == (await engine.error("PUT", "/books/_doc/2", {kind: bad}))[0], kind


@pytest.mark.parametrize(
    "mappings", [{"dynamic_templates": []}, {"date_detection": False}, {"numeric_detection": True}, {"_source": {}}, 5]
)
async def test_what_a_mapping_cannot_have_is_refused(engine: Asker, mappings: Any) -> None:
    """Also where it would only change what dynamic mapping finds."""
    assert 400 == (await engine.error("PUT", "/books", {"mappings": mappings}))[0]
