"""Schedules from measured sensitivity: stretches of calls to measure, and the schedules they give.

In a stretch of calls all calls reuse what the call before it has computed; all other calls are
computed. The change of the images is measured at one solver and number of steps
(`search.engine.sensitivity`). The schedules are then carried to the other step counts by normalised
time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from search.initial.projection import assemble, nearest_strategy
from search.initial.shortest_path import Path, minimax, smallest_sum
from strategies import SearchSpace, Strategy
from strategies.genomes.space import Gene, Shared
from strategies.knobs import registered_methods

ORIGIN = "sensitivity"
STEPS = 12  # Measured at the space's nearest; schedules scale with time.
LONGEST = 4  # Calls from one computed call to the next, at most.
KINDS = ("minimax", "sum")  # Kinds of paths; see `search.initial.shortest_path`.
Action = tuple[int, ...]
Change = Callable[[str], float | None]  # None if it was not measured, or failed.


def actions(space: SearchSpace) -> list[Action]:
    """Actions of a call that is not computed: rows of choices of the per-call genes.

    Every method that reuses has one action. It sets each knob of the method to the cheapest real
    choice: the shallowest depth that still runs something, and off for switches. If the space has
    orders of extrapolation, there is a second action with the first order.
    """
    found: list[Action] = []
    plain = [gene for gene in space.call_genes if isinstance(gene, Gene)]
    for method in dict.fromkeys(gene.method for gene in plain):
        kind = registered_methods()[method]
        if kind.reduces_tokens or kind.runs_token_subset:
            continue
        for order in (0, 1):
            row = [_choice(space, index, method, order) for index in range(space.genes_per_slot)]
            if None not in row and any(row) and tuple(row) not in found:
                found.append(tuple(int(value or 0) for value in row))
    return found


def _choice(space: SearchSpace, index: int, method: str, order: int) -> int | None:
    gene = space.call_genes[index]
    if isinstance(gene, Shared) or gene.method != method:
        return 0
    if gene.knob == "order":
        return gene.choices.index(order) if order in gene.choices else None
    shallow = [c for c in gene.choices if isinstance(c, int) and not isinstance(c, bool) and c > 0]
    if shallow:
        return gene.choices.index(min(shallow))
    return gene.choices.index(False) if False in gene.choices else 0


class SensitivitySchedules:
    """Strategies that are measured, and schedules that follow from their changes of the images.

    Args:
        space: strategies that may be proposed.
        solver: solver of the unaccelerated pipeline, measured if the space has it.
    """

    def __init__(self, space: SearchSpace, solver: str) -> None:
        self.space = space
        self.solver = solver if solver in self.space.solvers else self.space.solvers[0]
        self.steps = min(self.space.steps, key=lambda n: (abs(n - STEPS), n))
        self.calls = self.space.calls[self.solver, self.steps]

    def strategy(self, action: Action, computed: Path) -> Strategy:
        """Strategy that computes the given calls; the others do `action`."""
        neutral = (0,) * self.space.genes_per_slot
        rows = [neutral if call in computed else action for call in range(self.calls)]
        head = [self.space.solvers.index(self.solver), self.space.steps.index(self.steps)]
        whole = [0] * len(self.space.global_genes)
        return self.space.decode((*head, *whole, *assemble(self.space, rows)))

    def asked(self) -> list[Strategy]:
        """All strategies to measure, each once; the first one reuses nothing."""
        found: dict[str, Strategy] = {}
        rows = [self.strategy((0,) * self.space.genes_per_slot, tuple(range(self.calls)))]
        for action in actions(self.space):
            rows += [self.strategy(action, self._without(*one)) for one in self._stretches(action)]
        for strategy in rows:
            found.setdefault(strategy.digest, strategy)
        return list(found.values())

    def _stretches(self, action: Action) -> Iterator[tuple[tuple[int, int], ...]]:
        """Stretches that are reused together: one, or with extrapolation also the one before it."""
        for i in range(self.calls - 1):
            for j in range(i + 2, min(i + LONGEST, self.calls) + 1):
                yield ((i, j),)
                if self._extrapolates(action):
                    for before in range(max(0, i - LONGEST), i - 1):
                        yield (before, i), (i, j)

    def _extrapolates(self, action: Action) -> bool:
        pairs = zip(self.space.call_genes, action, strict=True)
        return any(
            isinstance(gene, Gene) and gene.knob == "order" and gene.choices[value]
            for gene, value in pairs
        )

    def _without(self, *stretches: tuple[int, int]) -> Path:
        reused = {call for i, j in stretches for call in range(i + 1, j)}
        return tuple(call for call in range(self.calls) if call not in reused)

    def error(self, change: Change, action: Action, *stretches: tuple[int, int]) -> float | None:
        """Measured change of the images; None if it was not measured or failed."""
        return change(self.strategy(action, self._without(*stretches)).digest)

    def schedules(self, change: Change, kinds: Collection[str] = KINDS) -> Iterator[Strategy]:
        """Paths of these kinds, one for every action and number of computed calls.

        Args:
            change: measured change of the images of a strategy, by its digest.
            kinds: kinds of paths, as in `KINDS`.
        """
        for action in actions(self.space):
            errors = {(i, i + 1): 0.0 for i in range(self.calls)}
            pairs: dict[tuple[int, int, int], float] = {}
            for stretches in self._stretches(action):
                found = self.error(change, action, *stretches)
                if found is None:
                    continue
                if len(stretches) == 1:
                    errors[stretches[0]] = found
                else:
                    (before, i), (_, j) = stretches
                    pairs[before, i, j] = found
            for computed in range(1, self.calls):
                paths = {
                    "minimax": minimax(errors, self.calls, computed),
                    "sum": smallest_sum(_joint(errors, pairs), self.calls, computed),
                }
                for kind, path in paths.items():
                    if path is not None and kind in kinds:
                        yield self.strategy(action, path)

    def initial_strategies(
        self,
        change: Change,
        latency: Callable[[Strategy], float],
        count: int,
        kinds: Collection[str] = KINDS,
    ) -> list[tuple[str, Strategy]]:
        """The schedules, at the measured number of steps and every other, each once.

        Args:
            change: measured change of the images of a strategy, by its digest.
            latency: seconds of a strategy.
            count: number of schedules, at most; they are spread over all latencies.
            kinds: kinds of paths, of `KINDS`.
        """
        found: dict[str, Strategy] = {}
        measured = list(self.schedules(change, kinds))
        for one in measured:
            found.setdefault(one.digest, one)
        for steps in self.space.steps:
            calls = self.space.calls[self.solver, steps]
            if steps != self.steps and 2 * steps > self.steps:
                for one in measured[:: max(1, len(measured) // 6)]:
                    other = nearest_strategy(self.space, one.resample(calls=calls, steps=steps))
                    found.setdefault(other.digest, other)
        return [(ORIGIN, one) for one in _fair(list(found.values()), latency, count)]


def _fair(rows: list[Strategy], latency: Callable[[Strategy], float], count: int) -> list[Strategy]:
    """Up to `count` strategies, evenly spread over latency, fastest first."""
    rows = sorted(rows, key=lambda one: (latency(one), one.digest))
    room = min(count, len(rows))
    chosen = {round(k * (len(rows) - 1) / max(1, room - 1)) for k in range(room)}
    return [rows[index] for index in sorted(chosen)]


def _joint(errors: dict[tuple[int, int], float], pairs: dict[tuple[int, int, int], float]) -> Any:
    """Error of a stretch after the stretch before it, as a function for `smallest_sum`."""

    def cost(before: int | None, i: int, j: int) -> float | None:
        alone = errors.get((i, j))
        if before is None or alone is None or (before, i, j) not in pairs:
            return alone
        return max(0.0, pairs[before, i, j] - errors.get((before, i), 0.0))

    return cost
