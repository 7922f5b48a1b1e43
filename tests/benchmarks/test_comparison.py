"""Side by side: turns, ratios, and no speed for who is wrong."""

from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.catalogue import SYSTEMS
from benchmarks.child import Child, Scored, System, sweep
from benchmarks.comparison import HEADS, Outcome, measure, result, rows, title
from benchmarks.rounds import Spread, alternate, ratio
from benchmarks.table import table
from benchmarks.workload import Regime, Search, Source


class FakeChild:
    """A system whose scores and seconds are known; it remembers the order in which it and others were asked."""

    def __init__(
        self, name: str, *, seconds: dict[int, float], error: float = 0.0, log: list[str] | None = None
    ) -> None:
        """Take `seconds[batch size]` for everything; give scores that are wrong by `error` in one place."""
        self.system = System(name=name, place="", precision="fp32", default_batch=32)
        self.batch_sizes = [size for size in seconds if size]
        self.batch_size = 0
        self.note = ""
        self._seconds = seconds
        self._error = error
        self._log = log if log is not None else []

    def score(self, searches: list[Search]) -> Scored:
        """Score by position."""
        self._log.append(self.system.name)
        scores = [[float(place) for place in range(len(search.texts))] for search in searches]
        scores[0][0] += self._error
        return Scored(scores=scores, seconds=self._seconds[self.batch_size])


def child(name: str, **options: Any) -> Child:
    """Return a fake in the place of a child."""
    return cast(Child, FakeChild(name, **options))


class Texts:
    """A source of numbered texts."""

    def search(self, texts: int, *, is_long: bool) -> Search:
        """Return the next."""
        del is_long
        return Search("query", tuple(f"text {number}" for number in range(texts)))


def compared(*children: Child, rounds: int = 2) -> Outcome:
    """Measure systems in a small regime."""
    source: Source = Texts()
    return measure(
        children,
        child("reference", seconds={0: 1.0}),
        Regime(name="k4", texts=4),
        source,
        rounds=rounds,
        count=lambda search: 100 * len(search.texts),
        say=lambda line: None,
    )


def test_systems_take_turns() -> None:
    """After the warm-up A B A B, and the reference last."""
    log: list[str] = []
    compared(*(child(name, seconds={0: 1.0}, log=log) for name in "AB"), rounds=3)
    assert ["A", "B"] * 3 == log[-6:]


def test_a_system_runs_in_its_best_batch_size() -> None:
    """The fastest that was tried, among those that the texts can fill."""
    fake = child("A", seconds={0: 9.0, 2: 3.0, 4: 2.0, 8: 1.0})
    times = sweep(fake, [Search("query", ("a", "b", "c", "d"))])
    assert {2: 3.0, 4: 2.0} == times
    assert 4 == fake.batch_size


def test_who_is_wrong_gets_no_speed() -> None:
    """One wrong score is enough; the table says what was missed and has no figure."""
    outcome = compared(child("right", seconds={0: 1.0}), child("wrong", seconds={0: 0.1}, error=0.5))
    right, wrong = outcome.results
    assert [1.0, 1.0] == right.seconds
    assert [] == wrong.seconds
    assert "max error 0.5 > 0.0001" in wrong.failure
    first, last = rows(outcome)
    assert "right" == first[0]
    assert last[0].startswith("wrong: no speed, max error 0.5")
    assert ["-"] * 4 == last[2:6]


def test_the_gate_reads_only_what_the_reference_has_scored() -> None:
    """The reference may have scored fewer rounds than were timed."""
    runs = [Scored(scores=[[0.0, 1.0]], seconds=1.0), Scored(scores=[[5.0, 1.0]], seconds=1.0)]
    assert "" == result(child("A", seconds={}), runs, [[0.0, 1.0]], {}).failure
    assert "" != result(child("A", seconds={}), runs, [[0.0, 1.0], [0.0, 1.0]], {}).failure


def test_a_row_has_rates_and_the_ratio_to_the_baseline() -> None:
    """Four texts of 100 tokens in half a second, where the baseline needs two."""
    outcome = compared(
        child("sentence-transformers fp32", seconds={0: 2.0}), child("other", seconds={0: 9.0, 2: 0.5, 4: 1.0})
    )
    fast, slow = (dict(zip(HEADS, row, strict=True)) for row in rows(outcome))
    assert "8.0 (8.0 - 8.0)" == fast["docs/s"]
    assert ("800", "500", "4.00", "2") == (fast["tokens/s"], fast["ms"], fast["x ST fp32"], fast["batch"])
    assert ("1.00", "own") == (slow["x ST fp32"], slow["batch"])
    assert "**k4**: 4 texts per search of 100 tokens a pair" == title(outcome)


def test_a_system_that_does_not_run_as_asked_says_so() -> None:
    """bf16 that fell back to fp32 must not stand as bf16."""
    fake = child("ours bf16", seconds={0: 1.0})
    fake.note = "ran in fp32"
    assert "ours bf16 (ran in fp32)" == rows(compared(fake))[0][0]


def test_turns_and_ratios() -> None:
    """Round by round: a machine that is half as fast in one round changes no ratio."""
    seen: list[tuple[str, int]] = []
    alternate(["A", "B"], 2, lambda name, number: seen.append((name, number)))
    assert [("A", 0), ("B", 0), ("A", 1), ("B", 1)] == seen
    assert Spread(3.0, 3.0, 3.0) == ratio([3.0, 6.0], [1.0, 2.0])
    assert "2.0 (1.0 - 30.0)" == Spread.of([30.0, 1.0, 2.0]).text()


def test_a_table_is_markdown() -> None:
    """The first column is set left, the others right."""
    assert "| a   |   b |\n| --- | --: |\n| one | two |" == table(("a", "b"), [("one", "two")])


def test_every_system_has_its_module() -> None:
    """Each names a file of benchmarks/systems, an environment that the program knows, and a precision with a bar."""
    folder = Path(__file__).parents[2] / "benchmarks" / "systems"
    for system in SYSTEMS:
        assert (folder / f"{system.place.partition(':')[0]}.py").exists(), system.name
        assert system.environment in ("bench", "onnx", "openvino")
    assert len(SYSTEMS) == len({system.name for system in SYSTEMS})


def test_spread_needs_a_figure() -> None:
    """There is no median of nothing."""
    with pytest.raises(ValueError, match=r"."):
        Spread.of([])
