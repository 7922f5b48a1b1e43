"""The journal: whole answers, once, in the order of the queries, for one process at a time."""

from pathlib import Path

import pytest

from sidecar.bulk.answers import Answer, Row
from sidecar.bulk.journal import Journal
from sidecar.errors import ConfigError


def answer(document: str, text: str = "") -> Answer:
    """Return an answer of one hit."""
    row = Row(
        document=document,
        rank=1,
        score=1.5,
        first_stage_rank=2,
        first_stage_score=None,
        model_score=-0.1,
        text=text,
    )
    return Answer(rows=[row])


def test_answers_come_in_the_order_of_the_queries(tmp_path: Path) -> None:
    """Whatever order they were given in, each once: the first that was kept stays."""
    with Journal(tmp_path / "j") as journal:
        for place, document in ((2, "c"), (0, "a"), (1, "b"), (0, "other")):
            journal.add(place, answer(document).dumped())
        assert {0, 1, 2} == journal.places()
    with Journal(tmp_path / "j") as journal:
        assert [(0, "a"), (1, "b"), (2, "c")] == [(place, each.rows[0].document) for place, each in journal.answers()]


def test_an_answer_keeps_every_bit() -> None:
    """Also a text that is no UTF-8, and floats to the last digit."""
    kept = answer("a", "a lone \ud800 surrogate, é, \x00")
    assert kept == Answer.loaded(kept.dumped())


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one is told so."""
    with Journal(tmp_path / "j"), pytest.raises(ConfigError, match="another process works on this job"):
        Journal(tmp_path / "j")


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """And stays as it is."""
    path = tmp_path / "run.trec.journal"
    path.write_text("not a database, and longer than the header of one would be: " * 4, encoding="utf-8")
    with pytest.raises(ConfigError, match="is no journal of a job"):
        Journal(path)
    assert path.read_text(encoding="utf-8").startswith("not a database")


def test_a_job_that_is_done_keeps_no_answers(tmp_path: Path) -> None:
    """But what it was."""
    with Journal(tmp_path / "j") as journal:
        journal.put("asked", {"window": 20})
        journal.add(0, answer("a" * 100_000).dumped())
        assert not journal.is_done
        journal.finish()
    with Journal(tmp_path / "j") as journal:
        assert (True, set(), {"window": 20}) == (journal.is_done, journal.places(), journal.get("asked"))
        journal.clear()
        assert (False, None) == (journal.is_done, journal.get("asked"))
