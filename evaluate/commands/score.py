"""`python -m evaluate`: strategies and the unaccelerated model, scored and timed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from accel.models import notes
from accel.models.config import ModelConfig
from evaluate import comparison_table, model_files
from evaluate.commands.options import (
    MODEL_HELP,
    add_output,
    add_setting,
    add_what,
    delete_images,
    prepare,
)
from evaluate.comparison import compare
from evaluate.metrics import Metric
from strategies import Strategy
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import CommandParser, ResultOutput
from strategies.files import find_strategy
from strategies.rules import Rule
from strategies.sharing import measured_on

EXAMPLES = """\
examples:
  python -m evaluate --strategy examples/tiny-sd-no-loss.json
  python -m evaluate --model FOLDER --strategy dato-b1 --reference self --images 256
  python -m evaluate --model FOLDER --strategy dato-b1 --metrics fid,clip-score --images 2000 \\
      --prompts imagenet --reference IMAGENET/val --reference-per-class 5
  python -m evaluate --model FOLDER --random-weights --strategy dato-b1 --calls     speed alone
  python -m evaluate transfer dato-b1 --to tiny-sd --base-steps 30  what a strategy keeps elsewhere
"""


def parser() -> CommandParser:
    """Parser of the flags."""
    made = CommandParser(
        prog="python -m evaluate",
        description="Score strategies and the unaccelerated model on the same prompts and noise.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_argument_group("model and strategies")
    what.add_argument("--model", default="tiny-sd", help=MODEL_HELP)
    what.add_argument(
        "--strategy",
        action="append",
        default=[],
        help="a strategy file, a preset's name or a run's folder (its knee); may be given again",
    )
    add_what(what)
    add_setting(made)
    add_output(made)
    return made


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
    rows: list[dict[str, Any]] = _scored(parser().parse_args(flags))[0]["rows"]
    return rows
