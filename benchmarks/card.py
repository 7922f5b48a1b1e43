"""The table of the ms-marco cross-encoders' model card, with its protocol: official top-1000 lists, reranked.

    python -m benchmarks.card --msmarco FOLDER [--model ID_OR_FOLDER]

`FOLDER` holds MS MARCO's own files, compressed or not: for TREC DL 2019 `msmarco-passagetest2019-top1000.tsv` and
`2019qrels-pass.txt`, for the dev set `top1000.dev.tsv` and `qrels.dev.small.tsv`. What is missing, files or weights, is
said, and what can be measured without it is. `evaluate` measures: this program only lays out its files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.table import table
from sidecar.errors import RerankUnavailable, SidecarError
from sidecar.evaluation import program
from sidecar.evaluation.files import lines
from sidecar.evaluation.request import EvaluationRequest, FusionChoice
from sidecar.program.config import load as load_settings
from sidecar.program.parts import Options
from sidecar.scoring import models

FAMILY: Final = {
    "cross-encoder/ms-marco-TinyBERT-L2-v2": (69.84, 32.56),
    "cross-encoder/ms-marco-MiniLM-L2-v2": (71.01, 34.85),
    "cross-encoder/ms-marco-MiniLM-L4-v2": (73.04, 37.70),
    "cross-encoder/ms-marco-MiniLM-L6-v2": (74.30, 39.01),
    "cross-encoder/ms-marco-MiniLM-L12-v2": (74.31, 39.02),
}
"""What the card says: NDCG@10 of TREC DL 2019, and MRR@10 of the dev set, times 100."""

WINDOW: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One column of the table."""

    name: str
    #: query id, passage id, query, passage, between tabs; and judgments
    candidates: str
    qrels: str
    #: as ir-measures names it
    measure: str


PROTOCOLS: Final = (
    Protocol(
        name="NDCG@10, TREC DL 2019",
        candidates="msmarco-passagetest2019-top1000.tsv",
        qrels="2019qrels-pass.txt",
        measure="nDCG@10",
    ),
    Protocol(name="MRR@10, dev", candidates="top1000.dev.tsv", qrels="qrels.dev.small.tsv", measure="RR@10"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what can be measured, and say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--msmarco", type=Path, default=Path("build/msmarco"), help="folder of MS MARCO's files")
    parser.add_argument("--model", action="append", help="id or folder; repeatable (default: the family)")
    parser.add_argument("--work", type=Path, default=Path("build/card"), help="where files are laid out")
    asked = parser.parse_args(arguments)
    missing: list[str] = []
    datasets = list(_datasets(asked.msmarco, asked.work, missing))
    names = [name for name in asked.model or FAMILY if _is_here(name, missing)]
    rows = [_row(name, datasets) for name in names] if datasets else []
    if rows:
        print(
            table(
                ("model", *(f"{each.name}: here" for each in PROTOCOLS), *(f"{each.name}: card" for each in PROTOCOLS)),
                rows,
            )
        )
    for line in missing:
        print(f"missing: {line}")


def _datasets(source: Path, work: Path, missing: list[str]) -> Iterator[tuple[Protocol, Path]]:
    """Lay out the files of every protocol that there are files for."""
    for protocol in PROTOCOLS:
        files = [_file(source, name) for name in (protocol.candidates, protocol.qrels)]
        lacks = [name for name, file in zip((protocol.candidates, protocol.qrels), files, strict=True) if file is None]
        if lacks:
            missing.append(f"{' and '.join(lacks)} in {source} (MS MARCO passage ranking): no {protocol.name}")
            continue
        candidates, qrels = (file for file in files if file is not None)
        folder = work / protocol.candidates
        lay_out(candidates, qrels, folder)
        yield protocol, folder


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lay_out(candidates: Path, qrels: Path, folder: Path) -> None:
    """Write a dataset of candidates and judgments, with the run that they are; in order of the file, as they rank."""
    folder.mkdir(parents=True, exist_ok=True)
    queries: dict[str, int] = {}
    passages: set[str] = set()
    with ExitStack() as stack:
        corpus, texts, run = (
            stack.enter_context((folder / name).open("w", encoding="utf-8"))
            for name in ("corpus.jsonl", "queries.jsonl", "run.trec")
        )
        for _, line in lines(candidates):
            query, passage, words, text = line.split("\t", 3)
            if query not in queries:
                texts.write(json.dumps({"_id": query, "text": words}) + "\n")
            if passage not in passages:
                corpus.write(json.dumps({"_id": passage, "text": text}) + "\n")
                passages.add(passage)
            rank = queries[query] = queries.get(query, 0) + 1
            run.write(f"{query} Q0 {passage} {rank} {-rank} official\n")
    judged = "".join(f"{' '.join(line.split())}\n" for _, line in lines(qrels))
    (folder / "qrels.trec").write_text(judged, encoding="utf-8")


def _is_here(name: str, missing: list[str]) -> bool:
    try:
        chosen = models.resolve(name)
    except RerankUnavailable as error:
        missing.append(f"weights of {name}: {error}")
        return False
    if chosen.name != name:
        missing.append(f"weights of {name}: {chosen.note}")
    return chosen.name == name


def _row(name: str, datasets: Sequence[tuple[Protocol, Path]]) -> tuple[str, ...]:
    here = {protocol.name: f"{100 * measured(name, protocol, folder):.2f}" for protocol, folder in datasets}
    card = [f"{value:.2f}" for value in FAMILY[name]] if name in FAMILY else ["", ""]
    return (name, *(here.get(protocol.name, "") for protocol in PROTOCOLS), *card)


def measured(model: str, protocol: Protocol, folder: Path) -> float:
    """Return what `evaluate` measures. Raises SidecarError when it cannot."""
    request = EvaluationRequest(
        dataset=str(folder),
        run=folder / "run.trec",
        models=(model,),
        windows=(WINDOW,),
        fusions=(FusionChoice(name="model_only"),),
        measures=(protocol.measure,),
    )
    results = asyncio.run(program.evaluated(Options(settings=load_settings(None, {})), request, print))
    if results.primary is None:
        raise SidecarError(f"{folder} has no judgments")
    return results.systems[0].means[results.primary]


if __name__ == "__main__":
    main()
