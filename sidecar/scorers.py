"""The scorers of one connector: the main one, and those that policies name."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.policy import Policy
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions


class Scorers:
    """Who scores which search."""

    def __init__(self, main: Scorer, others: Mapping[str, Scorer] | None, policy: Policy) -> None:
        """Keep them by the names that a policy's `model` gives.

        Raises:
            ValueError: a policy names a model that is not in `others`.
        """
        self._main = main
        self._others = dict(others or {})
        unknown = policy.model_names() - set(self._others)
        if unknown:
            raise ValueError(f"policies name models without a scorer: {sorted(unknown)}; give them as `models`")

    def of(self, options: RerankOptions) -> Scorer:
        """Return the scorer of a search with these options."""
        return self._main if options.model is None else self._others[options.model]

    def failure(self, options: RerankOptions) -> RerankUnavailable | None:
        """Return why the scorer cannot be asked now, or None."""
        try:
            self.of(options).describe()
        except RerankUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001  # a scorer of somebody's own may raise anything
            return ModelFailed(f"{type(error).__name__}: {error}")
        return None
