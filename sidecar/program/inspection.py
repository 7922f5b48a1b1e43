"""`check` and `explain`: what would happen, said to a person.

Law: the same connector as `serve` does the work; nothing is computed a second way here. Neither deadline nor budget
applies, so that what is shown is the ranking and not the speed of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.base import SearchRequest, header
from connectors.errors import EngineError
from sidecar.errors import ConfigError, RerankUnavailable, SidecarError
from sidecar.marker import HEADER
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.program import parts
from sidecar.program.parts import Options
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.types import RerankOptions

Announce = Callable[[str], None]


class CheckFailed(SidecarError):
    """Something that `check` looked at does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One hit of an explained search."""

    id: str
    rank: int
    first_stage_rank: int
    first_stage_score: float | None
    model_score: float | None
    score: float | None
    text: str | None
    #: what the final score is the sum of
    terms: tuple[Mapping[str, Any], ...] = ()
    pinned: bool = False


async def check(options: Options, announce: Announce) -> None:
    """Say whether engine and scorer answer, and which token budget this machine can keep.

    Raises:
        CheckFailed: one of them does not.
    """
    problems: list[str] = []
    announce(f"configuration: ok, listening would be at {options.settings.listen}")
    async with parts.open_engine(options.settings) as engine:
        try:
            await engine.ping()
            announce(f"engine: {engine.name} at {', '.join(options.settings.engine.printable_urls)}")
        except EngineError as error:
            problems.append(f"engine: {error}")
    async with parts.open_any_scorer(options) as scorer:
        try:
            facts = await parts.await_facts(scorer)
            announce(f"model: {parts.model_line(facts)}")
            announce(_budget_line(facts, options.settings.policy().defaults))
        except RerankUnavailable as error:
            problems.append(f"scorer: {error}")
    if problems:
        raise CheckFailed("; ".join(problems))


def _budget_line(facts: ModelFacts, options: RerankOptions) -> str:
    from sidecar.cascade import SHARE
    from sidecar.window import token_budget

    budget = token_budget(options, facts, share=SHARE if options.prune_model else 1.0)
    if budget is None:
        return "token budget: none (no deadline, or a scorer that does not tell its speed)"
    return (
        f"token budget: {budget} tokens per search, about {budget // 100} passages of 100 tokens; where several "
        f"replicas must agree, pin it: rerank.token_budget = {budget}"
    )


async def explain(options: Options, index: str, query: str, *, size: int, as_json: bool, announce: Announce) -> None:
    """Print one search before and after.

    `query` is a search body as JSON, or words, which are searched in all text fields.

    Raises:
        ConfigError: `query` begins as JSON and is none.
    """
    request = _request(index, query, size)
    async with parts.open_engine(options.settings) as engine, parts.open_any_scorer(options) as scorer:
        await parts.await_facts(scorer)
        answer = await _reranking(options, engine, scorer).search(request)
    answer.raise_for_status()
    marker = header(answer.headers, HEADER) or ""
    hits = [explained(position, hit.value) for position, hit in enumerate(answer.hits, start=1)]
    if as_json:
        announce(json.dumps({"marker": marker, "hits": [_as_json(hit) for hit in hits]}, ensure_ascii=False, indent=2))
    else:
        print_table(f"{HEADER}: {marker}", hits)
        print_terms(hits)


def _reranking(options: Options, engine: Any, scorer: Scorer) -> RerankingConnector:
    policy = options.settings.policy()
    free: dict[str, Any] = {
        "deadline": 0.0,
        "token_budget": 0,
        "explain": True,
        "insist": True,
        "enabled": True,
        "mode": "apply",
        "percent": 100.0,
        "interleave": "off",
        "model": None,
        "prune_model": None,
    }
    return RerankingConnector(
        engine,
        scorer,
        Policy(
            defaults=replace(policy.defaults, **free),
            policies=tuple(replace(each, overrides={**each.overrides, **free}) for each in policy.policies),
        ),
    )


def _request(index: str, query: str, size: int) -> SearchRequest:
    return SearchRequest.build(index=index, body={"size": size, **_body(query)})


def _body(query: str) -> dict[str, Any]:
    if not query.lstrip().startswith("{"):
        return {"query": {"multi_match": {"query": query}}}
    try:
        body: dict[str, Any] = json.loads(query)
    except ValueError as error:
        raise ConfigError(f"query: begins with {{ and is no JSON: {error}") from error
    return body


def explained(position: int, value: dict[str, Any]) -> Explained:
    """Return what a hit of an explained search says; `position` is its rank now."""
    said = value.get("_rerank") or {}
    return Explained(
        id=str(value.get("_id")),
        rank=position,
        first_stage_rank=int(said.get("first_stage_rank", position)),
        first_stage_score=said.get("first_stage_score"),
        model_score=said.get("model_score"),
        score=value.get("_score"),
        text=said.get("text"),
        terms=tuple(said.get("terms") or ()),
        pinned=bool(said.get("pinned")),
    )


def _as_json(hit: Explained) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in hit.__slots__}


def print_table(title: str, hits: list[Explained], *, relevant: frozenset[str] = frozenset()) -> None:
    """Print hits as a table; ids in `relevant` are marked."""
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("was", justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    figures = {
        "first stage": [hit.first_stage_score for hit in hits],
        "model": [hit.model_score for hit in hits],
        "_score": [hit.score for hit in hits],
    }
    shown = {name: values for name, values in figures.items() if any(value is not None for value in values)}
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text")  # the column that gives way; its cells do not wrap
    for place, hit in enumerate(hits):
        moved = hit.first_stage_rank - hit.rank
        was = f"{hit.first_stage_rank} {'▲' if moved > 0 else '▼' if moved < 0 else ' '}"
        is_relevant = hit.id in relevant
        label = Text(f"{hit.id}{' *' if is_relevant else ''}", style="bold" if is_relevant else "")
        text = Text(hit.text or "", no_wrap=True, overflow="ellipsis")
        table.add_row(str(hit.rank), was, label, *(_figure(values[place]) for values in shown.values()), text)
    Console().print(table)


def print_terms(hits: list[Explained]) -> None:
    """Print what the final scores are sums of, where one has more than one term: weight * value, of what."""
    summed = [hit for hit in hits if len(hit.terms) > 1]
    if not summed:
        return
    table = Table(title="terms: contribution = weight * value (of)", title_justify="left")
    table.add_column("id", no_wrap=True)
    for term in summed[0].terms:
        table.add_column(f"{term['name']} ({term['function']})", justify="right")
    table.add_column("sum", justify="right", no_wrap=True)
    for hit in summed:
        total = sum(term["contribution"] for term in hit.terms)
        table.add_row(Text(hit.id), *map(_term, hit.terms), _figure(total))
    Console().print(table)


def _term(term: Mapping[str, Any]) -> str:
    raw = "nothing" if term["raw"] is None else f"{term['raw']:g}"
    return f"{term['contribution']:.4f} = {term['weight']:g} * {term['value']:.4f} ({raw})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
