"""The command line: words in, settings out. The one place that prints.

Law: nothing heavy is imported before a command needs it, so that `--help` is instant. Exit codes: 0 done, 1 failed,
2 bad usage or configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from sidecar.program.config import Settings

app = typer.Typer(
    name="rerank-sidecar",
    help="A drop-in search proxy that reranks Elasticsearch and OpenSearch hits with a cross-encoder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file (docs/configuration.md).")]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="URL of the engine, several separated by commas; elasticsearch+URL or opensearch+URL to say which; "
        "embedded[:documents.jsonl] for one in this process.",
    ),
]
ModelOption = Annotated[str | None, typer.Option("--model", help="Hub id, folder, or `offline`.")]
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


@contextmanager
def _exit_codes() -> Iterator[None]:
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


def _settings(config: Path | None, **flags: Any) -> Settings:
    """Return the settings of file, environment and flags (section__key=value), and start logging."""
    from sidecar.program import logs
    from sidecar.program.config import load

    settings = load(config, {name.replace("__", "."): value for name, value in flags.items()})
    logs.begin(settings.log_level, settings.log_format)
    return settings


def _run(main: Coroutine[Any, Any, None]) -> None:
    import asyncio

    asyncio.run(main)


def _announce(line: str) -> None:
    print(line, flush=True)


def _announcer(settings: Settings) -> Callable[[str], None]:
    """Return what tells people what runs where: where the log is for programs, that is an event like any other."""
    return logging.getLogger("sidecar").info if settings.log_format == "json" else _announce


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
    with _exit_codes():
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
        settings = _settings(config, **flags)
        if print_config:
            import json

            print(json.dumps(settings.printable(), indent=2))
            return
        from sidecar.program import parts, wiring
        from sidecar.program.config import load

        options = parts.Options(
            settings=settings,
            allow_test_scorers=allow_test_scorers,
            announce=_announcer(settings),
            read=lambda: load(config, flags),
        )
        if settings.workers == 1:
            _run(wiring.serve(options))
        else:
            from sidecar.program import workers as fronts_and_scorers

            _run(fronts_and_scorers.serve(options))


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
    with _exit_codes():
        settings = _settings(
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

        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=_announcer(settings))
        _run(wiring.score(options, listen, is_child=exit_with_parent))


@app.command(hidden=True)
def front() -> None:
    """Run a front process; `serve --workers` starts it."""
    with _exit_codes():
        from sidecar.program import fronts

        _run(fronts.serve(fronts.read_order(), _announce))


@app.command()
def demo(
    engine: EngineOption = None,
    model: ModelOption = None,
    once: Annotated[bool, typer.Option("--once", help="Print before and after, and end.")] = False,
    log_level: LogOption = "warning",
) -> None:
    """Show one corpus bare and reranked, side by side."""
    with _exit_codes():
        from sidecar.program import demo as demonstration

        settings = _settings(None, engine__url=engine or "embedded", model__name=model, log_level=log_level)
        _run(demonstration.run(settings, is_own_engine=engine is not None, once=once, announce=_announce))


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
        lambda options: _inspection().check(options, _announce),
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
        lambda options: _inspection().explain(options, index, query, size=size, as_json=as_json, announce=_announce),
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
    with _exit_codes():
        settings = _settings(config, engine__url=engine, model__name=model, scorer__url=scorer, log_level=log_level)
        from sidecar.program import parts

        _run(command(parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=_announce)))


@app.command()
def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Folder with corpus.jsonl, queries.jsonl and qrels; `sample` for the demo's."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", help="Judgments: TREC, BEIR's .tsv, or Quepid's .csv, which has queries.")
    ] = None,
    engine: EngineOption = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="TREC run as the first stage, in place of an engine.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Hub id, folder, or `offline`; repeatable.")
    ] = None,
    window: Annotated[
        list[int] | None,
        typer.Option("--window", min=1, max=1000, help="Candidates that are scored (default: 100); repeatable."),
    ] = None,
    fusion: Annotated[
        list[str] | None,
        typer.Option("--fusion", help="auto, model_only, linear, linear=WEIGHT or rrf; repeatable."),
    ] = None,
    prune_model: Annotated[
        str | None, typer.Option("--prune-model", help="A cheaper model that prunes the window first (a cascade).")
    ] = None,
    prune_keep: Annotated[
        list[int] | None,
        typer.Option(
            "--prune-keep", min=0, max=1000, help="Candidates that it keeps (0: no cascade, default: 40); repeatable."
        ),
    ] = None,
    index: Annotated[str | None, typer.Option("--index", help="Index that is searched.")] = None,
    index_corpus: Annotated[
        bool, typer.Option("--index-corpus", help="Make --index of the dataset's corpus first (embedded: always).")
    ] = False,
    analyzer: Annotated[str, typer.Option("--analyzer", help="Analyzer of an index that is made.")] = "english",
    fields: Annotated[str | None, typer.Option("--fields", help="Fields to search and score: title,text.")] = None,
    body: Annotated[
        str | None, typer.Option("--body", help="Search body in which %SearchText% stands for the query.")
    ] = None,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="Hits of a ranking (default: 100).")] = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="As ir-measures has it; the first is compared; repeatable.")
    ] = None,
    relevant_from: Annotated[
        int, typer.Option("--relevant-from", min=1, help="Lowest grade that is relevant to RR, AP, P and R.")
    ] = 1,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Queries at most.")] = None,
    save_first_stage: Annotated[Path | None, typer.Option("--save-first-stage", help="Write a TREC run.")] = None,
    save_run: Annotated[
        Path | None, typer.Option("--save-run", help="Write the reranked TREC run; of several systems one each.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a report as one HTML page.")] = None,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Measure a search before and after reranking, on judged queries or a stored run (docs/evaluation.md)."""
    with _exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        if model and scorer is not None:
            raise ConfigError("--model and --scorer: give one of them")
        settings = _settings(config, engine__url=engine, scorer__url=scorer, log_level=log_level)
        from sidecar.evaluation import program
        from sidecar.evaluation.request import EvaluationRequest, FusionChoice
        from sidecar.program import parts

        request = EvaluationRequest(
            dataset=dataset,
            qrels=qrels,
            run=run,
            models=tuple(model or ()),
            windows=tuple(window or (settings.rerank.window,)),
            fusions=tuple(FusionChoice.parse(each) for each in fusion or (settings.rerank.fusion,)),
            pruner=prune_model,
            keeps=tuple(prune_keep or ()),
            index=index,
            index_corpus=index_corpus,
            analyzer=analyzer,
            fields=tuple(name.strip() for name in fields.split(",")) if fields else (),
            body=body,
            depth=depth,
            measures=tuple(measure or ()),
            relevant_from=relevant_from,
            limit=limit,
            save_first_stage=save_first_stage,
            save_run=save_run,
            json=json_file,
            html=html_file,
        )
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=_announce)
        _run(program.run(options, request, _announce))


@app.command()
def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Slow logs or query logs of the engine, observe logs with searches, files of requests (JSON lines), "
            "bodies of _msearch, .har files or access logs; mixed, and .gz, too.",
            show_default=False,
        ),
    ],
    engine: EngineOption = None,
    model: ModelOption = None,
    index: Annotated[
        str | None, typer.Option("--index", help="Search this index in place of the recorded ones.")
    ] = None,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0, help="Searches a second at most, 0 for no bound; each asks the engine twice."),
    ] = 10.0,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=64, help="Searches in hand at the same time.")
    ] = 2,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Recorded searches at most, drawn at random.")
    ] = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Send a search as often as it was recorded (default: once, with that weight).")
    ] = False,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth", min=1, max=1000, help="Compare the first hits (default: the caller's page; with judgments 100)."
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option("--qrels", help="Judgments by the searches' words (Quepid's .csv) or X-Opaque-Id (TREC, .tsv)."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Folder with queries.jsonl and qrels, as `evaluate` has it.")
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="As ir-measures has it; the first is compared; repeatable.")
    ] = None,
    relevant_from: Annotated[
        int, typer.Option("--relevant-from", min=1, help="Lowest grade that is relevant to RR, AP, P and R.")
    ] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a report as one HTML page.")] = None,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Send recorded searches again, to the engine and reranked, and report what changes (docs/replay.md).

    Only searches are sent, and nothing is written to the engine.
    """
    with _exit_codes():
        settings = _settings(config, engine__url=engine, model__name=model, scorer__url=scorer, log_level=log_level)
        from sidecar.program import parts
        from sidecar.replay import program
        from sidecar.replay.request import ReplayRequest

        request = ReplayRequest(
            files=tuple(files),
            index=index,
            rate=rate,
            concurrency=concurrency,
            limit=limit,
            is_all=is_all,
            depth=depth,
            qrels=qrels,
            dataset=dataset,
            measures=tuple(measure or ()),
            relevant_from=relevant_from,
            json=json_file,
            html=html_file,
        )
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=_announce)
        _run(program.run(options, request, _announce))


@app.command()
def finetune(
    qrels: Annotated[
        Path, typer.Option("--qrels", help="Judgments to train on: TREC, BEIR's .tsv, Quepid's .csv, or click pairs.")
    ],
    output: Annotated[Path, typer.Option("--output", help="New folder for the tuned model.")],
    model: Annotated[str | None, typer.Option("--model", help="What is tuned: hub id, folder, or `offline`.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Folder with corpus.jsonl and queries.jsonl, as `evaluate` has it.")
    ] = None,
    engine: EngineOption = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="TREC run as the first stage, in place of an engine.")
    ] = None,
    test_qrels: Annotated[
        Path | None,
        typer.Option("--test-qrels", help="Judgments for the report (default: those of the queries held out)."),
    ] = None,
    test_run: Annotated[
        Path | None, typer.Option("--test-run", help="TREC run of the queries of --test-qrels.")
    ] = None,
    method: Annotated[Literal["lora", "full"], typer.Option("--method", help="Adapters, or all weights.")] = "lora",
    index: Annotated[str | None, typer.Option("--index", help="Index that is searched.")] = None,
    index_corpus: Annotated[
        bool, typer.Option("--index-corpus", help="Make --index of the dataset's corpus first (embedded: always).")
    ] = False,
    analyzer: Annotated[str, typer.Option("--analyzer", help="Analyzer of an index that is made.")] = "english",
    fields: Annotated[str | None, typer.Option("--fields", help="Fields to search and score: title,text.")] = None,
    body: Annotated[
        str | None, typer.Option("--body", help="Search body in which %SearchText% stands for the query.")
    ] = None,
    window: Annotated[
        int,
        typer.Option("--window", min=2, max=1000, help="Hits among which negatives are, and that the report reranks."),
    ] = 100,
    held_out: Annotated[
        int | None, typer.Option("--held-out", min=1, help="Queries held out (default: a tenth, at most 100).")
    ] = None,
    held_out_window: Annotated[
        int, typer.Option("--held-out-window", min=2, max=1000, help="Their candidates that are reranked.")
    ] = 30,
    per_query: Annotated[int, typer.Option("--per-query", min=1, help="Relevant texts of a query to train on.")] = 4,
    negatives: Annotated[int, typer.Option("--negatives", min=1, help="Other texts beside each of them.")] = 3,
    epochs: Annotated[float, typer.Option("--epochs", min=0.01, help="Rounds over all examples.")] = 1.0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Examples of a step.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="The highest (default: 5e-4 with lora, 5e-5 with full).")
    ] = None,
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, help="Tokens of a text in training; served are as many as before.")
    ] = 128,
    evaluations: Annotated[int, typer.Option("--evaluations", min=1, help="Evaluations and checkpoints.")] = 6,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Evaluations without a gain that end the training.")
    ] = 2,
    relevant_from: Annotated[int, typer.Option("--relevant-from", min=1, help="Lowest grade that is relevant.")] = 1,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Judged queries at most.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same judgments: same model.")] = 42,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report's figures as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")] = None,
    config: ConfigOption = None,
    log_level: LogOption = "warning",
) -> None:
    """Adapt a model to judgments or clicks, and measure it before and after (docs/finetuning.md)."""
    with _exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        settings = _settings(config, engine__url=engine, log_level=log_level)
        from sidecar.finetuning import program
        from sidecar.finetuning.request import FinetuneRequest
        from sidecar.program import parts

        request = FinetuneRequest(
            dataset=dataset,
            qrels=qrels,
            test_qrels=test_qrels,
            run=run,
            test_run=test_run,
            model=model or settings.model.name,
            output=output,
            method=method,
            index=index,
            index_corpus=index_corpus,
            analyzer=analyzer,
            fields=tuple(name.strip() for name in fields.split(",")) if fields else (),
            body=body,
            relevant_from=relevant_from,
            window=window,
            held_out_window=held_out_window,
            held_out=held_out,
            per_query=per_query,
            negatives=negatives,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_length=max_length,
            evaluations=evaluations,
            patience=patience,
            seed=seed,
            limit=limit,
            resume=resume,
            json=json_file,
            html=html_file,
        )
        program.run(parts.Options(settings=settings, announce=_announce), request, _announce)


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
    with _exit_codes():
        from sidecar.program import engine_setup

        settings = _settings(config, model__name=model)
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
