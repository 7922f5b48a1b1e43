"""The results as JSON: documented in docs/replay.md, and what the other views show as well."""

from __future__ import annotations

from typing import Any

from connectors.json_bytes import JsonObject
from sidecar.program import parts
from sidecar.replay.playing import Page
from sidecar.replay.recorded import Recorded
from sidecar.replay.results import DEPTH, Changed, Quality, Results, mean
from sidecar.replay.words import in_short, meaning


def document(results: Results) -> JsonObject:
    """Return everything as one JSON object. Durations in milliseconds, ranks from 1."""
    recording, request = results.recording, results.request
    return {
        "version": parts.program_version(),
        "in_short": in_short(results),
        "recording": {
            "files": [str(path) for path in request.files],
            "lines": recording.lines,
            "searches": recording.sent,
            "different": len(recording.searches),
            "seconds": recording.span,
            "not_replayed": {
                reason: {"lines": refused.count, "first": refused.example}
                for reason, refused in recording.refused.items()
            },
        },
        "engine": results.engine,
        "models": list(results.models),
        "rate": request.rate,
        "concurrency": request.concurrency,
        "depth": request.ranked,
        "ended_early": results.ended,
        "searches": results.sent,
        "different": results.different,
        "reranked": _figures(results.reranked) | {"changes": dict(results.changes), "late": results.late},
        "policies": {
            policy.name: {"searches": policy.sent, **_figures(policy.reranked)} for policy in results.policies
        },
        "judged": None if results.quality is None else _quality(results.quality),
        "milliseconds": {
            name: {f"p{percent}": 1000 * value for percent, value in values.items()}
            for name, values in results.seconds.items()
        },
        "cost": {
            "pairs": results.pairs,
            "device_ms_per_search": 1000 * results.device_seconds,
            "is_told_by_scorer": results.is_device_told,
            "recorded_searches_per_second": recording.per_second,
            "share_of_one_device": results.load,
        },
        "left_alone": [
            {
                "reason": each.reason,
                "which_is": meaning(each),
                "failed": each.has_failed,
                "searches": each.sent,
                "different": each.different,
            }
            for each in results.reasons
        ],
        "changed_most": [_search(each) for each in results.changed_most()],
        "hurt_most": [{"delta": delta, **_search(each)} for each, delta in results.hurt_most()],
        "each": [_line(each) for each in results.reranked],
    }


def _figures(reranked: Any) -> JsonObject:
    return {
        "searches": sum(each.weight for each in reranked),
        "different": len(reranked),
        f"jaccard@{DEPTH}": mean(reranked, lambda each: each.jaccard),
        "rbo": mean(reranked, lambda each: each.rbo),
        "other_first_hit": mean(reranked, lambda each: each.has_other_top),
        "new_hits": mean(reranked, lambda each: each.new),
    } | ({} if reranked else dict.fromkeys((f"jaccard@{DEPTH}", "rbo", "other_first_hit", "new_hits")))


def _quality(quality: Quality) -> JsonObject:
    against = quality.comparison
    return {
        "judgments": quality.judged.name,
        "searches": len(quality.searches),
        "before": dict(quality.before),
        "after": dict(quality.after),
        "measure": quality.primary,
        "delta": against.mean,
        "interval": list(against.interval),
        "p_value": against.p_value,
        "wins": against.wins,
        "losses": against.losses,
        "ties": against.ties,
        "delta_as_sent": quality.weighted_delta,
    }


def _line(each: Changed) -> JsonObject:
    replayed = each.replayed
    return {
        **_asked(replayed.recorded),
        "query": replayed.query,
        "policy": replayed.policy,
        f"jaccard@{DEPTH}": each.jaccard,
        "rbo": each.rbo,
        "other_first_hit": each.has_other_top,
        "candidates": replayed.candidates,
        "late": replayed.is_late,
        "engine_ms": _milliseconds(replayed.seconds_before),
        "reranked_ms": _milliseconds(replayed.seconds_after),
        "first_stage_ms": _milliseconds(replayed.first_stage),
        "rerank_ms": _milliseconds(replayed.second_stage),
        "queue_ms": _milliseconds(replayed.queue),
        "model_ms": _milliseconds(replayed.model),
    }


def _search(each: Changed) -> JsonObject:
    return {
        **_line(each),
        "body": each.replayed.recorded.request.body.decode(),
        "before": _page(each.replayed.before),
        "after": _page(each.replayed.after),
    }


def _asked(recorded: Recorded) -> JsonObject:
    return {"index": recorded.request.index, "count": recorded.count, "id": recorded.id}


def _page(page: Page) -> list[JsonObject]:
    return [{"index": hit.index, "id": hit.id, "score": hit.score, "text": hit.text} for hit in page[:DEPTH]]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)
