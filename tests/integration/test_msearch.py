"""Many searches in one request: each is answered as it would be alone, in its place, with its own marker."""

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.integration.books import BOOKS
from tests.integration.pages import RawPage, differences, items
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import NDJSON, Answer, ndjson, same_but_time, send, untimed

Body = Mapping[str, Any]

TEA: Body = {"query": {"match": {"body": "tea"}}, "size": 6}


def last_first(size: int = 6, offset: int = 0, window: int = 100, **body: Any) -> Body:
    """Return a search whose page is the end of the engine's ranking, first."""
    return {**TEA, "size": size, "from": offset, "ext": {"rerank": {"window": window}}, **body}


MIXED: Sequence[tuple[str, Body, Body]] = [
    ("applied; candidates=30; window=100", {}, TEA),
    ("skipped; reason=no_free_text", {}, {"query": {"match_all": {}}, "size": 3}),
    ("applied; candidates=12; window=12", {}, last_first(size=4, offset=10, window=12)),
    ("skipped; reason=engine_error", {"index": "no-such-index"}, TEA),
    ("skipped; reason=bad_request", {}, {**TEA, "ext": {"rerank": {"window": "many"}}}),
    ("skipped; reason=no_free_text", {}, {"query": {"range": {"n": {"gte": "tea"}}}}),
    ("skipped; reason=sort", {}, {**TEA, "sort": [{"n": "desc"}]}),
    ("applied; candidates=0; window=5", {}, last_first(size=5, offset=10, window=5)),
    ("skipped; reason=size_zero", {}, {**TEA, "size": 0, "aggs": {"n": {"max": {"field": "n"}}}}),
    ("skipped; reason=off", {}, {**TEA, "ext": {"rerank": {"enabled": False}}}),
    ("skipped; reason=engine_error", {}, {"query": {"match": {"n": "tea"}}}),
    ("applied; candidates=30; window=100", {}, {**TEA, "_source": False, "fields": ["n"]}),
    ("skipped; reason=few_hits", {}, {"query": {"match": {"body": "word3"}}}),
    ("applied; candidates=30; window=100", {"preference": "_local"}, {**TEA, "_source": ["n"], "size": 2}),
    ("skipped; reason=few_hits", {"index": "no-such-*"}, TEA),
    ("skipped; reason=custom_ranking", {}, {"query": {"function_score": {"query": TEA["query"], "weight": 2}}}),
]
"""What the marker says first of an item, the item's header line and its body."""


def stripped(body: Body) -> Body:
    """Return a search without what it says to us: the one to send to the engine."""
    return {name: value for name, value in body.items() if name != "ext"}


def lines(searches: Sequence[tuple[str, Body, Body]], *, is_direct: bool) -> list[Body]:
    """Return the lines of an `_msearch`, for the engine or for us."""
    return [line for _, header, body in searches for line in (header, stripped(body) if is_direct else body)]


def entries(answer: Answer) -> list[str]:
    """Return the entries of the marker."""
    return answer.marker.split(", ")


async def both(
    proxy: str, engine_url: str, target: str, searches: Sequence[tuple[str, Body, Body]], **request: Any
) -> tuple[Answer, Answer]:
    """Send searches through the proxy, and to the engine."""
    got = await send(proxy, "POST", target, body=ndjson(*lines(searches, is_direct=False)), headers=NDJSON, **request)
    own = await send(engine_url, "POST", target, body=ndjson(*lines(searches, is_direct=True)), headers=NDJSON)
    return got, own


@pytest.mark.parametrize("parameters", ["", "?pretty", "?max_concurrent_searches=2&typed_keys=true"])
async def test_each_item_is_answered_as_if_it_were_alone(engine_url: str, library: str, parameters: str) -> None:
    """Reranked, left alone, refused by the engine, refused by us: all in their places."""
    async with proxied(engine_url, LastFirst()) as proxy:
        got, own = await both(proxy, engine_url, f"/{library}/_msearch{parameters}", MIXED)
    assert 200 == got.status
    assert len(MIXED) == len(entries(got)), got.marker
    for (marker, _, body), entry, ours, theirs in zip(
        MIXED, entries(got), items(got.body), items(own.body), strict=True
    ):
        assert entry.startswith(marker), (body, entry)
        if entry.startswith("skipped; reason=bad_request"):
            refusal = json.loads(ours)
            assert (400, "illegal_argument_exception") == (refusal["status"], refusal["error"]["type"])
        elif entry.startswith("skipped"):
            assert untimed(theirs.encode()) == untimed(ours.encode()), (entry, body)
        else:
            everything = await send(
                engine_url,
                "POST",
                f"/{library}/_msearch{parameters}",
                body=ndjson({}, {**stripped(body), "from": 0, "size": BOOKS}),
                headers=NDJSON,
            )
            whole = items(everything.body)[0]
            assert [] == differences(ours, theirs, whole, _last_first_page(whole, body)), body
    assert "first_stage;dur=" in (got.header("server-timing") or "")


def _last_first_page(everything: str, body: Body) -> list[str | None]:
    ids = RawPage(everything).ids
    window = body.get("ext", {}).get("rerank", {}).get("window", 100)
    order = ids[:window][::-1] + ids[window:]
    return order[body.get("from", 0) :][: body["size"]]


async def test_an_item_is_what_a_search_is(engine_url: str, library: str) -> None:
    """The same page, `_score`s included, as `_search` gives for the same body."""
    searches = [item for item in MIXED if item[0].startswith("applied")]
    async with proxied(engine_url, ShortestFirst()) as proxy:
        got = await send(
            proxy, "POST", f"/{library}/_msearch", body=ndjson(*lines(searches, is_direct=False)), headers=NDJSON
        )
        for (_, _, body), entry, item in zip(searches, entries(got), items(got.body), strict=True):
            alone = await send(proxy, "POST", f"/{library}/_search", body=body)
            assert alone.marker == entry
            assert [hit.text for hit in RawPage(alone.body).hits] == [hit.text for hit in RawPage(item).hits]
            assert RawPage(alone.body).max_score == RawPage(item).max_score


WHOLES: Mapping[str, tuple[str, bytes, Mapping[str, str]]] = {
    "all left alone": ("", ndjson({}, {"query": {"match_all": {}}}, {}, {**TEA, "size": 0}), {}),
    "switched off": ("", ndjson({}, TEA, {}, TEA), {"X-Rerank": "off"}),
    "signed": ("", ndjson({}, TEA), {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}),
    "an odd number of lines": ("", ndjson({}, TEA, {}), {}),
    "a broken body line": ("", ndjson({}, TEA) + b'{}\n{"query":\n', {}),
    "a broken header line": ("", ndjson({}, TEA) + b'{"index"\n' + ndjson(TEA), {}),
    "an unknown header key": ("", ndjson({"nonsense": 1}, TEA), {}),
    "an unknown clause": ("", ndjson({}, TEA, {}, {"query": {"nonsense": {}}}), {}),
    "an unknown setting": ("", ndjson({}, TEA, {}, {**TEA, "nonsense": 1}), {}),
    "nothing": ("", b"", {}),
    "an empty body line": ("", ndjson({}, TEA) + b"{}\n\n", {}),
    "a blank body line": ("", b"{}\n \t\r\n" + ndjson({}, TEA), {}),
    "an empty line": ("", b"\n", {}),
    "an unknown parameter": ("?nonsense=1", ndjson({}, TEA), {}),
    "YAML": ("?format=yaml", ndjson({}, TEA), {}),
    "filter_path": ("?filter_path=responses.hits.hits._id", ndjson({}, TEA, {}, TEA), {}),
    "not text": ("", b"\xff\xfe\n\xff\n", {}),
}
"""Requests of which nothing can or may be reranked: query string, body, headers."""


@pytest.mark.parametrize("name", WHOLES)
async def test_a_request_without_anything_to_rerank_is_the_engine_s(engine_url: str, library: str, name: str) -> None:
    """The answer is the engine's, whatever it says, byte for byte."""
    parameters, body, headers = WHOLES[name]
    target = f"/{library}/_msearch{parameters}"
    forwarded = {key: value for key, value in headers.items() if not key.startswith("X-Rerank")}
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer) as proxy:
        got = await send(proxy, "POST", target, body=body, headers={**NDJSON, **headers})
        own = await send(engine_url, "POST", target, body=body, headers={**NDJSON, **forwarded})
    assert same_but_time(own) == same_but_time(got), got.marker
    assert {"skipped"} == {entry.partition(";")[0] for entry in entries(got)}
    assert [] == scorer.texts


WRITINGS: Mapping[str, tuple[str, str, bytes, Mapping[str, str]]] = {
    "no index in the path": ("POST", "/_msearch", b'{"index":"%s"}\n%b\n', NDJSON),
    "an index list": ("POST", "/_msearch", b'{"index":["%s"],"ignore_unavailable":true}\n%b\n', NDJSON),
    "GET": ("GET", "/%s/_msearch", b"{}\n%b\n", NDJSON),
    "an empty header line": ("POST", "/%s/_msearch", b"\n%b\n", NDJSON),
    "no header index": ("POST", "/%s/_msearch/", b"{ }\n%b\n", NDJSON),
    "carriage returns": ("POST", "/%s/_msearch", b"{}\r\n%b\r\n", NDJSON),
    "application/json": ("POST", "/%s/_msearch", b"{}\n%b\n", {"Content-Type": "application/json; charset=UTF-8"}),
    "no last line end": ("POST", "/%s/_msearch", b"{}\n%b", NDJSON),
    "search_type": ("POST", "/%s/_msearch?search_type=dfs_query_then_fetch", b"{}\n%b\n", NDJSON),
}
"""Ways to write an `_msearch` of one search: method, target, body, headers."""


@pytest.mark.parametrize("name", WRITINGS)
async def test_a_search_may_be_written_in_every_way(engine_url: str, library: str, name: str) -> None:
    """As the engine reads it; what it refuses is refused in its words."""
    method, target, form, headers = WRITINGS[name]
    target = target.replace("%s", library)
    body = form.replace(b"%s", library.encode()).replace(b"%b", json.dumps(TEA).encode())
    async with proxied(engine_url, LastFirst()) as proxy:
        got = await send(proxy, method, target, body=body, headers=headers)
        own = await send(engine_url, method, target, body=body, headers=headers)
    everything = await send(engine_url, method, target, body=body.replace(b'"size": 6', b'"size": 30'), headers=headers)
    if own.status != 200:
        assert same_but_time(own) == same_but_time(got)
        return
    assert "applied" == got.outcome, got.marker
    whole = items(everything.body)[0]
    assert [] == differences(items(got.body)[0], items(own.body)[0], whole, RawPage(whole).ids[::-1][:6])


async def test_a_compressed_request_and_answer_are_reranked(engine_url: str, library: str) -> None:
    """gzip both ways, on `_msearch` and on `_search`."""
    headers = {**NDJSON, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    body = ndjson({}, TEA, {}, {"query": {"match_all": {}}})
    own = await send(engine_url, "POST", f"/{library}/_msearch", body=body, headers=NDJSON)
    async with proxied(engine_url, LastFirst()) as proxy:
        got = await send(proxy, "POST", f"/{library}/_msearch", body=gzip.compress(body), headers=headers)
        one = await send(
            proxy,
            "POST",
            f"/{library}/_search",
            body=gzip.compress(json.dumps(TEA).encode()),
            headers={**headers, "Content-Type": "application/json"},
        )
    whole = await send(engine_url, "POST", f"/{library}/_search", body={**TEA, "size": BOOKS})
    assert ("gzip", "gzip") == (got.header("content-encoding"), one.header("content-encoding"))
    assert ["applied", "skipped"] == [entry.partition(";")[0] for entry in entries(got)]
    first, second = items(gzip.decompress(got.body))
    assert whole.ids[::-1][:6] == RawPage(first).ids == RawPage(gzip.decompress(one.body)).ids
    assert untimed(items(own.body)[1].encode()) == untimed(second.encode())


@pytest.mark.parametrize(("count", "is_counted"), [(32, False), (33, True)])
async def test_a_long_marker_becomes_counts(engine_url: str, library: str, count: int, is_counted: bool) -> None:
    """Clients bound the length of a header: beyond 32 items the marker counts outcomes."""
    searches: list[tuple[str, Body, Body]] = [
        ("", {}, TEA if n % 3 else {"query": {"match_all": {}}}) for n in range(count)
    ]
    async with proxied(engine_url, LastFirst()) as proxy:
        got, own = await both(proxy, engine_url, f"/{library}/_msearch", searches)
    assert count == len(items(got.body)) == len(items(own.body))
    applied = sum(1 for n in range(count) if n % 3)
    if is_counted:
        assert f"mixed; applied={applied}; skipped={count - applied}" == got.marker
    else:
        assert ["applied" if n % 3 else "skipped" for n in range(count)] == [e.partition(";")[0] for e in entries(got)]
    whole = await send(engine_url, "POST", f"/{library}/_search", body={**TEA, "size": BOOKS})
    for n, item in enumerate(items(got.body)):
        assert not n % 3 or whole.ids[::-1][:6] == RawPage(item).ids


@pytest.mark.parametrize("scorer", ["test:failing", "test:stalled"])
async def test_a_failing_second_stage_costs_no_item_its_hits(engine_url: str, library: str, scorer: str) -> None:
    """Every item that would have been reranked is degraded, and the answer is the engine's."""
    searches = [item for item in MIXED if "bad_request" not in item[0]]
    async with proxied(engine_url, scorer, deadline=0.05) as proxy:
        got, own = await both(proxy, engine_url, f"/{library}/_msearch", searches)
    found = [entry.partition(";")[0] for entry in entries(got)]
    tail = [n for n, item in enumerate(searches) if "candidates=0" in item[0]]
    expected = ["degraded" if item[0].startswith("applied") else "skipped" for item in searches]
    assert [word for n, word in enumerate(expected) if n not in tail] == [
        word for n, word in enumerate(found) if n not in tail
    ]
    for n, (ours, theirs) in enumerate(zip(items(got.body), items(own.body), strict=True)):
        if n not in tail:
            assert untimed(theirs.encode()) == untimed(ours.encode()), searches[n]


async def test_strict_items_fail_alone(engine_url: str, library: str) -> None:
    """`on_failure: error` makes an error of its item; the others keep their hits."""
    strict = {**TEA, "ext": {"rerank": {"on_failure": "error"}}}
    searches: list[tuple[str, Body, Body]] = [("", {}, TEA), ("", {}, strict), ("", {}, TEA)]
    async with proxied(engine_url, "test:failing") as proxy:
        got, own = await both(proxy, engine_url, f"/{library}/_msearch", searches)
    first, second, third = items(got.body)
    assert ["degraded; reason=model"] * 3 == entries(got)
    assert (500, "rerank_unavailable") == (json.loads(second)["status"], json.loads(second)["error"]["type"])
    assert [untimed(items(own.body)[n].encode()) for n in (0, 2)] == [untimed(text.encode()) for text in (first, third)]
