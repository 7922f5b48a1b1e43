"""Judgments of four formats."""

from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.evaluation.judgments import read


def written(folder: Path, name: str, text: str) -> Path:
    """Return a file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qrels.trec", "q1 0 a 2\nq1 0 b 0\nq2 Q0 a -1\n"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\nq2\ta\t-1\n"),
        ("without-heading.tsv", "q1\ta\t2\nq1\tb\t0.0\nq2\ta\t-1\n"),
        ("with tabs.trec", "q1\t0\ta\t2\nq1\t0\tb\t0\nq2\t0\ta\t-1\n"),
    ],
)
def test_trec_and_beir_name_queries_by_id(tmp_path: Path, name: str, text: str) -> None:
    """The same judgments in every way of writing them."""
    found = read(written(tmp_path, name, text))
    assert not found.is_by_text
    assert {"q1": {"a": 2, "b": 0}, "q2": {"a": -1}} == found.qrels


def test_quepid_names_queries_by_text(tmp_path: Path) -> None:
    """Columns in any order, quoted commas, a document without a rating, a byte order mark of a spreadsheet."""
    text = '\ufeffDocID,Query,Rating,Notes\na,"blue, sky",3,\nb,"blue, sky",,\nc,sea,0,"x, y"\n'
    found = read(written(tmp_path, "ratings.csv", text))
    assert found.is_by_text
    assert {"blue, sky": {"a": 3}, "sea": {"c": 0}} == found.qrels


def test_clicks_are_weighed_against_being_passed_over(tmp_path: Path) -> None:
    """As often clicked as passed over is relevant; without the other document a pair is a click alone."""
    rows = ["sky,a,b", "sky,a,c", "sky,c,a", "sky,c,", '"blue, sky",d,a', "sky,b,e", "sky,a,e", "sky,a,b"]
    found = read(written(tmp_path, "clicks.csv", "\n".join(("query,clicked,passed_over", *rows))))
    assert found.is_by_text
    assert {"sky": {"a": 1, "b": 0, "c": 1, "e": 0}, "blue, sky": {"d": 1, "a": 0}} == found.qrels


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.trec", "q1 0 a 2\nq1\n", r"line 2: expected `query 0 document grade` or `query document grade`"),
        ("a.trec", "q1 0 a 2\nq1 0 a\n", r"line 2: the grade must be a whole number, not 'a'"),
        ("a.trec", "q1 0 a 2\nq1 0 b high\n", r"line 2: the grade must be a whole number, not 'high'"),
        ("a.tsv", "q1\ta\t2\nq1\tb\t0.5\n", r"line 2: "),
        ("a.csv", "query,doc,rating\nsky,a,1\n", r"expected the columns query, docid and rating"),
        ("a.csv", "query,docid,rating\nsky,a,1\nsky,b\n", r"line 3: expected the columns"),
        ("a.csv", "query,docid,rating\nsky,a,good\n", r"line 2: the grade must be a whole number, not 'good'"),
        ("a.csv", "query,docid,rating\n", r"a\.csv: has no judgments"),
        ("a.csv", "words,clicked\nsky,a\n", r"line 1: expected the columns query, clicked and passed_over"),
        ("a.csv", "query,clicked,passed_over\nsky,a,b\nsky,,b\n", r"line 3: a click needs a query"),
        ("a.trec", "", r"a\.trec: has no judgments"),
    ],
)
def test_what_is_no_judgment_is_refused(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    """With the file and the line."""
    with pytest.raises(ConfigError, match=complaint):
        read(written(tmp_path, name, text))
