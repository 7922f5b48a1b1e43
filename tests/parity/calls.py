"""From a call of a YAML test to an HTTP request: by the suite's descriptions of its APIs, or by the official client.

Law: a request is written once and sent as it is to whoever is asked, so that a direct and a proxied answer differ by
who answered and by nothing else.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request; `target` is the raw path with its query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        """Return it as somebody would type it."""
        text = "" if self.body is None else f" {self.body.decode(errors='replace')}"
        return f"{self.method} {self.target}{text}"


class BadCall(Exception):
    """No request can be written: a part of the path is missing, or the API is not known."""


class Writer(Protocol):
    """Turns the name of an API and its arguments into a request."""

    def write(self, api: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        """Return the request. Raises BadCall."""
        ...


@dataclass(frozen=True, slots=True)
class _Path:
    template: str
    methods: tuple[str, ...]
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Api:
    paths: tuple[_Path, ...]
    is_bulk: bool
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class Descriptions:
    """A Writer that goes by a suite's `api/*.json`."""

    folder: Path
    _apis: dict[str, _Api] = field(default_factory=dict)

    def write(self, api: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        """Return the request with the longest path that the arguments fill."""
        described = self._api(api)
        given = dict(arguments)
        body = given.pop("body", None)
        path = _best(described.paths, given)
        missing = described.required - given.keys()
        if path is None or missing:
            raise BadCall(f"{api}: no path for {sorted(given)}")
        target = path.template
        for part in path.parts:
            target = target.replace("{" + part + "}", quote(_text(given.pop(part)), safe=",*"))
        if given:
            target += "?" + urlencode({name: _text(value) for name, value in given.items()})
        return _request(_method(path.methods, has_body=body is not None), target, headers, body, described.is_bulk)

    def _api(self, name: str) -> _Api:
        if name not in self._apis:
            try:
                text = (self.folder / f"{name}.json").read_text(encoding="utf-8")
            except FileNotFoundError as error:
                raise BadCall(f"{name} is not described") from error
            self._apis[name] = _described(json.loads(text)[name])
        return self._apis[name]


class _Written(Exception):
    """A request instead of an answer."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


class OfficialClient:
    """A Writer that lets the official Elasticsearch client write: its suite comes without descriptions."""

    def __init__(self) -> None:
        """Make a client whose only node sends nothing."""
        from elastic_transport import BaseNode
        from elasticsearch import Elasticsearch

        class Paper(BaseNode):
            """A node that hands back what it is to send."""

            def perform_request(
                self, method: str, target: str, body: bytes | None = None, headers: Any = None, request_timeout: Any = 0
            ) -> Any:
                del request_timeout
                named = tuple((str(name).title(), str(value)) for name, value in (headers or {}).items())
                raise _Written(Request(method=method, target=target, headers=named, body=body))

            def close(self) -> None:
                """Hold nothing that could be closed."""

        self._client = Elasticsearch("http://127.0.0.1:9200", node_class=Paper, meta_header=False)

    def write(self, api: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        """Return what the client sends when its method of that name is called."""
        method: Any = self._client.options(headers=dict(headers)) if headers else self._client
        try:
            for name in api.split("."):
                method = getattr(method, name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the client calls a preview
                method(**{"from_" if name == "from" else name: value for name, value in arguments.items()})
        except _Written as written:
            return written.request
        except (AttributeError, TypeError, ValueError) as error:
            raise BadCall(f"{api}: {error}") from error
        raise BadCall(f"{api}: the client sent nothing")


def _described(said: Mapping[str, Any]) -> _Api:
    paths = tuple(
        _Path(path["path"], tuple(path["methods"]), frozenset(path.get("parts", ()))) for path in said["url"]["paths"]
    )
    body = said.get("body") or {}
    required = {name for name, parameter in said.get("params", {}).items() if parameter.get("required")}
    return _Api(paths, body.get("serialize") == "bulk", frozenset(required))


def _best(paths: Iterable[_Path], given: Mapping[str, Any]) -> _Path | None:
    filled = [path for path in paths if path.parts <= given.keys()]
    return max(filled, key=lambda path: len(path.parts), default=None)


def _method(methods: tuple[str, ...], *, has_body: bool) -> str:
    if has_body and "GET" in methods and "POST" in methods:
        return "POST"
    return methods[0]


def _request(method: str, target: str, headers: Mapping[str, str], body: Any, is_bulk: bool) -> Request:
    content = None if body is None else _content(body, is_bulk=is_bulk)
    pairs = dict(headers)
    if content is not None and "content-type" not in {name.lower() for name in pairs}:
        pairs["Content-Type"] = NDJSON if is_bulk else JSON
    return Request(method=method, target=target, headers=tuple(pairs.items()), body=content)


def _content(body: Any, *, is_bulk: bool) -> bytes:
    if is_bulk:
        lines = body if isinstance(body, list) else [body]
        return "".join(_line(line).rstrip("\n") + "\n" for line in lines).encode()
    return _line(body).encode()


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    """Return a value as it stands in a URL."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ",".join(map(_text, value))
        case None:
            return ""
        case _:
            return str(value)
