"""Which searches are in a language that the policy's model does not know, and which model does.

Laws: in doubt a search is ranked as usual: only what is clearly in another language is not. Scripts are certain and are
told apart without any library; languages of one script are told apart by py3langid (the extra `languages`), and not at
all where that is not installed. No I/O but reading that library's own file, once.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, Final

from sidecar.types import RerankOptions

ANY_OTHER: Final = "*"
"""In `language_models`, every language that has no entry of its own."""

_WRITTEN_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "ARABIC": ("ar", "fa", "ur", "ps", "ug", "sd", "ku"),
    "ARMENIAN": ("hy",),
    "BENGALI": ("bn", "as"),
    "CJK": ("zh", "ja"),
    "CYRILLIC": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn", "tg"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HANGUL": ("ko",),
    "HEBREW": ("he", "yi"),
    "HIRAGANA": ("ja",),
    "KANNADA": ("kn",),
    "KATAKANA": ("ja",),
    "KHMER": ("km",),
    "LAO": ("lo",),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}
"""Languages by the script that they are written in, as Unicode names its letters; the most usual one first."""

_KANA: Final = frozenset({"HIRAGANA", "KATAKANA"})

READ: Final = 400
"""Characters of a text that are looked at."""

TEXTS: Final = 5
"""Texts of hits that are looked at."""

LEAST: Final = 0.5
TIMES: Final = 30.0
"""A language is clear when it is at least this likely, and so many times as likely as each that the model knows."""


def query_options(query: str, options: RerankOptions) -> RerankOptions | None:
    """Return the options of a search with these words, with the model for their language; None where there is none."""
    if not options.languages or options.insist:
        return options
    return _routed(other(query, options.languages), options)


def text_options(texts: Iterable[str], options: RerankOptions) -> RerankOptions | None:
    """Return the options of a search whose hits have these texts, as `query_options` does: what most of them are in."""
    if not options.languages or options.insist:
        return options
    found = [other(text, options.languages) for text in islice((text for text in texts if text), TEXTS)]
    language, count = Counter(found).most_common(1)[0] if found else (None, 0)
    return _routed(language if count > len(found) / 2 else None, options)


def other(text: str, languages: Iterable[str]) -> str | None:
    """Return the language of a text that is clearly in none of `languages` (ISO 639-1), else None."""
    known, text = frozenset(languages), text[:READ]
    written = _script(text)
    if written is not None and known.isdisjoint(_WRITTEN_IN[written]):
        return _WRITTEN_IN[written][0]
    detector = _detector()
    if detector is None:
        return None
    ranked = [(language, float(likely)) for language, likely in detector.rank(text)]
    language, likely = ranked[0]
    best_known = max((each for name, each in ranked if name in known), default=1.0)
    return language if likely >= LEAST and likely >= TIMES * best_known else None


def has_detector() -> bool:
    """Return whether languages of one script can be told apart."""
    return importlib.util.find_spec("py3langid") is not None


def prepare() -> None:
    """Read the library's file now, and not in the first search that needs it."""
    _detector()


def _routed(language: str | None, options: RerankOptions) -> RerankOptions | None:
    if language is None:
        return options
    models = options.language_models
    key = language if language in models else ANY_OTHER
    if key not in models:
        return None
    known = () if key == ANY_OTHER else (key,)
    return replace(options, model=models[key], languages=known, language_models={}, prune_model=None)


def _script(text: str) -> str | None:
    """Return the script other than Latin that most letters of a text are of; of Japanese kana where it has any."""
    letters = [character for character in text if character.isalpha()]
    scripts = Counter(
        unicodedata.name(character, "").partition(" ")[0] for character in letters if character > "\u02af"
    )
    found = Counter({script: count for script, count in scripts.items() if script in _WRITTEN_IN})
    if found.total() * 2 <= len(letters):
        return None
    kana = [script for script in found if script in _KANA]
    return kana[0] if kana else found.most_common(1)[0][0]


@cache
def _detector() -> Any:
    if not has_detector():
        return None
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
