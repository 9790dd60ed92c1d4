"""Set-up that `python -m evaluate` and its `transfer` share, and its end."""

from __future__ import annotations

import argparse
import hashlib
import shutil

import torch

from accel.commands import model_flags
from accel.models import few_steps
from accel.models.config import ModelConfig
from accel.models.loading import quiet
from accel.models.resolve import resolve_model
from accel.pipelines.devices import device_of
from evaluate.commands import flag_checks, task_flags
from evaluate.comparison import ComparisonJob, ComparisonRequest
from evaluate.evaluator import Evaluator
from evaluate.images import input_images
from evaluate.images.image_store import ImageStore, model_fingerprint
from evaluate.networks import Networks
from evaluate.networks.weight_files import cache_folder
from evaluate.verdicts import margins_of, parse_margin


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
    metrics, without = flag_checks.metrics(flags, config.subject, len(config.places) > 1)
    reference = flags.reference or (None if config.is_bundled else "self")
    margins = dict(map(parse_margin, flags.margin))
    view = "self" if reference == "self" else "real"
    keys = [m.key(one) for m in metrics for one in m.views if one in (view, "base", "alone")]
    margins_of(metrics, keys, margins)  # Wrong ones are reported before hours of generation.
    networks = Networks(str(device_of(pipe)), flags.download, subject=config.subject or "shapes")
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
