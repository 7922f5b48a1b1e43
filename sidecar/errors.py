"""What can go wrong on our side, sorted by whose fault it is.

    SidecarError
    ├── ConfigError          the operator's: at start only, exit code 2; says file, key, got, expected
    ├── BadRerankRequest     the caller's: our own controls or rerank API misused; HTTP 400
    └── RerankUnavailable    the second stage could not score; the first stage's answer stands
        ├── ScorerStarting   the model is not loaded yet
        ├── Overloaded       more searches are being reranked than this process can take on
        ├── SchedulerFull    more work is queued than can be done in time
        ├── ScoringTimeout   no score before the deadline
        ├── ScorerLost       the scorer died, or cannot be reached
        ├── ModelsDisagree   its replicas have different models, and none had time for all
        └── ModelFailed      the model failed, or gave scores that are none

`RerankUnavailable` is caught in exactly one place: `pipeline.py`. Its `reason` is the word of the marker
(`X-Rerank: degraded; reason=…`).
"""

from __future__ import annotations

from typing import ClassVar


class SidecarError(Exception):
    """Anything that this program reports of its own."""


class ConfigError(SidecarError):
    """The configuration cannot be used. The message says where, which key, what it got and what it expects."""


class BadRerankRequest(SidecarError):
    """The caller's controls (`ext.rerank`, `X-Rerank-…`) or rerank API body are wrong: HTTP 400."""


class RerankUnavailable(SidecarError):
    """The second stage could not score; whoever asked keeps the first stage's order."""

    reason: ClassVar[str] = "unavailable"


class ScorerStarting(RerankUnavailable):
    """The model is not loaded yet."""

    reason = "starting"


class Overloaded(RerankUnavailable):
    """This process reranks as many searches as it can already."""

    reason = "overload"


class SchedulerFull(RerankUnavailable):
    """More work is queued than can be done before the deadline."""

    reason = "scheduler_full"


class ScoringTimeout(RerankUnavailable):
    """No score before the deadline."""

    reason = "deadline"


class ScorerLost(RerankUnavailable):
    """The scorer died while it worked, or cannot be reached."""

    reason = "scorer_lost"


class ModelsDisagree(RerankUnavailable):
    """The scores of one list are those of different models, and one model could not be asked for all of them."""

    reason = "two_models"


class ModelFailed(RerankUnavailable):
    """The model failed, could not be loaded, or gave a wrong number of scores, NaN or infinity."""

    reason = "model"
