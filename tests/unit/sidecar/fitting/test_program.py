"""The whole command in this process: what grades follow is found, and nothing worse is printed."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.fitting import program
from sidecar.fitting.program import NotBetter
from sidecar.fitting.request import FitRequest
from sidecar.program.config import PolicySection, load
from sidecar.program.parts import Options

LIKES = {"field": "likes", "function": "saturation", "pivot": 10, "weight": 0.0}
QUERIES = 24
PER_QUERY = 8


def options(**flags: Any) -> Options:
    """Return settings whose scorer keeps the first stage's order."""
    given = {"scorer.url": "test:identity", "rerank.signals": [LIKES], **flags}
    return Options(settings=load(None, given), allow_test_scorers=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset in which those are relevant whom most people like, wherever the first stage has them."""
    corpus, queries, train, dev = [], [], [], []
    for number in range(QUERIES):
        queries.append({"_id": f"q{number}", "text": f"topic{number}"})
        for place in range(PER_QUERY):
            id, likes = f"q{number}-{place}", (number + 1) * (place * 5 + number) % 17
            text = f"topic{number} " + "word " * place  # the shorter a text the better, for BM25
            corpus.append({"_id": id, "text": text, "likes": likes})
            judged = train if number % 2 else dev
            judged.append(f"q{number}\t{id}\t{int(likes > 10)}")
    _write(tmp_path / "corpus.jsonl", [json.dumps(each) for each in corpus])
    _write(tmp_path / "queries.jsonl", [json.dumps(each) for each in queries])
    _write(tmp_path / "train.tsv", ["query-id\tcorpus-id\tscore", *train])
    _write(tmp_path / "dev.tsv", ["query-id\tcorpus-id\tscore", *dev])
    return tmp_path


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def fitted(folder: Path, given: Options | None = None, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the figures, and what was printed."""
    lines: list[str] = []
    asked = FitRequest(dataset=str(folder), qrels=folder / "train.tsv", json=folder / "fit.json", **settings)
    await program.run(given or options(), asked, lines.append)
    return json.loads((folder / "fit.json").read_text(encoding="utf-8")), lines


async def test_a_signal_that_grades_follow_gets_its_weight(folder: Path) -> None:
    """What is printed goes into a policy as it is, and is better on judgments that were not fitted to."""
    figures, lines = await fitted(folder, test_qrels=folder / "dev.tsv")
    weight = figures["signals"][0]["weight"]
    assert weight > 1
    assert figures["held_out"]["after"] > figures["held_out"]["before"] + 0.05
    low, high = figures["intervals"][1]
    assert low <= weight <= high
    section = tomllib.loads('[[policies]]\nindices = ["a"]\n' + lines[-1])["policies"][0]
    assert {**LIKES, "weight": weight} == section["signals"][0]
    assert ("linear", figures["weight"]) == (section["fusion"], section["weight"])
    assert PolicySection(**section).signals[0].weight == weight


async def test_a_part_of_the_queries_is_held_out(folder: Path) -> None:
    """Of one file."""
    figures, _ = await fitted(folder, held_out=4)
    assert 4 == figures["held_out"]["queries"]
    assert 4 + figures["fitted"]["queries"] <= QUERIES // 2


async def test_before_is_what_is_in_force(folder: Path) -> None:
    """Its fusion, which need not be linear; the test scorer changes nothing, so that there is nothing to fit."""
    figures, lines = await fitted(folder, options(**{"rerank.signals": [], "rerank.fusion": "rrf"}), held_out=4)
    assert ("rrf", []) == (figures["in_force"], figures["signals"])
    assert figures["held_out"]["after"] == pytest.approx(figures["held_out"]["before"])
    assert any("could be chance" in line for line in lines)


async def test_what_is_worse_is_not_printed(folder: Path) -> None:
    """It is said, with both figures."""
    against = (folder / "dev.tsv").read_text(encoding="utf-8").splitlines()
    turned = [f"{line[:-1]}{1 - int(line[-1])}" for line in against[1:]]
    _write(folder / "against.tsv", [against[0], *turned])
    lines: list[str] = []
    asked = FitRequest(dataset=str(folder), qrels=folder / "train.tsv", test_qrels=folder / "against.tsv")
    with pytest.raises(NotBetter, match=r"nDCG@10 of the queries held out falls from 0\.\d+ to 0\.\d+"):
        await program.run(options(), asked, lines.append)
    assert not any("[[policies.signals]]" in line for line in lines)


async def test_the_policy_of_the_index_is_fitted(folder: Path) -> None:
    """Its signals as they are written; without any of its own those of the defaults."""
    mine = {"indices": ["books"], "signals": [{**LIKES, "pivot": 3}]}
    figures, _ = await fitted(folder, options(policies=[mine]), held_out=4, index="books")
    assert 3 == figures["signals"][0]["pivot"]
    figures, _ = await fitted(folder, options(policies=[{"indices": ["books"]}]), held_out=4, index="books")
    assert 10 == figures["signals"][0]["pivot"]


async def test_nothing_left_to_fit_to_is_refused(folder: Path) -> None:
    """Such as judgments that are all to check on."""
    with pytest.raises(ConfigError, match="no judged queries are left"):
        await fitted(folder, test_qrels=folder / "train.tsv")


async def test_clicks_are_judgments(folder: Path) -> None:
    """Of people who click what most others like and pass over what stood before it."""
    rows = ["query,clicked,passed_over"]
    for line in (folder / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if grade == "1":
            rows.append(f"topic{query.removeprefix('q')},{document},{query}-0")
    _write(folder / "clicks.csv", rows)
    lines: list[str] = []
    asked = FitRequest(dataset=str(folder), qrels=folder / "clicks.csv", test_qrels=folder / "dev.tsv")
    await program.run(options(), asked, lines.append)
    assert "[[policies.signals]]" in lines[-1]
    assert tomllib.loads(lines[-1].replace("[[policies.signals]]", "[[signals]]"))["signals"][0]["weight"] > 0
