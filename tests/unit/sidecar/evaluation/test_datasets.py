"""Datasets: which queries count, where their judgments are, and what is said of the rest."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar import sample
from sidecar.errors import ConfigError
from sidecar.evaluation.datasets import documents, load, text_fields, unjudged


def folder(root: Path, **files: str | list[Any]) -> str:
    """Return a folder with these files; a list is one JSON object a line, and `__` in a name is a dot."""
    for name, content in files.items():
        path = root / name.replace("__", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else "".join(json.dumps(each) + "\n" for each in content))
    return str(root)


QUERIES = [{"_id": "q1", "text": "blue sky"}, {"_id": "q2", "text": "deep sea"}, {"_id": 3, "text": "old tree"}]


def test_the_demos_own_corpus_is_a_dataset() -> None:
    """With its judgments, under the name `sample`."""
    dataset = load("sample")
    assert "sample" == dataset.name
    assert sample.queries() == dataset.queries
    assert sample.qrels() == dataset.qrels
    assert dataset.corpus is not None
    assert sample.size() == len(list(documents(dataset.corpus)))


def test_queries_without_a_relevant_document_do_not_count(tmp_path: Path) -> None:
    """Nor those that nobody judged; what is left out for being incomplete is said."""
    root = folder(tmp_path, queries__jsonl=QUERIES, qrels__trec="q1 0 a 1\nq2 0 a 0\nq9 0 a 1\n")
    dataset = load(root)
    assert {"q1": "blue sky"} == dataset.queries
    assert {"q1": {"a": 1}} == dataset.qrels
    assert dataset.corpus is None
    assert (
        "1 judged queries have no text and are left out",
        "1 judged queries have no relevant document and are left out",
    ) == dataset.notes


def test_the_lowest_relevant_grade_is_the_callers(tmp_path: Path) -> None:
    """A query whose best document has a lower grade has no relevant one."""
    root = folder(tmp_path, queries__jsonl=QUERIES, qrels__trec="q1 0 a 1\nq2 0 a 2\n")
    assert ["q2"] == list(load(root, relevant_from=2).queries)
    with pytest.raises(ConfigError, match="no query of the dataset has a relevant document"):
        load(root, relevant_from=3)


def test_without_judgments_every_query_counts(tmp_path: Path) -> None:
    """An id that is a number is its digits."""
    dataset = load(folder(tmp_path, queries__jsonl=QUERIES))
    assert dataset.qrels is None
    assert ["q1", "q2", "3"] == list(dataset.queries)


def test_beirs_layout(tmp_path: Path) -> None:
    """Test judgments in their folder, a compressed corpus; another split by its file."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n")
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\tb\t1\n")
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "a", "title": "", "text": "x"}\n'))
    root = folder(tmp_path, queries__jsonl=QUERIES)
    dataset = load(root)
    assert ["q1"] == list(dataset.queries)
    assert dataset.corpus == tmp_path / "corpus.jsonl.gz"
    assert ["q2"] == list(load(root, tmp_path / "qrels" / "dev.tsv").queries)


def test_quepids_ratings_are_matched_by_text(tmp_path: Path) -> None:
    """Among the folder's queries; without a folder they are the queries, under ids that a run file can hold."""
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("query,docid,rating\nblue sky,a,2\nred sun,b,1\n")
    beside = load(folder(tmp_path, queries__jsonl=QUERIES), ratings)
    assert {"q1": {"a": 2}} == beside.qrels
    assert ("1 judged query texts are not among the queries and left out",) == beside.notes
    alone = load(None, ratings)
    assert {"q1": "blue sky", "q2": "red sun"} == alone.queries
    assert {"q1": {"a": 2}, "q2": {"b": 1}} == alone.qrels


def test_a_limit_keeps_the_first_queries_and_is_said(tmp_path: Path) -> None:
    """With their judgments; a limit above their number changes nothing."""
    dataset = load(folder(tmp_path, queries__jsonl=QUERIES, qrels__trec="q1 0 a 1\nq2 0 a 1\n"))
    limited = dataset.limited(1)
    assert ({"q1": "blue sky"}, {"q1": {"a": 1}}) == (limited.queries, limited.qrels)
    assert ("the first 1 of 2 queries",) == limited.notes
    assert dataset is dataset.limited(2) is dataset.limited(None)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, r"has no queries\.jsonl"),
        ({"queries__jsonl": [{"_id": "q1"}]}, r"queries\.jsonl, line 1: a query needs _id and text"),
        ({"queries__jsonl": [{"_id": "q1", "text": " "}]}, r"line 1: a query needs _id and text"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, files: dict[str, Any], complaint: str) -> None:
    """And one that is not there, and none at all."""
    with pytest.raises(ConfigError, match=complaint):
        load(folder(tmp_path, **files))
    with pytest.raises(ConfigError, match="nowhere is no folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="give --dataset FOLDER"):
        load(None)


@pytest.mark.parametrize("line", ['{"text": "x"}', '{"_id": "", "text": "x"}', '{"_id": [1]}'])
def test_a_document_needs_an_id(tmp_path: Path, line: str) -> None:
    """The line without one is named."""
    (tmp_path / "corpus.jsonl").write_text(f'{{"_id": "a"}}\n{line}\n')
    with pytest.raises(ConfigError, match=r"corpus\.jsonl, line 2: the document needs an _id"):
        list(documents(tmp_path / "corpus.jsonl"))


@pytest.mark.parametrize(
    ("some", "fields"),
    [
        ([{"text": "x", "topic": "y"}, {"title": "z", "text": "x"}], ("title", "text")),
        ([{"text": "x", "metadata": {"url": "u"}}], ("text",)),
        ([{"name": "x", "price": 3, "brand": "y"}], ("name", "brand")),
        ([], ()),
    ],
)
def test_the_usual_fields_or_all_with_text(some: list[dict[str, Any]], fields: tuple[str, ...]) -> None:
    """A title comes first; what only labels a document is not searched where it has title or text."""
    assert fields == text_fields(some)


def test_queries_without_judgments(tmp_path: Path) -> None:
    """All of a folder's, whoever judged them, or those of a file; a table has an id, a tab and a text."""
    given = unjudged("sample")
    assert (None, 30) == (given.qrels, len(given.queries))
    table = tmp_path / "log.tsv"
    table.write_text("q1\tred shoes\n\n q2 \tblue\thats \n", encoding="utf-8")
    assert {"q1": "red shoes", "q2": "blue\thats"} == unjudged("sample", table).queries
    assert unjudged("sample", table).corpus is not None
    table.write_text("q1\tred shoes\nno tab\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"log\.tsv, line 2: expected an id, a tab"):
        unjudged(None, table)
    with pytest.raises(ConfigError, match="--queries FILE"):
        unjudged(None)
