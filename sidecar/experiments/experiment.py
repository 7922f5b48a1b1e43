"""Which searches are reranked while a ranking is tried on a share of the users, and how interleaved ones are drawn.

Laws: the arm follows from the policy's name and the user and from nothing else, so that a user keeps it over all
pages, processes and restarts, and who is in at 5 percent is in at 50. Another policy draws anew. Who the user is comes
from a header; where there is none, the words of the search stand for their user, so that at least its pages agree. No
I/O.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Final

from connectors.base import header
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.policy import Experiment
from sidecar.types import Arm, Outcome, SkipReason

_BUCKETS: Final = 2**64


def arm(plan: Plan, experiment: Experiment) -> Arm | None:
    """Return the arm of a search, None where its policy reranks for everybody."""
    options = plan.options
    if options.percent >= 100:
        return None
    drawn = json.dumps((options.drawn_with, *_user(plan, experiment))).encode()
    bucket = int.from_bytes(hashlib.blake2b(drawn, digest_size=8).digest())
    return Arm.RERANK if bucket * 100 < options.percent * _BUCKETS else Arm.CONTROL


def marked(mark: Marker, arm: Arm | None) -> Marker:
    """Return a marker that tells the arm."""
    return mark if arm is None else replace(mark, arm=arm)


def control() -> Marker:
    """Return the marker of a search in the control arm."""
    return Marker(outcome=Outcome.SKIPPED, reason=SkipReason.CONTROL.value, arm=Arm.CONTROL)


def draw(plan: Plan, experiment: Experiment) -> bytes | None:
    """Return what the coins of a search come from whose page is interleaved, None where it is not to be.

    The same for all pages of the same words of one user, everywhere and always.
    """
    options = plan.options
    if options.interleave == "off":
        return None
    drawn = json.dumps((options.drawn_with, *_user(plan, experiment), plan.call.index, plan.query)).encode()
    return hashlib.blake2b(drawn, digest_size=16).digest()


def _user(plan: Plan, experiment: Experiment) -> tuple[str, str]:
    """Return what tells the user apart, and its kind, so that a session is never taken for a user of that name."""
    for name in (experiment.user_header, experiment.session_header):
        value = header(plan.call.headers, name)
        if value:
            return name.lower(), value
    return "", plan.query
