"""A small evaluation, whose every figure can be worked out by hand."""

from collections.abc import Mapping
from typing import Any

from sidecar.evaluation import measures
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.evaluation.request import FusionChoice, question
from sidecar.evaluation.results import Results, gather
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.searching import System, search_all
from sidecar.evaluation.sources import Source
from sidecar.evaluation.stored_run import StoredRun
from sidecar.types import RerankOptions
from tests.unit.doubles import ScriptedScorer

QUERIES = {"up": "blue sky", "down": "deep <sea>", "same": "old tree"}
QRELS = {"up": {"c": 1}, "down": {"a": 1, "d": 0}, "same": {"z": 1}}
SCORES = {"text a": 0.0, "text b": 1.0, "text <c>": 3.0, "text d": 2.0}
DOCUMENTS = {text[-2:].strip("<> c") or "c": {"text": text} for text in SCORES}
RUN = {query: [ScoredId(id, 10.0 - place) for place, id in enumerate("abcd")] for query in QUERIES}


async def results(
    qrels: Mapping[str, Mapping[str, int]] | None = QRELS, names: tuple[str, ...] = ("RR@10", "P@10"), **facts: Any
) -> Results:
    """Return the results of two windows over a stored run: the model's order is c d b a; that of two, b a c d."""
    engine = AskedOnce(StoredRun("r.trec", RUN, DOCUMENTS))
    once = ScoredOnce(ScriptedScorer(SCORES, **facts))
    systems = {
        f"model window={window}": System(engine, once, RerankOptions(), window, FusionChoice()) for window in (2, 4)
    }
    dataset = Dataset(name="small & odd", queries=QUERIES, qrels=qrels, corpus=None, notes=("a note",))
    asked = question("run", ("text",), None, 100)
    source = Source(engine=StoredRun("r.trec", RUN, DOCUMENTS), dataset=dataset, question=asked, fields=("text",))
    answers = await search_all(engine, systems, QUERIES, asked, ("text",))
    measured = {} if qrels is None else measures.parse(names)
    return gather(source, systems, answers, measured, 1)
