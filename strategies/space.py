"""The space a search walks, and the map between genomes and strategies.

A genome is a vector of integers: the solver, the number of steps, the choices of knobs that hold
for a whole generation, then for every slot of normalised time the choices of each per-call knob. A
strategy with fewer calls than slots reads the slots nearest in time, so genomes of different step
counts can be crossed by spans of time. Knobs that name a call are searched as shares of the calls.
"""

from __future__ import annotations

import itertools
import operator
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
    """One knob and its choices, of per-call knobs the neutral one first."""

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
        genes: knobs, per call or of the whole generation.
        fixed: values of knobs that are not searched, by method.

    Attributes:
        genes: the per-call ones.
        whole: the others.
        head: genes of a genome before its slots.

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
        self.calls = dict(calls)
        self.fixed = {name: dict(knobs) for name, knobs in (fixed or {}).items()}
        if not self.solvers or not self.steps:
            raise StrategyError("a space needs at least one solver and one number of steps")
        self.slots = max(self.calls[s, n] for s in self.solvers for n in self.steps)
        for gene in genes:
            kind = known().get(gene.method)
            if kind is None or gene.knob not in kind.model_fields:
                raise StrategyError(f"{gene.method}.{gene.knob} is not a knob of any method")
        self.whole = tuple(g for g in genes if g.knob not in known()[g.method].per_call)
        for gene in self.whole:
            self._check(gene, genes)
        self.genes = tuple(self._read(g, genes) for g in genes if g not in self.whole)
        self._check_together()
        self.head = GLOBALS + len(self.whole)
        self._starts = {
            calls: [self.head + self.slot(call, calls) * self.width for call in range(calls)]
            for calls in set(self.calls.values())
        }
        whole = [len(gene.choices) for gene in self.whole]
        per_slot = [len(gene.choices) for gene in self.genes]
        self.sizes: Genome = (
            len(self.solvers),
            len(self.steps),
            *whole,
            *per_slot * self.slots,
        )

    def _check(self, gene: Gene, genes: Sequence[Gene]) -> list[Any]:
        """The choices of a gene as its method's knobs hold them."""
        mine = [g for g in genes if g.method == gene.method]
        found = []
        for choice in gene.choices:
            row = [choice if g == gene else g.choices[0] for g in mine]
            for calls in sorted(set(self.calls.values())):
                knobs = self._knobs(mine, [row] * calls)
            found.append(getattr(knobs, gene.knob))
        return found

    def _knobs(self, genes: Sequence[Gene], rows: Sequence[Sequence[Any]]) -> Any:
        """The knobs of one method, with a row of choices for each call."""
        method, calls = genes[0].method, len(rows)
        chosen = {
            gene.knob: self.value(gene, values[0], calls) if gene in self.whole else values
            for gene, values in zip(genes, zip(*rows, strict=True), strict=True)
        }
        methods = {method: self.fixed.get(method, {}) | chosen}
        made = Strategy.create(
            family=self.family, scheduler="-", steps=1, calls=calls, methods=methods
        )
        return made.methods[method]

    def _read(self, gene: Gene, genes: Sequence[Gene]) -> Gene:
        choices: list[Any] = []
        for given, read in zip(gene.choices, self._check(gene, genes), strict=True):
            if read[0] in choices:
                raise StrategyError(
                    f"{gene.method}.{gene.knob} has the choice {given!r}, which means the same as "
                    "one before it; give each once"
                )
            choices.append(read[0])
        return Gene(gene.method, gene.knob, tuple(choices))

    def _check_together(self) -> None:
        """Refuse choices that no one strategy can hold, such as lists of different lengths."""
        for method in dict.fromkeys(gene.method for gene in self.genes):
            genes = [gene for gene in (*self.genes, *self.whole) if gene.method == method]
            for first in range(0, max(len(gene.choices) for gene in genes), self.slots):
                calls = range(first, first + self.slots)
                self._knobs(genes, [[g.choices[i % len(g.choices)] for g in genes] for i in calls])

    def value(self, gene: Gene, choice: Any, calls: int) -> Any:
        """What a choice means in a generation of so many calls.

        Raises:
            StrategyError: a knob that names a call, and a choice that is no share of the calls.
        """
        kind = known()[gene.method]
        if gene.knob not in kind.places or choice is None:
            return choice
        if isinstance(choice, bool) or not isinstance(choice, int | float) or not 0 <= choice <= 1:
            raise StrategyError(
                f"{gene.method}.{gene.knob} has the choice {choice!r}; it names a call, so in a "
                "space its choices are shares of the calls from 0 to 1, or null"
            )
        low = kind.places[gene.knob]
        return min(max(low, round(choice * calls)), max(low, calls - 1))

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
        if not all(map(operator.lt, genome, self.sizes)) or min(genome) < 0:
            outside = ((i, v, n) for i, (v, n) in enumerate(zip(genome, self.sizes, strict=True)))
            index, value, size = next(one for one in outside if not 0 <= one[1] < one[2])
            raise StrategyError(f"gene {index} is {value}; allowed are 0 to {size - 1}")
        solver, steps = self.solvers[genome[0]], self.steps[genome[1]]
        calls = self.calls[solver, steps]
        methods = {name: dict(knobs) for name, knobs in self.fixed.items()}
        for gene, index in zip(self.whole, genome[GLOBALS : self.head], strict=True):
            value = self.value(gene, gene.choices[index], calls)
            methods.setdefault(gene.method, {})[gene.knob] = value
        starts = self._starts[calls]
        for offset, gene in enumerate(self.genes):
            values = [gene.choices[genome[start + offset]] for start in starts]
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
        first = [self.solvers.index(pair[0]), self.steps.index(pair[1])]
        slots: list[int] = []
        for slot in range(self.slots):
            call = min(strategy.calls - 1, slot * strategy.calls // self.slots)
            slots += [self._choice(strategy, gene, call) for gene in self.genes]
        for call in range(strategy.calls):
            start = self.slot(call, strategy.calls) * self.width
            values = [self._choice(strategy, gene, call) for gene in self.genes]
            slots[start : start + self.width] = values
        # Which choices of a whole generation's knobs it has may only show in what they do.
        for whole in itertools.product(*(range(len(gene.choices)) for gene in self.whole)):
            genome = (*first, *whole, *slots)
            if self.decode(genome).digest == strategy.digest:
                return genome
        names = ", ".join(f"{gene.method}.{gene.knob}" for gene in self.whole)
        raise StrategyError(
            "the strategy has knobs that this space does not search or other choices of them"
            + (f" ({names})" if names else "")
        )

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
        calls = self.calls[solver, steps]
        for name, values in knobs.items():
            method, _, knob = name.partition("_")
            methods.setdefault(method, self._given(method, calls))[knob] = list(values)
        return Strategy.create(
            family=self.family, scheduler=solver, steps=steps, calls=calls, methods=methods
        ).canonical()

    def _given(self, method: str, calls: int) -> dict[str, Any]:
        """Fixed knobs, and the first choices of those that hold for a whole generation."""
        whole = {
            gene.knob: self.value(gene, gene.choices[0], calls)
            for gene in self.whole
            if gene.method == method
        }
        return self.fixed.get(method, {}) | whole
