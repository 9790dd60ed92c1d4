"""Choices of each knob over the calls of a strategy, which a regression reads.

A per-call gene of one knob is one row of choices. A shared gene has a row for each knob of each
method. A method whose genes all hold for a whole generation (T-GATE) has a row for each thing that
it does at a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies import SearchSpace, Strategy, registered_methods
from strategies.genomes.space import Gene


class KnobChoices:
    """Choices of one knob over the calls.

    Args:
        method, knob: names of the method and of its knob.
        values: the choices, the first of which does nothing.

    Attributes:
        strengths: strength of each choice, from 0 to 1.
    """

    def __init__(self, method: str, knob: str, values: Sequence[Any]) -> None:
        self.method, self.knob = method, knob
        # Numbers and words are their own keys, which are found sooner.
        self.plain = not any(isinstance(choice, bool | list | tuple) for choice in values)
        keys = values if self.plain else map(_key, values)
        self.indices = {key: index for index, key in enumerate(keys)}
        self.strengths = _strengths(values)

    def choices(self, strategy: Strategy) -> list[int]:
        """Index of the choice at each call; a choice that the space lacks counts as the last."""
        knobs = strategy.methods.get(self.method)
        if knobs is None:
            return [0] * strategy.calls
        last, values = len(self.strengths) - 1, getattr(knobs, self.knob)
        keys = values if self.plain else map(_key, values)
        return [self.indices.get(key, last) for key in keys]


class ListedCalls(KnobChoices):
    """A knob that lists calls, of a method that acts at others too: 1 where it acts unlisted."""

    def __init__(self, method: str, knob: str) -> None:
        super().__init__(method, knob, (True, False))

    def choices(self, strategy: Strategy) -> list[int]:
        knobs = strategy.methods.get(self.method)
        if knobs is None:
            return [0] * strategy.calls
        return [int(knobs.read(c).get(self.knob) is False) for c in range(strategy.calls)]


class ShownValue(KnobChoices):
    """One thing that a method may do at a call."""

    def __init__(self, method: str, knob: str) -> None:
        super().__init__(method, knob, (False, True))

    def choices(self, strategy: Strategy) -> list[int]:
        knobs = strategy.methods.get(self.method)
        if knobs is None:
            return [0] * strategy.calls
        return [int(bool(knobs.at(call).get(self.knob))) for call in range(strategy.calls)]


def knob_choices(space: SearchSpace) -> list[KnobChoices]:
    """Choices of every knob of a space, in the order of its per-call genes."""
    found: list[KnobChoices] = []
    for gene in space.call_genes:
        if isinstance(gene, Gene):
            listed = gene.knob in registered_methods()[gene.method].call_list_knobs
            found.append(
                ListedCalls(gene.method, gene.knob)
                if listed
                else KnobChoices(gene.method, gene.knob, gene.choices)
            )
            continue
        for method, knob in gene.knobs:
            kind = registered_methods()[method]
            if knob in kind.call_list_knobs:
                found.append(ListedCalls(method, knob))
                continue
            given = [row[method][knob] for row in gene.values if knob in row.get(method, {})]
            values = dict.fromkeys([kind.neutral[knob], *given])
            found.append(KnobChoices(method, knob, tuple(values)))
    alone = dict.fromkeys(gene.method for gene in space.global_genes if isinstance(gene, Gene))
    for method in alone:
        found += [ShownValue(method, name) for name in registered_methods()[method].shown_values]
    return found


def _key(value: Any) -> Any:
    """Key that is equal for equal choices; True differs from 1 here."""
    return (type(value) is bool, tuple(value) if isinstance(value, list) else value)


def _strengths(choices: Sequence[Any]) -> NDArray[np.float64]:
    """Strength of each choice: rank of a number, position of any other; neutral is 0."""
    others = choices[1:]
    numbers = sorted(c for c in others if isinstance(c, int | float) and not isinstance(c, bool))
    order = {value: rank for rank, value in enumerate(numbers, 1)}
    rest = [order.get(choice, position) for position, choice in enumerate(others, 1)]
    return np.array([0.0, *rest]) / max(1, len(choices) - 1)
