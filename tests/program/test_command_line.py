"""The command line: help, version, what is refused and with which exit code.

What is refused before anything starts is asked of the same command line in this process, which is quicker.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.program.cli import app
from tests.program.processes import finished

COMMANDS = (
    "serve",
    "score",
    "demo",
    "check",
    "explain",
    "evaluate",
    "replay",
    "bulk",
    "finetune",
    "compare",
    "fit-weights",
    "print-config",
    "version",
)
EMBEDDED = ("serve", "--engine", "embedded", "--listen", "127.0.0.1:0")
RUNNER = CliRunner(env={"COLUMNS": "100"})


def test_help_names_every_command() -> None:
    """In the order in which they are needed."""
    done = finished("--help", COLUMNS="100")
    assert 0 == done.code
    assert re.findall(r"^│ ([a-z][\w-]*)  ", done.stdout, re.MULTILINE)[: len(COMMANDS)] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """Its usage, and its options with words."""
    done = RUNNER.invoke(app, [command, "--help"])
    assert (0, None) == (done.exit_code, done.exception)
    assert f" {command} " in done.stdout.split("\n\n")[0]
    assert "--help" in done.stdout


def test_version() -> None:
    """That of the installed distribution."""
    done = finished("version")
    assert (0, version("rerank-sidecar") + "\n") == (done.code, done.stdout)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Commands"),
        (("serf",), "No such command 'serf'"),
        (("serve", "--prot", "80"), "No such option"),
        (("explain", "articles"), "Missing argument 'query'"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], complaint: str) -> None:
    """Exit code 2, and what to do."""
    done = RUNNER.invoke(app, arguments)
    assert 2 == done.exit_code
    assert complaint.lower() in done.output.lower()


def test_an_unknown_key(tmp_path: Path) -> None:
    """One line and nothing else: which file, which key, which keys there are."""
    file = tmp_path / "sidecar.toml"
    file.write_text("[rerank]\nwindw = 5\n", encoding="utf-8")
    done = finished(*EMBEDDED, "--config", str(file))
    known = (
        "deadline_ms, diversify_by, diversify_most, diversify_within, enabled, explain, fetch, fields, fusion, "
        "interleave, language_models, languages, min_score, mode, observe_percent, on_failure, passage_overlap, "
        "passage_return, passage_title, passage_tokens, passage_top, percent, pin_field, pin_ids, prune_keep, "
        "prune_model, return_token, score_cache, signals, strip_html, template, text_from, token_budget, weight, "
        "window"
    )
    expected = f"rerank-sidecar: {file}: rerank.windw is not known; known here are {known}\n"
    assert (2, "", expected) == (done.code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("[rerank]\nwindow = 0\n", "{file}: rerank.window: input should be greater than or equal to 1, got 0"),
        ('[[policies]]\nindices = ["a"]\nwindw = 5\n', "{file}: policies.0.windw is not known; known here are "),
        ("[[policies]]\nwindow = 5\n", "{file}: policies.0.indices: field required"),
        ("[rerank\n", "{file}: is no TOML: "),
        (None, "{file}: cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, toml: str | None, complaint: str) -> None:
    """One line: which file, which key, what it is, what it should be."""
    file = tmp_path / "sidecar.toml"
    if toml is not None:
        file.write_text(toml, encoding="utf-8")
    done = RUNNER.invoke(app, [*EMBEDDED, "--config", str(file)])
    assert (2, "") == (done.exit_code, done.stdout)
    assert done.stderr.startswith(f"rerank-sidecar: {complaint.format(file=file)}")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        ((), {"RERANK_SIDECAR_RERNK__WINDOW": "5"}, "environment: RERANK_SIDECAR_RERNK__WINDOW is not known"),
        ((), {"RERANK_SIDECAR_RERANK__WINDOW": "no"}, "environment (RERANK_SIDECAR_RERANK__WINDOW): rerank.window: "),
        (("--log-level", "loud"), {}, "command line: log_level: input should be 'debug', "),
    ],
)
def test_settings_that_make_no_sense(arguments: tuple[str, ...], variables: dict[str, str], complaint: str) -> None:
    """Environment and command line are named like the file."""
    done = RUNNER.invoke(app, [*EMBEDDED, *arguments], env=variables)
    assert (2, "") == (done.exit_code, done.stdout)
    assert done.stderr.startswith(f"rerank-sidecar: {complaint}")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--listen", "here"), "listen address 'here' is not like 127.0.0.1:9280 or unix:"),
        (("--scorer", "test:identity"), "scorer.url: test:identity is a test scorer; it needs --allow-test-scorers"),
        (("--engine", "solr+http://there"), "engine.url: engine kind 'solr' in "),
    ],
)
def test_parts_that_cannot_be_had(arguments: tuple[str, ...], complaint: str) -> None:
    """What is found out while the program starts is refused in the same way."""
    done = finished(*EMBEDDED, *arguments)
    assert (2, "") == (done.code, done.stdout)
    assert done.stderr.splitlines()[-1].startswith(f"rerank-sidecar: {complaint}")


def test_what_is_in_force_can_be_printed(tmp_path: Path) -> None:
    """A flag wins over the environment, the environment over the file; secrets are hidden."""
    file = tmp_path / "sidecar.toml"
    file.write_text(
        'listen = "127.0.0.1:1"\n[engine]\nurl = "http://me:hush@there:9200"\nusername = "me"\npassword = "hush"\n'
        "[rerank]\nwindow = 11\nmin_score = 0.5\n",
        encoding="utf-8",
    )
    variables = {"RERANK_SIDECAR_LISTEN": "127.0.0.1:2", "RERANK_SIDECAR_RERANK__WINDOW": "22"}
    done = finished("serve", "--print-config", "--config", str(file), "--listen", "127.0.0.1:3", **variables)
    assert 0 == done.code, done.stderr
    printed = json.loads(done.stdout)
    found = (printed["listen"], printed["rerank"]["window"], printed["rerank"]["min_score"])
    assert ("127.0.0.1:3", 22, 0.5) == found
    assert ["http://there:9200"] == printed["engine"]["url"]
    assert "hush" not in done.stdout
