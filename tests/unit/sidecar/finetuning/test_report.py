"""Before and after, in words and figures."""

from pathlib import Path

from sidecar.finetuning import report
from sidecar.finetuning.early_stop import Evaluation
from sidecar.finetuning.report import Course
from sidecar.finetuning.request import CROSS_ENCODER, FinetuneRequest
from tests.unit.sidecar.evaluation.evaluated import results

COURSE = Course(
    trained=30,
    held_out=3,
    examples=90,
    first_stage=0.2,
    untuned=0.3,
    evaluations=(Evaluation(step=5, value=0.4),),
    best=Evaluation(step=5, value=0.4),
    seconds=1.0,
)


async def test_the_tuned_model_is_compared_with_the_untuned_one(tmp_path: Path) -> None:
    """Not with the first stage. The two systems here rank up/down/same: b a c d, then c d b a."""
    found = await results()
    comparison = report.against_untuned(found)
    assert {"up": 1 - 1 / 3, "down": 1 / 4 - 1 / 2, "same": 0.0} == comparison.deltas
    assert "tuned against untuned, RR@10: +0.1389, " in report.line(comparison, "RR@10")
    assert "won/lost/tied 1/1/1" in report.line(comparison, "RR@10")


async def test_figures_and_a_card_lie_beside_the_model(tmp_path: Path) -> None:
    """Which say what was measured on what; queries that stopped the training are named as such."""
    asked = FinetuneRequest(qrels=Path("train.tsv"), model="tiny", output=tmp_path / "tuned")
    figures = report.figures(asked, CROSS_ENCODER, COURSE, await results())
    report.write_beside(tmp_path / "tuned", figures)
    assert {"README.md", "finetuning.json"} == {path.name for path in (tmp_path / "tuned").iterdir()}
    card = (tmp_path / "tuned" / "README.md").read_text()
    assert "| untuned | 0.2778 |" in card
    assert "They were held out of the training and used to stop it." in card
    tested = FinetuneRequest(qrels=Path("a"), test_qrels=Path("b"), model="tiny", output=tmp_path / "other")
    assert "used to stop it" not in report.card(report.figures(tested, CROSS_ENCODER, COURSE, await results()))
