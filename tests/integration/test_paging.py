"""Pages fit together: however a caller cuts the ranking up, every hit is on one page, and always with one `_score`."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.integration.books import BOOKS, call, put_documents, texts_of
from tests.integration.pages import RawPage, differences, shortest_first
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, same_but_time, send

QUERY: Mapping[str, Any] = {"match": {"body": "tea"}}
TEXTS = texts_of("body")

SETTINGS = [
    pytest.param({"window": 100}, id="a window larger than the result"),
    pytest.param({"window": BOOKS}, id="a window as large as the result"),
    pytest.param({"window": 12}, id="a window in the middle"),
    pytest.param({"window": 1}, id="a window of one"),
    pytest.param({"window": 20, "token_budget": 300}, id="a budget that cuts the window"),
    pytest.param({"window": 20, "fusion": "linear"}, id="linear fusion"),
    pytest.param({"window": 20, "fusion": "rrf"}, id="reciprocal ranks"),
    pytest.param({"window": 20, "explain": True}, id="explained"),
]


def cuts() -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of first pages: inside, across, at the edge of and beyond every window of SETTINGS."""
    for size in (1, 4, 6, 10):
        yield from ((offset, size) for offset in range(0, BOOKS + size, size))
    yield from [(3, 5), (11, 1), (12, 4), (9, 9), (19, 2), (25, 100), (29, 1), (30, 3), (95, 10)]


async def page(url: str, index: str, offset: int, size: int, **body: Any) -> Answer:
    """Return one page."""
    return await send(
        url, "POST", f"/{index}/_search", body={"query": QUERY, "from": offset, "size": size, "_source": ["n"], **body}
    )


@pytest.mark.parametrize("options", SETTINGS)
async def test_two_pages_are_one_of_double_size(engine_url: str, library: str, options: Mapping[str, Any]) -> None:
    """Every page is a slice of the one ranking, `_score`s included, wherever it begins and ends."""
    async with proxied(engine_url, ShortestFirst(), **options) as proxy:
        whole = RawPage((await page(proxy, library, 0, BOOKS)).body)
        ranking = [hit.text for hit in whole.hits]
        assert sorted(map(str, range(BOOKS))) == sorted(map(str, whole.ids))
        for offset, size in cuts():
            first, second = await page(proxy, library, offset, size), await page(proxy, library, offset + size, size)
            double = await page(proxy, library, offset, 2 * size)
            pieces = [hit.text for answer in (first, second) for hit in RawPage(answer.body).hits]
            assert {"applied"} == {answer.outcome for answer in (first, second, double)}, (offset, size)
            assert [hit.text for hit in RawPage(double.body).hits] == pieces, (offset, size)
            assert ranking[offset : offset + 2 * size] == pieces, (offset, size)


@pytest.mark.parametrize("options", SETTINGS)
async def test_scores_fall_over_all_pages(engine_url: str, library: str, options: Mapping[str, Any]) -> None:
    """They are comparable between pages, positive, and none is above its page's `max_score`."""
    scores: list[float] = []
    async with proxied(engine_url, ShortestFirst(), **options) as proxy:
        for offset in range(0, BOOKS, 7):
            cut = RawPage((await page(proxy, library, offset, 7)).body)
            assert cut.max_score is not None
            assert cut.max_score >= max(cut.scores)
            scores += cut.scores
    assert BOOKS == len(scores)
    assert sorted(scores, reverse=True) == scores
    assert all(0 < score < 2 for score in scores)
    window = options["window"]
    beyond = scores[window:]
    assert all(score < 1 for score in beyond)
    assert len(set(beyond)) == len(beyond)
    if "token_budget" not in options:
        assert all(score > 1 for score in scores[:window])
    else:
        assert 1 < sum(score > 1 for score in scores) < window


@pytest.mark.parametrize("window", [1, 12, BOOKS, 100])
async def test_a_page_is_the_engine_s_but_for_the_order(engine_url: str, library: str, window: int) -> None:
    """By length inside the window and as the engine has them behind it; totals and hits keep their bytes."""
    async with proxied(engine_url, ShortestFirst(), window=window) as proxy:
        everything = await page(engine_url, library, 0, BOOKS)
        order = shortest_first(RawPage(everything.body), TEXTS, window)
        for offset, size in cuts():
            got, own = await page(proxy, library, offset, size), await page(engine_url, library, offset, size)
            wrong = differences(got.body, own.body, everything.body, order[offset : offset + size])
            assert not wrong, (offset, size, wrong)


async def test_a_page_beyond_the_window_asks_no_model(engine_url: str, library: str) -> None:
    """The engine is asked for that page alone, and the marker says that nothing was scored."""
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, window=10) as proxy:
        got = await page(proxy, library, 10, 5)
        own = await page(engine_url, library, 10, 5)
    assert "applied; candidates=0; window=10" == got.marker
    assert [] == scorer.texts
    assert own.ids == got.ids
    assert 2.0 == got.json["hits"]["max_score"]


async def test_offset_and_size_never_change_what_is_scored(engine_url: str, library: str) -> None:
    """The same texts, whether the page is small, large, or across the edge of the window."""
    seen: set[tuple[str, ...]] = set()
    for offset, size in [(0, 1), (0, 10), (0, 100), (5, 5), (9, 10), (3, 27)]:
        scorer = ShortestFirst()
        async with proxied(engine_url, scorer, window=10) as proxy:
            got = await page(proxy, library, offset, size)
        assert "applied; candidates=10; window=10; model=shortest-first" == got.marker
        seen.add(tuple(scorer.texts))
    assert 1 == len(seen)
    assert 10 == len(seen.pop())


PLACES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "body": ("", {"from": 4, "size": 3}),
    "URL": ("?from=4&size=3", {}),
    "URL wins": ("?size=3&from=4", {"from": 0, "size": 25}),
    "one of each": ("?from=4", {"size": 3}),
    "floats and strings": ("", {"from": "4", "size": 3.0}),
}
"""Where a caller may say which page it wants: query string and members of the body."""


@pytest.mark.parametrize("place", PLACES)
async def test_the_page_may_be_named_in_the_url_or_in_the_body(engine_url: str, library: str, place: str) -> None:
    """As the engine reads it."""
    parameters, more = PLACES[place]
    target, body = f"/{library}/_search{parameters}", {"query": QUERY, **more}
    async with proxied(engine_url, LastFirst(), window=20) as proxy:
        got, own = await send(proxy, "POST", target, body=body), await send(engine_url, "POST", target, body=body)
    everything = await send(engine_url, "POST", f"/{library}/_search", body={"query": QUERY, "size": BOOKS})
    if own.status == 200:
        order = everything.ids[:20][::-1] + everything.ids[20:]
        assert [] == differences(got.body, own.body, everything.body, order[4:7]), got.marker
    else:
        assert same_but_time(own) == same_but_time(got)


async def test_pages_fit_with_hits_that_have_no_text(engine_url: str, index_name: str) -> None:
    """A hit without text keeps its place, on whatever page that is."""
    documents = [{"tag": "tea " * (20 - n), **({"text": "x" * (40 - n)} if n % 3 else {})} for n in range(20)]
    put_documents(engine_url, index_name, documents)
    body = {"query": {"match": {"tag": "tea"}}, "ext": {"rerank": {"fields": ["text"], "window": 15}}}
    async with proxied(engine_url, ShortestFirst()) as proxy:
        pages = [
            RawPage((await send(proxy, "POST", f"/{index_name}/_search?from={offset}&size=3", body=body)).body)
            for offset in range(0, 21, 3)
        ]
    own = RawPage(
        (await send(engine_url, "POST", f"/{index_name}/_search?size=20", body={"query": body["query"]})).body
    )
    texts = {str(n): str(document.get("text", "")) for n, document in enumerate(documents)}
    order = shortest_first(own, texts, window=15)
    assert own.ids != order
    assert order == [found for one in pages for found in one.ids]
    scores = [score for one in pages for score in one.scores]
    assert sorted(scores, reverse=True) == scores


async def test_pages_fit_over_several_shards_and_indices(engine_url: str, index_name: str, library: str) -> None:
    """Ties of first-stage scores and equal `_id`s of different indices neither lose nor repeat a hit."""
    mapping = {"settings": {"number_of_shards": 3, "number_of_replicas": 0}}
    put_documents(engine_url, index_name, [{"body": f"tea and {n % 4} biscuits"} for n in range(BOOKS)], mapping)
    async with proxied(engine_url, ShortestFirst(), window=25) as proxy:
        names = f"{library},{index_name}"
        whole = await page(proxy, names, 0, 2 * BOOKS)
        pages = [await page(proxy, names, offset, 7) for offset in range(0, 2 * BOOKS, 7)]
    hits = [hit.text for answer in pages for hit in RawPage(answer.body).hits]
    assert [hit.text for hit in RawPage(whole.body).hits] == hits
    names_and_ids = {(hit["_index"], hit["_id"]) for hit in whole.hits}
    assert {(name, str(n)) for name in (library, index_name) for n in range(BOOKS)} == names_and_ids
    assert 2 * BOOKS == len(hits)


async def test_min_score_means_the_same_on_every_page(engine_url: str, library: str) -> None:
    """What was not scored is left out; what was, and is good enough, is on exactly one page."""
    async with proxied(engine_url, ShortestFirst(), window=20, min_score=0.2) as proxy:
        everything = RawPage((await page(engine_url, library, 0, BOOKS)).body)
        longest = 100 * math.log(1 / 0.2 - 1)  # the model score is -length / 100, its sigmoid the probability
        good = [found for found in shortest_first(everything, TEXTS, 20)[:20] if len(TEXTS[found]) <= longest]
        assert 3 < len(good) < 20
        pages = [await page(proxy, library, offset, 3) for offset in range(0, BOOKS + 3, 3)]
    assert good == [found for answer in pages for found in answer.ids]
    assert all("dropped=" in answer.marker for answer in pages[:6])


async def test_the_engine_s_own_limit_stays(engine_url: str, library: str, index_name: str) -> None:
    """A page beyond `max_result_window` is the engine's to refuse; so is a window, and then the page comes unranked."""
    async with proxied(engine_url, ShortestFirst(), window=100) as proxy:
        for offset, size, outcome in [(9_995, 10, "skipped"), (9_990, 10, "applied"), (10_000, 0, "skipped")]:
            got, own = await page(proxy, library, offset, size), await page(engine_url, library, offset, size)
            assert outcome == got.outcome, (offset, size, got.marker)
            assert own.status == got.status
            if outcome == "skipped":
                assert same_but_time(own) == same_but_time(got)
    put_documents(
        engine_url, index_name, [{"body": "tea " * (n + 1)} for n in range(30)], {"settings": {"max_result_window": 20}}
    )
    assert 30 == call(engine_url, "GET", f"/{index_name}/_count")["count"]
    async with proxied(engine_url, ShortestFirst(), window=100) as proxy:
        got, own = await page(proxy, index_name, 0, 20), await page(engine_url, index_name, 0, 20)
    assert ("skipped", "widening_refused") == (got.outcome, got.reason)
    assert same_but_time(own) == same_but_time(got)
