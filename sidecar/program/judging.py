"""The commands of who judges rankings: measuring, replaying, comparing, and fitting models and weights to judgments.

Law: nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sidecar.program.options import (
    AllowTestOption,
    AnalyzerOption,
    BodyOption,
    ConfigOption,
    EngineOption,
    FieldsOption,
    HtmlOption,
    IndexCorpusOption,
    IndexOption,
    JsonOption,
    LimitOption,
    LogOption,
    MeasureOption,
    ModelOption,
    RelevantFromOption,
    RunOption,
    ScorerOption,
    announce,
    exit_codes,
    run_to_end,
    settings_of,
)


def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Folder with corpus.jsonl, queries.jsonl and qrels; `sample` for the demo's."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", help="Judgments: TREC, BEIR's .tsv, or Quepid's .csv, which has queries.")
    ] = None,
    engine: EngineOption = None,
    run: RunOption = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Hub id, folder, `offline` or `starter`; repeatable.")
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
    index: IndexOption = None,
    index_corpus: IndexCorpusOption = False,
    analyzer: AnalyzerOption = "english",
    fields: FieldsOption = None,
    body: BodyOption = None,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="Hits of a ranking (default: 100).")] = None,
    measure: MeasureOption = None,
    relevant_from: RelevantFromOption = 1,
    limit: LimitOption = None,
    save_first_stage: Annotated[Path | None, typer.Option("--save-first-stage", help="Write a TREC run.")] = None,
    save_run: Annotated[
        Path | None, typer.Option("--save-run", help="Write the reranked TREC run; of several systems one each.")
    ] = None,
    json_file: JsonOption = None,
    html_file: HtmlOption = None,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Measure a search before and after reranking, on judged queries or a stored run (docs/evaluation.md)."""
    with exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        if model and scorer is not None:
            raise ConfigError("--model and --scorer: give one of them")
        settings = settings_of(config, engine__url=engine, scorer__url=scorer, log_level=log_level)
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
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announce)
        run_to_end(program.run(options, request, announce))


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
        typer.Option(
            "--rate", min=0, help="Searches a second at most, 0 for no bound; each asks the engine two or three times."
        ),
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
    measure: MeasureOption = None,
    relevant_from: RelevantFromOption = 1,
    json_file: JsonOption = None,
    html_file: HtmlOption = None,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Send recorded searches again, to the engine and reranked, and report what changes (docs/replay.md).

    Only searches are sent, and nothing is written to the engine.
    """
    with exit_codes():
        from sidecar.errors import ConfigError

        if model is not None and scorer is not None:
            raise ConfigError("--model and --scorer: give one of them")
        settings = settings_of(config, engine__url=engine, model__name=model, scorer__url=scorer, log_level=log_level)
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
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announce)
        run_to_end(program.run(options, request, announce))


def bulk(
    output: Annotated[
        list[Path],
        typer.Option(
            "--output", help="File to write: a Parquet table if it ends in .parquet, else a TREC run; repeatable."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Folder with queries.jsonl and corpus.jsonl; `sample` for the demo's."),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="Queries from a file: .jsonl with _id and text, or .tsv: id, tab, text."),
    ] = None,
    engine: EngineOption = None,
    run: RunOption = None,
    model: ModelOption = None,
    window: Annotated[
        int | None, typer.Option("--window", min=1, max=1000, help="Candidates that are scored (default: 100).")
    ] = None,
    fusion: Annotated[
        str | None, typer.Option("--fusion", help="auto, model_only, linear, linear=WEIGHT or rrf.")
    ] = None,
    index: IndexOption = None,
    index_corpus: IndexCorpusOption = False,
    analyzer: AnalyzerOption = "english",
    fields: FieldsOption = None,
    body: BodyOption = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, help="Hits of a ranking (default: the window).")
    ] = None,
    limit: LimitOption = None,
    served: Annotated[
        bool,
        typer.Option("--served", help="--engine reranks, being a proxy of ours: fill its caches, score nothing here."),
    ] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=256, help="Queries in hand at a time.")] = 4,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew and write over the outputs, whatever was done.")
    ] = False,
    report_seconds: Annotated[
        float,
        typer.Option("--report-seconds", min=0, help="Between two lines of progress, where there is no terminal."),
    ] = 10.0,
    ray: Annotated[
        str | None,
        typer.Option("--ray", help="Score on a Ray cluster: its address, `auto`, or `local` to begin one here."),
    ] = None,
    ray_scorers: Annotated[int, typer.Option("--ray-scorers", min=1, help="Scorers on the cluster.")] = 1,
    ray_gpus: Annotated[float, typer.Option("--ray-gpus", min=0, help="GPUs of a scorer, such as 1 or 0.5.")] = 0.0,
    ray_cpus: Annotated[float, typer.Option("--ray-cpus", min=0, help="CPU cores of a scorer.")] = 1.0,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Rerank many queries into files; killed at any moment, the same command goes on (docs/bulk.md)."""
    with exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        if model is not None and scorer is not None:
            raise ConfigError("--model and --scorer: give one of them")
        settings = settings_of(config, engine__url=engine, model__name=model, scorer__url=scorer, log_level=log_level)
        from sidecar.bulk import program
        from sidecar.bulk.request import BulkRequest, RayRequest
        from sidecar.evaluation.request import FusionChoice
        from sidecar.program import parts

        request = BulkRequest(
            outputs=tuple(output),
            dataset=dataset,
            queries=queries,
            run=run,
            window=window or settings.rerank.window,
            fusion=FusionChoice.parse(fusion or settings.rerank.fusion),
            index=index,
            index_corpus=index_corpus,
            analyzer=analyzer,
            fields=tuple(name.strip() for name in fields.split(",")) if fields else (),
            body=body,
            depth=depth,
            limit=limit,
            is_served=served,
            lanes=at_once,
            ray=RayRequest(address=ray, scorers=ray_scorers, gpus=ray_gpus, cpus=ray_cpus) if ray else None,
            restart=restart,
            report_seconds=report_seconds,
        )
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announce)
        run_to_end(program.run(options, request, announce))


def finetune(
    qrels: Annotated[
        Path, typer.Option("--qrels", help="Judgments to train on: TREC, BEIR's .tsv, Quepid's .csv, or click pairs.")
    ],
    output: Annotated[Path, typer.Option("--output", help="New folder for the tuned model.")],
    model: Annotated[
        str | None, typer.Option("--model", help="What is tuned: hub id, folder, `offline` or `starter`.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Folder with corpus.jsonl and queries.jsonl, as `evaluate` has it.")
    ] = None,
    engine: EngineOption = None,
    run: RunOption = None,
    test_qrels: Annotated[
        Path | None,
        typer.Option("--test-qrels", help="Judgments for the report (default: those of the queries held out)."),
    ] = None,
    test_run: Annotated[
        Path | None, typer.Option("--test-run", help="TREC run of the queries of --test-qrels.")
    ] = None,
    method: Annotated[
        Literal["lora", "full"] | None,
        typer.Option("--method", help="Adapters, or all weights (default: by kind of model, as the next ones)."),
    ] = None,
    index: IndexOption = None,
    index_corpus: IndexCorpusOption = False,
    analyzer: AnalyzerOption = "english",
    fields: FieldsOption = None,
    body: BodyOption = None,
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
    per_query: Annotated[
        int | None, typer.Option("--per-query", min=1, help="Relevant texts of a query to train on.")
    ] = None,
    negatives: Annotated[
        int | None, typer.Option("--negatives", min=0, help="Other texts beside each of them (cross-encoders: some).")
    ] = None,
    per_text: Annotated[
        int | None, typer.Option("--per-text", min=1, help="Queries of a text in a round (bi-encoders).")
    ] = None,
    layers: Annotated[
        int | None, typer.Option("--layers", min=1, help="Layers that are trained, from the last one on.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", min=0.01, help="Rounds over all examples.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Examples of a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="The highest.")] = None,
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", min=8, help="Tokens of a text in training; served are as many as before."),
    ] = None,
    evaluations: Annotated[int, typer.Option("--evaluations", min=1, help="Evaluations and checkpoints.")] = 6,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Evaluations without a gain that end the training.")
    ] = 3,
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
    with exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        settings = settings_of(config, engine__url=engine, log_level=log_level)
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
            per_text=per_text,
            layers=layers,
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
        program.run(parts.Options(settings=settings, announce=announce), request, announce)


def compare(
    log: Annotated[Path | None, typer.Option("--log", help="Log of clicks (default: as configured).")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="One policy only.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Clicks from then on: 2026-11-26T14:30+01:00.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
    log_level: LogOption = "warning",
) -> None:
    """Say what clicks on interleaved pages prefer: wins, losses, ties, and how sure that is (docs/experiments.md)."""
    with exit_codes():
        settings = settings_of(config, engine__url=engine, events__log=log, log_level=log_level)
        from sidecar.program import comparing

        run_to_end(comparing.compare(settings, policy=policy, since=since, as_json=as_json, announce=announce))


def fit_weights(
    qrels: Annotated[
        Path, typer.Option("--qrels", help="Judgments to fit to: TREC, BEIR's .tsv, Quepid's .csv, or click pairs.")
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Folder with corpus.jsonl and queries.jsonl, as `evaluate` has it.")
    ] = None,
    engine: EngineOption = None,
    run: RunOption = None,
    test_qrels: Annotated[
        Path | None,
        typer.Option("--test-qrels", help="Judgments of other queries to check on (default: a part is held out)."),
    ] = None,
    test_run: Annotated[
        Path | None, typer.Option("--test-run", help="TREC run of the queries of --test-qrels.")
    ] = None,
    model: ModelOption = None,
    index: Annotated[
        str | None, typer.Option("--index", help="Index that is searched, whose policy's weights are fitted.")
    ] = None,
    index_corpus: IndexCorpusOption = False,
    analyzer: AnalyzerOption = "english",
    fields: FieldsOption = None,
    body: BodyOption = None,
    window: Annotated[
        int | None, typer.Option("--window", min=2, max=1000, help="Candidates (default: as configured).")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option("--held-out", min=1, help="Queries held out (default: a quarter).")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Judged queries at most, of each file.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of what is held out, and of the resampling.")] = 42,
    json_file: JsonOption = None,
    config: ConfigOption = None,
    scorer: ScorerOption = None,
    allow_test_scorers: AllowTestOption = False,
    log_level: LogOption = "warning",
) -> None:
    """Fit the weights of a policy's terms to judgments or clicks (docs/signals.md)."""
    with exit_codes():
        from sidecar.errors import ConfigError

        if run is not None and engine is not None:
            raise ConfigError("--run and --engine: give one of them")
        if model is not None and scorer is not None:
            raise ConfigError("--model and --scorer: give one of them")
        settings = settings_of(config, engine__url=engine, scorer__url=scorer, log_level=log_level)
        from sidecar.fitting import program
        from sidecar.fitting.request import FitRequest
        from sidecar.program import parts

        request = FitRequest(
            dataset=dataset,
            qrels=qrels,
            test_qrels=test_qrels,
            run=run,
            test_run=test_run,
            model=model,
            index=index,
            index_corpus=index_corpus,
            analyzer=analyzer,
            fields=tuple(name.strip() for name in fields.split(",")) if fields else (),
            body=body,
            window=window or settings.rerank.window,
            held_out=held_out,
            limit=limit,
            seed=seed,
            json=json_file,
        )
        options = parts.Options(settings=settings, allow_test_scorers=allow_test_scorers, announce=announce)
        run_to_end(program.run(options, request, announce))
