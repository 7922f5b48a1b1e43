"""What callers and operators may say about reranking: settings, policies, fusions, thresholds, explanations."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from sidecar.policy import IndexPolicy, Policy
from sidecar.types import RerankOptions, SearchRecord
from tests.integration.books import BOOKS, book, call, put_documents, texts_of
from tests.integration.pages import RawPage, differences, shortest_first
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import same_but_time, send

Body = Mapping[str, Any]

BOOK = [json.loads(book(n)) for n in range(BOOKS)]
TEA: Body = {"match": {"body": "tea"}}

# --- the caller's settings ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting in the body and in headers, and what it makes of a search for tea."""

    ext: Body
    headers: Mapping[str, str] | None = None
    window: int = 100
    texts: Mapping[str, str] = field(default_factory=lambda: texts_of("body"))
    words: str = "tea"
    marker: str = ""


SETTINGS: Mapping[str, Setting] = {
    "nothing": Setting(ext={}, headers={}, marker="window=100"),
    "on": Setting(ext={"enabled": True}, headers={"X-Rerank": "on"}),
    "window": Setting(ext={"window": 8}, headers={"X-Rerank-Window": "8"}, window=8, marker="candidates=8; window=8"),
    "one field": Setting(ext={"fields": ["note"]}, headers={"X-Rerank-Fields": "note"}, texts=texts_of("note")),
    "fields": Setting(
        ext={"fields": ["body", "author.country^2"]},
        headers={"x-rerank-fields": "body, author.country"},
        texts=texts_of("body", "author.country"),
    ),
    "nested field": Setting(
        ext={"fields": ["chapters.heading", "body"]},
        headers={"X-Rerank-Fields": "chapters.heading,body"},
        texts=texts_of("chapters.heading", "body"),
    ),
    "template": Setting(
        ext={"template": "{title}: {body}!"},
        texts={str(n): f"{document['title']}: {document['body']}!" for n, document in enumerate(BOOK)},
    ),
    "query_text": Setting(
        ext={"query_text": "what do they drink?"},
        headers={"X-Rerank-Query": "what do they drink?"},
        words="what do they drink?",
    ),
    "fusion": Setting(ext={"fusion": "model_only"}, headers={"X-Rerank-Fusion": "MODEL_ONLY"}),
    "deadline": Setting(ext={"deadline_ms": 0}, headers={"X-Rerank-Deadline-Ms": "60000.5"}),
    "many": Setting(
        ext={"window": 12, "fields": ["body"], "min_score": 0, "on_failure": "error", "explain": False},
        headers={
            "X-Rerank": "on",
            "X-Rerank-Window": "12",
            "X-Rerank-Fields": "body",
            "X-Rerank-Min-Score": "0.0",
            "X-Rerank-On-Failure": "error",
            "X-Rerank-Explain": "off",
        },
        window=12,
        marker="candidates=12; window=12",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_the_caller_s_settings_count_wherever_they_stand(engine_url: str, library: str, name: str) -> None:
    """`ext.rerank` and `X-Rerank-…` mean the same; neither reaches the engine, which would refuse the first."""
    setting = SETTINGS[name]
    target, plain = f"/{library}/_search", {"query": TEA, "size": 6}
    own = await send(engine_url, "POST", target, body=plain)
    everything = RawPage((await send(engine_url, "POST", target, body={**plain, "size": BOOKS})).body)
    if "min_score" in setting.ext:  # what was not scored is left out
        order = shortest_first(everything, setting.texts, setting.window)[: setting.window]
    else:
        order = shortest_first(everything, setting.texts, setting.window)
    asked: list[tuple[Body, Mapping[str, str]]] = [({**plain, "ext": {"rerank": setting.ext}}, {})]
    asked += [] if setting.headers is None else [(plain, setting.headers)]
    for body, headers in asked:
        scorer = ShortestFirst()
        async with proxied(engine_url, scorer, enabled=True) as proxy:
            got = await send(proxy, "POST", target, body=body, headers=headers)
        assert "applied" == got.outcome, got.marker
        assert setting.marker in got.marker
        assert {setting.words} == set(scorer.queries)
        assert sorted(setting.texts[str(found)] for found in everything.ids[: setting.window]) == sorted(scorer.texts)
        assert [] == differences(got.body, own.body, everything.text, order[:6])


async def test_headers_win_over_the_body_and_both_over_the_policy(engine_url: str, library: str) -> None:
    """Each overrides what it names and nothing else."""
    body = {"query": TEA, "ext": {"rerank": {"window": 7, "query_text": "of the body"}}}
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, window=3, enabled=False, fields=("note",)) as proxy:
        got = await send(
            proxy, "POST", f"/{library}/_search", body=body, headers={"X-Rerank": "on", "X-Rerank-Window": "9"}
        )
    assert "applied; candidates=9; window=9; model=shortest-first" == got.marker
    assert {"of the body"} == set(scorer.queries)
    assert set(scorer.texts) <= set(texts_of("note").values())


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_page_and_settings_may_stand_in_the_source_parameter(engine_url: str, library: str, method: str) -> None:
    """A whole search in the URL, for clients that cannot send a body."""
    plain = {"query": TEA, "from": 2, "size": 4, "_source": ["n"]}
    target = f"/{library}/_search?source_content_type=application/json&source="
    ours = {**plain, "ext": {"rerank": {"window": 10, "fields": ["note", "body"]}}}
    scorer = LastFirst()
    async with proxied(engine_url, scorer) as proxy:
        got = await send(proxy, method, target + quote(json.dumps(ours)))
    own = await send(engine_url, method, target + quote(json.dumps(plain)))
    everything = await send(engine_url, "POST", f"/{library}/_search", body={**plain, "from": 0, "size": BOOKS})
    assert "applied; candidates=10; window=10; model=shortest-first" == got.marker
    assert sorted(texts_of("note", "body")[found] for found in everything.ids[:10]) == sorted(scorer.texts)
    assert [] == differences(got.body, own.body, everything.body, everything.ids[:10][::-1][2:6])


@pytest.mark.parametrize("more", [{"ext": {"other": {}}}, {"ext": {}}, {}])
async def test_only_our_part_of_ext_is_taken_out(engine_url: str, library: str, more: Body) -> None:
    """What else stands in `ext` is the engine's to judge."""
    ext = {"rerank": {"window": 10}, **more.get("ext", {})}
    body = {"query": TEA, **more}
    async with proxied(engine_url, LastFirst()) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body={**body, "ext": ext})
    own = await send(engine_url, "POST", f"/{library}/_search", body=body)
    if own.status == 200:
        assert own.ids[::-1] == got.ids
    else:
        assert (own.status, own.body) == (got.status, got.body)


BAD: Mapping[str, tuple[Any, Mapping[str, str], str]] = {
    "unknown key": ({"windows": 10}, {}, "ext.rerank.windows"),
    "an address": ({"url": "http://example.invalid"}, {}, "ext.rerank.url"),
    "a model": ({"model": "/etc/passwd"}, {}, "ext.rerank.model"),
    "window of none": ({"window": 0}, {}, "ext.rerank.window"),
    "window too large": ({"window": 1001}, {}, "ext.rerank.window"),
    "a broken window": ({"window": 1.5}, {}, "ext.rerank.window"),
    "window no number": ({"window": "many"}, {}, "ext.rerank.window"),
    "no object": (True, {}, "ext.rerank"),
    "fields no names": ({"fields": [1]}, {}, "ext.rerank.fields"),
    "no fields": ({"fields": []}, {}, "ext.rerank.fields"),
    "unknown fusion": ({"fusion": "sum"}, {}, "ext.rerank.fusion"),
    "weight": ({"weight": 1.1}, {}, "ext.rerank.weight"),
    "min_score": ({"min_score": -0.1}, {}, "ext.rerank.min_score"),
    "unknown header": ({}, {"X-Rerank-Windows": "10"}, "X-Rerank-Windows"),
    "header window": ({}, {"X-Rerank-Window": "ten"}, "X-Rerank-Window"),
    "header not a switch": ({}, {"X-Rerank": "perhaps"}, "X-Rerank"),
    "header NaN": ({}, {"X-Rerank-Min-Score": "nan"}, "X-Rerank-Min-Score"),
}


async def test_settings_that_make_no_sense_are_the_caller_s_error(engine_url: str, library: str) -> None:
    """HTTP 400 in the engine's dialect, which names the setting."""
    async with proxied(engine_url, ShortestFirst()) as proxy:
        for name, (ext, headers, word) in BAD.items():
            body = {"query": TEA, "ext": {"rerank": ext}}
            got = await send(proxy, "POST", f"/{library}/_search", body=body, headers=headers)
            assert (400, "skipped", "bad_request") == (got.status, got.outcome, got.reason), name
            assert 400 == got.json["status"], name
            assert "illegal_argument_exception" == got.json["error"]["root_cause"][0]["type"], name
            assert word in got.json["error"]["reason"], name


DOUBTFUL: Mapping[str, tuple[Body, Mapping[str, str]]] = {
    "field_value_factor": (
        {"query": {"function_score": {"query": TEA, "field_value_factor": {"field": "n", "missing": 1}}}},
        {},
    ),
    "distance_feature": (
        {
            "query": {
                "bool": {
                    "must": TEA,
                    "should": {"distance_feature": {"field": "published", "pivot": "900d", "origin": "2010-01-01"}},
                }
            }
        },
        {},
    ),
    "Kibana": ({"query": TEA}, {"X-Elastic-Product-Origin": "kibana"}),
    "Dashboards": ({"query": TEA}, {"x-opensearch-product-origin": "opensearch-dashboards"}),
}


@pytest.mark.parametrize("name", DOUBTFUL)
async def test_the_doubtful_is_reranked_when_the_caller_insists(engine_url: str, library: str, name: str) -> None:
    """By `X-Rerank: on` or `ext.rerank`, and not without."""
    body, headers = DOUBTFUL[name]
    target = f"/{library}/_search"
    async with proxied(engine_url, LastFirst()) as proxy:
        alone = await send(proxy, "POST", target, body=body, headers=headers)
        own = await send(engine_url, "POST", target, body=body, headers=headers)
        everything = await send(engine_url, "POST", target, body={**body, "size": BOOKS}, headers=headers)
        by_header = await send(proxy, "POST", target, body=body, headers={**headers, "X-Rerank": "on"})
        by_ext = await send(proxy, "POST", target, body={**body, "ext": {"rerank": {}}}, headers=headers)
    assert "skipped" == alone.outcome
    assert same_but_time(own) == same_but_time(alone)
    for got in (by_header, by_ext):
        assert "applied" == got.outcome, got.marker
        assert [] == differences(got.body, own.body, everything.body, everything.ids[::-1][:10])


async def test_an_operator_s_mixed_fusion_takes_custom_rankings_along(engine_url: str, library: str) -> None:
    """Under `linear` or `rrf` the caller's own ranking counts, so it can be fused."""
    body = DOUBTFUL["field_value_factor"][0]
    for fusion, outcome in {"linear": "applied", "rrf": "applied", "model_only": "skipped"}.items():
        async with proxied(engine_url, ShortestFirst(), fusion=fusion) as proxy:
            assert outcome == (await send(proxy, "POST", f"/{library}/_search", body=body)).outcome, fusion


# --- scores -------------------------------------------------------------------------------------------------


def sigmoid(x: float) -> float:
    """Return the logistic function."""
    return 1 / (1 + math.exp(-x))


def z(values: list[float]) -> list[float]:
    """Return standard scores."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / deviation for value in values]


def fused(fusion: str, weight: float, model: list[float], engine: list[float]) -> list[float]:
    """Return `_score`s as docs and papers define them."""
    if fusion == "model_only":
        return [1 + sigmoid(score) for score in model]
    if fusion == "linear":
        return [1 + sigmoid(weight * a + (1 - weight) * b) for a, b in zip(z(model), z(engine), strict=True)]
    by_model = sorted(range(len(model)), key=lambda i: -model[i])
    ranks = {index: rank for rank, index in enumerate(by_model, start=1)}
    return [1 + (1 / (60 + i + 1) + 1 / (60 + ranks[i])) * 61 / 2 for i in range(len(model))]


@pytest.mark.parametrize(
    ("fusion", "weight"), [("model_only", None), ("linear", None), ("linear", 0.25), ("linear", 0.0), ("rrf", None)]
)
async def test_fusion_follows_its_formula(engine_url: str, library: str, fusion: str, weight: float | None) -> None:
    """The scores of the page are those of the formula, over the window, from the engine's scores and the model's."""
    ext = {"fusion": fusion} | ({} if weight is None else {"weight": weight})
    body = {"query": {"match": {"body": "tea leaves"}}, "size": BOOKS}
    async with proxied(engine_url, ShortestFirst(), window=20) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body={**body, "ext": {"rerank": ext}})
    own = await send(engine_url, "POST", f"/{library}/_search", body=body)
    assert "applied" == got.outcome
    window = own.hits[:20]
    model = [-len(hit["_source"]["body"]) / 100 for hit in window]
    scores = fused(fusion, 0.9 if weight is None else weight, model, [hit["_score"] for hit in window])
    expected = {hit["_id"]: score for hit, score in zip(window, scores, strict=True)}
    assert pytest.approx(expected) == {hit["_id"]: hit["_score"] for hit in got.hits[:20]}
    assert sorted(expected, key=lambda found: -expected[found]) == got.ids[:20]
    assert own.ids[20:] == got.ids[20:]
    assert max(scores) == pytest.approx(got.json["hits"]["max_score"])


async def test_explain_says_how_each_hit_came_to_its_place(engine_url: str, library: str) -> None:
    """Ranks before and after, scores, and the text that the model saw; nothing of it without being asked."""
    target, body = f"/{library}/_search", {"query": TEA, "from": 2, "size": 12}
    async with proxied(engine_url, ShortestFirst(), window=10) as proxy:
        got = await send(proxy, "POST", target, body=body, headers={"X-Rerank-Explain": "true"})
        plain = await send(proxy, "POST", target, body=body)
    everything = await send(engine_url, "POST", target, body={"query": TEA, "size": BOOKS})
    assert all("_rerank" not in hit for hit in plain.hits)
    for position, (hit, without) in enumerate(zip(got.hits, plain.hits, strict=True), start=3):
        told = hit.pop("_rerank")
        assert without == hit
        first_rank = everything.ids.index(hit["_id"]) + 1
        assert (position, first_rank) == (told["rank"], told["first_stage_rank"])
        if position > 10:
            assert {None} == {told[name] for name in ("first_stage_score", "model_score", "fused_score", "text")}
        else:
            assert everything.hits[first_rank - 1]["_score"] == told["first_stage_score"]
            assert hit["_source"]["body"] == told["text"]
            assert -len(told["text"]) / 100 == told["model_score"]
            assert hit["_score"] == pytest.approx(1 + told["fused_score"])


async def test_min_score_leaves_out_what_the_model_finds_unlikely(engine_url: str, library: str) -> None:
    """On the model's probability; totals stay the engine's."""
    target, body = f"/{library}/_search", {"query": TEA, "size": BOOKS}
    own = await send(engine_url, "POST", target, body=body)
    async with proxied(engine_url, ShortestFirst()) as proxy:
        for threshold in (0.0, 0.2, 0.35, 0.9):
            got = await send(proxy, "POST", target, body=body, headers={"X-Rerank-Min-Score": str(threshold)})
            good = {hit["_id"] for hit in own.hits if sigmoid(-len(hit["_source"]["body"]) / 100) >= threshold}
            assert "applied" == got.outcome
            assert good == set(got.ids), threshold
            assert own.json["hits"]["total"] == got.json["hits"]["total"]
            assert (None if not good else got.hits[0]["_score"]) == got.json["hits"]["max_score"]


# --- policies -----------------------------------------------------------------------------------------------


async def test_policies_say_which_index_is_reranked_and_how(engine_url: str, library: str, index_name: str) -> None:
    """The first policy whose patterns match every name of the request decides; the defaults hold for the rest."""
    put_documents(engine_url, index_name, [{"body": "tea " * n + "milk " * n * n} for n in range(1, 5)])
    call(engine_url, "PUT", f"/{library}/_alias/alias-of-{index_name}")
    policy = Policy(
        defaults=RerankOptions(enabled=False),
        policies=(
            IndexPolicy(indices=(f"{library}-never",), overrides={"enabled": True, "window": 2}),
            IndexPolicy(indices=("library-*",), overrides={"enabled": True, "window": 7, "fields": ("note",)}),
            IndexPolicy(indices=(library,), overrides={"enabled": True, "window": 3}),
            IndexPolicy(indices=("library-*", f"{index_name}?", "test-*"), overrides={"enabled": True, "window": 9}),
        ),
    )
    markers = {
        library: "applied; candidates=7; window=7; model=shortest-first",
        f"{library}*": "applied; candidates=7; window=7; model=shortest-first",
        index_name: "applied; candidates=4; window=9; model=shortest-first",
        f"{library},{index_name}": "applied; candidates=9; window=9; model=shortest-first",
        f"{library},-{index_name}": "applied; candidates=7; window=7; model=shortest-first",
        f"alias-of-{index_name}": "skipped; reason=off",
        f"{library},alias-of-{index_name}": "skipped; reason=off",
        "_all": "skipped; reason=off",
        "*": "skipped; reason=off",
    }
    async with proxied(engine_url, ShortestFirst(), policy=policy) as proxy:
        for names, marker in markers.items():
            got = await send(proxy, "POST", f"/{names}/_search?ignore_unavailable=true", body={"query": TEA})
            assert marker == got.marker, names
        assert "skipped; reason=off" == (await send(proxy, "POST", "/_search", body={"query": TEA})).marker
        insisting = await send(
            proxy, "POST", f"/alias-of-{index_name}/_search", body={"query": TEA}, headers={"X-Rerank": "on"}
        )
        assert "applied" == insisting.outcome


async def test_a_policy_s_fields_and_template_are_scored(engine_url: str, library: str) -> None:
    """Whatever the query searches; the answer is none the wiser."""
    target = f"/{library}/_search"
    own = await send(engine_url, "POST", target, body={"query": TEA, "_source": False})
    everything = await send(engine_url, "POST", target, body={"query": TEA, "_source": False, "size": BOOKS})
    for options, texts in (
        ({"fields": ("author.country", "body")}, texts_of("author.country", "body")),
        ({"template": "<{title}>"}, {str(n): f"<{document['title']}>" for n, document in enumerate(BOOK)}),
    ):
        scorer = ShortestFirst()
        async with proxied(engine_url, scorer, **options) as proxy:
            got = await send(proxy, "POST", target, body={"query": TEA, "_source": False})
        assert sorted(texts.values()) == sorted(scorer.texts)
        order = shortest_first(RawPage(everything.body), texts, window=100)
        assert [] == differences(got.body, own.body, everything.body, order[:10])


async def test_every_search_is_observed(engine_url: str, library: str) -> None:
    """One record per search, with what the marker says and how long the stages took."""
    records: list[SearchRecord] = []
    async with proxied(engine_url, ShortestFirst(), observe=records.append, window=10) as proxy:
        await send(proxy, "POST", f"/{library}/_search", body={"query": TEA})
        await send(proxy, "POST", f"/{library}/_search", body={"query": {"match_all": {}}})
    assert [("applied", None, 10, 10), ("skipped", "no_free_text", 0, 0)] == [
        (record.outcome.value, record.reason, record.candidates, record.window) for record in records
    ]
    assert records[0].first_stage_seconds is not None
    assert records[0].second_stage_seconds is not None
