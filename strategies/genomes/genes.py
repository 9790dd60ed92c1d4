"""Genes: the choices of one position in a genome.

A `Gene` sets one knob of one method. A `Shared` gene sets, at every call, the knobs of methods that
cannot act together: each choice is an act of one of them. A `OneOf` gene chooses for a whole
generation which of some methods acts at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from strategies.errors import StrategyError
from strategies.knobs import Knobs, registered_methods
from strategies.plugins import entry_points
from strategies.plugins.families import families_of, works_on
from strategies.words import did_you_mean

Act = tuple[tuple[str, str, Any], ...]  # Method, knob and value; empty does nothing.


@dataclass(frozen=True)
class Gene:
    """One knob and its choices; for per-call knobs the neutral one comes first.

    A knob that lists calls has the choices no and yes at each call.
    """

    method: str
    knob: str
    choices: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Name in a space file."""
        return f"{self.method}.{self.knob}"

    @property
    def knobs(self) -> tuple[tuple[str, str], ...]:
        """Methods and knobs that it sets."""
        return ((self.method, self.knob),)

    def methods(self, index: int) -> tuple[str, ...]:
        """Methods that act by a choice; none by the first."""
        return (self.method,) if index else ()


@dataclass(frozen=True)
class Shared:
    """Acts of several methods at a call, one of which is chosen; the first does nothing."""

    name: str
    choices: tuple[Act, ...]

    @cached_property
    def knobs(self) -> tuple[tuple[str, str], ...]:
        """Methods and knobs that it sets."""
        pairs = ((method, knob) for act in self.choices for method, knob, _ in act)
        return tuple(dict.fromkeys(pairs))

    @cached_property
    def turned(self) -> dict[str, tuple[str, ...]]:
        """Knobs that it sets, by method."""
        names = dict.fromkeys(method for method, _ in self.knobs)
        return {name: tuple(k for n, k in self.knobs if n == name) for name in names}

    @cached_property
    def values(self) -> tuple[dict[str, dict[str, Any]], ...]:
        """Values of every choice, by method and knob."""
        found: list[dict[str, dict[str, Any]]] = []
        for act in self.choices:
            found.append({})
            for method, knob, value in act:
                found[-1].setdefault(method, {})[knob] = value
        return tuple(found)

    def methods(self, index: int) -> tuple[str, ...]:
        """Methods that act by a choice."""
        return tuple(self.values[index])

    def matches(self, index: int, strategy: Mapping[str, Knobs], call: int) -> bool:
        """Whether a choice is the act of a canonical strategy's methods at a call."""
        for name, mine in self.values[index].items():
            knobs = strategy.get(name)
            if knobs is not None and knobs.at(call):
                read = knobs.read(call)
                if all(mine[knob] == read[knob] for knob in mine if knob in read):
                    return True
        return False


@dataclass(frozen=True)
class OneOf:
    """Methods of which a strategy has at most one: the others do nothing."""

    name: str
    choices: tuple[str, ...]

    @property
    def knobs(self) -> tuple[tuple[str, str], ...]:
        """No knobs: it only chooses the method."""
        return ()

    def methods(self, index: int) -> tuple[str, ...]:
        """No methods: a method acts by its own genes."""
        return ()


AnyGene = Gene | Shared | OneOf


def read_acts(name: str, rows: Sequence[Any]) -> tuple[Act, ...]:
    """Choices of a shared gene in a space file, each a mapping such as `{dato.ratio: 0.5}`.

    Raises:
        StrategyError: no list of mappings, or the first is not empty.
    """
    if not all(isinstance(row, Mapping) for row in rows) or not rows or rows[0]:
        raise StrategyError(
            f"the space's shared gene {name} must be a list of mappings such as {{dato.ratio: 0.5}}"
            ", the first one empty"
        )
    acts = []
    for row in rows:
        parts = [(*split_name(key), value) for key, value in row.items()]
        acts.append(tuple((method, knob, value) for method, knob, value in parts))
    return tuple(acts)


def split_name(name: Any) -> tuple[str, str]:
    """Method and knob of `method.knob`."""
    method, _, knob = str(name).partition(".")
    return method, knob


def check_genes(
    genes: Sequence[AnyGene], fixed: Mapping[str, Mapping[str, Any]], family: str
) -> None:
    """Refuse genes of unknown knobs, of methods for other families, and duplicates.

    Raises:
        StrategyError: a gene is refused; names it.
    """
    seen: dict[tuple[str, str], str] = {(m, k): "fixed" for m, row in fixed.items() for k in row}
    for gene in genes:
        for method, knob in gene.knobs:
            kind = registered_methods().get(method)
            if kind is None or knob not in kind.model_fields:
                raise StrategyError(f"{method}.{knob} is not a knob of any method")
            if isinstance(gene, Shared) and knob not in (*kind.per_call, *kind.call_list_knobs):
                raise StrategyError(
                    f"{method}.{knob} holds for a whole generation, so it cannot be in the shared "
                    f"gene {gene.name}; give it under knobs or fixed"
                )
            check_family(method, family)
            if (method, knob) in seen:
                raise StrategyError(
                    f"{method}.{knob} is given twice in the space, by {seen[method, knob]} and by "
                    f"{gene.name}; leave one of them out"
                )
            seen[method, knob] = gene.name
        if isinstance(gene, OneOf):
            for method in gene.choices:
                check_family(method, family)
    names = [gene.name for gene in genes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StrategyError(f"the gene {twice} is given twice in the space; leave one out")


def check_family(method: str, family: str) -> None:
    """Refuse a method that is unknown or not for a family.

    Raises:
        StrategyError: the method is refused; says what is allowed.
    """
    kinds = registered_methods()
    if method not in kinds:
        hint = did_you_mean(method, kinds)
        hint += entry_points.left_out("methods", method)
        raise StrategyError(f"method {method!r} is unknown; there are {', '.join(kinds)}{hint}")
    if not works_on(kinds[method], family):
        there = [name for name, kind in kinds.items() if works_on(kind, family)]
        raise StrategyError(
            f"method {method} is for {', '.join(families_of(kinds[method]))}, not for family "
            f"{family}; take it out, {family} has {', '.join(there)}"
        )
