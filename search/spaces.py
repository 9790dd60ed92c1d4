"""The space that a search walks, from the settings in `configs/spaces/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accel import schedulers
from strategies import Gene, SearchSpace, StrategyError


def make_space(settings: dict[str, Any], family: str, scheduler: Any) -> SearchSpace:
    """The space of a config, for a family and a scheduler's noise schedule.

    Args:
        scheduler: of the pipeline; tells how many calls each solver makes.

    Raises:
        StrategyError: a missing or wrong entry.
    """
    try:
        solvers, steps, knobs = settings["schedulers"], settings["steps"], settings["knobs"]
    except KeyError as error:
        raise StrategyError(
            f"the space lacks {error}; it needs schedulers, steps and knobs"
        ) from None
    unknown = sorted(set(settings) - {"schedulers", "steps", "knobs", "fixed"})
    if unknown:
        raise StrategyError(f"the space has an unknown entry {unknown[0]!r}")
    lists = [solvers, steps, *(knobs.values() if isinstance(knobs, dict) else [None])]
    if not all(isinstance(entry, list) and entry for entry in lists):
        raise StrategyError(
            "the space's schedulers, steps and each knob's choices must be lists that are not "
            "empty, and knobs a mapping such as {deepcache.depth: [full, 0, 1]}"
        )
    if any(not isinstance(n, int) or n < 1 for n in steps):
        raise StrategyError(f"the space's steps must be whole numbers from 1, not {steps}")
    calls = {(s, n): schedulers.count_calls(scheduler, s, n) for s in solvers for n in steps}
    return with_calls(settings, family, calls)


def with_calls(
    settings: Mapping[str, Any], family: str, calls: Mapping[tuple[str, int], int]
) -> SearchSpace:
    """The space of a config of the right form; `calls` are of each solver and number of steps."""
    genes = []
    for name, choices in settings["knobs"].items():
        method, _, knob = name.partition(".")
        genes.append(Gene(method, knob, tuple(choices)))
    solvers, steps = settings["schedulers"], sorted(settings["steps"])
    return SearchSpace(family, solvers, steps, calls, genes, settings.get("fixed"))
