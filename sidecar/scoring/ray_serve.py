"""The scorer as a deployment of Ray Serve: what `rerank-sidecar score` answers, on as many replicas as Ray keeps.

    serve run sidecar.scoring.ray_serve:app model.name=offline max_replicas=4 gpus=0.5

Laws: a replica has the scheduler that every process of ours has, and nothing here batches; what is answered comes from
the code that answers in `score`. A replica counts as started when its model is loaded, and as sick when its device is
lost. A caller may choose among the models that the operator has named, and can name no other.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from sidecar import tasks
from sidecar.errors import ConfigError, RerankUnavailable
from sidecar.program import parts, wiring
from sidecar.program.config import Settings, load
from sidecar.program.parts import Options
from sidecar.proxy.app import MAX_ENDPOINT_BYTES, answer_endpoint, too_long, unknown
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints

NAME: Final = "scorer"
"""Of the deployment, under which a `serve` file changes its options."""

MAX_ONGOING_REQUESTS: Final = 64
"""Requests that a replica has in hand: enough for its scheduler to make full batches."""

TARGET_ONGOING_REQUESTS: Final = 8.0
"""Above this mean a replica is added, below it one is taken away."""

DRAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What `serve run … name=value` and `args` of a `serve` file say; every other name is a setting of ours."""

    #: a TOML file, read where the application is built
    config: str | None = None
    #: GPUs and CPU cores of a replica; fractions share one
    gpus: float = 0.0
    cpus: float = 1.0
    min_replicas: int = 1
    #: above `min_replicas`: Ray adds and takes away replicas by the requests in hand
    max_replicas: int = 1
    target_ongoing_requests: float = TARGET_ONGOING_REQUESTS
    #: names of further models that callers may ask for, separated by commas
    models: str = ""
    #: further models that a replica holds at a time
    models_per_replica: int = 2
    allow_test_scorers: bool = False

    @classmethod
    def split(cls, given: Mapping[str, Any]) -> tuple[Arguments, dict[str, Any]]:
        """Return the arguments, and the settings by their dotted names. Raises ConfigError."""
        own = {field.name: field.type for field in fields(cls)}
        found = {name: _read(name, given[name], str(own[name])) for name in given if name in own}
        return cls(**found), {name: value for name, value in given.items() if name not in own}


def app(args: Mapping[str, Any]) -> serve.Application:
    """Return the application that `serve` runs. Raises ConfigError when something that was given makes no sense."""
    arguments, flags = Arguments.split(args)
    settings = load(Path(arguments.config) if arguments.config else None, flags)
    deployment = serve.deployment(RayScorer).options(
        name=NAME,
        ray_actor_options={"num_cpus": arguments.cpus, "num_gpus": arguments.gpus},
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        health_check_period_s=2.0,
        health_check_timeout_s=10.0,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
        **_replicas(arguments),
    )
    return deployment.bind(settings.dumped(), replace(arguments, config=None))


def _replicas(arguments: Arguments) -> dict[str, Any]:
    if arguments.max_replicas <= arguments.min_replicas:
        return {"num_replicas": arguments.min_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": arguments.min_replicas,
            "max_replicas": arguments.max_replicas,
            "target_ongoing_requests": arguments.target_ongoing_requests,
        }
    }


class RayScorer:
    """A replica: one model, and further ones that callers ask for."""

    def __init__(self, settings: Mapping[str, Any], arguments: Arguments) -> None:
        """Begin to load the model of the settings; `check_health` waits for it."""
        self._options = Options(settings=Settings(**settings), allow_test_scorers=arguments.allow_test_scorers)
        self._name = f"{socket.gethostname()}:{serve.get_replica_context().replica_id.unique_id}"
        self._further = frozenset(name.strip() for name in arguments.models.split(",") if name.strip())
        self._main = Model(self._options, self._name)
        self._further_model = serve.multiplexed(max_num_models_per_replica=arguments.models_per_replica)(self._loader())

    async def __call__(self, request: Request) -> Response:
        """Answer one request as `rerank-sidecar score` does."""
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")) or "/"
        model = await self._model(unquote(serve.get_multiplexed_model_id()))
        endpoint = None if model is None else model.endpoints.get((request.method, path))
        if endpoint is None:
            return _response(unknown(request.method, path))
        body = await _body(request.stream())
        if body is None:
            return _response(too_long(path))
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        asked = EndpointRequest(method=request.method, path=path, headers=headers, body=body)
        return _response(await answer_endpoint(endpoint, asked))

    async def check_health(self) -> None:
        """Wait until the model is loaded. Raises RerankUnavailable when it cannot score: Ray starts another replica."""
        await self._main.loaded()

    async def _model(self, name: str) -> Model | None:
        """Return the model that a caller asks for, None where nobody allows it."""
        if not name or name == self._options.settings.model.name:
            return self._main
        if name not in self._further:
            return None
        found: Model = await self._further_model(name)
        return found

    def _loader(self) -> Any:
        async def load_further(name: str) -> Model:
            section = self._options.settings.model.model_copy(update={"name": name})
            settings = self._options.settings.model_copy(update={"model": section})
            model = Model(replace(self._options, settings=settings), self._name)
            try:
                await model.loaded()
            except RerankUnavailable:
                await model.aclose()
                raise
            return model

        return load_further


class Model:
    """A scorer of this replica and what answers for it."""

    def __init__(self, options: Options, replica: str) -> None:
        """Begin to load the model of the options. Within a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._scorer = parts.begin_local_scorer(options)
        health = wiring.health_of(self._scorer, options.settings)
        self.endpoints: Endpoints = {
            **health.endpoints(),
            **wiring.scoring_endpoints(self._scorer, options.settings, replica=replica),
        }

    async def loaded(self) -> None:
        """Wait until it can score. Raises RerankUnavailable when it never can, or no longer."""
        await self._scorer.loaded()
        self._scorer.describe()

    async def aclose(self) -> None:
        """Let it go: calls that wait end with RerankUnavailable."""
        await self._scorer.aclose()

    def __del__(self) -> None:
        """Let it go, as Ray asks of a model that makes room for another one, in whatever thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self._closing = tasks.start(self.aclose(), name="let a model go")


async def _body(stream: AsyncIterator[bytes]) -> bytes | None:
    """Return a request's body, None where it is too long."""
    body = bytearray()
    async for piece in stream:
        body += piece
        if len(body) > MAX_ENDPOINT_BYTES:
            return None
    return bytes(body)


def _response(answer: EndpointResponse) -> Response:
    response = Response(answer.body, answer.status, media_type=answer.content_type)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response


def _read(name: str, value: Any, kind: str) -> Any:
    """Return an argument as what it is meant to be: on a command line all are texts."""
    try:
        match kind:
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "bool":
                return {"true": True, "false": False}[str(value).lower()]
            case _:
                return str(value)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"args: {name}: got {value!r}, expected {kind}") from error
