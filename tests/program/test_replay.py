"""`rerank-sidecar replay`: what it prints and writes, on the demo's corpus and on real engines."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar import sample
from tests.program.processes import finished

EMBEDDED = ("--engine", "embedded", "--rate", "0")
IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")


def written(folder: Path, *searches: dict[str, Any], name: str = "requests.jsonl") -> str:
    """Write a file of requests and return its path."""
    path = folder / name
    path.write_text("".join(f"{json.dumps(each)}\n" for each in searches), encoding="utf-8")
    return str(path)


def requests(count: int = 5) -> list[dict[str, Any]]:
    """Return searches for the demo's queries."""
    words = list(sample.queries().values())[:count]
    query = [{"multi_match": {"query": text, "fields": ["title", "text"]}} for text in words]
    return [{"index": sample.INDEX, "body": {"query": each}} for each in query]


def replayed(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return what a replay that works writes as JSON."""
    done = finished("replay", *arguments, "--json", str(folder / "out.json"))
    assert 0 == done.code, done.stderr
    found: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.weights
def test_judged_searches_of_the_demo(tmp_path: Path, scorer: str) -> None:
    """With the offline model, by their words; the figures are those of `evaluate` on the same searches."""
    page, out = tmp_path / "page.html", tmp_path / "evaluated.json"
    searches = requests(6)
    config = tmp_path / "c.toml"
    config.write_text("[rerank]\nwindow = 20\ntoken_budget = 0\n", encoding="utf-8")
    file = written(tmp_path, *searches, *searches[:2])
    common = ("--scorer", scorer, "--dataset", "sample", "--config", str(config))
    found = replayed(tmp_path, file, *EMBEDDED, *common, "--html", str(page))
    corpus = f"embedded:{sample.documents_path()}"
    fields = ("--fields", "title,text", "--limit", "6", "--window", "20", "--json", str(out))
    done = finished("evaluate", "--engine", corpus, *common, *fields)
    assert 0 == done.code, done.stderr
    evaluated = json.loads(out.read_text(encoding="utf-8"))
    (system,) = evaluated["systems"]
    assert 6 == found["judged"]["searches"]
    assert pytest.approx(evaluated["first_stage"]["means"]) == found["judged"]["before"]
    assert pytest.approx(system["means"]) == found["judged"]["after"]
    assert pytest.approx(system["against_first_stage"]["delta"]) == found["judged"]["delta"]
    by_words = {each["query"]: each for each in found["each"]}
    for query in system["queries"].values():
        replay = by_words[query["text"]]
        assert pytest.approx((query["jaccard@10"], query["rbo"])) == (replay["jaccard@10"], replay["rbo"])
    assert (8, 6) == (found["searches"], found["different"])
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_scorer_that_changes_nothing(tmp_path: Path) -> None:
    """Every page stays; what is not reranked is told by its reason, and what is no search by its line."""
    alone = {"index": sample.INDEX, "body": {"query": {"match_all": {}}}}
    file = written(tmp_path, *requests(), alone, {"path": "/articles/_doc", "body": {}})
    done = finished("replay", file, *EMBEDDED, *IDENTITY)
    assert 0 == done.code, done.stderr
    for words in ("83% of the searches are reranked: 5 of 6", "100% keep the same page", "no_free_text", "line 7"):
        assert words in done.stdout


def test_every_search_as_often_as_it_was_recorded(tmp_path: Path) -> None:
    """With --all; with --limit a sample."""
    file = written(tmp_path, *requests(3), *requests(3))
    assert 3 == replayed(tmp_path, file, *EMBEDDED, *IDENTITY)["different"]
    assert 6 == replayed(tmp_path, file, *EMBEDDED, *IDENTITY, "--all")["different"]
    assert 4 == replayed(tmp_path, file, *EMBEDDED, *IDENTITY, "--limit", "4")["searches"]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("/nowhere/a.log",), 2, "/nowhere/a.log: cannot be read"),
        ((str(sample.documents_path()),), 2, "nothing that can be replayed"),
        ((), 2, "Missing argument"),
        (("a.log", "--model", "offline"), 2, "--model and --scorer: give one of them"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], code: int, complaint: str) -> None:
    """In one line, before anything is sent."""
    done = finished("replay", *arguments, *EMBEDDED, *IDENTITY)
    assert (code, "") == (done.code, done.stdout)
    assert complaint in done.stderr


def test_a_failing_model_gives_no_report(tmp_path: Path) -> None:
    """There is nothing to decide on."""
    page = tmp_path / "page.html"
    failing = ("--scorer", "test:failing", "--allow-test-scorers")
    done = finished("replay", written(tmp_path, *requests()), *EMBEDDED, *failing, "--html", str(page))
    assert 1 == done.code
    assert "no search was reranked: 5 have failed, model" in done.stderr
    assert not page.exists()
