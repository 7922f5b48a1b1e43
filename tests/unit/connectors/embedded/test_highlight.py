"""Highlighting: the searched words, marked in the text as it was given."""

from typing import Any

import pytest

from tests.unit.connectors.embedded.asking import Asker

TEXT = "The Running river. Nobody runs here! Tea grows beside the river, they say."
MAPPING = {
    "mappings": {
        "properties": {
            "title": {"type": "text", "fields": {"english": {"type": "text", "analyzer": "english"}}},
            "body": {"type": "text"},
            "tag": {"type": "keyword"},
        }
    }
}


@pytest.fixture
async def books(engine: Asker) -> Asker:
    """One book."""
    await engine.json("PUT", "/books", MAPPING)
    await engine.put([{"title": TEXT, "body": ["black tea", "more tea"], "tag": "tea"}])
    return engine


async def _highlight(engine: Asker, query: Any, **highlight: Any) -> Any:
    answer = await engine.json("POST", "/books/_search", {"query": query, "highlight": highlight})
    return answer["hits"]["hits"][0].get("highlight")


async def test_sentences_with_marked_words(books: Asker) -> None:
    """Fragments are sentences; those without a searched word are left out."""
    found = await _highlight(books, {"match": {"title": "river TEA"}}, fields={"title": {}})
    assert {
        "title": ["The Running <em>river</em>.", "<em>Tea</em> grows beside the <em>river</em>, they say."]
    } == found


async def test_the_analyzer_of_the_field_decides(books: Asker) -> None:
    """Under the English analyzer all forms of a word are marked."""
    fields = {"title": {}, "title.english": {"number_of_fragments": 0}}
    found = await _highlight(books, {"match": {"title.english": "run"}}, fields=fields)
    assert {
        "title.english": [
            "The <em>Running</em> river. Nobody <em>runs</em> here! Tea grows beside the river, they say."
        ]
    } == found


async def test_options(books: Asker) -> None:
    """Tags, number of fragments, other fields' words, and a beginning where nothing matches."""
    query = {"match": {"body": "tea"}}
    assert {"body": ["black [tea]"]} == await _highlight(
        books, query, pre_tags=["["], post_tags=["]"], fields={"body": {"number_of_fragments": 1}}
    )
    assert {"title": ["<em>Tea</em> grows beside the river, they say."]} == await _highlight(
        books, query, require_field_match=False, fields=[{"title": {}}]
    )
    assert {"title": ["The Running"]} == await _highlight(books, query, fields={"title": {"no_match_size": 11}})
    assert await _highlight(books, query, fields={"title": {}}) is None


async def test_patterns_and_keywords(books: Asker) -> None:
    """A pattern names all fields it fits; a keyword is marked whole."""
    query = {"bool": {"must": [{"match": {"body": "black"}}, {"term": {"tag": "tea"}}]}}
    found = await _highlight(books, query, fields={"*": {}})
    assert {"body": ["<em>black</em> tea"], "tag": ["<em>tea</em>"]} == found


async def test_long_sentences_are_cut(books: Asker) -> None:
    """At words, near the size that was asked for."""
    await books.put({"2": {"body": "water " * 30 + "coffee " + "water " * 30}})
    answer = await books.json(
        "POST",
        "/books/_search",
        {"query": {"match": {"body": "coffee"}}, "highlight": {"fields": {"body": {"fragment_size": 40}}}},
    )
    (fragment,) = answer["hits"]["hits"][0]["highlight"]["body"]
    assert "<em>coffee</em>" in fragment
    assert len(fragment) <= 60


@pytest.mark.parametrize("text", ["tea river", "+tea", '"beside the river"', "title:tea"])
async def test_query_languages_mark_too(books: Asker, text: str) -> None:
    """What a text in a query language looks for is marked, in the field where it looks."""
    found = await _highlight(books, {"query_string": {"query": text, "default_field": "title"}}, fields={"title": {}})
    assert "<em>" in found["title"][-1]


async def test_what_must_not_match_is_not_marked(books: Asker) -> None:
    """Only words that a hit was found by are marked."""
    query = {"bool": {"must": {"match": {"title": "river"}}, "must_not": {"match": {"body": "tea coffee"}}}}
    await books.put({"1": {"title": TEXT, "body": "water"}})
    found = await _highlight(books, query, require_field_match=False, fields={"title": {"number_of_fragments": 0}})
    assert "<em>Tea</em>" not in found["title"][0]


@pytest.mark.parametrize(
    "highlight",
    [
        5,
        {"fields": 5},
        {"fields": ["title"]},
        {"fields": {"title": 5}},
        {"fields": {"title": {"nope": 1}}},
        {"fields": {"title": {"type": "nope"}}},
        {"fields": {"title": {"fragment_size": -1}}},
        {"fields": {"title": {"fragment_size": "x"}}},
        {"fields": {"title": {"pre_tags": ["["]}}},
        {"fields": {"title": {"pre_tags": [], "post_tags": []}}},
        {"fields": {"title": {"order": "score"}}},
        {"fields": {"title": {"encoder": "html"}}},
        {"fields": {"title": {"highlight_query": {"match_all": {}}}}},
    ],
)
async def test_what_is_not_done_is_refused(books: Asker, highlight: Any) -> None:
    """Every option is read, or is 400."""
    assert 400 == (await books.error("POST", "/books/_search", {"highlight": highlight}))[0]
