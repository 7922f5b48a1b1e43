"""The results as JSON: documented in docs/evaluation.md, and what the other views show as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from connectors.json_bytes import JsonObject
from sidecar.evaluation.comparison import Comparison
from sidecar.evaluation.results import OVERLAP_DEPTH, Measured, Reranked, Results, ShownQuery, percentile
from sidecar.program import parts

PERCENTILES: Final = (50, 95, 99)


def document(results: Results) -> JsonObject:
    """Return everything as one JSON object."""
    source = results.source
    dataset = source.dataset
    return {
        "version": parts.program_version(),
        "dataset": {
            "name": dataset.name,
            "queries": len(dataset.queries),
            "is_judged": dataset.qrels is not None,
            "relevant_from": results.relevant_from,
            "notes": list(dataset.notes),
        },
        "measures": list(results.measures),
        "first_stage": {
            "engine": source.engine.name,
            "index": source.question.index,
            "analyzer": source.analyzer,
            "fields": list(source.fields),
            "query": source.query,
            "hits": source.question.size,
            **_measured(results.first_stage, dataset.queries),
        },
        "systems": [_system(results, system) for system in results.systems],
    }


def milliseconds(rankings_seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the percentiles of durations by name, p50 and so on."""
    values = list(rankings_seconds.values())
    return {f"p{percent}": 1000 * percentile(values, percent) for percent in PERCENTILES}


def _system(results: Results, system: Reranked) -> JsonObject:
    facts = system.facts
    return {
        "label": system.label,
        "model": {
            "name": facts.name,
            "revision": facts.revision,
            "kind": facts.kind,
            "max_length": facts.max_length,
            "device": facts.device,
            "dtype": facts.dtype,
            "tokens_per_second": facts.tokens_per_second,
        },
        "window": system.window,
        "fusion": system.fusion,
        "cascade": {"pruner": system.pruner, "keep": system.keep} if system.pruner else None,
        "against_first_stage": _against(results.primary, system.comparison),
        "overlap": {f"jaccard@{OVERLAP_DEPTH}": fmean(system.jaccard.values()), "rbo": fmean(system.rbo.values())},
        "scored_per_query": system.scored_per_query,
        "not_reranked": dict(system.rankings.skipped),
        **_measured(system, results.source.dataset.queries, system),
        "hurt" if results.primary else "changed": [_shown(query) for query in results.to_look_at(system)],
    }


def _measured(measured: Measured, queries: Mapping[str, str], system: Reranked | None = None) -> JsonObject:
    return {
        "means": dict(measured.means),
        "milliseconds": milliseconds(measured.rankings.seconds),
        "queries": {query: _query(measured, query, text, system) for query, text in queries.items()},
    }


def _query(measured: Measured, query: str, text: str, system: Reranked | None) -> JsonObject:
    own: JsonObject = {
        "text": text,
        "measures": {name: values[query] for name, values in measured.values.items()},
        "milliseconds": 1000 * measured.rankings.seconds[query],
    }
    if system is not None:
        own["scored"] = system.rankings.scored[query]
        own[f"jaccard@{OVERLAP_DEPTH}"] = system.jaccard[query]
        own["rbo"] = system.rbo[query]
        if system.comparison is not None:
            own["delta"] = system.comparison.deltas[query]
    return own


def _against(primary: str | None, comparison: Comparison | None) -> JsonObject | None:
    if comparison is None:
        return None
    return {
        "measure": primary,
        "delta": comparison.mean,
        "interval": list(comparison.interval),
        "p_value": comparison.p_value,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "ties": comparison.ties,
    }


def _shown(query: ShownQuery) -> JsonObject:
    return {
        "id": query.id,
        "text": query.text,
        "before": query.before,
        "after": query.after,
        "rbo": query.rbo,
        "hits": _hits(query),
    }


def _hits(query: ShownQuery) -> Sequence[Any]:
    return [
        {
            "id": shown.hit.id,
            "rank": shown.hit.rank,
            "first_stage_rank": shown.hit.first_stage_rank,
            "model_score": shown.hit.model_score,
            "grade": shown.grade,
            "text": shown.text,
        }
        for shown in query.hits
    ]
