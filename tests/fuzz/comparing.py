"""What a proxied answer may differ in from the engine's own, and what it does.

Law: no code is shared with the program. A difference has a stable name, so that one fault is found once, and words.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.fuzz.cases import Case
from tests.fuzz.connection import NO_ANSWER
from tests.integration.pages import RawHit, RawPage, items
from tests.parity.connection import Answer

_LEFT_OUT: Final = frozenset(
    {"x-rerank", "server-timing", "connection", "keep-alive", "transfer-encoding", "content-length"}
)
_TOOK: Final = re.compile(rb'("?\btook"?\s*:\s*)\d+')
_TOOK_IN_CBOR: Final = re.compile(rb"dtook(?:[\x00-\x17]|\x18.|\x19..|\x1a....)", re.DOTALL)
_TOOK_IN_SMILE: Final = re.compile(rb"\x83took(?:[\xc0-\xdf]|\x24[\x00-\x7f]*[\x80-\xbf])")
_PHASES: Final = re.compile(rb'("phase_took"\s*:\s*)\{[^}]*\}')
_OFFSET: Final = re.compile(rb"byte offset: #\d+")  # of the engine's network buffer
_SCROLL: Final = re.compile(rb'("_scroll_id"\s*:\s*)"[^"]*"')
SHOWN: Final = 1500
"""Characters of an answer in a report."""


@dataclass(frozen=True)
class Found:
    """One difference: its name, and both sides of it."""

    kind: str
    words: str = ""


def content(answer: Answer) -> bytes:
    """Return the body decoded, without durations, scroll ids and places in a buffer."""
    body = answer.body
    try:
        match answer.header("content-encoding"):
            case "gzip":
                body = gzip.decompress(body)
            case "deflate":
                body = zlib.decompress(body)
            case "" | "identity":
                pass
            case _:  # nothing here reads it; OpenSearch answers "Accept-Encoding: *" with such a one
                body = b""
    except (OSError, EOFError, zlib.error) as error:
        return b"cannot be decoded: " + repr(error).encode()
    body = _TOOK_IN_SMILE.sub(b"took", _TOOK_IN_CBOR.sub(b"took", body))
    body = _OFFSET.sub(b"byte offset: #0", _PHASES.sub(rb"\g<1>{}", _TOOK.sub(rb"\g<1>0", body)))
    return _SCROLL.sub(rb'\g<1>""', body)


def headers(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Return the end-to-end headers but those of the program and the length, which follows `took`."""
    return tuple(sorted(pair for pair in answer.headers if pair[0].lower() not in _LEFT_OUT))


def is_same(one: Answer, other: Answer) -> bool:
    """Return whether two answers are equal, byte for byte, but for what no two answers have in common."""
    return (one.status, headers(one), content(one)) == (other.status, headers(other), content(other))


_API: Final = re.compile(r"_m?search/template|_m?search(?=/?$)")


def api(case: Case) -> str:
    """Return the name of the API that a case asks, as far as it matters here."""
    found = _API.search(case.plain.target.partition("?")[0])
    return found[0] if found else "other"


def differences(case: Case, direct: Answer, proxied: Answer) -> Iterator[Found]:
    """Yield what differs, beyond what reranking by the engine's own order may change where the marker says so."""
    if is_same(direct, proxied):
        return
    if case.may_be_refused and "reason=bad_request" in marker(proxied):
        return
    if _is_parser_error(proxied):
        yield Found(f"refused by the HTTP parser where the engine says {direct.status}", shown(proxied))
        return
    if direct.status != proxied.status:
        yield Found(f"{_verdict(direct)} -> {_verdict(proxied)}", f"{shown(direct)}\n---\n{shown(proxied)}")
        return
    yield from _of_headers(direct, proxied)
    one, other = content(direct), content(proxied)
    if one != other:
        kind = "body" if direct.status < 400 else "body of an error"
        yield from _of_bodies(case, one, other, marker(proxied).split(", "), kind)


def marker(answer: Answer) -> str:
    """Return what `X-Rerank` says, "" where it is absent."""
    return answer.header("x-rerank")


def marker_differences(case: Case, mode: str, answer: Answer) -> Iterator[Found]:
    """Yield what is wrong with the marker of an answer in a mode."""
    marks = marker(answer)
    if case.is_search and not marks and not _is_parser_error(answer):
        yield Found(f"marker absent, status {answer.status}", shown(answer))
    applied = [mark for mark in marks.split(", ") if mark.startswith(("applied", "partial"))]
    if mode == "off" and (applied or "degraded" in marks):
        yield Found("marker of a search that is off", marks)
    if mode in {"failing", "stalled"} and any("candidates=0" not in mark for mark in applied):
        yield Found("marker of scores that nobody gave", marks)


def _is_parser_error(answer: Answer) -> bool:
    """Return whether the HTTP parser refused the request before anybody knew what it is."""
    return answer == NO_ANSWER or (answer.status == 400 and b"the request is no HTTP: " in answer.body)


def shown(answer: Answer) -> str:
    """Return an answer as text, cut to what fits in a report."""
    lines = [str(answer.status), *(f"{name}: {value}" for name, value in answer.headers)]
    return "\n".join([*lines, content(answer).decode("utf-8", "replace")[:SHOWN]])


def _verdict(answer: Answer) -> str:
    """Return status, type of error, and what the marker says: tried, or skipped and why."""
    found = re.search(rb'"type"\s*:\s*"(\w+)"', content(answer)) if answer.status >= 400 else None
    mark = marker(answer)
    skipped = re.match(r"skipped; reason=\w+", mark)
    words = [
        str(answer.status),
        found[1].decode() if found else "",
        f"[{skipped[0] if skipped else 'tried'}]" if mark else "",
    ]
    return " ".join(filter(None, words))


def _of_headers(direct: Answer, proxied: Answer) -> Iterator[Found]:
    one, other = headers(direct), headers(proxied)
    names = {name.lower() for name, _ in set(one) ^ set(other)}
    for name in sorted(names):
        yield Found(f"header {name}", f"{_values(one, name)} -> {_values(other, name)}")
    if not names and one != other:
        yield Found("header repeated", f"{one} -> {other}")


def _values(pairs: tuple[tuple[str, str], ...], name: str) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0].lower() == name]


def _of_bodies(case: Case, direct: bytes, proxied: bytes, marks: list[str], kind: str) -> Iterator[Found]:
    try:
        texts = [body.decode() for body in (direct, proxied)]
        parsed = [json.loads(text) for text in texts]
    except ValueError:
        yield Found(kind, _both(direct.decode("utf-8", "replace"), proxied.decode("utf-8", "replace")))
        return
    if all(isinstance(value, dict) and "responses" in value for value in parsed):
        yield from _of_responses(case, texts[0], texts[1], marks)
    elif all(_is_page(value) for value in parsed):
        is_reranked = bool(marks) and marks[0].startswith(("applied", "partial", "mixed"))
        yield from _of_pages(case, *texts, is_reranked=is_reranked)
    else:
        yield Found(f"{kind}: {_place(*parsed)}", _both(*texts))


def _is_page(value: Any) -> bool:
    hits = value.get("hits") if isinstance(value, dict) else None
    return isinstance(hits, dict) and isinstance(hits.get("hits"), list)


def _of_responses(case: Case, direct: str, proxied: str, marks: list[str]) -> Iterator[Found]:
    one, other = items(direct.encode()), items(proxied.encode())
    if len(one) != len(other):
        yield Found("responses: count", _both(direct, proxied))
        return
    each = marks if len(marks) == len(one) else [marks[0]] * len(one)
    for left, right, mark in zip(one, other, each, strict=True):
        if left != right:
            yield from _of_bodies(case, left.encode(), right.encode(), [mark], "body")


def _of_pages(case: Case, direct: str, proxied: str, *, is_reranked: bool) -> Iterator[Found]:
    own, got = RawPage(direct), RawPage(proxied)
    if own.around != got.around:
        whole = [json.loads(text) for text in (direct, proxied)]
        for value in whole:
            value["hits"]["hits"], value["hits"]["max_score"] = [], None
        if not (case.may_drop and len(got.hits) != len(own.hits)):  # what stands between hits goes with them
            yield Found(f"around the hits: {_place(*whole)}", _both(own.around, got.around))
    if not is_reranked and own.max_score != got.max_score:
        yield Found("max_score", f"{own.max_score} -> {got.max_score}")
    if is_reranked and (scores := [hit.score for hit in got.hits if "_score" in hit.spans]) != sorted(
        scores, reverse=True
    ):
        yield Found("scores: not descending", str(scores))
    yield from _of_hits(case, own.hits, got.hits, is_reranked=is_reranked)


def _of_hits(case: Case, own: list[RawHit], got: list[RawHit], *, is_reranked: bool) -> Iterator[Found]:
    ids = [(hit.member("_index"), hit.id) for hit in own], [(hit.member("_index"), hit.id) for hit in got]
    if case.may_drop and is_reranked:  # others move up: what is on both pages is compared
        kept = [hit for hit in got if (hit.member("_index"), hit.id) in ids[0]]
        own, got = [own[ids[0].index((hit.member("_index"), hit.id))] for hit in kept], kept
    elif ids[0] != ids[1]:
        is_order = sorted(map(str, ids[0])) == sorted(map(str, ids[1]))
        kind = "order" if is_order else "ids" if len(own) == len(got) else "count"
        yield Found(f"hits: {kind}", f"{ids[0]} -> {ids[1]}")
        return
    for left, right in zip(own, got, strict=False):
        right = _unexplained(right)
        if left.text == right.text or (is_reranked and left.unscored == right.unscored):
            continue
        if left.is_like(right) and (is_reranked or left.member("_score") == right.member("_score")):
            yield Found("printed order", _both(left.text, right.text))
        else:
            yield Found(f"hit: {_place(_unscored(left), _unscored(right))}", _both(left.text, right.text))
        return


def _unexplained(hit: RawHit) -> RawHit:
    """Return a hit without `_rerank`, which its caller asked for."""
    span = hit.spans.get("_rerank")
    if span is None:
        return hit
    before = re.sub(r',\s*"_rerank"\s*:\s*$', "", hit.text[: span[0]])
    return RawHit(before + hit.text[span[1] :])


def _place(one: Any, other: Any, path: str = "") -> str:
    """Return the path of the first value in which two differ; "bytes" when none does."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            if name not in one or name not in other:
                return f"{path}.{name} {'added' if name in other else 'missing'}"
            if one[name] != other[name]:
                return _place(one[name], other[name], f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            if left != right:
                return _place(left, right, f"{path}[]")
    return path if one != other else f"{path} bytes".strip()


def _both(one: str, other: str) -> str:
    """Return two texts from shortly before where they part."""
    start = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    start = max(0, start - 200)
    return f"{one[start : start + SHOWN]}\n---\n{other[start : start + SHOWN]}"


def _unscored(hit: RawHit) -> Any:
    value = json.loads(hit.text)
    value.pop("_score", None)
    return value
