"""The whole command in this process: stored figures come out again, and files say what was printed."""

import json
import os
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from sidecar.errors import ConfigError, RerankUnavailable
from sidecar.evaluation import program
from sidecar.evaluation.request import EvaluationRequest, FusionChoice
from sidecar.program.config import load as load_settings
from sidecar.program.parts import Options

DATA = Path(os.environ.get("RERANK_TEST_DATA", Path(__file__).parents[5] / "shared" / "data"))
NAMES = ("nDCG@10", "RR@10", "AP", "R@100")


def options(**flags: Any) -> Options:
    """Return settings whose scorer keeps the first stage's order."""
    settings = load_settings(None, {"scorer.url": "test:identity", **flags})
    return Options(settings=settings, allow_test_scorers=True)


async def evaluated(folder: Path, request: EvaluationRequest, given: Options | None = None) -> dict[str, Any]:
    """Return what an evaluation writes as JSON."""
    path = folder / "out.json"
    lines: list[str] = []
    await program.run(given or options(), _with(request, json=path), lines.append)
    assert f"wrote {path}" in lines
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _with(request: EvaluationRequest, **changes: Any) -> EvaluationRequest:
    values = {name: getattr(request, name) for name in request.__slots__}
    return EvaluationRequest(**{**values, **changes})


@pytest.mark.parametrize(
    ("dataset", "qrels", "run", "measure", "figure"),
    [
        ("trec-dl-2021", "qrels.trec", "run.bm25-top100.trec.gz", "nDCG@10", 0.4458),
        ("msmarco-dev-600", "qrels.trec", "run.bm25-top20.trec.gz", "RR@10", 0.3678),
        ("nfcorpus", "qrels/dev.tsv", "run.bm25-top100-dev.trec.gz", "nDCG@10", 0.2841),
    ],
)
async def test_stored_runs_have_their_published_figures(
    tmp_path: Path, dataset: str, qrels: str, run: str, measure: str, figure: float
) -> None:
    """Before, and after a scorer that changes nothing; and ir-measures says the same of the runs that are written."""
    folder = DATA / dataset
    if not folder.is_dir():
        pytest.skip(f"no {folder}; RERANK_TEST_DATA says where the data is")
    before, after = tmp_path / "before.trec", tmp_path / "after.trec"
    request = EvaluationRequest(
        dataset=str(folder),
        qrels=folder / qrels,
        run=folder / run,
        windows=(20,),
        measures=NAMES,
        save_first_stage=before,
        save_run=after,
    )
    found = await evaluated(tmp_path, request)
    means = found["first_stage"]["means"]
    assert pytest.approx(figure, abs=1e-3) == means[measure]
    assert pytest.approx(means) == found["systems"][0]["means"]
    judged = {query: found["first_stage"]["queries"][query] for query in found["first_stage"]["queries"]}
    read = [
        ir_measures.Qrel(*_qrel(line)) for line in (folder / qrels).read_text().splitlines() if _qrel(line)[0] in judged
    ]
    for path in (before, after):
        theirs = ir_measures.calc_aggregate(
            [ir_measures.parse_measure(name) for name in NAMES], read, list(ir_measures.read_trec_run(str(path)))
        )
        assert pytest.approx(means, abs=1e-9) == {str(name): value for name, value in theirs.items()}


def _qrel(line: str) -> tuple[str, str, int]:
    query, *_, document, grade = line.split()
    return query, document, int(grade) if grade.isdecimal() else 0


async def test_the_demos_queries_are_evaluated_with_nothing_else(tmp_path: Path) -> None:
    """No engine was named: the embedded one has the corpus. Several windows and fusions are one table."""
    request = EvaluationRequest(
        dataset="sample",
        windows=(50, 10, 50),
        fusions=(FusionChoice(), FusionChoice(name="rrf"), FusionChoice(name="model_only")),
        limit=5,
        save_run=tmp_path / "run.trec",
        html=tmp_path / "report.html",
    )
    found = await evaluated(tmp_path, request)
    assert [
        "test:identity window=10 model_only",
        "test:identity window=10 rrf",
        "test:identity window=50 model_only",
        "test:identity window=50 rrf",
    ] == [system["label"] for system in found["systems"]]
    first = found["first_stage"]
    assert ("embedded engine", "english", ["title", "text"]) == (first["engine"], first["analyzer"], first["fields"])
    assert ["the first 5 of 30 queries"] == found["dataset"]["notes"]
    for system in found["systems"]:
        assert first["means"] == system["means"]
        assert {"jaccard@10": 1.0, "rbo": pytest.approx(1.0)} == system["overlap"]
        assert (0, 5) == (system["against_first_stage"]["delta"], system["against_first_stage"]["ties"])
    assert [
        "out.json",
        "report.html",
        *sorted(
            f"run.test-identity-window={window}-{fusion}.trec"
            for window in (10, 50)
            for fusion in ("model_only", "rrf")
        ),
    ] == sorted(os.listdir(tmp_path))


async def test_settings_of_the_index_hold(tmp_path: Path) -> None:
    """But for those that an evaluation needs: here the configuration would score one field and drop every hit."""
    settings = tmp_path / "sidecar.toml"
    settings.write_text('[rerank]\nfields = ["title"]\ndeadline_ms = 1\n')
    given = Options(settings=load_settings(settings, {"scorer.url": "test:slow=20"}), allow_test_scorers=True)
    found = await evaluated(tmp_path, EvaluationRequest(dataset="sample", limit=1), given)
    (query,) = found["systems"][0]["queries"].values()
    assert query["scored"] > 0
    assert query["milliseconds"] >= 20


async def test_several_models_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its name; a folder in front of it is left out where the names differ without it."""
    from sidecar.program import parts
    from tests.unit.doubles import ScriptedScorer

    class Opened:
        def __init__(self, options: Options) -> None:
            self.scorer = ScriptedScorer(name=options.settings.model.name)

        async def __aenter__(self) -> ScriptedScorer:
            return self.scorer

        async def __aexit__(self, *_: object) -> None:
            await self.scorer.aclose()

    monkeypatch.setattr(parts, "open_any_scorer", Opened)
    request = EvaluationRequest(dataset="sample", models=("a/one", "b/two", "a/one"), windows=(5,), limit=2)
    found = await evaluated(tmp_path, request)
    assert ["one window=5 model_only", "two window=5 model_only"] == [system["label"] for system in found["systems"]]
    request = _with(request, models=("a/one", "b/one"))
    found = await evaluated(tmp_path, request)
    assert ["a/one window=5 model_only", "b/one window=5 model_only"] == [each["label"] for each in found["systems"]]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (EvaluationRequest(), "--dataset: give --dataset FOLDER"),
        (EvaluationRequest(dataset="/nowhere"), "--dataset: /nowhere is no folder"),
        (EvaluationRequest(dataset="sample", measures=("nonsense",)), "--measure: "),
        (EvaluationRequest(dataset="sample", run=Path("/nowhere.trec")), r"/nowhere\.trec: cannot be read"),
        (EvaluationRequest(dataset="sample", relevant_from=9), "no query of the dataset has a relevant document"),
    ],
)
async def test_what_makes_no_sense_is_refused(request_: EvaluationRequest, complaint: str) -> None:
    """Before anything is searched."""
    with pytest.raises(ConfigError, match=complaint):
        await program.run(options(), request_, lambda _: None)


async def test_a_model_that_cannot_be_had_ends_it() -> None:
    """Nothing is measured without it."""
    given = Options(settings=load_settings(None, {}))
    with pytest.raises(RerankUnavailable):
        await program.run(given, EvaluationRequest(dataset="sample", models=("/nowhere/a-model",)), lambda _: None)


async def test_figures_are_printed_though_a_file_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has taken hours is not lost to a folder that is not there."""
    (tmp_path / "file").write_text("")
    request = EvaluationRequest(dataset="sample", limit=1, html=tmp_path / "file" / "report.html")
    with pytest.raises(ConfigError, match=r"report\.html: cannot be written"):
        await program.run(options(), request, lambda _: None)
    assert "first stage" in capsys.readouterr().out


async def test_keeping_without_a_pruner_is_refused(tmp_path: Path) -> None:
    """Before anything is loaded."""
    with pytest.raises(ConfigError, match="--prune-model"):
        await evaluated(tmp_path, EvaluationRequest(dataset="sample", keeps=(5,)))


@pytest.mark.weights
async def test_cascades_are_rows(tmp_path: Path) -> None:
    """The least kept first, no cascade last; the file says who pruned."""
    request = EvaluationRequest(dataset="sample", pruner="offline", keeps=(0, 10, 5), windows=(20,), limit=2)
    found = await evaluated(tmp_path, request, options(**{"scorer.url": None, "model.name": "offline"}))
    assert ["keep=5", "keep=10", "linear=0.9"] == [system["label"].split()[2] for system in found["systems"]]
    assert [{"pruner": "offline", "keep": 5}, {"pruner": "offline", "keep": 10}, None] == [
        system["cascade"] for system in found["systems"]
    ]
    assert [5, 10] == [system["scored_per_query"] for system in found["systems"][:2]]
