"""Checks of a model before the first image: its weights, the steps and pixels of its settings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from accel import families
from accel.models import calls
from accel.models.config import TEXT, ModelConfig, available, from_source, read_model
from accel.models.loading import require_weights
from accel.models.tasks import skipped
from accel.solvers import schedulers
from strategies import StrategyError
from strategies.words import one_line


def check_setting(pipe: Any, config: ModelConfig) -> None:
    """Check that a pipeline can generate with the steps and the size of its config.

    Raises:
        StrategyError: it cannot.
    """
    schedulers.check_steps(pipe.scheduler, config.steps)
    if config.frames and "num_frames" not in calls.takes(pipe):
        raise StrategyError(
            f"{type(pipe).__name__} generates images, not videos of {config.frames} frames; leave "
            "--frames out"
        )
    if config.task != TEXT:
        strength(pipe, config, config.steps)
    check = getattr(pipe, "check_inputs", None)
    if check is None:
        return
    known = {
        "prompt": "",
        "height": config.height,
        "width": config.width,
        "strength": config.strength,
        "num_inference_steps": config.steps,
        "callback_steps": 1,
    }
    takes = inspect.signature(check).parameters
    needed = [name for name, one in takes.items() if name in known or one.default is one.empty]
    try:
        check(**{name: known.get(name) for name in needed})
    except (TypeError, AttributeError):
        return  # It looks at more than is known here; the first image will tell.
    except ValueError as error:
        raise StrategyError(
            f"{type(pipe).__name__} cannot generate {config.width} x {config.height} pixels: "
            f"{one_line(error)}; give another --size"
        ) from None


def strength(pipe: Any, config: ModelConfig, steps: int) -> None:
    """Check that a run from an image makes at least one call.

    Raises:
        StrategyError: the number of steps at this strength makes none.
    """
    family, _ = families.find_sites(pipe)
    if skipped(family, config.scheduler, steps, config.strength) >= steps:
        raise StrategyError(
            f"--strength {config.strength:g} leaves no call of {steps} steps; give at least "
            f"{math.ceil(1e4 / steps) / 1e4:g}, or more steps"
        )


def model(name: str, source: str | None, download: bool) -> None:
    """Check that a model's weights are on this machine, or may be fetched.

    Args:
        name: name of a config, a folder or a hub id.
        source: folder with a local copy of the model that `name` is the config of.
        download: whether missing weights may be fetched from the hub.

    Raises:
        StrategyError: they are not on this machine.
    """
    known = name in available() or name.endswith((".yaml", ".yml"))
    config = from_source(read_model(name), source) if known else None
    require_weights(name, name if config is None else config.source, download, config)


def together(*checks: Callable[[], None]) -> None:
    """Run several checks and report all failures at once.

    Raises:
        StrategyError: any of them failed.
    """
    told = []
    for check in checks:
        try:
            check()
        except StrategyError as error:
            told.append(str(error))
    if told:
        raise StrategyError("; also, ".join(told))
