"""The command line: words in, settings out. The commands that run something; those that judge rankings are `judging`.

Law: nothing heavy is imported before a command needs it, so that `--help` is instant.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sidecar.program import judging
from sidecar.program.options import (
    AllowTestOption,
    ConfigOption,
    EngineOption,
    ListenOption,
    LogFormatOption,
    LogOption,
    ModelOption,
    ScorerOption,
    announce,
    announcer,
    exit_codes,
    run_to_end,
    settings_of,
)

app = typer.Typer(
    name="rerank-sidecar",
    help="A drop-in search proxy that reranks Elasticsearch and OpenSearch hits with a cross-encoder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
    engine: EngineOption = None,
    listen: ListenOption = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    scorer: ScorerOption = None,
    admin_listen: Annotated[str | None, typer.Option("--admin-listen", help="Where probes and metrics are.")] = None,
    allow_test_scorers: AllowTestOption = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print all settings and end.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", help="Front processes that share the scorer.")] = None,
    log_level: LogOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Serve the engine's API with reranked searches."""
    with exit_codes():
        flags = {
            "engine.url": engine,
            "listen": listen,
            "model.name": model,
            "scorer.url": scorer,
            "admin.listen": admin_listen,
            "workers": workers,
            "log_level": log_level,
            "log_format": log_format,
        }
        settings = settings_of(config, **flags)
        if print_config:
            import json

            print(json.dumps(settings.printable(), indent=2))
            return
        from sidecar.program import parts, wiring
        from sidecar.program.config import load

        options = parts.Options(
            settings=settings,
            allow_test_scorers=allow_test_scorers,
            announce=announcer(settings),
            read=lambda: load(config, flags),
        )
        if settings.workers == 1:
            run_to_end(wiring.serve(options))
        else:
            from sidecar.program import workers as fronts_and_scorers

            run_to_end(fronts_and_scorers.serve(options))


@app.command()
def score(
    listen: Annotated[str, typer.Option("--listen", help="host:port, or unix:/path.")] = "127.0.0.1:9281",
    config: ConfigOption = None,
    model: ModelOption = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="auto, fp32, bf16 or fp16.")] = None,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Tokens of a pair at most.")] = None,
    token_cache_bytes: Annotated[
        int | None, typer.Option("--token-cache-bytes", help="Memory for token ids of texts.")
    ] = None,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Serve the scorer and the rerank API alone, without an engine."""
    with exit_codes():
        settings = settings_of(
            config,
            model__name=model,
            model__device=device,
            model__dtype=dtype,
            model__max_length=max_length,
            model__token_cache_bytes=token_cache_bytes,
            log_level=log_level,
            log_format=log_format,
        )
        from sidecar.program import parts, wiring

        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announcer(settings))
        run_to_end(wiring.score(options, listen, is_child=exit_with_parent))


@app.command(hidden=True)
def front() -> None:
    """Run a front process; `serve --workers` starts it."""
    with exit_codes():
        from sidecar.program import fronts

        run_to_end(fronts.serve(fronts.read_order(), announce))


@app.command()
def demo(
    engine: EngineOption = None,
    model: ModelOption = None,
    once: Annotated[bool, typer.Option("--once", help="Print before and after, and end.")] = False,
    log_level: LogOption = "warning",
) -> None:
    """Show one corpus bare and reranked, side by side."""
    with exit_codes():
        from sidecar.program import demo as demonstration

        settings = settings_of(None, engine__url=engine or "embedded", model__name=model, log_level=log_level)
        run_to_end(demonstration.run(settings, is_own_engine=engine is not None, once=once, announce=announce))


@app.command()
def check(
    config: ConfigOption = None,
    engine: EngineOption = None,
    model: ModelOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Check configuration, engine and scorer, and suggest a token budget."""
    _inspect(
        lambda options: _inspection().check(options, announce),
        (config, engine, model, scorer, log_level),
        allow_test_scorers,
    )


@app.command()
def explain(
    index: Annotated[str, typer.Argument(help="Index or pattern.")],
    query: Annotated[str, typer.Argument(help="Words, or a search body as JSON: '{\"query\": …}'.")],
    size: Annotated[int, typer.Option("--size", help="Hits to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
    model: ModelOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Explain one search: ranks and scores before and after, and the text that the model saw."""
    _inspect(
        lambda options: _inspection().explain(options, index, query, size=size, as_json=as_json, announce=announce),
        (config, engine, model, scorer, log_level),
        allow_test_scorers,
    )


def _inspection() -> Any:
    from sidecar.program import inspection

    return inspection


def _inspect(
    command: Callable[[Any], Coroutine[Any, Any, None]],
    flags: tuple[Path | None, str | None, str | None, str | None, str | None],
    allow_test_scorers: bool,
) -> None:
    config, engine, model, scorer, log_level = flags
    with exit_codes():
        settings = settings_of(config, engine__url=engine, model__name=model, scorer__url=scorer, log_level=log_level)
        from sidecar.program import parts

        run_to_end(command(parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announce)))


for command in (judging.evaluate, judging.replay, judging.bulk, judging.finetune, judging.compare):
    app.command()(command)
app.command("fit-weights")(judging.fit_weights)


@app.command("print-config")
def print_setup(
    engine: Annotated[
        Literal["elastic", "opensearch"], typer.Argument(help="Whose own reranker shall call this program.")
    ],
    url: Annotated[
        str, typer.Option("--url", help="This program, as the engine reaches it.")
    ] = "http://rerank-sidecar:9280",
    service: Annotated[
        Literal["custom", "hugging_face"], typer.Option("--service", help="Elasticsearch: which `_inference` service.")
    ] = "custom",
    form: Annotated[
        Literal["console", "curl", "json"],
        typer.Option("--format", help="For Kibana's and Dashboards' console, for a shell, or as JSON."),
    ] = "console",
    config: ConfigOption = None,
    model: ModelOption = None,
) -> None:
    """Print the requests that make an engine's own reranker call this program (docs/native-rerankers.md)."""
    with exit_codes():
        from sidecar.program import engine_setup

        settings = settings_of(config, model__name=model)
        key = settings.api.key
        address = engine_setup.Address(
            url=url.rstrip("/"), key=key.get_secret_value() if key else None, model=settings.model.name or "default"
        )
        setup = engine_setup.elastic(address, service) if engine == "elastic" else engine_setup.opensearch(address)
        print(engine_setup.printed(setup, form))


@app.command()
def version() -> None:
    """Print the version."""
    from sidecar.program.parts import program_version

    print(program_version())
