"""Initial strategies that are known beforehand: uniform grids, fewer steps, published schedules.

`grid`, `fewer-steps` and `preset` are also the baselines that the front is compared with.
`combined` puts the uniform schedules on top of fewer steps of a faster solver. `joint` goes from
the fastest strategy to a mild one with steps, cache and guidance together (`search.initial.joint`).
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import Any

from search.initial.joint import JOINT, joint_strategies
from search.initial.projection import nearest_strategy
from search.initial.uniform import (
    cached_depths,
    call_choices,
    deltacache_knobs,
    fora_knobs,
    uniform_depths,
)
from strategies import SearchSpace, Strategy, StrategyError, load, presets, registered_methods
from strategies.methods.guidance import Guidance

ORIGINS = ("fewer-steps", "grid", "preset", "combined", JOINT)


def known_strategies(
    space: SearchSpace, scheduler: str, steps: int, origins: Collection[str] = ORIGINS
) -> list[tuple[str, Strategy]]:
    """Initial strategies that lie in the space, with their origins, without duplicates.

    Args:
        space: space of the search.
        scheduler, steps: solver and steps of the unaccelerated pipeline, which the grid is laid on.
        origins: origins to include, of `ORIGINS`.
    """
    rows = [*_fewer_steps(space, scheduler, steps), *_grid(space, scheduler, steps)]
    rows += _presets(space, scheduler, steps)
    rows += [(JOINT, one) for one in joint_strategies(space, scheduler, steps)]
    rows += _combined(space, scheduler)
    if space.methods:
        rows += _of_methods(space, scheduler, steps)
    found: dict[str, tuple[str, Strategy]] = {}
    for origin, strategy in rows:
        if origin not in origins:
            continue
        try:
            space.encode(strategy)
        except StrategyError:
            continue  # Schedules whose depth or ratio this space does not have.
        found.setdefault(strategy.digest, (origin, strategy))
    return list(found.values())


def _fewer_steps(space: SearchSpace, scheduler: str, steps: int) -> Iterator[tuple[str, Strategy]]:
    """The model's own solver with every number of steps, the others on a coarse ladder; where a
    search may turn guidance, also without it and in the middle half of the calls alone.
    """
    modes = call_choices(space, "guidance", "mode")
    for solver in space.solvers:
        ladder = space.steps if solver == scheduler else space.steps[1::2]
        for count in ladder:
            if count >= steps:
                continue
            yield "fewer-steps", space.uniform(solver, count)
            calls = space.calls[solver, count]
            if "off" in modes and count in space.steps[1::2]:
                interval = Guidance.interval(calls, 0.25, 0.75)
                for mode in (("off",) * calls, interval.mode):
                    yield "fewer-steps", space.uniform(solver, count, guidance_mode=mode)


def _schedules(
    space: SearchSpace, solver: str, steps: int, intervals: tuple[int, ...]
) -> Iterator[Strategy]:
    depths = cached_depths(space)
    ratios = call_choices(space, "tome", "ratio") or [0.0]
    calls = space.calls[solver, steps]
    for cache in (fora_knobs, deltacache_knobs):
        for interval in intervals:
            if interval > 1 and (knobs_of_cache := cache(space, calls, interval)):
                yield space.uniform(solver, steps, **knobs_of_cache)
    for alpha in call_choices(space, "cat", "alpha")[1:]:
        yield space.uniform(solver, steps, cat_alpha=[alpha] * calls)
    for ratio in dict.fromkeys((ratios[0], ratios[-1])):
        for interval in intervals:
            for depth in depths[:1] if interval > 1 else [0]:
                knobs: dict[str, list[Any]] = {}
                if interval > 1:
                    knobs["deepcache_depth"] = uniform_depths(interval, calls, depth)
                if ratio:
                    knobs["tome_ratio"] = [ratio] * calls
                if knobs:
                    yield space.uniform(solver, steps, **knobs)


def _grid(space: SearchSpace, scheduler: str, steps: int) -> Iterator[tuple[str, Strategy]]:
    if (scheduler, steps) in space.calls:
        for strategy in _schedules(space, scheduler, steps, (1, 2, 3, 5, 10)):
            yield "grid", strategy


def _presets(space: SearchSpace, scheduler: str, steps: int) -> Iterator[tuple[str, Strategy]]:
    """Published strategies made for this solver and number of steps, as near as the space comes; in
    a composed space also those made for others, resampled.
    """
    calls = space.calls.get((scheduler, steps))
    for one in _published():
        made_for = (one.family, one.solver_text, one.steps, one.calls)
        if space.methods and calls is not None and one.family == space.family:
            one = one.resample(calls=calls, steps=steps, scheduler=scheduler)
        elif made_for != (space.family, scheduler, steps, calls):
            continue
        found = nearest_strategy(space, one)
        if set(found.methods) == set(one.methods):
            yield "preset", found


@functools.cache
def _published() -> tuple[Strategy, ...]:
    return tuple(map(load, presets()))


def _of_methods(space: SearchSpace, scheduler: str, steps: int) -> Iterator[tuple[str, Strategy]]:
    """Initial strategies of the methods of a composed space.

    They use the solver and steps of the unaccelerated pipeline, as in the papers, and fewer steps
    of every solver.
    """
    middle = [count for count in space.steps if 8 <= count <= 15 and count < steps]
    pairs = [("combined", solver, count) for solver in space.solvers for count in middle[::2]]
    if (scheduler, steps) in space.calls:
        pairs.insert(0, ("preset", scheduler, steps))
    for origin, solver, count in pairs:
        calls = space.calls[solver, count]
        for method in space.methods:
            starts = registered_methods()[method].starts(calls)
            for knobs in starts if origin == "preset" else starts[-1:]:
                one = Strategy.create(
                    family=space.family, scheduler=solver, steps=count, calls=calls,
                    methods={method: knobs},
                )  # fmt: skip
                found = nearest_strategy(space, one)
                if set(found.methods) == {method}:
                    yield origin, found


def _combined(space: SearchSpace, scheduler: str) -> Iterator[tuple[str, Strategy]]:
    middle = [count for count in space.steps if 6 <= count <= 15]
    for solver in space.solvers:
        for count in middle[::2]:
            for strategy in _schedules(
                space, solver, count, (2, 3) if solver == scheduler else (2,)
            ):
                if "tome" not in strategy.methods:
                    yield "combined", strategy
