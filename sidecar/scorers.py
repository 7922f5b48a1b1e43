"""The scorers of one connector: the main one, those that policies name, and the memory in front of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from connectors.base import Headers
from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.plan import Plan
from sidecar.policy import Policy
from sidecar.scoring.base import Scorer
from sidecar.scoring.score_cache import CachedScorer, ScoreCache
from sidecar.types import RerankOptions


class Scorers:
    """Who scores which search."""

    def __init__(
        self,
        main: Scorer,
        others: Mapping[str, Scorer] | None,
        policy: Policy,
        cache: ScoreCache | None = None,
        tenant_headers: Sequence[str] = (),
    ) -> None:
        """Keep them by the names that a policy's `model`, `language_models` and `prune_model` give.

        `others` is looked at in each search: whoever gives it may put further scorers there, or take some away.
        Scores that are remembered in `cache` are shared by callers whose `tenant_headers` are equal.

        Raises:
            ValueError: a policy names a model that is not in `others`.
        """
        self._main = main
        self._others = others or {}
        self._cache = cache
        self._tenant_headers = tuple(name.lower() for name in tenant_headers)
        self.check(policy)

    def check(self, policy: Policy) -> None:
        """Raise ValueError when a policy names a model that is not here."""
        unknown = policy.model_names() - set(self._others)
        if unknown:
            raise ValueError(f"policies name models without a scorer: {sorted(unknown)}; give them as `models`")

    def of(self, options: RerankOptions) -> Scorer:
        """Return the scorer of a search with these options."""
        return self._main if options.model is None else self._other(options.model)

    def pruner(self, plan: Plan) -> Scorer | None:
        """Return the scorer that prunes a search's window, None without a cascade."""
        name = plan.options.prune_model
        return None if name is None else self.remembering(self._other(name), plan)

    def _other(self, name: str) -> Scorer:
        scorer = self._others.get(name)
        if scorer is None:  # a search that was begun under an earlier policy, and took very long
            raise ModelFailed(f"{name} is not there any more")
        return scorer

    def remembering(self, scorer: Scorer, plan: Plan) -> Scorer | CachedScorer:
        """Return a scorer as a search asks it: with a memory, where the search has one."""
        if self._cache is None or not plan.options.score_cache:
            return scorer
        return self._cache.of(scorer, self._tenant(plan.call.headers))

    def failure(self, options: RerankOptions) -> RerankUnavailable | None:
        """Return why the scorer cannot be asked now, or None."""
        try:
            self.of(options).describe()
        except RerankUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001  # a scorer of somebody's own may raise anything
            return ModelFailed(f"{type(error).__name__}: {error}")
        return None

    def _tenant(self, headers: Headers) -> str:
        """Return who calls, in so far as the operator tells callers apart."""
        if not self._tenant_headers:
            return ""
        return json.dumps([[value for key, value in headers if key.lower() == name] for name in self._tenant_headers])
