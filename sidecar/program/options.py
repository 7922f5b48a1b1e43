"""What the commands have in common: options, settings, lines for people, and exit codes.

Exit codes: 0 done, 1 failed, 2 bad usage or configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sidecar.program.config import Settings

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file (docs/configuration.md).")]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="URL of the engine, several separated by commas; elasticsearch+URL or opensearch+URL to say which; "
        "embedded[:documents.jsonl] for one in this process.",
    ),
]
ModelOption = Annotated[str | None, typer.Option("--model", help="Hub id, folder, `offline` or `starter`.")]
ScorerOption = Annotated[
    str | None,
    typer.Option(
        "--scorer", help="URL of a scorer elsewhere, as http://… or tei+http://… (default: a supervised child process)."
    ),
]
AllowTestOption = Annotated[
    bool, typer.Option("--allow-test-scorers", help="Permit `test:NAME` as a scorer or a model. Never in production.")
]
ListenOption = Annotated[str | None, typer.Option("--listen", help="host:port, or unix:/path.")]
LogOption = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")]
LogFormatOption = Annotated[str | None, typer.Option("--log-format", help="text, or json: an object per line.")]
RunOption = Annotated[Path | None, typer.Option("--run", help="TREC run as the first stage, in place of an engine.")]
IndexCorpusOption = Annotated[
    bool, typer.Option("--index-corpus", help="Make --index of the dataset's corpus first (embedded: always).")
]
AnalyzerOption = Annotated[str, typer.Option("--analyzer", help="Analyzer of an index that is made.")]
FieldsOption = Annotated[str | None, typer.Option("--fields", help="Fields to search and score: title,text.")]
BodyOption = Annotated[
    str | None, typer.Option("--body", help="Search body in which %SearchText% stands for the query.")
]
IndexOption = Annotated[str | None, typer.Option("--index", help="Index that is searched.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a report as one HTML page.")]
MeasureOption = Annotated[
    list[str] | None, typer.Option("--measure", help="As ir-measures has it; the first is compared; repeatable.")
]
RelevantFromOption = Annotated[
    int, typer.Option("--relevant-from", min=1, help="Lowest grade that is relevant to RR, AP, P and R.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Queries at most.")]


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn our errors into a line on stderr and an exit code."""
    from connectors.errors import EngineError
    from sidecar.errors import ConfigError, SidecarError

    try:
        yield
    except ConfigError as error:
        raise _exit(2, error) from error
    except (SidecarError, EngineError) as error:
        raise _exit(1, error) from error


def _exit(code: int, error: Exception) -> typer.Exit:
    """Return what ends the program, with the error as the last thing that it says."""
    logging.shutdown()  # the log has a thread of its own
    typer.echo(f"rerank-sidecar: {error}", err=True)
    return typer.Exit(code)


def settings_of(config: Path | None, **flags: Any) -> Settings:
    """Return the settings of file, environment and flags (section__key=value), and start logging."""
    from sidecar.program import logs
    from sidecar.program.config import load

    settings = load(config, {name.replace("__", "."): value for name, value in flags.items()})
    logs.begin(settings.log_level, settings.log_format)
    return settings


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    import asyncio

    asyncio.run(main)


def announce(line: str) -> None:
    print(line, flush=True)


def announcer(settings: Settings) -> Callable[[str], None]:
    """Return what tells people what runs where: where the log is for programs, that is an event like any other."""
    return logging.getLogger("sidecar").info if settings.log_format == "json" else announce
