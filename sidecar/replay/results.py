"""All that a replay has found, as values: terminal, JSON and HTML show the same.

Laws: figures are over searches as they were sent: one that was sent twice counts twice. Pages are compared, that is
what callers see; or, where a depth was asked for, rankings of that depth. Judgments are compared search by search, each
once, as `evaluate` compares queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from sidecar.evaluation import measures
from sidecar.evaluation.comparison import Comparison, compare
from sidecar.evaluation.measures import PerQuery
from sidecar.experiments import overlap
from sidecar.replay.judged import Judged
from sidecar.replay.playing import Page, Played, Replayed, Unchanged
from sidecar.replay.recorded import Recorded, Recording
from sidecar.replay.request import ReplayRequest

DEPTH: Final = 10
SHOWN_SEARCHES: Final = 10
PERCENTILES: Final = (50, 95, 99)

SAME: Final = "the same page"
ORDER: Final = "the same hits in another order"
FEW: Final = "1 or 2 other hits"
SOME: Final = "3 to 5 other hits"
MANY: Final = "6 or more other hits"
CHANGES: Final = (SAME, ORDER, FEW, SOME, MANY)


class Weighted(NamedTuple):
    """A value, and how often it was there."""

    value: float
    weight: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A search that both arms have answered, and how far its two rankings agree."""

    replayed: Replayed
    jaccard: float
    rbo: float

    @property
    def weight(self) -> int:
        """How often it was sent."""
        return self.replayed.recorded.count

    @property
    def has_other_top(self) -> bool:
        """Whether another hit comes first."""
        before, after = self.replayed.before, self.replayed.after
        return [hit.key for hit in before[:1]] != [hit.key for hit in after[:1]]

    @property
    def new(self) -> int:
        """Hits among the first ten that were not there before."""
        return len(keys(self.replayed.after[:DEPTH]) - keys(self.replayed.before[:DEPTH]))

    @property
    def change(self) -> str:
        """What has become of the first ten hits, in words."""
        before, after = self.replayed.before[:DEPTH], self.replayed.after[:DEPTH]
        if [hit.key for hit in before] == [hit.key for hit in after]:
            return SAME
        other = max(self.new, len(keys(before) - keys(after)))
        return ORDER if other == 0 else FEW if other <= 2 else SOME if other <= 5 else MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Searches that have the same page in both arms, for one reason."""

    reason: str
    has_failed: bool
    #: as they were sent, and different ones
    sent: int
    different: int
    example: Unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFigures:
    """What one policy does."""

    name: str
    reranked: Sequence[Changed]
    #: searches as they were sent, those that are left alone included
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the judgments say."""

    judged: Judged
    names: tuple[str, ...]
    #: means over the judged searches
    before: Mapping[str, float]
    after: Mapping[str, float]
    #: of the first measure, by the place of the search
    comparison: Comparison
    #: the difference of the first measure, each search as often as it was sent
    weighted_delta: float
    #: searches that are judged, by their place, and their values
    searches: Mapping[str, Changed]
    values_before: PerQuery
    values_after: PerQuery

    @property
    def primary(self) -> str:
        """The measure that is compared."""
        return self.names[0]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything."""

    request: ReplayRequest
    recording: Recording
    #: what was asked, and by what it was reranked, in a line each
    engine: str
    models: Sequence[str]
    reranked: Sequence[Changed]
    unchanged: Sequence[Unchanged]
    #: why it ended early, None where it did not
    ended: str | None
    quality: Quality | None

    @cached_property
    def sent(self) -> int:
        """Searches that were played, as they were sent."""
        return sum(each.weight for each in self.reranked) + sum(each.recorded.count for each in self.unchanged)

    @cached_property
    def different(self) -> int:
        """Different searches that were played."""
        return len(self.reranked) + len(self.unchanged)

    @cached_property
    def sent_reranked(self) -> int:
        """Searches that reranking has ranked, as they were sent."""
        return sum(each.weight for each in self.reranked)

    @cached_property
    def reasons(self) -> Sequence[Reason]:
        """Why searches have one page, the most frequent reason first."""
        by_reason: dict[tuple[str, bool], list[Unchanged]] = {}
        for each in self.unchanged:
            by_reason.setdefault((each.reason, each.has_failed), []).append(each)
        found = [
            Reason(
                reason=reason,
                has_failed=has_failed,
                sent=sum(each.recorded.count for each in some),
                different=len(some),
                example=max(some, key=lambda each: each.recorded.count),
            )
            for (reason, has_failed), some in by_reason.items()
        ]
        return sorted(found, key=lambda each: -each.sent)

    @cached_property
    def policies(self) -> Sequence[PolicyFigures]:
        """What each policy does, the one with the most searches first."""
        names = dict.fromkeys(
            [*(each.replayed.policy for each in self.reranked), *(each.policy for each in self.unchanged)]
        )
        found = [
            PolicyFigures(
                name=name,
                reranked=[each for each in self.reranked if each.replayed.policy == name],
                sent=sum(each.weight for each in self.reranked if each.replayed.policy == name)
                + sum(each.recorded.count for each in self.unchanged if each.policy == name),
            )
            for name in names
        ]
        return sorted(found, key=lambda each: -each.sent)

    @cached_property
    def changes(self) -> Mapping[str, float]:
        """Shares of the reranked searches, 0 to 1, by what has become of the page."""
        return {
            words: mean(self.reranked, lambda each, words=words: each.change == words)  # type: ignore[misc]
            for words in CHANGES
        }

    @cached_property
    def seconds(self) -> Mapping[str, Mapping[int, float]]:
        """Percentiles of durations, by what took so long; what nobody has told is left out."""
        parts: dict[str, Iterable[Weighted]] = {
            "as recorded": _told(self.reranked, lambda each: each.replayed.recorded.seconds),
            "engine": _told(self.reranked, lambda each: each.replayed.seconds_before),
            "reranked": _told(self.reranked, lambda each: each.replayed.seconds_after),
            "… its wider search": _told(self.reranked, lambda each: each.replayed.first_stage),
            "… second stage": _told(self.reranked, lambda each: each.replayed.second_stage),
            "… of that waiting": _told(self.reranked, lambda each: each.replayed.queue),
            "… of that the model": _told(self.reranked, lambda each: each.replayed.model),
        }
        told = {name: list(values) for name, values in parts.items()}
        return {
            name: {percent: percentile(values, percent) for percent in PERCENTILES}
            for name, values in told.items()
            if values
        }

    @cached_property
    def pairs(self) -> int:
        """Pairs of query and text that were scored, as searches were sent."""
        return sum(each.weight * each.replayed.candidates for each in self.reranked)

    @cached_property
    def is_device_told(self) -> bool:
        """Whether the scorer says how long its device was busy."""
        return all(each.replayed.model is not None for each in self.reranked)

    @cached_property
    def device_seconds(self) -> float:
        """Seconds of the device for a reranked search, in the mean; where the scorer does not tell, of its answer."""
        return mean(self.reranked, lambda each: _device(each.replayed))

    @cached_property
    def load(self) -> float | None:
        """Share of one such device that the recorded traffic would keep busy; None where it has no times."""
        rate = self.recording.per_second
        return None if rate is None or not self.sent else rate * self.sent_reranked / self.sent * self.device_seconds

    @cached_property
    def late(self) -> int:
        """Reranked searches, as they were sent, whose work takes longer than their deadline."""
        return sum(each.weight for each in self.reranked if each.replayed.is_late)

    def changed_most(self, count: int = SHOWN_SEARCHES) -> list[Changed]:
        """Return the searches whose two pages agree least; of equal ones those that were sent more often."""
        changed = [each for each in self.reranked if each.change != SAME]
        return sorted(changed, key=lambda each: (each.rbo, -each.weight))[:count]

    def hurt_most(self, count: int = SHOWN_SEARCHES) -> list[tuple[Changed, float]]:
        """Return the judged searches that lost most, with their difference."""
        if self.quality is None:
            return []
        worst = self.quality.comparison.worst(count)
        return [(self.quality.searches[place], self.quality.comparison.deltas[place]) for place in worst]


def gather(
    request: ReplayRequest,
    recording: Recording,
    played: Sequence[Played],
    ended: str | None,
    *,
    engine: str,
    models: Sequence[str],
    judged: Judged | None = None,
    measured: Mapping[str, Any] | None = None,
) -> Results:
    """Return the results of what was played; `measured` are the measures of the judgments."""
    reranked = [_changed(each) for each in played if isinstance(each, Replayed)]
    return Results(
        request=request,
        recording=recording,
        engine=engine,
        models=models,
        reranked=reranked,
        unchanged=[each for each in played if isinstance(each, Unchanged)],
        ended=ended,
        quality=None if judged is None else _quality(reranked, judged, measured or {}),
    )


def mean(changed: Sequence[Changed], value: Callable[[Changed], float]) -> float:
    """Return the mean of a value over searches as they were sent; 0 where there are none."""
    weight = sum(each.weight for each in changed)
    return sum(value(each) * each.weight for each in changed) / weight if weight else 0.0


def percentile(values: Sequence[Weighted], percent: float) -> float:
    """Return the least value that `percent` of all are not above (nearest rank)."""
    ordered = sorted(values)
    wanted = sum(each.weight for each in ordered) * percent / 100
    reached = 0
    for value, weight in ordered:
        reached += weight
        if reached >= wanted:
            return value
    return ordered[-1].value


def keys(page: Page) -> set[tuple[str, str]]:
    """Return the documents of a page."""
    return {hit.key for hit in page}


def _changed(replayed: Replayed) -> Changed:
    before, after = [hit.key for hit in replayed.before], [hit.key for hit in replayed.after]
    return Changed(replayed, overlap.jaccard(before, after, DEPTH), overlap.rbo(before, after))


def _told(changed: Sequence[Changed], seconds: Callable[[Changed], float | None]) -> Iterable[Weighted]:
    for each in changed:
        value = seconds(each)
        if value is not None:
            yield Weighted(value, each.weight)


def _device(replayed: Replayed) -> float:
    return replayed.second_stage - (replayed.queue or 0.0) if replayed.model is None else replayed.model


def _quality(reranked: Sequence[Changed], judged: Judged, measured: Mapping[str, Any]) -> Quality | None:
    """Return what the judgments say of the searches that they know, None where they know none."""
    searches: dict[str, Changed] = {}
    qrels: dict[str, Mapping[str, int]] = {}
    for place, each in enumerate(reranked):
        query = judged.query(each.replayed.recorded.id, each.replayed.query)
        if query is not None:
            searches[str(place)], qrels[str(place)] = each, judged.qrels[query]
    if not searches:
        return None
    before = measures.per_query(measured, qrels, {place: _ids(one.replayed.before) for place, one in searches.items()})
    after = measures.per_query(measured, qrels, {place: _ids(one.replayed.after) for place, one in searches.items()})
    primary = next(iter(measured))
    comparison = compare(before[primary], after[primary])
    weights = {place: one.weight for place, one in searches.items()}
    return Quality(
        judged=judged,
        names=tuple(measured),
        before=measures.means(before),
        after=measures.means(after),
        comparison=comparison,
        weighted_delta=sum(comparison.deltas[place] * weight for place, weight in weights.items())
        / sum(weights.values()),
        searches=searches,
        values_before=before,
        values_after=after,
    )


def _ids(page: Page) -> list[str]:
    return list(dict.fromkeys(hit.id for hit in page))


def named(recorded: Recorded) -> str:
    """Return the index expression that a search is over, for people."""
    return recorded.request.index or "all indices"
