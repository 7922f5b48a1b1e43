"""The Porter stemmer, as Lucene's `english` analyzer applies it.

Law: the original algorithm of 1980 with the two departures that its author's own implementation has (`bli` for
`abli`, and `logi`); Lucene's PorterStemFilter has them, too. Words are lower case; anything else than a to z
counts as a consonant.

*Source:* M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980; Lucene's PorterStemmer.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

_VOWELS = frozenset("aeiou")

_STEP_2 = {
    "a": (("ational", "ate"), ("tional", "tion")),
    "c": (("enci", "ence"), ("anci", "ance")),
    "e": (("izer", "ize"),),
    "l": (("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous")),
    "o": (("ization", "ize"), ("ation", "ate"), ("ator", "ate")),
    "s": (("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous")),
    "t": (("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")),
    "g": (("logi", "log"),),
}
_STEP_3 = {
    "e": (("icate", "ic"), ("ative", ""), ("alize", "al")),
    "i": (("iciti", "ic"),),
    "l": (("ical", "ic"), ("ful", "")),
    "s": (("ness", ""),),
}
_STEP_4 = {
    "a": ("al",),
    "c": ("ance", "ence"),
    "e": ("er",),
    "i": ("ic",),
    "l": ("able", "ible"),
    "n": ("ant", "ement", "ment", "ent"),
    "o": ("ion", "ou"),
    "s": ("ism",),
    "t": ("ate", "iti"),
    "u": ("ous",),
    "v": ("ive",),
    "z": ("ize",),
}


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Return the stem of a lower-case word."""
    if len(word) <= 2:
        return word
    for step in (_plurals, _past_and_gerund, _final_y, _double_suffixes, _ic_ful_ness, _remaining_suffixes, _final_e):
        word = step(word)
    return word


def _is_consonant(word: str, position: int) -> bool:
    letter = word[position]
    if letter in _VOWELS:
        return False
    return letter != "y" or position == 0 or not _is_consonant(word, position - 1)


def _measure(word: str) -> int:
    """Count the sequences of vowels that consonants follow."""
    shape = [_is_consonant(word, position) for position in range(len(word))]
    return sum(1 for before, after in pairwise(shape) if after and not before)


def _has_vowel(word: str) -> bool:
    return not all(_is_consonant(word, position) for position in range(len(word)))


def _ends_double(word: str) -> bool:
    return len(word) >= 2 and word[-1] == word[-2] and _is_consonant(word, len(word) - 1)


def _ends_short(word: str) -> bool:
    """Consonant, vowel, consonant that is not w, x or y: the e of `hope` comes back after such a stem."""
    last = len(word) - 1
    return (
        last >= 2
        and _is_consonant(word, last)
        and not _is_consonant(word, last - 1)
        and _is_consonant(word, last - 2)
        and word[-1] not in "wxy"
    )


def _plurals(word: str) -> str:
    if not word.endswith("s") or word.endswith("ss"):
        return word
    return word[:-2] if word.endswith(("sses", "ies")) else word[:-1]


def _past_and_gerund(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix) and _has_vowel(word[: -len(suffix)]):
            return _repair(word[: -len(suffix)])
    return word


def _repair(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if _ends_double(word):
        return word if word[-1] in "lsz" else word[:-1]
    return word + "e" if _measure(word) == 1 and _ends_short(word) else word


def _final_y(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _has_vowel(word[:-1]) else word


def _replace(word: str, rules: tuple[tuple[str, str], ...]) -> str:
    for suffix, replacement in rules:
        if word.endswith(suffix):
            kept = word[: -len(suffix)]
            return kept + replacement if _measure(kept) > 0 else word
    return word


def _double_suffixes(word: str) -> str:
    return _replace(word, _STEP_2.get(word[-2], ())) if len(word) > 1 else word


def _ic_ful_ness(word: str) -> str:
    return _replace(word, _STEP_3.get(word[-1], ())) if word else word


def _remaining_suffixes(word: str) -> str:
    for suffix in _STEP_4.get(word[-2], ()) if len(word) > 1 else ():
        if word.endswith(suffix):
            kept = word[: -len(suffix)]
            if suffix == "ion" and not kept.endswith(("s", "t")):
                return word
            return kept if _measure(kept) > 1 else word
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_short(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
