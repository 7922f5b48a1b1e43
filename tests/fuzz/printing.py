"""JSON as nobody prints it: one value, written with the oddities that a `Style` names.

Law: a style without quirks is `json.dumps`; the same value and style give the same text, so that cases shrink.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

QUIRKS: Final = ("spaces", "line ends", "escapes", "numbers", "strings", "duplicates", "reversed", "raw")
"""What a style may do: white space, line ends between tokens, escaped letters and solidi, other forms of numbers,
numbers as strings, keys twice, members in reverse, characters beyond ASCII as they are."""


@dataclass(frozen=True, slots=True)
class Style:
    """Which quirks, and the seed of where they show."""

    quirks: frozenset[str] = frozenset()
    seed: int = 0


PLAIN: Final = Style()

styles: Final = st.one_of(
    st.just(PLAIN),
    st.just(PLAIN),
    st.builds(Style, st.frozensets(st.sampled_from(QUIRKS), min_size=1, max_size=3), st.integers(0, 999)),
)


@dataclass(frozen=True, slots=True)
class Literal:
    """JSON text that stands for itself in a value, such as `1E+2` or a lone surrogate's escape."""

    text: str


def written(value: Any, style: Style = PLAIN) -> str:
    """Return a value as JSON text."""
    return _Writer(style).write(value)


class _Writer:
    def __init__(self, style: Style) -> None:
        self._quirks = style.quirks
        self._random = Random(style.seed)

    def write(self, value: Any) -> str:
        match value:
            case Literal():
                return value.text
            case Mapping():
                return self._around("{", [self._member(key, each) for key, each in self._members(value)], "}")
            case str():
                return self._string(value)
            case Sequence():
                return self._around("[", [self.write(each) for each in value], "]")
            case bool() | None:
                return json.dumps(value)
            case _:
                return self._number(value)

    def _has(self, quirk: str, odds: float = 1.0) -> bool:
        return quirk in self._quirks and self._random.random() < odds

    def _members(self, value: Mapping[str, Any]) -> list[tuple[str, Any]]:
        members = list(value.items())
        if self._has("reversed"):
            members.reverse()
        if members and self._has("duplicates", 0.2):
            members.insert(0, self._random.choice(members))
        return members

    def _member(self, key: str, value: Any) -> str:
        return f"{self._string(key)}{self._space()}:{self._space()}{self.write(value)}"

    def _around(self, opening: str, parts: Sequence[str], closing: str) -> str:
        spaced = [f"{self._space()}{part}{self._space()}" for part in parts]
        return f"{opening}{','.join(spaced) or self._space()}{closing}"

    def _space(self) -> str:
        pieces = []
        if self._has("spaces", 0.5):
            pieces.append(self._random.choice([" ", "  ", "\t"]))
        if self._has("line ends", 0.3):
            pieces.append(self._random.choice(["\n", "\r\n", "\r"]))
        return "".join(pieces)

    def _string(self, text: str) -> str:
        printed = json.dumps(text, ensure_ascii="raw" not in self._quirks)
        if "\\" in printed or not self._has("escapes", 0.5):
            return printed
        escaped = [f"\\u{ord(each):04x}" if self._random.random() < 0.3 else each for each in printed[1:-1]]
        return f'"{"".join(escaped)}"'.replace("/", "\\/")

    def _number(self, value: float) -> str:
        if self._has("strings", 0.5):
            return f'"{value}"'
        if self._has("numbers", 0.5):
            forms = [f"{value:e}", f"{value}E+0", f"{value}e0", f"{value}.0" if isinstance(value, int) else f"{value}0"]
            return self._random.choice(forms)
        return json.dumps(value)
