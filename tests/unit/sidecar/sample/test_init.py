"""The sample corpus: well-formed, and judged."""

import json
import re

import pytest

from sidecar import sample

LINES = sample.documents_path().read_text(encoding="utf-8").splitlines()
DOCUMENTS: list[dict[str, str]] = [json.loads(line) for line in LINES]
IDS = frozenset(document["_id"] for document in DOCUMENTS)
QRELS_LINES = sample.documents_path().with_name("qrels.trec").read_text(encoding="utf-8").splitlines()


def _key(text: str) -> str:
    """Return `text` without what makes two copies differ: case, spaces and punctuation."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def test_there_is_enough_to_search() -> None:
    """More documents than one window, and more queries than the demo shows."""
    assert len(DOCUMENTS) >= 300
    assert len(sample.queries()) >= 16


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document["_id"]))
def test_a_document_has_its_four_fields(document: dict[str, str]) -> None:
    """No more and no fewer, all of them text; the text is an article's first lines in length."""
    assert ["_id", "title", "text", "topic"] == list(document)
    for value in document.values():
        assert isinstance(value, str)
        assert value == " ".join(value.split()) != ""
        assert value.isprintable()
    assert re.fullmatch(r"[a-z]+-\d\d", document["_id"])
    assert 15 <= len(document["text"].split()) <= 100


def test_no_document_is_there_twice() -> None:
    """Neither its id, nor its title, nor its text."""
    assert len(DOCUMENTS) == len(IDS)
    for field in ("title", "text"):
        assert len(DOCUMENTS) == len({_key(document[field]) for document in DOCUMENTS})


def test_queries_keep_the_order_of_the_file() -> None:
    """The demo shows the first ones; every query has an id and a text of its own."""
    lines = sample.documents_path().with_name("queries.jsonl").read_text(encoding="utf-8").splitlines()
    expected = [json.loads(line) for line in lines]
    assert expected == [{"_id": id, "text": text} for id, text in sample.queries().items()]
    assert len(lines) == len({_key(text) for text in sample.queries().values()})


def test_every_query_is_judged_and_nothing_else() -> None:
    """Also in the same number: a pair judged twice would be lost."""
    assert sample.queries().keys() == sample.qrels().keys()
    assert len(QRELS_LINES) == sum(map(len, sample.qrels().values()))


@pytest.mark.parametrize("query_id", sample.queries())
def test_a_query_has_an_answer_and_a_trap(query_id: str) -> None:
    """Grades name documents that are there, from 0 to 3; one answers at least in part, one does not."""
    grades = sample.qrels()[query_id]
    assert grades.keys() <= IDS
    assert 3 <= len(grades) <= 10
    assert set(grades.values()) <= {0, 1, 2, 3}
    assert max(grades.values()) >= 2
    assert min(grades.values()) == 0


def test_grades_are_graded() -> None:
    """Gains would be wasted on judgments of yes and no."""
    several = [grades for grades in sample.qrels().values() if len(set(grades.values())) >= 3]
    assert len(several) >= 10
