"""Checks of flags before torch and diffusers are imported, which takes seconds."""

from __future__ import annotations

import argparse

from accel.models.config import is_config
from evaluate.metrics import known_metrics
from evaluate.verdicts import parse_margin
from strategies import StrategyError
from strategies.files import find_strategy, load


def check_score_flags(flags: argparse.Namespace, moves: bool) -> None:
    """Check that every strategy, model and metric that the flags name exists.

    Args:
        flags: parsed flags of `python -m evaluate`, or of its `transfer`.
        moves: whether they are those of `transfer`.

    Raises:
        StrategyError: one does not, or a margin or a number is wrong.
    """
    for name in flags.strategy:
        (load if moves else find_strategy)(name)
    is_config(flags.model)
    for name in metric_names(flags):
        known_metrics(name)
    for text in flags.margin:
        parse_margin(text)
    if not moves:
        return
    if flags.skip_levels is not None and flags.skip_levels < 1:
        raise StrategyError(f"--skip-levels must be at least 1, not {flags.skip_levels}")
    if not flags.repeats:
        raise StrategyError(
            "--repeats 0 measures no speed, by which equal-cost baselines are "
            "chosen; give at least 1"
        )


def metric_names(flags: argparse.Namespace) -> list[str]:
    """Names of metrics that the flags ask for; none for the default ones."""
    return [name.strip() for name in (flags.metrics or "").split(",") if name.strip()]
