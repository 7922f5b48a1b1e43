"""The configuration: one TOML file, the same keys in the environment, and flags over both.

Law: unknown keys and impossible values are refused at start, with where they stand, the key, what it is and what it
should be. This is the only module that imports pydantic; everybody else gets frozen options.

Precedence: flag, environment (`RERANK_SIDECAR_SECTION__KEY`), file, default.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from connectors.relay import EngineOptions, Signer
from sidecar.admission import DEFAULT_MOST
from sidecar.errors import ConfigError
from sidecar.experiments.click_token import DEFAULT_HOURS
from sidecar.experiments.events import CLICK
from sidecar.experiments.observing import MOST_OBSERVED
from sidecar.policy import Experiment, IndexPolicy, Policy
from sidecar.requests.controls import MAX_WINDOW
from sidecar.scoring.pool import MAX_REQUESTS
from sidecar.scoring.token_cache import DEFAULT_CAPACITY_BYTES
from sidecar.signals import milliseconds
from sidecar.types import Mode, RerankOptions, Signal, SignalFunction

PREFIX: Final = "RERANK_SIDECAR_"
_DELIMITER: Final = "__"
_SECRETS: Final = frozenset({"password", "api_key", "key", "signing_key", "url"})
"""Keys whose values are not shown: a URL may hold a password."""

LIVE: Final = ("rerank", "policies", "experiment")
"""Sections that can change while the program runs."""

_USERINFO: Final = re.compile(r"//.*@")
DEFAULT_MODEL: Final = "cross-encoder/ms-marco-MiniLM-L6-v2"


class Section(BaseModel):
    """A part of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSection(Section):
    """[engine]: which engine, and how to reach it."""

    url: str | list[str] = "http://localhost:9200"
    api_key: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_certs: str | None = None
    verify_certs: bool = True
    client_cert: str | None = None
    client_key: str | None = None
    aws_region: str | None = Field(default=None, min_length=1)
    aws_service: Literal["es", "aoss"] = "es"
    read_timeout: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key is not None and self.username is not None:
            raise ValueError("api_key and username exclude each other: give one of them")
        if self.aws_region is not None and (self.api_key is not None or self.username is not None):
            raise ValueError(
                "aws_region signs requests, which leaves no room for api_key or username: give one of them"
            )
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: give both or neither")
        return self

    @property
    def urls(self) -> list[str]:
        """The engine's nodes; a comma separates several in one string."""
        given = [self.url] if isinstance(self.url, str) else self.url
        return [url.strip() for text in given for url in text.split(",") if url.strip()]

    @property
    def printable_urls(self) -> list[str]:
        """The engine's nodes without credentials."""
        return [_USERINFO.sub("//", url) for url in self.urls]

    def options(self) -> EngineOptions:
        """Return what a connector takes. Raises ConfigError when requests are to be signed and botocore is missing."""
        pair = (self.username, self.password.get_secret_value()) if self.username and self.password else None
        return EngineOptions(
            api_key=self.api_key.get_secret_value() if self.api_key else None,
            basic_auth=pair,
            ca_certs=self.ca_certs,
            verify_certs=self.verify_certs,
            client_cert=self.client_cert,
            client_key=self.client_key,
            signer=self._signer(),
            read_timeout=self.read_timeout,
        )

    def _signer(self) -> Signer | None:
        if self.aws_region is None:
            return None
        from connectors.aws import AwsSigner

        try:
            return AwsSigner(self.aws_region, self.aws_service)
        except ImportError as error:
            raise ConfigError('engine.aws_region: signing needs botocore: pip install "rerank-sidecar[aws]"') from error


class TlsSection(Section):
    """[tls]: the certificate of the main listener, and whose certificates callers must show."""

    cert: str | None = None
    key: str | None = None
    client_ca: str | None = None

    @model_validator(mode="after")
    def _has_certificate(self) -> Self:
        if self.cert is None and (self.key is not None or self.client_ca is not None):
            raise ValueError("key and client_ca belong to a certificate: give cert, too")
        return self


class AdminSection(Section):
    """[admin]: the second listener, for probes, metrics and policies."""

    listen: str | None = "127.0.0.1:9282"
    key: SecretStr | None = Field(default=None, min_length=1)


class ModelSection(Section):
    """[model]: the model that the scorer loads."""

    name: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    max_length: int | None = Field(default=None, ge=16)
    token_cache_bytes: int = Field(default=DEFAULT_CAPACITY_BYTES, ge=0)


class ScorerSection(Section):
    """[scorer]: a scorer elsewhere in place of the supervised child."""

    url: str | None = None
    api_key: SecretStr | None = Field(default=None, min_length=1)
    model: str | None = None
    ca_certs: str | None = None
    verify_certs: bool = True
    client_cert: str | None = None
    client_key: str | None = None
    max_requests: int = Field(default=MAX_REQUESTS, ge=1)


class ApiSection(Section):
    """[api]: the rerank API."""

    enabled: bool = True
    key: SecretStr | None = Field(default=None, min_length=1)
    max_documents: int = Field(default=1000, ge=1)
    max_characters: int = Field(default=1_000_000, ge=1)
    max_pairs: int = Field(default=10_000, ge=1)
    deadline_ms: float = Field(default=0, ge=0)

    @property
    def deadline(self) -> float | None:
        """Seconds that a call may take, None for as long as it does."""
        return self.deadline_ms / 1000 or None


class TracingSection(Section):
    """[tracing]: spans for OpenTelemetry; where they go is said by its own variables, `OTEL_…`."""

    enabled: bool = False


class PlaygroundSection(Section):
    """[playground]: the page under /_rerank/."""

    enabled: bool = True


class ScoreCacheSection(Section):
    """[score_cache]: the memory of policies with `score_cache = true`."""

    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    tenant_headers: tuple[str, ...] = ()


class ObserveSection(Section):
    """[observe]: what is done with searches that are only observed."""

    log: Path | None = None
    queries: bool = False
    max_searches: int = Field(default=MOST_OBSERVED, ge=1)


class EventsSection(Section):
    """[events]: clicks on interleaved pages, where they are kept, and who may send them."""

    log: Path | None = None
    index: str | None = Field(default=None, min_length=1)
    key: SecretStr | None = Field(default=None, min_length=1)
    signing_key: SecretStr | None = Field(default=None, min_length=16)
    token_hours: float = Field(default=DEFAULT_HOURS, gt=0, le=24 * 366)
    actions: tuple[str, ...] = Field(default=(CLICK,), min_length=1)

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.log is not None and self.index is not None:
            raise ValueError("log and index exclude each other: give one of them")
        return self

    @property
    def has_store(self) -> bool:
        """Whether clicks are kept."""
        return self.log is not None or self.index is not None


class ExperimentSection(Section):
    """[experiment]: how users are told apart, where a policy reranks for a share of them."""

    user_header: str = Field(default=Experiment().user_header, min_length=1)
    session_header: str = Field(default=Experiment().session_header, min_length=1)


Language = Annotated[str, Field(pattern="^[a-z]{2}$")]
"""As ISO 639-1 has it."""

_DURATION: Final = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "log": ("scaling_factor",),
    "saturation": ("pivot",),
    "sigmoid": ("pivot", "exponent"),
    **dict.fromkeys(("gauss", "exp", "linear"), ("origin", "scale", "offset", "decay")),
}
_REQUIRED: Final = frozenset({"pivot", "exponent", "scale"})


class SignalSection(Section):
    """[[rerank.signals]], [[policies.signals]]: a field of a hit that counts beside its text."""

    field: str = Field(min_length=1)
    function: SignalFunction
    weight: float = Field(default=1.0, allow_inf_nan=False)
    missing: float | str | None = None
    scaling_factor: float = Field(default=1.0, ge=1)
    pivot: float = Field(default=1.0, gt=0)
    exponent: float = Field(default=1.0, gt=0)
    origin: float | str | None = None
    scale: float | str = 1.0
    offset: float | str = 0.0
    decay: float = Field(default=0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        own = _PARAMETERS[self.function]
        given = self.model_fields_set - {"field", "function", "weight", "missing"}
        if strange := sorted(given - set(own)):
            raise ValueError(f"{self.function} has no {', '.join(strange)}; it has {', '.join(own)}")
        if lacking := sorted(_REQUIRED & set(own) - given):
            raise ValueError(f"{self.function} needs {', '.join(lacking)}")
        self.signal()
        return self

    def signal(self) -> Signal:
        """Return it as the pipeline takes it. Raises ValueError where a parameter is neither number, date nor time."""
        is_decay = "scale" in _PARAMETERS[self.function]
        is_date = is_decay and isinstance(self.scale, str)
        if is_decay and not is_date and self.origin is None:
            raise ValueError("origin: needed for a number; of a date, whose scale is a time such as 10d, it is now")
        scale, offset = _span(self.scale, "scale", is_date=is_date), _span(self.offset, "offset", is_date=is_date)
        if scale <= 0 or offset < 0:
            raise ValueError("scale must be above 0, and offset 0 or more")
        origin = "now" if self.origin is None else self.origin
        return Signal(
            field=self.field,
            function=self.function,
            weight=self.weight,
            is_date=is_date,
            missing=None if self.missing is None else _moment(self.missing, "missing", is_date=is_date),
            scaling_factor=self.scaling_factor,
            pivot=self.pivot,
            exponent=self.exponent,
            origin=_moment(origin, "origin", is_date=is_date) if is_decay else "now",
            scale=scale,
            offset=offset,
            decay=self.decay,
        )


def _span(value: float | str, name: str, *, is_date: bool) -> float:
    """Return a distance: a number, or of dates milliseconds."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None or not is_date:
            raise ValueError(f"{name}: expected a time such as 10d, 12h, 30m, 5s or 100ms, or a number for a number")
        return float(found[1]) * _MILLISECONDS[found[2]]
    if is_date and value:
        raise ValueError(f"{name}: expected a time such as 2d, as scale is one")
    return value


def _moment(value: float | str, name: str, *, is_date: bool) -> float | Literal["now"]:
    """Return a number, or of dates milliseconds since 1970, or now."""
    if is_date and value == "now":
        return "now"
    found = milliseconds(value) if is_date else value
    if not isinstance(found, int | float):
        raise ValueError(f"{name}: expected {'now or a date as 2026-01-31' if is_date else 'a number'}, got {value!r}")
    return float(found)


class RerankSection(Section):
    """[rerank]: the reranking settings, which policies and callers may change."""

    enabled: bool = True
    mode: Mode = "apply"
    percent: float = Field(default=100, ge=0, le=100)
    observe_percent: float = Field(default=100, ge=0, le=100)
    interleave: Literal["off", "team_draft", "balanced"] = "off"
    return_token: bool = False
    window: int = Field(default=100, ge=1, le=MAX_WINDOW)
    fetch: Literal["auto", "once", "twice"] = "auto"
    token_budget: int | None = Field(default=None, ge=0)
    fields: tuple[str, ...] = ()
    template: str | None = None
    text_from: Literal["fields", "highlight", "inner_hits"] = "fields"
    strip_html: bool = False
    passage_tokens: int = Field(default=0, ge=0, le=8192)
    passage_overlap: int = Field(default=0, ge=0, le=4096)
    passage_top: int = Field(default=1, ge=1, le=64)
    passage_title: bool = False
    passage_return: bool = False
    fusion: Literal["auto", "model_only", "linear", "rrf"] = "auto"
    weight: float | None = Field(default=None, ge=0, le=1)
    signals: tuple[SignalSection, ...] = ()
    pin_ids: tuple[str, ...] = ()
    pin_field: str | None = Field(default=None, min_length=1)
    diversify_by: str | None = Field(default=None, min_length=1)
    diversify_most: int = Field(default=2, ge=1)
    diversify_within: int = Field(default=10, ge=2)
    min_score: float | None = Field(default=None, ge=0, le=1)
    deadline_ms: float = Field(default=500, ge=0)
    on_failure: Literal["first_stage", "error"] = "first_stage"
    explain: bool = False
    score_cache: bool = False
    prune_model: str | None = None
    prune_keep: int = Field(default=40, ge=1, le=MAX_WINDOW)
    languages: tuple[Language, ...] = ()
    language_models: dict[Language | Literal["*"], str] = {}

    @field_validator("fields", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _adds_signals(self) -> Self:
        if self.signals and self.fusion in ("model_only", "rrf"):
            raise ValueError(f"signals are terms of fusion linear, which {self.fusion} is not")
        return self

    def overrides(self) -> dict[str, Any]:
        """Return the settings that were given, by the names of RerankOptions."""
        given = self.model_dump(exclude_unset=True)
        if "signals" in given:
            given["signals"] = tuple(section.signal() for section in self.signals)
        if "deadline_ms" in given:
            given["deadline"] = given.pop("deadline_ms") / 1000
        return given


class PolicySection(RerankSection):
    """[[policies]]: settings for indices by pattern."""

    name: str | None = Field(default=None, min_length=1)
    indices: tuple[str, ...] = Field(min_length=1)
    model: str | None = None

    def overrides(self) -> dict[str, Any]:
        """Return the settings that were given, without the name and the patterns."""
        given = super().overrides()
        del given["indices"]
        given.pop("name", None)
        return given


class _Environment(EnvSettingsSource):
    """The environment. What is no JSON stays text: the setting itself may take it, or says what is wrong."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
        extra="forbid",
        frozen=True,
    )

    listen: str = "127.0.0.1:9280"
    workers: int = Field(default=1, ge=1, le=64)
    max_searches: int = Field(default=DEFAULT_MOST, ge=1)
    drain_seconds: float = Field(default=2.0, ge=0)
    readiness: Literal["lenient", "strict"] = "lenient"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    slow_rerank_ms: float = Field(default=0, ge=0)
    engine: EngineSection = EngineSection()
    tls: TlsSection = TlsSection()
    admin: AdminSection = AdminSection()
    model: ModelSection = ModelSection()
    scorer: ScorerSection = ScorerSection()
    api: ApiSection = ApiSection()
    tracing: TracingSection = TracingSection()
    playground: PlaygroundSection = PlaygroundSection()
    score_cache: ScoreCacheSection = ScoreCacheSection()
    observe: ObserveSection = ObserveSection()
    events: EventsSection = EventsSection()
    experiment: ExperimentSection = ExperimentSection()
    rerank: RerankSection = RerankSection()
    policies: tuple[PolicySection, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given: `load` merges file, environment and flags, so that errors can say whence."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _keeps_clicks(self) -> Self:
        interleaving = [section for section in (self.rerank, *self.policies) if section.interleave != "off"]
        if interleaving and not self.events.has_store:
            raise ValueError("interleave needs events.log or events.index: what is not kept says nothing")
        return self

    def policy(self) -> Policy:
        """Return defaults and policies as the pipeline takes them."""
        return Policy(
            defaults=RerankOptions(**self.rerank.overrides()),
            policies=tuple(
                IndexPolicy(indices=section.indices, name=section.name or "", overrides=section.overrides())
                for section in self.policies
            ),
            experiment=Experiment(**self.experiment.model_dump()),
            resigns=self.engine.aws_region is not None,
        )

    def model_names(self) -> list[str]:
        """Return the models that policies name, to score, also what is in another language, or to prune, each once."""
        named = [self.rerank.prune_model, *self.rerank.language_models.values()]
        for section in self.policies:
            named += [section.model, section.prune_model, *section.language_models.values()]
        return list(dict.fromkeys(name for name in named if name))

    @property
    def remembers_scores(self) -> bool:
        """Whether any policy wants scores remembered."""
        return any(section.score_cache for section in (self.rerank, *self.policies))

    def dumped(self) -> dict[str, Any]:
        """Return what was given as JSON values, secrets included: for `Settings(**values)` in a process of ours."""
        return json.loads(json.dumps(self.model_dump(exclude_unset=True), default=_as_json))  # type: ignore[no-any-return]

    def live(self) -> dict[str, Any]:
        """Return what was given of the sections that can change while the program runs, as JSON values."""
        given = self.dumped()
        return {name: given.get(name, [] if name == "policies" else {}) for name in LIVE}

    def with_live(self, sections: Mapping[str, Any]) -> Settings:
        """Return these settings with other sections in place of those of LIVE that are given.

        Raises:
            ConfigError: another section, an unknown key, or a value that it cannot have.
        """
        for name in sections:
            if name not in LIVE:
                raise ConfigError(f"request: {name} cannot change while the program runs; {', '.join(LIVE)} can")
        try:
            return Settings(**{**self.dumped(), **sections})
        except ValidationError as error:
            raise ConfigError(_explain(error, lambda _: "request")) from error

    def signing_with(self, key: str) -> Settings:
        """Return these settings with another key for tokens."""
        return Settings(**_merged(self.dumped(), {"events": {"signing_key": key}}))

    def printable(self) -> dict[str, Any]:
        """Return all settings; secrets are hidden, also those in URLs."""
        shown: dict[str, Any] = _without_userinfo(self.model_dump(mode="json"))
        shown["engine"]["url"] = self.engine.printable_urls
        return shown


def _as_json(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _without_userinfo(value: Any) -> Any:
    """Return a setting without what stands before the host of a URL."""
    match value:
        case str():
            return _USERINFO.sub("//", value)
        case dict():
            return {key: _without_userinfo(inner) for key, inner in value.items()}
        case list():
            return [_without_userinfo(inner) for inner in value]
        case _:
            return value


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of `file`, the environment and `flags` (dotted keys; None values are not given).

    Raises:
        ConfigError: a file that cannot be read, an unknown key, or a value that it cannot have.
    """
    _refuse_unknown_variables(os.environ)
    values = _read(file) if file is not None else {}
    try:
        environment = _Environment(Settings)()
        return Settings(**_merged(_merged(values, environment), _nested(flags or {})))
    except ValidationError as error:
        raise ConfigError(_explain(error, lambda place: _origin(place, file, values, flags or {}))) from error


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is no TOML: {error}") from error


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in flags.items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return nested


def _refuse_unknown_variables(environment: Iterable[str]) -> None:
    """Refuse a misspelt variable, which pydantic-settings would pass over."""
    for name in environment:
        if not name.startswith(PREFIX):
            continue
        section = name.removeprefix(PREFIX).split(_DELIMITER)[0].lower()
        if section not in Settings.model_fields:
            known = ", ".join(PREFIX + field.upper() for field in Settings.model_fields)
            raise ConfigError(f"environment: {name} is not known; known begin with {known}")


def _explain(error: ValidationError, origin: Callable[[tuple[str, ...]], str]) -> str:
    """Return a line for each mistake; `origin` says where a key stands."""
    lines = []
    for problem in error.errors():
        place = tuple(str(part) for part in problem["loc"])
        key = ".".join(place)
        where = origin(place)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: {key} is not known; known here are {', '.join(_known(place))}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            lines.append(f"{where}: {key or 'settings'}: {message}{_got(problem)}")
    return "\n".join(lines)


def _got(problem: Any) -> str:
    value = problem.get("input")
    is_plain = isinstance(value, str | int | float | bool)
    is_secret = problem["loc"] == ("engine",) or not _SECRETS.isdisjoint(problem["loc"])
    return f", got {value!r}" if is_plain and not is_secret else ""


def _origin(place: tuple[str, ...], file: Path | None, values: Mapping[str, Any], flags: Mapping[str, Any]) -> str:
    if ".".join(place) in {dotted for dotted, value in flags.items() if value is not None}:
        return "command line"
    variable = PREFIX + _DELIMITER.join(place).upper()
    if any(name.upper() == variable for name in os.environ):
        return f"environment ({variable})"
    found: Any = values
    for part in place[:1]:
        found = found.get(part) if isinstance(found, Mapping) else None
    return str(file) if file is not None and found is not None else "configuration"


_LISTS: Final[Mapping[str, type[BaseModel]]] = {"policies": PolicySection, "signals": SignalSection}


def _known(place: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in place[:-1]:
        field = model.model_fields.get(part)
        annotation = field.annotation if field is not None else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif part in _LISTS:
            model = _LISTS[part]
    return sorted(model.model_fields)
