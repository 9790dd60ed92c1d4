"""Checks of flags before torch and diffusers are imported, which takes seconds."""

from __future__ import annotations

import argparse
from math import isfinite

from accel.commands import image_files
from accel.models.config import is_config
from strategies import StrategyError
from strategies.data_files import whole
from strategies.files import find_strategy


def check_generate(flags: argparse.Namespace) -> None:
    """Check the flags of `python -m accel generate` that need no pipeline.

    Raises:
        StrategyError: there is no such strategy or model, or the image cannot be written.
    """
    if flags.repeat is not None and not flags.compare:
        raise StrategyError("--repeats is for timings; give --compare too")
    image_files.check_target(flags.out)
    find_strategy(flags.strategy)
    is_config(flags.model)


def check_calibrate(flags: argparse.Namespace) -> None:
    """Check the flags of `python -m accel calibrate` that need no pipeline.

    Raises:
        StrategyError: a number is wrong, there is no such model, or the file cannot be written.
    """
    if flags.steps is not None and flags.steps < 1:
        raise StrategyError(f"--steps is {flags.steps}; give at least 1")
    if not (isfinite(flags.delta) and flags.delta >= 0):
        raise StrategyError(f"--delta is {flags.delta:g}; give a number from 0 up, such as 0.2")
    whole.make_folder(flags.out.parent)
    whole.check_writable(flags.out)
    is_config(flags.model)
