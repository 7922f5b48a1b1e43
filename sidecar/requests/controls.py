"""What the caller says about reranking: `ext.rerank` in the body and `X-Rerank-…` headers.

Law: a closed list of settings with their types and bounds, and nothing else: no address, no path, no code can be
given here. Headers win over the body. Whatever is ours is taken out before the engine sees the request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.base import Headers, without_headers
from sidecar.errors import BadRerankRequest
from sidecar.types import RerankOptions

MAX_WINDOW: Final = 1000
"""Candidates that a caller may ask for at most."""

Parser = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One setting that the caller has: the option it sets, its words in both places, how it is read."""

    option: str
    parse: Parser
    #: what a value must be, for the error
    expected: str
    #: key of `ext.rerank`, None where the body has none
    key: str | None = None
    #: header name, None where there is none
    header: str | None = None
    #: option value from the parsed one
    convert: Callable[[Any], Any] = lambda value: value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    match str(value).strip().lower():
        case "true" | "on" | "1":
            return True
        case "false" | "off" | "0":
            return False
        case _:
            raise ValueError


def _integer(low: int, high: int) -> Parser:
    def parse(value: Any) -> int:
        number = _number(low, high)(value)
        if number != int(number):
            raise ValueError
        return int(number)

    return parse


def _number(low: float, high: float) -> Parser:
    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or not low <= number <= high:
            raise ValueError
        return number

    return parse


def _one_of(*words: str) -> Parser:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise ValueError
        return value.strip().lower()

    return parse


def _words(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _field_names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError
    found = tuple(name.strip().partition("^")[0] for name in names)
    if not all(found):
        raise ValueError
    return found


def _ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(id, str) and id for id in value):
        raise ValueError
    return tuple(value)


CONTROLS: Final[tuple[Control, ...]] = (
    Control(option="enabled", key="enabled", header="X-Rerank", parse=_boolean, expected="on or off"),
    Control(
        option="window",
        key="window",
        header="X-Rerank-Window",
        parse=_integer(1, MAX_WINDOW),
        expected=f"a whole number from 1 to {MAX_WINDOW}",
    ),
    Control(
        option="fields",
        key="fields",
        header="X-Rerank-Fields",
        parse=_field_names,
        expected='field names, as ["title", "body"] or "title,body"',
    ),
    Control(option="template", key="template", parse=_words, expected='text such as "{title}. {body}"'),
    Control(
        option="query_text",
        key="query_text",
        header="X-Rerank-Query",
        parse=_words,
        expected="words to score against",
    ),
    Control(
        option="fusion",
        key="fusion",
        header="X-Rerank-Fusion",
        parse=_one_of("auto", "model_only", "linear", "rrf"),
        expected="auto, model_only, linear or rrf",
    ),
    Control(
        option="text_from",
        key="text_from",
        parse=_one_of("fields", "highlight", "inner_hits"),
        expected="fields, highlight or inner_hits",
    ),
    Control(option="strip_html", key="strip_html", parse=_boolean, expected="true or false"),
    Control(
        option="passage_tokens",
        key="passage_tokens",
        parse=_integer(0, 8192),
        expected="a whole number of tokens, 0 for one text",
    ),
    Control(
        option="passage_overlap",
        key="passage_overlap",
        parse=_integer(0, 4096),
        expected="a whole number of tokens",
    ),
    Control(option="passage_top", key="passage_top", parse=_integer(1, 64), expected="a whole number from 1 to 64"),
    Control(option="passage_title", key="passage_title", parse=_boolean, expected="true or false"),
    Control(option="passage_return", key="passage_return", parse=_boolean, expected="true or false"),
    Control(option="pin_ids", key="pin_ids", parse=_ids, expected='ids of hits, as ["7", "12"]'),
    Control(option="weight", key="weight", parse=_number(0, 1), expected="a number from 0 to 1"),
    Control(
        option="min_score",
        key="min_score",
        header="X-Rerank-Min-Score",
        parse=_number(0, 1),
        expected="a probability from 0 to 1",
    ),
    Control(
        option="deadline",
        key="deadline_ms",
        header="X-Rerank-Deadline-Ms",
        parse=_number(0, 600_000),
        expected="milliseconds from 0 (no deadline) to 600000",
        convert=lambda milliseconds: milliseconds / 1000,
    ),
    Control(
        option="on_failure",
        key="on_failure",
        header="X-Rerank-On-Failure",
        parse=_one_of("first_stage", "error"),
        expected="first_stage or error",
    ),
    Control(option="explain", key="explain", header="X-Rerank-Explain", parse=_boolean, expected="true or false"),
    Control(option="return_token", key="token", header="X-Rerank-Token", parse=_boolean, expected="true or false"),
)

_BY_KEY: Final = {control.key: control for control in CONTROLS if control.key}
_BY_HEADER: Final = {control.header.lower(): control for control in CONTROLS if control.header}
HEADER_NAMES: Final = tuple(control.header for control in CONTROLS if control.header)


def apply_headers(options: RerankOptions, headers: Headers) -> tuple[RerankOptions, Headers]:
    """Return the options with the caller's headers applied, and the headers without them.

    Raises:
        BadRerankRequest: a header of ours has a value that it cannot have, or a name that we do not know.
    """
    ours = [(name, value) for name, value in headers if _is_ours(name)]
    if not ours:
        return options, headers
    for name, value in ours:
        control = _BY_HEADER.get(name.lower())
        if control is None:
            raise BadRerankRequest(f"header {name} is not known; known are {', '.join(HEADER_NAMES)}")
        options = _apply(options, control, value, f"header {name}")
        if control.option == "enabled":
            options = replace(options, insist=options.enabled)
    return options, strip_headers(headers)


def strip_headers(headers: Headers) -> Headers:
    """Return `headers` without any of ours."""
    ours = [name for name, _ in headers if _is_ours(name)]
    return without_headers(headers, *ours) if ours else headers


def _is_ours(name: str) -> bool:
    return name.lower() == "x-rerank" or name.lower().startswith("x-rerank-")


def apply_body(options: RerankOptions, settings: Mapping[str, Any]) -> RerankOptions:
    """Return the options with the settings of `ext.rerank` applied.

    Raises:
        BadRerankRequest: a key that we do not know, or a value that it cannot have.
    """
    for key, value in sorted(settings.items(), key=lambda setting: setting[0] == "template"):
        control = _BY_KEY.get(key)
        if control is None:
            raise BadRerankRequest(f"ext.rerank.{key} is not known; known are {', '.join(_BY_KEY)}")
        options = _apply(options, control, value, f"ext.rerank.{key}")
    return replace(options, insist=options.enabled)


def _apply(options: RerankOptions, control: Control, value: Any, where: str) -> RerankOptions:
    try:
        parsed = control.convert(control.parse(value))
    except (ValueError, OverflowError):
        raise BadRerankRequest(f"{where} must be {control.expected}, not {str(value)[:80]!r}") from None
    if control.option == "fields":  # a caller's own fields take the place of an operator's template
        options = replace(options, template=None)
    if control.option == "enabled":  # who asks to be reranked, or not to be, is in no experiment
        options = outside_experiments(options)
    return replace(options, **{control.option: parsed})


def outside_experiments(options: RerankOptions) -> RerankOptions:
    """Return the options of a search whose caller gets what it asks for, whatever an operator tries on others."""
    return replace(options, mode="apply", percent=100.0, interleave="off")
