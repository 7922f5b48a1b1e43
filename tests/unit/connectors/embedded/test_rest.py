"""The HTTP face: routes, methods, media types, parameters, and how an answer is written."""

import gzip
import json
import logging
from collections.abc import Mapping

import pytest

from connectors.base import header
from connectors.embedded import rest
from connectors.embedded.administration import Administration
from tests.unit.connectors.embedded.asking import Asker

VENDOR = "application/vnd.elasticsearch+json; compatible-with=9"
PRODUCT = ("X-elastic-product", "Elasticsearch")


async def test_the_engine_says_what_it_is(engine: Asker) -> None:
    """`GET /` names the engine, a version for clients that look, and the product that official clients demand."""
    answer = await engine.answer("GET", "/")
    assert (200, "OK") == (answer.status, answer.reason)
    assert ("the embedded engine", "embedded") == (answer.json["name"], answer.json["version"]["build_flavor"])
    assert "9.5.3" == answer.json["version"]["number"]
    assert PRODUCT in answer.headers


@pytest.mark.parametrize(
    ("method", "target", "status", "reason"),
    [
        ("GET", "/_nope", 400, "no handler found for uri [/_nope] and method [GET] in the embedded engine"),
        ("POST", "/books/_nope", 400, "no handler found for uri [/books/_nope] and method [POST]"),
        ("GET", "/books/_doc/1/2", 400, "no handler found"),
        (
            "DELETE",
            "/_search",
            405,
            "Incorrect HTTP method for uri [/_search] and method [DELETE], allowed: [GET, POST]",
        ),
        (
            "PATCH",
            "/books",
            405,
            "Incorrect HTTP method for uri [/books] and method [PATCH], allowed: [DELETE, GET, HEAD]",
        ),
        ("PUT", "/books/_count", 405, "Incorrect HTTP method"),
    ],
)
async def test_what_no_route_knows_is_refused(
    engine: Asker, method: str, target: str, status: int, reason: str
) -> None:
    """An unknown path is 400, a known one with another method 405; both say what was asked."""
    got, kind, words = await engine.error(method, target)
    assert (status, "") == (got, kind)
    assert words.startswith(reason)


async def test_an_unknown_route_does_not_repeat_its_status(engine: Asker) -> None:
    """The body of "no handler found" is the sentence alone, as Elasticsearch has it."""
    assert ["error"] == list((await engine.answer("GET", "/_nope")).json)


@pytest.mark.parametrize("target", ["/", "/books", "/books/_doc/1", "/books/_source/1", "/_cat/indices"])
async def test_head_answers_like_get_without_the_body(engine: Asker, target: str) -> None:
    """Status and headers of HEAD are those of GET."""
    await engine.put([{"title": "tea"}])
    full, head = await engine.answer("GET", target), await engine.answer("HEAD", target)
    assert (200, b"") == (head.status, head.body)
    assert full.headers == head.headers
    assert str(len(full.body)) == header(full.headers, "Content-Length")


@pytest.mark.parametrize("target", ["/nope", "/nope/_doc/1", "/books/_doc/nope", "/books/_source/nope"])
async def test_head_of_what_is_missing_is_404(engine: Asker, target: str) -> None:
    """HEAD says by its status alone that something is not there."""
    await engine.put([{"title": "tea"}])
    answer = await engine.answer("HEAD", target)
    assert (404, b"") == (answer.status, answer.body)


async def test_a_slash_at_the_end_changes_nothing(engine: Asker) -> None:
    """`/books/` is `/books`."""
    await engine.put([{"title": "tea"}])
    assert await engine.json("GET", "/books") == await engine.json("GET", "/books/")


async def test_names_in_the_path_are_decoded(engine: Asker) -> None:
    """Percent-encoded slashes and spaces belong to an id."""
    await engine.json("PUT", "/books/_doc/a%2Fb%20c", {"title": "tea"})
    assert "a/b c" == (await engine.json("GET", "/books/_doc/a%2Fb%20c"))["_id"]


async def test_pretty_lays_out_an_answer(engine: Asker) -> None:
    """`?pretty` breaks lines and keeps every literal as it was sent."""
    await engine.put([b'{"n":1E+2,"z":-0.0,"s":"\\ud800","e":{},"a":[1 , 2]}'])
    text = (await engine.answer("GET", "/books/_doc/1?pretty")).body.decode()
    assert '"_source" : {\n    "n" : 1E+2,\n    "z" : -0.0,\n    "s" : "\\ud800",\n    "e" : { },' in text
    assert text.endswith("}\n")
    assert "\n" not in (await engine.answer("GET", "/books/_doc/1?pretty=false")).body.decode()


@pytest.mark.parametrize(
    ("filter_path", "expected"),
    [
        ("_id", {"_id": "1"}),
        ("_source.a*.name", {"_source": {"author": {"name": "x"}}}),
        ("found,_source.title", {"found": True, "_source": {"title": "tea"}}),
        ("**.name", {"_source": {"author": {"name": "x"}}}),
        ("-_source,-_*", {"found": True}),
        ("nope", {}),
    ],
)
async def test_filter_path_keeps_a_part(engine: Asker, filter_path: str, expected: Mapping[str, object]) -> None:
    """Patterns keep, those with a minus drop."""
    await engine.put([{"title": "tea", "author": {"name": "x"}}])
    assert expected == await engine.json("GET", f"/books/_doc/1?filter_path={filter_path}")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (VENDOR, "application/vnd.elasticsearch+json;compatible-with=9"),
        (
            "application/vnd.elasticsearch+json;compatible-with=8",
            "application/vnd.elasticsearch+json;compatible-with=8",
        ),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png", "application/json"),
    ],
)
async def test_an_answer_has_the_media_type_asked_for(engine: Asker, accept: str, expected: str) -> None:
    """Official clients get their vendor type back, everybody else JSON."""
    answer = await engine.answer("GET", "/", headers={"Accept": accept})
    assert (200, expected) == (answer.status, header(answer.headers, "Content-Type"))


async def test_other_formats_are_refused(engine: Asker) -> None:
    """YAML is neither accepted nor written."""
    assert 406 == (await engine.answer("GET", "/", headers={"Accept": "application/yaml"})).status
    assert (400, "illegal_argument_exception") == (await engine.error("GET", "/_search?format=yaml"))[:2]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=UTF-8", 200),
        ("application/x-ndjson", 200),
        (VENDOR, 200),
        ("application/vnd.elasticsearch+json", 200),
        ("application/vnd.elasticsearch+json; compatible-with=7", 400),
        ("garbage", 400),
        ("text/plain", 406),
        ("application/x-www-form-urlencoded", 406),
    ],
)
async def test_a_body_needs_a_media_type_that_is_json(engine: Asker, kind: str, status: int) -> None:
    """Vendor types are JSON; what is no JSON is 406, what is no media type 400."""
    await engine.put([{"title": "tea"}])
    answer = await engine.answer("POST", "/books/_search", {"size": 0}, headers={"Content-Type": kind})
    assert status == answer.status


async def test_a_body_without_media_type_is_refused(engine: Asker) -> None:
    """Nothing is guessed about a body that does not say what it is."""
    answer = await engine.connector.search(rest.SearchRequest(method="POST", target="/_search", headers=(), body=b"{}"))
    assert (406, "Content-Type header is missing") == (answer.status, answer.json["error"])


async def test_a_compressed_body_is_read(engine: Asker) -> None:
    """gzip is decoded; what is no gzip, or another coding, is 400."""
    await engine.put([{"title": "tea"}, {"title": "water"}])
    body = json.dumps({"query": {"match": {"title": "tea"}}}).encode()
    packed = {"Content-Encoding": "gzip"}
    answer = await engine.answer("POST", "/books/_search", gzip.compress(body), headers=packed)
    assert 1 == answer.json["hits"]["total"]["value"]
    assert 400 == (await engine.answer("POST", "/books/_search", body, headers=packed)).status
    assert 400 == (await engine.answer("POST", "/books/_search", body, headers={"Content-Encoding": "br"})).status


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/_search?nope=1"),
        ("GET", "/books/_count?nope=1"),
        ("PUT", "/books/_doc/2?nope=1"),
        ("DELETE", "/books/_doc/1?nope=1"),
        ("PUT", "/more?nope=1"),
        ("DELETE", "/books?nope=1"),
        ("POST", "/books/_bulk?nope=1"),
    ],
)
async def test_an_unknown_parameter_is_refused_before_anything_changes(engine: Asker, method: str, target: str) -> None:
    """A parameter that nothing reads is an error, and the request did nothing."""
    await engine.put([{"title": "tea"}])
    body = [{"delete": {"_id": "1"}}] if "_bulk" in target else {"title": "x"} if "_doc/2" in target else None
    status, kind, reason = await engine.error(method, target, body)
    assert (400, "illegal_argument_exception") == (status, kind)
    assert f"request [{target.partition('?')[0]}] contains unrecognized parameter: [nope]" == reason
    assert {"books"} == set(await engine.json("GET", "/_mapping"))
    assert ["1"] == await engine.ids({"match_all": {}})


async def test_parameters_about_shards_change_nothing(engine: Asker) -> None:
    """One node and immediate writes leave nothing to wait for."""
    target = "/books/_doc/1?refresh=wait_for&timeout=1m&wait_for_active_shards=1&routing=a&human&error_trace"
    assert "created" == (await engine.json("PUT", target, {"title": "tea"}))["result"]


async def test_a_flag_must_be_one(engine: Asker) -> None:
    """`?pretty=yes` is refused."""
    assert (400, "illegal_argument_exception") == (await engine.error("GET", "/?pretty=yes"))[:2]


async def test_json_nested_too_deeply_is_an_error(engine: Asker) -> None:
    """However deep a body is, the answer is 400: as a query, and as a document."""
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    assert 400 == (await engine.error("POST", "/_search", b'{"query":' + deep + b"}"))[0]
    assert 400 == (await engine.error("PUT", "/books/_doc/1", deep))[0]
    assert 400 == (await engine.error("PUT", "/books/_doc/1", b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"))[0]


async def test_a_body_that_is_too_long_is_refused(engine: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is that of Elasticsearch, and the status, too."""
    monkeypatch.setattr(rest, "MAX_BODY_BYTES", 10)
    assert 413 == (await engine.error("POST", "/_search", {"size": 100}))[0]


async def test_a_failure_is_an_answer_and_a_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug gives 500 in Elasticsearch's shape, and its words go to the log alone."""

    async def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Administration, "health", fail)
    engine = Asker()
    with caplog.at_level(logging.ERROR):
        answer = await engine.answer("GET", "/_cluster/health")
    assert 500 == answer.status
    assert b"secret" not in answer.body
    assert "embedded_engine_failed" in caplog.text
