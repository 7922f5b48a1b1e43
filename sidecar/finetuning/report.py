"""Before and after: on the terminal, and beside the model that was written.

Law: figures come from `evaluate`; the tuned model is compared with the untuned one on the same queries, not only with
the first stage.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.errors import SidecarError
from sidecar.evaluation.comparison import Comparison, compare
from sidecar.evaluation.document import document
from sidecar.evaluation.files import write
from sidecar.evaluation.results import Results
from sidecar.finetuning.early_stop import Evaluation
from sidecar.finetuning.request import MEASURE, FinetuneRequest, Recipe

FIGURES: Final = "finetuning.json"
CARD: Final = "README.md"


class NotBetter(SidecarError):
    """The training found no model that ranks the held-out queries better than the untuned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a training went."""

    #: queries that were trained on, and that were held out; and examples
    trained: int
    held_out: int
    examples: int
    #: the measure of the held-out queries: first stage, untuned, and of every evaluation
    first_stage: float
    untuned: float
    evaluations: tuple[Evaluation, ...]
    best: Evaluation
    seconds: float


def against_untuned(results: Results) -> Comparison:
    """Return the comparison of the tuned model, the second system, with the untuned one, the first."""
    untuned, tuned = (system.values[results.measures[0]] for system in results.systems)
    return compare(untuned, tuned)


def line(comparison: Comparison, measure: str) -> str:
    """Return a comparison in a line for people."""
    low, high = comparison.interval
    return (
        f"tuned against untuned, {measure}: {comparison.mean:+.4f}, 95 % interval {low:+.4f} … {high:+.4f}, "
        f"p {comparison.p_value:.4f}, won/lost/tied {comparison.wins}/{comparison.losses}/{comparison.ties}"
    )


def figures(request: FinetuneRequest, recipe: Recipe, course: Course, results: Results) -> dict[str, Any]:
    """Return everything as one JSON object: what was asked for, how it went, and what `evaluate` found."""
    comparison = against_untuned(results)
    return {
        "base": request.model,
        "method": recipe.method,
        "qrels": str(request.qrels),
        "test_qrels": None if request.test_qrels is None else str(request.test_qrels),
        "settings": {
            "seed": request.seed,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "layers": recipe.layers,
            "max_length": recipe.max_length,
            "per_query": recipe.per_query,
            "negatives": recipe.negatives,
            "per_text": recipe.per_text,
            "window": request.window,
            "held_out_window": request.held_out_window,
        },
        "course": {
            "trained_queries": course.trained,
            "held_out_queries": course.held_out,
            "examples": course.examples,
            "measure": MEASURE,
            "first_stage": course.first_stage,
            "untuned": course.untuned,
            "evaluations": [{"step": each.step, "value": each.value} for each in course.evaluations],
            "best_step": course.best.step,
            "seconds": course.seconds,
        },
        "tuned_against_untuned": {
            "measure": results.measures[0],
            "delta": comparison.mean,
            "interval": list(comparison.interval),
            "p_value": comparison.p_value,
            "wins": comparison.wins,
            "losses": comparison.losses,
            "ties": comparison.ties,
        },
        "evaluation": document(results),
    }


def write_beside(folder: Path, found: dict[str, Any]) -> None:
    """Write figures and a card into the model's folder. Raises ConfigError when they cannot be written."""
    write(folder / FIGURES, json.dumps(found, ensure_ascii=False, indent=2))
    write(folder / CARD, card(found))


def card(found: dict[str, Any]) -> str:
    """Return the model's card, in Markdown."""
    evaluation, course, settings = found["evaluation"], found["course"], found["settings"]
    measure = found["tuned_against_untuned"]["measure"]
    difference = found["tuned_against_untuned"]
    low, high = difference["interval"]
    untuned, tuned = evaluation["systems"]
    seen = "" if found["test_qrels"] else " They were held out of the training and used to stop it."
    rows = [
        ("first stage", evaluation["first_stage"]["means"][measure]),
        ("untuned", untuned["means"][measure]),
        ("tuned", tuned["means"][measure]),
    ]
    return "\n".join(
        (
            f"# {found['base']}, tuned",
            "",
            f"Made by `rerank-sidecar finetune` {evaluation['version']} ({found['method']}) from `{found['base']}` and "
            f"{course['examples']} examples of {course['trained_queries']} queries. The licence of the base model and "
            "the terms of the judgments and texts that it was tuned on hold for it.",
            "",
            f"| {measure} of {evaluation['dataset']['queries']} queries of {evaluation['dataset']['name']} | |",
            "|---|--:|",
            *(f"| {name} | {value:.4f} |" for name, value in rows),
            "",
            f"Window {tuned['window']}, fusion {tuned['fusion']}.{seen} Tuned against untuned: "
            f"{difference['delta']:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}.",
            "",
            f"Settings: {', '.join(f'{name} {value}' for name, value in settings.items())}. Kept: step "
            f"{course['best_step']}. All figures, also by query: `{FIGURES}`.",
            "",
        )
    )
