"""Checks of the flags of `python -m evaluate` before a model is loaded."""

from __future__ import annotations

import argparse

from accel.models import checks
from accel.models.config import is_config
from accel.models.resolve import find_config
from evaluate.commands.early_checks import metric_names
from evaluate.images import references
from evaluate.metrics import Metric, default_metrics, select_metrics
from evaluate.networks import require_networks
from strategies import StrategyError


def check_flags(flags: argparse.Namespace, images: int) -> None:
    """Check that flags fit together, and that their weights and their reference exist.

    Args:
        flags: parsed flags of `python -m evaluate`.
        images: number of images of each strategy; 0 leaves quality out.

    Raises:
        StrategyError: something is wrong or missing; names all missing weights at once.
    """
    if flags.random_weights and (flags.metrics or flags.reference):
        raise StrategyError(
            "--random-weights generates noise, which has no quality: leave out --metrics and "
            "--reference, or give the model's weights"
        )
    if images in (1,) or images < 0 or flags.repeats < 0 or not images + flags.repeats:
        raise StrategyError(
            f"{images} images and {flags.repeats} repeats asked for; quality needs at least 2 "
            "images (0 leaves it out), speed at least 1 repeat (0 leaves it out)"
        )
    for name in ("reference_images", "reference_per_class", "throughput"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise StrategyError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if images and flags.reference not in (None, "self"):
        references.check_reference(flags.reference, flags.reference_per_class)
    if not flags.random_weights:
        _check_weights(flags)


def _check_weights(flags: argparse.Namespace) -> None:
    known = is_config(flags.model)
    if flags.source is not None and not known:
        return  # `resolve_model` has the error for this.
    config = find_config(flags.model, flags.source)
    subject = None if config is None else config.subject
    names = [one.network for one in metrics(flags, subject)[0] if one.network]
    checks.together(
        lambda: checks.model(flags.model, flags.source, flags.download),
        lambda: require_networks(names, flags.download),
    )


def metrics(
    flags: argparse.Namespace, subject: str | None, video: bool = False
) -> tuple[list[Metric], dict[str, str]]:
    """Metrics that the flags ask for, and the reasons why others are left out.

    The default is all metrics whose weights are on disk.
    """
    if flags.metrics is None:
        return default_metrics(subject, video)
    return select_metrics(metric_names(flags), subject), {}
