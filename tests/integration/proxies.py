"""The program in front of a real engine, in this process: the proxy, the reranking connector, and scorers to watch."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from connectors.detect import connect
from sidecar.experiments.click_token import ClickTokens
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.scripted import parse
from sidecar.types import RerankOptions


class ShortestFirst:
    """A scorer whose order anybody can check: the shorter a text, the better. Remembers what it was asked."""

    def __init__(self) -> None:
        """Have been asked nothing."""
        self.queries: list[str] = []
        self.texts: list[str] = []

    def describe(self) -> ModelFacts:
        """Return facts that ask for `model_only` fusion."""
        return ModelFacts(
            name="shortest-first",
            revision="1",
            kind="cross-encoder",
            max_length=512,
            recommended_fusion="model_only",
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return a hundredth of the length, negative."""
        self.queries.append(query)
        self.texts += texts
        return [-len(text) / 100 for text in texts]

    async def aclose(self) -> None:
        """Do nothing."""


class LastFirst(ShortestFirst):
    """A scorer that turns the engine's order round, whatever the texts are. Remembers what it was asked."""

    whole_window = True

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return scores that rise with the position."""
        await super().score(query, texts, deadline=deadline)
        return [position / 100 for position in range(len(texts))]


@asynccontextmanager
async def proxied(
    engine_url: str,
    scorer: Scorer | str = "test:identity",
    *,
    policy: Policy | None = None,
    models: Mapping[str, Scorer] | None = None,
    observe: Callable[[Any], None] | None = None,
    compare: Callable[[Any], None] | None = None,
    tokens: ClickTokens | None = None,
    **options: Any,
) -> AsyncIterator[str]:
    """Give the URL of a proxy in front of `engine_url`, as `serve` wires one up.

    `scorer`: one, or the name of a test scorer; `models`: those that the policy names. `options`: those of
    RerankOptions that differ from the defaults.
    """
    chosen = parse(scorer) if isinstance(scorer, str) else scorer
    policy = policy or Policy(defaults=RerankOptions(**options))
    async with await connect(engine_url) as engine:
        given = {"observe": observe, "compare": compare, "tokens": tokens}
        more: dict[str, Any] = {name: told for name, told in given.items() if told is not None}
        reranking = RerankingConnector(engine, chosen, policy, models=models, **more)
        async with listening(ProxyApp(reranking, {}), Address.parse("127.0.0.1:0")) as address:
            yield str(address)
