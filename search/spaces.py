"""The space that a search walks, from the settings in `configs/spaces/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accel.models import tasks
from strategies import SearchSpace, StrategyError
from strategies.genomes import compose


def make_space(
    settings: Mapping[str, Any], family: str, scheduler: Any, share: float = 1.0
) -> SearchSpace:
    """Space of a config, for a family and a scheduler's noise schedule.

    Args:
        settings: the config of the space.
        family: family of the model.
        scheduler: scheduler of the pipeline; it decides how many calls each solver makes.
        share: share of the calls that a run makes; see `ModelConfig.share`.

    Raises:
        StrategyError: an entry is missing or wrong, or a number of steps makes no call.
    """
    from accel.solvers import schedulers  # Loads torch; `with_calls` does without.

    settings = compose.resolved(settings, family)
    for entry in ("schedulers", "steps", "knobs"):
        if entry not in settings:
            raise StrategyError(
                f"the space lacks {entry!r}; it needs schedulers, steps and knobs or methods"
            )
    solvers, steps = settings["schedulers"], settings["steps"]
    if not all(isinstance(entry, list) and entry for entry in (solvers, steps)):
        raise StrategyError("the space's schedulers and steps must be lists that are not empty")
    if any(not isinstance(n, int) or n < 1 for n in steps):
        raise StrategyError(f"the space's steps must be whole numbers from 1, not {steps}")
    compose.genes(settings)  # Before anything is counted.
    counts = {name: schedulers.count_each(scheduler, name, steps) for name in solvers}
    calls = {(name, n): count for name in solvers for n, count in counts[name].items()}
    skipped = {pair: tasks.skipped(family, *pair, share) for pair in calls}
    for (solver, count), left_out in skipped.items():
        if left_out >= calls[solver, count]:
            enough = [n for n in steps if skipped[solver, n] < calls[solver, n]]
            raise StrategyError(
                f"strength {share:g} leaves no call of {count} steps; give a higher --strength, or "
                f"--steps {','.join(map(str, enough)) or 'that are more'}"
            )
    return with_calls(settings, family, calls, skipped)


def with_calls(
    settings: Mapping[str, Any],
    family: str,
    calls: Mapping[tuple[str, int], int],
    skipped: Mapping[tuple[str, int], int] | None = None,
) -> SearchSpace:
    """Space of a config of the right form.

    Args:
        settings: the config of the space.
        family: family of the model.
        calls: number of calls of each solver and number of steps.
        skipped: number of these at the start that a run does not make, if it leaves out any.
    """
    settings = compose.resolved(settings, family)
    solvers, steps = settings["schedulers"], sorted(settings["steps"])
    methods = settings.get("composed", ())
    genes = compose.genes(settings)
    return SearchSpace(
        family, solvers, steps, calls, genes, settings.get("fixed"), methods, skipped
    )
