"""Signals, pins and diversity on real engines: an engine's own formulas, an editor's places, and hits as they were."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.error import HTTPError

import pytest

from sidecar.program.config import SignalSection
from sidecar.types import Signal
from tests.integration.books import BOOKS, put_documents
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, send

TEA = {"match": {"body": "tea"}}
SIZE = {"size": BOOKS}
DECAYS: dict[str, dict[str, Any]] = {
    "published": {"origin": "2015-06-01", "scale": "900d", "offset": "30d", "decay": 0.3},
    "n": {"origin": 11, "scale": 4.5, "offset": 1, "decay": 0.6},
    "price": {"origin": 3.25, "scale": 7},
}
"""Parameters of decay functions, by the field of the library that they are about."""


def signal(field: str, function: str, **parameters: Any) -> Signal:
    """Return a signal as the configuration has it."""
    return SignalSection(field=field, function=function, **parameters).signal()  # type: ignore[arg-type]


@asynccontextmanager
async def with_signals(url: str, *signals: Signal, **options: Any) -> AsyncIterator[str]:
    """Give a proxy whose scorer likes short texts, and whose policy has these signals."""
    settings: dict[str, Any] = {"deadline": 0.0, "window": BOOKS, "fusion": "linear", **options}
    async with proxied(url, ShortestFirst(), signals=signals, **settings) as address:
        yield address


async def found(url: str, index: str, **body: Any) -> Answer:
    """Search for tea, explained."""
    whole = {"query": TEA, **SIZE, **body}
    return await send(url, "POST", f"/{index}/_search", body=whole, headers={"X-Rerank-Explain": "true"})


def term(hit: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one term of a hit's final score."""
    terms: list[dict[str, Any]] = hit["_rerank"]["terms"]
    return next(each for each in terms if each["name"] == name)


@pytest.mark.parametrize("function", ["gauss", "exp", "linear"])
@pytest.mark.parametrize("field", DECAYS)
async def test_a_decay_is_the_engine_s(engine_url: str, library: str, field: str, function: str) -> None:
    """The same parameters in `function_score` give the same values, as far as a float goes."""
    parameters = DECAYS[field]
    decay = parameters.get("decay", 0.5)
    own = {name: value for name, value in parameters.items() if name != "decay"}
    query = {"function_score": {"query": TEA, function: {field: {**own, "decay": decay}}, "boost_mode": "replace"}}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    expected = {hit["_id"]: hit["_score"] for hit in direct.hits}
    async with with_signals(engine_url, signal(field, function, **parameters)) as url:
        ours = await found(url, library)
    assert "applied" == ours.outcome
    assert expected == pytest.approx({hit["_id"]: term(hit, field)["value"] for hit in ours.hits}, abs=1e-6)
    assert len(set(expected.values())) > 5


async def test_what_is_fresh_now_is_the_engine_s(engine_url: str, library: str) -> None:
    """Without an origin a date is measured from this moment; the two searches are some moments apart."""
    query = {"function_score": {"query": TEA, "exp": {"published": {"scale": "3000d"}}, "boost_mode": "replace"}}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    async with with_signals(engine_url, signal("published", "exp", scale="3000d")) as url:
        ours = await found(url, library)
    expected = {hit["_id"]: hit["_score"] for hit in direct.hits}
    assert expected == pytest.approx({hit["_id"]: term(hit, "published")["value"] for hit in ours.hits}, abs=1e-5)


async def test_freshness_moves_a_hit_as_its_formula_says(engine_url: str, library: str) -> None:
    """The order is that of the sums of the terms that are told, and not the one without the signal."""
    async with with_signals(engine_url, weight=0.8) as url:
        before = await found(url, library)
    fresh = signal("published", "gauss", origin="2029-01-15", scale="1000d", weight=2.5)
    async with with_signals(engine_url, fresh, weight=0.8) as url:
        after = await found(url, library)
    relevance = {hit["_id"]: sum(each["contribution"] for each in hit["_rerank"]["terms"]) for hit in before.hits}
    day = 24 * 3600 * 1000

    def formula(id: str) -> float:
        days = sum(366 if year % 4 == 0 else 365 for year in range(2000 + int(id), 2029))
        return float(relevance[id] + 2.5 * math.exp((days * day) ** 2 * math.log(0.5) / (1000 * day) ** 2))

    assert sorted(relevance, key=formula, reverse=True) == after.ids
    assert before.ids != after.ids
    assert before.ids.index("29") > after.ids.index("29")


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"_source": False},
        {"_source": ["title"]},
        {"fields": ["title"]},
        {"fields": [{"field": "published", "format": "yyyy"}]},
        {"docvalue_fields": ["n"], "_source": ["body"]},
        {"highlight": {"fields": {"body": {}}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("fetch", ["once", "twice"])
async def test_fields_that_nobody_asked_for_are_not_shown(
    engine_url: str, library: str, view: dict[str, Any], fetch: str
) -> None:
    """A hit has what it has without us, whatever the caller looks at, and the terms are known all the same."""
    fresh = signal("published", "exp", origin="2010-01-01", scale="1000d", weight=1.5)
    body = {"query": TEA, "size": 12, **view}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={**body, **SIZE})
    plain = {hit["_id"]: {key: value for key, value in hit.items() if key != "_score"} for hit in direct.hits}
    async with with_signals(engine_url, fresh, fetch=fetch) as url:
        ours = await send(url, "POST", f"/{library}/_search", body=body)
        explained = await found(url, library, **view)
    assert "applied" == ours.outcome
    assert [plain[hit["_id"]] for hit in ours.hits] == [
        {key: value for key, value in hit.items() if key != "_score"} for hit in ours.hits
    ]
    if "fields" in view and isinstance(view["fields"][0], dict):
        return  # the caller's own form of the date is the one that there is to read
    assert [None] * BOOKS != [term(hit, "published")["raw"] for hit in explained.hits]


async def test_a_hit_without_the_field_gets_nothing_or_what_is_said(engine_url: str, index_name: str) -> None:
    """By default a missing value adds 0; `missing` is the value to take."""
    documents = [
        {"body": "tea one", "likes": 8},
        {"body": "tea and two"},
        {"body": "tea, three of it", "likes": [2, 9]},
    ]
    put_documents(engine_url, index_name, documents)
    async with with_signals(engine_url, signal("likes", "saturation", pivot=8)) as url:
        nothing = await found(url, index_name)
    async with with_signals(engine_url, signal("likes", "saturation", pivot=8, missing=24)) as url:
        said = await found(url, index_name)
    assert {"0": 0.5, "1": 0.0, "2": 0.2} == {hit["_id"]: term(hit, "likes")["value"] for hit in nothing.hits}
    assert {"0": 0.5, "1": 0.75, "2": 0.2} == {hit["_id"]: term(hit, "likes")["value"] for hit in said.hits}


@pytest.mark.parametrize(
    ("function", "parameters"),
    [("log", {"scaling_factor": 4}), ("saturation", {"pivot": 8}), ("sigmoid", {"pivot": 7, "exponent": 0.6})],
)
async def test_the_functions_of_rank_feature_are_the_engine_s(
    engine_url: str, index_name: str, function: str, parameters: dict[str, float]
) -> None:
    """As far as the nine bits go in which an index keeps a feature."""
    mapping = {"mappings": {"properties": {"body": {"type": "text"}, "likes": {"type": "rank_feature"}}}}
    documents = [{"body": f"tea{' leaf' * n}", "likes": n * n + 0.5} for n in range(8)]
    try:
        put_documents(engine_url, index_name, documents, mapping)
    except HTTPError as error:
        error.close()
        pytest.skip(f"this node has no rank_feature: {error}")
    query = {"rank_feature": {"field": "likes", function: parameters}}
    direct = await send(engine_url, "POST", f"/{index_name}/_search", body={"query": query, **SIZE})
    async with with_signals(engine_url, signal("likes", function, **parameters)) as url:
        ours = await found(url, index_name)
    expected = {hit["_id"]: hit["_score"] for hit in direct.hits}
    assert expected == pytest.approx({hit["_id"]: term(hit, "likes")["value"] for hit in ours.hits}, rel=0.01)


async def test_a_field_that_nobody_has_says_nothing(engine_url: str, library: str) -> None:
    """Of a number as of a date; the search is reranked all the same."""
    nowhere = (signal("nowhere", "log", weight=5), signal("nowhere.else", "gauss", scale="1d", weight=5))
    async with with_signals(engine_url, *nowhere) as url:
        ours = await found(url, library)
    assert "applied" == ours.outcome
    assert {0.0} == {each["contribution"] for hit in ours.hits for each in hit["_rerank"]["terms"][2:]}


async def test_a_date_that_is_none_leaves_the_search_to_the_engine(engine_url: str, library: str) -> None:
    """Which refuses to print a number as a date; its answer to the caller's own request stands."""
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": TEA})
    async with with_signals(engine_url, signal("n", "gauss", scale="1d")) as url:
        ours = await send(url, "POST", f"/{library}/_search", body={"query": TEA})
    assert ("skipped", "widening_refused", direct.ids) == (ours.outcome, ours.reason, ours.ids)


# --- pins ---------------------------------------------------------------------------------------------------


async def test_pins_by_id_stay_first_in_their_order(engine_url: str, library: str) -> None:
    """On every page; what comes after them is ranked as ever, and no pin is read by the model."""
    scorer = ShortestFirst()
    settings: dict[str, Any] = {"deadline": 0.0, "window": BOOKS, "pin_ids": ("17", "no such id", "4")}
    async with proxied(engine_url, scorer, **settings) as url:
        whole = await found(url, library)
        pages = [
            await send(url, "POST", f"/{library}/_search", body={"query": TEA, "from": n, "size": 5}) for n in (0, 5)
        ]
    assert ["17", "4"] == whole.ids[:2]
    assert whole.ids[:10] == [id for page in pages for id in page.ids]
    assert [True, True, None] == [hit["_rerank"].get("pinned") for hit in whole.hits[:3]]
    lengths = [len(hit["_source"]["body"]) for hit in whole.hits[2:]]
    assert sorted(lengths) == lengths
    scores = [hit["_score"] for hit in whole.hits]
    assert sorted(scores, reverse=True) == scores
    assert not any("word17" in text for text in scorer.texts)


async def test_a_request_pins_by_id(engine_url: str, library: str) -> None:
    """What is pinned depends on the words more often than on the index."""
    async with proxied(engine_url, LastFirst(), deadline=0.0) as url:
        body = {"query": TEA, "ext": {"rerank": {"pin_ids": ["12"]}}}
        answer = await send(url, "POST", f"/{library}/_search", body=body)
    assert ("applied", "12") == (answer.outcome, answer.ids[0])


async def test_pins_by_field_stay_first(engine_url: str, index_name: str) -> None:
    """Whatever the caller sees of the field."""
    documents = [{"body": "tea " * (9 - n), "promoted": n in (2, 5)} for n in range(8)]
    put_documents(engine_url, index_name, documents)
    async with proxied(engine_url, ShortestFirst(), deadline=0.0, pin_field="promoted") as url:
        answer = await send(url, "POST", f"/{index_name}/_search", body={"query": TEA, "_source": ["body"]})
    direct = await send(engine_url, "POST", f"/{index_name}/_search", body={"query": TEA})
    assert [id for id in direct.ids if id in ("2", "5")] == answer.ids[:2]
    assert all(set(hit) == {"_index", "_id", "_score", "_source"} for hit in answer.hits)
    assert {"body"} == {key for hit in answer.hits for key in hit["_source"]}


async def test_a_logarithm_is_the_engine_s(engine_url: str, library: str) -> None:
    """With a scaling factor of 1 it is what `field_value_factor` calls ln1p."""
    factor = {"field": "n", "modifier": "ln1p"}
    query = {"function_score": {"query": TEA, "field_value_factor": factor, "boost_mode": "replace"}}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    async with with_signals(engine_url, signal("n", "log")) as url:
        ours = await found(url, library)
    expected = {hit["_id"]: hit["_score"] for hit in direct.hits}
    assert expected == pytest.approx({hit["_id"]: term(hit, "n")["value"] for hit in ours.hits}, abs=1e-6)


async def test_scores_like_those_of_pins_are_pins(engine_url: str, library: str) -> None:
    """Which is how an engine without a `pinned` query pins: each id by a boost of its own, above 1.7e38."""
    pins = [
        {"constant_score": {"filter": {"ids": {"values": [id]}}, "boost": boost}}
        for id, boost in (("21", 1.9e38), ("3", 1.8e38))
    ]
    query = {"bool": {"must": TEA, "should": pins}}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    assert ["21", "3"] == direct.ids[:2]
    async with with_signals(engine_url, signal("n", "log")) as url:
        ours = await found(url, library, query=query)
    assert ("applied", ["21", "3"]) == (ours.outcome, ours.ids[:2])
    assert all(abs(term(hit, "first_stage")["value"]) < 5 for hit in ours.hits[2:])


async def test_what_the_engine_pins_stays_first(engine_url: str, library: str) -> None:
    """A search with the engine's own `pinned` query is reranked behind its pins, under any policy."""
    query = {"pinned": {"ids": ["21", "3"], "organic": TEA}}
    direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    if direct.status != 200:
        pytest.skip(f"this node has no pinned query: {direct.json['error']['reason']}")
    async with proxied(engine_url, ShortestFirst(), deadline=0.0, window=BOOKS) as url:
        ours = await send(url, "POST", f"/{library}/_search", body={"query": query, **SIZE})
    assert ("applied", ["21", "3"]) == (ours.outcome, ours.ids[:2])
    lengths = [len(hit["_source"]["body"]) for hit in ours.hits[2:]]
    assert sorted(lengths) == lengths


# --- diversity ----------------------------------------------------------------------------------------------


async def test_no_run_of_places_has_too_many_of_a_kind(engine_url: str, library: str) -> None:
    """Of three shelves two hits each in every six places; nothing is lost, and scores fall."""
    settings: dict[str, Any] = {"deadline": 0.0, "window": BOOKS, "diversify_by": "shelf", "diversify_within": 6}
    async with proxied(engine_url, ShortestFirst(), **settings) as url:
        whole = await found(url, library)
        page = await send(
            url, "POST", f"/{library}/_search", body={"query": TEA, "from": 3, "size": 7, "_source": False}
        )
    shelves = [hit["_source"]["shelf"] for hit in whole.hits]
    for start in range(0, BOOKS, 6):
        assert {2} == {shelves[start : start + 6].count(shelf) for shelf in set(shelves)}
    assert BOOKS == len(set(whole.ids))
    assert whole.ids[3:10] == page.ids
    assert not any("fields" in hit for hit in page.hits)
    scores = [hit["_score"] for hit in whole.hits]
    assert sorted(scores, reverse=True) == scores
