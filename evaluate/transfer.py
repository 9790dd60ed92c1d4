"""Comparison of strategies on another model, solver or size than they were made for.

Each strategy is moved (`strategies.transfer`) and compared with the unaccelerated target and with
an equal-cost baseline: fewer steps of the same solver that take as long, or with `macs` do as much
work, which does not depend on other load. Its *loss* is the difference of its scores to the
unaccelerated target's. Its *gain* is the difference to the equal-cost baseline's, positive if
better, with a paired 95 % interval. A gain below zero says that fewer steps are the better
strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import accel
from accel import families
from evaluate.comparison import BASELINE, ComparisonJob, compare
from evaluate.evaluator import Evaluator
from evaluate.images.generation import run_pipeline
from evaluate.images.image_store import Report
from evaluate.speed.call_profile import call_macs
from evaluate.speed.latency_measurement import measure_end_to_end, unaccelerated_strategy
from strategies import Strategy
from strategies.transfer import Target

TURNS = 3  # Turns of the times that choose the baselines; reported times are measured again.


@dataclass(frozen=True)
class TransferredStrategy:
    """A strategy that was transferred.

    Attributes:
        name: name in the table.
        source: strategy for its own model.
        strategy: strategy for the target.
        notes: changes that were made, and parts that were left out.
    """

    name: str
    source: Strategy
    strategy: Strategy
    notes: list[str]


def measure_transfer(
    job: ComparisonJob, moved: Sequence[TransferredStrategy], report: Report, equal: str = "latency"
) -> dict[str, Any]:
    """Compare strategies with the job's unaccelerated model and with equal-cost baselines.

    Args:
        job: the target and the settings of the comparison.
        moved: strategies that fit it.
        report: callback for progress.
        equal: cost that the baselines share: `latency`, or `macs`, the denoiser's
            multiply-accumulates.

    Returns:
        The result of `compare`, strategies first, then baselines. A strategy's row has its `notes`
        and its `source`: solver, steps, and the scores in its file.

    Raises:
        StrategyError: a strategy does not fit the target.
    """
    pipe, config = job.evaluator.pipe, job.evaluator.config
    report(f"measuring {equal} to choose baselines", 0, 0)
    steps = _equal_steps(job, [one.strategy for one in moved], equal)
    names = {n: f"{n} step{'s' * (n > 1)}" if n != config.steps else BASELINE for n in steps}
    against = {one.name: names[n] for one, n in zip(moved, steps, strict=True)}
    everyone = [(one.name, one.strategy) for one in moved]
    everyone += [
        (name, unaccelerated_strategy(pipe, config.scheduler, n))
        for n, name in sorted(names.items())
        if name != BASELINE
    ]
    found = compare(job.evaluator, everyone, job.prompts, job.request, job.store, report, against)
    for row, one in zip(found["rows"][1:], moved, strict=False):
        row |= {"notes": one.notes, "source": _source(one.source)}
    return found


def target_of(evaluator: Evaluator) -> Target:
    """The unaccelerated model of an evaluator as a target of transfers."""
    family, sites = families.find_sites(evaluator.pipe)
    base = evaluator.unaccelerated
    levels = sites.skip_levels if family == "unet" else None
    return Target(evaluator.config.name, family, base.scheduler, base.steps, base.calls, levels)


def _source(strategy: Strategy) -> dict[str, Any]:
    """Contents of a strategy's file on its own model."""
    return {
        "digest": strategy.digest,
        "model": strategy.provenance.get("model"),
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "scores": strategy.scores,
    }


def _equal_steps(job: ComparisonJob, moved: Sequence[Strategy], equal: str) -> list[int]:
    """Number of steps with the nearest cost, for each strategy.

    It is read from a straight line through the costs of all steps and a quarter of them.
    """
    config = job.evaluator.config
    many, few = config.steps, max(1, config.steps // 4)
    plain = [unaccelerated_strategy(job.evaluator.pipe, config.scheduler, n) for n in (many, few)]
    take = _seconds if equal == "latency" else _work
    long, short, *mine = take(job, [*plain, *moved])
    each = (long - short) / (many - few) if many > few else long
    return [max(1, min(many, round(many - (long - one) / each))) for one in mine]


def _seconds(job: ComparisonJob, strategies: Sequence[Strategy]) -> list[float]:
    """Shortest seconds of one image over some turns; other load only adds to them."""
    times = measure_end_to_end(
        job.evaluator.pipe, job.evaluator.config, job.prompts, strategies, TURNS
    )
    return [min(turns) for turns in times]


def _work(job: ComparisonJob, strategies: Sequence[Strategy]) -> list[float]:
    """Multiply-accumulates of the denoiser for one image of each strategy."""
    pipe, config, prompts = job.evaluator.pipe, job.evaluator.config, job.prompts.first(1)
    found = []
    for one in strategies:
        with accel.accelerated(pipe, one, set_scheduler=True):
            work = call_macs(pipe, partial(run_pipeline, pipe, config, one, prompts))
        found.append(float(sum(work.values())))
    return found
