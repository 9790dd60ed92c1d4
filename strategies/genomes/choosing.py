"""Values of knobs that chosen genes stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from strategies.errors import StrategyError
from strategies.genomes.genes import AnyGene, Gene, Shared
from strategies.knobs import registered_methods


def is_whole(gene: AnyGene) -> bool:
    """Whether a gene sets a knob of the whole generation."""
    if not isinstance(gene, Gene):
        return False
    kind = registered_methods()[gene.method]
    return gene.knob not in (*kind.per_call, *kind.call_list_knobs)


def gene_value(gene: Gene, choice: Any, calls: int) -> Any:
    """Value of a whole generation's knob for a choice, in a generation of `calls` calls.

    Raises:
        StrategyError: a knob that names a call, and a choice that is no share of the calls.
    """
    kind = registered_methods()[gene.method]
    if gene.knob not in kind.call_index_knobs or choice is None:
        return choice
    if isinstance(choice, bool) or not isinstance(choice, int | float) or not 0 <= choice <= 1:
        raise StrategyError(
            f"{gene.method}.{gene.knob} has the choice {choice!r}; it names a call, so in a "
            "space its choices are shares of the calls from 0 to 1, or null"
        )
    low = kind.call_index_knobs[gene.knob]
    return min(max(low, round(choice * calls)), max(low, calls - 1))


def gene_values(gene: Gene, values: Sequence[Any]) -> Any:
    """Value of a per-call gene's knob: one value for each call, or the list of calls."""
    kind = registered_methods()[gene.method]
    if gene.knob not in kind.call_list_knobs:
        return kind.sound(gene.knob, values)
    return tuple(call for call, value in enumerate(values) if value)


def acting(gene: Shared, chosen: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Methods that act by the choices of a shared gene, with their knobs over the calls.

    Args:
        gene: shared gene.
        chosen: choice at each call.
    """
    rows = [gene.values[index] for index in chosen]
    for method in dict.fromkeys(name for row in rows for name in row):
        kind, found = registered_methods()[method], dict[str, Any]()
        for knob in gene.turned[method]:
            given = [row.get(method, {}).get(knob) for row in rows]
            if knob in kind.call_list_knobs:
                found[knob] = tuple(call for call, value in enumerate(given) if value)
            else:
                neutral = kind.neutral[knob]
                found[knob] = [neutral if value is None else value for value in given]
        yield method, found
