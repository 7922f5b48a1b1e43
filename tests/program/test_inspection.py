"""`rerank-sidecar check` and `explain`: what they print, and how they end."""

import json
import re
from pathlib import Path

import pytest

from sidecar import sample
from tests.program.processes import Program, finished

QUERY = next(iter(sample.queries().values()))
QUICK = ("--engine", "embedded", "--scorer", "test:identity", "--allow-test-scorers")


# --- check --------------------------------------------------------------------------------------------------


@pytest.mark.weights
def test_check_looks_at_everything(scorer: str) -> None:
    """Configuration, engine, model, and the budget that this machine can keep."""
    done = finished("check", "--engine", "embedded", "--scorer", scorer)
    assert 0 == done.code, done.stderr
    patterns = (
        r"configuration: ok, listening would be at 127\.0\.0\.1:9280",
        r"engine: embedded engine at embedded",
        r"model: offline \(late-interaction, .*tokens/s\)",
        r"token budget: \d+ tokens per search, about \d+ passages .*: rerank\.token_budget = \d+",
    )
    for pattern, line in zip(patterns, done.stdout.splitlines(), strict=True):
        assert re.fullmatch(pattern, line), line


def test_check_fails_where_nobody_answers(check_of_nobody: Program) -> None:
    """Soon; an engine and a scorer that are not there are both named, with where they were looked for."""
    assert 1 == check_of_nobody.exit_code()
    url = r"http://127\.0\.0\.1:\d+"
    check_of_nobody.said(
        f"^rerank-sidecar: engine: {url} cannot be reached.*; scorer: the scorer at {url} has not answered yet$"
    )


def test_check_fails_without_its_model() -> None:
    """The name that was given is in the message."""
    done = finished("check", "--engine", "embedded", "--model", "/nowhere/a-model")
    assert 1 == done.code
    assert re.match(r"rerank-sidecar: scorer: .*/nowhere/a-model", done.stderr.splitlines()[-1])


# --- explain ------------------------------------------------------------------------------------------------


@pytest.mark.weights
def test_explain_shows_what_moved_and_why(scorer: str) -> None:
    """Ranks, scores and text of each hit, best first; words are searched in all text fields."""
    done = finished("explain", "articles", QUERY, "--engine", "embedded", "--scorer", scorer, "--size", "5", "--json")
    assert 0 == done.code, done.stderr
    said = json.loads(done.stdout)
    assert re.match(r"applied; candidates=\d+; window=100; model=offline$", said["marker"])
    hits = said["hits"]
    assert [1, 2, 3, 4, 5] == [hit["rank"] for hit in hits]
    assert [1, 2, 3, 4, 5] != [hit["first_stage_rank"] for hit in hits]
    assert sorted((hit["score"] for hit in hits), reverse=True) == [hit["score"] for hit in hits]
    assert all(hit["text"] and hit["model_score"] is not None and hit["first_stage_score"] > 0 for hit in hits)


def test_explain_takes_a_body_and_prints_a_table() -> None:
    """A search as it would be sent, whose own size wins; the marker above, one line for each hit."""
    body = {"query": {"match": {"title": "bees"}}, "size": 2}
    done = finished("explain", "articles", json.dumps(body), *QUICK, COLUMNS="160")
    assert 0 == done.code, done.stderr
    assert done.stdout.startswith("X-Rerank: applied; ")
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert [("1", "1"), ("2", "2")] == [tuple(re.findall(r"\d+", row)[:2]) for row in rows]
    assert all("bee" in row.lower() for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("articles", '{"query": ', *QUICK), 2, "query: begins with { and is no JSON: "),
        (("nothing", "tea", *QUICK), 1, "no such index [nothing]"),
        (("articles", "tea", "--engine", "http://127.0.0.1:9", *QUICK[2:]), 1, "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_explain_fails_with_a_reason(arguments: tuple[str, ...], code: int, complaint: str) -> None:
    """In one line, and with the exit code that says whose fault it is."""
    done = finished("explain", *arguments)
    assert (code, "") == (done.code, done.stdout)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("rerank-sidecar: ")
    assert complaint in line


def test_explain_shows_the_terms_of_a_sum(tmp_path: Path) -> None:
    """What each adds, by which weight, and of what."""
    documents, config = tmp_path / "documents.jsonl", tmp_path / "sidecar.toml"
    documents.write_text(
        "\n".join(json.dumps({"_id": str(n), "text": "tea " * (n + 1), "likes": n * 10}) for n in range(3)),
        encoding="utf-8",
    )
    config.write_text(
        '[rerank]\npin_ids = ["1"]\n[[rerank.signals]]\nfield = "likes"\nfunction = "saturation"\npivot = 20\n',
        encoding="utf-8",
    )
    arguments = ("explain", "documents", "tea", "--config", str(config), "--engine", f"embedded:{documents}")
    test = ("--scorer", "test:identity", "--allow-test-scorers")
    done = finished(*arguments, *test)
    assert 0 == done.code, done.stderr
    assert "likes (saturation)" in done.stdout
    told = json.loads(finished(*arguments, *test, "--json").stdout)
    hits = {hit["id"]: hit for hit in told["hits"]}
    assert ("1", True) == (told["hits"][0]["id"], hits["1"]["pinned"])
    assert {"raw": 20.0, "value": 0.5, "weight": 1.0, "contribution": 0.5} == {
        key: hits["2"]["terms"][2][key] for key in ("raw", "value", "weight", "contribution")
    }
