"""Strategies of earlier studies and of files as seeds: the nearest that a space has to each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search import runs
from search.standing import Best
from strategies import SearchSpace, Strategy, StrategyError, load
from strategies.knobs import known
from strategies.space import Gene

ORIGIN = "warm-start"


def read(sources: Iterable[str], family: str) -> list[Strategy]:
    """Strategies of run folders (their exported ones, and the search's own front) and of files.

    Args:
        sources: folders, strategy files or preset names.
        family: of the model that is searched.

    Raises:
        StrategyError: nothing there, or strategies for another family; names it.
    """
    found: dict[str, Strategy] = {}
    for source in sources:
        rows = _read_run(Path(source)) if Path(source).is_dir() else [load(source)]
        for strategy in rows:
            if strategy.family != family:
                raise StrategyError(
                    f"--warm-start {source}: strategies for family {strategy.family!r}; this "
                    f"model's is {family!r}"
                )
            found.setdefault(strategy.digest, strategy)
    return list(found.values())


def _read_run(folder: Path) -> list[Strategy]:
    files = sorted((folder / "strategies").glob("*.json"))
    is_run = (folder / "config.yaml").exists()
    if not files and not is_run:
        raise StrategyError(
            f"--warm-start {folder}: neither a run's folder nor one with "
            "strategies/*.json; give a run's folder or strategy files"
        )
    rows = [load(file) for file in files]
    if is_run:
        rows += [row.strategy for row in Best().read(runs.read(folder).study.evaluations).front]
    return rows


def nearest(space: SearchSpace, strategy: Strategy) -> Strategy:
    """The strategy of the space that does most nearly the same.

    Its solver where the space has it, else the space's first; the nearest number of steps by their
    ratio; resampled by normalised time where calls differ; of every knob the nearest choice.
    Methods that the space does not search are left out.
    """
    solver = strategy.scheduler if strategy.scheduler in space.solvers else space.solvers[0]
    steps = min(space.steps, key=lambda n: (abs(np.log(n / strategy.steps)), n))
    calls = space.calls[solver, steps]
    if calls != strategy.calls:
        strategy = strategy.resample(calls=calls, steps=steps)
    head = [space.solvers.index(solver), space.steps.index(steps)]
    head += [_whole(space, gene, strategy) for gene in space.whole]
    rows = [[_per_call(gene, strategy, call) for gene in space.genes] for call in range(calls)]
    return space.decode((*head, *spread(space, rows)))


def spread(space: SearchSpace, rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The per-call genes of a genome from one row of choices for each call."""
    calls = len(rows)
    slots = [rows[min(calls - 1, slot * calls // space.slots)] for slot in range(space.slots)]
    for call in range(calls):
        slots[space.slot(call, calls)] = rows[call]
    return tuple(value for row in slots for value in row)


def _whole(space: SearchSpace, gene: Gene, strategy: Strategy) -> int:
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        return 0
    given = getattr(knobs, gene.knob)
    choices = [space.value(gene, choice, strategy.calls) for choice in gene.choices]
    return _nearest(choices, given, None)


def _per_call(gene: Gene, strategy: Strategy, call: int) -> int:
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        return 0
    neutral = known()[gene.method].neutral.get(gene.knob)
    return _nearest(gene.choices, getattr(knobs, gene.knob)[call], neutral)


def _nearest(choices: Sequence[Any], given: Any, neutral: Any) -> int:
    """The index of the nearest choice, of equally near ones the first.

    Numbers are near by their difference, lists by the entries that differ, a single value being a
    list of itself. The neutral value is only ever itself: a cached call does not become a full one.
    """
    if given in choices:
        return choices.index(given)
    distances = [_distance(choice, given, neutral) for choice in choices]
    return int(np.argmin(distances))


def _distance(choice: Any, given: Any, neutral: Any) -> float:
    if isinstance(choice, list | tuple) or isinstance(given, list | tuple):
        size = max(len(x) for x in (choice, given) if isinstance(x, list | tuple))
        ours, theirs = (
            list(x) if isinstance(x, list | tuple) else [x] * size for x in (choice, given)
        )
        if len(ours) != len(theirs):
            return float("inf")
        return float(sum(a != b for a, b in zip(ours, theirs, strict=True))) / size
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (choice, given)]
    if all(numbers):
        # Acting a little is nearer to acting strongly than not to act at all.
        return float(abs(choice - given)) + (1e6 if choice == neutral else 0.0)
    return float("inf") if choice != given else 0.0
