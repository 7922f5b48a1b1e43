"""The engine as a Connector, and one filled from a file."""

from pathlib import Path

import pytest

from connectors.base import Connector, RelayRequest, SearchRequest
from connectors.embedded import EmbeddedConnector
from sidecar import sample
from tests.unit.connectors.embedded.asking import Asker


def _file(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "documents.jsonl"
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    return path


async def test_it_is_a_connector() -> None:
    """It has a name, answers pings, and can be closed and used as a context."""
    async with EmbeddedConnector() as connector:
        assert isinstance(connector, Connector)
        assert "embedded engine" == connector.name
        await connector.ping()


async def test_it_searches_and_relays() -> None:
    """Search, multi-search and everything else go through the same engine."""
    connector = EmbeddedConnector()
    headers = (("Content-Type", "application/json"),)

    async def body() -> object:
        for chunk in (b'{"title":', b'"tea"}'):
            yield chunk

    async with connector.relay(
        RelayRequest(method="PUT", target="/books/_doc/1", headers=headers, body=body())  # type: ignore[arg-type]
    ) as answer:
        assert (201, "Created") == (answer.status, answer.reason)
        assert b"".join([chunk async for chunk in answer.chunks]).startswith(b'{"_index":"books"')
    found = await connector.search(SearchRequest.build(index="books", body={"query": {"match": {"title": "tea"}}}))
    assert ["1"] == [hit.id for hit in found.hits]
    many = SearchRequest(method="POST", target="/_msearch", headers=headers, body=b'{"index":"books"}\n{"size":0}\n')
    assert 1 == (await connector.msearch(many)).json["responses"][0]["hits"]["total"]["value"]


async def test_a_file_becomes_an_index(tmp_path: Path) -> None:
    """`_id` names a document and is not in its source; without one the line's number does. Blank lines are none."""
    path = _file(
        tmp_path,
        '{"_id": "a", "title": "Running connections", "n": 1}',
        "",
        '{"title": "water" , "tags": ["x", "y"]}',
        '{"n": 3, "_id": 7}',
    )
    engine = Asker(EmbeddedConnector.from_file(path, index="articles"))
    assert ["a", "3", "7"] == await engine.ids({"match_all": {}}, index="articles")
    assert b'{"title": "Running connections", "n": 1}' == (await engine.answer("GET", "/articles/_source/a")).body
    assert b'{"title": "water" , "tags": ["x", "y"]}' == (await engine.answer("GET", "/articles/_source/3")).body
    assert b'{"n": 3}' == (await engine.answer("GET", "/articles/_source/7")).body


async def test_strings_of_a_file_are_text_in_two_languages(tmp_path: Path) -> None:
    """Each string field has `.english` and `.keyword`, one that looks like a date, too, and arrays of strings."""
    engine = Asker(
        EmbeddedConnector.from_file(_file(tmp_path, '{"title": "Connections", "day": "2020-01-01", "tags": ["Teas"]}'))
    )
    assert [] == await engine.ids({"match": {"title": "connected"}}, index="documents")
    assert ["1"] == await engine.ids({"match": {"title.english": "connected"}}, index="documents")
    assert ["1"] == await engine.ids({"match": {"tags.english": "tea"}}, index="documents")
    assert ["1"] == await engine.ids({"term": {"title.keyword": "Connections"}}, index="documents")
    assert ["1"] == await engine.ids({"match": {"day": "01"}}, index="documents")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '"tea"',
        '{"a": 1, "a": 2}',
        b"\xff\xfe",
        '{"a": NaN}',
        '{"a":' * 300 + "1" + "}" * 300,
        '{"_id": {"x": 1}}',
        '{"_id": "first"}',
        '{"title": {"no": "text"}}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str | bytes) -> None:
    """File and line stand in the message, whatever is wrong: JSON, encoding, an id twice, a value that does not fit."""
    path = _file(tmp_path, '{"_id": "first", "title": "tea"}', "", line)
    with pytest.raises(ValueError, match=r"documents\.jsonl, line 3: "):
        EmbeddedConnector.from_file(path)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
async def test_an_empty_file_is_an_empty_index(tmp_path: Path, content: bytes) -> None:
    """There is an index without documents, ready for more."""
    path = tmp_path / "documents.jsonl"
    path.write_bytes(content)
    engine = Asker(EmbeddedConnector.from_file(path))
    assert [] == await engine.ids({"match_all": {}}, index="documents")
    await engine.put([{"title": "tea"}], index="documents")
    assert ["1"] == await engine.ids({"match": {"title": "tea"}}, index="documents")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """Nothing is made of a file that is not there."""
    with pytest.raises(FileNotFoundError):
        EmbeddedConnector.from_file(tmp_path / "nope.jsonl")


async def test_the_sample_articles_can_be_searched() -> None:
    """Every line of the demo's corpus is a document under its own id."""
    engine = Asker(EmbeddedConnector.from_file(sample.documents_path(), index=sample.INDEX))
    ids = await engine.ids({"match_all": {}}, index=sample.INDEX)
    assert sample.size() == len(ids) == len(set(ids))
    judged = {document_id for grades in sample.qrels().values() for document_id in grades}
    assert judged <= set(ids)
