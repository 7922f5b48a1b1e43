"""The sections, one after the other."""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks import model as model_of_shape
from benchmarks.gpu import correctness, device, engine, late, load, machine, vocabulary
from benchmarks.gpu.peers import SentenceTransformers, Transformers
from benchmarks.gpu.report import Report
from benchmarks.gpu.subject import Subject
from benchmarks.workload import Synthetic
from sidecar.scoring.cuda.models import CudaCrossEncoder

REHEARSAL: Final = (
    "REHEARSAL WITHOUT A GPU: this shows that the program runs. None of its figures says anything about a GPU."
)
QUICK_LAYERS: Final = 2
PEER: Final = "sentence-transformers"

TARGET_PAIRS_PER_SECOND: Final = 100_000.0
TARGET_RATIO: Final = 10.0
TARGET_DEVICE_MS: Final = 1.0


class Program:
    """One run."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        """Prepare the model and the texts in the folder `work`."""
        self._is_quick = bool(arguments.quick)
        self._device = str(arguments.device)
        self._share_of_time = arguments.minutes / arguments.usual_minutes
        if self._device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("torch sees no GPU here; --device cpu --quick is a rehearsal without one")
        facts = machine.facts(self._device, commit=arguments.commit) | {"is_rehearsal": self._device == "cpu"}
        self._report = Report(arguments.out, facts, seconds=60.0 * arguments.minutes)
        self._work = work
        self._folder, facts["model"] = _model(arguments.model, work, is_small=self._is_quick)
        self._subject = Subject(
            folder=self._folder,
            device=self._device,
            dtype="fp32" if self._device == "cpu" else "fp16",
            kernels=arguments.kernels,
        )
        self._source = Synthetic(self._folder)
        self._facts = facts
        self._models: dict[str, CudaCrossEncoder] = {}
        self._systems: list[engine.System] = []
        self._targets: dict[str, tuple[float, float]] = {}

    def run(self) -> int:
        """Run the sections. 1 when scores are wrong or a section failed, else 0."""
        report = self._report
        if self._subject.is_rehearsal:
            report.say(REHEARSAL)
        report.say(f"{machine.line(self._facts)}\n{self._facts['model']}\nbefore: {machine.state()}")
        report.section("Loading", self._load)
        gate = report.section("Are the scores right?", self._gate) if self._models else {}
        alone = report.section("Is a score its pair's alone?", self._invariants) if self._models else {}
        if alone and gate and not gate["ours"]["failure"]:
            self._measure()
        else:
            report.say("\nThe scores are not right, or could not be checked: no speed is measured.")
        if self._subject.is_rehearsal:
            report.say(f"\n{REHEARSAL}")
        report.say(f"\nFailed sections: {', '.join(report.failed) or 'none'}")
        return 0 if alone and gate and not gate["ours"]["failure"] and not report.failed else 1

    def _measure(self) -> None:
        report, subject, ours = self._report, self._subject, self._models["ours"]
        work = device.loads(subject, ours, self._source, is_quick=self._is_quick)
        report.section("Matrix products alone", partial(device.ceilings, report, subject))
        found = report.section("One pass on the device", partial(device.passes, report, subject, ours, work))
        self._take_device_target(found)
        report.section(
            "Kernel by kernel", partial(device.kernels, report, subject, ours, work[0]), needs=self._seconds(10)
        )
        report.section("Engine: strings in, scores out", self._engine, needs=self._seconds(30))
        report.section("Service: many searches at once", self._load_test, needs=self._seconds(20))
        report.section(
            "What each kernel gains",
            partial(device.variants, report, subject, ours.runner.largest, work),
            needs=self._seconds(30),
        )
        report.section("Late interaction", self._late, needs=self._seconds(15))
        report.section(
            "Rooms of every size", partial(device.rooms, report, subject, ours, self._source), needs=self._seconds(10)
        )
        report.section("Beside the targets", self._compare_with_targets)

    def _load(self) -> dict[str, Any]:
        began = time.monotonic()
        ours = self._subject.cross_encoder()
        seconds = time.monotonic() - began
        self._models["ours"] = ours
        chosen = ours.runner.operations
        self._models["ours, no graphs"] = self._subject.cross_encoder(self._subject.ways(lambda: chosen, records=False))
        self._report.say(
            f"{chosen.name}, {ours.facts.dtype}, {len(ours.runner.recorded)} graphs, ready in {seconds:.1f} s."
        )
        return {"kernels": chosen.name, "graphs": len(ours.runner.recorded), "ready_seconds": seconds}

    def _gate(self) -> dict[str, Any]:
        work = correctness.searches(self._source, texts=4 if self._is_quick else 100, count=2 if self._is_quick else 6)
        right = correctness.reference(self._subject, work)
        dtype = self._models["ours"].facts.dtype
        systems = {name: (_strings(model), dtype) for name, model in self._models.items()}
        for name, make in (("transformers SDPA", self._transformers), (PEER, self._sentence_transformers)):
            try:
                systems[name] = (make(), self._subject.dtype)
            except Exception as error:  # noqa: BLE001  # without a peer the others are still to be measured
                self._report.say(f"{name} cannot be loaded: {type(error).__name__}: {error}")
        found = correctness.gate(self._report, systems, work, right, dtype=dtype)
        for name in ("transformers SDPA", PEER):
            if name in found and not found[name]["failure"]:
                self._systems.append(engine.System(f"{name} {self._subject.dtype}", systems[name][0]))
        return found

    def _sentence_transformers(self) -> correctness.Score:
        peer = SentenceTransformers(self._folder, **self._settings())
        return self._tuned(peer, peer.score)

    def _transformers(self) -> correctness.Score:
        peer = Transformers(self._folder, **self._settings())
        return self._tuned(peer, peer.score_one)

    def _settings(self) -> dict[str, Any]:
        subject = self._subject
        return {"device": subject.device, "dtype": subject.dtype, "max_length": subject.max_length}

    def _tuned(self, peer: SentenceTransformers | Transformers, score: correctness.Score) -> correctness.Score:
        """Return `score` at its best batch size, found on a search of 1,000 texts."""
        if not self._is_quick:
            times = engine.best_batch_size(peer, score, self._source.search(1000, is_long=False))
            tried = ", ".join(f"{size}: {1000 / seconds:,.0f}" for size, seconds in times.items())
            self._report.say(f"{type(peer).__name__}: pairs/s by batch size {tried}; it is run with {peer.batch_size}.")
        return score

    def _invariants(self) -> dict[str, Any]:
        work = correctness.searches(self._source, texts=4 if self._is_quick else 100, count=2 if self._is_quick else 4)
        return correctness.invariants(self._report, self._models["ours"], work)

    def _engine(self) -> dict[str, Any]:
        systems = [*engine.ours(self._models["ours"], self._models["ours, no graphs"]), *self._systems]
        regimes = engine.QUICK_REGIMES if self._is_quick else engine.REGIMES
        baseline = f"{PEER} {self._subject.dtype}"
        found = engine.measure(
            self._report, systems, self._source, regimes, baseline=baseline, seconds=self._seconds(110)
        )
        for regime in ("k=1000",):
            for name in ("ours, warm", "ours, token ids at hand"):
                if name in found.get(regime, {}):
                    speed = found[regime][name]["pairs_per_second"]
                    self._targets[f"pairs/s, {regime}, {name}"] = (speed, TARGET_PAIRS_PER_SECOND)
                    self._targets[f"x {baseline}, {regime}, {name}"] = (
                        found[regime][name]["ratio"] or 0.0,
                        TARGET_RATIO,
                    )
        return found

    def _load_test(self) -> dict[str, Any]:
        cells = load.QUICK_CELLS if self._is_quick else load.CELLS
        found = load.measure(self._report, self._models["ours"], self._source, cells, seconds=self._seconds(50))
        for name in ("k=100, 16 at once, warm", "k=100, 64 at once, warm"):
            if "pairs_per_second" in found.get(name, {}):
                self._targets[f"pairs/s, {name}"] = (found[name]["pairs_per_second"], TARGET_PAIRS_PER_SECOND)
        return found

    def _late(self) -> dict[str, Any]:
        texts = 4 if self._is_quick else 100
        return late.measure(
            self._report, self._subject, self._source, self._work / "late", texts=texts, seconds=self._seconds(6)
        )

    def _take_device_target(self, found: dict[str, Any]) -> None:
        if "k=100, recorded" in found:
            self._targets["ms on the device, k=100"] = (found["k=100, recorded"]["ms"], TARGET_DEVICE_MS)

    def _compare_with_targets(self) -> dict[str, Any]:
        rows, found = [], {}
        for name, (value, target) in self._targets.items():
            is_reached = value <= target if name.startswith("ms") else value >= target
            found[name] = {"value": value, "target": target, "is_reached": is_reached}
            rows.append([name, f"{value:,.2f}", f"{target:,.0f}", "reached" if is_reached else "missed"])
        self._report.table(["target", "measured", "wanted", ""], rows)
        return found

    def _seconds(self, seconds: float) -> float:
        """Return as many of the usual `seconds` as there is time for, next to none for a quick run."""
        return 0.2 if self._is_quick else seconds * self._share_of_time


def _strings(model: CudaCrossEncoder) -> correctness.Score:
    return lambda search: model.forward(model.tokenize(search.query, search.texts))


def _model(given: Path | None, work: Path, *, is_small: bool) -> tuple[Path, str]:
    """Return a cross-encoder's folder and what it is: the one given, or random weights in MiniLM's shape.

    `is_small`: with fewer layers, when it is only to be seen that it runs.
    """
    if given is not None:
        return given, f"the model in {given.name}"
    offline = model_of_shape.offline_model()
    tokenizer = offline or vocabulary.write(work / "tokenizer")
    words = "BERT's own vocabulary" if offline else "a vocabulary of as many made-up words as BERT's has pieces"
    config = work / ("a smaller model" if is_small else "ms-marco-MiniLM-L6-v2")
    config.mkdir()
    shape = model_of_shape.CONFIG | ({"num_hidden_layers": QUICK_LAYERS} if is_small else {})
    (config / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    folder = work / "model"
    return folder, f"{model_of_shape.write(folder, tokenizer=tokenizer, trunk=None, config=config)}; {words}"
