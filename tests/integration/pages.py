"""Search answers cut into their parts without printing anything anew: hits, members of hits, and what is around them.

Its one law: it shares no code with the program, whose splicing it judges. Positions come from the standard library's
JSON decoder; texts are compared as they stand in the answer.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_DECODER = json.JSONDecoder(strict=False)
_PRINTED = ("_source", "fields")
_SPACE = re.compile(r"\s*")

Span = tuple[int, int]


@dataclass(frozen=True)
class RawHit:
    """One hit as the answer has it."""

    text: str

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Where the value of each member stands."""
        return members(self.text, 0)

    def member(self, name: str) -> str | None:
        """Return the text of a member's value, or None."""
        span = self.spans.get(name)
        return None if span is None else self.text[slice(*span)]

    @property
    def id(self) -> str | None:
        """`_id`, or None where it was not asked for."""
        return None if "_id" not in self.spans else json.loads(self.member("_id") or "null")

    @property
    def score(self) -> float:
        """`_score`."""
        return float(json.loads(self.member("_score") or "NaN"))

    @property
    def unscored(self) -> str:
        """The hit without the value of `_score`, which is all that reranking changes."""
        return replaced(self.text, {self.spans["_score"]: ""}) if "_score" in self.spans else self.text

    def is_like(self, direct: "RawHit") -> bool:
        """Whether the rest of the hit is that of the engine's own answer, byte for byte.

        But for one thing: in which order Elasticsearch prints the members of `fields` and of a filtered `_source`
        depends on what else is asked for. There the values count, numbers by their digits.
        """
        if self.unscored == direct.unscored:
            return True
        return self._without_printed == direct._without_printed and all(
            _exactly(self.member(name)) == _exactly(direct.member(name)) for name in _PRINTED
        )

    @property
    def _without_printed(self) -> str:
        names = ("_score", *_PRINTED)
        return replaced(self.text, {self.spans[name]: "" for name in names if name in self.spans})


class RawPage:
    """A search answer: its hits, and the rest."""

    def __init__(self, body: bytes | str) -> None:
        """Cut `body` up."""
        self.text = body if isinstance(body, str) else body.decode()
        answer = members(self.text, _SPACE.match(self.text).end())  # type: ignore[union-attr]  # matches anything
        self.spans = members(self.text, answer["hits"][0])
        self.hit_spans = list(elements(self.text, self.spans["hits"][0]))
        self.hits = [RawHit(self.text[slice(*span)]) for span in self.hit_spans]
        self._took = answer.get("took")

    @property
    def around(self) -> str:
        """The answer without what may differ: the hits (not what stands between them), `max_score` and `took`."""
        changing = [*self.hit_spans, self.spans.get("max_score"), self._took]
        return replaced(self.text, {span: "" for span in changing if span is not None})

    @property
    def max_score(self) -> float | None:
        """`hits.max_score`, None where it is null or absent."""
        span = self.spans.get("max_score")
        value: float | None = None if span is None else json.loads(self.text[slice(*span)])
        return value

    @property
    def ids(self) -> list[str | None]:
        """The `_id`s in their order."""
        return [hit.id for hit in self.hits]

    @property
    def scores(self) -> list[float]:
        """The `_score`s in their order."""
        return [hit.score for hit in self.hits]


def members(text: str, start: int) -> dict[str, Span]:
    """Return where the values of an object's members stand; `start` is its opening brace."""
    found: dict[str, Span] = {}
    for key_start in _positions(text, start, "{}"):
        key, end = _DECODER.raw_decode(text, key_start)
        colon = _after_space(text, end)
        value_start = _after_space(text, colon + 1)
        found[key] = (value_start, _DECODER.raw_decode(text, value_start)[1])
    return found


def elements(text: str, start: int) -> Iterator[Span]:
    """Yield where the elements of an array stand; `start` is its opening bracket."""
    for position in _positions(text, start, "[]"):
        yield position, _DECODER.raw_decode(text, position)[1]


def replaced(text: str, values: Mapping[Span, str]) -> str:
    """Return `text` with other text in places that do not overlap."""
    for (start, end), value in sorted(values.items(), reverse=True):
        text = text[:start] + value + text[end:]
    return text


def items(body: bytes) -> list[str]:
    """Return the answers within an `_msearch` answer."""
    text = body.decode()
    return [text[slice(*span)] for span in elements(text, members(text, 0)["responses"][0])]


def shortest_first(page: RawPage, texts: Mapping[str, str], window: int) -> list[str]:
    """Return the `_id`s in the order of ShortestFirst: by length within the window, then as the engine has them.

    `page`: all hits in first-stage order. `texts`: what the model sees, by `_id`; a hit without text keeps its place.
    """
    ids = [str(found) for found in page.ids]
    scored = [found for found in ids[:window] if texts[found]]
    best = iter(sorted(scored, key=lambda found: len(texts[found])))
    return [next(best) if texts[found] else found for found in ids[:window]] + ids[window:]


def differences(got: bytes | str, own: bytes | str, everything: bytes | str, order: Sequence[str | None]) -> list[str]:
    """Return what a reranked page has changed beyond scores and order: nothing, when all is well.

    `own`: the engine's answer to the same request. `everything`: its answer with all hits on one page. `order`: the
    `_id`s of the page.
    """
    page, direct, whole = RawPage(got), RawPage(own), RawPage(everything)
    by_id = {hit.id: hit for hit in whole.hits}
    found: list[str] = []
    if page.ids != list(order):
        found.append(f"order: expected {list(order)}, got {page.ids}")
    if page.around != direct.around:
        found.append(f"around the hits: expected {direct.around[:2000]}\n got {page.around[:2000]}")
    changed = [hit for hit in page.hits if hit.id not in by_id or not hit.is_like(by_id[hit.id])]
    found += [
        f"hit: expected {getattr(by_id.get(hit.id), 'unscored', None)}\n got {hit.unscored}" for hit in changed[:1]
    ]
    return found


def _exactly(text: str | None) -> Any:
    """Return a JSON value whose numbers are their texts: 100.0 is not 1E+2."""
    return None if text is None else json.loads(text, parse_float=str, parse_int=str)


def _positions(text: str, start: int, brackets: str) -> Iterator[int]:
    """Yield where each member or element of an object or array begins."""
    assert text[start] == brackets[0], text[start : start + 80]
    position = _after_space(text, start + 1)
    while text[position] != brackets[1]:
        yield position
        position = _end_of_entry(text, position, brackets)


def _end_of_entry(text: str, position: int, brackets: str) -> int:
    """Return where the next entry begins, or the closing bracket stands."""
    end = _DECODER.raw_decode(text, position)[1]
    if brackets == "{}":
        end = _DECODER.raw_decode(text, _after_space(text, _after_space(text, end) + 1))[1]
    end = _after_space(text, end)
    return _after_space(text, end + 1) if text[end] == "," else end


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()
