"""The benchmarks as people run them, in their quick forms."""

import json
from pathlib import Path

import pytest

from benchmarks import engine, memory, overhead, overload, service, soak
from tests import tiny_models

pytestmark = pytest.mark.timeout(240)

KINDS = [*overhead.SIZES, *overhead.SEARCHES]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a tiny cross-encoder."""
    return str(tiny_models.bert(tmp_path_factory.mktemp("model")))


@pytest.mark.slow
def test_engine(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours and transformers are measured and right; what cannot be loaded, or is not installed, is named."""
    file = tmp_path / "engine.json"
    broken = engine.System(name="broken fp32", place="nowhere:Nothing", precision="fp32")
    monkeypatch.setattr(engine, "SYSTEMS", (*engine.SYSTEMS, broken))
    engine.main(["--quick", "--model", model, "--system", "fp32", "--json", str(file)])
    printed = capsys.readouterr().out
    assert "**k10**: 10 texts per search" in printed
    (outcome,) = json.loads(file.read_text())["outcomes"]
    by_name = {result["system"]: result for result in outcome["results"]}
    assert {"rerank-sidecar fp32", "transformers SDPA fp32, sorted"} == set(by_name)
    for name, result in by_name.items():
        assert "" == result["failure"], name
        assert 2 == len(result["seconds"])
        assert f"| {name}" in printed
    assert "not measured: broken fp32" in printed
    assert "No module named 'benchmarks.systems.nowhere'" in printed


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--search"]], ids=["rerank API", "search"])
def test_service(model: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer under load is the one that was given alone."""
    file = tmp_path / "service.json"
    service.main(["--quick", "--model", model, "--json", str(file), *more])
    assert "open loop, 90%" in capsys.readouterr().out
    outcome = json.loads(file.read_text())["outcome"]
    assert outcome["capacity"]["requests"] > 0
    reports = [outcome["capacity"], *outcome["by_share"].values()]
    assert [{}] * 5 == [report["faults"] for report in reports]


@pytest.mark.parametrize(
    "kinds", [["1 KB", "search, observed"], pytest.param(KINDS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_overhead(kinds: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers of both sizes, and searches that are passed on or observed, go both ways, byte for byte."""
    file = tmp_path / "overhead.json"
    overhead.main(["--quick", "--json", str(file), "--kinds", *kinds])
    assert "through the proxy" in capsys.readouterr().out
    outcomes = json.loads(file.read_text())["outcomes"]
    assert kinds == [outcome["size"] for outcome in outcomes]
    for outcome in outcomes:
        assert [{}] * 4 == [report["faults"] for report in (*outcome["direct"], *outcome["proxied"])]


def test_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All bytes of a bulk arrive, and it never lies in the proxy as a whole."""
    file = tmp_path / "memory.json"
    memory.main(["--quick", "--json", str(file)])
    assert "idle connections" in capsys.readouterr().out
    outcome = json.loads(file.read_text())["outcome"]
    assert max(outcome["growth"]) < outcome["bulk_megabytes"] * memory.MEGABYTE


def test_overload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every search is answered, complete and marked."""
    file = tmp_path / "overload.json"
    overload.main(["--quick", "--json", str(file)])
    assert "3 x capacity" in capsys.readouterr().out
    outcome = json.loads(file.read_text())["outcome"]
    assert {} == outcome["searches"]["faults"] == outcome["beside"]["faults"]
    assert outcome["searches"]["requests"] == sum(outcome["markers"].values())


def test_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer is right, of all kinds of requests, and what the program holds is seen."""
    file = tmp_path / "soak.json"
    with pytest.raises(SystemExit) as ended:
        soak.main(["--quick", "--json", str(file)])
    assert 0 == ended.value.code, capsys.readouterr().out
    outcome = json.loads(file.read_text())["outcome"]
    assert {} == outcome["faults"]
    assert outcome["requests"] > outcome["abandoned"] > 0
    assert {"memory of the front", "open files of the front", "tasks of the front"} == set(outcome["looks"])
