"""Flags and set-up that `python -m evaluate` and its `transfer` share."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch

from accel.commands import model_flags
from accel.models import few_steps
from accel.models.config import PRECISIONS, SOURCE_HELP, ModelConfig, model_help
from accel.models.loading import quiet
from accel.models.resolve import resolve_model
from accel.pipelines.devices import device_of
from evaluate.commands import flag_checks, task_flags
from evaluate.comparison import ComparisonJob, ComparisonRequest
from evaluate.evaluator import Evaluator
from evaluate.images import input_images
from evaluate.images.image_store import ImageStore, model_fingerprint
from evaluate.metrics import GROUPS, METRICS
from evaluate.networks import Networks
from evaluate.networks.weight_files import VARIABLE, cache_folder
from evaluate.verdicts import margins_of, parse_margin
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


def prepare(flags: argparse.Namespace) -> ComparisonJob:
    """Load the model, and check that everything the flags ask for is there.

    Raises:
        StrategyError: something is missing, or flags do not fit together.
        ScoreError: weights of a metric are missing.
    """
    images = 0 if flags.random_weights else flags.images
    flag_checks.check_flags(flags, images)
    quiet()
    torch.set_num_threads(1)
    changes = {
        "scheduler": flags.scheduler,
        "steps": flags.steps,
        "guidance": flags.guidance,
        "height": flags.size,
        "width": flags.size,
        "dtype": flags.dtype,
        "batch": flags.batch,
        "heldout_prompts": flags.prompts,
        **task_flags.task_settings(flags),
        **model_flags.asked_parts(flags),
    }
    few = few_steps.few_step_settings(flags.few_steps) if flags.few_steps else {}
    changes = few | {key: value for key, value in changes.items() if value is not None}
    pipe, config = resolve_model(
        flags.model, flags.device, flags.download, flags.random_weights, changes, flags.source
    )
    metrics, without = flag_checks.metrics(flags, config.is_bundled, len(config.places) > 1)
    reference = flags.reference or (None if config.is_bundled else "self")
    margins = dict(map(parse_margin, flags.margin))
    view = "self" if reference == "self" else "real"
    keys = [m.key(one) for m in metrics for one in m.views if one in (view, "base", "alone")]
    margins_of(metrics, keys, margins)  # Wrong ones are reported before hours of generation.
    networks = Networks(str(device_of(pipe)), flags.download)
    if images:
        for metric in metrics:  # Missing weights are reported before hours of generation.
            if metric.network is not None:
                networks.load(metric.network)
    request = ComparisonRequest(
        images,
        metrics,
        reference,
        flags.reference_images,
        flags.reference_per_class,
        flags.repeats,
        flags.throughput,
        margins,
    )
    evaluator = Evaluator(config, str(device_of(pipe)), pipe, networks)
    input_images.check_input_images(config, 0, images)
    lists = evaluator.prompts["heldout"]
    return ComparisonJob(evaluator, lists, metrics, without, request, _store(flags, config))


def delete_images(job: ComparisonJob, flags: argparse.Namespace) -> None:
    """Delete the images unless `--out` keeps them."""
    if flags.out is None and job.store.folder.is_dir():
        shutil.rmtree(job.store.folder)


def _store(flags: argparse.Namespace, config: ModelConfig) -> ImageStore:
    weights = config.source if flags.random_weights else model_fingerprint(config.source, config)
    if flags.out is not None:
        return ImageStore(flags.out, weights)
    job = repr([flags.model, flags.strategy, flags.images, flags.prompts, flags.reference, weights])
    key = hashlib.sha256(job.encode()).hexdigest()[:16]
    return ImageStore(cache_folder() / "unfinished" / key, weights)
