"""How fast the device is, and how much one batch should hold.

Pure: time comes in as a number. The speed is measured when the model is loaded and learned from every batch since.
"""

from __future__ import annotations

from typing import Final

BATCH_SECONDS: Final = 0.1
"""A batch should take this long: short against a deadline, long against its fixed costs. On a CPU with AMX bf16
wants 3,000 tokens at a time, which take this long: with half of it a search of 100 texts took 1.3 times as long, and
in fp32 1.1 times."""

MIN_BATCH_TOKENS: Final = 512
"""On a CPU the speed in tokens per second is flat from here up."""

MAX_BATCH_TOKENS: Final = 32_768
"""On a GPU more tokens per batch hardly gain speed."""

SPEED_MEMORY: Final = 0.8
"""How much of the running estimate of the speed a full batch leaves standing."""

RECOVERY_SECONDS: Final = 60.0
"""After a batch that was too large for the device's memory, how long until twice as much is tried again."""


class Pace:
    """The running estimate of one device's speed."""

    def __init__(self, batch_tokens: int | None = None) -> None:
        """Give batches of `batch_tokens`, None for what takes BATCH_SECONDS."""
        self._fixed = batch_tokens
        self._limit: int | None = None
        self._limited_at = 0.0
        #: 0.0 until it is measured
        self.tokens_per_second = 0.0

    def measured(self, tokens_per_second: float) -> None:
        """Begin with the speed of the idle device."""
        self.tokens_per_second = tokens_per_second

    def learn(self, tokens: int, seconds: float) -> None:
        """Move the estimate towards a batch's speed, by ratio: speeds differ by orders of magnitude.

        The less a batch holds, the less it says: its time is mostly fixed costs, which a long queue does not have.
        """
        share = (1 - SPEED_MEMORY) * min(1.0, tokens / self._wanted())
        self.tokens_per_second = self.tokens_per_second ** (1 - share) * (tokens / seconds) ** share

    def seconds(self, tokens: int) -> float:
        """Return how long so many tokens should take."""
        return tokens / self.tokens_per_second if self.tokens_per_second else 0.0

    def batch_tokens(self, now: float) -> int:
        """Return the tokens that the next batch may hold."""
        wanted = self._wanted()
        if self._limit is None:
            return wanted
        if now - self._limited_at >= RECOVERY_SECONDS:
            self._limit, self._limited_at = 2 * self._limit, now
            if self._limit >= wanted:
                self._limit = None
                return wanted
        return min(wanted, self._limit)

    def shrink(self, tokens: int, *, now: float) -> None:
        """Let no batch hold more than `tokens` for a while: a larger one did not fit into the device's memory."""
        self._limit, self._limited_at = max(1, tokens), now

    def _wanted(self) -> int:
        if self._fixed is not None:
            return self._fixed
        return int(min(MAX_BATCH_TOKENS, max(MIN_BATCH_TOKENS, BATCH_SECONDS * self.tokens_per_second)))
