"""Checked genes of a space, with choices in the form that the methods hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strategies.errors import StrategyError
from strategies.genomes import choosing
from strategies.genomes.genes import Act, AnyGene, Gene, OneOf, Shared, check_genes
from strategies.knobs import registered_methods
from strategies.strategy import Strategy

PerCall = tuple[Gene | Shared, ...]
Whole = tuple[Gene | OneOf, ...]


class Reader:
    """Reader of genes, which checks them by making the strategies that they mean.

    Args:
        family: family of the model.
        calls: numbers of calls that generations of the space make.
        fixed: knobs that are not searched, by method.
    """

    def __init__(
        self, family: str, calls: Sequence[int], fixed: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.family, self.fixed = family, fixed
        self.calls = sorted(set(calls))

    def read(self, genes: Sequence[AnyGene]) -> tuple[PerCall, Whole]:
        """Genes of every call, and those of a whole generation.

        Raises:
            StrategyError: a choice is not allowed; names the gene and the choice.
        """
        check_genes(genes, self.fixed, self.family)
        plain = [gene for gene in genes if isinstance(gene, Gene)]
        whole = [g for g in genes if isinstance(g, OneOf) or choosing.is_whole(g)]
        for gene in plain:
            if choosing.is_whole(gene):
                self._held(gene, plain)
        found: list[Gene | Shared] = []
        for each in genes:
            if isinstance(each, Shared):
                found.append(self._acts(each))
            elif isinstance(each, Gene) and not choosing.is_whole(each):
                found.append(self._choices(each, plain))
        read = [gene for gene in found if isinstance(gene, Gene)]
        self._together(read, [gene for gene in plain if choosing.is_whole(gene)])
        return tuple(found), tuple(whole)  # type: ignore[arg-type]

    def _held(self, gene: Gene, genes: Sequence[Gene]) -> list[Any]:
        """Choices of a gene in the form that its method's knobs hold."""
        mine = [g for g in genes if g.method == gene.method]
        found = []
        for choice in gene.choices:
            row = [choice if g == gene else g.choices[0] for g in mine]
            for calls in self.calls:
                knobs = self._knobs(mine, [row] * calls)
            found.append(getattr(knobs, gene.knob))
        return found

    def _knobs(self, genes: Sequence[Gene], rows: Sequence[Sequence[Any]]) -> Any:
        """Knobs of one method, with a row of choices for each call."""
        method, calls = genes[0].method, len(rows)
        chosen = {
            gene.knob: choosing.gene_value(gene, values[0], calls)
            if choosing.is_whole(gene)
            else choosing.gene_values(gene, values)
            for gene, values in zip(genes, zip(*rows, strict=True), strict=True)
        }
        return self._made(method, chosen, calls)

    def _made(self, method: str, chosen: Mapping[str, Any], calls: int) -> Any:
        methods = {method: {**self.fixed.get(method, {}), **chosen}}
        made = Strategy.create(
            family=self.family, scheduler="-", steps=1, calls=calls, methods=methods
        )
        return made.methods[method]

    def _choices(self, gene: Gene, genes: Sequence[Gene]) -> Gene:
        mark = gene.knob in registered_methods()[gene.method].call_list_knobs
        if mark and not all(isinstance(choice, bool) for choice in gene.choices):
            raise StrategyError(
                f"{gene.name} lists calls, so in a space its choices are true (the call is in the "
                f"list) and false, not {list(gene.choices)}"
            )
        choices: list[Any] = []
        for given, held in zip(gene.choices, self._held(gene, genes), strict=True):
            value = given if mark else held[-1]
            if value in choices:
                raise StrategyError(
                    f"{gene.method}.{gene.knob} has the choice {given!r}, which means the same as "
                    "one before it; give each once"
                )
            choices.append(value)
        return Gene(gene.method, gene.knob, tuple(choices))

    def _acts(self, gene: Shared) -> Shared:
        """The gene with its values in the form that their methods hold."""
        acts = list[Act]()
        for act in gene.choices:
            read: list[tuple[str, str, Any]] = []
            for method in dict.fromkeys(name for name, _, _ in act):
                given = {knob: value for name, knob, value in act if name == method}
                read += [(method, knob, v) for knob, v in self._act(method, given).items()]
            if tuple(read) in acts:
                shown = ", ".join(f"{method}.{knob}: {value}" for method, knob, value in act)
                raise StrategyError(
                    f"the shared gene {gene.name} has the choice {{{shown}}} twice; give each once"
                )
            acts.append(tuple(read))
        return Shared(gene.name, tuple(acts))

    def _act(self, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kind = registered_methods()[method]
        for knob in set(given) & set(kind.call_list_knobs):
            if not isinstance(given[knob], bool):
                raise StrategyError(
                    f"{method}.{knob} lists calls, so in a shared gene it is true (the call is in "
                    f"the list) or false, not {given[knob]!r}"
                )
        chosen = {
            knob: ((0,) if value else ()) if knob in kind.call_list_knobs else [value]
            for knob, value in given.items()
        }
        knobs = self._made(method, chosen, 1)
        return {
            knob: value if knob in kind.call_list_knobs else getattr(knobs, knob)[0]
            for knob, value in given.items()
        }

    def _together(self, genes: Sequence[Gene], whole: Sequence[Gene]) -> None:
        """Refuse choices that no one strategy can hold, such as lists of different lengths."""
        most = max(self.calls)
        for method in dict.fromkeys(gene.method for gene in genes):
            mine = [gene for gene in (*genes, *whole) if gene.method == method]
            for first in range(0, max(len(gene.choices) for gene in mine), most):
                calls = range(first, first + most)
                self._knobs(mine, [[g.choices[i % len(g.choices)] for g in mine] for i in calls])
