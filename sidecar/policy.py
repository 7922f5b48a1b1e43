"""Which options hold for which index.

Law: the first policy whose patterns match every name of the request's index expression gives the options; else the
defaults hold. Names are compared as the caller wrote them: an alias is matched by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from sidecar.types import RerankOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """How users are told apart: by the first of these request headers that there is."""

    user_header: str = "X-User-Id"
    session_header: str = "X-Session-Id"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPolicy:
    """Options for the indices that match one of `indices`, patterns with `*` and `?`."""

    indices: tuple[str, ...]
    #: what metrics and observations call it, and what the arms of its users are drawn with. "" = its place among the
    #: policies, since patterns are nobody's business, and for the arms its patterns, since places change
    name: str = ""
    #: option names of RerankOptions and their values
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, expression: str) -> bool:
        """Return whether every name of an index expression (`a,b*,-c`) matches a pattern."""
        names = [name for name in expression.split(",") if name and not name.startswith("-")]
        return bool(names) and all(any(fnmatchcase(name, pattern) for pattern in self.indices) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Default options and the policies that change them, in order."""

    defaults: RerankOptions = field(default_factory=RerankOptions)
    policies: tuple[IndexPolicy, ...] = ()
    #: whether requests are signed anew on their way to the engine, so that a caller's AWS signature is no obstacle
    resigns: bool = False
    experiment: Experiment = field(default_factory=Experiment)

    def model_names(self) -> set[str]:
        """Return the names of models other than the main one: those that score, here or by language, and that prune."""
        named = {self.defaults.model, self.defaults.prune_model, *self.defaults.language_models.values()}
        for policy in self.policies:
            named |= {policy.overrides.get(option) for option in ("model", "prune_model")}
            named |= set(policy.overrides.get("language_models", {}).values())
        return {name for name in named if name is not None}

    @property
    def has_languages(self) -> bool:
        """Whether the language of searches matters."""
        return bool(self.defaults.languages) or any(policy.overrides.get("languages") for policy in self.policies)

    def options(self, expression: str) -> RerankOptions:
        """Return the options for an index expression; "" stands for all indices."""
        for place, policy in enumerate(self.policies):
            if policy.matches(expression or "_all"):
                name, drawn_with = policy.name or f"policies.{place}", policy.name or ",".join(policy.indices)
                return replace(self.defaults, policy=name, drawn_with=drawn_with, **policy.overrides)
        return self.defaults
