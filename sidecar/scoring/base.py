"""What a scorer is: texts in, scores out.

A `Scorer` is an async service. It may live in this process, in a supervised child process, on another machine
or in somebody else's server: who calls it cannot tell. A `PairModel` is what a device gives: blocking, called
from one worker thread.

Law: scores are aligned with the texts and as many as they; they are the model's raw scores (a cross-encoder's
logits), never normalised over a list. This module imports no torch, no asyncio and no HTTP library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never, runtime_checkable

ScoreKind = Literal["cross-encoder", "cosine", "late-interaction"]
FusionName = Literal["model_only", "linear", "rrf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is to be known of a loaded model."""

    #: id or folder as it was asked for, e.g. "cross-encoder/ms-marco-MiniLM-L6-v2" or "offline"
    name: str
    #: commit of the hub, or a digest of the folder; two replicas agree when their revisions agree
    revision: str
    #: what a raw score means: a logit, a cosine (-1 to 1), or MaxSim + 0.5 * cosine (-1.5 to 1.5)
    kind: ScoreKind
    #: tokens of query, text and special tokens together; longer texts are cut
    max_length: int
    #: the fusion that `fusion = "auto"` means for this model
    recommended_fusion: FusionName
    #: the model's share in a linear fusion, 0 to 1
    recommended_weight: float = 0.9
    #: measured on the idle device when the model was loaded; None where nobody measured
    tokens_per_second: float | None = None
    #: "cpu", "cuda", or "remote"
    device: str = "cpu"
    #: "fp32", "bf16" or "fp16"
    dtype: str = "fp32"
    #: whether a score depends on its text's place in the call, so that a window must not be divided
    whole_window: bool = False

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What a score depends on beside its query and text: scorers with equal identities give equal scores."""
        return self.revision, self.kind, self.max_length, self.device, self.dtype


def probability(score: float, kind: ScoreKind) -> float:
    """Return a raw model score on the scale 0 to 1, as the rerank API and `min_score` use it.

    A logit through the sigmoid, a cosine as (1 + s) / 2, late interaction as s / 1.5; clipped to 0..1.
    """
    match kind:
        case "cross-encoder":
            return sigmoid(score)
        case "cosine":
            return min(1.0, max(0.0, (1.0 + score) / 2.0))
        case "late-interaction":
            return min(1.0, max(0.0, score / 1.5))
        case _:
            assert_never(kind)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@runtime_checkable
class Scorer(Protocol):
    """An async service of scores. Whoever makes one closes it."""

    def describe(self) -> ModelFacts:
        """Return the model's facts.

        Raises:
            RerankUnavailable: the model is not loaded (yet), or the scorer cannot be reached.
        """
        ...

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text, in the order of `texts`.

        `deadline` is an absolute time of the running event loop's clock (`loop.time()`), None for none.
        Cancelling the call drops work that has not begun.

        Raises:
            RerankUnavailable: no scores (queue full, deadline missed, model failed, scorer lost).
        """
        ...

    async def aclose(self) -> None:
        """Stop. Waiting calls end with RerankUnavailable."""
        ...


@dataclass(slots=True, eq=False)
class TokenPair:
    """A (query, text) pair after tokenization: token ids without special tokens, cut to fit the model.

    Pairs of one call share the identical `query_ids` object, so a model may encode the query once. Not to be changed;
    not frozen only because a frozen one takes twice as long to make, and a GPU scores one in 7 µs.
    """

    query_ids: tuple[int, ...]
    text_ids: Sequence[int]

    @property
    def tokens(self) -> int:
        """Tokens of the pair in the model, the three special tokens of a BERT pair included."""
        return len(self.query_ids) + len(self.text_ids) + 3


class PairModel(Protocol):
    """A model on a device. Blocking; called from one worker thread at a time."""

    @property
    def facts(self) -> ModelFacts:
        """The model's facts."""
        ...

    def tokenize(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Return one pair per text, cut to the model's length. Thread-safe; releases the GIL."""
        ...

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one raw score per pair, in order. Raises any exception when the device fails."""
        ...


@runtime_checkable
class PreparesBatches(Protocol):
    """A PairModel whose batches the host puts together while the device still runs the one before.

    `forward(pairs)` is `run(prepare(pairs, slot=0))`. At most two batches exist at a time, each in a slot of its own,
    so that memory such as pinned staging can be used again. A slot is taken from the call of `prepare` until the
    batch's `run` has ended, or until it is taken anew: a batch may be dropped before its `run` has begun.
    `forward` is called while the model is loaded and measured, and never beside the other two.
    """

    def prepare(self, pairs: Sequence[TokenPair], *, slot: int) -> Any:
        """Return the batch as `run` takes it: whatever the model likes. `slot` is 0 or 1.

        Blocking. Called from one thread of the host's, one call at a time, also while the device's thread is in `run`.
        """
        ...

    def run(self, batch: Any) -> list[float]:
        """Return one raw score per pair of a prepared batch, in order; called as `forward` is."""
        ...
