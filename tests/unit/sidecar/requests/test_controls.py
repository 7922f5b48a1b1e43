"""What a caller can say: a closed list, in two places."""

from typing import Any

import pytest

from sidecar.errors import BadRerankRequest
from sidecar.requests.controls import CONTROLS, HEADER_NAMES, MAX_WINDOW, apply_body, apply_headers, strip_headers
from sidecar.types import RerankOptions

DEFAULTS = RerankOptions()

# option: values as text, values as JSON, what they mean; and values that are refused in both places
GOOD: dict[str, list[tuple[str | None, Any, Any]]] = {
    "enabled": [("on", True, True), ("OFF", False, False), ("true", "true", True), ("0", "0", False)],
    "window": [("1", 1.0, 1), ("1000", 1000, 1000), ("1e2", "100", 100)],
    "fields": [("title, body^2", ["title", "body^2"], ("title", "body")), ("a.b", "a.b", ("a.b",))],
    "template": [(None, "{title}. {body}", "{title}. {body}")],
    "query_text": [("why blue", " why blue ", "why blue")],
    "fusion": [("RRF", "rrf", "rrf"), ("model_only", "model_only", "model_only"), ("auto", "auto", "auto")],
    "text_from": [(None, "highlight", "highlight"), (None, "INNER_HITS", "inner_hits")],
    "strip_html": [(None, True, True), (None, "off", False)],
    "passage_tokens": [(None, 250, 250), (None, "0", 0)],
    "passage_overlap": [(None, 50, 50)],
    "passage_top": [(None, 3, 3)],
    "passage_title": [(None, True, True)],
    "passage_return": [(None, True, True)],
    "pin_ids": [(None, ["7", "12"], ("7", "12")), (None, [], ())],
    "weight": [(None, 0.3, 0.3), (None, 1, 1.0)],
    "min_score": [("0", 0, 0.0), ("0.5", 0.5, 0.5)],
    "deadline": [("250", 250, 0.25), ("0", 0, 0.0)],
    "on_failure": [("error", "error", "error"), ("first_stage", "first_stage", "first_stage")],
    "explain": [("true", True, True), ("off", False, False)],
    "return_token": [("true", True, True), ("0", False, False)],
}
BAD: dict[str, list[Any]] = {
    "enabled": ["maybe", "", 2, None, []],
    "window": ["0", 0, MAX_WINDOW + 1, 1.5, "ten", True, None, "nan", "inf", "9" * 400],
    "fields": ["", "a,,b", [], [1], ["^2"], {}, None],
    "template": ["", " ", 3, None],
    "query_text": ["", "  ", 3, ["a"]],
    "fusion": ["best", "", 1, None],
    "text_from": ["source", 1, None],
    "strip_html": ["perhaps", None],
    "passage_tokens": [-1, 8193, 1.5, "few"],
    "passage_overlap": [-1, "some", None],
    "passage_top": [0, 65, "all"],
    "passage_title": ["front", None],
    "passage_return": [2, None],
    "pin_ids": ["7,12", [7], [""], {}, None],
    "weight": [-0.1, 1.1, "x", True],
    "min_score": [-0.1, 1.1, "x", "NaN"],
    "deadline": [-1, 600_001, "soon"],
    "on_failure": ["retry", True, None],
    "explain": ["yes please", None],
    "return_token": [7, None],
}


def rows(values: dict[str, list[Any]]) -> list[Any]:
    """Return one row per control and value."""
    return [
        pytest.param(control, value, id=f"{control.option}-{value!r:.20}")
        for control in CONTROLS
        for value in values[control.option]
    ]


def test_every_control_is_tested() -> None:
    """No control is added without its rows here."""
    assert {control.option for control in CONTROLS} == GOOD.keys() == BAD.keys()


def test_no_control_names_an_address_a_path_or_a_model() -> None:
    """What may be said is this list and no more."""
    assert not {"model", "language_models", "url", "path", "token_budget", "insist"} & {
        control.option for control in CONTROLS
    }


# --- values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("control", "row"), rows(GOOD))
def test_a_good_value_in_both_places(control: Any, row: tuple[str | None, Any, Any]) -> None:
    """The same value means the same in a header and in the body, and changes that option alone."""
    text, value, expected = row
    from_body = apply_body(DEFAULTS, {control.key: value})
    assert expected == getattr(from_body, control.option)
    if control.header is not None:
        from_header, left = apply_headers(DEFAULTS, ((control.header.upper(), str(text)), ("A", "b")))
        assert expected == getattr(from_header, control.option)
        assert left == (("A", "b"),)
        assert {control.option, "insist"} >= changed(from_header)
    assert {control.option, "insist"} >= changed(from_body)


@pytest.mark.parametrize(("control", "value"), rows(BAD))
def test_a_bad_value_in_both_places(control: Any, value: Any) -> None:
    """The error says where, what is expected, and what was there, at most 80 characters of it."""
    with pytest.raises(BadRerankRequest) as refused:
        apply_body(DEFAULTS, {control.key: value})
    assert f"ext.rerank.{control.key} must be {control.expected}, not {str(value)[:80]!r}" == str(refused.value)
    if control.header is not None and isinstance(value, str):
        with pytest.raises(BadRerankRequest) as refused:
            apply_headers(DEFAULTS, ((control.header, value),))
        assert f"header {control.header} must be {control.expected}, not {value[:80]!r}" == str(refused.value)


def changed(options: RerankOptions) -> set[str]:
    """Return the names of options that are not the default."""
    return {name for name in RerankOptions.__slots__ if getattr(options, name) != getattr(DEFAULTS, name)}


# --- names --------------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    """A typo is no silent default."""
    with pytest.raises(BadRerankRequest, match=r"ext\.rerank\.windows is not known; known are enabled, window, "):
        apply_body(DEFAULTS, {"windows": 5})
    with pytest.raises(BadRerankRequest, match=r"header X-Rerank-Model is not known; known are X-Rerank, "):
        apply_headers(DEFAULTS, (("X-Rerank-Model", "/etc/passwd"),))


def test_somebody_elses_header_is_not_ours() -> None:
    """`X-Reranker` only looks like one of ours."""
    headers = (("X-Reranker", "theirs"), ("X-Reranking-Id", "7"))
    assert (DEFAULTS, headers) == apply_headers(DEFAULTS, headers)
    assert headers == strip_headers(headers)


def test_all_of_ours_are_stripped_known_or_not() -> None:
    """The engine never sees one."""
    headers = (*((name.lower(), "x") for name in HEADER_NAMES), ("X-RERANK-UNKNOWN", "x"), ("Accept", "y"))
    assert strip_headers(headers) == (("Accept", "y"),)


# --- who wins, and insisting --------------------------------------------------------------------------------


def test_the_last_of_repeated_headers_wins() -> None:
    """As later settings do elsewhere."""
    options, _ = apply_headers(DEFAULTS, (("X-Rerank", "off"), ("X-Rerank-Window", "5"), ("X-Rerank", "on")))
    assert (options.enabled, options.window) == (True, 5)


@pytest.mark.parametrize(
    ("body", "headers", "enabled", "insist"),
    [
        (None, (), True, False),
        ({}, (), True, True),
        ({"window": 5}, (), True, True),
        ({"enabled": False}, (), False, False),
        (None, (("X-Rerank", "on"),), True, True),
        (None, (("X-Rerank", "off"),), False, False),
        (None, (("X-Rerank-Window", "5"),), True, False),
        ({"enabled": True}, (("X-Rerank", "off"),), False, False),
        ({"enabled": False}, (("X-Rerank", "on"),), True, True),
    ],
)
def test_asking_for_reranking_is_insisting(
    body: dict[str, Any] | None, headers: tuple[tuple[str, str], ...], enabled: bool, insist: bool
) -> None:
    """`X-Rerank: on` and `ext.rerank` insist; a mere setting in a header does not; the header has the last word."""
    options = DEFAULTS if body is None else apply_body(DEFAULTS, body)
    options, _ = apply_headers(options, headers)
    assert (enabled, insist) == (options.enabled, options.insist)


def test_a_setting_does_not_switch_on_what_a_policy_switched_off() -> None:
    """Only saying so does."""
    off = RerankOptions(enabled=False)
    assert (lambda o: (o.enabled, o.insist))(apply_body(off, {"window": 5})) == (False, False)
    assert apply_body(off, {"enabled": True}).enabled


def test_a_callers_fields_take_the_place_of_an_operators_template() -> None:
    """A template over other fields would leave every text empty; a template of the caller's own stays."""
    operators = RerankOptions(template="{title}. {body}")
    by_header, _ = apply_headers(operators, (("X-Rerank-Fields", "note"),))
    assert (("note",), None) == (by_header.fields, by_header.template)
    by_body = apply_body(operators, {"template": "{note}!", "fields": ["note"]})
    assert "{note}!" == by_body.template
