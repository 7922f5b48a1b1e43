"""What the figures of a replay say in sentences, and what the reasons mean.

Law: a sentence says what was measured and not what to do; without judgments none says which ranking is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.replay.results import DEPTH, MANY, SAME, SOME, Reason, Results, mean

WHY: Final[Mapping[str, str]] = {
    "off": "switched off by the configuration or a policy",
    "control": "its user is in the control arm of an experiment",
    "not_json": "the answer was wanted in another format than JSON",
    "unparsable": "the search could not be read; the engine will judge it",
    "no_free_text": "no words that somebody typed: filters, ids, prefixes, match_all",
    "no_text_field": "none of the searched fields holds a string in the hits",
    "custom_ranking": "a ranking of its own: scripts, boosts by function, pinned hits, rescoring",
    "sort": "sorted by something else than the score",
    "size_zero": "no hits were asked for",
    "scroll": "a scroll, which is an export and no page",
    "search_after": "pages by sort values",
    "collapse": "collapsed groups",
    "filter_path": "filter_path hides what reranking needs",
    "size_dependent": "a later page of kNN, hybrid or RRF, whose ranking depends on its size",
    "beyond_result_window": "deeper than the engine's 10,000 hits",
    "system_index": "an index whose name begins with a dot",
    "product_origin": "sent by Kibana or OpenSearch Dashboards for itself",
    "signed": "its signature covers the body",
    "native_rerank": "it asks the engine's own reranker",
    "template": "a search template that could not be rendered",
    "async_search": "an asynchronous search, whose answer comes in parts",
    "search_pipeline": "a search pipeline of the engine may change request and answer",
    "few_hits": "fewer than two hits",
    "engine_error": "the engine answered the wider search with an error",
    "widening_refused": "the engine refused the wider search, so that the caller's own was sent",
    "language": "in a language that the policy's models do not know",
    "too_large": "request or answer are too large to be read",
    "beyond_window": "a page behind the window, which keeps the engine's order",
    "bad_request": "settings of the request that make no sense",
    "unavailable": "there were no scores",
    "starting": "the model was still loading",
    "overload": "more searches were in hand than may be",
    "scheduler_full": "too much waited for the device",
    "deadline": "not one hit was scored in time",
    "scorer_lost": "the scorer went away, or could not be reached",
    "two_models": "the scorers behind one address disagree about their model",
    "model": "the model could not be had, or failed",
    "pruner": "the model that prunes the window failed",
}


def meaning(reason: Reason) -> str:
    """Return what a reason means, of an engine's what it said."""
    return WHY.get(reason.reason, reason.example.said)


def in_short(results: Results) -> list[str]:
    """Return what was found, in sentences."""
    return [sentence for part in (_reach, _change, _judged, _time, _cost, _failures) for sentence in part(results)]


def _reach(results: Results) -> Iterable[str]:
    share = results.sent_reranked / results.sent if results.sent else 0.0
    different = f", {results.different:,} different ones" if results.sent != results.different else ""
    yield f"{share:.0%} of the searches are reranked: {results.sent_reranked:,} of {results.sent:,}{different}."


def _change(results: Results) -> Iterable[str]:
    if not results.reranked:
        return
    top = mean(results.reranked, lambda each: each.has_other_top)
    new = mean(results.reranked, lambda each: each.new)
    what = f"first {DEPTH} of the ranking" if results.request.ranked else "page"
    yield (
        f"Of those, {top:.0%} have another first hit, {results.changes[SAME]:.0%} keep the same {what}, and "
        f"{results.changes[SOME] + results.changes[MANY]:.0%} get three or more hits that were not on it "
        f"({new:.1f} in the mean)."
    )
    if results.quality is None:
        yield "Nobody has judged these searches: the figures say how much changes, not whether for the better."


def _judged(results: Results) -> Iterable[str]:
    quality = results.quality
    if quality is None:
        if results.request.is_judged:
            yield "No reranked search is a judged query, by its X-Opaque-Id or by its words."
        return
    name, against = quality.primary, quality.comparison
    low, high = against.interval
    verdict = "better" if low > 0 else "worse" if high < 0 else "neither better nor worse with any certainty"
    yield (
        f"{name} of the {len(quality.searches):,} judged searches goes from {quality.before[name]:.4f} to "
        f"{quality.after[name]:.4f}: {against.mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, which is {verdict}. "
        f"{against.wins} gain, {against.losses} lose."
    )


def _time(results: Results) -> Iterable[str]:
    if not results.reranked:
        return
    before, after = results.seconds["engine"], results.seconds["reranked"]
    yield (
        f"A search takes {_ms(after[50])} instead of {_ms(before[50])} (p50), and {_ms(after[95])} instead of "
        f"{_ms(before[95])} (p95)."
    )
    if results.late:
        share = results.late / results.sent_reranked
        yield f"{share:.1%} of them work longer than their deadline allows: serve would rerank a part of their window."


def _cost(results: Results) -> Iterable[str]:
    if not results.reranked or results.device_seconds <= 0:
        return
    most = 1 / results.device_seconds
    yield (
        f"The scorer reads {results.pairs / results.sent_reranked:.0f} hits and is busy for "
        f"{_ms(results.device_seconds)} a search, so that one like it does about {most:,.1f} searches a second."
    )
    if results.load is not None and results.recording.per_second is not None:
        yield (
            f"The recording has {results.recording.per_second:,.2f} searches a second: that keeps it busy for "
            f"{results.load:.0%} of the time."
        )


def _failures(results: Results) -> Iterable[str]:
    failed = sum(each.sent for each in results.reasons if each.has_failed)
    if failed:
        yield f"{failed:,} searches failed, in the engine or in the scorer: they are in none of these figures."
    if results.ended is not None:
        yield f"It ended early: {results.ended}. The figures are of what was played until then."


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
