"""Lucene's query language; how texts mix is compared with a real node in the parity tests."""

import pytest

from tests.unit.connectors.embedded.asking import Asker

BOOKS = {
    "1": {"title": "black tea", "body": "river", "n": 1},
    "2": {"title": "green tea", "body": "garden"},
    "3": {"title": "garden", "body": "black stones", "n": 3},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tea", "12"),
        ("tea garden", "123"),
        ("+tea garden", "12"),
        ("tea -garden", "1"),
        ("tea AND garden", "2"),
        ("tea && garden || stones", "2"),
        ("tea OR stones", "123"),
        ("NOT tea", "3"),
        ("!tea", "3"),
        ("(tea OR stones) AND black", "13"),
        ('"black tea"', "1"),
        ("title:garden", "3"),
        ("title:(black garden)", "13"),
        ('body:"black stones"', "3"),
        ("tea^2 garden^0.5", "123"),
        ("n:3", "3"),
        ("title:tea AND n:1", "1"),
        ("_exists_:n", "13"),
        ("n:*", "13"),
        ("*", "123"),
        ("*:*", "123"),
        ("nope:tea", ""),
        ("tea\\-garden", "123"),
        ("\\+tea", "12"),
        ("", ""),
        ("...", ""),
        ("title:tea AND title:...", "12"),
        ("- tea", "12"),
        ("((tea))", "12"),
    ],
)
async def test_a_text_finds(engine: Asker, text: str, found: str) -> None:
    """Operators, fields, phrases, groups and escapes."""
    await engine.put(BOOKS)
    assert found == "".join(sorted(await engine.ids({"query_string": {"query": text}})))


@pytest.mark.parametrize(
    "text",
    [
        "(tea",
        "tea)",
        "tea OR",
        "AND tea",
        '"tea',
        "tea:",
        ":tea",
        "a:b:c",
        "tea^",
        "tea\\",
        "()",
        "a ] b",
        "|| :x",
        "(" * 500,
    ],
)
async def test_a_text_that_is_not_in_the_language(engine: Asker, text: str) -> None:
    """The index that was asked says that the text cannot be parsed."""
    await engine.put(BOOKS)
    status, kind, reason = await engine.error("POST", "/books/_search", {"query": {"query_string": {"query": text}}})
    assert (400, "query_shard_exception", f"Failed to parse query [{text}]") == (status, kind, reason)


@pytest.mark.parametrize(
    "text",
    ["te*", "t?a", "tea~", '"black tea"~2', "n:[1 TO 3]", "n:{1 TO 3}", "n:>1", "<tea>", "/te./", "what is tea?"],
)
async def test_a_part_of_the_language_that_is_left_out(engine: Asker, text: str) -> None:
    """Wildcards, fuzziness, ranges and expressions are refused by name."""
    await engine.put(BOOKS)
    reason = (await engine.error("POST", "/books/_search", {"query": {"query_string": {"query": text}}}))[2]
    assert reason.endswith("is not supported by the embedded engine")


async def test_options(engine: Asker) -> None:
    """Default operator and field, a minimum, an analyzer, and what cannot be a number."""
    await engine.put(BOOKS)

    async def found(text: str, **options: object) -> str:
        return "".join(sorted(await engine.ids({"query_string": {"query": text, **options}})))

    assert "2" == await found("tea green", default_operator="and", fields=["title", "body"])
    assert "" == await found("tea garden", default_operator="and", fields=["title", "body"])
    assert "3" == await found("garden", default_field="title")
    assert "1" == await found("black tea stones", default_field="title", minimum_should_match=2)
    assert "" == await found("Tea", analyzer="keyword", fields=["title"])
    assert "12" == await found("tea", fields=["title", "n"], lenient=True)
    body = {"query": {"query_string": {"query": "tea", "fields": ["title", "n"]}}}
    assert 400 == (await engine.error("POST", "/books/_search", body))[0]


async def test_the_parameter_q(engine: Asker) -> None:
    """`?q=` is the same language, with `df` and `default_operator`."""
    await engine.put(BOOKS)
    for target, found in (("q=black+tea&df=title&default_operator=AND", ["1"]), ("q=title:garden", ["3"])):
        hits = (await engine.json("GET", f"/books/_search?{target}"))["hits"]["hits"]
        assert found == [hit["_id"] for hit in hits]
    assert 2 == (await engine.json("GET", "/books/_count?q=tea"))["count"]
