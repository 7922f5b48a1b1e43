"""Which server is it? Asked once, by looking where each kind says what it is.

No HTTP library: whoever looks hands in how to get a path. Law: nothing is sent that costs anything, and no guess is
made: who cannot be told must be named, as in `cohere+https://host`. Who is named need not tell anything: a gateway in
front may show one path only.

    ours       GET /_rerank/model            the facts
    TEI        GET /info                     model_id and model_type
    vLLM       GET /v1/models                owned_by "vllm"
    Infinity   GET /models                   capabilities (also below another prefix: /v1/models)
    Cohere's   GET /v1/models                any list of models: a gateway such as LiteLLM's
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sidecar.errors import ConfigError, ModelFailed, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.foreign import CHARACTERS_PER_TOKEN, Cohere, ForeignSpeech, Infinity, Tei, Vllm
from sidecar.scoring.speech import Found, OwnSpeech, refused_key
from sidecar.scoring.wire import MODEL_PATH

Answer = tuple[int, bytes]
Get = Callable[[str], Awaitable[Answer]]
"""Returns status and body of a path below the server's address."""

DEFAULT_MAX_LENGTH: Final = 512
"""Where a server does not say how much its model reads."""

TEI_TEXTS: Final = 32
INFINITY_TEXTS: Final = 2048
INFINITY_CHARACTERS: Final = 122_880

_DTYPES: Final = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


class Finder:
    """Looks for one server, of a kind that is said or found out."""

    def __init__(self, kind: str | None = None, model: str | None = None, *, url: str = "") -> None:
        """Look for a server of `kind`, None for any; `model` is the name to ask for, None for the server's own.

        The path of `url` says where calls go: one that ends in `/rerank` or `/v1` is not lengthened by the same again.

        Raises:
            ConfigError: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise ConfigError(f"scorer: got kind {kind!r}, expected one of {', '.join(KINDS)}, or none")
        self._kind = kind
        self._known: str | None = kind
        self._model = model
        self._base = url.rstrip("/")

    async def find(self, get: Get) -> Found:
        """Return the server.

        Raises:
            RerankUnavailable: it is not ready, is no scorer, or wants another API key.
        """
        if self._known is not None:
            found = await self._probe(self._known, get)
            if found is not None:
                return found
            self._known = self._kind
        for kind in KINDS if self._kind is None else ():
            found = await self._probe(kind, get)
            if found is not None:
                self._known = kind
                return found
        raise ScorerLost(self._stranger())

    async def _probe(self, kind: str, get: Get) -> Found | None:
        """Return the server if it is of this kind, None if it is not."""
        match kind:
            case "sidecar":
                return await _ours(get)
            case "tei":
                found = _tei(await _json(get, "/info"))
            case "vllm":
                found = _vllm(await self._models(get), self._model, self._versioned("/score"))
            case "infinity":
                found = await self._infinity(get)
            case _:
                found = _gateway(await self._models(get), self._model, self._rerank_path())
        return self._named(kind) if found is None and self._kind is not None else found

    def _named(self, kind: str) -> Found:
        """Return the server as its user names it, of which nothing else is known."""
        speech: ForeignSpeech
        match kind:
            case "tei":
                speech = Tei(path=self._unless_said("/rerank"))
            case "vllm":
                speech = Vllm(model=self._model, path=self._versioned("/score"))
            case "infinity":
                speech = Infinity(model=self._model, path=self._unless_said("/rerank"))
            case _:
                speech = Cohere(model=self._model, path=self._rerank_path())
        facts = _facts(self._model or kind, max_length=None)
        return Found(kind=kind, facts=facts, speech=speech, is_local=False)

    async def _infinity(self, get: Get) -> Found | None:
        for prefix in ("", "/v1"):
            found = _infinity(await _json(get, f"{prefix}/models"), self._model, f"{prefix}/rerank")
            if found is not None:
                return found
        return None

    async def _models(self, get: Get) -> list[Mapping[str, Any]] | None:
        """Return the models that an OpenAI-style server lists."""
        return _listed(await _json(get, self._versioned("/models")))

    def _rerank_path(self) -> str:
        return self._unless_said(self._versioned("/rerank"))

    def _unless_said(self, path: str) -> str:
        return "" if self._base.endswith(("/rerank", "/reranking")) else path

    def _versioned(self, path: str) -> str:
        """Return a path below `/v1`, or below the version that the URL ends with."""
        return path if self._base.endswith(("/v1", "/v2")) else f"/v1{path}"

    def _stranger(self) -> str:
        named = ", ".join(f"{kind}+http://…" for kind in KINDS[1:])
        return f"whoever answers there is not a scorer that tells what it is; say it: {named}"


KINDS: Final = ("sidecar", "tei", "vllm", "infinity", "cohere")


async def _ours(get: Get) -> Found | None:
    status, body = await get(MODEL_PATH)
    key = refused_key(status)
    if key is not None:
        raise key
    if status == 200:
        try:
            return Found(kind="sidecar", facts=wire.read_facts(body), speech=OwnSpeech())
        except ScorerLost:
            return None
    error = wire.read_error(status, body)
    if not isinstance(error, ScorerLost) or status >= 500:
        raise error
    return None


def _tei(info: Any) -> Found | None:
    match info:
        case {"model_id": str(name), "model_type": dict() | str() as kind}:
            kinds = {kind.lower()} if isinstance(kind, str) else {each.lower() for each in kind}
        case _:
            return None
    if "reranker" not in kinds:
        raise ModelFailed(f"{name} is no reranker there: its model_type is {', '.join(sorted(kinds))}")
    max_length = _positive(info.get("max_input_length"))
    facts = _facts(name, max_length=max_length, revision=info.get("model_sha"), dtype=info.get("model_dtype"))
    speech = Tei(
        max_texts=_positive(info.get("max_client_batch_size")) or TEI_TEXTS,
        max_characters=facts.max_length * CHARACTERS_PER_TOKEN,
    )
    return Found(kind="tei", facts=facts, speech=speech)


def _vllm(models: list[Mapping[str, Any]] | None, wanted: str | None, path: str) -> Found | None:
    served = [model for model in models or () if model.get("owned_by") == "vllm"]
    if not served:
        return None
    model = _chosen(served, wanted)
    facts = _facts(model["id"], max_length=_positive(model.get("max_model_len")))
    characters = facts.max_length * CHARACTERS_PER_TOKEN
    return Found(kind="vllm", facts=facts, speech=Vllm(model=facts.name, path=path, max_characters=characters))


def _infinity(document: Any, wanted: str | None, path: str) -> Found | None:
    models = [model for model in _listed(document) or () if isinstance(model.get("capabilities"), list)]
    if not models:
        return None
    rerankers = [model for model in models if "rerank" in model["capabilities"]]
    if not rerankers:
        raise ModelFailed(f"no reranker there, but {', '.join(str(model.get('id')) for model in models)}")
    model = _chosen(rerankers, wanted)
    facts = _facts(model["id"], max_length=None, revision=model.get("revision"), dtype=model.get("dtype"))
    speech = Infinity(model=facts.name, path=path, max_texts=INFINITY_TEXTS, max_characters=INFINITY_CHARACTERS)
    return Found(kind="infinity", facts=facts, speech=speech)


def _gateway(models: list[Mapping[str, Any]] | None, wanted: str | None, path: str) -> Found | None:
    names = [model["id"] for model in models or () if isinstance(model.get("id"), str)]
    if not names:
        return None
    if wanted is None and len(names) > 1:
        raise ModelFailed(f"several models are there; say one in scorer.model: {', '.join(names[:20])}")
    name = wanted or names[0]
    facts = _facts(name, max_length=None)
    return Found(kind="cohere", facts=facts, speech=Cohere(model=name, path=path), is_local=False)


def _chosen(models: list[Mapping[str, Any]], wanted: str | None) -> Mapping[str, Any]:
    named = [model for model in models if isinstance(model.get("id"), str) and wanted in (None, model["id"])]
    if not named:
        names = ", ".join(str(model.get("id")) for model in models)
        raise ModelFailed(f"there is no model {wanted!r} there, but {names}")
    return named[0]


def _facts(name: str, *, max_length: int | None, revision: Any = None, dtype: Any = None) -> ModelFacts:
    return ModelFacts(
        name=name,
        revision=revision if isinstance(revision, str) and revision else "unknown",
        kind="cross-encoder",
        max_length=max_length or DEFAULT_MAX_LENGTH,
        recommended_fusion="model_only",
        device="remote",
        dtype=_DTYPES.get(str(dtype), "unknown"),
    )


async def _json(get: Get, path: str) -> Any:
    """Return the JSON of a 200 answer, None for another one."""
    status, body = await get(path)
    key = refused_key(status)
    if key is not None:
        raise key
    if status >= 500:
        raise ScorerLost(f"the scorer answered {status}")
    try:
        return json.loads(body) if status == 200 else None
    except (ValueError, RecursionError):
        return None


def _listed(document: Any) -> list[Mapping[str, Any]] | None:
    match document:
        case {"data": list(models)}:
            return [model for model in models if isinstance(model, dict)]
        case _:
            return None


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
