"""What clicks on interleaved pages say: which ranking people prefer, and how sure that is.

Law: a search counts once, as a win, a loss or a tie of the reranked order, however often it was clicked. What is equal
by chance is told from what is not by the sign test of wins against losses.

*Sources:* the preference: Chapelle, Joachims, Radlinski, Yue, ACM TOIS 2012, equation 1. Interval: Wilson, "Probable
Inference", JASA 1927. A test that holds whenever one looks: Robbins, "Statistical Methods Related to the Law of the
Iterated Logarithm", 1970, with a uniform mixture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

Z: Final = 1.959963984540054
"""Of an interval of 95 %."""

LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """The searches of one policy, with one version of its settings and its model, whose hits were clicked."""

    policy: str
    version: str
    method: str
    #: searches in which the reranked order had more credit, less, or as much
    wins: int
    losses: int
    ties: int
    #: hits that were clicked
    clicks: int = 0
    #: when the first and the last click came, in seconds since 1970
    first: float = 0.0
    last: float = 0.0

    @property
    def searches(self) -> int:
        """Searches whose hits were clicked."""
        return self.wins + self.losses + self.ties

    @property
    def delta(self) -> float | None:
        """The preference for the reranked order, from -0.5 to 0.5, ties counting half; None without searches."""
        return (self.wins + self.ties / 2) / self.searches - 0.5 if self.searches else None

    @property
    def share(self) -> float | None:
        """The share of wins among the searches that are no ties."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of that share."""
        return wilson(self.wins, self.wins + self.losses) if self.wins + self.losses else None

    @property
    def p_value(self) -> float:
        """The two-sided sign test of "no preference", for a look at a time that was chosen beforehand."""
        return sign_test(self.wins, self.losses)

    @property
    def p_any_time(self) -> float:
        """The same for whoever looks as often as they like, and stops when they like what they see."""
        return any_time(self.wins, self.losses)

    def told(self) -> dict[str, Any]:
        """Return all figures as JSON values."""
        return {
            "policy": self.policy,
            "version": self.version,
            "method": self.method,
            "searches": self.searches,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "clicks": self.clicks,
            "win_share": self.share,
            "interval": self.interval,
            "preference": self.delta,
            "p_value": self.p_value,
            "p_any_time": self.p_any_time,
            "preferred": self.preferred,
            "first": self.first,
            "last": self.last,
        }

    @property
    def preferred(self) -> str | None:
        """Whom people prefer, "rerank" or "first_stage"; None while that may be chance, however often one looks."""
        if self.p_any_time >= LEVEL:
            return None
        return "rerank" if self.wins > self.losses else "first_stage"


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share."""
    share, square = successes / trials, Z * Z / trials
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def sign_test(wins: int, losses: int) -> float:
    """Return how probable a difference as large as this one is where both are as likely (exact, two-sided)."""
    total = wins + losses
    tail = 0.0
    for more in range(max(wins, losses), total + 1):
        term = math.exp(_log_choose(total, more) - total * math.log(2))
        tail += term
        if term < tail * 1e-12:
            break
    return min(1.0, 2 * tail)


def any_time(wins: int, losses: int) -> float:
    """Return a p-value that is below a level once, at whatever look, with a probability of that level at most."""
    total = wins + losses
    evidence = total * math.log(2) - math.log(total + 1) - _log_choose(total, wins)
    return min(1.0, math.exp(-evidence))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
