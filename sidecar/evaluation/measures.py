"""Measures by the names of ir-measures, which computes them.

Law: a ranking is measured in its own order: ranks and not scores are given to ir-measures, so that equal scores cannot
change it. A query without hits counts as 0.

*Source:* ir-measures (MacAvaney, Macdonald, Ounis, "Streamlining Evaluation with ir-measures", ECIR 2022), over
pytrec_eval: nDCG with linear gain as trec_eval has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from sidecar.errors import ConfigError
from sidecar.evaluation.judgments import Qrels

DEFAULT_MEASURES: Final = ("nDCG@10", "RR@10", "AP", "P@10", "R@10", "R@100", "Judged@10")

PerQuery = Mapping[str, Mapping[str, float]]
"""Values by measure and query id."""


def parse(names: Sequence[str], *, relevant_from: int = 1) -> dict[str, Any]:
    """Return the measures by their full names; those that know relevant and not count grades from `relevant_from`.

    Raises:
        ConfigError: ir-measures is not installed, does not know a name, or cannot compute a measure.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise ConfigError("evaluate needs ir-measures: pip install 'rerank-sidecar[evaluate]'") from error
    found: dict[str, Any] = {}
    for name in names or DEFAULT_MEASURES:
        try:
            measure = ir_measures.parse_measure(name)
        except (NameError, ValueError, SyntaxError) as error:
            raise ConfigError(f"--measure: ir-measures does not know {name!r}: {error}") from error
        if relevant_from != 1 and "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params:
            measure = measure(rel=relevant_from)
        found[str(measure)] = measure
    per_query(found, {"query": {"document": 1}}, {"query": ["document"]})  # whether all of them can be computed
    return found


def per_query(measures: Mapping[str, Any], qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> PerQuery:
    """Return every measure of every judged query over rankings of document ids, best first.

    Raises:
        ConfigError: something that one of the measures needs is not installed.
    """
    import ir_measures

    grades = {query: {id: max(0, grade) for id, grade in judged.items()} for query, judged in qrels.items()}
    run = {
        query: {id: float(len(ids) - position) for position, id in enumerate(ids)}
        for query, ids in rankings.items()
        if ids
    }
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    by_measure = {measure: name for name, measure in measures.items()}
    try:
        for value in ir_measures.iter_calc(list(by_measure), grades, run):
            if value.query_id in qrels:
                values[by_measure[value.measure]][value.query_id] = float(value.value)
    except (ImportError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--measure: {error}") from error
    return values


def means(values: PerQuery) -> dict[str, float]:
    """Return the mean of every measure."""
    return {name: fmean(by_query.values()) for name, by_query in values.items()}
