"""Make the starter cross-encoder, or go on where it was stopped: `python -m benchmarks.starter --pairs FOLDER`.

On one core of an Intel Xeon with AMX the lists take a minute, their scores some twenty, and the training an hour and a
half. CUDA is used where it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.starter import material, packing, teacher, training
from sidecar.scoring import models, starter

CHUNK = 500
"""Lists of a file of scores."""


def main() -> None:
    """Run the steps."""
    arguments = _arguments()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    lists = _scored(arguments, work)
    print(f"{len(lists)} lists")
    trunk = models.resolve(models.OFFLINE).path
    torch.set_num_threads(arguments.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = training.new_model(trunk, arguments.seed)
    training.train(model, lists, work, steps=arguments.steps, seed=arguments.seed, said=_say, device=device)
    size = packing.write(model, work / "changes.safetensors")
    print(f"wrote {work / 'changes.safetensors'}: {size / 1e6:.1f} MB; shipped as {starter.CHANGES}")


def _scored(arguments: argparse.Namespace, work: Path) -> list[material.Listed]:
    """Return the lists with the teacher's scores, in files of which each is written once."""
    raw = work / "raw.jsonl.gz"
    if not raw.is_file():
        pairs, passages = material.read(arguments.pairs)
        chosen = material.choose(pairs, arguments.lists, arguments.seed)
        material.save(raw, list(material.lists(chosen, material.Pool(passages), arguments.seed)))
    found = material.load(raw)
    scored: list[material.Listed] = []
    for number, begin in enumerate(range(0, min(len(found), arguments.taught), CHUNK)):
        path = work / f"scored-{number:03d}.jsonl.gz"
        if not path.is_file():
            material.save(path, teacher.score(found[begin : begin + CHUNK]))
            _say(f"teacher: {begin + CHUNK} of {arguments.taught} lists")
        scored += material.load(path)
    return scored


def _say(line: str) -> None:
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starter", description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="folder of pairs-*.jsonl.gz and passages-*.jsonl.gz")
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="folder of lists and checkpoints")
    parser.add_argument("--lists", type=int, default=24_000, help="lists that are made")
    parser.add_argument("--taught", type=int, default=22_000, help="of these, lists that the teacher scores")
    parser.add_argument("--steps", type=int, default=5600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
