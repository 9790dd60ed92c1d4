"""Per-call sensitivity on a few prompts, and the schedules that follow from it.

Measured at one solver and number of steps, through the same workers as everything else: how much
the images change when one stretch of calls reuses what the call before it computed, all other calls
being computed. Every distinct answer is noted in the study, so that a resumed run pays for none
twice. The schedules are then carried to the other step counts by normalised time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluate.reading import Sample
from search.images import unaccelerated as drawing
from search.initial.projection import nearest, spread
from search.initial.shortest_path import Path, minimax, smallest_sum
from search.workers.worker import Outcome, Request
from strategies import SearchSpace, Strategy
from strategies.knobs import known
from strategies.space import Gene, Shared

if TYPE_CHECKING:
    from search.engine.engine import Engine

ORIGIN = "sensitivity"
STEPS = 12  # Measured at the space's nearest; schedules scale with time.
LONGEST = 4  # Calls from one computed call to the next, at most.
KINDS = ("minimax", "sum")  # Of paths; see `search.initial.shortest_path`.
Action = tuple[int, ...]


def actions(space: SearchSpace) -> list[Action]:
    """What a call that is not computed may do: rows of choices of the per-call genes.

    For every method that reuses, all its knobs at their second choice that is cheap and real:
    of depths the shallowest that still runs something, of switches off; and the same with the first
    order of extrapolation, where the space has orders.
    """
    found: list[Action] = []
    plain = [gene for gene in space.genes if isinstance(gene, Gene)]
    for method in dict.fromkeys(gene.method for gene in plain):
        kind = known()[method]
        if kind.reduces_tokens or kind.narrows:
            continue
        for order in (0, 1):
            row = [_choice(space, index, method, order) for index in range(space.width)]
            if None not in row and any(row) and tuple(row) not in found:
                found.append(tuple(int(value or 0) for value in row))
    return found


def _choice(space: SearchSpace, index: int, method: str, order: int) -> int | None:
    gene = space.genes[index]
    if isinstance(gene, Shared) or gene.method != method:
        return 0
    if gene.knob == "order":
        return gene.choices.index(order) if order in gene.choices else None
    shallow = [c for c in gene.choices if isinstance(c, int) and not isinstance(c, bool) and c > 0]
    if shallow:
        return gene.choices.index(min(shallow))
    return gene.choices.index(False) if False in gene.choices else 0


class Sensitivity:
    """What is measured, and what it says.

    Args:
        engine: whose workers, study and space are used.
        prompts: how many are drawn for each answer.
    """

    def __init__(self, engine: Engine, prompts: int) -> None:
        self.engine, self.space, self.prompts = engine, engine.space, prompts
        solver = engine.baseline.solver_text
        self.solver = solver if solver in self.space.solvers else self.space.solvers[0]
        self.steps = min(self.space.steps, key=lambda n: (abs(n - STEPS), n))
        self.calls = self.space.calls[self.solver, self.steps]

    def strategy(self, action: Action, computed: Path) -> Strategy:
        """Those calls computed, the others doing `action`."""
        neutral = (0,) * self.space.width
        rows = [neutral if call in computed else action for call in range(self.calls)]
        head = [self.space.solvers.index(self.solver), self.space.steps.index(self.steps)]
        whole = [0] * len(self.space.whole)
        return self.space.decode((*head, *whole, *spread(self.space, rows)))

    def asked(self) -> list[Strategy]:
        """Everything to draw, the run without any reuse first, each once."""
        found: dict[str, Strategy] = {}
        rows = [self.strategy((0,) * self.space.width, tuple(range(self.calls)))]
        for action in actions(self.space):
            rows += [self.strategy(action, self._without(*one)) for one in self._stretches(action)]
        for strategy in rows:
            found.setdefault(strategy.digest, strategy)
        return list(found.values())

    def _stretches(self, action: Action) -> Iterator[tuple[tuple[int, int], ...]]:
        """What is reused at once: one stretch, or where it is extrapolated the one before too."""
        for i in range(self.calls - 1):
            for j in range(i + 2, min(i + LONGEST, self.calls) + 1):
                yield ((i, j),)
                if self._extrapolates(action):
                    for before in range(max(0, i - LONGEST), i - 1):
                        yield (before, i), (i, j)

    def _extrapolates(self, action: Action) -> bool:
        pairs = zip(self.space.genes, action, strict=True)
        return any(
            isinstance(gene, Gene) and gene.knob == "order" and gene.choices[value]
            for gene, value in pairs
        )

    def _without(self, *stretches: tuple[int, int]) -> Path:
        reused = {call for i, j in stretches for call in range(i + 1, j)}
        return tuple(call for call in range(self.calls) if call not in reused)

    def measure(self) -> None:
        """Draw what is not noted yet, as ordinary requests on all workers."""
        study, executor = self.engine.study, self.engine.executor
        asked = self.asked()
        plain = asked[0].digest
        missing = [one for one in asked if study.noted(f"sensitivity:{one.digest}") is None]
        if not missing:
            return
        # The reference images themselves are not noted, so they are drawn again after a kill.
        outcome = executor.alone(self._request(asked[0]))
        self.engine.must(outcome)
        reference: Sample = outcome.value
        self._note(plain, outcome, reference)
        waiting = [self._request(one) for one in missing if one.digest != plain]
        for left, (request, outcome) in zip(
            range(len(waiting), 0, -1), executor.each(waiting), strict=True
        ):
            self._note(request.key, outcome, reference)
            self.engine.say(f"measuring per-call sensitivity, {left - 1} to go")

    def _request(self, strategy: Strategy) -> Request:
        limit = self.engine.limit(self.engine.table.predict(strategy), self.prompts)
        digest, count = strategy.digest, self.prompts
        return drawing.request(self.engine, digest, strategy, "search", count, limit=limit)

    def _note(self, digest: str, outcome: Outcome, reference: Sample) -> None:
        change: Any = "failed"
        if outcome.value is not None:
            value = difference(outcome.value, reference, self.engine.figures.network)
            change = value if np.isfinite(value) else "failed"
        name = f"sensitivity:{digest}"
        self.engine.study.enter(name, {name: change}, outcome.seconds)

    def error(self, action: Action, *stretches: tuple[int, int]) -> float | None:
        """The measured change of the images (`difference`); None where it was not measured or
        failed.
        """
        strategy = self.strategy(action, self._without(*stretches))
        found = self.engine.study.noted(f"sensitivity:{strategy.digest}")
        return found if isinstance(found, float) else None

    def schedules(self, kinds: Collection[str] = KINDS) -> Iterator[Strategy]:
        """For every action and number of computed calls, the paths of these kinds."""
        for action in actions(self.space):
            errors = {(i, i + 1): 0.0 for i in range(self.calls)}
            pairs: dict[tuple[int, int, int], float] = {}
            for stretches in self._stretches(action):
                found = self.error(action, *stretches)
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

    def seeds(self, kinds: Collection[str] = KINDS) -> list[tuple[str, Strategy]]:
        """The schedules, at the measured number of steps and every other, each once."""
        found: dict[str, Strategy] = {}
        measured = list(self.schedules(kinds))
        for one in measured:
            found.setdefault(one.digest, one)
        for steps in self.space.steps:
            calls = self.space.calls[self.solver, steps]
            if steps != self.steps and 2 * steps > self.steps:
                for one in measured[:: max(1, len(measured) // 6)]:
                    other = nearest(self.space, one.resample(calls=calls, steps=steps))
                    found.setdefault(other.digest, other)
        return [(ORIGIN, one) for one in self._fair(list(found.values()))]

    def _fair(self, rows: list[Strategy]) -> list[Strategy]:
        """At most a population of them, spread evenly over latency, fastest first."""
        rows = sorted(rows, key=lambda one: (self.engine.table.predict(one), one.digest))
        room = min(self.engine.config.population, len(rows))
        chosen = {round(k * (len(rows) - 1) / max(1, room - 1)) for k in range(room)}
        return [rows[index] for index in sorted(chosen)]


def difference(sample: Sample, reference: Sample, network: str | None) -> float:
    """How far images are from others of the same prompts: the mean squared distance of the features
    that quality is measured by, as a share of their variance. Without features, how much larger the
    mean squared error of the pixels to the unaccelerated images is, of at most 1.
    """
    if network is None:
        errors = [float(np.mean(10 ** (-one.paired["psnr"] / 10))) for one in (sample, reference)]
        return max(0.0, errors[0] - errors[1])
    return change_of(sample.features[network], reference.features[network])


def change_of(features: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The mean squared change of features `[n, d]`, as a share of the reference's variance."""
    difference = np.square(features - reference).sum(1).mean()
    return float(difference / reference.var(0).sum())


def _joint(errors: dict[tuple[int, int], float], pairs: dict[tuple[int, int, int], float]) -> Any:
    """What a stretch adds to the error after the stretch before it, which costs what it does."""

    def cost(before: int | None, i: int, j: int) -> float | None:
        alone = errors.get((i, j))
        if before is None or alone is None or (before, i, j) not in pairs:
            return alone
        return max(0.0, pairs[before, i, j] - errors.get((before, i), 0.0))

    return cost
