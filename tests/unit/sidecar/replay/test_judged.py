"""Which recorded search is which judged query."""

from pathlib import Path

from sidecar.replay import judged


def test_by_words(tmp_path: Path) -> None:
    """As Quepid's ratings name queries; case and white space do not matter."""
    path = tmp_path / "ratings.csv"
    path.write_text("query,docid,rating\nBlue sky,d1,3\n", encoding="utf-8")
    found = judged.load(path, None, relevant_from=1)
    assert "Blue sky" == found.query(None, "blue  SKY ")
    assert found.query("q1", "green sky") is None


def test_by_the_name_that_the_caller_gave(tmp_path: Path) -> None:
    """`X-Opaque-Id`, percent-encoded as `evaluate` sends it; it wins over the words."""
    path = tmp_path / "qrels.trec"
    path.write_text("q 1\t0\td1\t2\nq2\t0\td1\t1\n", encoding="utf-8")
    found = judged.load(path, None, relevant_from=1)
    assert "q 1" == found.query("q%201", "any words")
    assert found.query(None, "q2") is None


def test_a_folder_says_what_query_ids_stand_for(tmp_path: Path) -> None:
    """As `evaluate` has it."""
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "blue sky"}\n', encoding="utf-8")
    (tmp_path / "qrels.trec").write_text("q1 0 d1 2\n", encoding="utf-8")
    found = judged.load(None, str(tmp_path), relevant_from=1)
    assert "q1" == found.query(None, "Blue sky") == found.query("q1", "other words")
