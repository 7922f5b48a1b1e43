"""Plays one YAML test: sends what it does, checks what it asserts, and keeps every exchange.

Law: a test that cannot be played is not passed. An unknown step, an unknown API and a lost connection fail it; only
what the test itself says (`skip`) skips it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.parity.assertions import Failed, Stash, check, find, is_assertion, pattern
from tests.parity.calls import BadCall, Request, Writer
from tests.parity.connection import Answer, Lost
from tests.parity.yaml_tests import Case

Ask = Callable[[Request], Awaitable[Answer]]

FEATURES = frozenset(
    {"allowed_warnings", "arbitrary_key", "contains", "default_shards", "headers", "node_selector", "stash_in_path"}
    | {"warnings", "yaml"}
)
"""What `skip: features` may ask for. `node_selector` always selects the one node that there is."""

_STATUSES = {
    "bad_request": (400,),
    "unauthorized": (401,),
    "forbidden": (403,),
    "missing": (404,),
    "request_timeout": (408,),
    "conflict": (409,),
    "unavailable": (503,),
    "request": tuple(range(400, 600)),
}
_WORDS_OF_DO = frozenset({"catch", "headers", "warnings", "allowed_warnings", "node_selector", "ignore"})
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')


class Kind(StrEnum):
    """How a test ends."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request of a test and its answer; `step` says where in the test."""

    step: str
    request: Request
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A step that does not hold: where, what it says, and why it does not hold."""

    step: str
    word: str
    said: Any
    reason: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.step}: {self.word}: {self.reason}"


@dataclass(kw_only=True)
class Play:
    """What came of playing a test once."""

    #: why the test asks to be skipped, "" where it does not
    skipped: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """How the test ended."""
        if self.skipped:
            return Kind.SKIPPED
        return Kind.FAILED if self.failures else Kind.PASSED


class Player:
    """Plays tests against whoever answers `ask`."""

    def __init__(self, ask: Ask, writer: Writer, version: str) -> None:
        """`version` is the engine's."""
        self._ask = ask
        self._writer = writer
        self._version = version

    async def play(self, case: Case) -> Play:
        """Play setup, steps and teardown. A step that does not hold ends nothing: the rest is compared, too."""
        play = Play(skipped=skip_reason(case, self._version))
        if play.skipped:
            return play
        scene = _Scene(play, Stash())
        sections = {"setup": case.setup, "step": case.steps, "teardown": case.teardown}
        for section, steps in sections.items():
            for number, (word, said) in enumerate(steps, start=1):
                step = f"{section} {number}"
                try:
                    await self._step(step, word, said, scene)
                except (Failed, Lost) as failure:
                    play.failures.append(Failure(step=step, word=word, said=said, reason=str(failure)))
        return play

    async def _step(self, step: str, word: str, said: Any, scene: "_Scene") -> None:
        if word == "do":
            for api, arguments in said.items():
                if api not in _WORDS_OF_DO:
                    await self._call(step, api, arguments or {}, said, scene)
        elif word == "set":
            for path, name in said.items():
                found = find(scene.last, str(path), scene.stash)
                if found is None:
                    raise Failed(f"{path}: there is nothing to set aside")
                scene.stash[str(name)] = found
        elif is_assertion(word):
            check(word, said, scene.last, scene.stash, scene.method)
        elif word != "skip":
            raise Failed("there is no such step")

    async def _call(
        self, step: str, api: str, arguments: Mapping[str, Any], said: Mapping[str, Any], scene: "_Scene"
    ) -> None:
        catch = said.get("catch")
        try:
            given = dict(scene.stash.fill(arguments))
            ignored = given.pop("ignore", said.get("ignore"))
            headers = {str(name): str(value) for name, value in scene.stash.fill(said.get("headers") or {}).items()}
            request = self._writer.write(api, given, headers)
        except BadCall as bad:
            if catch == "param":
                return
            raise Failed(str(bad)) from bad
        answer = await self._ask(request)
        scene.method, scene.last = request.method, answer
        scene.play.exchanges.append(Exchange(step=step, request=request, answer=answer))
        _check_status(answer, request.method, catch, ignored)
        _check_warnings(answer, said.get("warnings") or [], said.get("allowed_warnings") or [])


@dataclass
class _Scene:
    """Where a test stands: the last answer and what was set aside."""

    play: Play
    stash: Stash
    last: Answer = field(default_factory=lambda: Answer(0, (), b""))
    method: str = "GET"


def _check_status(answer: Answer, method: str, catch: str | None, ignored: Any) -> None:
    is_error = answer.status >= 400 and not (method == "HEAD" and answer.status == 404)
    if catch is None:
        allowed = [str(status) for status in (ignored if isinstance(ignored, list) else [ignored])]
        if is_error and str(answer.status) not in allowed:
            raise Failed(f"status {answer.status}: {answer.text[:300]}")
        return
    if answer.status < 400:
        raise Failed(f"expected an error ({catch}), found status {answer.status}")
    expression = pattern(catch)
    if expression is None and answer.status not in _STATUSES.get(catch, ()):
        raise Failed(f"expected {catch}, found status {answer.status}: {answer.text[:300]}")
    if expression is not None:
        error = answer.value.get("error") if isinstance(answer.value, dict) else None
        if not any(re.search(expression, text, re.DOTALL) for text in (_as_java(error), answer.text)):
            raise Failed(f"expected an error like {catch}, found {answer.text[:300]}")


def _check_warnings(answer: Answer, expected: Sequence[str], allowed: Sequence[str]) -> None:
    found = [warning.replace(r"\"", '"') for line in answer.all("warning") for warning in _WARNING.findall(line)]
    missing = [warning for warning in expected if warning not in found]
    unexpected = [warning for warning in found if warning not in expected and warning not in allowed]
    if missing or unexpected:
        raise Failed(f"warnings: missing {missing}, unexpected {unexpected}")


def _as_java(value: Any) -> str:
    """Return a value as Java prints it: patterns of errors are written for that."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{name}={_as_java(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_as_java, value)) + "]"
        case _:
            return str(value)


def skip_reason(case: Case, version: str) -> str:
    """Return why a test is to be skipped on that version, "" where it is not."""
    for word, said in (*case.setup, *case.steps):
        if word != "skip":
            continue
        if (spans := said.get("version")) is not None and is_in(version, str(spans)):
            return f"version {spans}: {said.get('reason', '')}"
        features = said.get("features") or []
        names = features.replace(" ", "").split(",") if isinstance(features, str) else features
        if unknown := {name for each in names for name in str(each).replace(" ", "").split(",")} - FEATURES:
            return f"features: {', '.join(sorted(unknown))}"
    return ""


def is_in(version: str, spans: str) -> bool:
    """Return whether a version is in one of the spans "2.1.0 - 2.3.99, 3.0.0 -"; "all" is every version.

    5, 6 and 7 are those of Elasticsearch, from which OpenSearch 1 came.
    """
    if spans.strip() == "all":
        return True
    ends = [span.partition("-") for span in spans.split(",")]
    return any(_parts(low, (0,)) <= _parts(version, ()) <= _parts(high, (9999,)) for low, _, high in ends)


def _parts(version: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    numbers = tuple(map(int, re.findall(r"\d+", version)))
    if not numbers:
        return otherwise
    return (0, *numbers) if 5 <= numbers[0] <= 7 else numbers
