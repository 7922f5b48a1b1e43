"""`fit-weights`, from the words of the command line to the TOML of a policy.

Law: before is what is in force, fusion and all, and after is measured as before is, on queries that the weights were
not fitted to. Weights that are worse there are not printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sidecar import fusion
from sidecar.errors import ConfigError, SidecarError
from sidecar.evaluation import datasets
from sidecar.evaluation import program as evaluation
from sidecar.evaluation.comparison import Comparison, compare
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.files import write
from sidecar.evaluation.progress import bar
from sidecar.evaluation.request import EvaluationRequest
from sidecar.evaluation.sources import open_source
from sidecar.finetuning.split import held_out
from sidecar.fitting import ascent, lists
from sidecar.fitting.ascent import Fit
from sidecar.fitting.lists import Listed, Listing, Lists
from sidecar.fitting.request import FitRequest
from sidecar.fusion import Linear
from sidecar.program import parts
from sidecar.program.config import SignalSection
from sidecar.program.parts import Options
from sidecar.scoring.base import Scorer
from sidecar.types import Candidate, RerankOptions, SignalValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Announce = Callable[[str], None]

MEASURE = "nDCG@10"


class NotBetter(SidecarError):
    """The fitted weights rank queries that they were not fitted to worse than those in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What there is to say."""

    fit: Fit
    #: as they were written, with the weights in force
    signals: tuple[SignalSection, ...]
    #: fusion in force, in words
    before: str
    #: after minus before: on the queries that were fitted to, and on those held out
    fitted: Comparison
    held_out: Comparison
    #: means of the queries held out
    mean_before: float
    mean_after: float


async def run(options: Options, request: FitRequest, announce: Announce) -> None:
    """Fit, check, and print.

    Raises:
        ConfigError: something that was given makes no sense; the message names it.
        NotBetter: the queries held out are ranked worse than before.
        SidecarError: a model cannot be had, or a search has no result.
        EngineError: the engine gives no answer.
    """
    fitted = await fitting(evaluation.with_engine(options), request, announce)
    if request.json is not None:
        write(request.json, json.dumps(document(fitted), indent=2))
        announce(f"wrote {request.json}")
    for line in said(fitted):
        announce(line)
    if fitted.held_out.mean < 0:
        raise NotBetter(
            f"{MEASURE} of the queries held out falls from {fitted.mean_before:.4f} to {fitted.mean_after:.4f}: keep "
            "the weights that are in force. More judgments may help"
        )
    announce("")
    announce(toml(fitted))


async def fitting(options: Options, request: FitRequest, announce: Announce) -> Fitted:
    """Return what there is to say. Raises as `run`, but NotBetter."""
    async with AsyncExitStack() as stack:
        base = _in_force(options, request)
        scorer = await _loaded(stack, options, request, base)
        facts = scorer.describe()
        announce(f"model: {parts.model_line(facts)}")
        dataset = _dataset(request.searched())
        searched = _Searching(options, scorer, base, announce)
        tested = request.tested()
        if tested is None:
            apart = held_out(dataset.queries, request.held_out_of(len(dataset.queries)), request.seed)
            listing = await searched(request.searched(), dataset)
            checked, test = {query: each for query, each in listing.items() if query in apart}, dataset
        else:
            test = _dataset(tested)
            words = {text.strip() for text in test.queries.values()}
            apart = {query for query, text in dataset.queries.items() if text.strip() in words}
            listing = await searched(request.searched(), dataset)
            checked = await searched(tested, test)
    trained = {query: each for query, each in listing.items() if query not in apart}
    terms = 2 + len(base.signals)
    mine = lists.as_arrays(trained, dataset.qrels or {}, terms)
    theirs = lists.as_arrays(checked, test.qrels or {}, terms)
    if not mine.queries or not theirs.queries:
        raise ConfigError("--qrels: no judged queries are left on one of the sides")
    rule = fusion.choose(base, facts)
    start = (rule.weight if isinstance(rule, Linear) else 1.0, *(signal.weight for signal in base.signals))
    fit = ascent.fit(mine, start, seed=request.seed)
    weights = ascent.weights(fit.point)
    before, after = theirs.ndcg_of(_finals(checked, theirs, rule)), theirs.ndcg(weights)
    return Fitted(
        fit=fit,
        signals=_sections(options, request),
        before=f"linear={rule.weight:g}" if isinstance(rule, Linear) else str(base.fusion),
        fitted=_compared(mine, mine.ndcg_of(_finals(trained, mine, rule)), mine.ndcg(weights)),
        held_out=_compared(theirs, before, after),
        mean_before=float(before.mean()),
        mean_after=float(after.mean()),
    )


def _compared(found: Lists, before: NDArray[np.float64], after: NDArray[np.float64]) -> Comparison:
    return compare(
        dict(zip(found.queries, before.tolist(), strict=True)), dict(zip(found.queries, after.tolist(), strict=True))
    )


def _finals(listing: Listing, found: Lists, rule: fusion.Fusion) -> NDArray[np.float64]:
    """Return the final scores under the fusion in force, (queries, candidates)."""
    import numpy as np

    finals = np.zeros(found.gains.shape)
    for row, query in enumerate(found.queries):
        each = listing[query]
        finals[row, : len(each)] = rule.fuse([_candidate(one) for one in each], [one.model_score for one in each])
    return finals


def _candidate(each: Listed) -> Candidate:
    """Return a candidate whose signals have the values that were told."""
    return replace(each.candidate, signals=tuple(SignalValue(None, value) for value in each.terms[2:]))


def _dataset(request: EvaluationRequest) -> Dataset:
    return datasets.load(request.dataset, request.qrels).limited(request.limit)


def _in_force(options: Options, request: FitRequest) -> RerankOptions:
    """Return the settings whose weights are fitted: those of the index, else the defaults."""
    policy = options.settings.policy()
    base = policy.defaults if request.index is None else policy.options(request.index)
    return replace(base, fields=request.fields, template=None) if request.fields else base


def _sections(options: Options, request: FitRequest) -> tuple[SignalSection, ...]:
    """Return the signals of these settings as they were written."""
    settings = options.settings
    policies = zip(settings.policies, settings.policy().policies, strict=True)
    mine = next((section for section, policy in policies if request.index and policy.matches(request.index)), None)
    return settings.rerank.signals if mine is None or "signals" not in mine.model_fields_set else mine.signals


async def _loaded(stack: AsyncExitStack, options: Options, request: FitRequest, base: RerankOptions) -> Scorer:
    """Return the scorer once it can score, open as long as `stack` is."""
    name = request.model or base.model
    if name is not None:
        settings = options.settings
        changed = {
            "model": settings.model.model_copy(update={"name": name}),
            "scorer": settings.scorer.model_copy(update={"url": None}),
        }
        options = replace(options, settings=settings.model_copy(update=changed))
    scorer = await stack.enter_async_context(parts.open_any_scorer(options))
    with bar(f"loading {options.settings.model.name}"):
        await parts.await_facts(scorer)
    return scorer


class _Searching:
    """Searches the queries of a dataset, and returns their candidates."""

    def __init__(self, options: Options, scorer: Scorer, base: RerankOptions, announce: Announce) -> None:
        self._options = options
        self._scorer = scorer
        self._base = base
        self._announce = announce

    async def __call__(self, request: EvaluationRequest, dataset: Dataset) -> dict[str, list[Listed]]:
        async with open_source(self._options, request, dataset) as source:
            self._announce(f"first stage: {source}")
            for note in source.dataset.notes:
                self._announce(f"note: {note}")
            with bar("queries", len(source.dataset.queries)) as advance:
                return await lists.gather(source, self._scorer, self._base, request.windows[0], lambda: advance(1))


# --- what is said -------------------------------------------------------------------------------------------


def said(found: Fitted) -> list[str]:
    """Return before and after in lines for people."""
    low, high = found.held_out.interval
    lines = [
        f"in force: {found.before}",
        f"fitted to {_queries(found.fitted)}: {MEASURE} {found.fitted.mean:+.4f}",
        f"held out, {_queries(found.held_out)}: {MEASURE} {found.mean_before:.4f} -> {found.mean_after:.4f} "
        f"({found.held_out.mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, p = {found.held_out.p_value:.3f})",
    ]
    if found.held_out.mean >= 0 and low <= 0:
        lines.append("the difference could be chance: the interval has 0 in it")
    return lines


def _queries(comparison: Comparison) -> str:
    return f"{len(comparison.deltas)} queries"


def toml(found: Fitted) -> str:
    """Return the settings of the policy with their intervals."""
    share, *weights = found.fit.point
    first, *others = found.fit.intervals
    lines = ['fusion = "linear"', f"weight = {share:g}  # {_interval(first)}"]
    for signal, weight, interval in zip(found.signals, weights, others, strict=True):
        given = signal.model_dump(exclude_unset=True, exclude={"weight"})
        parameters = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items()]
        lines += ["", "[[policies.signals]]", *parameters, f"weight = {weight:g}  # {_interval(interval)}"]
    return "\n".join(lines)


def _interval(interval: Sequence[float]) -> str:
    return f"95 % interval {interval[0]:g} to {interval[1]:g}"


def document(found: Fitted) -> dict[str, Any]:
    """Return all figures as JSON has them."""
    share, *weights = found.fit.point
    return {
        "measure": MEASURE,
        "in_force": found.before,
        "weight": share,
        "signals": [
            {**each.model_dump(exclude_unset=True), "weight": weight}
            for each, weight in zip(found.signals, weights, strict=True)
        ],
        "intervals": [list(interval) for interval in found.fit.intervals],
        "fitted": _figures(found.fitted),
        "held_out": {**_figures(found.held_out), "before": found.mean_before, "after": found.mean_after},
    }


def _figures(comparison: Comparison) -> dict[str, Any]:
    figures = asdict(comparison)
    return {"queries": len(figures.pop("deltas")), **figures}
