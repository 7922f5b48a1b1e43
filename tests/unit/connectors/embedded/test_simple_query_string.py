"""The simple query language; how texts mix is compared with a real node in the parity tests."""

import pytest

from tests.unit.connectors.embedded.asking import Asker

BOOKS = {
    "1": {"title": "black tea", "body": "river"},
    "2": {"title": "green tea", "body": "garden"},
    "3": {"title": "garden", "body": "black stones"},
}


@pytest.mark.parametrize(
    ("text", "operator", "found"),
    [
        ("tea garden", "or", "123"),
        ("tea garden", "and", "2"),
        ("tea + garden", "or", "2"),
        ("tea | stones", "and", "123"),
        ("tea -garden", "and", "1"),
        ("stones -garden", "or", "13"),
        ("tea - garden", "and", "2"),
        ("--tea", "or", "12"),
        ('"black tea"', "or", "1"),
        ("(tea | stones) + black", "or", "13"),
        ("-(tea | stones)", "or", ""),
        ("(tea", "or", "12"),
        ("tea) +", "or", "12"),
        ('"tea', "or", "12"),
        ('tea "" ()', "and", "12"),
        ("\\-tea", "or", "12"),
        ("tea\\", "or", "12"),
        ("*", "or", "123"),
        ("", "or", ""),
        ("title:tea", "or", ""),
        ("what is tea?", "or", "12"),
    ],
)
async def test_a_text_finds(engine: Asker, text: str, operator: str, found: str) -> None:
    """No text is an error; what makes no sense is passed over."""
    await engine.put(BOOKS)
    query = {"query": text, "fields": ["title", "body"], "default_operator": operator}
    assert found == "".join(sorted(await engine.ids({"simple_query_string": query})))


@pytest.mark.parametrize("text", ["te*", "tea~1", '"black tea"~2', "(" * 200 + "tea" + ")" * 200])
async def test_a_part_of_the_language_that_is_left_out(engine: Asker, text: str) -> None:
    """Prefixes, fuzziness and slop would mean something, and are refused."""
    await engine.put(BOOKS)
    reason = (await engine.error("POST", "/books/_search", {"query": {"simple_query_string": {"query": text}}}))[2]
    assert reason.endswith("is not supported by the embedded engine")


async def test_a_minimum_counts_the_clauses_at_the_top(engine: Asker) -> None:
    """Of three words two must be there."""
    await engine.put(BOOKS)
    query = {"query": "black tea garden", "fields": ["title", "body"], "minimum_should_match": 2}
    assert {"1", "2", "3"} == set(await engine.ids({"simple_query_string": query}))
    assert {"1"} == set(await engine.ids({"simple_query_string": {**query, "fields": ["title"]}}))
