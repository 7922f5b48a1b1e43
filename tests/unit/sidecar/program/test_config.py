"""The configuration: one file, the same keys in the environment, flags over both; what is wrong is said precisely."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.policy import IndexPolicy
from sidecar.program.config import DEFAULT_MODEL, Settings, load
from sidecar.types import RerankOptions, Signal


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "sidecar.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets variables of ours."""

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"RERANK_SIDECAR_{name}", value)

    return set_variables


# --- defaults -----------------------------------------------------------------------------------------------


def test_without_anything_the_documented_defaults_hold() -> None:
    """A drop-in URL has no configuration."""
    settings = load()
    assert ("127.0.0.1:9280", "127.0.0.1:9282") == (settings.listen, settings.admin.listen)
    assert (["http://localhost:9200"], DEFAULT_MODEL, None) == (
        settings.engine.urls,
        settings.model.name,
        settings.scorer.url,
    )
    assert RerankOptions() == settings.policy().defaults
    assert ((), []) == (settings.policy().policies, settings.model_names())


def test_every_default_of_rerank_is_that_of_the_pipeline() -> None:
    """Two lists of defaults that must not drift apart."""
    section = Settings().rerank
    options = RerankOptions()
    given = {**section.model_dump(), "deadline": section.deadline_ms / 1000}
    del given["deadline_ms"]
    assert given == {name: getattr(options, name) for name in given}


# --- precedence ---------------------------------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_file(written: Any, env: Any) -> None:
    """Key by key, within one section, too."""
    path = written('listen = "file:1"\nlog_level = "debug"\n[rerank]\nwindow = 10\ndeadline_ms = 100\nexplain = true\n')
    env(LISTEN="env:2", RERANK__WINDOW="20", RERANK__DEADLINE_MS="200")
    settings = load(path, {"rerank.window": 30, "listen": None})
    assert ("env:2", "debug") == (settings.listen, settings.log_level)
    assert (30, 200, True) == (settings.rerank.window, settings.rerank.deadline_ms, settings.rerank.explain)


@pytest.mark.parametrize(
    ("variables", "key", "expected"),
    [
        ({"LISTEN": ":9999"}, "listen", ":9999"),
        ({"ENGINE__URL": "http://a:1,http://b:2"}, "engine.urls", ["http://a:1", "http://b:2"]),
        ({"ENGINE__URL": '["http://a:1"]'}, "engine.urls", ["http://a:1"]),
        ({"ENGINE__VERIFY_CERTS": "false"}, "engine.verify_certs", False),
        ({"MODEL__NAME": "offline"}, "model.name", "offline"),
        ({"MODEL__MAX_LENGTH": "256"}, "model.max_length", 256),
        ({"MODEL__TOKEN_CACHE_BYTES": "0"}, "model.token_cache_bytes", 0),
        ({"MAX_SEARCHES": "7"}, "max_searches", 7),
        ({"ADMIN__LISTEN": "0.0.0.0:1"}, "admin.listen", "0.0.0.0:1"),
        ({"SCORER__URL": "http://s"}, "scorer.url", "http://s"),
        ({"RERANK__FIELDS": "title, body"}, "rerank.fields", ("title", "body")),
        ({"RERANK__FIELDS": '["title","body"]'}, "rerank.fields", ("title", "body")),
        ({"RERANK__ENABLED": "off"}, "rerank.enabled", False),
        ({"RERANK__MIN_SCORE": "0.5"}, "rerank.min_score", 0.5),
        ({"RERANK__TOKEN_BUDGET": "0"}, "rerank.token_budget", 0),
        ({"READINESS": "strict"}, "readiness", "strict"),
        ({"WORKERS": "4"}, "workers", 4),
        ({"LOG_FORMAT": "json"}, "log_format", "json"),
        ({"SLOW_RERANK_MS": "250"}, "slow_rerank_ms", 250.0),
        ({"TRACING__ENABLED": "true"}, "tracing.enabled", True),
        ({"RERANK": '{"window": 7}'}, "rerank.window", 7),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_every_key_is_also_a_variable(env: Any, variables: dict[str, str], key: str, expected: Any) -> None:
    """Lists as JSON or separated by commas."""
    env(**variables)
    value: Any = load()
    for part in key.split("."):
        value = getattr(value, part)
    assert expected == value


def test_policies_in_a_variable(env: Any) -> None:
    """As JSON."""
    env(POLICIES='[{"indices": ["a*"], "window": 5}]')
    assert (IndexPolicy(indices=("a*",), overrides={"window": 5}),) == load().policy().policies


# --- what the parts take ------------------------------------------------------------------------------------


def test_policies_hold_what_was_given_and_no_more(written: Any) -> None:
    """What a policy does not say is the default's, which may be configured as well."""
    path = written(
        "[rerank]\nwindow = 40\ndeadline_ms = 250\n"
        '[[policies]]\nindices = ["books*"]\nfields = ["title", "body"]\ndeadline_ms = 1000\nmodel = "small"\n'
        '[[policies]]\nindices = ["logs-*", "x"]\nenabled = false\nfields = "a, b"\n'
    )
    policy = load(path).policy()
    assert RerankOptions(window=40, deadline=0.25) == policy.defaults
    books = {"policy": "policies.0", "drawn_with": "books*"}
    others = {"policy": "policies.1", "drawn_with": "logs-*,x"}
    assert RerankOptions(window=40, fields=("title", "body"), deadline=1.0, model="small", **books) == policy.options(
        "books-1"
    )
    assert RerankOptions(window=40, deadline=0.25, enabled=False, fields=("a", "b"), **others) == policy.options("x")
    assert ["small"] == load(path).model_names()


def test_a_pruning_model_gets_a_scorer_of_its_own(written: Any) -> None:
    """By default or by policy, once for each name."""
    path = written(
        '[rerank]\nprune_model = "small"\nprune_keep = 30\n'
        '[[policies]]\nindices = ["a*"]\nmodel = "large"\nprune_model = "small"\n'
        '[[policies]]\nindices = ["b*"]\nprune_model = "tiny"\nprune_keep = 10\n'
    )
    settings = load(path)
    assert ["small", "large", "tiny"] == settings.model_names()
    options = settings.policy().options("b1")
    assert ("tiny", 10) == (options.prune_model, options.prune_keep)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("[rerank]\nscore_cache = true\n", True),
        ('[[policies]]\nindices = ["a*"]\nscore_cache = true\n', True),
        ('[rerank]\nscore_cache = false\n[[policies]]\nindices = ["a*"]\nwindow = 5\n', False),
    ],
)
def test_there_is_a_memory_where_a_policy_wants_one(written: Any, text: str, expected: bool) -> None:
    """And none otherwise."""
    settings = load(written(text))
    assert expected == settings.remembers_scores
    assert (64 * 1024 * 1024, ()) == (settings.score_cache.max_bytes, settings.score_cache.tenant_headers)


def test_the_engine_gets_its_credentials(written: Any, env: Any) -> None:
    """Out of the boxes that hide them."""
    path = written('[engine]\nusername = "u"\nca_certs = "/ca.pem"\nread_timeout = 3.5\n')
    env(ENGINE__PASSWORD="p")
    options = load(path).engine.options()
    assert (("u", "p"), "/ca.pem", 3.5) == (options.basic_auth, options.ca_certs, options.read_timeout)


def test_an_api_key_is_a_credential() -> None:
    """As the official clients take it."""
    options = load(None, {"engine.api_key": "k"}).engine.options()
    assert ("k", None) == (options.api_key, options.basic_auth)


# --- what is wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "windw = 1",
            "{file}: windw is not known; known here are admin, api, drain_seconds, engine, events, experiment, ",
        ),
        ("[rerank]\nwindw = 1", "{file}: rerank.windw is not known; known here are deadline_ms, diversify_by, "),
        ('[engine]\npasswrd = "s3cret"', "{file}: engine.passwrd is not known; known here are api_key, aws_region, "),
        (
            '[[policies]]\nindices = ["a"]\nmodle = "x"',
            "{file}: policies.0.modle is not known; known here are deadline_ms, ",
        ),
        ("[rerank]\nwindow = 0", "{file}: rerank.window: input should be greater than or equal to 1, got 0"),
        ("[rerank]\nwindow = 1001", "{file}: rerank.window: input should be less than or equal to 1000, got 1001"),
        ('[rerank]\nfusion = "best"', "{file}: rerank.fusion: input should be 'auto', 'model_only', 'linear' or 'rrf'"),
        ("[rerank]\nmin_score = 2", "{file}: rerank.min_score: input should be less than or equal to 1, got 2"),
        ("[[policies]]\nwindow = 5", "{file}: policies.0.indices: field required"),
        ("[[policies]]\nindices = []", "{file}: policies.0.indices: "),
        ('[engine]\nusername = "u"', "{file}: engine: username and password belong together: give both or neither"),
        (
            '[engine]\nusername = "u"\npassword = "p"\napi_key = "k"',
            "{file}: engine: api_key and username exclude each other: give one of them",
        ),
        ("x = ", "{file}: is no TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(written: Any, text: str, message: str) -> None:
    """File, key, what it is and what it should be."""
    path = written(text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value).startswith(message.format(file=path))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RERNK__WINDOW": "5"}, "environment: RERANK_SIDECAR_RERNK__WINDOW is not known; known begin with "),
        ({"RERANK__WINDW": "5"}, "environment (RERANK_SIDECAR_RERANK__WINDW): rerank.windw is not known; "),
        ({"RERANK__WINDOW": "ten"}, "environment (RERANK_SIDECAR_RERANK__WINDOW): rerank.window: input should be a "),
        ({"POLICIES": "not json"}, "environment (RERANK_SIDECAR_POLICIES): policies: input should be a valid tuple"),
        ({"RERANK": "on"}, "environment (RERANK_SIDECAR_RERANK): rerank: input should be a valid dictionary"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(
    env: Any, variables: dict[str, str], message: str
) -> None:
    """A misspelt variable is no silent default."""
    env(**variables)
    with pytest.raises(ConfigError) as refused:
        load()
    assert str(refused.value).startswith(message)


def test_a_mistake_on_the_command_line_is_named_as_one() -> None:
    """With the key that the flag sets."""
    with pytest.raises(ConfigError, match=r"^command line: rerank\.window: .* got 0$"):
        load(None, {"rerank.window": 0})


def test_all_mistakes_are_named_at_once(written: Any) -> None:
    """One line each."""
    with pytest.raises(ConfigError) as refused:
        load(written("[rerank]\nwindow = 0\nexplan = true\n"))
    assert 2 == len(str(refused.value).splitlines())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's own words."""
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml")


# --- secrets ------------------------------------------------------------------------------------------------

SECRETS = {
    "engine.password": {"engine.username": "u", "engine.password": "s3cret"},
    "engine.api_key": {"engine.api_key": "s3cret"},
    "engine.url": {"engine.url": "http://u:s3cret@h:1,http://v:s3cret@h:2"},
}


@pytest.mark.parametrize("flags", SECRETS.values(), ids=SECRETS)
def test_secrets_are_never_shown(flags: dict[str, Any]) -> None:
    """Neither in a repr nor where all settings are printed."""
    settings = load(None, flags)
    assert "s3cret" not in json.dumps(settings.printable())
    assert "s3cret" not in repr(settings.engine.options())
    if "engine.url" not in flags:
        assert "s3cret" not in repr(settings)


def test_a_process_of_ours_gets_all_that_was_given(written: Any) -> None:
    """Secrets included, and what was not given is still known not to have been."""
    settings = load(
        written(
            'workers = 3\n[engine]\nurl = "http://u:s3cret@h:1"\nusername = "u"\npassword = "s3cret"\n'
            '[api]\nkey = "k3y"\n[rerank]\nfields = "a, b"\n'
            '[[policies]]\nindices = ["books*"]\nwindow = 5\n'
        )
    )
    there = Settings(**json.loads(json.dumps(settings.dumped())))
    assert settings == there
    assert settings.policy() == there.policy()
    assert settings.engine.options() == there.engine.options()
    assert ({"engine", "workers", "api", "rerank", "policies"}, set()) == (
        there.model_fields_set,
        there.admin.model_fields_set,
    )


def test_printable_settings_are_otherwise_complete() -> None:
    """What runs is what is shown."""
    shown = load(None, {"engine.url": "http://u:s3cret@h:1/x", "rerank.window": 7}).printable()
    assert (["http://h:1/x"], 7) == (shown["engine"]["url"], shown["rerank"]["window"])


@pytest.mark.parametrize(
    "flags",
    [
        {"engine.api_key": "s3cret", "engine.username": "u", "engine.password": "s3cret"},
        {"engine.password": ["s3cret"]},
        {"engine.api_key": {"key": "s3cret"}},
        {"engine": "s3cret"},
        {"engine.url": ["http://u:s3cret@h", 3]},
        {"scorer.url": {"s3cret": 1}},
    ],
)
def test_errors_show_no_secrets(flags: dict[str, Any]) -> None:
    """Whatever is wrong with them."""
    with pytest.raises(ConfigError) as refused:
        load(None, flags)
    assert "s3cret" not in str(refused.value)


# --- signals, languages -------------------------------------------------------------------------------------

DAY = 86_400_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'field = "likes"\nfunction = "saturation"\npivot = 8\nweight = 0.2',
            Signal(field="likes", function="saturation", pivot=8.0, weight=0.2),
        ),
        (
            'field = "likes"\nfunction = "log"\nmissing = 2',
            Signal(field="likes", function="log", missing=2.0),
        ),
        (
            'field = "likes"\nfunction = "sigmoid"\npivot = 8\nexponent = 0.6\nweight = -1',
            Signal(field="likes", function="sigmoid", pivot=8.0, exponent=0.6, weight=-1.0),
        ),
        (
            'field = "day"\nfunction = "gauss"\nscale = "10d"\noffset = "12h"\ndecay = 0.3',
            Signal(field="day", function="gauss", is_date=True, scale=10 * DAY, offset=DAY / 2, decay=0.3),
        ),
        (
            'field = "day"\nfunction = "exp"\nscale = "1.5d"\norigin = "1970-01-11"\nmissing = "now"',
            Signal(field="day", function="exp", is_date=True, scale=1.5 * DAY, origin=10 * DAY, missing="now"),
        ),
        (
            'field = "price"\nfunction = "linear"\norigin = 100\nscale = 20',
            Signal(field="price", function="linear", origin=100.0, scale=20.0),
        ),
    ],
)
def test_signals_have_the_parameters_of_their_functions(written: Any, text: str, expected: Signal) -> None:
    """Of a policy as of the defaults; a time is what makes a decay one of dates."""
    policy = load(written(f'[[policies]]\nindices = ["a"]\n[[policies.signals]]\n{text}')).policy()
    assert (expected,) == policy.options("a").signals
    assert (expected,) == load(written(f"[[rerank.signals]]\n{text}")).policy().defaults.signals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('function = "log"', "rerank.signals.0.field: field required"),
        ('field = "a"\nfunction = "cubic"', "rerank.signals.0.function: input should be 'log', 'saturation', "),
        ('field = "a"\nfunction = "saturation"', "rerank.signals.0: saturation needs pivot"),
        ('field = "a"\nfunction = "sigmoid"\npivot = 1', "rerank.signals.0: sigmoid needs exponent"),
        ('field = "a"\nfunction = "gauss"\norigin = 1', "rerank.signals.0: gauss needs scale"),
        ('field = "a"\nfunction = "log"\nscale = 1', "rerank.signals.0: log has no scale; it has scaling_factor"),
        ('field = "a"\nfunction = "exp"\nscale = 1', "rerank.signals.0: origin: needed for a number"),
        ('field = "a"\nfunction = "exp"\nscale = "1w"', "rerank.signals.0: scale: expected a time such as 10d"),
        ('field = "a"\nfunction = "exp"\nscale = "1d"\noffset = 3', "rerank.signals.0: offset: expected a time"),
        ('field = "a"\nfunction = "exp"\nscale = "1d"\norigin = "soon"', "rerank.signals.0: origin: expected now or a"),
        ('field = "a"\nfunction = "exp"\nscale = 1\norigin = "now"', "rerank.signals.0: origin: expected a number"),
        ('field = "a"\nfunction = "exp"\nscale = 0\norigin = 1', "rerank.signals.0: scale must be above 0"),
        ('field = "a"\nfunction = "log"\nweigth = 1', "rerank.signals.0.weigth is not known; known here are decay, "),
    ],
)
def test_a_mistake_in_a_signal_is_named(written: Any, text: str, message: str) -> None:
    """With its place."""
    path = written(f"[[rerank.signals]]\n{text}")
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("fusion", ["model_only", "rrf"])
def test_signals_need_a_fusion_with_room_for_them(fusion: str) -> None:
    """Said at start and not found out later."""
    signal = {"field": "a", "function": "log"}
    with pytest.raises(ConfigError, match="signals are terms of fusion linear"):
        load(None, {"rerank.fusion": fusion, "rerank.signals": [signal]})


def test_signals_can_be_put_as_they_are_given(written: Any) -> None:
    """What is in force is said as JSON, and is the same again."""
    text = '[[rerank.signals]]\nfield = "day"\nfunction = "gauss"\nscale = "10d"\nweight = 2'
    settings = load(written(text))
    assert settings.policy() == settings.with_live(settings.live()).policy()


def test_languages_bring_models_of_their_own(written: Any) -> None:
    """Which are loaded like those of policies; languages are two letters."""
    settings = load(
        written(
            '[rerank]\nlanguages = ["en"]\nlanguage_models = {"*" = "many"}\n'
            '[[policies]]\nindices = ["a"]\nlanguages = ["en", "fr"]\n[policies.language_models]\nde = "deutsch"'
        )
    )
    assert ["many", "deutsch"] == settings.model_names()
    policy = settings.policy()
    assert ({"many", "deutsch"}, True) == (policy.model_names(), policy.has_languages)
    assert (("en", "fr"), {"de": "deutsch"}) == (policy.options("a").languages, policy.options("a").language_models)
    assert (("en",), {"*": "many"}) == (policy.options("b").languages, policy.options("b").language_models)
    with pytest.raises(ConfigError, match="languages"):
        load(None, {"rerank.languages": ["english"]})
