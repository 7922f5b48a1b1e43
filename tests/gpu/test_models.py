"""The GPU's models score as the CPU's do: alone, batched, permuted, in any room, through kernels and graphs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring import models
from sidecar.scoring.base import PairModel, PreparesBatches
from sidecar.scoring.cuda.bert import CrossEncoder, LateInteraction
from sidecar.scoring.cuda.graphs import Rerun
from sidecar.scoring.cuda.models import CudaCrossEncoder, CudaLateInteraction, Ways
from sidecar.scoring.cuda.operations import PLAIN, Likeness, triton_operations
from sidecar.scoring.cuda.rooms import Room
from sidecar.scoring.cuda.runner import Compute, Runner
from sidecar.scoring.cuda.staging import PairParts, SeparateParts
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape
from sidecar.scoring.pairs import load_tokenizer, probe, probe_single
from sidecar.scoring.weights import read_weights
from tests import tiny_models
from tests.gpu.here import DEVICE, HAS_GPU, on_device

pytestmark = on_device

TOLERANCE = {"fp32": 1e-4, "fp16": 0.01, "bf16": 0.1}
QUERY = f"{tiny_models.WORDS[3]} {tiny_models.WORDS[14]} 15?"
OTHER = " ".join(tiny_models.WORDS[20:24])

LARGEST = Room(tokens=512, longest=64, texts=16, matches=16)

Make = Callable[[Path], Path]
Model = CudaCrossEncoder | CudaLateInteraction

KINDS: dict[str, tuple[Make, type[Model]]] = {
    "cross-encoder": (tiny_models.bert, CudaCrossEncoder),
    "of two labels": (lambda folder: tiny_models.bert(folder, labels=2), CudaCrossEncoder),
    "late interaction": (tiny_models.bi_encoder, CudaLateInteraction),
    "late interaction, first token": (
        lambda folder: tiny_models.bi_encoder(folder, pooling="cls"),
        CudaLateInteraction,
    ),
}
DTYPES = ["fp32", "fp16", "bf16"] if HAS_GPU else ["fp32"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, type[Model]]:
    """Give a folder for each kind of model, and what runs it."""
    make, kind = KINDS[request.param]
    return make(tmp_path_factory.mktemp("model")), kind


@pytest.fixture(scope="module")
def reference(folder: tuple[Path, type[Model]]) -> PairModel:
    """Give the same model as the CPU runs it in fp32."""
    return models.load(str(folder[0]), device="cpu", dtype="fp32")


@pytest.fixture(scope="module", params=DTYPES)
def model(request: pytest.FixtureRequest, folder: tuple[Path, type[Model]], reference: PairModel) -> Model:
    """Give the model as a GPU runs it, with what stands for kernels and graphs where there is none."""
    path, kind = folder
    placement = Placement(DEVICE, request.param)
    ways = replace(Ways.of(placement), room_tokens=[64, 256])
    if not HAS_GPU:
        ways = replace(ways, candidates=[lambda: replace(PLAIN, is_recordable=True)], recorder=Rerun())
    facts = replace(reference.facts, device=placement.kind, dtype=placement.dtype)
    return kind(ModelFolder(name="tiny", path=path), facts, placement, ways)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Give texts of all lengths, some longer than the model reads."""
    rng = random.Random(tiny_models.SEED)
    return ["", "a", "京都", "\ud800", *(tiny_models.random_text(rng, rng.randrange(1, 80)) for _ in range(14))]


def test_scores_are_the_reference_s(model: Model, reference: PairModel, texts: list[str]) -> None:
    """In a batch of several searches, and one by one."""
    tolerance = TOLERANCE[model.facts.dtype]
    pairs = [*model.tokenize(QUERY, texts), *model.tokenize(OTHER, texts)]
    expected = reference.forward(pairs)
    assert model.forward(pairs) == pytest.approx(expected, abs=tolerance)
    assert [model.forward([pair])[0] for pair in pairs] == pytest.approx(expected, abs=tolerance)


def test_scores_follow_their_pairs(model: Model, texts: list[str]) -> None:
    """A permutation of the pairs permutes the scores, and twins get the same."""
    pairs = model.tokenize(QUERY, texts)
    order = list(range(len(pairs)))
    random.Random(1).shuffle(order)
    scores = model.forward(pairs)
    tolerance = TOLERANCE[model.facts.dtype]
    assert model.forward([pairs[place] for place in order]) == pytest.approx(
        [scores[place] for place in order], abs=tolerance
    )
    first, second = model.forward([pairs[5], pairs[5]])
    assert second == pytest.approx(first, abs=tolerance)


def test_batches_are_prepared_ahead(model: Model, texts: list[str]) -> None:
    """As the scheduler does it: the next one is put together before the one before has run."""
    assert isinstance(model, PreparesBatches)
    ours, theirs = model.tokenize(QUERY, texts), model.tokenize(OTHER, texts[:7])
    expected = model.forward(ours), model.forward(theirs)
    first = model.prepare(ours, slot=0)
    second = model.prepare(theirs, slot=1)
    tolerance = TOLERANCE[model.facts.dtype]
    assert model.run(first) == pytest.approx(expected[0], abs=tolerance)
    assert model.run(second) == pytest.approx(expected[1], abs=tolerance)


def test_no_pairs_have_no_scores(model: Model) -> None:
    """An empty batch is answered with an empty list."""
    assert model.forward([]) == []


def test_the_rooms_are_recorded(model: Model) -> None:
    """What was chosen can be recorded on this device, and passes its own test."""
    assert {room.tokens for room in model.runner.recorded} == {64, 256}


def test_late_interaction_tells_what_answered(tmp_path: Path) -> None:
    """For explanations; the same words as on the CPU."""
    path = tiny_models.bi_encoder(tmp_path)
    cpu = models.load(str(path), device="cpu", dtype="fp32")
    model = CudaLateInteraction(ModelFolder(name="tiny", path=path), cpu.facts, Placement("cpu", "fp32"))
    text = " ".join(tiny_models.WORDS[3:9])
    assert model.alignments(QUERY, [text]) == cpu.alignments(QUERY, [text])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["cross-encoder", "late interaction"])
def test_kernels_through_all_layers(kind: str, tmp_path: Path) -> None:
    """The forward of a few short texts: by the kernels, without a GPU in the interpreter, and with keys and values."""
    pytest.importorskip("triton")
    folder = ModelFolder(name="tiny", path=KINDS[kind][0](tmp_path))
    weights, shape, placement = read_weights(folder.weights()), BertShape.read(folder.config), Placement(DEVICE, "fp32")
    cpu = models.load(str(folder.path), device="cpu", dtype="fp32")
    pairs = cpu.tokenize(QUERY, ["京都", " ".join(tiny_models.WORDS[:12]), ""])
    compute: Compute
    packer: PairParts | SeparateParts
    if kind == "cross-encoder":
        compute = CrossEncoder(weights, shape, placement, types=(0, 1))
        packer = PairParts(probe(load_tokenizer(folder.path)))
    else:
        likeness = Likeness(before=1, after=1, pooled_share=0.5, pools_mean=True)
        compute = LateInteraction(weights, shape, placement, likeness)
        packer = SeparateParts(probe_single(load_tokenizer(folder.path)))
    for operations in (triton_operations(), replace(PLAIN, read_once=None)):
        runner = Runner(compute, operations, largest=LARGEST, device=DEVICE)
        scores = runner.run(runner.stage(packer.parts(pairs, LARGEST)))
        assert scores == pytest.approx(cpu.forward(pairs), abs=1e-4)


def test_a_model_that_overflows_runs_in_a_wider_precision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """fp16 ends at 65,504; bf16 does not, and the facts say so."""
    from safetensors.torch import load_file, save_file

    path = tiny_models.bert(tmp_path)
    weights = load_file(path / "model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    weights[name] *= 1e6
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    facts = models.load(str(path), device="cpu", dtype="fp32").facts
    model = CudaCrossEncoder(ModelFolder(name="tiny", path=path), facts, Placement(DEVICE, "fp16"))
    assert model.facts.dtype == "bf16"
    assert "precision not used dtype=fp16" in caplog.text


def test_a_model_whose_scores_are_wrong_is_refused(tmp_path: Path) -> None:
    """Whatever the reason."""
    path = tiny_models.bert(tmp_path)
    facts = models.load(str(path), device="cpu", dtype="fp32").facts
    wrong = replace(PLAIN, name="wrong", add_norm=lambda x, residual, norm: PLAIN.add_norm(x, -residual, norm))
    with pytest.raises(ModelFailed, match="no way to run it"):
        CudaCrossEncoder(
            ModelFolder(name="tiny", path=path),
            facts,
            Placement(DEVICE, "fp32"),
            Ways(candidates=[lambda: wrong], recorder=None),
        )


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
def test_the_program_takes_it(tmp_path: Path) -> None:
    """A BERT cross-encoder on CUDA is ours, by default in fp16."""
    model = models.load(str(tiny_models.bert(tmp_path)))
    assert isinstance(model, CudaCrossEncoder)
    assert (model.facts.device, model.facts.dtype) == ("cuda", "fp16")
    assert torch.cuda.memory_allocated() > 0
