"""The search space, and the map between genomes and strategies.

A genome is a vector of integers: the solver, the number of steps, the choices of genes that hold
for a whole generation, then for every slot of normalised time the choices of each per-call gene. A
strategy with fewer calls than slots reads the slots nearest in time, so genomes of different step
counts can be crossed by spans of time. Knobs that name a call are searched as shares of the calls.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from strategies.errors import StrategyError
from strategies.genomes import choosing, company, encoding
from strategies.genomes.gene_reading import Reader
from strategies.genomes.genes import AnyGene, Gene, OneOf, Shared
from strategies.plugins.former_names import FormerName
from strategies.strategy import Strategy

Genome = tuple[int, ...]
GLOBALS = 2  # The solver and the number of steps come first in every genome.

__all__ = ["GLOBALS", "Gene", "Genome", "OneOf", "SearchSpace", "Shared"]


class SearchSpace:
    """Genomes and the strategies that they mean.

    Args:
        family: family of the model.
        solvers: scheduler class names, with settings in the short form if they have them.
        steps: step counts, ascending.
        calls: number of calls for every pair of scheduler and steps.
        genes: genes per call or of the whole generation.
        fixed: values of knobs that are not searched, by method.
        methods: methods that a search may switch on and off as a whole, if the space is composed of
            several; else none.
        skipped: number of calls at the start that are not made, as in image-to-image, by scheduler
            and steps. Nothing acts there, nor at the first call that is made.

    Attributes:
        call_genes: per-call genes.
        global_genes: genes of the whole generation.
        shared: methods whose per-call knobs a shared gene sets.
        adaptive: methods whose calls take different times for different images.
        global_count: number of genes before the slots of a genome.

    Raises:
        StrategyError: an unknown method or knob, one given twice, or a choice that its method does
            not allow.
    """

    genes = FormerName("call_genes")
    whole = FormerName("global_genes")
    head = FormerName("global_count")
    width = FormerName("genes_per_slot")

    def __init__(
        self,
        family: str,
        solvers: Sequence[str],
        steps: Sequence[int],
        calls: Mapping[tuple[str, int], int],
        genes: Sequence[AnyGene],
        fixed: Mapping[str, Mapping[str, Any]] | None = None,
        methods: Sequence[str] = (),
        skipped: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        self.family, self.solvers, self.steps = family, tuple(solvers), tuple(steps)
        self.calls, self.methods = dict(calls), tuple(methods)
        self.skipped = {pair: count for pair, count in (skipped or {}).items() if count}
        self.fixed = {name: dict(knobs) for name, knobs in (fixed or {}).items()}
        if not self.solvers or not self.steps:
            raise StrategyError("a space needs at least one solver and one number of steps")
        self.slots = max(self.calls[s, n] for s in self.solvers for n in self.steps)
        reader = Reader(family, list(self.calls.values()), self.fixed)
        self.call_genes, self.global_genes = reader.read(genes)
        self.shared = {m for g in self.call_genes if isinstance(g, Shared) for m in g.turned}
        self.adaptive = company.adaptive_methods(self._names())
        self.global_count = GLOBALS + len(self.global_genes)
        self._starts = {
            calls: [
                self.global_count + self.slot(call, calls) * self.genes_per_slot
                for call in range(calls)
            ]
            for calls in set(self.calls.values())
        }
        self.sizes: Genome = (
            len(self.solvers),
            len(self.steps),
            *(len(gene.choices) for gene in self.global_genes),
            *[len(gene.choices) for gene in self.call_genes] * self.slots,
        )

    def _names(self) -> set[str]:
        """Methods of all genes, and those that are fixed."""
        names = {name for gene in (*self.call_genes, *self.global_genes) for name, _ in gene.knobs}
        return names | {*self.fixed}

    def tabulated(self) -> SearchSpace:
        """The same space without its adaptive methods: every call of it is of some kind."""
        if not self.adaptive:
            return self
        genes = [
            gene
            for gene in (*self.call_genes, *self.global_genes)
            if not {name for name, _ in gene.knobs} & {*self.adaptive}
        ]
        fixed = {name: knobs for name, knobs in self.fixed.items() if name not in self.adaptive}
        methods = [name for name in self.methods if name not in self.adaptive]
        return SearchSpace(
            self.family, self.solvers, self.steps, self.calls, genes, fixed, methods, self.skipped
        )

    def value(self, gene: Gene, choice: Any, calls: int) -> Any:
        """Value of a choice in a generation of `calls` calls.

        Raises:
            StrategyError: a knob that names a call, and a choice that is no share of the calls.
        """
        return choosing.gene_value(gene, choice, calls)

    @property
    def genes_per_slot(self) -> int:
        """Number of genes per slot of time."""
        return len(self.call_genes)

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
        out = set(self.shared)  # Until they act.
        for gene, index in zip(self.global_genes, genome[GLOBALS : self.global_count], strict=True):
            if isinstance(gene, Gene):
                value = self.value(gene, gene.choices[index], calls)
                methods.setdefault(gene.method, {})[gene.knob] = value
        starts, quiet = self._starts[calls], self._quiet(solver, steps)
        for offset, each in enumerate(self.call_genes):
            chosen = [0] * quiet + [genome[start + offset] for start in starts[quiet:]]
            if isinstance(each, Gene):
                values = choosing.gene_values(each, [each.choices[index] for index in chosen])
                methods.setdefault(each.method, {})[each.knob] = values
                continue
            for method, knobs in choosing.acting(each, chosen):
                methods[method] = methods.get(method, {}) | knobs
                out.discard(method)
        out |= self._others(genome)
        methods = {name: knobs for name, knobs in methods.items() if name not in out}
        if self.adaptive:
            methods = company.agreeing_methods(methods, self.family, solver, calls)
        return Strategy.create(
            family=self.family, scheduler=solver, steps=steps, calls=calls, methods=methods
        ).canonical()

    def _quiet(self, solver: str, steps: int) -> int:
        """Number of calls at the start without acts: those not made, and the first that is made.

        The first call that is made has nothing to reuse.
        """
        skipped = self.skipped.get((solver, steps), 0)
        return skipped + 1 if skipped else 0

    def settled(self, strategy: Strategy) -> Strategy:
        """The strategy in this space without acts at calls that are not made.

        Raises:
            StrategyError: the strategy lies outside this space.
        """
        if (strategy.solver_text, strategy.steps) not in self.skipped:
            return strategy
        return self.decode(self.encode(strategy))

    def _others(self, genome: Sequence[int]) -> set[str]:
        """Methods that a `OneOf` gene did not choose."""
        found = set[str]()
        for gene, index in zip(self.global_genes, genome[GLOBALS : self.global_count], strict=True):
            if isinstance(gene, OneOf):
                found |= {name for place, name in enumerate(gene.choices) if place != index}
        return found

    def encode(self, strategy: Strategy) -> Genome:
        """A genome that means `strategy`; unread slots repeat their neighbour's choice.

        Raises:
            StrategyError: the strategy lies outside this space.
        """
        return encoding.encode(self, strategy)

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
            for gene in self.global_genes
            if isinstance(gene, Gene) and gene.method == method
        }
        return self.fixed.get(method, {}) | whole
