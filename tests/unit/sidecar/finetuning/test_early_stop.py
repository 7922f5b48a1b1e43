"""The best model is kept, and there is an end."""

from collections.abc import Callable
from pathlib import Path

from sidecar.finetuning.early_stop import Evaluation, HeldOut


def saver(content: str) -> Callable[[Path], None]:
    """Return what writes a model."""

    def save(target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        (target / "model").write_text(content)

    return save


def measure(folder: Path) -> float:
    """Return the value that is written in a model."""
    return float((folder / "model").read_text())


def after(work: Path, *values: float, patience: int = 2) -> HeldOut:
    """Return the evaluations with these values at steps 10, 20, …."""
    found = HeldOut(work, measure, patience)
    for place, value in enumerate(values, start=1):
        found.evaluate(10 * place, saver(str(value)))
    return found


def test_the_first_of_the_best_is_kept(tmp_path: Path) -> None:
    """An equal one later is not better."""
    found = after(tmp_path, 0.1, 0.3, 0.2, 0.3)
    assert Evaluation(step=20, value=0.3) == found.best
    assert "0.3" == (found.best_folder / "model").read_text()


def test_it_is_over_when_nothing_is_gained(tmp_path: Path) -> None:
    """So many times in a row."""
    found = HeldOut(tmp_path, measure, 2)
    over = []
    for step, value in enumerate((0.2, 0.1, 0.3, 0.3, 0.2)):
        found.evaluate(step, saver(str(value)))
        over.append(found.is_over)
    assert [False, False, False, False, True] == over


def test_what_was_measured_is_known_again(tmp_path: Path) -> None:
    """A training that goes on from an earlier step measures what came after it once more."""
    after(tmp_path, 0.1, 0.3, 0.2)
    again = HeldOut(tmp_path, measure, 2)
    assert [10, 20, 30] == [each.step for each in again.evaluations]
    again.evaluate(20, saver("0.25"))
    assert [(10, 0.1), (20, 0.25)] == [(each.step, each.value) for each in again.evaluations]
    assert "0.25" == (again.best_folder / "model").read_text()


def test_before_the_first_there_is_none(tmp_path: Path) -> None:
    """And it is not over."""
    found = HeldOut(tmp_path, measure, 1)
    assert found.best is None
    assert not found.is_over
