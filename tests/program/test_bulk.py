"""`rerank-sidecar bulk`: killed at any moment, the same command goes on, and writes what an undisturbed one writes."""

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.bulk.journal import Journal
from tests.program.processes import REPOSITORY, UNHURRIED, Program, finished, run, running

SAMPLE = ("bulk", "--dataset", "sample", "--window", "20", "--report-seconds", "0")
IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
OFFLINE = ("--model", "offline")
PATIENCE_SECONDS = 240.0
KILLS = 3


def killed_and_resumed(arguments: Sequence[str], outputs: Sequence[Path], total: int, **settings: str) -> None:
    """Kill a job after every quarter of its queries, each time with -9, and let it end at last."""
    named = [word for path in outputs for word in ("--output", str(path))]
    for kill in range(1, KILLS + 1):
        with running(*arguments, *named, **settings) as program:
            program.said(rf"^{kill * total // (KILLS + 1)} of {total} queries", PATIENCE_SECONDS)
            assert -signal.SIGKILL == program.end(signal.SIGKILL), program.output
            assert not any(path.exists() for path in outputs)
    with running(*arguments, *named, **settings) as program:
        assert 0 == program.exit_code(PATIENCE_SECONDS), program.output
        assert "going on: " in program.output
    with Journal(outputs[0].with_name(outputs[0].name + ".journal")) as journal:
        assert journal.is_done


def undisturbed(arguments: Sequence[str], outputs: Sequence[Path], **settings: str) -> None:
    """Let a job run to its end."""
    named = [word for path in outputs for word in ("--output", str(path))]
    with running(*arguments, *named, **settings) as program:
        assert 0 == program.exit_code(PATIENCE_SECONDS), program.output


def both(folder: Path, name: str) -> list[Path]:
    """Return where a job writes a run and a table."""
    return [folder / f"{name}.trec", folder / f"{name}.parquet"]


def assert_same(one: Sequence[Path], other: Sequence[Path]) -> None:
    """Compare byte for byte."""
    for first, second in zip(one, other, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.stat().st_size > 1000


def test_killed_three_times_it_writes_what_an_undisturbed_job_writes(tmp_path: Path) -> None:
    """Byte for byte, run and table; once it is killed when all is answered and nothing written."""
    pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")
    done = run((sys.executable, "-m", "tests.program.bulk_killed", str(tmp_path)), {})
    assert (0, "[-9, -9, -9, 0, 0]") == (done.code, done.stdout.strip()), done.stderr
    assert_same(both(tmp_path, "killed"), both(tmp_path, "calm"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.weights
def test_the_same_with_a_model(tmp_path: Path) -> None:
    """The offline model, in the dtype that it was begun with, whatever `auto` would be the next time."""
    arguments = (*SAMPLE, *OFFLINE)
    killed_and_resumed(arguments, both(tmp_path, "killed"), 30)
    undisturbed(arguments, both(tmp_path, "calm"), RERANK_SIDECAR_MODEL__DTYPE=dtype_of(tmp_path / "killed.trec"))
    assert_same(both(tmp_path, "killed"), both(tmp_path, "calm"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.weights
@pytest.mark.skipif(
    "RERANK_TEST_DATA" not in os.environ, reason="RERANK_TEST_DATA names no folder with trec-dl-2022 in it"
)
def test_the_same_over_trec_dl_2022(tmp_path: Path) -> None:
    """76 queries of real length, 100 candidates each, in bf16, of which batches change the last bits."""
    data = Path(os.environ["RERANK_TEST_DATA"]) / "trec-dl-2022"
    run = ("--run", str(data / "run.bm25-top100.trec.gz"))
    arguments = ("bulk", "--dataset", str(data), *run, *OFFLINE, "--report-seconds", "0")
    settings = {"RERANK_SIDECAR_MODEL__DTYPE": "bf16"}
    killed_and_resumed(arguments, both(tmp_path, "killed"), 76, **settings)
    undisturbed(arguments, both(tmp_path, "calm"), **settings)
    assert_same(both(tmp_path, "killed"), both(tmp_path, "calm"))


def dtype_of(output: Path) -> str:
    """Return the dtype that a job has scored in."""
    with Journal(output.with_name(output.name + ".journal")) as journal:
        found: str = journal.get("scored")["dtype"]
        return found


def test_a_job_that_is_done_is_left_alone(tmp_path: Path) -> None:
    """A second call does nothing, and another job is refused."""
    output = tmp_path / "run.trec"
    job = ("bulk", "--dataset", "sample", "--limit", "3", "--output", str(output), *IDENTITY)
    assert 0 == finished(*job).code
    again = finished(*job)
    assert (0, True) == (again.code, again.stdout.startswith("done already"))
    other = finished(*job, "--window", "7")
    assert 2 == other.code
    assert "another window: 100, now 7" in other.stderr


def test_nobodys_file_is_written_over(tmp_path: Path) -> None:
    """A file that no job of ours has written stays."""
    output = tmp_path / "run.trec"
    output.write_text("mine", encoding="utf-8")
    done = finished("bulk", "--dataset", "sample", "--output", str(output), *IDENTITY)
    assert 2 == done.code
    assert "is there already" in done.stderr
    assert "mine" == output.read_text(encoding="utf-8")


@pytest.mark.weights
def test_through_a_proxy_that_reranks(tmp_path: Path, served: Program) -> None:
    """`--served` takes the order of a proxy of ours, which fills its caches; nothing is scored here."""
    output = tmp_path / "run.trec"
    job = ("bulk", "--dataset", "sample", "--limit", "3", "--output", str(output), "--window", "15")
    done = finished(*job, "--engine", served.url, "--index", "articles", "--served", **UNHURRIED)
    assert 0 == done.code, done.stderr
    assert "not reranked" not in done.stdout
    assert output.read_text(encoding="utf-8").splitlines()


def test_the_documents_say_every_option() -> None:
    """docs/bulk.md names what --help names."""
    text = (REPOSITORY / "docs/bulk.md").read_text(encoding="utf-8")
    help_text = finished("bulk", "--help", COLUMNS="200").stdout
    options = {word for word in help_text.replace("│", " ").split() if word.startswith("--")}
    shared = {"--help", "--config", "--log-level", "--allow-test-scorers", "--no-served"}
    missing = {option for option in options - shared if option not in text and not option.startswith("--no-")}
    assert not missing


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")
def test_over_a_pool_of_scorers(tmp_path: Path) -> None:
    """On a Ray cluster that it begins, killed in the middle and gone on with: what one process writes."""
    job = (*SAMPLE, "--model", "test:slow=20", "--allow-test-scorers")
    pool = ("--ray", "local", "--ray-scorers", "2")
    output = ("--output", str(tmp_path / "pool.trec"))
    with running(*job, *pool, *output) as program:
        program.said(r"^8 of 30 queries", PATIENCE_SECONDS)
        assert -signal.SIGKILL == program.end(signal.SIGKILL)
    with running(*job, *pool, *output) as program:
        assert 0 == program.exit_code(PATIENCE_SECONDS), program.output
        assert "going on: " in program.output
    undisturbed(job, [tmp_path / "alone.trec"])
    assert_same([tmp_path / "pool.trec"], [tmp_path / "alone.trec"])
