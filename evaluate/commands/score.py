"""`python -m evaluate`: strategies and the unaccelerated model, scored and timed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from accel.models import notes
from accel.models.config import ModelConfig
from evaluate import comparison_table, model_files
from evaluate.commands.parsers import score_parser
from evaluate.commands.preparation import delete_images, prepare
from evaluate.comparison import compare
from evaluate.metrics import Metric
from strategies import Strategy
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import ResultOutput
from strategies.files import find_strategy
from strategies.rules import Rule
from strategies.sharing import measured_on


def score_command(flags: argparse.Namespace, result: ResultOutput) -> int:
    """Score what the flags ask for; returns the exit code.

    Args:
        flags: parsed flags.
        result: output of the comparison.

    Raises:
        StrategyError: a strategy does not fit the model, or a flag is wrong.
        ScoreError: weights of a metric are missing.
    """
    found, metrics, without = _scored(flags)
    if not result.alone:
        comparison_table.show_comparison(found, metrics, flags.calls)
    for name, reason in without.items():
        print(f"not scored: {name}: {reason}")
    result.write(found, comparison_table.flat_rows(found))
    return 0


def _scored(flags: argparse.Namespace) -> tuple[dict[str, Any], list[Metric], dict[str, str]]:
    asked = [(name, find_strategy(name)) for name in flags.strategy]
    job = prepare(flags)
    base = job.evaluator.unaccelerated
    chosen = [
        (name, one.fitted(base.family, base.scheduler, base.calls, base.steps))
        if isinstance(one, Rule)
        else (name, one)
        for name, one in asked
    ]
    if not flags.random_weights:
        _tell_others(chosen, job.evaluator.config)
    with ProgressBar() as report:
        found = compare(job.evaluator, chosen, job.prompts, job.request, job.store, report)
    delete_images(job, flags)
    images = job.request.images
    return found, job.metrics if images else [], job.without if images else {}


def _tell_others(chosen: Sequence[tuple[str, Strategy]], config: ModelConfig) -> None:
    """Say which strategies were measured on another model than the one at hand."""
    weights = model_files.model_digests(config.source, config)
    for name, strategy in chosen:
        found = measured_on.model_differences(strategy, config.name, config.dtype, weights=weights)
        if found:
            notes.tell(measured_on.measured_on_line(name, config.name, found))


def scored(model: str, names: Sequence[str], images: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of `python -m evaluate` with a few of its flags, for benchmarks."""
    strategies = [part for name in names for part in ("--strategy", name)]
    flags = ["--model", model, *strategies, "--images", str(images), "--repeats", str(repeats)]
    rows: list[dict[str, Any]] = _scored(score_parser().parse_args(flags))[0]["rows"]
    return rows
