"""Which fields hold the text, learned under the caller's own rights."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineUnavailable
from sidecar.plan import Plan
from sidecar.text_fields import TextFields
from sidecar.types import RerankOptions
from tests.unit.doubles import ScriptedEngine, a_plan, answer_with, call, error_with, match

CAPS: dict[str, Any] = {
    "_id": {"_id": {}},
    "body": {"text": {"searchable": True}},
    "title": {"keyword": {}},
    "title.english": {"text": {}},
    "doc": {"object": {}},
    "doc.text": {"text": {}},
    "comments": {"nested": {}},
    "comments.text": {"match_only_text": {}},
    "year": {"integer": {}},
    "mixed": {"text": {}, "keyword": {}},
    "_private": {"text": {}},
}


def plan_of(*fields: str, target: str = "/books/_search", **request: Any) -> Plan:
    """Return a plan that searches these fields."""
    settings = request.pop("settings", {})
    found = call(match(**settings), target=target, **request)
    return Plan(call=found, query="blue", fields=fields, options=RerankOptions(), offset=0, size=10)


@pytest.fixture
def engine() -> ScriptedEngine:
    """An engine with an index of many kinds of fields."""
    engine = ScriptedEngine()
    engine.field_caps = CAPS
    return engine


# --- patterns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("*",), ("title", "body", "comments.text", "doc.text", "mixed")),
        (("doc.*",), ("doc.text",)),
        (("title.*",), ("title",)),
        (("b*", "extra", "*"), ("title", "body", "extra", "comments.text", "doc.text", "mixed")),
        (("nothing*",), ()),
        (("year*",), ()),
    ],
)
async def test_patterns_stand_for_text_fields(
    engine: ScriptedEngine, fields: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """Multi-fields mean their parent, a title goes first, named fields stay, metadata does not count."""
    assert expected == await TextFields(engine).resolve(plan_of(*fields))


async def test_named_fields_are_not_asked_about(engine: ScriptedEngine) -> None:
    """The query says it all."""
    assert ("a", "b") == await TextFields(engine).resolve(plan_of("a", "b"))
    assert [] == engine.searches


async def test_the_question_is_asked_once_in_the_callers_name(engine: ScriptedEngine) -> None:
    """With the caller's credentials and id, and without what described the search's body."""
    fields = TextFields(engine)
    headers = (("Authorization", "Basic a"), ("X-Opaque-Id", "7"), ("Accept", "x"), ("Accept-Encoding", "br"))
    plan = plan_of("*", target="/books,%3Clogs-%7Bnow%2Fd%7D%3E/_search", headers=headers)
    await fields.resolve(plan)
    await fields.resolve(plan)
    (request,) = engine.searches
    assert ("GET", "/books,%3Clogs-%7Bnow%2Fd%7D%3E/_field_caps?fields=*") == (request.method, request.target)
    assert headers[:2] == request.headers


async def test_all_indices_are_asked_about_together(engine: ScriptedEngine) -> None:
    """A search without an index."""
    await TextFields(engine).resolve(plan_of("*", target="/_search"))
    assert "/_field_caps?fields=*" == engine.searches[0].target


@pytest.mark.parametrize(
    "headers",
    [(("Authorization", "Basic other"),), (("es-security-runas-user", "kim"),)],
    ids=["other credentials", "another user"],
)
async def test_what_one_caller_sees_is_not_told_to_another(engine: ScriptedEngine, headers: Any) -> None:
    """Fields may be hidden from some."""
    fields = TextFields(engine)
    await fields.resolve(plan_of("*"))
    engine.field_caps = {"other": {"text": {}}}
    assert ("other",) == await fields.resolve(plan_of("*", headers=headers))
    assert "body" in await fields.resolve(plan_of("*"))
    assert ("other",) == await fields.resolve(plan_of("*", target="/films/_search"))


@pytest.mark.parametrize(
    "answer",
    [
        lambda: error_with(403),
        lambda: answer_with("no json"),
        lambda: answer_with("[]"),
        lambda: answer_with("{}"),
        lambda: answer_with('{"fields":[]}'),
        None,
    ],
    ids=["403", "no JSON", "array", "empty", "other shape", "no answer"],
)
async def test_an_engine_that_does_not_tell_is_asked_again(answer: Callable[[], SearchResponse] | None) -> None:
    """There are then no fields, and the next search asks anew."""

    class Silent(ScriptedEngine):
        async def search(self, request: SearchRequest) -> SearchResponse:
            self.searches.append(request)
            if answer is None:
                raise EngineUnavailable("down")
            return answer()

    engine = Silent()
    fields = TextFields(engine)
    assert () == await fields.resolve(plan_of("*"))
    assert ("named",) == await fields.resolve(plan_of("*", "named"))
    assert 2 == len(engine.searches)


# --- where the text is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "target", "expected"),
    [
        ({}, "/_search", ()),
        ({"_source": False}, "/_search", ("title", "body")),
        ({"_source": ["year"]}, "/_search", ("title", "body")),
        ({}, "/_search?_source=false", ("title", "body")),
        ({"stored_fields": "_none_"}, "/_search", ()),
        ({"_source": False}, "/_search?stored_fields=_none_", ()),
        ({"_source": False, "fields": ["title"]}, "/_search", ("body",)),
        ({"_source": False, "fields": ["t*", {"field": "body"}]}, "/_search", ()),
        ({"_source": False, "stored_fields": ["body"]}, "/_search", ("title",)),
        ({"_source": False, "docvalue_fields": [{"field": "body"}]}, "/_search", ("title",)),
        ({}, "/_search?stored_fields=body", ("title",)),
    ],
    ids=[
        "whole source",
        "no source",
        "filtered source",
        "no source, in the URL",
        "stored fields forbidden",
        "stored fields forbidden, in the URL",
        "one asked for",
        "all asked for",
        "one stored",
        "one as docvalue",
        "one stored, in the URL",
    ],
)
async def test_what_must_be_asked_for(
    engine: ScriptedEngine, settings: dict[str, Any], target: str, expected: tuple[str, ...]
) -> None:
    """What `_source` will not have and the caller does not get of its own accord: that could not be told apart."""
    plan = plan_of("title", "body", target=target, settings=settings)
    assert expected == TextFields(engine).to_ask_for(plan, plan.fields)


def test_a_missing_field_is_asked_for_once_and_remembered(engine: ScriptedEngine) -> None:
    """Outside `_source` or nowhere: either is learned."""
    fields, plan = TextFields(engine), plan_of("all", "gone")
    assert ("all", "gone") == fields.missing(plan, ("all", "gone"))
    fields.learn(plan, "all", is_outside_source=True)
    fields.learn(plan, "gone", is_outside_source=False)
    assert () == fields.missing(plan, ("all", "gone"))
    assert ("all",) == fields.to_ask_for(plan, ("all", "gone"))
    other = plan_of("all", target="/films/_search")
    assert ("all",) == fields.missing(other, ("all",))
    assert () == fields.to_ask_for(other, ("all",))


def test_what_was_asked_for_anyway_is_not_missing(engine: ScriptedEngine) -> None:
    """Without a whole `_source` all fields were asked for the first time."""
    plan = plan_of("all", settings={"_source": False})
    assert () == TextFields(engine).missing(plan, ("all",))


async def test_a_copy_is_read_from_what_it_is_made_of() -> None:
    """The mapping says so, once; a title goes first."""
    engine = ScriptedEngine()
    engine.mapping = {
        "properties": {
            "body": {"type": "text", "copy_to": "all"},
            "doc": {"properties": {"title": {"type": "text", "copy_to": ["all", "other"]}}},
            "all": {"type": "text"},
        }
    }
    fields = TextFields(engine)
    plan = plan_of("all", "note")
    for _ in range(2):
        assert {"all": ("doc.title", "body")} == await fields.copied_from(plan, ["all", "note"])
    assert ("doc.title", "body", "note") == await fields.resolve(plan)
    assert 1 == len(engine.searches)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (["text", "n"], ("title",)),
        ("text", ("title",)),
        ({"includes": ["title", "text"]}, ()),
        ({"includes": ["title", "text"], "excludes": ["text"]}, ("title", "text")),
        (["t*"], ("title", "text")),
        (False, ("title", "text")),
        (True, ()),
    ],
)
async def test_what_a_filtered_source_shows_is_not_asked_for(source: Any, expected: tuple[str, ...]) -> None:
    """Fields that it names are there to read; patterns are the engine's business."""
    plan = a_plan(_source=source)
    assert expected == TextFields(ScriptedEngine()).to_ask_for(plan, ("title", "text"))


async def test_fields_that_the_engine_refused_are_not_asked_for_again(engine: ScriptedEngine) -> None:
    """Neither at once nor when they are missing; of other indices and by other callers they are."""
    fields, plan = TextFields(engine), plan_of("all", settings={"_source": False})
    fields.refuse(plan)
    assert (False, ()) == (fields.can_ask(plan), fields.to_ask_for(plan, plan.fields))
    assert () == fields.missing(plan_of("all"), ("all",))
    other = plan_of("all", target="/films/_search", settings={"_source": False})
    assert (True, ("all",)) == (fields.can_ask(other), fields.to_ask_for(other, other.fields))
