"""The space a search walks, and the map between genomes and strategies.

A genome is a vector of integers: the solver, the number of steps, then for every slot of normalised
time the choices of each per-call knob. A strategy with fewer calls than slots reads the slots
nearest in time, so genomes of different step counts can be crossed by spans of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strategies.errors import StrategyError
from strategies.knobs import known
from strategies.strategy import Strategy

Genome = tuple[int, ...]
GLOBALS = 2  # The solver and the number of steps come first in every genome.


@dataclass(frozen=True)
class Gene:
    """One per-call knob and its choices, the neutral one first."""

    method: str
    knob: str
    choices: tuple[Any, ...]


class SearchSpace:
    """Genomes and what they mean.

    Args:
        family: of the model.
        solvers: scheduler class names.
        steps: step counts, ascending.
        calls: calls per (scheduler, steps), for every pair.
        genes: per-call knobs.
        fixed: values of knobs that are not searched, by method.

    Raises:
        StrategyError: an unknown method or knob, or a choice that its method does not allow.
    """

    def __init__(
        self,
        family: str,
        solvers: Sequence[str],
        steps: Sequence[int],
        calls: Mapping[tuple[str, int], int],
        genes: Sequence[Gene],
        fixed: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.family, self.solvers, self.steps = family, tuple(solvers), tuple(steps)
        self.calls, self.genes = dict(calls), tuple(genes)
        self.fixed = {name: dict(knobs) for name, knobs in (fixed or {}).items()}
        if not self.solvers or not self.steps:
            raise StrategyError("a space needs at least one solver and one number of steps")
        self.slots = max(self.calls[s, n] for s in self.solvers for n in self.steps)
        self.genes = tuple(self._read(gene) for gene in self.genes)
        self._check_together()
        per_slot = [len(gene.choices) for gene in self.genes]
        self.sizes: Genome = (len(self.solvers), len(self.steps), *per_slot * self.slots)

    def _read(self, gene: Gene) -> Gene:
        """The gene with each choice as its method's knobs hold it."""
        kind = known().get(gene.method)
        if kind is None or gene.knob not in kind.per_call:
            raise StrategyError(f"{gene.method}.{gene.knob} is not a per-call knob of any method")
        others = {g.knob: [g.choices[0]] for g in self.genes if g.method == gene.method}
        choices: list[Any] = []
        for choice in gene.choices:
            knobs = self._knobs(gene.method, others | {gene.knob: [choice]}, 1)
            value = getattr(knobs, gene.knob)[0]
            if value in choices:
                raise StrategyError(
                    f"{gene.method}.{gene.knob} has the choice {choice!r}, which means the same as "
                    "one before it; give each once"
                )
            choices.append(value)
        return Gene(gene.method, gene.knob, tuple(choices))

    def _knobs(self, method: str, lists: Mapping[str, Sequence[Any]], calls: int) -> Any:
        methods = {method: {**self.fixed.get(method, {}), **lists}}
        fields = {"family": self.family, "scheduler": "-", "steps": calls, "calls": calls}
        return Strategy.create(**fields, methods=methods).methods[method]

    def _check_together(self) -> None:
        """Refuse choices that no one strategy can hold, such as lists of different lengths."""
        for method in dict.fromkeys(gene.method for gene in self.genes):
            genes = [gene for gene in self.genes if gene.method == method]
            calls = max(len(gene.choices) for gene in genes)
            lists = {g.knob: [*g.choices, *g.choices[:1] * calls][:calls] for g in genes}
            self._knobs(method, lists, calls)

    @property
    def width(self) -> int:
        """Genes per slot of time."""
        return len(self.genes)

    def slot(self, call: int, calls: int) -> int:
        """The slot that call `call` of `calls` reads; distinct for distinct calls."""
        return (2 * call + 1) * self.slots // (2 * calls)

    def decode(self, genome: Sequence[int]) -> Strategy:
        """The strategy that a genome means.

        Raises:
            StrategyError: a wrong length, or a value that is no choice.
        """
        if len(genome) != len(self.sizes):
            raise StrategyError(f"a genome has {len(self.sizes)} genes here, not {len(genome)}")
        for index, (value, size) in enumerate(zip(genome, self.sizes, strict=True)):
            if not 0 <= value < size:
                raise StrategyError(f"gene {index} is {value}; allowed are 0 to {size - 1}")
        solver, steps = self.solvers[genome[0]], self.steps[genome[1]]
        calls = self.calls[solver, steps]
        methods = {name: dict(knobs) for name, knobs in self.fixed.items()}
        for offset, gene in enumerate(self.genes):
            places = [GLOBALS + self.slot(i, calls) * self.width + offset for i in range(calls)]
            values = [gene.choices[genome[place]] for place in places]
            methods.setdefault(gene.method, {})[gene.knob] = values
        return Strategy.create(
            family=self.family, scheduler=solver, steps=steps, calls=calls, methods=methods
        ).canonical()

    def encode(self, strategy: Strategy) -> Genome:
        """A genome that means `strategy`; slots it does not read repeat their neighbour's choice.

        Raises:
            StrategyError: the strategy lies outside this space.
        """
        pair = (strategy.scheduler, strategy.steps)
        if pair not in self.calls or self.calls[pair] != strategy.calls:
            raise StrategyError(
                f"{strategy.scheduler} with {strategy.steps} steps is not in this space; it has "
                f"{', '.join(self.solvers)} with {', '.join(map(str, self.steps))} steps"
            )
        genome = [self.solvers.index(pair[0]), self.steps.index(pair[1])]
        for slot in range(self.slots):
            call = min(strategy.calls - 1, slot * strategy.calls // self.slots)
            genome += [self._choice(strategy, gene, call) for gene in self.genes]
        for call in range(strategy.calls):
            start = GLOBALS + self.slot(call, strategy.calls) * self.width
            values = [self._choice(strategy, gene, call) for gene in self.genes]
            genome[start : start + self.width] = values
        return tuple(genome)

    def _choice(self, strategy: Strategy, gene: Gene, call: int) -> int:
        knobs = strategy.methods.get(gene.method)
        value = gene.choices[0] if knobs is None else getattr(knobs, gene.knob)[call]
        if value not in gene.choices:
            raise StrategyError(
                f"{gene.method}.{gene.knob}[{call}] is {value!r}; this space has {gene.choices}"
            )
        return gene.choices.index(value)

    def uniform(self, solver: str, steps: int, **knobs: Sequence[Any]) -> Strategy:
        """A strategy from per-call lists named `method_knob`, such as `deepcache_depth`."""
        methods: dict[str, dict[str, Any]] = {}
        for name, values in knobs.items():
            method, _, knob = name.partition("_")
            methods.setdefault(method, dict(self.fixed.get(method, {})))[knob] = list(values)
        calls = self.calls[solver, steps]
        return Strategy.create(
            family=self.family, scheduler=solver, steps=steps, calls=calls, methods=methods
        ).canonical()
