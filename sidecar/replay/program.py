"""`replay`, from the words of the command line to tables and files.

Law: what was asked for and cannot be is refused before the first search is sent; who interrupts it gets the report of
what was played until then.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

from sidecar.errors import RerankUnavailable, SidecarError
from sidecar.evaluation import measures
from sidecar.evaluation.files import write
from sidecar.evaluation.progress import bar
from sidecar.program import parts
from sidecar.program.parts import Options
from sidecar.replay import formats, judged, table
from sidecar.replay.document import document
from sidecar.replay.page import page
from sidecar.replay.playing import InTrouble, Pace, Player, play_all
from sidecar.replay.recorded import Recording
from sidecar.replay.request import ReplayRequest
from sidecar.replay.results import Results, gather
from sidecar.scoring.base import Scorer

Announce = Callable[[str], None]


class NothingReranked(SidecarError):
    """The second stage has failed for every search that it was asked to rank."""


async def run(options: Options, request: ReplayRequest, announce: Announce) -> None:
    """Replay, print, and write the files that were asked for.

    Raises:
        ConfigError: something that was given makes no sense; the message names it.
        SidecarError: a model cannot be had, or ranks nothing.
        EngineError: the engine gives no answer.
    """
    results = await replayed(options, request, announce)
    failed = [each for each in results.reasons if each.has_failed]
    if failed and not results.reranked:
        raise NothingReranked(f"no search was reranked: {failed[0].sent} have failed, {failed[0].reason}")
    try:
        for path in _save(request, results):
            announce(f"wrote {path}")
    finally:
        table.show(results)


async def replayed(options: Options, request: ReplayRequest, announce: Announce) -> Results:
    """Return what there is to print and to write. Raises as `run`."""
    whole = formats.read(request.files, index=request.index)
    recording = _prepared(whole, request)
    judgments, measured = None, {}
    if request.is_judged:
        judgments = judged.load(request.qrels, request.dataset, relevant_from=request.relevant_from)
        measured = measures.parse(request.measures, relevant_from=request.relevant_from)
    settings = options.settings
    announce(f"recorded: {whole.sent:,} searches, {len(whole.searches):,} different ones, in {recording.name}")
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(parts.open_engine(settings))
        await engine.ping()
        where = f"{engine.name} at {', '.join(settings.engine.printable_urls)}"
        announce(f"engine: {where}")
        scorer = await stack.enter_async_context(parts.open_any_scorer(options))
        models = await parts.open_models(stack, options)
        lines = [await _model_line(name, each) for name, each in {"": scorer, **models}.items()]
        for line in lines:
            announce(f"model: {line}")
        player = Player(engine, scorer, settings.policy(), models, request.ranked)
        stack.push_async_callback(player.aclose)
        stop = asyncio.Event()
        with suppress(InTrouble):  # which will be found out again, and said
            await player.warm_up(recording.searches)
        with bar("searches", len(recording.searches)) as advance, _interrupting(stop):
            played, ended = await play_all(
                player,
                recording.searches,
                Pace(request.rate),
                concurrency=request.concurrency,
                stop=stop,
                advance=lambda: advance(1),
            )
        return gather(
            request, recording, played, ended, engine=where, models=lines, judged=judgments, measured=measured
        )


def _prepared(recording: Recording, request: ReplayRequest) -> Recording:
    """Return what is played of a recording."""
    sampled = recording.sample(request.limit)
    return sampled.one_by_one() if request.is_all else sampled


async def _model_line(name: str, scorer: Scorer) -> str:
    """Return a model in a line. Raises RerankUnavailable when the main one cannot be had."""
    try:
        return parts.model_line(await parts.await_facts(scorer))
    except RerankUnavailable:
        if not name:
            raise
        return f"{name} (cannot be had)"


@contextmanager
def _interrupting(stop: asyncio.Event) -> Iterator[None]:
    """Take the first SIGINT for the wish to end with what there is."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # not the main thread
        loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield
    finally:
        with suppress(NotImplementedError, RuntimeError):
            loop.remove_signal_handler(signal.SIGINT)


def _save(request: ReplayRequest, results: Results) -> Iterator[Path]:
    """Write the files that were asked for, and yield each when it is written."""
    files: Mapping[Path | None, Callable[[], str]] = {
        request.json: lambda: json.dumps(document(results), ensure_ascii=False, indent=2),
        request.html: lambda: page(results),
    }
    for path, text in files.items():
        if path is not None:
            write(path, text())
            yield path
