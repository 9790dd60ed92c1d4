"""Flags that `python -m evaluate` and its `transfer` share. Reading them needs no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accel.commands import model_flags
from accel.models import few_steps
from accel.models.config import PRECISIONS, SOURCE_HELP, model_help
from evaluate.commands import task_flags
from evaluate.metrics import GROUPS, METRICS
from evaluate.networks.weight_files import VARIABLE
from strategies.commands.former_flags import FormerFlag
from strategies.commands.result_output import CommandParser

MODEL_HELP = model_help()


def add_what(what: Any) -> None:
    """Add the flags of what is scored: metrics, prompts, reference.

    Model and strategies have their own.
    """
    what.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    names = [*GROUPS, *(name for name in METRICS if name not in GROUPS["accuracy"])]
    what.add_argument(
        "--metrics",
        help=f"comma-separated names among {', '.join(names)} (default: all whose weights are on "
        "disk)",
    )
    what.add_argument(
        "--images", type=int, default=64, help="number of images of each strategy (default: 64)"
    )
    what.add_argument(
        "--prompts",
        help="prompts: imagenet, zoo:NAME, a .txt, .tsv (PartiPrompts), .csv, .json (COCO) or "
        ".jsonl file",
    )
    what.add_argument(
        "--reference",
        help="images to compare with: a folder of images, a .npz file of Inception statistics, "
        "or self: the unaccelerated model's own images at other seeds (default: the bundled "
        "ones, else self)",
    )
    what.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="amount by which a metric may be worse than the unaccelerated model's and still "
        "count as no loss, such as fid=0.5; give it once for each (default: docs/scoring.md)",
    )
    what.add_argument(
        "--reference-images",
        type=int,
        help="number of images of the reference self (default: --images)",
    )
    what.add_argument(
        "--reference-per-class",
        type=int,
        metavar="N",
        help="take only the first N images, by name, of each folder within the reference",
    )


def add_setting(made: argparse.ArgumentParser) -> None:
    """Add the flags of the model's setting and of how speed is measured."""
    how = made.add_argument_group("changes of the model's setting")
    how.add_argument("--few-steps", metavar="KIND[:STEPS]", help=few_steps.help_text())
    how.add_argument(
        "--base-scheduler",
        dest="scheduler",
        metavar="NAME",
        help="solver of the unaccelerated model",
    )
    how.add_argument(
        "--base-steps",
        dest="steps",
        type=int,
        metavar="N",
        help="number of steps of the unaccelerated model",
    )
    how.add_argument("--scheduler", action=FormerFlag, now="--base-scheduler")
    how.add_argument("--steps", action=FormerFlag, now="--base-steps", type=int)
    how.add_argument("--guidance", type=float, help="guidance scale")
    how.add_argument("--size", type=int, help="side of the images in pixels")
    how.add_argument("--dtype", choices=PRECISIONS, help="precision of the model")
    how.add_argument(
        "--device", help="device, such as cpu or cuda:0 (default: a GPU, if there is one)"
    )
    how.add_argument("--batch", type=int, help="images per batch")
    how.add_argument("--download", action="store_true", help="fetch missing weights")
    task_flags.add(made.add_argument_group("task"))
    model_flags.add(made)
    speed = made.add_argument_group("speed")
    speed.add_argument(
        "--repeats",
        type=int,
        default=7,
        help="number of timed turns; 0 leaves speed out (default: 7)",
    )
    speed.add_argument(
        "--throughput",
        type=int,
        metavar="BATCH",
        help="also measure throughput, with this batch size",
    )
    speed.add_argument("--calls", action="store_true", help="also show each kind of call")
    speed.add_argument(
        "--random-weights",
        action="store_true",
        help="build the model from its configs alone; speed is measured, quality is not",
    )


def add_output(made: CommandParser) -> None:
    """Add the flags of result files."""
    run = made.add_argument_group("results")
    made.add_result_flags(
        "the whole comparison", "one row for each strategy", group=run, spaced=True
    )
    run.add_argument(
        "--out",
        type=Path,
        help=f"keep the images in this folder (default: a cache under ${VARIABLE}, deleted when "
        "all is scored, so that an interrupted run can resume)",
    )
