"""What every PairModel does in front of its device: facts, and texts to token ids.

A cross-encoder reads query and text as one sequence; a bi-encoder each alone, with prompts of its own in front.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.errors import ModelFailed
from sidecar.scoring.alignments import Alignment, BestTokens, alignment
from sidecar.scoring.base import ModelFacts, TokenPair
from sidecar.scoring.devices import Placement
from sidecar.scoring.figures import Figures
from sidecar.scoring.model_folder import PROMPTED, ModelFolder, Pooling
from sidecar.scoring.pairs import PairTokenizer, load_tokenizer, probe, probe_single
from sidecar.scoring.splitting import Spans


class TokenizedModel:
    """A model on a device, up to its forward."""

    _tokenizer: PairTokenizer
    _prompts: tuple[str, str] = ("", "")

    def __init__(self, facts: ModelFacts, placement: Placement) -> None:
        """Keep what is known of the model and where it runs."""
        self._facts = facts
        self._placement = placement

    @property
    def facts(self) -> ModelFacts:
        """The model's facts."""
        return self._facts

    @property
    def queries_cut(self) -> int:
        """How many queries were longer than their share."""
        return self._tokenizer.queries_cut

    def remember_texts(self, capacity_bytes: int) -> None:
        """Remember token ids of texts in that much memory from now on; 0 = not at all."""
        self._tokenizer.remember(capacity_bytes)

    def figures(self) -> Figures:
        """Return what the memory of texts did and holds; see `CountsFurther`."""
        statistics = self._tokenizer.cache_statistics
        return {
            "token_cache_hits": statistics.hits,
            "token_cache_misses": statistics.misses,
            "token_cache_entries": statistics.entries,
            "token_cache_bytes": statistics.bytes,
        }

    def tokenize(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Return one pair per text, with the model's own prompts in front; see `PairModel.tokenize`."""
        before_query, before_text = self._prompts
        return self._tokenizer.pairs(before_query + query, [before_text + text for text in texts])

    def spans(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `SplitsTexts.spans`."""
        return self._tokenizer.spans(texts, tokens=tokens, overlap=overlap)

    def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return how each text is read; see `AlignsTexts.alignments`."""
        before_query, before_text = self._prompts
        asked, read = self._tokenizer.read(before_query + query, [before_text + text for text in texts])
        own = asked.without_prompt(len(before_query))
        best = self.best_tokens(self.tokenize(query, texts))
        return [
            alignment(own, text.without_prompt(len(before_text)), None if best is None else best[place])
            for place, text in enumerate(read)
        ]

    def best_tokens(self, pairs: Sequence[TokenPair]) -> Sequence[BestTokens] | None:
        """Return what answers the query's tokens in each text; None from models that do not compare tokens."""
        del pairs
        return None


class JointModel(TokenizedModel):
    """A model that reads query and text together."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Read the tokenizer of `folder`.

        Raises:
            ModelFailed: it cannot be read, or puts nothing between query and text: such models rank through a prompt.
        """
        super().__init__(facts, placement)
        tokenizer = load_tokenizer(folder.path)
        self._template = probe(tokenizer, has_token_types=folder.has_token_types)
        if not self._template.between:
            raise ModelFailed(
                f"{folder.name} has no token between query and text, so that it needs a prompt; {PROMPTED}"
            )
        self._tokenizer = PairTokenizer.joint(tokenizer, self._template, max_length=facts.max_length)


class SeparateModel(TokenizedModel):
    """A model that reads query and text each alone."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement) -> None:
        """Read tokenizer, pooling and prompts of `folder`. Raises ModelFailed when one of them cannot be read."""
        super().__init__(facts, placement)
        self._pooling: Pooling = folder.pooling()
        self._prompts = folder.prompts()
        tokenizer = load_tokenizer(folder.path)
        self._template = probe_single(tokenizer)
        self._tokenizer = PairTokenizer.separate(tokenizer, self._template, max_length=facts.max_length)
