"""Checks of strategies and references before the first image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import accel
from accel.solvers import schedulers
from evaluate.image_set import ImageSet
from evaluate.metrics import Metric
from strategies import Strategy, StrategyError


def check_applicable(pipe: Any, strategies: Iterable[tuple[str, Strategy]]) -> None:
    """Check that every strategy can be applied to a pipeline, by applying and removing it.

    Raises:
        StrategyError: one cannot; names it.
    """
    for name, one in strategies:
        try:
            with accel.accelerated(pipe, one, set_scheduler=True):
                calls = schedulers.count_calls(pipe.scheduler, one.solver_text, one.steps)
            if calls != one.calls:
                raise StrategyError(
                    f"{one.steps} steps of {one.solver_text} here, so this run makes {calls} calls "
                    f"of the denoiser, but the strategy is for {one.calls}; give "
                    f"strategy.resample(calls={calls})"
                )
        except StrategyError as error:
            raise StrategyError(f"{name}: {error}") from None


def readable(reference: ImageSet, metrics: Iterable[Metric]) -> None:
    """Read everything of a reference that metrics compare with; the side keeps the result.

    Raises:
        ScoreError: it lacks something that a metric reads.
        StrategyError: a file of it cannot be read.
    """
    for metric in metrics:
        if "real" in metric.views and metric.network is not None:
            (reference.statistics if metric.gaussian else reference.features)(metric.network)
