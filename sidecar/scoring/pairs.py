"""Texts to token ids: (query, text) pairs as the model will see them, without special tokens and without padding.

Laws: only the text is truncated, exactly as transformers' `truncation="only_second"` does it (`max_length` counts the
special tokens); a query longer than its share is cut before that, and counted. The query is tokenised once per call,
and all pairs of a call share its ids.

The raw `tokenizers` library is used instead of transformers' wrapper, which is three times slower, holds the GIL and
changes shared state per call. The ids of texts are kept as arrays, of two bytes a token where the vocabulary allows it,
and remembered (`token_cache.py`).
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import ModelFailed
from sidecar.scoring.alignments import ReadTokens
from sidecar.scoring.base import TokenPair
from sidecar.scoring.packing import Ids
from sidecar.scoring.splitting import Spans, windows
from sidecar.scoring.token_cache import TextIds, TokenCache, TokenCacheStatistics

if TYPE_CHECKING:
    from tokenizers import Tokenizer

QUERY_SHARE = 4
"""A query may fill one `QUERY_SHARE`th of the model's length: the rest is for the text."""

CHARACTERS_PER_TOKEN = 16
"""Tokens hardly ever are longer: so many characters per token are tried before all of a very long text."""

EDGE_TOKENS = 16
"""Tokens at the end of a piece of text may come out differently than within the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Where a tokenizer puts special tokens around a pair, e.g. [CLS] query [SEP] text [SEP], with token types."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    #: token types of: before, query, between, text, after
    types: tuple[int, ...]

    @property
    def special_tokens(self) -> int:
        """How many special tokens a pair gets."""
        return len(self.before) + len(self.between) + len(self.after)

    def parts(self, pair: TokenPair) -> tuple[Ids, ...]:
        """Return the model's input ids for a pair in five parts, of the token types `types`."""
        return (self.before, pair.query_ids, self.between, pair.text_ids, self.after)

    def ids(self, pair: TokenPair) -> list[int]:
        """Return the model's input ids for a pair."""
        return [id for part in self.parts(pair) for id in part]

    def token_types(self, pair: TokenPair) -> list[int]:
        """Return the token type of every input id."""
        return [type for type, part in zip(self.types, self.parts(pair), strict=True) for _ in part]


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleTemplate:
    """The same for one text alone, e.g. [CLS] text [SEP]."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def special_tokens(self) -> int:
        """How many special tokens a text gets."""
        return len(self.before) + len(self.after)

    def parts(self, text_ids: Ids) -> tuple[Ids, ...]:
        """Return the model's input ids for one text in three parts."""
        return (self.before, text_ids, self.after)

    def ids(self, text_ids: Ids) -> list[int]:
        """Return the model's input ids for one text."""
        return [id for part in self.parts(text_ids) for id in part]


class PairTokenizer:
    """Tokenises queries and texts. Thread-safe; releases the GIL."""

    def __init__(self, tokenizer: Tokenizer, *, query_tokens: int, text_tokens: int, total_tokens: int) -> None:
        """Cut queries to `query_tokens`, texts to `text_tokens`, and texts so that both have `total_tokens`."""
        self._tokenizer = tokenizer
        self._cache = TokenCache()
        self._typecode = "H" if max(tokenizer.get_vocab().values(), default=0) < 2**16 else "i"
        self._query_tokens = query_tokens
        self._text_tokens = text_tokens
        self._total_tokens = total_tokens
        self._queries_cut = 0
        self._lock = threading.Lock()

    @classmethod
    def joint(cls, tokenizer: Tokenizer, template: Template, *, max_length: int) -> PairTokenizer:
        """Return a tokenizer for a cross-encoder: query, text and special tokens together fill `max_length`."""
        room = max_length - template.special_tokens
        return cls(
            tokenizer,
            query_tokens=min(max_length // QUERY_SHARE, room),
            text_tokens=room,
            total_tokens=room,
        )

    @classmethod
    def separate(cls, tokenizer: Tokenizer, template: SingleTemplate, *, max_length: int) -> PairTokenizer:
        """Return a tokenizer for a bi-encoder: query and text each fill `max_length` alone."""
        room = max_length - template.special_tokens
        return cls(tokenizer, query_tokens=room, text_tokens=room, total_tokens=2 * room)

    @property
    def queries_cut(self) -> int:
        """How many queries were longer than their share."""
        return self._queries_cut

    def remember(self, capacity_bytes: int) -> None:
        """Remember texts in that much memory from now on; 0 = not at all."""
        self._cache = TokenCache(capacity_bytes)

    @property
    def cache_statistics(self) -> TokenCacheStatistics:
        """What the memory of texts did and holds."""
        return self._cache.statistics()

    def pairs(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Return one pair per text, in order; all share the identical `query_ids`."""
        query_ids = self._cut_query(self._encode([query], self._query_tokens + 1)[0])
        limit = min(self._text_tokens, self._total_tokens - len(query_ids))
        return [
            TokenPair(query_ids, ids if len(ids) <= limit else ids[:limit])
            for ids in self._cache.ids(texts, self._text_ids)
        ]

    def spans(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text; see `SplitsTexts.spans`."""
        encodings = self._tokenizer.encode_batch([encodable(text) for text in texts], add_special_tokens=False)
        return [
            windows(encoding, len(text), tokens=tokens, overlap=overlap)
            for encoding, text in zip(encodings, texts, strict=True)
        ]

    def read(self, query: str, texts: Sequence[str]) -> tuple[ReadTokens, list[ReadTokens]]:
        """Return where the tokens that the model reads stand in the query and in every text."""
        asked = self._read(query, self._query_tokens)
        limit = min(self._text_tokens, self._total_tokens - len(asked.tokens))
        return asked, [self._read(text, limit) for text in texts]

    def _read(self, text: str, limit: int) -> ReadTokens:
        whole = encodable(text)
        head = _head(whole, limit)
        encoding = self._tokenizer.encode(head, add_special_tokens=False)
        if len(head) < len(whole) and len(encoding) < limit + EDGE_TOKENS:
            encoding = self._tokenizer.encode(whole, add_special_tokens=False)
        return ReadTokens.of(encoding, text, limit)

    def _text_ids(self, texts: Sequence[str]) -> list[TextIds]:
        """Return the ids of every text, as many as a model reads after the shortest query."""
        limit = self._text_tokens
        return [array(self._typecode, ids[:limit]) for ids in self._encode(texts, limit)]

    def _cut_query(self, ids: list[int]) -> tuple[int, ...]:
        if len(ids) > self._query_tokens:
            with self._lock:
                self._queries_cut += 1
        return tuple(ids[: self._query_tokens])

    def _encode(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """Return the ids of every text: all of them, or at least the first `limit`."""
        whole = [encodable(text) for text in texts]
        heads = [_head(text, limit) for text in whole]
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(heads, add_special_tokens=False)]
        too_short = [
            index
            for index, ids in enumerate(encoded)
            if len(heads[index]) < len(whole[index]) and len(ids) < limit + EDGE_TOKENS
        ]
        again = self._tokenizer.encode_batch_fast([whole[index] for index in too_short], add_special_tokens=False)
        for index, encoding in zip(too_short, again, strict=True):
            encoded[index] = encoding.ids
        return encoded


def encodable(text: str) -> str:
    """Return `text` with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the raw tokenizer of a model folder, set to neither pad nor truncate, as some are saved to do.

    One without tokenizer.json is converted by transformers.

    Raises:
        ModelFailed: there is none, or it cannot be read.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path)) if path.is_file() else _converted(folder)
    except Exception as error:
        raise ModelFailed(f"{folder.name}: the tokenizer cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def probe(tokenizer: Tokenizer, *, has_token_types: bool = True) -> Template:
    """Return where `tokenizer` puts special tokens around a pair, read off an encoded one.

    Without `has_token_types` all types are 0: the tokenizer's configuration says that its model takes none.
    """
    encoding = tokenizer.encode("a", "a", add_special_tokens=True)
    sides, ids, types = encoding.sequence_ids, encoding.ids, encoding.type_ids
    if 0 not in sides or 1 not in sides:
        raise ModelFailed("the tokenizer knows no letter, so that its special tokens cannot be found")
    first, second = sides.index(0), sides.index(1)
    first_end, second_end = first + sides.count(0), second + sides.count(1)
    spans = [(0, first), (first, first_end), (first_end, second), (second, second_end), (second_end, len(ids))]
    kinds = [types[start] if start < stop and has_token_types else 0 for start, stop in spans]
    before, _, between, _, after = (tuple(ids[start:stop]) for start, stop in spans)
    return Template(
        before=before, between=between, after=after, types=(kinds[0], kinds[1], kinds[2], kinds[3], kinds[4])
    )


def probe_single(tokenizer: Tokenizer) -> SingleTemplate:
    """Return where `tokenizer` puts special tokens around one text."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    sides, ids = encoding.sequence_ids, encoding.ids
    if 0 not in sides:
        raise ModelFailed("the tokenizer knows no letter, so that its special tokens cannot be found")
    first = sides.index(0)
    return SingleTemplate(before=tuple(ids[:first]), after=tuple(ids[first + sides.count(0) :]))


def _head(text: str, limit: int) -> str:
    """Return the beginning of a very long text, up to a space, or all of it."""
    characters = (limit + EDGE_TOKENS) * CHARACTERS_PER_TOKEN
    if len(text) <= characters:
        return text
    space = text.rfind(" ", 0, characters)
    return text[:space] if space > 0 else text


def _converted(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    wrapper = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)  # nosec B615
    backend = getattr(wrapper, "backend_tokenizer", None)
    if backend is None:
        raise ModelFailed(f"{folder.name}: its tokenizer has no fast form")
    return Tokenizer.from_str(backend.to_str())  # a copy: the wrapper's calls change its own
