"""Documents by id: stored as they came, one at a time and in bulk."""

import asyncio
import json
from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

ODD = (
    rb'{ "integer":12345678901234567890, "exponent" : 1E+2 ,"zero":-0.0, "long":0.1000000000000000055511151231257827,'
    rb' "surrogate":"\ud800", "escaped":"\u00e4\/", "spaced" : [ 1 ,2,  3 ], "empty":{ }  }'
)
"""What no parser gives back as it was."""

UNSEARCHED = {"mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}}}


@pytest.mark.parametrize("how", ["put", "create", "post", "bulk"])
async def test_a_document_keeps_its_bytes(engine: Asker, how: str) -> None:
    """Spacing, big integers, exponents, negative zero and lone surrogates come back as they were sent."""
    await engine.json("PUT", "/books", UNSEARCHED)
    match how:
        case "put":
            await engine.json("PUT", "/books/_doc/1", ODD)
        case "create":
            await engine.json("PUT", "/books/_create/1", ODD)
        case "post":
            await engine.json("POST", "/books/_doc", ODD)
        case _:
            await engine.json("POST", "/books/_bulk", [{"index": {"_id": "1"}}, ODD])
    found = await engine.answer("POST", "/books/_search", {})
    document_id = found.json["hits"]["hits"][0]["_id"]
    assert ODD in found.body
    assert ODD == (await engine.answer("GET", f"/books/_source/{document_id}")).body
    assert ODD in (await engine.answer("GET", f"/books/_doc/{document_id}")).body
    assert ODD in (await engine.answer("POST", "/books/_mget", {"ids": [document_id]})).body


async def test_a_part_of_a_document_keeps_its_bytes(engine: Asker) -> None:
    """What `_source` selects is cut out, not printed anew."""
    await engine.json("PUT", "/books", UNSEARCHED)
    await engine.json("PUT", "/books/_doc/1", ODD)
    part = (await engine.answer("GET", "/books/_source/1?_source_includes=integer,e*,sp*&_source_excludes=empty")).body
    assert rb'{"integer":12345678901234567890,"exponent" : 1E+2,"escaped":"\u00e4\/","spaced" : [ 1 ,2,  3 ]}' == part


async def test_versions_count_writes(engine: Asker) -> None:
    """Versions count per document, sequence numbers per index; a result says what happened."""
    results = [
        (await engine.answer(method, target, body)).json
        for method, target, body in (
            ("PUT", "/books/_doc/1", {"n": 1}),
            ("PUT", "/books/_doc/1", {"n": 2}),
            ("PUT", "/books/_doc/2", {"n": 3}),
            ("DELETE", "/books/_doc/1", None),
            ("DELETE", "/books/_doc/1", None),
        )
    ]
    assert ["created", "updated", "created", "deleted", "not_found"] == [one["result"] for one in results]
    assert [1, 2, 1, 3, 1] == [one["_version"] for one in results]
    assert [0, 1, 2, 3, 4] == [one["_seq_no"] for one in results]


async def test_a_refresh_that_was_asked_for_is_reported(engine: Asker) -> None:
    """Writes are visible at once; who asks for a refresh is told that there was one."""
    assert (await engine.json("PUT", "/books/_doc/1?refresh=true", {}))["forced_refresh"]
    assert "forced_refresh" not in await engine.json("PUT", "/books/_doc/1?refresh=wait_for", {})


async def test_create_refuses_an_id_that_is_there(engine: Asker) -> None:
    """The conflict names the version that is there, and changes nothing."""
    await engine.json("PUT", "/books/_create/1", {"n": 1})
    for target in ("/books/_create/1", "/books/_doc/1?op_type=create"):
        status, kind, reason = await engine.error("PUT", target, {"n": 2})
        assert (409, "version_conflict_engine_exception") == (status, kind)
        assert "[1]: version conflict, document already exists (current version [1])" == reason
    assert {"n": 1} == await engine.json("GET", "/books/_source/1")


async def test_a_document_without_id_gets_one(engine: Asker) -> None:
    """Each gets another id, and is found under it."""
    ids = {(await engine.json("POST", "/books/_doc", {"n": 1}))["_id"] for _ in range(5)}
    assert 5 == len(ids)
    assert ids == set(await engine.ids({"match_all": {}}))


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b'"x"', b'{"a":', b'{"a":1}}', b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b'{"a":"\x01"}']
)
async def test_what_is_no_document_is_refused(engine: Asker, body: bytes) -> None:
    """Only one JSON object in UTF-8 without duplicate keys is a document; nothing is stored of anything else."""
    await engine.put([{"n": 1}])
    assert 400 == (await engine.error("PUT", "/books/_doc/1", body))[0]
    assert {"n": 1} == await engine.json("GET", "/books/_source/1")


async def test_a_missing_document_is_404(engine: Asker) -> None:
    """`found` is false; `_source` is an error; a missing index is another one."""
    await engine.put([{"n": 1}])
    answer = await engine.answer("GET", "/books/_doc/nope")
    assert (404, {"_index": "books", "_id": "nope", "found": False}) == (answer.status, answer.json)
    assert (404, "resource_not_found_exception") == (await engine.error("GET", "/books/_source/nope"))[:2]
    assert (404, "index_not_found_exception") == (await engine.error("GET", "/nope/_doc/1"))[:2]


async def test_mget_answers_for_each(engine: Asker) -> None:
    """Found, missing, without index: in the order asked; `_source` per document or for all."""
    await engine.put([{"a": 1, "b": 2}, {"a": 3}])
    wanted = [{"_id": "2"}, {"_id": "nope"}, {"_index": "nope", "_id": "1"}, {"_id": 1, "_source": False}]
    docs = (await engine.json("POST", "/books/_mget?_source=a", {"docs": wanted}))["docs"]
    assert [True, False, None, True] == [one.get("found") for one in docs]
    assert [{"a": 3}, None] == [docs[0]["_source"], docs[3].get("_source")]
    assert "index_not_found_exception" == docs[2]["error"]["type"]


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"docs": [{}]}, {"docs": [5]}, {"docs": [{"_id": "1", "x": 1}]}, {"x": []}]
)
async def test_an_mget_that_asks_for_nothing_known_is_refused(engine: Asker, body: Any) -> None:
    """What is no document, or has an unknown key, fails the whole request."""
    await engine.put([{"a": 1}])
    assert 400 == (await engine.error("POST", "/books/_mget", body))[0]


async def test_a_bulk_reports_each_item(engine: Asker) -> None:
    """One item that fails stops no other."""
    lines = [
        *({"index": {"_id": "1"}}, {"n": 1}),
        *({"create": {"_id": "1"}}, {"n": 2}),
        *({"index": {"_id": "2"}}, {"n": "no number"}),
        *({"index": {"_id": "3"}}, b'{"n":'),
        *({"index": {"_id": ""}}, {"n": 4}),
        {"delete": {"_id": "nope"}},
        *({"index": {"_index": "Upper", "_id": "1"}}, {"n": 1}),
        *({"index": {"_index": "more", "_id": "1"}}, {"n": 1}),
        *({"create": {"_id": "4"}}, {"n": 5}),
        {"delete": {"_id": "1"}},
    ]
    answer = await engine.json("POST", "/books/_bulk", lines)
    assert answer["errors"]
    assert [201, 409, 400, 400, 400, 404, 400, 201, 201, 200] == [
        one["status"] for item in answer["items"] for one in item.values()
    ]
    assert ["index", "create", "delete"] == [next(iter(answer["items"][place])) for place in (0, 1, 5)]
    assert "document_parsing_exception" == answer["items"][2]["index"]["error"]["type"]
    assert ["4"] == await engine.ids({"match_all": {}})
    assert ["1"] == await engine.ids({"match_all": {}}, index="more")


async def test_a_bulk_without_failures_says_so(engine: Asker) -> None:
    """`errors` is false, blank lines and Windows line ends do no harm, and numbers are ids."""
    body = b'\n{"index":{"_id":7}}\r\n{"n":1}\r\n\n{"index":{}}\n  {"n":2}  \n'
    assert not (await engine.json("POST", "/books/_bulk", body))["errors"]
    assert 2 == (await engine.json("GET", "/books/_count"))["count"]
    assert b'  {"n":2}  ' in (await engine.answer("GET", "/books/_search")).body


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([{"nope": {}}, {}], "expected field [create], [delete], [index] or [update] but found [nope]"),
        ([{"index": 5}, {}], "expected START_OBJECT or END_OBJECT but found [VALUE_NUMBER]"),
        ([[], {}], "expected START_OBJECT but found [START_ARRAY]"),
        ([{}, {}], "expected FIELD_NAME but found [END_OBJECT]"),
        ([{"index": {}, "create": {}}, {}], "expected END_OBJECT but found [FIELD_NAME]"),
        ([{"index": {"x": 1}}, {}], "Action/metadata line [3] contains an unknown parameter [x]"),
        ([b'{"index":', {}], "not JSON"),
        ([{"delete": {}}], "id is missing"),
        ([{"index": {"_id": "x" * 513}}, {}], "is too long, must be no longer than 512 bytes but was: 513"),
        ([{"index": {}}], "no document for the action in line [3]"),
        ([{"update": {"_id": "1"}}, {"doc": {}}], "[update] in a bulk is not supported by the embedded engine"),
    ],
)
async def test_an_ill_formed_bulk_changes_nothing(engine: Asker, lines: list[Any], reason: str) -> None:
    """A line that cannot be read fails the whole request, with what stands before it."""
    first = [{"index": {"_id": "1"}}, {"n": 1}]
    status, _, words = await engine.error("POST", "/books/_bulk", [*first, *lines])
    assert 400 == status
    assert reason in words
    assert (404, "index_not_found_exception") == (await engine.error("GET", "/books"))[:2]


@pytest.mark.parametrize("body", [b"", b"\n", b'{"index":{}}\n{}'])
async def test_a_bulk_needs_actions_and_an_end(engine: Asker, body: bytes) -> None:
    """An empty one is refused, and one whose last line has no end."""
    assert 400 == (await engine.error("POST", "/books/_bulk", body))[0]


async def test_a_bulk_needs_an_index(engine: Asker) -> None:
    """Without an index in the path each action must name one."""
    assert "index is missing" in (await engine.error("POST", "/_bulk", [{"index": {}}, {}]))[2]
    assert not (await engine.json("POST", "/_bulk", [{"index": {"_index": "books"}}, {}]))["errors"]


async def test_a_long_bulk_lets_others_have_their_turn(engine: Asker) -> None:
    """A request that comes while a bulk runs is answered before the bulk ends."""
    lines = [line for n in range(1_000) for line in ({"index": {"_id": str(n)}}, {"n": n})]
    bulk = asyncio.ensure_future(engine.json("POST", "/books/_bulk", lines))
    await asyncio.sleep(0)
    statuses = [(await engine.answer("GET", f"/books/_doc/{n}")).status for n in (0, 999)]
    assert ([200, 404], False) == (statuses, bulk.done())
    assert not (await bulk)["errors"]
    assert 1_000 == (await engine.json("GET", "/books/_count"))["count"]


async def test_a_lone_surrogate_can_be_searched_around(engine: Asker) -> None:
    """An answer is valid JSON even around a document with a lone surrogate."""
    await engine.json("PUT", "/books/_doc/1", rb'{"title":"a \ud800 b"}')
    answer = await engine.answer("POST", "/books/_search", {"fields": ["title"], "query": {"match": {"title": "b"}}})
    assert "a \ud800 b" == json.loads(answer.body)["hits"]["hits"][0]["fields"]["title"][0]
