"""What was recorded of searches, and which of them are the same."""

from datetime import UTC, datetime

import pytest

from sidecar.replay.recorded import (
    ASYNC,
    NO_SEARCH,
    NOT_JSON,
    TEMPLATE,
    Collector,
    Found,
    Recording,
    Unreplayable,
    search,
    searches,
)


def recorded(*founds: Found) -> Recording:
    """Return the recording of what was found."""
    collector = Collector()
    for found in founds:
        collector.add(found)
    return collector.recording("a file")


def tea(size: int = 10, **more: object) -> Found:
    """Return a search for tea."""
    return Found(request=search("books", {"query": {"match": {"text": "tea"}}, "size": size}), **more)  # type: ignore[arg-type]


def test_the_same_search_counts_as_often_as_it_was_sent() -> None:
    """White space tells none apart; another size does."""
    spaced = Found(request=search("books", '{ "query": {"match": {"text": "tea"}}, "size": 10 }'))
    found = recorded(tea(), tea(), spaced, tea(size=20))
    assert [3, 1] == [one.count for one in found.searches]
    assert 4 == found.sent


def test_the_parts_of_a_search_count_once() -> None:
    """Two shards and two phases, of which one was too fast to be logged the second time."""
    parts = ["0 query", "1 query", "0 fetch", "1 fetch", "0 query", "1 query", "1 fetch"]
    found = recorded(*(tea(part=part, seconds=place / 10) for place, part in enumerate(parts)))
    assert [(2, 0.6)] == [(one.count, one.seconds) for one in found.searches]


def test_the_time_from_the_first_to_the_last_gives_searches_a_second() -> None:
    """However they are ordered."""
    times = [datetime(2026, 1, 1, 12, 0, second, tzinfo=UTC) for second in (4, 0, 2)]
    assert 0.75 == recorded(*(tea(time=time) for time in times)).per_second
    assert recorded(tea(), tea()).per_second is None


def test_a_sample_is_drawn_by_how_often_searches_were_sent() -> None:
    """The same for the same files, and never more of one than there were."""
    found = recorded(*(tea(size=size) for size in range(1, 11) for _ in range(size)))
    sampled = found.sample(30)
    assert 30 == sampled.sent
    assert sampled == found.sample(30)
    whole = {one.request.body: one.count for one in found.searches}
    assert all(one.count <= whole[one.request.body] for one in sampled.searches)
    assert found is found.sample(None) is found.sample(1000)


def test_one_by_one_sends_equal_ones_in_rounds() -> None:
    """So that none follows itself while there are others."""
    found = recorded(tea(), tea(), tea(size=20)).one_by_one()
    assert [10, 20, 10] == [int(one.request.body.rpartition(b" ")[2][:-1]) for one in found.searches]
    assert {1} == {one.count for one in found.searches}


def test_what_only_changes_the_look_of_an_answer_is_left_out() -> None:
    """Other parameters stay as they are."""
    params = [("pretty", ""), ("filter_path", "hits.hits._id"), ("routing", "a b"), ("size", "3")]
    assert "/books%2A/_search?routing=a+b&size=3".replace("%2A", "*") == search("books*", {}, params).target


def test_another_index_is_searched_instead() -> None:
    """In place of the recorded one."""
    (found,) = searches("GET", "/books/_search?q=tea", "", instead="library")
    assert ("POST", "/library/_search?q=tea") == (found.method, found.target)


def test_the_items_of_an_msearch_are_searches() -> None:
    """Each over its own index, or that of the URL; their settings become parameters."""
    lines = '{"index": ["a", "b"], "routing": "x"}\n{"query": {}}\n{}\n{"size": 1}\n'
    found = list(searches("POST", "/books/_msearch", lines))
    assert ["/a,b/_search?routing=x", "/books/_search"] == [one.target for one in found]
    assert [b'{"query": {}}', b'{"size": 1}'] == [one.body for one in found]


@pytest.mark.parametrize(
    ("method", "target", "body", "why"),
    [
        ("POST", "/books/_doc", "{}", NO_SEARCH),
        ("DELETE", "/books/_search", "{}", NO_SEARCH),
        ("PUT", "/books/_search", "{}", NO_SEARCH),
        ("POST", "/books/_delete_by_query", "{}", NO_SEARCH),
        ("POST", "/_search/scroll", "{}", NO_SEARCH),
        ("POST", "/books/_search/template", "{}", TEMPLATE),
        ("POST", "/books/_async_search", "{}", ASYNC),
        ("POST", "/books/_search", '{"query": {"ma', NOT_JSON),
        ("POST", "/books/_search", "[]", NOT_JSON),
        ("POST", "/_msearch", '{"index\n{}\n', NOT_JSON),
    ],
)
def test_nothing_but_a_search_is_sent(method: str, target: str, body: str, why: str) -> None:
    """Above all nothing that writes."""
    with pytest.raises(Unreplayable) as caught:
        list(searches(method, target, body))
    assert why == str(caught.value)
